package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FINWithData closes behind a byte that Nagle's algorithm still keeps back: one
// segment carries both.
var FINWithData = harness.Scenario{
	Name:    "close/fin-with-data",
	Summary: "The last byte waits in the send queue, and the FIN leaves on it.",
	// DATA whose ACK is held must not be repeated before the FIN.
	Hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Second}},
	Doc: `
Nagle's algorithm keeps a small segment back while an earlier one is not yet
acknowledged. close() does not wait for that: the FIN is put on the last segment
of the queue, and the segment leaves at once (tcp_send_fin). Its sequence number
is the byte's; the FIN's own is the one behind it.

The server's program reads the byte, and then the end of file: its kernel is in
CLOSE_WAIT before the program has read anything.

  client                                              server
  write("a")            ── DATA ────────────────────►
  write("b")  (Nagle: waits)
  close()   FIN_WAIT_1 ── DATA and FIN ──────────────► CLOSE_WAIT, read() = 2, 0
            FIN_WAIT_2 ◄────────────────────────  ACK ──
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.7.4", "tcp_send_fin", "tcp_nagle_check"},
	Play: func(s *harness.Stage) { finWithNagle(s, false) },
	Claims: []harness.Claim{
		{
			Says: "the segment with the FIN carries the byte too",
			Judge: func(g Gomega, r *record.Run) {
				fin := Find(g, r, "client.FIN")
				g.Expect(fin.Len).To(Equal(1))
				g.Expect(fin.Texts()).To(ContainElement(HavePrefix("client.DATA")))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { finWithNagle(s, true) }},
		},
		{
			Says: "its ACK counts both: the byte and the FIN, two numbers",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Find(g, r, "server.ACK(client.FIN)").Ack).To(Equal(Find(g, r, "client.FIN").Seq + 2))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { finWithNagle(s, true) }},
		},
		{
			Says: "it leaves although the byte before it was not acknowledged: close() overrules Nagle",
			Judge: func(g Gomega, r *record.Run) {
				acked := Find(g, r, "server.ACK(client.DATA)")
				g.Expect(Find(g, r, "client.FIN").T).To(BeNumerically("<", acked.Departures[0].T))
				g.Expect(Find(g, r, "client.FIN").T).To(BeNumerically(">=", Call(g, r, "client", "close", 1).T))
				g.Expect(r).To(HaveCount("client.DATA", 2))
			},
			Refute: harness.Variant{Play: finWithData},
		},
		{
			Says: "the bytes are read before the end of file, out of CLOSE_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "server", "read")).To(Equal([]int64{2, 0}))
				closeWait := FirstIn(g, r, "server", tcp.CloseWait)
				g.Expect(closeWait.T).To(BeNumerically("<=", Call(g, r, "server", "read", 1).End))
			},
			Refute: harness.Variant{Play: fourWay},
		},
	},
}

// finWithNagle writes two bytes, the second of which waits for the ACK of the
// first, and closes; with noDelay nothing waits.
func finWithNagle(s *harness.Stage, noDelay bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0") // no tail-loss probe: DATA is counted
	client, server := s.Established()
	client.NoDelay(noDelay)
	s.Wire.On("server.ACK(client.DATA)").Hold(s.Wire.Seen("client.FIN"))
	client.Write("a")
	client.Write("b")
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(64)
	server.Read(64) // end of file
	server.Close()
	s.Await(server.Gone())
}
