package crash

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ProcessStopped is a process that hangs: its kernel goes on for it until the
// receive buffer is full.
var ProcessStopped = harness.Scenario{
	Name:    "crash/process-stopped",
	Summary: "A process is stopped while the other end sends: its kernel acknowledges, closes the window, answers probes, and all goes on.",
	Doc: `
SIGSTOP, a debugger, a long garbage collection, a full disk: the process does not
run, but its kernel does. It acknowledges what comes until the receive buffer is
full, and offers a window of 0 then. The other end asks with window probes, which
are answered, so it never gives up.

When the process goes on and reads, the window opens and the rest follows. No byte
is lost, and nobody is told of anything.

  client                                              server
  write(…)    ── data ───────────────────────────────► (stopped)
              ◄─────────────────────  ACK, window 0 ──
              ── probe ──────────────────────────────►
              ◄─────────────────────  ACK, window 0 ──
                                                       (goes on) read()
              ◄──────────────────────  ACK, window n ──
              ── data ───────────────────────────────►
`,
	Refs: []string{"RFC 9293 §3.8.6.1", "RFC 1122 §4.2.2.17", "tcp_probe_timer", "tcp_select_window"},
	Play: stopped,
	Claims: []harness.Claim{
		{
			Says: "the kernel of the stopped process acknowledges data, until its window is 0",
			Judge: func(g Gomega, r *record.Run) {
				again := Call(g, r, "server", "continue", 1)
				zero := zeroWindow(g, r)
				g.Expect(zero.T).To(And(BeNumerically(">", Call(g, r, "server", "stop", 1).End), BeNumerically("<", again.T)))
				g.Expect(zero.Ack).To(BeNumerically(">", 1))
			},
			Refute: harness.Variant{Play: notStopped},
		},
		{
			Says: "the sender's timer is the persist timer then, and its probe is answered with window 0 again",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveTimer("client", tcp.Established, "persist"))
				probe := Find(g, r, "client.PROBE")
				for i := range r.Segments {
					if x := &r.Segments[i]; !x.Other && x.SentBy == "server" && x.T > probe.T {
						g.Expect(x.Window).To(BeZero(), "the answer to the probe")
						g.Expect(x.T).To(BeNumerically("<", Call(g, r, "server", "continue", 1).End))
						break
					}
				}
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPWinProbe", BeNumerically(">=", 1)))
			},
			Refute: harness.Variant{Play: notStopped},
		},
		{
			Says: "read() returns when the process goes on",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "bulk-read", 1).End).To(BeNumerically(">=", Call(g, r, "server", "continue", 1).T))
			},
			Refute: harness.Variant{Play: stoppedForGood},
		},
		{
			Says: "every byte arrives, and the close is in order",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[200000 bytes]"))
				g.Expect(Call(g, r, "server", "bulk-read", 1).Result).To(BeZero())
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).NotTo(Segments("server.RST"))
			},
			Refute: harness.Variant{Play: stoppedForGood},
		},
	},
}

// zeroWindow is the first ACK of the server with a window of 0.
func zeroWindow(g Gomega, r *record.Run) *record.Segment {
	for i := range r.Segments {
		if x := &r.Segments[i]; x.SentBy == "server" && !x.Other && x.Window == 0 && !x.Flags.Has(tcp.RST) {
			return x
		}
	}
	g.Expect(r).To(BeNil(), "the window was never 0")
	return &record.Segment{}
}

// hanging connects to a server with a small receive buffer.
func hanging(s *harness.Stage) (client, server *harness.Peer) {
	server, client = s.Server.Peer(), s.Client.Peer()
	server.Open()
	server.ReceiveBuffer(8192)
	server.Listen(8080, 8)
	client.Connect(s.Server, 8080)
	server.Accept()
	client.SendBuffer(4 * sendingBytes)
	return client, server
}

func stopped(s *harness.Stage) {
	client, server := hanging(s)
	reading := server.BeginReadAll()
	s.Server.Stop()
	client.WriteBulk(sendingBytes)
	s.Await(s.Wire.Delivered("client.PROBE"))
	s.Server.Continue()
	client.Close()
	reading.Wait()
}

// notStopped lets the process read all the time.
func notStopped(s *harness.Stage) {
	client, server := hanging(s)
	reading := server.BeginReadAll()
	client.WriteBulk(sendingBytes)
	client.Close()
	reading.Wait()
}

// stoppedForGood kills the process when it was stopped.
func stoppedForGood(s *harness.Stage) {
	client, server := hanging(s)
	server.BeginReadAll()
	s.Server.Stop()
	client.WriteBulk(sendingBytes)
	s.Await(s.Wire.Delivered("client.PROBE"))
	server.Kill()
	s.Await(client.Gone())
}
