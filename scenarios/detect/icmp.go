package detect

import (
	"strings"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// unreachable is an ICMP error and what a program is told of it.
type unreachable struct {
	why            tcp.Unreachable
	errno4, errno6 string
}

func (u unreachable) errno(r *record.Run) string {
	if r.IP == 6 {
		return u.errno6
	}
	return u.errno4
}

var unreachables = []unreachable{
	{tcp.PortUnreachable, "ECONNREFUSED", "ECONNREFUSED"},
	{tcp.HostUnreachable, "EHOSTUNREACH", "EHOSTUNREACH"},
	{tcp.NetUnreachable, "ENETUNREACH", "ENETUNREACH"},
	{tcp.AdminProhibited, "EHOSTUNREACH", "EACCES"},
}

func eachUnreachable(make func(unreachable) harness.Scenario) []harness.Scenario {
	var list []harness.Scenario
	for _, u := range unreachables {
		list = append(list, make(u))
	}
	return list
}

// ICMPInSYNSent shows that an ICMP error ends connect() at once.
var ICMPInSYNSent = eachUnreachable(icmpInSYNSent)

func icmpInSYNSent(u unreachable) harness.Scenario {
	return harness.Scenario{
		Name:    "detect/icmp-in-syn-sent{" + string(u.why) + "}",
		Summary: "ICMP " + string(u.why) + " answers the SYN.",
		Doc: `
RFC 1122 calls most of these errors transient, and asks that they end nothing.
Linux ends connect() with the first of them (tcp_v4_err, tcp_v6_err), unless a
program is just inside the socket. Over IPv4 the errno is ` + u.errno4 + `, over IPv6
` + u.errno6 + `: only that of "administratively prohibited" depends on the family.

  client                                              server
  connect()  SYN_SENT  ── SYN ──────────────────✗
             CLOSED    ◄─ ICMP ` + string(u.why) + ` ─
             connect() fails at once
`,
		Refs: []string{"RFC 1122 §4.2.3.9", "RFC 5461", "tcp_v4_err", "tcp_v6_err", "icmp_err_convert"},
		Play: func(s *harness.Stage) {
			s.Server.Peer().Listen(8080, 8)
			s.Wire.On("client.SYN").Forge(inject.Forgery{Place: inject.Instead, ICMP: u.why})
			client := s.Client.Peer()
			client.Connect(s.Server, 8080)
			s.Await(client.Gone())
		},
		Claims: []harness.Claim{
			{
				Says: "connect() fails with " + u.says(),
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Failed("client", "connect", u.errno(r)))
				},
				Refute: harness.Variant{Play: synLostOnce},
			},
			{
				Says: "it fails at once: the SYN is not sent again, and the socket is gone",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveCount("client.SYN", 1))
					g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Closed))
				},
				Refute: harness.Variant{Play: synLostOnce},
			},
			{
				Says: "the kernel counts a failed attempt, and no timeout",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("client", "Tcp.AttemptFails", 1))
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeouts", 0))
				},
				Refute: harness.Variant{Play: synLostOnce},
			},
		},
	}
}

func (u unreachable) says() string {
	if u.errno4 == u.errno6 {
		return u.errno4
	}
	return u.errno4 + " over IPv4 and " + u.errno6 + " over IPv6"
}

// ICMPInEstablished shows that an ICMP error ends no connection, and where it
// is seen.
var ICMPInEstablished = eachUnreachable(icmpInEstablished)

