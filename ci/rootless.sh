#!/usr/bin/env bash
# All tests, or those of the packages named, as a user without privileges. A user runs them in place. Root becomes uid 65534 in
# a copy, because neither root's clone nor root's modules and build cache need be readable to others; the copy goes away.
# The refutations of suites/kernel and the full sweeps of suites/application are those of ci/test.sh; LASTACK_SHALLOW= plays
# them here too.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
export LASTACK_SHALLOW="${LASTACK_SHALLOW-1}"

if [ "$(id -u)" != 0 ]; then
	step "tests as uid $(id -u)"
	# Without namespaces the tests fail with the words of doctor, each for itself; this says it once, before them.
	if ! why=$(unshare --user --map-root-user --net true 2>&1); then
		say "WARNING: this user cannot make namespaces ($why); see ci/setup.sh"
	fi
	gotest "${@:-./...}"
	exit
fi

step "a copy for uid 65534"
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch" && rm -rf "$scratch"' EXIT
mkdir "$scratch"/{src,home,tmp,mod,build}
copy_tree "$scratch/src"

# The modules come from root's cache, so that nothing is downloaded twice; those of nested modules too, because tests build them.
download() {
	GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)" GOMODCACHE=$scratch/mod go mod download "$@"
}
while read -r mod_file; do
	(cd "${mod_file%/*}" && download)
done < <(find "$scratch/src" -name go.mod)
(cd "$scratch/src" && download -modfile=ci/tools.mod)

# as_nobody COMMAND... runs it in the copy, with nothing of root's but PATH and the settings of go.
settings=(GOTOOLCHAIN=local GOMODCACHE="$scratch/mod" GOCACHE="$scratch/build" HOME="$scratch/home" TMPDIR="$scratch/tmp" USER=nobody LOGNAME=nobody)
for name in GOPROXY GOSUMDB GONOSUMDB GOPRIVATE; do
	settings+=("$name=$(go env "$name")")
done
as_nobody() {
	env --chdir="$scratch/src" -u GOPATH -u XDG_RUNTIME_DIR -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_DATA_HOME "${settings[@]}" \
		PATH="$goroot/bin:$PATH" setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
}
goroot=$(go env GOROOT)
if ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$goroot/bin/go"; then
	cp -a "$goroot" "$scratch/goroot"
	goroot=$scratch/goroot
fi
chown -R 65534:65534 "$scratch"
as_nobody test -r go.mod || die "it cannot reach $scratch: set TMPDIR to a directory that every user can enter"
step_done

as_nobody ci/rootless.sh "$@" || exit
