package wait

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// OldDataIntoTimeWait is the delayed duplicate that TIME_WAIT is there for.
var OldDataIntoTimeWait = harness.Scenario{
	Name:    "wait/old-data-into-time-wait",
	Summary: "A delayed copy of data reaches TIME_WAIT: it is acknowledged, and the 60 s start again.",
	Doc: `
The copy is outside the window, so it is answered with an ACK and thrown away. The
60 s start again, for where one late segment comes from there may be more.

The other end has forgotten the connection and answers that ACK with RST. With
tcp_rfc1337=0 that ends TIME_WAIT (wait/time-wait-assassination); here the RST is
lost.

  client                                              server
            TIME_WAIT  ◄───────── (a late copy)        CLOSED
                 60 s  ── ACK ───────────────────────►
                             ✗──────────────────  RST ──
`,
	Refs:    []string{"RFC 9293 §3.10.7.4", "RFC 1337", "tcp_timewait_state_process", "inet_twsk_reschedule"},
	Answers: []harness.Answer{{Statement: 9, Holds: harness.Holds, Says: "A late copy meets TIME_WAIT, is acknowledged and thrown away, and starts the 60 s again."}},
	Play:    lateCopy,
	Claims: []harness.Claim{
		{
			Says: "the copy is answered with an ACK of everything, and the other end answers that with RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(answerAfter(g, r, "client", forgedData(g, r)).Flags).To(Equal(tcp.ACK))
				g.Expect(r).To(Dropped("server.RST"))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
			},
			Refute: noTimeWait,
		},
		{
			Says: "TIME_WAIT stays, and its 60 s start again",
			Judge: func(g Gomega, r *record.Run) {
				begun, again := FirstIn(g, r, "client", tcp.TimeWait), LastIn(g, r, "client", tcp.TimeWait)
				late := forgedData(g, r)
				g.Expect(again.T).To(BeNumerically(">=", late.T))
				g.Expect(again.T + again.Latest - begun.T - begun.Expires).To(BeNumerically(">=", 150*time.Millisecond))
				g.Expect(again).To(SetTo(time.Minute, late.T))
			},
			Refute: harness.Variant{Play: timeWait},
		},
	},
}

// lateCopy sends a copy of the server's last number to TIME_WAIT, some time
// after it began.
func lateCopy(s *harness.Stage) {
	closedByClient(s)
	s.Await(s.Wire.After(200 * time.Millisecond)) // so that a new start can be told from the old one
	s.Wire.On(`is("server.RST") || is("client.RST")`).Optional().Drop()
	s.Wire.Inject(1, inject.Forgery{
		To: "client", Flags: tcp.PSH | tcp.ACK, Seq: &inject.Number{Base: "RCV.NXT", Offset: -1}, Len: 1,
	})
	s.Await(s.Wire.Seen(`is("server.RST") || is("client.RST")`))
	s.Client.Observe(1)
}

func forgedData(g Gomega, r *record.Run) *record.Segment {
	for i := range r.Segments {
		if x := &r.Segments[i]; x.Forged && x.Len > 0 {
			return x
		}
	}
	g.Expect(r).To(BeNil(), "no data was forged")
	return &record.Segment{}
}

// answerAfter is the first segment that a host sent behind another segment.
func answerAfter(g Gomega, r *record.Run, host string, segment *record.Segment) *record.Segment {
	for i := range r.Segments {
		if x := &r.Segments[i]; !x.Other && x.SentBy == host && x.T >= segment.T {
			return x
		}
	}
	g.Expect(r).To(BeNil(), "%s answered nothing", host)
	return &record.Segment{}
}

// OldDataIntoNext are delayed data of an old connection that fit into the window
// of a new one on the same ports.
var OldDataIntoNext = []harness.Scenario{intoNext(1), intoNext(0)}

