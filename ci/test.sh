#!/usr/bin/env bash
# What CI runs, and what a change has to pass: the format, vet on every system, staticcheck, the arrows between packages, what
# is generated, and all tests, shuffled; with the race detector too where there is a C compiler. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

step "what this runs on"
say "$(go version), $(uname -sr), $(getconf _NPROCESSORS_ONLN) cores, uid $(id -u)"

step "gofmt"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || die "not formatted (gofmt -w mends it):"$'\n'"$unformatted"

step "go mod tidy"
go mod tidy -diff
(cd suites/tool/testdata/usermodule && go mod tidy -diff)

step "one version of ginkgo, library and command"
library=$(go list -m -f '{{.Version}}' github.com/onsi/ginkgo/v2)
command=$(go list -m -modfile=ci/tools.mod -f '{{.Version}}' github.com/onsi/ginkgo/v2)
[ "$library" = "$command" ] || die "go.mod has $library, ci/tools.mod has $command"

step "go vet"
go vet ./...

# Outside Linux everything compiles, and what needs no Linux works.
for os in darwin windows; do
	step "go build and vet for $os"
	CGO_ENABLED=0 GOOS=$os go build ./...
	CGO_ENABLED=0 GOOS=$os go vet ./...
done

step "staticcheck"
go tool -modfile=ci/tools.mod staticcheck ./...

step "arrows between packages"
go test -count=1 -run '^TestArrows' ./suites/tool

# Generated in a copy: a check leaves the tree as it was.
if grep -rq --include='*.go' '^//go:generate ' .; then
	step "generated files are up to date"
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	copy_tree "$scratch"
	(cd "$scratch" && go generate ./...)
	diff -r -u --exclude=.git . "$scratch" || die "stale (go generate ./... mends it)"
fi

# Said before the tests, so that the last lines are those of go test.
if race=$(race_or_why_not); then
	step "tests"
	gotest ./...
	step "tests with the race detector"
	# Everything is several times slower under it, so the bounds are stretched, and what the first pass played whole is played
	# in part (LASTACK_SHALLOW). suites/application runs no code that cmd/lastack does not; suites/tool runs commands, which
	# are built without the detector, but for a user's module.
	export CGO_ENABLED=1 LASTACK_SHALLOW=1 LASTACK_TIMESCALE="${LASTACK_TIMESCALE:-3}"
	mapfile -t packages < <(go list ./... | grep -vE '/suites/(application|tool)$')
	gotest -race "${packages[@]}"
	gotest -race -run '^TestUserModuleWithRaceDetector$' ./suites/tool
else
	step "tests; NOT with the race detector: $race"
	gotest ./...
fi
