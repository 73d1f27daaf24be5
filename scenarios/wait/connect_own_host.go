package wait

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
)

// OwnHost connects inside one host, where there is no wire: to the host's own
// address, which the loopback device carries, and to the loopback address.
var OwnHost = []harness.Scenario{ownHost(1), ownHost(2), loopback(0), loopback(1), loopback(2)}

var insideHostRefs = []string{"RFC 9293 §3.6.1", "RFC 6191", "tcp_twsk_unique", "__inet_hash_connect"}

// onClient is the play with another sysctl on the client.
func onClient(key, value string) harness.Variant {
	return harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: key, Value: value}}}
}

func ownHost(reuse int) harness.Scenario {
	free := onClient("net.ipv4.tcp_max_tw_buckets", "0")
	sc := harness.Scenario{
		Name:    fmt.Sprintf("wait/connect-inside-host-in-time-wait{tcp_tw_reuse=%d}", reuse),
		Summary: "A program connects to its own host's address and closes first, and then connects again from the same port.",
		Doc: `
tcp_tw_reuse=2, the stock since 4.19, is often read as "1 for what stays inside the
host". It is not asked which device carries the segments: tcp_twsk_unique looks for an
address in 127.0.0.0/8 or ::1, or a socket that is bound to the loopback device. A
connection to the host's own address on the LAN goes through the loopback too, and
still counts as a foreign one.

  tcp_tw_reuse   to 127.0.0.1, ::1   to the own address
  0              EADDRNOTAVAIL       EADDRNOTAVAIL
  1              0                   0
  2              0                   EADDRNOTAVAIL

The client has one port to choose from (ip_local_port_range), and tcp_tw_reuse_delay
is 1 ms. Nothing comes to the wire: what is judged are the calls and the counters. The
column of the loopback is wait/connect-to-loopback-in-time-wait.

  client                       client, another process
  connect() = 0  ── lo ──────► listen(), accept()
  shutdown(WR)                 close()
  TIME_WAIT                    CLOSED
  connect() ?
`,
		Refs:  insideHostRefs,
		Needs: []harness.Need{{Sysctl: reuseDelay}},
		Play:  func(s *harness.Stage) { insideHost(s, reuse, false) },
	}
	silent := harness.Claim{
		Says: "nothing of it comes to the wire, and the host counts both ends",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(OnlySegments())
			g.Expect(r).To(HaveDelta("client", "Tcp.PassiveOpens", BeNumerically(">=", 1)))
			g.Expect(r).To(HaveDelta("client", "Tcp.ActiveOpens", BeNumerically(">=", 1)))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { closedByClient(s) }},
	}
	if reuse == 1 {
		sc.Claims = []harness.Claim{silent, {
			Says: "connect() succeeds: TWRecycled counts the TIME_WAIT that was taken over",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				g.Expect(r).To(HaveDelta("client", "TcpExt.TWRecycled", 1))
			},
			Refute: onClient("net.ipv4.tcp_tw_reuse", "2"),
		}}
		return sc
	}
	sc.Claims = []harness.Claim{silent, {
		Says: "connect() fails with EADDRNOTAVAIL, although no segment would leave the host",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(Call(g, r, "client", "connect", 2).Errno).To(Equal("EADDRNOTAVAIL"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TWRecycled", 0))
		},
		Refute: onClient("net.ipv4.tcp_tw_reuse", "1"),
	}, {
		Says: "it is TIME_WAIT that stands in the way: one connection was opened, and no more",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("client", "Tcp.PassiveOpens", 1))
		},
		Refute: free,
	}}
	return sc
}

func loopback(reuse int) harness.Scenario {
	sc := harness.Scenario{
		Name:    fmt.Sprintf("wait/connect-to-loopback-in-time-wait{tcp_tw_reuse=%d}", reuse),
		Summary: "A program connects to 127.0.0.1 or ::1 and closes first, and then connects again from the same port.",
		Doc: `
This is what tcp_tw_reuse=2, the stock since 4.19, is for: a connection from loopback to
loopback may take over one in TIME_WAIT for a port that the kernel chooses
(tcp_twsk_unique), and no other may. With 0 it may not either. What
wait/connect-inside-host-in-time-wait shows of the host's own address, which is not in
127.0.0.0/8, is the difference.

  client                       client, another process
  connect() = 0  ── lo ──────► listen(), accept()
  shutdown(WR)                 close()
  TIME_WAIT                    CLOSED
  connect() ?
`,
		Refs:  insideHostRefs,
		Needs: []harness.Need{{Sysctl: reuseDelay}},
		Play:  func(s *harness.Stage) { insideHost(s, reuse, true) },
	}
	if reuse == 0 {
		sc.Claims = []harness.Claim{{
			Says: "connect() fails with EADDRNOTAVAIL: no TIME_WAIT is taken over",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(Equal("EADDRNOTAVAIL"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TWRecycled", 0))
			},
			Refute: onClient("net.ipv4.tcp_tw_reuse", "2"),
		}}
		return sc
	}
	sc.Claims = []harness.Claim{{
		Says: "connect() succeeds: TWRecycled counts the TIME_WAIT that was taken over",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
			g.Expect(r).To(HaveDelta("client", "TcpExt.TWRecycled", 1))
		},
		Refute: onClient("net.ipv4.tcp_tw_reuse", "0"),
	}, {
		Says: "it is no new port: TIME_WAIT stood on the one that the client may choose",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("client", "TcpExt.TW", 1))
			g.Expect(r).To(HaveDelta("client", "Tcp.PassiveOpens", 2))
		},
		Refute: onClient("net.ipv4.tcp_max_tw_buckets", "0"),
	}}
	return sc
}

// insideHost connects a program of the client's host to another one there, by the
// loopback address or by the host's own, lets it close first, and connects again.
func insideHost(s *harness.Stage, reuse int, byLoopback bool) {
	s.Client.Sysctl("net.ipv4.tcp_tw_reuse", strconv.Itoa(reuse))
	s.Client.Sysctl(reuseDelay, "1")
	// The ACK of the FIN may come behind the other FIN, TIME_WAIT answers it, and the RST
	// to that answer would end TIME_WAIT before it can stand in the way.
	s.Client.Sysctl("net.ipv4.tcp_rfc1337", "1")
	s.Client.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %[1]d", clientPort))
	client, other := s.Client.Peer(), s.Client.NewPeer("listener")
	connect := func() bool { return client.Connect(s.Client, 8080) }
	if byLoopback {
		other.ListenLoopback(8080, 8)
		connect = func() bool { return client.ConnectLoopback(8080) }
	} else {
		other.Listen(8080, 8)
	}
	connect()
	other.Accept()
	client.Shutdown()
	other.Read(1) // end of file
	other.Close()
	client.Read(1) // end of file: TIME_WAIT has begun
	client.Close()
	s.Await(s.Wire.After(5 * time.Millisecond)) // the delay counts milliseconds
	if connect() {
		other.Accept()
	}
}
