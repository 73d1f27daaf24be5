#!/usr/bin/env bash
# Runs every fuzz target, one after another, for FUZZTIME each (10m). What one finds stays in its package's testdata.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
trap failed_step ERR

only=${1:-.}
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		[[ "$package.$target" =~ $only ]] || continue
		step "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10m}" "$package" | tail -n 3
	done
done
step_done
