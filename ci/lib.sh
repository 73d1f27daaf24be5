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

# die MESSAGE ends the script. failed_step is for the trap of ERR: whatever else fails ends the script too, and it names the step.
die() {
	printf '%s: %s: %s\n' "${0##*/}" "$lib_step" "$*" >&2
	exit 1
}

failed_step() {
	printf '%s: failed at: %s\n' "${0##*/}" "$lib_step" >&2
}

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
# skipped, because what was skipped was not tested and must be seen; of one that fails, everything.
gotest() {
	go test -v -shuffle=on -timeout=5m "$@" | awk '
		function forget() { held = 0; split("", line) }
		function everything(   i) {
			for (i = 0; i < held; i++) print line[i]
			forget()
		}
		function skips(   i, why) {
			for (i = 0; i < held; i++) {
				if (line[i] !~ /^ *--- SKIP: /) continue
				why = i > 0 && line[i-1] ~ /_test\.go:[0-9]+: / ? line[i-1] : ""
				sub(/^ +/, "  ", why)
				sub(/^ +/, "", line[i])
				print line[i] why
			}
			forget()
		}
		/^(ok  |\?   )\t/ { skips(); print; fflush(); next }
		/^FAIL\t/         { everything(); print; fflush(); next }
		                  { line[held++] = $0 }
		END               { everything() }
	'
}
