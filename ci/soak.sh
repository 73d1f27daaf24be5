#!/usr/bin/env bash
# What takes too long for every change: the whole catalogue 200 times over both families, with two busy loops beside it, and the
# tests of suites/tool and suites/application with the full numbers. ci/soak.sh N plays it N times instead. Prints what the
# command prints at its end.
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
failed=()
"$scratch/lastack" run --all --ip both --repeat "$repeat" >"$scratch/result" 2>"$scratch/errors" || failed+=("lastack run ended with status $?")
kill "${loops[@]}"
wait "${loops[@]}" 2>/dev/null || true
loops=()
# Claims that held are left out; what did not pass is shown whole, with the directory of its evidence.
awk '/^  ✓ /{ held = 1; next } held && /^    /{ next } { held = 0; print }' "$scratch/result"
grep -v '^playing ' "$scratch/errors" || true
step_done

step "the tests of the tool with the full numbers"
if LASTACK_SOAK=1 go test -count=1 -v -timeout=60m ./suites/tool >"$scratch/tests" 2>&1; then
	grep -E '^ *(--- |ok|[a-z_]+_test\.go:)' "$scratch/tests"
else
	failed+=("the tests of the tool failed")
	cat "$scratch/tests"
fi
step_done

step "the twins of the application suite, 20 times each"
if LASTACK_SOAK=1 go test -count=1 -v -timeout=360m ./suites/application >"$scratch/twins" 2>&1; then
	grep -E '^ *(--- |ok)' "$scratch/twins"
else
	failed+=("the twins failed")
	cat "$scratch/twins"
fi
step_done

((${#failed[@]} == 0)) || die "$(printf '%s; ' "${failed[@]}")"
