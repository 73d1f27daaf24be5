package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ZeroWindowAnswered closes behind a window of 0 that opens at last.
var ZeroWindowAnswered = harness.Scenario{
	Name:    "close/zero-window-answered",
	Summary: "close() while the other end's window is 0: FIN_WAIT_1 probes, and waits for the reader.",
	Doc: `
The other program does not read, its kernel's window is 0, and the FIN stands
behind bytes that may not be sent. close() returns 0; the orphan is in FIN_WAIT_1
although its FIN never left, and asks again and again whether the window is open
(the persist timer). A probe within 500 ms of one that was answered is not
answered (tcp_oow_rate_limited); each answer that comes counts as a sign of
life, and the orphan goes on, beyond tcp_orphan_retries (though not for ever:
trap/fin-wait-1-ends-behind-answered-zero-window). When the program reads,
everything arrives, FIN included.

  client                                              server
  write(8 KiB)         ── DATA ─────────────────────► (nobody reads: window 0)
  close() = 0 FIN_WAIT_1
                       ── window probe ──────────────►
                       ◄────────────── ACK, window 0 ──   … and again
                       ◄─────────── ACK, window open ── read()
                       ── DATA … FIN ────────────────► CLOSE_WAIT, end of file
`,
	Refs: []string{"RFC 9293 §3.8.6.1", "RFC 1122 §4.2.2.17", "tcp_probe_timer", "tcp_close_state"},
	Play: func(s *harness.Stage) {
		client, server := filled(s)
		client.Close()
		s.Await(s.Wire.Delivered("client.PROBE#2"))
		client.Observe()
		server.ReadAll()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Close()
		s.Await(server.Gone())
	},
	Claims: []harness.Claim{
		{
			Says: "close() returns 0 at once, and leaves an orphan in FIN_WAIT_1 whose FIN has not left",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				g.Expect(closed.Result).To(BeZero())
				waiting := LastIn(g, r, "client", tcp.FinWait1)
				g.Expect(waiting.Orphan).To(BeTrue())
				g.Expect(FirstIn(g, r, "client", tcp.FinWait1).T).To(BeNumerically("<", Find(g, r, "client.FIN").T))
				g.Expect(closed.End).To(BeNumerically("<", Find(g, r, "client.PROBE#2").T))
			},
			Refute: harness.Variant{Play: finLost},
		},
		{
			Says: "its timer is the persist timer: it probes the window, and is answered that it is 0",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveTimer("client", tcp.FinWait1, "persist"))
				g.Expect(r).To(HaveCount("client.PROBE", BeNumerically(">=", 2)))
				probe := Find(g, r, "client.PROBE")
				g.Expect(next(g, r, "server", probe.T).Window).To(BeZero())
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "the FIN leaves only when the other program has read: behind every byte",
			Judge: func(g Gomega, r *record.Run) {
				fin := Find(g, r, "client.FIN")
				g.Expect(fin.T).To(BeNumerically(">", Call(g, r, "server", "bulk-read", 1).T))
				g.Expect(fin.Seq + int64(fin.Len)).To(BeEquivalentTo(1 + flood))
				g.Expect(r).To(Delivered("server.ACK(client.FIN)"))
			},
			Refute: harness.Variant{Play: zeroWindowUnanswered},
		},
		{
			Says: "nothing is lost: the reader gets every byte and the end of file, and the close ends in order",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[8192 bytes]"))
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: zeroWindowUnanswered},
		},
	},
}

// ZeroWindowUnanswered closes behind a window of 0, and nothing comes any more.
var ZeroWindowUnanswered = harness.Scenario{
	Name:    "close/zero-window-unanswered",
	Summary: "close() while the other end's window is 0, and the probes are not answered: FIN_WAIT_1 is given up.",
	Doc: `
Without a sign of life the orphan's patience is that of tcp_orphan_retries: after
so many probes the kernel forgets the connection, and with it the bytes and the
FIN that never left. The other end is never told: it is still in ESTABLISHED.

The play sets tcp_orphan_retries to 2; stock is 0, which means 8.

  client                                              server
  write(8 KiB)         ── DATA ─────────────────────► (nobody reads: window 0)
  close() = 0 FIN_WAIT_1
                       ── window probe ─────✗
                       ── window probe ─────✗
            CLOSED                                    ESTABLISHED, for ever
`,
	Refs: []string{"RFC 1122 §4.2.2.17", "tcp_probe_timer", "tcp_orphan_retries", "tcp_write_err"},
	Play: zeroWindowUnanswered,
	Claims: []harness.Claim{
		{
			Says: "the orphan in FIN_WAIT_1 probes, and is gone when nobody answers",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveTimer("client", tcp.FinWait1, "persist"))
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.Closed))
				g.Expect(r).NotTo(HaveStates("client", tcp.FinWait2))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: ZeroWindowAnswered.Play},
		},
		{
			Says: "it probes as often as tcp_orphan_retries says: twice, and the second time after twice the wait",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.PROBE", 2))
				probes := All(g, r, "client.PROBE")
				g.Expect(Gap(probes[0], probes[1])).To(BeNumerically(">=", 300*time.Millisecond))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_orphan_retries", Value: "1"}}},
		},
		{
			Says: "neither the rest of the bytes nor a FIN nor a RST was ever sent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.FIN"))
				g.Expect(r).NotTo(Segments("client.RST"))
				for _, x := range All(g, r, "client.DATA") {
					g.Expect(x.Seq + int64(x.Len)).To(BeNumerically("<", 1+flood))
				}
			},
			Refute: harness.Variant{Play: ZeroWindowAnswered.Play},
		},
		{
			Says: "the other end knows nothing of it: it stays in ESTABLISHED, with bytes to be read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(r).To(HaveStates("client", tcp.Closed))
			},
			Refute: harness.Variant{Play: ZeroWindowAnswered.Play},
		},
	},
}

func zeroWindowUnanswered(s *harness.Stage) {
	s.Client.SysctlAlways("net.ipv4.tcp_orphan_retries", "2")
	client, _ := filled(s)
	silent := s.Wire.On("client.PROBE").Silence(nil)
	client.Close()
	s.Await(silent.Fired())
	s.Await(client.Gone())
}

// flood is more than the small receive queue of filled can take.
const flood = 8 << 10

// filled is a connection whose receiver does not read: its window is 0, and
// bytes wait in the sender's queue.
func filled(s *harness.Stage) (client, server *harness.Peer) {
	server = s.Server.Peer()
	server.Open()
	server.ReceiveBuffer(2048)
	client, server = s.Established()
	client.WriteBulk(flood)
	s.Await(s.Wire.Delivered(`from == "server" && tcp.window_size_value == 0`))
	return client, server
}