func icmpInEstablished(u unreachable) harness.Scenario {
	return harness.Scenario{
		Name:    "detect/icmp-in-established{" + string(u.why) + "}",
		Summary: "ICMP " + string(u.why) + " answers data; the repeat arrives.",
		Doc: `
A soft error: the connection goes on, and the data is repeated as if it had been
lost. SO_ERROR shows the error until an acknowledgement makes it forgotten
(tcp_ack clears sk_err_soft); read() and write() do not.

  client                                              server
  write()    ESTABLISHED ── DATA ───────────────✗
                       ◄─ ICMP ` + string(u.why) + ` ─
             SO_ERROR ` + u.says() + `
                       ── DATA ──────────────────────► read() 1
                       ◄───────────────────────── ACK ──
`,
		Refs: []string{"RFC 1122 §4.2.3.9", "RFC 5461", "RFC 5927", "tcp_v4_err", "tcp_v6_err", "sk_getsockopt"},
		Play: func(s *harness.Stage) {
			s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
			client, server := s.Established()
			s.Wire.On("client.DATA@1#1").Forge(inject.Forgery{Place: inject.Instead, ICMP: u.why})
			s.Wire.On("client.DATA@1#2").Hold(client.Returned("getsockopt#2"))
			client.Write("x")
			s.Await(s.Wire.Delivered("forged.ICMP(server)"))
			client.SocketError()
			client.Observe()
			client.SocketError()
			server.Read(1)
			server.Write("y")
			client.Read(1)
		},
		Answers: []harness.Answer{
			{Statement: 38, Holds: harness.HoldsWhen, Says: "It ends connect() at once. An established connection lives on: the error is a soft one, and becomes the errno if the retransmissions are given up."},
		},
		Claims: []harness.Claim{
			{
				Says: "the connection lives: data passes both ways afterwards",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Segments("forged.ICMP(server)", "client.DATA@1#2", "server.DATA@1"))
					g.Expect(r).To(Returned("server", "read", 1))
					g.Expect(r).To(Returned("client", "read", 1))
					g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
				},
				Refute: harness.Variant{Play: icmpUntilGivenUp(u.why)},
			},
			{
				Says: "SO_ERROR shows " + u.says() + " once",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(errorsShown(r)).To(Equal([]string{u.errno(r), "0"}))
				},
				Refute: harness.Variant{Play: dataLostOnce},
			},
			{
				Says: "the data that the error quotes is sent again when its timer runs out, not before",
				Judge: func(g Gomega, r *record.Run) {
					again := Find(g, r, "client.DATA@1#2")
					g.Expect(r).To(Segments("forged.ICMP(server)", "client.DATA@1#2"))
					g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 1))
					g.Expect(Gap(Find(g, r, "client.DATA@1#1"), again)).To(BeNumerically(">=", 200*time.Millisecond-Jiffy))
				},
				Refute: harness.Variant{Play: icmpUntilGivenUp(u.why)},
			},
		},
	}
}

// ICMPThenTimeout shows what the soft error is good for.
var ICMPThenTimeout = eachUnreachable(icmpThenTimeout)

func icmpThenTimeout(u unreachable) harness.Scenario {
	return harness.Scenario{
		Name:    "detect/icmp-is-errno-of-timeout{" + string(u.why) + "}",
		Summary: "ICMP " + string(u.why) + " answers all data until the retransmissions are given up.",
		Doc: `
What ends the connection is time, as ever: but tcp_write_err prefers the soft error
to ETIMEDOUT, so the program is told what the router said.

  client                                              server
  write()    ESTABLISHED ── DATA ───────────────✗
                       ◄─ ICMP ` + string(u.why) + ` ─
                       ── DATA ─────────────────✗
                       ◄─ ICMP ` + string(u.why) + ` ─
             CLOSED    tcp_retries2 is over
             read() ` + u.says() + `
`,
		Refs: []string{"RFC 1122 §4.2.3.9", "RFC 5461", "tcp_write_err"},
		Play: icmpUntilGivenUp(u.why),
		Claims: []harness.Claim{
			{
				Says: "read() fails with " + u.says() + " in place of ETIMEDOUT",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Failed("client", "read", u.errno(r)))
				},
				Refute: harness.Variant{Play: retriesAlone("1")},
			},
			{
				Says: "it was the time that ended it, not the first error: the data was repeated after it",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Segments("forged.ICMP(server)", "client.DATA@1#2", "forged.ICMP(server)"))
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
					g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
				},
				Refute: harness.Variant{Play: icmpInEstablished(u).Play},
			},
			{
				Says: "the server hears nothing of it: no RST is sent, and it stays in ESTABLISHED",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).NotTo(Segments("client.RST"))
					g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				},
				Refute: harness.Variant{Play: keptTwice},
			},
		},
	}
}

// icmpUntilGivenUp answers all that the client sends with an ICMP error.
func icmpUntilGivenUp(why tcp.Unreachable) func(*harness.Stage) {
	return func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
		s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
		client, _ := s.Established()
		s.Wire.On("client.DATA@1").Always().Forge(inject.Forgery{Place: inject.Instead, ICMP: why})
		client.Write("x")
		client.Read(1)
		s.Await(client.Gone())
	}
}

// dataLostOnce loses the data without a word.
func dataLostOnce(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	s.Wire.On("client.DATA@1").Drop()
	client.Write("x")
	client.SocketError()
	client.SocketError()
	server.Read(1)
}

// errorsShown are the answers of SO_ERROR on the client.
func errorsShown(r *record.Run) []string {
	var list []string
	for _, c := range r.Client().Calls {
		if c.Name == "getsockopt" {
			list = append(list, bracketed(c.Call))
		}
	}
	return list
}

// bracketed is what the kernel wrote through a call's arguments.
func bracketed(text string) string {
	_, answer, _ := strings.Cut(text, "[")
	answer, _, _ = strings.Cut(answer, "]")
	return answer
}
