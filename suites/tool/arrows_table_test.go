package tool_test

// A room may import what its row names, and what those may import in turn. What is reached only in turn leaves out netenv and
// internal packages: they want an arrow of their own. A star stands for one element of the path; a row that names its room
// exactly counts before one with a star. A package without a row is an error, so that a new room gets its arrows on purpose.
var arrows = []row{
	{room: "cmd/lastack", to: []string{"scenarios", "harness/file", "harness/check", "harness/report", "harness/matrix", "harness/analyze", "harness", "internal/nearest", "internal/shell"}},
	{room: "suites/specs", to: []string{"scenarios", "harness"}},
	{room: "suites/*", to: []string{"suites/specs", "harness/file", "harness/check", "harness/matrix", "harness/analyze"}},
	{room: "suites/kernel", to: []string{"suites/specs", "suites/kernel/docs", "harness/matrix"}},
	{room: "suites/kernel/docs", to: []string{"scenarios", "harness"}},
	{room: "scenarios", to: []string{"scenarios/*"}},
	{room: "scenarios/stories", to: []string{"harness/file", "harness", "harness/record", "harness/expect"}},
	{room: "scenarios/*", to: []string{"harness", "harness/record", "harness/expect"}},
	{room: "harness/file", to: []string{"harness", "harness/record", "harness/expect", "internal/nearest"}},
	{room: "harness/check", to: []string{"harness", "harness/internal/evidence", "internal/nearest", "internal/shell", "internal/wholefile"}},
	{room: "harness/matrix", to: []string{"harness", "internal/shell"}},
	{room: "harness/analyze", to: []string{"harness/file", "harness/record", "inject/capture", "internal/shell"}},
	{room: "harness/report", to: []string{"harness/record", "internal/wholefile"}},
	{room: "harness", to: []string{
		"inject", "inject/capture", "netenv", "harness/record",
		"harness/internal/peer", "harness/internal/probe", "harness/internal/builtin", "harness/internal/evidence",
		"internal/nearest", "internal/shell",
	}},
	{room: "harness/expect", to: []string{"harness/record"}},
	{room: "harness/record", to: []string{"inject/flow"}},
	{room: "harness/internal/evidence", to: []string{"harness/record", "inject/capture", "inject/tcp", "internal/wholefile"}},
	{room: "harness/internal/probe", to: []string{"inject/tcp"}},
	{room: "harness/internal/peer"},    // a leaf: it becomes a process of its own inside a host
	{room: "harness/internal/builtin"}, // likewise
	{room: "inject", to: []string{"inject/flow"}},
	{room: "inject/flow", to: []string{"inject/tcp"}},
	{room: "inject/capture", to: []string{"inject/tcp"}},
	{room: "inject/tcp", to: []string{"inject/tcp/internal/codec"}},
	{room: "inject/tcp/internal/codec"},
	{room: "internal/nearest"},   // which word was meant; it knows no room, nor do the next two
	{room: "internal/shell"},     // a command as a shell reads it
	{room: "internal/wholefile"}, // files that get their name only once they are whole
	{room: "netenv", to: []string{"netenv/keeper", "netenv/keeper/hostinit"}},
	{room: "netenv/keeper", to: []string{"netenv/keeper/hostinit"}}, // its init decides whether this process is a keeper, before anything else begins
	{room: "netenv/keeper/hostinit"},                                // a leaf: it is begun twice a lab, before even net is

	// Records and captures to test with, and how to ask for namespaces. Only tests may import it, and any may.
	{room: "harness/internal/recordtest", to: []string{"harness/record"}, testSupport: true},
	{room: "internal/capturetest", to: []string{"inject/tcp"}, testSupport: true},
	{room: "internal/namespacetest", testSupport: true},
}

// The packages of others that not every room may know, and who may. A path stands for what lies below it too.
var reserved = []reservation{
	{what: "github.com/google/gopacket", rooms: []string{"inject/tcp", "inject/tcp/internal/codec", "inject/capture"}},
	{what: "github.com/onsi/ginkgo", rooms: []string{"suites/*"}},
	{what: "golang.org/x/net/ipv4", rooms: []string{"inject"}},
	{what: "testing", rooms: []string{"harness/internal/recordtest"}, anyTest: true},
}

type row struct {
	room        string
	to          []string
	testSupport bool
}

type reservation struct {
	what    string
	rooms   []string
	anyTest bool // the tests of every room may import it too
}
