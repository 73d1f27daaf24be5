package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// BehindData puts a RST right behind data, in the sender's name.
var BehindData = harness.Scenario{
	Name:    "reset/right-behind-data",
	Summary: "A RST right behind data: the data is read, and the sender never learns whether.",
	Doc: `
The request arrives, and on its heels a RST. The server's program can read the
request, and may act upon it; what it answers goes to nobody, and fails. The ACK of
the data may already be on its way: "acknowledged" does not mean "answered".

  client                                              server
  write("order")       ── DATA ─────────────────────►
                          forged RST(client) ───────► CLOSED
                                                      read() = 5, ECONNRESET
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_reset", "tcp_recvmsg_locked"},
	Answers: []harness.Answer{{
		Statement: 26, Holds: harness.HoldsWhen,
		Says: "What had arrived before the RST is read; what was still on its way, or behind the RST, is lost (reset/right-before-data).",
	}},
	Play: func(s *harness.Stage) { around(s, inject.Behind) },
	Claims: []harness.Claim{
		{
			Says: "the data that came before the RST is read, and ECONNRESET behind it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.DATA", "forged.RST(client)"))
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"5", "ECONNRESET"}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { around(s, inject.Before) }},
		},
		{
			Says: "the RST's number is the one behind the data: it was in order, and the end is gone with it",
			Judge: func(g Gomega, r *record.Run) {
				forged, data := Find(g, r, "forged.RST(client)"), Find(g, r, "client.DATA")
				g.Expect(forged.Seq).To(Equal(data.Seq + int64(data.Len)))
				g.Expect(AfterDelivery(g, r, "server", forged).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { around(s, inject.Before) }},
		},
		{
			Says: "the kernel that had queued the data sends no RST for it: the sender is not told by this end",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.RST(client)"))
				g.Expect(r).NotTo(Segments("server.RST"))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { around(s, inject.Before) }},
		},
	},
}

// BeforeData is the same RST one segment earlier.
var BeforeData = harness.Scenario{
	Name:    "reset/right-before-data",
	Summary: "A RST right before data: the data is lost, and its sender is reset for it.",
	Doc: `
The RST is one segment earlier than in reset/right-behind-data, and nothing of the
request is ever seen by a program. The data meets a kernel that has forgotten the
connection, and is answered with RST: now both ends know.

  client                                              server
  write("order")          forged RST(client) ───────► CLOSED
                       ── DATA ─────────────────────►
  CLOSED               ◄───────────────────────  RST ── read() = ECONNRESET
`,
	Refs: []string{"RFC 9293 §3.10.7.1", "tcp_reset", "tcp_v4_send_reset"},
	Play: func(s *harness.Stage) { around(s, inject.Before) },
	Claims: []harness.Claim{
		{
			Says: "no byte is read: the first read() fails with ECONNRESET, and the end of file follows",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"ECONNRESET", "0"}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { around(s, inject.Behind) }},
		},
		{
			Says: "the data is answered with a RST that has its ACK as its number",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.RST(client)", "client.DATA", "server.RST"))
				g.Expect(Find(g, r, "server.RST").Seq).To(Equal(Find(g, r, "client.DATA").Ack))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { around(s, inject.Behind) }},
		},
		{
			Says: "so the sender is reset too",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.RST")).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { around(s, inject.Behind) }},
		},
	},
}

// around puts a RST before the client's data or behind it.
func around(s *harness.Stage, place inject.Place) {
	client, server := s.Established()
	forged := s.Wire.On("client.DATA").Forge(inject.Forgery{Place: place, Flags: tcp.RST})
	client.Write("order")
	s.Await(forged.Fired())
	s.Await(s.Wire.Delivered("forged.RST(client)"))
	if place == inject.Before {
		s.Await(s.Wire.Delivered("server.RST"))
	}
	server.Read(64)
	server.Read(64)
}

// BeforeFIN puts a RST right before the FIN, in the closer's name.
var BeforeFIN = harness.Scenario{
	Name:    "reset/right-before-fin",
	Summary: "A RST right before the FIN turns an end of file into ECONNRESET.",
	Doc: `
All data has arrived and the close is in order; one segment in front of the FIN
makes a failure of it. The FIN then meets a closed port, and its RST takes the
closer out of FIN_WAIT_1: no TIME_WAIT, and a program that is not told, for it has
closed.

  client                                              server
  close()   FIN_WAIT_1    forged RST(client) ───────► CLOSED, ECONNRESET
                       ── FIN ──────────────────────►
            CLOSED     ◄───────────────────────  RST ──
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_reset", "tcp_v4_send_reset"},
	Play: func(s *harness.Stage) { aroundFIN(s, inject.Before) },
	Claims: []harness.Claim{
		{
			Says: "the reader gets ECONNRESET in place of the end of file",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "recv", 1).Errno).To(Equal("ECONNRESET"))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { aroundFIN(s, inject.Behind) }},
		},
		{
			Says: "the FIN is answered with RST, without an ACK, by the FIN's own ACK number",
			Judge: func(g Gomega, r *record.Run) {
				answer := Find(g, r, "server.RST")
				g.Expect(answer.Flags).To(Equal(tcp.RST))
				g.Expect(answer.Seq).To(Equal(Find(g, r, "client.FIN").Ack))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { aroundFIN(s, inject.Behind) }},
		},
		{
			Says: "the closer goes from FIN_WAIT_1 to CLOSED, without FIN_WAIT_2 and TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closed))
				g.Expect(r).To(Returned("client", "close", 0))
			},
			Refute: harness.Variant{Play: closeInOrder},
		},
	},
}

// aroundFIN puts a RST before the client's FIN or behind it.
func aroundFIN(s *harness.Stage, place inject.Place) {
	client, server := s.Established()
	forged := s.Wire.On("client.FIN").Forge(inject.Forgery{Place: place, Flags: tcp.RST})
	client.Close()
	s.Await(forged.Fired())
	s.Await(s.Wire.Delivered("forged.RST(client)"))
	if place == inject.Before {
		s.Await(client.Gone())
	}
	server.ReadNow(64)
}

// closeInOrder is a close on which nothing is wrong.
func closeInOrder(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1)
	server.Close()
	s.Await(server.Gone())
}
