package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// SynSent closes a socket whose connect() is still under way.
var SynSent = harness.Scenario{
	Name:    "close/syn-sent",
	Summary: "close() while connect() is under way: nothing is sent, and the SYN-ACK is answered with RST.",
	Doc: `
In SYN_SENT there is nobody to say goodbye to: the kernel forgets the socket. The
SYN is on its way all the same. The server answers it, and that answer comes to a
port that knows nothing, which says so: RST with the number of the answer's ACK.
The server drops its request, and accept() never sees it.

  client                                              server
  connect()  SYN_SENT  ── SYN ────────────╮
  close()    CLOSED                       ╰──────────► SYN_RECV
                       ◄─────────────────────  SYN-ACK ──
                       ── RST ───────────────────────► LISTEN
`,
	Refs: []string{"RFC 9293 §3.10.4", "RFC 9293 §3.10.7.1", "__tcp_close", "tcp_check_req", "tcp_v4_send_reset"},
	Play: func(s *harness.Stage) { connectAndClose(s, true) },
	Claims: []harness.Claim{
		{
			Says: "close() returns 0 and ends SYN_SENT at once: neither FIN nor RST is sent for it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Closed))
				g.Expect(r).To(Returned("client", "close", 0))
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { connectAndClose(s, false) }},
		},
		{
			Says: "the SYN-ACK that comes later is answered with a RST of its own number, without an ACK",
			Judge: func(g Gomega, r *record.Run) {
				answer := Find(g, r, "client.RST")
				g.Expect(answer.Flags).To(Equal(tcp.RST))
				g.Expect(answer.Seq).To(Equal(Find(g, r, "server.SYN-ACK").Ack))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { connectAndClose(s, false) }},
		},
		{
			Says: "the server drops the request: SYN_RECV is gone, and accept() finds nothing",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Closed))
				g.Expect(r).To(Failed("server", "accept", "EAGAIN"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { connectAndClose(s, false) }},
		},
	},
}

// connectAndClose closes before the SYN arrives, or else when the connection
// stands.
func connectAndClose(s *harness.Stage, early bool) {
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Listen(8080, 8)
	server.Listener().Nonblock(true)
	client.Open()
	client.Nonblock(true)
	if early {
		s.Wire.On("client.SYN").Always().Hold(client.Returned("close"))
	}
	client.Connect(s.Server, 8080)
	s.Await(s.Wire.Seen("client.SYN"))
	if early {
		client.Close()
		s.Await(s.Wire.Delivered("client.RST"))
	} else {
		s.Await(s.Wire.Delivered("client.ACK(server.SYN-ACK)"))
		client.Close()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	}
	server.BeginAccept().Wait()
}
