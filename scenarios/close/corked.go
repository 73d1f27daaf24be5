package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Corked closes a socket that keeps small writes back by TCP_CORK.
var Corked = harness.Scenario{
	Name:    "close/corked",
	Summary: "close() pulls the cork: what TCP_CORK kept back leaves with the FIN, in one segment.",
	// A cork gives way after one retransmission timeout (tcp_probe_timer).
	Hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Second}},
	Doc: `
TCP_CORK lets the kernel wait for a full segment, for up to 200 ms. A program that
forgets to pull the cork loses nothing: the FIN is put on the last segment, and
both leave at once.

  client                                              server
  write("a"), write("b"), write("c")                  (nothing comes)
  close()   FIN_WAIT_1 ── DATA (3 bytes) and FIN ────► CLOSE_WAIT, read() = 3, 0
            FIN_WAIT_2 ◄────────────────────────  ACK ──
`,
	Refs: []string{"tcp_send_fin", "__tcp_push_pending_frames", "tcp_nagle_test"},
	Play: func(s *harness.Stage) { corked(s, true) },
	Claims: []harness.Claim{
		{
			Says: "nothing is sent before close(): the client's next segment after the handshake is the FIN",
			Judge: func(g Gomega, r *record.Run) {
				sent := next(g, r, "client", Call(g, r, "client", "write", 1).T)
				g.Expect(sent.Flags.Has(tcp.FIN)).To(BeTrue())
				g.Expect(sent.T).To(BeNumerically(">=", Call(g, r, "client", "close", 1).T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { corked(s, false) }},
		},
		{
			Says: "the FIN's segment carries all that was written: three writes, one segment",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "client", "write")).To(Equal([]int64{1, 1, 1}))
				g.Expect(Find(g, r, "client.FIN").Len).To(Equal(3))
				g.Expect(r).To(HaveCount("client.DATA", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { corked(s, false) }},
		},
		{
			Says: "the other end reads them, and then the end of file",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "server", "read")).To(Equal([]int64{3, 0}))
				g.Expect(Call(g, r, "server", "read", 1).Data).To(Equal([]byte("abc")))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingerZero(s, true) }},
		},
	},
}

func corked(s *harness.Stage, cork bool) {
	client, server := s.Established()
	if cork {
		client.Cork()
	}
	for _, text := range []string{"a", "b", "c"} {
		client.Write(text)
	}
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(64)
	server.Read(64) // end of file
	server.Close()
	s.Await(server.Gone())
}
