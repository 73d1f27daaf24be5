package wait

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Connects connect again from a port whose connection to the same server is in
// TIME_WAIT.
var Connects = []harness.Scenario{
	connect(false, 0, 1), connect(false, 1, 1), connect(false, 2, 1), connect(false, 1, 0),
	connect(true, 0, 1), connect(true, 2, 1), connect(true, 2, 0),
}

// reuseDelay is how long a TIME_WAIT must have lasted before connect() takes it
// over, in milliseconds; stock is 1 s.
const reuseDelay = "net.ipv4.tcp_tw_reuse_delay"

// connect is one way to choose the port, and one setting of tcp_tw_reuse and of
// timestamps on the client.
func connect(bound bool, reuse, stamps int) harness.Scenario {
	allowed := stamps == 1 && (bound || reuse == 1)
	clientSets := func(key, value string) harness.Variant {
		return harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: key, Value: value}}}
	}
	free := clientSets("net.ipv4.tcp_max_tw_buckets", "0") // then nothing is in the way
	sc := harness.Scenario{
		Name:    fmt.Sprintf("wait/connect-from-port-in-time-wait{bind=%d,tcp_tw_reuse=%d,tcp_timestamps=%d}", bit(bound), reuse, stamps),
		Summary: "The client closed first and connects to the same server from the same port again.",
		Doc: `
The client has one port to choose from (ip_local_port_range), or it binds it. The
four-tuple is taken as long as its TIME_WAIT lasts, but connect() may take the
TIME_WAIT over where the old connection used timestamps, because a late segment of
it can then be told from the new ones. Whether it does depends on how the port was
chosen:

  port is chosen by   tcp_tw_reuse   tcp_timestamps   connect()
  the kernel                     0                1   EADDRNOTAVAIL
  the kernel                     1                1   0
  the kernel          2, the stock                1   EADDRNOTAVAIL
  the kernel                     1                0   EADDRNOTAVAIL
  bind()                       any                1   0
  bind()                       any                0   EADDRNOTAVAIL

tcp_tw_reuse=2 means 1 for the loopback and 0 elsewhere. It is asked only where the
kernel looks for a port: __inet_hash_connect tells tcp_twsk_unique so by its
argument twp, which is nil for a port that was bound. Then neither the sysctl nor
tcp_tw_reuse_delay (1 s; here 1 ms) counts.

The new connection starts 65,537 above the number where the old one ended, so that
it takes the place of the old one whatever the other end remembers.
`,
		Refs:  []string{"RFC 9293 §3.6.1", "RFC 6191", "__inet_hash_connect", "__inet_check_established", "tcp_twsk_unique"},
		Needs: []harness.Need{{Sysctl: reuseDelay}},
		Answers: []harness.Answer{{
			Statement: 9, Holds: harness.HoldsWhen,
			Says: "TIME_WAIT keeps its four-tuple for 60 s. connect() takes it over before that where timestamps tell old from new: with tcp_tw_reuse=1, and from a port that was bound always.",
		}},
		Play: func(s *harness.Stage) { connectAgain(s, bound, reuse, stamps) },
	}
	if !allowed {
		sc.Claims = []harness.Claim{
			{
				Says: "connect() fails with EADDRNOTAVAIL",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(Call(g, r, "client", "connect", 2).Errno).To(Equal("EADDRNOTAVAIL"))
				},
				Refute: free,
			},
			{
				Says: "no SYN is sent: it is the own kernel that refuses",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveCount("2:client.SYN", 0))
					g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
				},
				Refute: free,
			},
			{
				Says: "TIME_WAIT is left as it was",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
				},
				Refute: free,
			},
		}
		return sc
	}
	off := clientSets("net.ipv4.tcp_timestamps", "0")
	sc.Claims = []harness.Claim{
		{
			Says: "connect() succeeds, and the server has the new connection",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				g.Expect(r).To(HaveStates("2:server", tcp.Established))
			},
			Refute: off,
		},
		{
			Says: "the new connection begins 65,537 above the number where the old one ended",
			Judge: func(g Gomega, r *record.Run) {
				fin, syn := parsed(g, Find(g, r, "client.FIN")), parsed(g, Find(g, r, "2:client.SYN"))
				g.Expect(syn.Src).To(Equal(fin.Src))
				g.Expect(syn.Seq).To(Equal(fin.Seq.Add(1 + 65537)))
			},
			Refute: free,
		},
		{
			Says: "TWRecycled counts the TIME_WAIT that was taken over",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TWRecycled", 1))
			},
			Refute: free,
		},
	}
	if !bound {
		sc.Claims[0].Refute = clientSets("net.ipv4.tcp_tw_reuse", "0")
	}
	return sc
}

// connectAgain closes from the client and connects once more from the same port.
func connectAgain(s *harness.Stage, bound bool, reuse, stamps int) {
	s.Client.Sysctl("net.ipv4.tcp_tw_reuse", strconv.Itoa(reuse))
	s.Client.Sysctl("net.ipv4.tcp_timestamps", strconv.Itoa(stamps))
	s.Client.Sysctl(reuseDelay, "1")
	s.Client.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %[1]d", clientPort))
	server, client := s.Server.Peer(), s.Client.Peer()
	server.Listen(8080, 8)
	// A port that was ever bound the kernel does not choose, so both are alike.
	open := func() {
		client.Open()
		if bound {
			client.ReuseAddr()
			client.Bind(clientPort)
		}
	}
	open()
	client.Connect(s.Server, 8080)
	server.Accept()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
	s.Await(s.Wire.After(5 * time.Millisecond)) // the delay counts milliseconds
	open()
	if client.Connect(s.Server, 8080) {
		server.Accept()
	}
	s.Client.Observe(1)
}

// parsed is a segment with its absolute numbers.
func parsed(g Gomega, segment *record.Segment) *tcp.Segment {
	var s tcp.Segment
	g.Expect(s.Parse(segment.Frame)).To(Succeed())
	return &s
}
