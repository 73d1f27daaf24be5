package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// HalfClose ends one direction with shutdown(SHUT_WR); data goes on flowing in
// the other.
var HalfClose = harness.Scenario{
	Name:    "close/half-close",
	Summary: "shutdown(SHUT_WR) ends one direction; the other end sends on and is read.",
	Doc: `
A FIN says "I have said all", not "I am gone". The server reads the end of file,
answers in its own time out of CLOSE_WAIT, and the client reads the answer in
FIN_WAIT_2. This is what close() cannot do: an end that was closed answers data
with RST, because nobody will read it.

A FIN_WAIT_2 that still has a descriptor has no timer: it lasts until the other
end closes, or for ever.

  client                                              server
  shutdown(WR) FIN_WAIT_1 ── FIN ────────────────────► CLOSE_WAIT
               FIN_WAIT_2 ◄─────────────────────  ACK ──
               read() = 6 ◄──────────────────── DATA ── write()
                          ── ACK ────────────────────►
               TIME_WAIT  ◄─────────────────────  FIN ── close()  LAST_ACK
                          ── ACK ────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.10.7.4", "tcp_shutdown", "tcp_rcv_state_process"},
	Answers: []harness.Answer{
		{
			Statement: 1, Holds: harness.Holds,
			Says: "After shutdown(SHUT_WR) the other end's bytes are delivered, acknowledged and read in FIN_WAIT_2, which then has no timer.",
		},
		{
			Statement: 30, Holds: harness.Holds,
			Says: "shutdown(SHUT_WR) sends the FIN and leaves the descriptor readable; close() then gives up the descriptor and sends nothing more.",
		},
	},
	Play: halfClose,
	Claims: []harness.Claim{
		{
			Says: "bytes that come after the client's FIN are delivered, acknowledged and read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.ACK(client.FIN)", "server.DATA", "client.ACK(server.DATA)"))
				g.Expect(r).To(Returned("client", "read", len("answer")))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: closedInstead},
		},
		{
			Says: "meanwhile the client is in FIN_WAIT_2, with its descriptor and without a timer",
			Judge: func(g Gomega, r *record.Run) {
				half, known := r.StateAt(1, "client", Find(g, r, "server.DATA").T)
				g.Expect(known).To(BeTrue())
				g.Expect(half.State).To(Equal(tcp.FinWait2))
				g.Expect(half.Timer).To(BeEmpty())
				g.Expect(half.Orphan).To(BeFalse())
			},
			Refute: harness.Variant{Play: closedInstead},
		},
		{
			Says: "the direction that was shut down is shut: write() fails with EPIPE and SIGPIPE, and sends nothing",
			Judge: func(g Gomega, r *record.Run) {
				write := Call(g, r, "client", "write", 1)
				g.Expect(write.Errno).To(Equal("EPIPE"))
				g.Expect(write.Signal).To(Equal("SIGPIPE"))
				g.Expect(r).NotTo(Segments("client.DATA"))
			},
			Refute: harness.Variant{Play: otherHalf},
		},
		{
			Says: "the client reads the bytes first and the end of file behind them",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "client", "read")).To(Equal([]int64{int64(len("answer")), 0}))
			},
			Refute: harness.Variant{Play: closedInstead},
		},
		{
			Says: "the server sends out of CLOSE_WAIT: nothing makes it close in a hurry",
			Judge: func(g Gomega, r *record.Run) {
				data := Find(g, r, "server.DATA")
				state, known := r.StateAt(1, "server", data.T)
				g.Expect(known).To(BeTrue())
				g.Expect(state.State).To(Equal(tcp.CloseWait))
				g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.LastAck, tcp.Closed))
			},
			Refute: harness.Variant{Play: otherHalf},
		},
	},
}

func halfClose(s *harness.Stage) { halfClosed(s, func(c *harness.Peer) { c.Shutdown() }) }

// closedInstead is the same exchange with a client that gives up reading too.
func closedInstead(s *harness.Stage) { halfClosed(s, func(c *harness.Peer) { c.Close() }) }

func halfClosed(s *harness.Stage, end func(*harness.Peer)) {
	client, server := s.Established()
	end(client)
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Write("answer")
	client.Read(64)
	client.Write("x") // EPIPE
	server.Close()
	client.Read(1) // end of file
	client.Close()
	s.Await(server.Gone())
}

// otherHalf exchanges the roles: it is the server's direction that is shut.
func otherHalf(s *harness.Stage) {
	client, server := s.Established()
	server.Shutdown()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	client.Read(1) // end of file
	client.Write("answer")
	server.Read(64)
	server.Write("x")
	client.Close()
	server.Read(1)
	server.Close()
	s.Await(client.Gone())
}
