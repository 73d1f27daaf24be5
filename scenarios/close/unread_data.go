package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// UnreadData closes a socket that has bytes which its program never read.
var UnreadData = harness.Scenario{
	Name:    "close/unread-data",
	Summary: "close() with unread bytes in the receive queue sends RST instead of FIN.",
	Doc: `
The kernel has acknowledged the bytes, and now nobody will ever read them: a FIN
would tell the sender that all went well. So the connection is reset (RFC 1122
§4.2.2.13), and whatever the closer still had to send is thrown away.

What the closer had sent before and was acknowledged is in the other end's queue,
and Linux hands it out first: read() gives the bytes, then ECONNRESET once, then
the end of file.

  client                                              server
  write("last words")  ── DATA ─────────────────────►
                       ◄─────────────────────── DATA ── write("unread")
  close()   CLOSED     ── RST ──────────────────────► CLOSED
                                                      read() = 10, ECONNRESET, 0
`,
	Refs: []string{"RFC 1122 §4.2.2.13", "RFC 2525 §2.17", "__tcp_close", "tcp_send_active_reset", "tcp_recvmsg_locked"},
	Answers: []harness.Answer{
		{
			Statement: 23, Holds: harness.HoldsWhen,
			Says: "Send queues are thrown away at both ends; the receiver's queue is not: what had arrived before the RST is read first, and ECONNRESET comes behind it.",
		},
	},
	Play: func(s *harness.Stage) { closeUnread(s, false) },
	Claims: []harness.Claim{
		{
			Says: "close() sends RST at once, and never a FIN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.DATA", "client.RST"))
				g.Expect(r).NotTo(Segments("client.FIN"))
				g.Expect(Find(g, r, "client.RST").T).To(BeNumerically(">=", Call(g, r, "client", "close", 1).T))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnClose", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeUnread(s, true) }},
		},
		{
			Says: "the program that closed is not told: close() returns 0",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.RST", 1))
				g.Expect(r).To(Returned("client", "close", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeUnread(s, true) }},
		},
		{
			Says: "no state is left at either end: no FIN_WAIT, no TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeUnread(s, true) }},
		},
		{
			Says: "the other side still reads what had arrived, then ECONNRESET once, then the end of file",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "server", "read")).To(Equal([]int64{int64(len("last words")), -1, 0}))
				g.Expect(errnos(r, "server", "read")).To(Equal([]string{"", "ECONNRESET", ""}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeUnread(s, true) }},
		},
	},
}

// closeUnread sends bytes in both directions, and the client closes before it
// has read, or after.
func closeUnread(s *harness.Stage, read bool) {
	client, server := s.Established()
	client.Write("last words")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	server.Write("unread")
	s.Await(s.Wire.Delivered("client.ACK(server.DATA)"))
	if read {
		client.Read(64)
	}
	client.Close()
	s.Await(s.Wire.Delivered(`is("client.RST") || is("client.FIN")`))
	server.Read(64)
	server.Read(64)
	server.Read(64)
}
