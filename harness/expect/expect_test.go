package expect_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/internal/recordtest"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

var story = []string{
	"client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)",
	"client.FIN", "server.ACK(client.FIN)", "server.FIN", "client.ACK(server.FIN)#1", "server.FIN#2", "client.ACK(server.FIN)#2",
}

func TestMatchers(t *testing.T) {
	lost, full := recordtest.LastACKLost(), recordtest.Full()
	for name, c := range map[string]struct {
		run     *record.Run
		matcher types.GomegaMatcher
		want    bool
	}{
		"in order":                    {lost, expect.Segments("server.FIN", "server.FIN#2"), true},
		"a copy for each name":        {lost, expect.Segments("server.FIN", "server.FIN"), true},
		"no copy twice":               {lost, expect.Segments("server.FIN", "server.FIN", "server.FIN"), false},
		"wrong order":                 {lost, expect.Segments("server.FIN#2", "server.FIN#1"), false},
		"does not occur":              {lost, expect.Segments("server.RST"), false},
		"second name of a segment":    {lost, expect.Segments("server.ACK(client.SYN)"), true},
		"other connection":            {full, expect.Segments("2:attacker.SYN", "2:server.SYN-ACK"), true},
		"connection is 1 unless said": {full, expect.Segments("attacker.SYN"), false},
		"forged":                      {full, expect.Segments("forged.RST(client)", "forged.RST(server)"), true},
		"dropped ones arrived":        {lost, expect.Segments("client.ACK(server.FIN)#1"), true},
		"whole story":                 {lost, expect.OnlySegments(story...), true},
		"story cut at the end":        {lost, expect.OnlySegments(story[:8]...), false},
		"story cut at the begin":      {lost, expect.OnlySegments(story[1:]...), false},
		"story too long":              {lost, expect.OnlySegments(append(story, "client.RST")...), false},
		"empty story":                 {&record.Run{Segments: []record.Segment{{Other: true}}}, expect.OnlySegments(), true},
		"not an empty story":          {lost, expect.OnlySegments(), false},
		"dropped":                     {lost, expect.Dropped("client.ACK(server.FIN)"), true},
		"dropped, the wrong copy":     {lost, expect.Dropped("client.ACK(server.FIN)#2"), false},
		"delivered":                   {lost, expect.Delivered("server.FIN", "server.FIN#2", "client.ACK(server.FIN)#2"), true},
		"dropped was not delivered":   {lost, expect.Delivered("client.ACK(server.FIN)#1"), false},
		"copies are delivered":        {full, expect.Delivered("server.ACK(client.DATA@1)", "server.ACK(client.DATA@1)"), true},
		"held leaves later":           {full, expect.Delivered("forged.RST(client)", "client.FIN"), true},
		"held came before":            {full, expect.Segments("client.FIN", "forged.RST(client)"), true},
		"still held":                  {full, expect.Delivered("server.FIN"), false},
		"count":                       {lost, expect.HaveCount("server.FIN", 2), true},
		"wrong count":                 {lost, expect.HaveCount("server.FIN", 1), false},
		"count of none":               {lost, expect.HaveCount("server.RST", 0), true},
		"count by matcher":            {lost, expect.HaveCount("server.FIN", gomega.BeNumerically(">=", 2)), true},
		"states":                      {lost, expect.HaveStates("client", tcp.FinWait1, tcp.TimeWait), true},
		"states in the wrong order":   {lost, expect.HaveStates("client", tcp.TimeWait, tcp.FinWait1), false},
		"only states":                 {lost, expect.OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait), true},
		"not only states":             {lost, expect.OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.FinWait2), false},
		"not from the begin":          {lost, expect.OnlyStates("client", tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait), false},
		"not to the end":              {lost, expect.OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait, tcp.Closed), false},
		"states of connection 2":      {full, expect.HaveStates("2:attacker", tcp.SynSent), true},
		"states of connection 1":      {full, expect.HaveStates("attacker", tcp.SynSent), false},
		"timer":                       {lost, expect.HaveTimer("client", tcp.TimeWait, "timewait"), true},
		"other timer":                 {lost, expect.HaveTimer("client", tcp.TimeWait, "retransmit"), false},
		"no timer":                    {lost, expect.HaveTimer("client", tcp.Established, ""), true},
		"delta":                       {lost, expect.HaveDelta("server", "Tcp.RetransSegs", 1), true},
		"delta by matcher":            {lost, expect.HaveDelta("server", "Tcp.RetransSegs", gomega.BeNumerically(">", 1)), false},
		"delta by composed matcher":   {lost, expect.HaveDelta("server", "Tcp.RetransSegs", gomega.And(gomega.BeNumerically(">", 0), gomega.BeNumerically("<", 2))), true},
		"other host's delta":          {lost, expect.HaveDelta("client", "Tcp.RetransSegs", 1), false},
		"did not move":                {lost, expect.HaveDelta("client", "Tcp.RetransSegs", 0), true},
		"returned":                    {lost, expect.Returned("server", "read", 0), true},
		"returned something else":     {lost, expect.Returned("server", "read", 1), false},
		"other host returned":         {lost, expect.Returned("client", "read", 0), false},
		"failed":                      {full, expect.Failed("client", "write", "EPIPE"), true},
		"failed otherwise":            {full, expect.Failed("client", "write", "ECONNRESET"), false},
		"-1 of a failure":             {full, expect.Returned("client", "write", -1), false},
		"-1 of a call under way":      {full, expect.Returned("server", "read", -1), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.matcher.Match(c.run)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("matches: %t\n%s\n%s", got, c.matcher.FailureMessage(c.run), c.run.Ladder())
			}
			// Both texts must come without a panic, whatever was found.
			if got && c.matcher.NegatedFailureMessage(c.run) == "" || !got && c.matcher.FailureMessage(c.run) == "" {
				t.Error("no text")
			}
			// A matcher may be used again.
			if again, err := c.matcher.Match(c.run); again != got || err != nil {
				t.Errorf("the second time: %t, %v", again, err)
			}
		})
	}
}

