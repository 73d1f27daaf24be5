#!/usr/bin/env bash
# What takes too long for every change: the whole catalogue 200 times over both families, with two busy loops beside it, and the
# tests of suites/tool with the full numbers. ci/soak.sh N plays it N times instead. Prints what the command prints at its end.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

repeat=${1:-200}

step "the command"
scratch=$(mktemp -d)
loops=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
	((${#loops[@]} == 0)) || kill "${loops[@]}" 2>/dev/null || true
	rm -rf "$scratch"
}
trap clean_up EXIT
go build -o "$scratch/lastack" ./cmd/lastack

step "the catalogue, $repeat times over IPv4 and IPv6, beside two busy loops"
for _ in 1 2; do
	(
		trap - ERR
		while :; do :; done
	) &
	loops+=("$!")
done
# Claims that held are left out; what did not pass is shown whole.
status=0
"$scratch/lastack" run --all --ip both --repeat "$repeat" >"$scratch/result" 2>"$scratch/errors" || status=$?
kill "${loops[@]}"
wait "${loops[@]}" 2>/dev/null || true
loops=()
grep -v '✓' "$scratch/result" | tail -n 400
tail -n 20 "$scratch/errors"
((status == 0)) || die "lastack run ended with status $status"
step_done

step "the tests of the tool with the full numbers"
LASTACK_SOAK=1 go test -count=1 -v -timeout=60m ./suites/tool | grep -E '^ *(--- |FAIL|ok|.*_test\.go:)' || die "the tests failed"
step_done
