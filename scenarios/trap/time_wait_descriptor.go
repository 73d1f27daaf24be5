package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// TimeWaitDescriptor shows that TCP_INFO never says TIME_WAIT.
var TimeWaitDescriptor = harness.Scenario{
	Name:    "trap/tcp-info-says-closed-in-time-wait",
	Summary: "The connection is in TIME_WAIT while the program still holds its descriptor.",
	Doc: `
TIME_WAIT is a mini-socket of its own (tcp_time_wait); the full socket behind the
descriptor is done with at that moment, and its state is CLOSE. So getsockopt
(TCP_INFO) says CLOSED, ss and sock_diag say TIME_WAIT of the same four-tuple, and
close() has nothing more to do.

  client                                              server
  shutdown(WR) FIN_WAIT_1 ── FIN ───────────────────►  CLOSE_WAIT
            TIME_WAIT  ◄──────────────────────── FIN ── close()
                       ── ACK ──────────────────────►
            TCP_INFO says CLOSED
`,
	Refs: []string{"RFC 9293 §3.3.2", "tcp_time_wait", "tcp_done", "tcp_get_info"},
	Play: func(s *harness.Stage) { describe(s, true) },
	Claims: []harness.Claim{
		{
			Says: "TCP_INFO of the descriptor says CLOSED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "getsockopt", 1).Call).To(ContainSubstring("[CLOSED"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { describe(s, false) }},
		},
		{
			Says: "sock_diag says TIME_WAIT of the same connection, at the same time",
			Judge: func(g Gomega, r *record.Run) {
				at, _ := r.StateAt(1, "client", Call(g, r, "client", "getsockopt", 1).End)
				g.Expect(at.State).To(Equal(tcp.TimeWait))
				g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { describe(s, false) }},
		},
		{
			Says: "the descriptor still reads the end of file, and write() fails with EPIPE",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "read", 0))
				g.Expect(r).To(Failed("client", "write", "EPIPE"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { describe(s, false) }},
		},
	},
}

// describe asks for the state of a connection that both ends have closed, or only
// the client.
func describe(s *harness.Stage, both bool) {
	client, server := s.Established()
	client.Shutdown()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)")) // or it may follow the FIN, and TIME_WAIT answers it
	server.Read(1)                                      // end of file
	if both {
		server.Close()
		s.Await(client.In(tcp.TimeWait))
		client.Read(1)
	} else {
		s.Await(client.In(tcp.FinWait2))
		client.ReadNow(1)
	}
	client.Info()
	client.Write("x")
	client.Observe()
	client.Close()
	client.Observe()
}