// What is written wrongly is an error under To and under NotTo, not a result.
func TestErrors(t *testing.T) {
	r := recordtest.LastACKLost()
	for name, c := range map[string]struct {
		actual  any
		matcher types.GomegaMatcher
		want    string
	}{
		"name does not parse":  {r, expect.Segments("server.FINN"), "column 8"},
		"unknown host":         {r, expect.Segments("sever.FIN"), `no host "sever"`},
		"unknown host covered": {r, expect.HaveCount("client.ACK(sever.FIN)", 0), `no host "sever"`},
		"no names":             {r, expect.Segments(), "at least one name"},
		"from the end":         {r, expect.Segments("client.DATA@1[-1]"), "from the end"},
		"second name wrong":    {r, expect.OnlySegments("client.RST", "client"), "want a dot"},
		"not a run":            {7, expect.Segments("client.FIN"), "got int"},
		"nil run":              {(*record.Run)(nil), expect.Segments("client.FIN"), "nil"},
		"states of segments":   {r.Segments, expect.HaveStates("client", tcp.Closed), "want a *record.Run"},
		"states of nil":        {(*record.Run)(nil), expect.HaveStates("client", tcp.Closed), "want a *record.Run"},
		"no states":            {r, expect.HaveStates("client"), "at least one state"},
		"host of states":       {r, expect.HaveStates("clint", tcp.Closed), `no host "clint"`},
		"connection 0":         {r, expect.HaveStates("0:client", tcp.Closed), "connection's number"},
		"timer":                {r, expect.HaveTimer("client", tcp.TimeWait, "timewat"), "no timer"},
		"timer's host":         {r, expect.HaveTimer("", tcp.TimeWait, "timewait"), "no host"},
		"counter":              {r, expect.HaveDelta("client", "RetransSegs", 0), "group"},
		"counter's host":       {r, expect.HaveDelta("clint", "Tcp.RetransSegs", 0), "no host"},
		"counter by a word":    {r, expect.HaveDelta("client", "Tcp.RetransSegs", "one"), "Expected a number"},
		"call's host":          {r, expect.Failed("clint", "read", "EIO"), "no host"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.matcher.Match(c.actual)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	var syntax *flow.SyntaxError
	if _, err := expect.Segments("x").Match(r); !errors.As(err, &syntax) {
		t.Errorf("error %T, want a *flow.SyntaxError within", err)
	}
}

func TestFailureTexts(t *testing.T) {
	lost := recordtest.LastACKLost()
	tail := *lost
	tail.Segments = lost.Segments[5:8]
	for name, c := range map[string]struct {
		run     *record.Run
		matcher types.GomegaMatcher
		negated bool
		want    string
	}{
		"segments": {&tail, expect.Segments("server.FIN", "server.RST", "client.FIN"), false, `Expected these segments to come to the wire, in this order
    ok          server.FIN
    MISSING ->  server.RST
    not reached client.FIN
there was
    ok     1.750 ms  server.FIN F.
           1.900 ms  client.ACK(server.FIN) ., dropped
         206.750 ms  server.FIN#2 F.`},
		"not segments": {&tail, expect.Segments("server.FIN#2"), true, `Expected not these segments to come to the wire, in this order
    ok          server.FIN#2
there was
           1.750 ms  server.FIN F.
           1.900 ms  client.ACK(server.FIN) ., dropped
    ok   206.750 ms  server.FIN#2 F.`},
		"nothing": {&tail, expect.Delivered("client.FIN"), false, `Expected these segments to be delivered, in this order
    MISSING ->  client.FIN
there was
           1.790 ms  server.FIN F.
         206.790 ms  server.FIN#2 F.`},
		"nothing at all": {&record.Run{}, expect.Dropped("client.FIN"), false, `Expected these segments to be dropped, in this order
    MISSING ->  client.FIN
there was
    nothing`},
		"only": {&tail, expect.OnlySegments("server.FIN"), false, `Expected exactly these segments to come to the wire
    ok          server.FIN
    and nothing more
there was
    ok     1.750 ms  server.FIN F.
    ->     1.900 ms  client.ACK(server.FIN) ., dropped
         206.750 ms  server.FIN#2 F.`},
		"count": {&tail, expect.HaveCount("server.FIN", 1), false, `Expected the number of segments that came to the wire as
    server.FIN
to be 1, not 2
there was
        1.750 ms  server.FIN F.
        1.900 ms  client.ACK(server.FIN) ., dropped
      206.750 ms  server.FIN#2 F.`},
		"count by matcher": {&record.Run{}, expect.HaveCount("server.FIN", gomega.BeNumerically(">", 1)), false, `Expected the number of segments that came to the wire as
    server.FIN
Expected
    <int>: 0
to be >
    <int>: 1
there was
    nothing`},
		"states": {lost, expect.HaveStates("server", tcp.CloseWait, tcp.Closing, tcp.Closed), false, `Expected server to be seen in these states, in this order
    ok          CLOSE_WAIT
    MISSING ->  CLOSING
    not reached CLOSED
there was
        0.380 ms  SYN_RECV
        0.780 ms  ESTABLISHED
        1.330 ms  CLOSE_WAIT
        1.750 ms  LAST_ACK
      206.980 ms  CLOSED`},
		"delta": {lost, expect.HaveDelta("server", "TcpExt.TCPTimeouts", 1), false, `Expected
    the move of TcpExt.TCPTimeouts of server
to be 1, not 0
there was
    +1 TcpExt.TCPLossProbes
    +1 Tcp.RetransSegs`},
		"call": {lost, expect.Failed("client", "write", "EPIPE"), false, `Expected
    a write of client to fail with EPIPE
there was
        0.200 ms  connect(3, 192.0.2.2:8080) → 0
        1.200 ms  close(3) → 0`},
		"timer": {&tail, expect.HaveTimer("client", tcp.SynSent, ""), true, `Expected not
    client to be seen in SYN_SENT with the timer ""
there was
        0.300 ms  SYN_SENT ""
        0.580 ms  ESTABLISHED ""
        0.700 ms  ESTABLISHED ""
        1.250 ms  FIN_WAIT_1 "retransmit"
        1.530 ms  FIN_WAIT_2 ""
        1.830 ms  TIME_WAIT "timewait"
        1.900 ms  TIME_WAIT "timewait"
      206.830 ms  TIME_WAIT "timewait"
      206.900 ms  TIME_WAIT "timewait"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.matcher.Match(c.run); err != nil {
				t.Fatal(err)
			}
			got := c.matcher.FailureMessage(c.run)
			if c.negated {
				got = c.matcher.NegatedFailureMessage(c.run)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindAndGap(t *testing.T) {
	r := recordtest.LastACKLost()
	var failures []string
	g := gomega.NewGomega(func(message string, _ ...int) { failures = append(failures, message) })
	first, second := expect.Find(g, r, "server.FIN"), expect.Find(g, r, "server.FIN#2")
	if got := expect.Gap(first, second); got != 205*time.Millisecond {
		t.Errorf("gap is %v", got)
	}
	if got := expect.Gap(second, first); got != -205*time.Millisecond {
		t.Errorf("gap backwards is %v", got)
	}
	if got := expect.All(g, r, "server.FIN"); len(got) != 2 || got[0] != &r.Segments[5] {
		t.Errorf("all are %v", got)
	}
	if len(failures) > 0 {
		t.Errorf("failed: %s", failures)
	}
	for _, name := range []string{"server.RST", "not a name"} {
		failures = nil
		if got := expect.Find(g, r, name); got == nil || len(failures) != 1 {
			t.Errorf("Find of %s: %v, failures %q", name, got, failures)
		}
	}
}
