package vocabulary

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// names are shown by segments of real kernels that bear them; that there is one
// of the word's name is judged of each.
var names = []entry{
	{
		name: "name/syn", word: "client.SYN",
		says:  "The segment that opens a connection, or its repeat.",
		shows: "the client's kernel is in SYN_SENT when it has sent it",
		play:  func(s *stage) { s.Established() },
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.SYN").Flags).To(Equal(tcp.SYN))
			g.Expect(r).To(HaveStates("client", tcp.SynSent, tcp.Established))
		},
	},
	{
		name: "name/syn-ack", word: "server.SYN-ACK",
		says:  "The answer to a SYN.",
		shows: "the server's kernel is in SYN_RECV when it has sent it",
		play:  func(s *stage) { s.Established() },
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "server.SYN-ACK").Flags).To(Equal(tcp.SYN | tcp.ACK))
			g.Expect(r).To(HaveStates("server", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "name/ack", word: "client.ACK",
		says:  "A segment that carries nothing but an acknowledgement, whatever it covers.",
		shows: "the server is ESTABLISHED when it gets the bare third segment of the handshake",
		play:  func(s *stage) { s.Established() },
		judge: func(g Gomega, r *record.Run) {
			x := Find(g, r, "client.ACK")
			g.Expect(x.Flags).To(Equal(tcp.ACK))
			g.Expect(x.Len).To(BeZero())
			g.Expect(r).To(HaveCount("client.ACK", 1))
			g.Expect(r).To(HaveStates("server", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "name/ack-of-syn", word: "server.ACK(client.SYN)",
		says:  "What acknowledges the SYN, whatever else it is.",
		shows: "it is the SYN-ACK itself",
		play:  func(s *stage) { s.Established() },
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "server.ACK(client.SYN)")).To(BeIdenticalTo(Find(g, r, "server.SYN-ACK")))
		},
	},
	{
		name: "name/ack-of-syn-ack", word: "client.ACK(server.SYN-ACK)",
		says:  "What acknowledges the SYN-ACK.",
		shows: "without it the server repeats its SYN-ACK, and gets it again",
		play: func(s *stage) {
			armed(s, "drop client.ACK(server.SYN-ACK)")
			s.Established()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("server.SYN-ACK", "server.SYN-ACK#2", "client.ACK(server.SYN-ACK)#2"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPTimeouts", moved))
		},
	},
	{
		name: "name/ack-of-fin", word: "server.ACK(client.FIN)",
		says:  "What acknowledges a FIN, if nothing that was delivered before did.",
		shows: "it moves the closer from FIN_WAIT_1 to FIN_WAIT_2",
		play: func(s *stage) {
			client, _ := s.Established()
			client.Shutdown()
			s.Await(client.In(tcp.FinWait2))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2))
		},
	},
	{
		name: "name/ack-of-data", word: "server.ACK(client.DATA@1)",
		says:  "What acknowledges the last byte of that turn.",
		shows: "while it is held the kernel calls the bytes unacknowledged",
		play: func(s *stage) {
			client, server := s.Established()
			ack := armed(s, "hold server.ACK(client.DATA@1) until returned client ioctl")
			client.Write("hello")
			server.Read(64)
			s.Await(ack.Fired())
			client.Unacked()
			seen(s, "server.ACK(client.DATA@1)")
			client.Unacked()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "ioctl", 1).Call).To(ContainSubstring("[5]"))
			g.Expect(call(g, r, "client", "ioctl", 2).Call).To(ContainSubstring("[0]"))
		},
	},
	{
		name: "name/ack-of-byte", word: "server.ACK(client.DATA@1[1])",
		says:  "What acknowledges that byte of the turn.",
		shows: "it is sent for the first of two segments already",
		play: func(s *stage) {
			client, server := s.Established()
			client.Write("ab")
			server.Read(2)
			seen(s, "server.ACK(client.DATA@1[1])")
			client.Write("cd")
			server.Read(2)
			seen(s, "server.ACK(client.DATA@1[3])")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "server.ACK(client.DATA@1[1])").Ack).To(BeEquivalentTo(3))
			g.Expect(Find(g, r, "server.ACK(client.DATA@1[3])").Ack).To(BeEquivalentTo(5))
		},
	},
	{
		name: "name/ack-of-forged", word: "server.ACK(forged.FIN(client))",
		says:  "What acknowledges something that a rule or the attacker made.",
		shows: "the kernel acknowledges a FIN that its peer never sent, and is in CLOSE_WAIT",
		play: func(s *stage) {
			armed(s, "forge(after, F.) client.DATA@1")
			client, server := s.Established()
			client.Write("x")
			server.ReadAll()
			seen(s, "server.ACK(forged.FIN(client))")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveStates("server", tcp.CloseWait))
			g.Expect(r).NotTo(Segments("client.FIN"))
		},
	},
	{
		name: "name/dup-ack", word: "server.DUP-ACK",
		says:  "A bare ACK of nothing new, with the window as before.",
		shows: "the kernel sends it at once for a segment behind a gap",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "drop client.DATA@1[0]")
			client.Write("a")
			client.Write("b")
			server.ReadBulk(2)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.DATA@1[0]", "client.DATA@1[1]", "server.DUP-ACK"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPOFOQueue", moved), "a loss probe may bring it once more")
		},
	},
	{
		name: "name/challenge-ack", word: "server.CHALLENGE-ACK",
		says:  "A bare ACK of nothing new: the first after a RST, a SYN, or an impossible ACK was delivered to its sender (RFC 5961).",
		shows: "the kernel counts it so",
		play: func(s *stage) {
			armed(s, "forge(before, S) client.DATA@1")
			exchange(s)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPSYNChallenge", 1))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 1))
		},
	},
	{
		name: "name/data", word: "client.DATA",
		says:  "A segment with data.",
		shows: "it carries what the program wrote",
		play:  exchange,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA").Len).To(Equal(1))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "name/turn", word: "client.DATA@2",
		says:  "A turn is all that one end says before the other end speaks: this is the second request.",
		shows: "two writes before the answer are one turn, the write behind it is the next",
		play: func(s *stage) {
			client, server := s.Established()
			client.Write("a")
			client.Write("b")
			server.ReadBulk(2)
			server.Write("answer")
			client.Read(64)
			client.Write("c")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			// By their bytes: a loss probe may bring one of them once more.
			g.Expect(Find(g, r, "client.DATA@1[0]").Seq).To(BeEquivalentTo(1))
			g.Expect(Find(g, r, "client.DATA@1[1]").Seq).To(BeEquivalentTo(2))
			g.Expect(Find(g, r, "client.DATA@2").Seq).To(BeEquivalentTo(3))
		},
	},
	{
		name: "name/byte", word: "server.DATA@1[1000]",
		says:  "The segment that holds that byte of the turn, from 0, however the kernel cut it; without a turn, of the stream.",
		shows: "of three segments of 536 bytes it is the second, which comes again when it is lost",
		play: func(s *stage) {
			armed(s, "rewrite(options=02040218) client.SYN")
			armed(s, "drop server.DATA@1[1000]")
			client, server := s.Established()
			server.WriteBulk(1500)
			client.ReadBulk(1500)
		},
		judge: func(g Gomega, r *record.Run) {
			x := Find(g, r, "server.DATA@1[1000]")
			g.Expect(x.Seq).To(BeEquivalentTo(1 + 536))
			g.Expect(Find(g, r, "server.DATA[1000]")).To(BeIdenticalTo(x))
			g.Expect(x.Departures).To(BeEmpty())
			g.Expect(r).To(Delivered("server.DATA@1[1000]"))
			sentAgain(g, r, "server")
		},
	},
	{
		name: "name/bytes", word: "client.DATA@1[2:]",
		says:  "A segment that carries any byte of this range; the end is not part of it and may be left out.",
		shows: "it is the first that holds the third byte",
		play: func(s *stage) {
			unprobed(s)
			client, server := s.Established()
			client.Write("ab")
			client.Write("cd")
			server.ReadBulk(4)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA@1[2:]").Seq).To(BeEquivalentTo(3))
			g.Expect(r).To(HaveCount("client.DATA@1[1:3]", 2))
			g.Expect(r).To(HaveCount("client.DATA@1[:2]", 1))
		},
	},
	{
		name: "name/last-byte", word: "client.DATA@1[-1]",
		says:  "Counted from the turn's end, as a fault-free play showed it, which is played first.",
		shows: "the kernel repeats the last segment of the turn, and no other",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "drop "+s.word)
			client.Write("abc")
			client.Write("de")
			server.ReadBulk(5)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Dropped("client.DATA@1[4]"))
			g.Expect(r).NotTo(Dropped("client.DATA@1[0]"))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "name/copy", word: "client.DATA@1#2",
		says:  "The second arrival at the wire with the same first number and kind, from that host. Copies that the wire makes do not count.",
		shows: "it is the kernel's repeat, with the same number",
		play: func(s *stage) {
			armed(s, "drop client.DATA@1")
			exchange(s)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA@1#2").Seq).To(Equal(Find(g, r, "client.DATA@1").Seq))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "name/fin", word: "client.FIN",
		says:  "A segment with FIN, whatever else it carries.",
		shows: "the other program reads the end of file",
		play: func(s *stage) {
			client, server := s.Established()
			client.Shutdown()
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) { g.Expect(r).To(Returned("server", "read", 0)) },
	},
	{
		name: "name/merged", word: "client.FIN#2",
		says:  "A repeat that carries what two segments carried has the names of both.",
		shows: "lost data and a lost FIN come again as one segment",
		play: func(s *stage) {
			s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0") // a tail-loss probe would send the FIN alone
			client, server := s.Established()
			armed(s, "drop client.DATA@1")
			armed(s, "drop client.FIN")
			client.Write("x")
			client.Close()
			server.ReadAll()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA@1#2")).To(BeIdenticalTo(Find(g, r, "client.FIN#2")))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPRetransFail", 0))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "name/rst", word: "server.RST",
		says:  "A segment with RST.",
		shows: "the other program gets ECONNRESET",
		play: func(s *stage) {
			client, server := s.Established()
			server.Linger(0)
			server.Close()
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) { g.Expect(r).To(Failed("client", "read", "ECONNRESET")) },
	},
	{
		name: "name/keepalive", word: "client.KEEPALIVE",
		says:  "A bare ACK one below what is acknowledged already, to an end whose window is open: do you still live?",
		shows: "the kernel counts it so, its keep-alive timer ran, and the other kernel answers",
		play: func(s *stage) {
			client, _ := s.Established()
			client.KeepAlive(time.Second, time.Second, 0)
			s.Await(s.Wire.Seen("server.DUP-ACK"))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveTimer("client", tcp.Established, "keepalive"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPKeepAlive", moved))
			g.Expect(r).NotTo(Segments("client.PROBE"))
		},
	},
	{
		name: "name/probe", word: "client.PROBE",
		says:  "The same bytes to an end whose window is 0: is there room again?",
		shows: "the kernel counts it so, and its persist timer ran, while the other program did not read",
		play: func(s *stage) {
			server, client := s.Server.Peer(), s.Client.Peer()
			server.Open().ReceiveBuffer(4096)
			server.Listen(8080, 8)
			client.Connect(s.Server, 8080)
			server.Accept()
			all := client.BeginWriteBulk(20000)
			seen(s, "client.PROBE")
			server.ReadBulk(20000)
			all.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveTimer("client", tcp.Established, "persist"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPWinProbe", moved))
			g.Expect(r).NotTo(Segments("client.KEEPALIVE"))
		},
	},
	{
		name: "name/icmp", word: "forged.ICMP(server)",
		says:  "An ICMP error about a segment of the connection; it counts as sent from the end that the segment was for.",
		shows: "connect() fails at once",
		play: func(s *stage) {
			armed(s, "forge(instead, icmp port-unreachable) client.SYN")
			s.Client.Peer().Connect(s.Server, 8080)
		},
		judge: func(g Gomega, r *record.Run) { g.Expect(r).To(Failed("client", "connect", "ECONNREFUSED")) },
	},
	{
		name: "name/forged", word: "forged.RST(client)",
		says:  "Made by a rule, in the name of that host.",
		shows: "the reader is reset by what its peer's kernel never sent",
		play: func(s *stage) {
			armed(s, "forge(before, R) client.DATA@1")
			exchange(s)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "forged.RST(client)").SentBy).To(Equal("wire"))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
		},
	},
	{
		name: "name/attacker", word: "forged.SYN", of: []string{"Host.OpenRaw", "Stage.Attacker"},
		says:  "Made by a rule or by the attacker, in whoever's name.",
		shows: "the server challenges a SYN that a third host sent blindly, and the connection lives",
		hosts: []harness.HostSpec{{Name: harness.AttackerName}},
		play:  spoofed,
		judge: func(g Gomega, r *record.Run) {
			x := Find(g, r, "forged.SYN")
			g.Expect(x.SentBy).To(Equal(harness.AttackerName))
			g.Expect(x.From).To(Equal("client"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPSYNChallenge", 1))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "name/connection", word: "2:client.SYN",
		says:  "Of the second connection of the wire, by its first SYN; without a number it is the first.",
		shows: "it comes from another port than the first",
		play: func(s *stage) {
			client, _ := s.Established()
			client.Connect(s.Server, 8080)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(port(g, r, "2:client.SYN")).NotTo(Equal(port(g, r, "client.SYN")))
			g.Expect(r).To(HaveStates("2:client", tcp.SynSent, tcp.Established))
		},
	},
	{
		name: "name/opener", word: "server>client:server.SYN",
		says:  "Of a connection that the server opened to the client.",
		shows: "the server's kernel is in SYN_SENT, the client's in SYN_RECV",
		play: func(s *stage) {
			client := s.Client.Peer()
			client.Listen(9090, 1)
			s.Server.Peer().Connect(s.Client, 9090)
			client.Accept()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveStates("server", tcp.SynSent, tcp.Established))
			g.Expect(r).To(HaveStates("client", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "name/incarnation", word: "2:client.DATA",
		says:  "A new incarnation of the same four-tuple is another connection.",
		shows: "the program reads on a second connection between the same two ports as the first",
		play: func(s *stage) {
			server, client := s.Server.Peer(), s.Client.Peer()
			server.Listen(8080, 8)
			for range 2 {
				client.Open().Bind(4000)
				client.Connect(s.Server, 8080)
				server.Accept()
				client.Write("x")
				server.Read(1)
				client.Linger(0) // no TIME_WAIT keeps the port
				client.Close()
				server.Read(1)
			}
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(port(g, r, "2:client.SYN")).To(Equal(port(g, r, "client.SYN")))
			g.Expect(results(r, "server", "read")).To(Equal([]int64{1, -1, 1, -1}))
		},
	},
	{
		name: "name/simultaneous-open", word: "client.SYN-ACK",
		says:  "Where both ends open at once, both send SYN and SYN-ACK.",
		shows: "both kernels go from SYN_SENT over SYN_RECV to ESTABLISHED, on one connection",
		play: func(s *stage) {
			client, server := s.Client.Peer(), s.Server.Peer()
			client.Open().Bind(4000)
			server.Open().Bind(5000)
			armed(s, "hold client.SYN until server.SYN")
			opened := client.BeginConnect(s.Server, 5000)
			s.Await(s.Wire.Seen("client.SYN"))
			server.Connect(s.Client, 4000)
			opened.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.SYN", "server.SYN"))
			g.Expect(r).To(Segments("server.SYN-ACK"))
			g.Expect(r).To(HaveStates("client", tcp.SynSent, tcp.SynRecv, tcp.Established))
			g.Expect(r).To(HaveStates("server", tcp.SynSent, tcp.SynRecv, tcp.Established))
			g.Expect(r).NotTo(Segments("2:server.SYN"))
		},
	},
	{
		name: "name/simultaneous-close", word: "client.ACK(server.FIN)",
		says:  "Where both ends close at once, each FIN is sent before the other arrives.",
		shows: "both kernels are seen in CLOSING, and then in TIME_WAIT",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "hold client.FIN until server.FIN")
			armed(s, "hold server.FIN until client in FIN_WAIT_1")
			armed(s, "hold server.ACK(client.FIN) until client in CLOSING")
			armed(s, "hold client.ACK(server.FIN) until server in CLOSING")
			client.Close()
			s.Await(s.Wire.Seen("client.FIN"))
			server.Close()
			s.Await(client.In(tcp.TimeWait))
			s.Await(server.In(tcp.TimeWait))
		},
		judge: func(g Gomega, r *record.Run) {
			for _, host := range []string{"client", "server"} {
				g.Expect(r).To(HaveStates(host, tcp.FinWait1, tcp.Closing, tcp.TimeWait))
			}
		},
	},
	{
		name: "name/expression", word: `tcp.len == 2 && from == "client" && is("client.DATA")`,
		says:  "An expression over the segment's fields, in which names stand in is().",
		shows: "the kernel repeats that segment and no other",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "drop "+s.word)
			for _, text := range []string{"a", "bc", "d"} {
				client.Write(text)
				seen(s, "client.DATA@1")
			}
			server.ReadBulk(4)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Dropped("client.DATA@1[1]"))
			g.Expect(r).NotTo(Dropped("client.DATA@1[0]"))
			g.Expect(r).NotTo(Dropped("client.DATA@1[3]"))
			sentAgain(g, r, "client")
		},
	},
}

// exchange sends one byte from the client to the server; rules stand already.
func exchange(s *stage) {
	client, server := s.Established()
	client.Write("x")
	server.Read(1)
}

// port is where the first segment of that name came from.
func port(g Gomega, r *record.Run, name string) uint16 {
	var s tcp.Segment
	g.Expect(s.Parse(Find(g, r, name).Frame)).To(Succeed())
	return s.Src.Port()
}

// spoofed sends a SYN in the client's name, with a number that the attacker made
// up: it knows nothing but the addresses and ports.
func spoofed(s *stage) {
	client, server := s.Established()
	host := s.Attacker()
	attacker, err := inject.NewAttacker(host.OpenRaw("ip4:tcp"), host.OpenRaw("ip6:raw"))
	if err != nil {
		panic(err)
	}
	defer attacker.Close()
	blind := tcp.Header{Src: client.Local(), Dst: client.Remote(), Flags: tcp.SYN, Seq: 1 << 20, Window: 1 << 12}
	if err := attacker.Send(blind); err != nil {
		panic(err)
	}
	seen(s, "server.CHALLENGE-ACK")
	client.Write("x")
	server.Read(1)
}