func intoNext(stamps int) harness.Scenario {
	flip := harness.Variant{Sysctls: []harness.Sysctl{
		{Key: "net.ipv4.tcp_timestamps", Value: strconv.Itoa(1 - stamps)},
	}}
	sc := harness.Scenario{
		Name:    fmt.Sprintf("wait/old-data-into-next-connection{tcp_timestamps=%d}", stamps),
		Summary: "Data of an old connection arrive in the window of a new one on the same ports.",
		Doc: `
The ports are used again, and a late segment of the old connection happens to have
the number that the new one expects next. Nothing but its timestamp can give it away:
PAWS drops what is older than the last segment (RFC 7323 §5), answers it with an ACK
and counts it (PAWSEstab).

Without timestamps it is taken for the next data. The program reads bytes that
nobody sent to it, and the real ones, which come later with the same numbers, are
thrown away as repeats. No end notices.

  client                                              server
            (a second connection on the same ports)
            ESTABLISHED           (late data) ───────► ESTABLISHED
  write()   ── data ─────────────────────────────────► read()
`,
		Refs: []string{"RFC 7323 §5", "RFC 9293 §3.4.1", "tcp_validate_incoming", "tcp_paws_check", "tcp_data_queue"},
		Answers: []harness.Answer{{
			Statement: 9, Holds: harness.HoldsWhen,
			Says: "What TIME_WAIT did not keep off, timestamps do (PAWS). Without them late data that fits into the window is read as the new connection's.",
		}, {
			Statement: 27, Holds: harness.HoldsWhen,
			Says: "A late segment disturbs the new connection only without timestamps, and if its number is in the window.",
		}},
		Play: func(s *harness.Stage) { intoNextConnection(s, stamps) },
	}
	if stamps == 1 {
		sc.Claims = []harness.Claim{
			{
				Says: "the late data is dropped and answered with an ACK of nothing new; PAWSEstab counts it",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 1))
					late := forgedData(g, r)
					g.Expect(answerAfter(g, r, "server", late).Ack).To(Equal(late.Seq))
				},
				Refute: flip,
			},
			{
				Says: "the program reads what the other program wrote",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(string(Call(g, r, "server", "read", 1).Data)).To(Equal("new!"))
				},
				Refute: flip,
			},
		}
		return sc
	}
	sc.Claims = []harness.Claim{
		{
			Says: "the late data is acknowledged as the new connection's",
			Judge: func(g Gomega, r *record.Run) {
				late := forgedData(g, r)
				g.Expect(answerAfter(g, r, "server", late).Ack).To(Equal(late.Seq + 4))
			},
			Refute: flip,
		},
		{
			Says: "the program reads it: four bytes that the other program did not write, and the real ones never",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(string(Call(g, r, "client", "write", 1).Call)).To(ContainSubstring("new!"))
				g.Expect(Call(g, r, "server", "read", 1).Data).To(Equal([]byte{0, 0, 0, 0}))
				g.Expect(Call(g, r, "server", "recv", 1).Errno).To(Equal("EAGAIN"))
			},
			Refute: flip,
		},
	}
	return sc
}

// intoNextConnection opens a second connection on the ports of a first one, and
// lets data of an hour ago arrive in it before the real data.
func intoNextConnection(s *harness.Stage, stamps int) {
	s.Client.Sysctl("net.ipv4.tcp_timestamps", strconv.Itoa(stamps))
	s.Server.Sysctl("net.ipv4.tcp_timestamps", strconv.Itoa(stamps))
	client, server := closedByServer(s)
	again(s, client)
	server.Accept()
	s.Wire.Inject(2, inject.Forgery{To: "server", Flags: tcp.PSH | tcp.ACK, Len: 4, Timestamps: "old"})
	s.Await(s.Wire.Delivered(`from == "server" && sent_by == "server" && conn == 2 && !tcp.flags.syn`))
	client.Write("new!")
	s.Await(s.Wire.Delivered("2:client.DATA@1"))
	server.Read(4)
	server.ReadNow(4)
}
