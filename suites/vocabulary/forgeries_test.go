package vocabulary

import (
	. "github.com/onsi/gomega"

	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

var forgeries = []entry{
	{
		name: "action/forge-before", word: "forge(before, R) client.DATA@1",
		shows: "a RST with the very next number ends the connection before the data arrives: the reader gets ECONNRESET",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("forged.RST(client)", "client.DATA@1", "server.RST"))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
		},
	},
	{
		name: "action/forge-after", word: "forge(after, F.) client.DATA@1",
		shows: "the reader gets the data and then an end of file which the other end never sent",
		play: func(s *stage) {
			one(s)
			s.Server.Peer().Read(1) // end of file
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "server", "read")).To(Equal([]int64{1, 0}))
			g.Expect(r).To(HaveStates("server", tcp.CloseWait))
			g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
		},
	},
	{
		name: "action/forge-instead", word: "forge(instead, R, to=client) client.DATA@1",
		shows: "the sender is reset in the receiver's name, and the receiver never hears of the data",
		play: func(s *stage) {
			client, _ := s.Established()
			s.arm()
			client.Write("x")
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 1))
			g.Expect(r).NotTo(Delivered("client.DATA"))
			g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "action/forge-seq", word: "forge(before, R, seq=RCV.NXT+10) client.DATA@1",
		shows: "a RST in the window is answered by a challenge ACK (RFC 5961), and the connection lives",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("forged.RST(client)", "server.CHALLENGE-ACK"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 1))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "action/forge-seq-window", word: "forge(before, R, seq=RCV.NXT+RCV.WND+10) client.DATA@1",
		shows: "a RST beyond the window is dropped without an answer, and the connection lives",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("forged.RST(client)", "server.ACK(client.DATA@1)"))
			g.Expect(r).NotTo(Segments("server.CHALLENGE-ACK"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 0))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "action/forge-ack", word: "forge(instead, ., ack=SND.NXT+100000) client.DATA@1",
		shows: "an ACK of data that was never sent is answered with an ACK, and the connection lives",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("forged.ACK(client)", "server.CHALLENGE-ACK"))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "action/forge-win", word: "forge(instead, ., to=client, win=0) server.ACK(client.DATA@1)",
		shows: "the kernel believes in a window of 0 that nobody offered: its persist timer runs, and it probes",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("x")
			seen(s, "forged.ACK(server)")
			client.Write("y")
			server.ReadBulk(2)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveTimer("client", tcp.Established, "persist"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPWinProbe", moved))
			g.Expect(r).To(Segments("client.PROBE"))
		},
	},
	{
		name: "action/forge-len", word: "forge(before, P., len=3) client.DATA@1",
		shows: "the program reads bytes that nobody wrote, in place of those that were",
		play:  func(s *stage) { one(s); s.Server.Peer().ReadBulk(2) },
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "server", "read", 1).Data).To(Equal([]byte{0}))
			g.Expect(call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[2 bytes]"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPDSACKOldSent", moved))
		},
	},
	{
		name: "action/forge-ts-none", word: "forge(before, P., len=1, ts=none) client.DATA@1",
		shows: "Linux accepts data without a timestamp on a connection that has them",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(options(g, r, "forged.DATA(client)").Timestamps).To(BeFalse())
			g.Expect(call(g, r, "server", "read", 1).Data).To(Equal([]byte{0}))
			g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 0))
		},
	},
	{
		name: "action/forge-ts-old", word: "forge(before, P., len=1, ts=old) client.DATA@1",
		shows: "PAWS: forged data with an old timestamp is dropped, and the true byte is read",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 1))
			g.Expect(string(call(g, r, "server", "read", 1).Data)).To(Equal("x"))
		},
	},
	{
		name: "action/forge-ts-new", word: "forge(before, ., ts=new) client.DATA@1",
		shows: "one forged ACK with a timestamp of the future, and PAWS drops what the true sender says",
		play: func(s *stage) {
			client, _ := s.Established()
			s.arm()
			client.Write("x")
			seen(s, "server.DUP-ACK")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("forged.ACK(client)", "client.DATA@1", "server.DUP-ACK"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", moved))
			g.Expect(r).NotTo(Segments("server.ACK(client.DATA@1)"))
		},
	},
	{
		name: "action/forge-both", word: "forge(instead, R, to=both) client.DATA@1",
		shows: "a middlebox resets both ends in each other's name, and neither kernel has sent a thing",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("x")
			client.Read(1)
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).NotTo(Segments("client.RST"))
			g.Expect(r).NotTo(Segments("server.RST"))
		},
	},
	{
		name: "action/forge-ends", word: "forge(instead, F., ends) server.DATA@1",
		shows: "the reader gets an end of file in place of the data, its own FIN is acknowledged, and the writer is reset when it repeats: both ends are dead",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			server.Write("x")
			client.Read(1) // end of file
			client.Close()
			server.Read(1)
			s.Await(client.Gone())
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "client", "read")).To(Equal([]int64{0}))
			g.Expect(r).To(HaveStates("client", tcp.CloseWait, tcp.LastAck, tcp.Closed))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).NotTo(Delivered("client.FIN"))
		},
	},
	{
		name: "action/inject", word: "", of: []string{"Wire.Inject"},
		shows: "a forgery without a segment to match: a RST in the window of an idle connection is answered by a challenge ACK",
		play: func(s *stage) {
			s.Established()
			number, err := inject.ParseNumber("RCV.NXT+10")
			if err != nil {
				panic(err)
			}
			s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST, Seq: &number})
			seen(s, "server.CHALLENGE-ACK")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 1))
			g.Expect(Find(g, r, "forged.RST(client)").SentBy).To(Equal("wire"))
		},
	},
	{
		name: "action/forge-mss", word: "forge(instead, S, seq=0, mss=600) client.SYN",
		shows: "the other end sends segments of no more than that",
		play: func(s *stage) {
			s.arm()
			client, server := s.Established()
			server.WriteBulk(1200)
			client.ReadBulk(1200)
		},
		judge: func(g Gomega, r *record.Run) {
			sum := 0
			for _, x := range All(g, r, "server.DATA") {
				g.Expect(x.Len).To(BeNumerically("<=", 600))
				sum += x.Len
			}
			g.Expect(sum).To(BeNumerically(">=", 1200))
		},
	},
	unreachable(tcp.PortUnreachable, "ECONNREFUSED", "ECONNREFUSED"),
	unreachable(tcp.HostUnreachable, "EHOSTUNREACH", "EHOSTUNREACH"),
	unreachable(tcp.NetUnreachable, "ENETUNREACH", "ENETUNREACH"),
	unreachable(tcp.AdminProhibited, "EHOSTUNREACH", "EACCES"),
	{
		name: "action/forge-icmp-too-big", word: "forge(instead, icmp too-big, mtu=1300) client.DATA@1[0]",
		shows: "path MTU discovery: the kernel sends the data again in segments that fit",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.WriteBulk(1400)
			server.ReadBulk(1400)
		},
		judge: func(g Gomega, r *record.Run) {
			data := All(g, r, "client.DATA")
			g.Expect(data[0].Len).To(Equal(1400))
			for _, x := range data[1:] {
				g.Expect(x.Len).To(BeNumerically("<=", 1300-40))
			}
			sentAgain(g, r, "client")
		},
	},
}

// unreachable is a connect() that an ICMP error answers.
func unreachable(why tcp.Unreachable, errno4, errno6 string) entry {
	errnos := errno4
	if errno6 != errno4 {
		errnos += " over IPv4 and " + errno6 + " over IPv6"
	}
	return entry{
		name: "action/forge-icmp-" + string(why), word: "forge(instead, icmp " + string(why) + ") client.SYN",
		shows: "connect() fails with " + errnos,
		play: func(s *stage) {
			s.Server.Peer().Listen(8080, 8)
			s.arm()
			s.Client.Peer().Connect(s.Server, 8080)
		},
		judge: func(g Gomega, r *record.Run) {
			errno := errno4
			if r.IP == 6 {
				errno = errno6
			}
			g.Expect(r).To(Failed("client", "connect", errno))
			g.Expect(r).To(HaveDelta("client", "Tcp.AttemptFails", 1))
		},
	}
}
