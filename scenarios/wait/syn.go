package wait

import (
	"fmt"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Reconnect is the client that comes back from the same port while the server
// is in TIME_WAIT: nothing stands in its way.
var Reconnect = harness.Scenario{
	Name:    "wait/reconnect-into-time-wait",
	Summary: "The server closed first; the client connects from the same port again, and TIME_WAIT gives way.",
	Doc: `
TIME_WAIT refuses no new connection that it can tell from an old segment: a SYN
above the last number, or with a newer timestamp, ends it and goes to the listener.
Linux chooses its first numbers by a clock that counts 64 ns a number, so a client's
next SYN is above the last number unless the connection carried more than 15.6 MB/s
on average. Then the newer timestamp lets it pass; without timestamps TIME_WAIT
answers with an ACK, and the client's RST to that ends it.

The server's first number is 65,537 above the one where the old connection ended
(tw_snd_nxt + 65535 + 2), so that nothing of the two overlaps.

  client                                              server
            CLOSED                                      TIME_WAIT
  connect() SYN_SENT   ── SYN, above RCV.NXT ────────► SYN_RECV
            ESTABLISHED◄────────────────────  SYN-ACK ──
`,
	Refs: []string{"RFC 9293 §3.6.1", "RFC 1122 §4.2.2.13", "RFC 6191", "tcp_timewait_state_process"},
	Answers: []harness.Answer{{
		Statement: 9, Holds: harness.HoldsWhen,
		Says: "A delayed duplicate is kept off for 60 s, but TIME_WAIT gives way at once to a SYN that is newer by number or by timestamp.",
	}},
	Play: reconnect,
	Claims: []harness.Claim{
		{
			Says: "connect() succeeds at once, on the first SYN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				g.Expect(r).To(HaveCount("2:client.SYN", 1))
				g.Expect(parsed(g, Find(g, r, "2:client.SYN")).Src).To(Equal(parsed(g, Find(g, r, "client.SYN")).Src))
			},
			Refute: harness.Variant{Play: oldSYN},
		},
		{
			Says: "TIME_WAIT stood there until the SYN, and is gone with it",
			Judge: func(g Gomega, r *record.Run) {
				syn := Find(g, r, "2:client.SYN")
				before, known := r.StateAt(1, "server", syn.T)
				g.Expect(known).To(BeTrue())
				g.Expect(before.State).To(Equal(tcp.TimeWait))
				g.Expect(r).To(HaveStates("2:server", tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_max_tw_buckets", Value: "0"}}},
		},
		{
			Says: "the server begins 65,537 above the number where the old connection ended",
			Judge: func(g Gomega, r *record.Run) {
				fin, answer := parsed(g, Find(g, r, "server.FIN")), parsed(g, Find(g, r, "2:server.SYN-ACK"))
				g.Expect(answer.Seq).To(Equal(fin.Seq.Add(1 + 65537)))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_max_tw_buckets", Value: "0"}}},
		},
	},
}

func reconnect(s *harness.Stage) {
	client, server := closedByServer(s)
	again(s, client)
	server.Accept()
}

// oldSYN makes the client's SYN look like one of an older connection, once.
func oldSYN(s *harness.Stage) {
	client, server := closedByServer(s)
	s.Wire.On("2:client.SYN").Rewrite(inject.Edit{
		Seq:   &inject.Change{Add: true, By: -(1 << 28)},
		TSVal: &inject.Change{Add: true, By: -60_000},
	})
	again(s, client)
	server.Accept()
}

// ReconnectBelow is the same with a SYN that looks old: TIME_WAIT answers it,
// and the client clears the way itself.
var ReconnectBelow = harness.Scenario{
	Name:    "wait/reconnect-with-old-number",
	Summary: "A new SYN below the last number and with an older timestamp: TIME_WAIT acknowledges, the client resets it and tries again.",
	Doc: `
A client whose clock or first numbers went back sends a SYN that TIME_WAIT takes
for an old duplicate. It answers with the ACK of the old connection. The client, in
SYN_SENT, finds that ACK unacceptable and answers with RST, whose number is the one
that the ACK named: it ends TIME_WAIT. It sends its SYN again at once (after
TCP_TIMEOUT_MIN, two ticks), and the second one finds a free port.

With tcp_rfc1337=1 the RST would be ignored.

  client                                              server
  connect() SYN_SENT   ── SYN, below RCV.NXT ────────► TIME_WAIT
                       ◄───────────────  ACK (old) ──
                       ── RST ───────────────────────► CLOSED
                       ── SYN ───────────────────────► SYN_RECV
            ESTABLISHED◄────────────────────  SYN-ACK ──
`,
	Refs: []string{"RFC 9293 §3.10.7.3", "RFC 9293 §3.10.7.4", "tcp_timewait_state_process", "tcp_rcv_synsent_state_process"},
	Play: oldSYN,
	Claims: []harness.Claim{
		{
			Says: "TIME_WAIT answers the SYN with an ACK of the old connection, not with a SYN-ACK",
			Judge: func(g Gomega, r *record.Run) {
				fin := parsed(g, Find(g, r, "server.FIN"))
				answer := answerTo(g, r, Find(g, r, "2:client.SYN"))
				g.Expect(answer.Flags).To(Equal(tcp.ACK))
				g.Expect(answer.Seq).To(Equal(fin.Seq.Add(1)))
			},
			Refute: harness.Variant{Play: reconnect},
		},
		{
			Says: "the client resets what it does not know, with the number that the ACK named",
			Judge: func(g Gomega, r *record.Run) {
				answer := answerTo(g, r, Find(g, r, "2:client.SYN"))
				reset := parsed(g, Find(g, r, "client.RST"))
				g.Expect(reset.Seq).To(Equal(answer.Ack))
				g.Expect(reset.Flags).To(Equal(tcp.RST))
			},
			Refute: harness.Variant{Play: reconnect},
		},
		{
			Says: "that RST ends TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(AfterDelivery(g, r, "server", Find(g, r, "client.RST")).State).To(Equal(tcp.Closed))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_rfc1337", Value: "1"}}},
		},
		{
			Says: "it sends its SYN again at once, not after its timer of 1 s, and connect() succeeds",
			Judge: func(g Gomega, r *record.Run) {
				syns := All(g, r, "2:client.SYN")
				g.Expect(len(syns)).To(Equal(2))
				waiting := FirstIn(g, r, "2:client", tcp.SynSent)
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				g.Expect(syns[1].T).To(BeNumerically("<", waiting.T+waiting.Expires))
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
			},
			Refute: harness.Variant{Play: reconnect},
		},
	},
}

// answerTo is the first segment of the server behind one of the client.
func answerTo(g Gomega, r *record.Run, segment *record.Segment) *tcp.Segment {
	for i := range r.Segments {
		if x := &r.Segments[i]; !x.Other && x.SentBy == "server" && x.T > segment.T {
			return parsed(g, x)
		}
	}
	g.Expect(segment.Name()).To(BeEmpty(), "nothing was answered")
	return &tcp.Segment{}
}

// SYNs forge a SYN into TIME_WAIT, from a client that wants no connection.
var SYNs = []harness.Scenario{
	syn("higher", "same", true), syn("lower", "same", false), syn("higher", "none", true), syn("lower", "none", false),
	syn("higher", "new", true), syn("lower", "new", true), syn("higher", "old", false), syn("lower", "old", false),
}

// syn is one number and one timestamp of the SYN; accepted tells whether TIME_WAIT
// gives way to it.
func syn(number, stamp string, accepted bool) harness.Scenario {
	f := inject.Forgery{To: "server", Flags: tcp.SYN, Seq: &inject.Number{Base: "RCV.NXT", Offset: 1000}}
	if number == "lower" {
		f.Seq.Offset = -1000
	}
	if stamp != "same" {
		f.Timestamps = stamp
	}
	opposite := f
	opposite.Timestamps = ""
	opposite.Seq = &inject.Number{Base: "RCV.NXT", Offset: -1000}
	if !accepted {
		opposite.Seq.Offset = 1000
	}
	other := harness.Variant{Play: func(s *harness.Stage) { forgeSYN(s, opposite) }}
	sc := harness.Scenario{
		Name:    fmt.Sprintf("wait/syn-into-time-wait{seq=%s,timestamp=%s}", number, stamp),
		Summary: "A SYN that nobody means reaches TIME_WAIT.",
		Doc: `
TIME_WAIT takes a SYN for a new connection where its number is above the last one
and its timestamp is not older, or where its timestamp is newer. Any other SYN is an
old duplicate and is answered with the ACK of the old connection.

If a SYN that passes is itself a stray copy, the listener answers it with SYN-ACK,
and its supposed sender, who knows nothing of it, with RST. The half-open
connection is gone then, and so is TIME_WAIT: it ended when the SYN was accepted,
and nothing brings it back, although RFC 9293 §3.6.1 asks for that. An old SYN so
ends TIME_WAIT as a RST would, and tcp_rfc1337 does not help.

  SYN's number   timestamp   TIME_WAIT
  higher         same        ends: SYN-ACK
  higher         none        ends: SYN-ACK
  lower          same        stays: ACK
  lower          none        stays: ACK
  higher         newer       ends: SYN-ACK
  lower          newer       ends: SYN-ACK
  higher         older       stays: ACK (PAWS)
  lower          older       stays: ACK (PAWS)
`,
		Refs: []string{"RFC 9293 §3.6.1", "RFC 9293 §3.10.7.4", "RFC 6191", "RFC 7323 §5.3", "tcp_timewait_state_process"},
		Play: func(s *harness.Stage) { forgeSYN(s, f) },
	}
	if accepted {
		sc.Claims = []harness.Claim{
			{
				Says: "it is answered with SYN-ACK, and its supposed sender answers that with RST",
				Judge: func(g Gomega, r *record.Run) {
					answer := answerTo(g, r, forgedSYN(g, r))
					g.Expect(answer.Flags).To(Equal(tcp.SYN | tcp.ACK))
					g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
				},
				Refute: other,
			},
			{
				Says: "nothing is left, neither TIME_WAIT nor a new connection",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(LastSeen(g, r, "server").State).To(Equal(tcp.Closed))
				},
				Refute: other,
			},
		}
		return sc
	}
	sc.Claims = []harness.Claim{
		{
			Says: "it is answered with an ACK of the old connection",
			Judge: func(g Gomega, r *record.Run) {
				answer := answerTo(g, r, forgedSYN(g, r))
				g.Expect(answer.Flags).To(Equal(tcp.ACK))
				g.Expect(answer.Seq).To(Equal(parsed(g, Find(g, r, "server.FIN")).Seq.Add(1)))
			},
			Refute: other,
		},
		{
			Says: "TIME_WAIT stays, with tcp_rfc1337=1 even when the supposed sender resets that ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
				g.Expect(LastSeen(g, r, "server").State).To(Equal(tcp.TimeWait))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_rfc1337", Value: "0"}}},
		},
	}
	return sc
}

func forgeSYN(s *harness.Stage, f inject.Forgery) {
	s.Server.Sysctl("net.ipv4.tcp_rfc1337", "1")
	closedByServer(s)
	s.Wire.Inject(1, f)
	s.Await(s.Wire.Delivered(`from == "client" && tcp.flags.reset && sent_by == "client"`))
	s.Server.Observe(1)
}

func forgedSYN(g Gomega, r *record.Run) *record.Segment {
	for i := range r.Segments {
		if x := &r.Segments[i]; x.Forged && x.Flags.Has(tcp.SYN) {
			return x
		}
	}
	g.Expect(r).To(Segments("forged.SYN"))
	return &record.Segment{}
}
