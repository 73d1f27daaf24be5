# Shared by the scripts of this folder, which source it. bash only.
# shellcheck shell=bash

# A clone that belongs to another user makes git refuse to answer, and go build stops at that. Nothing here needs the stamp.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"

lib_step='starting'
lib_step_began=0

# step NAME says what comes next, and how long the step before it took.
step() {
	step_done
	lib_step=$1
	lib_step_began=$SECONDS
	printf '== %s\n' "$lib_step"
}

step_done() {
	local took=$((SECONDS - lib_step_began))
	if ((took >= 5)); then
		say "$took s"
	fi
}

say() {
	printf '   %s\n' "$*"
}

# die MESSAGE ends the script.
die() {
	printf '%s: %s: %s\n' "${0##*/}" "$lib_step" "$*" >&2
	exit 1
}

# Whatever else fails ends the script too, and the step is named; by the script itself only, not by its subshells again.
set -E
trap '((BASH_SUBSHELL)) || printf "%s: failed at: %s\n" "${0##*/}" "$lib_step" >&2' ERR

# copy_tree DIR copies this tree, but for git's own, into DIR.
copy_tree() {
	tar --exclude=./.git -cf - . | tar -C "$1" -xf -
}

# race_or_why_not succeeds where go can build with the race detector, for which it needs a C compiler; else it prints the reason.
race_or_why_not() {
	local errors
	if ! errors=$(CGO_ENABLED=1 go build -race runtime/cgo 2>&1); then
		printf '%s' "$errors" | grep -v '^#' | head -n 1
		return 1
	fi
}

# gotest ARGUMENT... is go test, shuffled. Of a package that passes it prints go test's closing line and the tests that were
# skipped, because what was skipped was not tested and must be seen; of one that fails, everything but the passes. The timeout is
# for a test that hangs: the longest package, suites/application, takes four minutes beside the others. Tests wait for timers of
# the kernel half of their time, so there are twice as many packages at once as processors.
gotest() {
	go test -v -shuffle=on -timeout=20m -p "$((2 * $(getconf _NPROCESSORS_ONLN)))" "$@" | awk '
		function forget() { held = 0; split("", line) }
		function failure(   i) {
			for (i = 0; i < held; i++) if (line[i] !~ /^(=== (RUN|PAUSE|CONT) | *--- PASS: )/) print line[i]
			forget()
		}
		function skips(   i, field, test, why) {
			for (i = 0; i < held; i++) {
				split(line[i], field)
				if (line[i] ~ /^=== (RUN|NAME|CONT) /) test = field[3]
				if (line[i] ~ /^ +[^ ]+\.go:[0-9]+: /) { why[test] = line[i]; sub(/^ +/, "  ", why[test]) }
				if (line[i] ~ /^ *--- SKIP: /) print "--- SKIP: " field[3] why[field[3]]
			}
			forget()
		}
		/^(ok  |\?   )\t/ { skips(); print; fflush(); next }
		/^FAIL\t/         { failure(); print; fflush(); next }
		                  { line[held++] = $0 }
		END               { failure() }
	'
}
