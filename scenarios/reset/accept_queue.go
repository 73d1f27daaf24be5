package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

const overflowKey = "net.ipv4.tcp_abort_on_overflow"

const overflowDoc = `
listen(2) has room for three connections that nobody has accepted. Two fill it but
for one place; then two handshakes run side by side, and the second of their last
ACKs finds the queue full. (A SYN that finds it full is dropped: that client tries
again and at last sees ETIMEDOUT, not ECONNREFUSED.)
`

// AcceptQueueFull lets the last ACK of a handshake find no room, with the stock
// setting: the server acts as if it had not come.
var AcceptQueueFull = harness.Scenario{
	Name:    "reset/accept-queue-full{tcp_abort_on_overflow=0}",
	Summary: "The accept queue is full: the handshake's last ACK is ignored, and the client believes that it is connected.",
	Doc: overflowDoc + `
The server ignores the ACK and, a second later, sends its SYN-ACK again. The client
is in ESTABLISHED all the while and may write; when the program has made room the
next ACK opens the connection.

  client                                              server
  connect() = 0 ESTABLISHED ── ACK ──────────────────► SYN_RECV (queue full)
                                               accept(), accept(), accept()
                       ◄───────────────── SYN-ACK ── 1 s later
                       ── ACK ───────────────────────► ESTABLISHED, accept()
`,
	Refs: []string{"listen(2)", "tcp_check_req", "tcp_v4_syn_recv_sock", "reqsk_timer_handler"},
	Answers: []harness.Answer{{
		Statement: 28, Holds: harness.NotOnLinux,
		Says: "A SYN that finds the accept queue full is dropped, and a last ACK is ignored: the client is in ESTABLISHED, or repeats its SYN. With tcp_abort_on_overflow=1 the last ACK is answered with RST, after connect() has returned 0: ECONNRESET, and never ECONNREFUSED.",
	}},
	Play: func(s *harness.Stage) { overflow(s, "0") },
	Claims: []harness.Claim{
		{
			Says: "connect() returns 0, and the client is in ESTABLISHED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "client", "connect")).To(Equal([]string{"0", "0", "0", "0"}))
				g.Expect(r).To(OnlyStates("4:client", tcp.SynSent, tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { overflow(s, "1") }},
		},
		{
			Says: "the server ignores the ACK, counts an overflow, and stays in SYN_RECV",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.ListenOverflows", 1))
				g.Expect(r).To(HaveDelta("server", "TcpExt.ListenDrops", 1))
				ack := Find(g, r, "4:client.ACK(server.SYN-ACK)")
				again := Find(g, r, "4:server.SYN-ACK#2")
				g.Expect(again.T).To(BeNumerically(">", ack.T))
				state, known := r.StateAt(4, "server", again.T)
				g.Expect(known).To(BeTrue())
				g.Expect(state.State).To(Equal(tcp.SynRecv))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { overflow(s, "1") }},
		},
		{
			Says: "when there is room again the repeated SYN-ACK opens the connection, and it is accepted",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("4:client.ACK(server.SYN-ACK)", "4:server.SYN-ACK#2", "4:client.ACK(server.SYN-ACK)"))
				g.Expect(outcomes(r, "server", "accept")).To(HaveLen(4))
				g.Expect(r).To(OnlyStates("4:server", tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { overflow(s, "1") }},
		},
	},
}

// AcceptQueueAbort is the same overflow where the server says so.
var AcceptQueueAbort = harness.Scenario{
	Name:    "reset/accept-queue-full{tcp_abort_on_overflow=1}",
	Summary: "The accept queue is full and the server aborts: RST to a client whose connect() had succeeded.",
	Doc: overflowDoc + `
With tcp_abort_on_overflow the ACK is answered with RST. connect() was awakened by
the SYN-ACK before that, and here it has returned 0: the program sees the RST at its
next call. Where the RST overtakes the program's awakening, connect() itself returns
ECONNRESET (inet_stream_connect).

  client                                              server
  connect() = 0 ESTABLISHED ── ACK ──────────────────► SYN_RECV (queue full)
  read() = ECONNRESET  ◄─────────────────────── RST ── CLOSED
`,
	Refs: []string{"listen(2)", "tcp_check_req", "tcp_v4_send_reset"},
	Play: func(s *harness.Stage) { overflow(s, "1") },
	Claims: []harness.Claim{
		{
			Says: "connect() returns 0, and the first read() fails with ECONNRESET, not ECONNREFUSED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "client", "connect")).To(Equal([]string{"0", "0", "0", "0"}))
				g.Expect(outcomes(r, "client", "read")).To(Equal([]string{"ECONNRESET"}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { overflow(s, "0") }},
		},
		{
			Says: "the RST answers the handshake's last ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("4:client.ACK(server.SYN-ACK)", "4:server.RST"))
				g.Expect(Find(g, r, "4:server.RST").Seq).To(BeEquivalentTo(1))
				g.Expect(r).To(HaveCount("4:server.SYN-ACK", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { overflow(s, "0") }},
		},
		{
			Says: "both ends of that connection are gone, and the others are not touched",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("4:client", tcp.SynSent, tcp.Established, tcp.Closed))
				g.Expect(r).To(HaveStates("4:server", tcp.SynRecv, tcp.Closed))
				for _, other := range []string{"1:server", "2:server", "3:server"} {
					g.Expect(r).To(OnlyStates(other, tcp.SynRecv, tcp.Established))
				}
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { overflow(s, "0") }},
		},
	},
}

// overflow lets the last ACK of a fourth connection find a queue that holds
// three.
func overflow(s *harness.Stage, abort string) {
	s.Server.Sysctl(overflowKey, abort)
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Listen(8080, 2)
	client.Connect(s.Server, 8080)
	client.Connect(s.Server, 8080)
	s.Await(s.Wire.Delivered("2:client.ACK(server.SYN-ACK)"))
	s.Wire.On("3:client.ACK(server.SYN-ACK)").Hold(s.Wire.Seen("4:client.ACK(server.SYN-ACK)"))
	s.Wire.On("4:client.ACK(server.SYN-ACK)").Hold(client.Returned("connect#4"))
	client.Connect(s.Server, 8080)
	client.Connect(s.Server, 8080)
	s.Await(s.Wire.Delivered("4:client.ACK(server.SYN-ACK)"))
	client.Observe()
	for range 3 {
		server.Accept()
	}
	if abort == "1" {
		client.Read(1)
		return
	}
	server.Accept()
}
