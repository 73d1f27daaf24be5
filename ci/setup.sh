#!/usr/bin/env bash
# Prepares a machine that is CI's own, and only such a one (CI=true): tshark, with which some tests compare, and leave for
# unprivileged users to make namespaces. What cannot be had is said and is not fatal: the tests that miss it say so too.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

step "what the tests need of the machine"
if [ "${CI:-}" != true ]; then
	say "CI is not \"true\": this machine is left as it is"
	exit
fi

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive timeout 90 apt-get -y -qq "$@" </dev/null 2>&1
}

if ! command -v tshark >/dev/null && command -v apt-get >/dev/null; then
	# The machine's list of packages may be missing or old: only then it is fetched.
	if ! log=$(apt install --no-install-recommends tshark) && ! log=$(apt update && apt install --no-install-recommends tshark); then
		printf '%s\n' "$log" | tail -n 3
	fi
fi
if command -v tshark >/dev/null; then
	say "$(tshark --version 2>/dev/null | head -n 1)"
else
	say "no tshark: the tests that compare with it will be skipped"
fi

knob=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
if [ "$(cat "$knob" 2>/dev/null)" = 1 ]; then
	if as_root sysctl -q kernel.apparmor_restrict_unprivileged_userns=0; then
		say "AppArmor's restriction of user namespaces is off"
	else
		say "AppArmor restricts user namespaces, and this user may not change it: unprivileged tests will fail"
	fi
fi
