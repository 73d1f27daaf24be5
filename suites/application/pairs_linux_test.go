package application

import (
	"github.com/lastack/lastack/harness/check"
)

// pair is a mistake: two programs that differ in it alone, what they are played
// against, and what the sweep must say of the wrong one.
type pair struct {
	name string
	// twin is the file, with WHICH for wrong and mended.
	twin string
	// other are the words of the program at the other end.
	other     []string
	underTest string
	output    []string
	// symptom is what the wrong twin is convicted of, and only of that. It is looked
	// for among these points and faults; the mended twin is acquitted of everything.
	symptom        check.Symptom
	points, faults []string
	// at are globs of cells, of which one must be among those of the finding.
	at []string
}

// The programs at the other end.
var (
	httpServer = []string{"c/http-server"}
	lineServer = []string{"go/never-closes-mended"}
)

func talk(steps ...string) []string { return append([]string{"c/talk"}, steps...) }

// pairs are the mistakes, in the order in which the issue has them.
var pairs = []pair{
	{
		name: "reads until end of file without a length", twin: "c/until-eof-WHICH", other: httpServer, underTest: check.Client,
		symptom: check.SilentCorruption, points: []string{"server.DATA*"}, faults: []string{"cut", "fin-*"}, at: []string{"server.DATA@1[-1]/cut"},
	},
	{
		name: "ignores a short body", twin: "python/short-body-WHICH", other: httpServer, underTest: check.Client,
		symptom: check.SilentCorruption, points: []string{"server.DATA*"}, faults: []string{"cut"}, at: []string{"server.DATA@1[-1]/cut"},
	},
	{
		name: "dies by SIGPIPE", twin: "c/sigpipe-WHICH", other: talk("send:where is it"), underTest: check.Server,
		symptom: check.Signal, points: []string{"server.DATA@1[0]"}, faults: []string{"rst-*"}, at: []string{"server.DATA@1[0]/rst-before/server"},
	},
	{
		name: "never closes on end of file", twin: "go/never-closes-WHICH", other: talk("send:hello"), underTest: check.Server,
		symptom: check.Leak, points: []string{"client.DATA@1[0]"}, faults: []string{"fin-*", "rst-before/server"}, at: []string{"client.DATA@1[0]/fin-instead"},
	},
	{
		name: "closes both ways on half-close", twin: "go/half-close-WHICH", other: talk("send:life", "pause:400", "shut"), underTest: check.Both,
		symptom: check.FalseFailure, points: []string{"client.DATA@1[0]"}, faults: []string{"drop", "stop"}, at: []string{"client.DATA@1[0]/stop/server"},
	},
	{
		name: "repeats a POST", twin: "go/repeated-post-WHICH", other: httpServer, underTest: check.Client,
		symptom: check.RepeatedEffect, points: []string{"server.DATA@1[0]"}, faults: []string{"rst-*", "fin-*"}, at: []string{"server.DATA@1[0]/rst-instead/client", "server.DATA@1[0]/fin-instead"},
	},
	{
		name: "has no timeout", twin: "go/no-timeout-WHICH", other: httpServer, underTest: check.Client,
		symptom: check.Hang, points: []string{"server.DATA@1[0]"}, faults: []string{"silence", "drop"}, at: []string{"server.DATA@1[0]/silence/to-client"},
	},
	{
		name: "trusts a pooled connection", twin: "go/pooled-WHICH", other: lineServer, underTest: check.Client,
		symptom: check.FalseFailure, points: []string{"server.FIN"}, faults: []string{"drop", "hold-*", "dup*"}, at: []string{"server.FIN/drop", "server.FIN/hold-*"},
	},
	{
		name: "closes with unread data", twin: "go/unread-WHICH", other: talk("big:20000"), underTest: check.Server,
		symptom: check.FalseFailure, points: []string{"server.DATA@1[0]"}, faults: []string{"drop", "hold-*", "dup*"}, at: []string{"server.DATA@1[0]/drop"},
	},
	{
		name: "ends its accept loop on an error", twin: "go/accept-loop-WHICH", other: talk("send:hello"), underTest: check.Server,
		symptom: check.ServerDown, points: []string{"client.DATA@1[0]"}, faults: []string{"rst-*", "drop"}, at: []string{"client.DATA@1[0]/rst-instead/server"},
	},
	{
		name: "leaks a goroutine and a descriptor with each reset", twin: "go/leak-WHICH", other: talk("send:more", "expect:news", "send:last"), underTest: check.Server,
		symptom: check.Leak, points: []string{"server.DATA@1[0]"}, faults: []string{"rst-*", "drop"}, at: []string{"server.DATA@1[0]/rst-instead/server"},
	},
	{
		name: "lets one stalled peer block all", twin: "go/stalled-peer-WHICH", other: talk("send:put 10", "expect:go", "raw:30313233343536373839"), underTest: check.Server,
		symptom: check.ServerDown, points: []string{"client.DATA@2[0]"}, faults: []string{"silence", "drop"}, at: []string{"client.DATA@2[0]/silence/to-server"},
	},
	{
		name: "panics on a short read", twin: "go/short-read-WHICH", other: talk("raw:0000000568656c6c6f"), underTest: check.Server,
		symptom: check.Signal, points: []string{"client.DATA@1*"}, faults: []string{"cut", "fin-*", "drop"}, at: []string{"client.DATA@1[0]/fin-instead"},
	},
	{
		name: "writes a partial file under its final name", twin: "shell/partial-file-WHICH", other: httpServer, underTest: check.Client, output: []string{"out.txt"},
		symptom: check.SilentCorruption, points: []string{"server.DATA*"}, faults: []string{"cut", "drop"}, at: []string{"server.DATA@1[-1]/cut"},
	},
	{
		name: "takes every reset for success", twin: "go/reset-success-WHICH", other: lineServer, underTest: check.Client,
		symptom: check.SilentCorruption, points: []string{"server.DATA*"}, faults: []string{"rst-*", "drop"}, at: []string{"server.DATA@1[0]/rst-instead/client"},
	},
	{
		name: "reconnects without limit", twin: "go/reconnects-WHICH", other: lineServer, underTest: check.Client,
		symptom: check.Hang, points: []string{"client.DATA@1[0]"}, faults: []string{"kill", "drop"}, at: []string{"client.DATA@1[0]/kill"},
	},
}
