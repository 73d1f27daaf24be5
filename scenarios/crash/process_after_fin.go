package crash

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ProcessAfterFIN are a process that is killed in CLOSE_WAIT, with everything
// read and with a byte unread.
var ProcessAfterFIN = []harness.Scenario{
	{
		Name:    "crash/process-after-fin{unread=0}",
		Summary: "The passive closer's process is killed after it read everything: its kernel sends FIN.",
		Doc: `
A process that dies takes its descriptors with it, and the kernel closes each as
close() would. The other end cannot tell a killed process from one that closed:
the FIN is the same, and the close is in order.

  client                                              server
  close()   FIN_WAIT_1 ── data, FIN ─────────────────► CLOSE_WAIT  read() = 1
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── SIGKILL  LAST_ACK
                       ── ACK ───────────────────────► CLOSED
`,
		Refs: []string{"RFC 9293 §3.6", "do_exit", "tcp_close"},
		Answers: []harness.Answer{{
			Statement: 41, Holds: harness.Holds,
			Says: "A killed process sends what close() sends, FIN or RST, for its kernel lives on; a host that loses its power sends nothing.",
		}},
		Play: readAfterFIN,
		Claims: []harness.Claim{
			{
				Says: "the kernel sends FIN for the killed process, which called no close()",
				Judge: func(g Gomega, r *record.Run) {
					killed := Call(g, r, "server", "kill", 1)
					g.Expect(Find(g, r, "server.FIN").T).To(BeNumerically(">=", killed.T))
					g.Expect(r).NotTo(Segments("server.RST"))
					g.Expect(r).NotTo(Returned("server", "close", 0))
				},
				Refute: harness.Variant{Play: unreadAfterFIN},
			},
			{
				Says: "the other end closes in order: FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
					g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
				},
				Refute: harness.Variant{Play: unreadAfterFIN},
			},
			{
				Says: "the dead process's socket goes through LAST_ACK as an orphan and is gone when its FIN is acknowledged",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.LastAck, tcp.Closed))
					g.Expect(FirstIn(g, r, "server", tcp.LastAck).Orphan).To(BeTrue())
				},
				Refute: harness.Variant{Play: unreadAfterFIN},
			},
			{
				Says: "no counter says that anything was aborted",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnClose", 0))
					g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
					g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 0))
				},
				Refute: harness.Variant{Play: unreadAfterFIN},
			},
		},
	},
	{
		Name:    "crash/process-after-fin{unread=1}",
		Summary: "The passive closer's process is killed with a byte unread: its kernel sends RST.",
		Doc: `
Bytes that lie in the receive queue when the last descriptor goes were
acknowledged, and will never be read. The kernel says so with RST instead of FIN
(RFC 2525 §2.17). The FIN that the other end had sent does not matter.

The other end is in FIN_WAIT_2: the RST ends it without TIME_WAIT.

  client                                              server
  close()   FIN_WAIT_1 ── data, FIN ─────────────────► CLOSE_WAIT  nothing read
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            CLOSED     ◄────────────────────────  RST ── SIGKILL  CLOSED
`,
		Refs: []string{"RFC 9293 §3.6", "RFC 2525 §2.17", "RFC 1122 §4.2.2.13", "do_exit", "tcp_close"},
		Answers: []harness.Answer{
			{Statement: 41, Holds: harness.Holds, Says: "A killed process with unread bytes sends RST; a host that loses its power sends nothing."},
			{Statement: 24, Holds: harness.Holds, Says: "FIN_WAIT_2 and CLOSE_WAIT both end at the RST, without TIME_WAIT."},
		},
		Play: unreadAfterFIN,
		Claims: []harness.Claim{
			{
				Says: "the kernel sends RST and no FIN for the killed process",
				Judge: func(g Gomega, r *record.Run) {
					killed := Call(g, r, "server", "kill", 1)
					g.Expect(Find(g, r, "server.RST").T).To(BeNumerically(">=", killed.T))
					g.Expect(r).NotTo(Segments("server.FIN"))
				},
				Refute: harness.Variant{Play: readAfterFIN},
			},
			{
				Says: "TCPAbortOnClose counts it: data was unread at the close",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnClose", 1))
				},
				Refute: harness.Variant{Play: readAfterFIN},
			},
			{
				Says: "the other end's FIN_WAIT_2 is over at once, and there is no TIME_WAIT",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.RST")).State).To(Equal(tcp.Closed))
					g.Expect(r).NotTo(HaveStates("client", tcp.TimeWait))
				},
				Refute: harness.Variant{Play: readAfterFIN},
			},
			{
				Says: "the dead process's socket is gone from CLOSE_WAIT: no LAST_ACK",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.Closed))
				},
				Refute: harness.Variant{Play: readAfterFIN},
			},
		},
	},
}

func unreadAfterFIN(s *harness.Stage) { killedAfterFIN(s, false) }

func readAfterFIN(s *harness.Stage) { killedAfterFIN(s, true) }

// killedAfterFIN kills the server's process in CLOSE_WAIT when it has read the
// byte that came, or has not.
func killedAfterFIN(s *harness.Stage, read bool) {
	client, server := s.Established()
	client.Write("x")
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	if read {
		server.Read(1)
	}
	server.Kill()
	s.Await(server.Gone())
}
