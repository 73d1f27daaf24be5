// The versions of the tools that CI runs, in a module file of their own, so that importers of lastack do not inherit them.
//
//	go tool -modfile=ci/tools.mod staticcheck ./...
//	go tool -modfile=ci/tools.mod ginkgo -procs=2 ./suites/...
//
// To move one: go get -modfile=ci/tools.mod -tool PACKAGE@VERSION. Not go mod tidy: it would read this module's packages as
// those of the file. The ginkgo command and the library in go.mod must be of one version; ci/test.sh compares them.
module github.com/lastack/lastack/ci

go 1.26.0

tool (
	github.com/onsi/ginkgo/v2/ginkgo
	honnef.co/go/tools/cmd/staticcheck
)

require (
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	github.com/Masterminds/semver/v3 v3.4.0 // indirect
	github.com/go-task/slim-sprig/v3 v3.0.0 // indirect
	github.com/google/pprof v0.0.0-20260402051712-545e8a4df936 // indirect
	github.com/onsi/ginkgo/v2 v2.34.0 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)
