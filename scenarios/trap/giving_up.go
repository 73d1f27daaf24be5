package trap

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// KeepAliveTellsThePeer shows that a keep-alive timeout is heard where only the
// way back is broken.
var KeepAliveTellsThePeer = harness.Scenario{
	Name:    "trap/keepalive-timeout-resets-a-peer-that-lives",
	Summary: "Only the way back is broken; keep-alive gives up, and its RST arrives.",
	Doc: `
The two ways of giving up differ for a peer that lives and is not heard. A keep-alive
timeout sends a RST, and the peer's program is told ECONNRESET. A retransmission
timeout sends nothing, and the peer holds its half for ever.

  client                                              server
  ESTABLISHED          ── KEEPALIVE ────────────────►  ESTABLISHED
                                   ✗──────────── ACK ──
            CLOSED     ── RST ──────────────────────►  CLOSED
            ETIMEDOUT                                  ECONNRESET
`,
	Refs: []string{"RFC 1122 §4.2.3.6", "tcp_keepalive_timer", "tcp_send_active_reset", "tcp_write_timeout"},
	Play: func(s *harness.Stage) { deaf(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the client's program is told ETIMEDOUT, the server's ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				g.Expect(r).To(Failed("server", "recv", "ECONNRESET"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { deaf(s, false) }},
		},
		{
			Says: "one RST with ACK is delivered, and ends the server's half",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.RST"))
				g.Expect(Find(g, r, "client.RST").Flags).To(Equal(tcp.RST | tcp.ACK))
				g.Expect(r).To(HaveStates("server", tcp.Established, tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { deaf(s, false) }},
		},
		{
			Says: "the server had answered the probe: it was not dead",
			Judge: func(g Gomega, r *record.Run) {
				probe := Find(g, r, "client.KEEPALIVE")
				g.Expect(probe.Fate).To(Equal(record.Delivered))
				answered := false
				for _, x := range r.Segments {
					answered = answered || !x.Other && x.SentBy == "server" && x.T > probe.T && x.Fate == record.Dropped
				}
				g.Expect(answered).To(BeTrue())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { deaf(s, false) }},
		},
	},
}

// RetransmissionTimeoutIsSilent is the other way.
var RetransmissionTimeoutIsSilent = harness.Scenario{
	Name:    "trap/retransmission-timeout-tells-nobody",
	Summary: "Only the way back is broken; the retransmissions are given up, and nothing is sent.",
	Doc: `
The data arrived, again and again; its acknowledgements did not. The client's kernel
gives up in silence (tcp_write_timeout), so the server has the data, an ESTABLISHED
connection without a timer, and nobody at its other end.

  client                                              server
  write()   ESTABLISHED ── DATA ────────────────────►  read() 1
                                   ✗──────────── ACK ──
                       ── DATA ─────────────────────►
                                   ✗──────────── ACK ──
            CLOSED                                     ESTABLISHED, no timer
            ETIMEDOUT
`,
	Refs: []string{"RFC 9293 §3.8.3", "tcp_write_timeout", "tcp_write_err"},
	Play: func(s *harness.Stage) { deaf(s, false) },
	Claims: []harness.Claim{
		{
			Says: "the client's program is told ETIMEDOUT although the server's has read the data",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				g.Expect(r).To(Returned("server", "read", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { deaf(s, true) }},
		},
		{
			Says: "no RST is sent: the server stays in ESTABLISHED without a timer, and a read would wait",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(LastIn(g, r, "server", tcp.Established).Timer).To(BeEmpty())
				g.Expect(r).To(Failed("server", "recv", "EAGAIN"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { deaf(s, true) }},
		},
	},
}

// deaf loses all that the server sends; the client is idle with keep-alive, or
// writes.
func deaf(s *harness.Stage, idle bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	client, server := s.Established()
	s.Wire.On(`sent_by == "server"`).Always().Drop()
	if idle {
		client.KeepAlive(time.Second, time.Second, 1)
	} else {
		client.Write("x")
		server.Read(1)
	}
	client.Read(1)
	s.Await(client.Gone())
	if idle {
		s.Await(server.Gone())
	}
	server.Observe()
	server.ReadNow(1)
}
