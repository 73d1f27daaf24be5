package vocabulary

import (
	. "github.com/onsi/gomega"

	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

var rewrites = []entry{
	{
		name: "action/rewrite-seq", word: "rewrite(seq=RCV.NXT+10) client.DATA@1",
		shows: "the kernel takes the byte for one from beyond a gap, and the right one comes by a repeat",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPOFOQueue", 1))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "action/rewrite-seq-add", word: "rewrite(seq-=1000000) client.DATA@1[1]",
		shows: "the kernel answers data from before its window with a DUP-ACK, and the repeat is read",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("a")
			seen(s, "server.ACK(client.DATA@1)")
			client.Write("b")
			server.ReadBulk(2)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("client.DATA@1[1]", "server.DUP-ACK", "client.DATA@1[1]#2"))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "action/rewrite-ack", word: "rewrite(ack=SND.NXT+100000) client.DATA@1",
		shows: "data that acknowledges what was never sent is dropped and answered, and the repeat is read",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("client.DATA@1", "server.CHALLENGE-ACK", "client.DATA@1#2"))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "action/rewrite-flags", word: "rewrite(flags=R.) client.DATA@1",
		shows: "the kernel is reset, and the program gets ECONNRESET",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
		},
	},
	{
		name: "action/rewrite-win", word: "rewrite(win=0) server.ACK(client.DATA@1)",
		shows: "the kernel believes in a window of 0: its persist timer runs, and it probes",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("x")
			seen(s, "server.ACK(client.DATA@1)")
			client.Write("y")
			server.ReadBulk(2)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveTimer("client", tcp.Established, "persist"))
			g.Expect(r).To(Delivered("client.PROBE", "client.DATA@1[1]"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPWinProbe", moved))
		},
	},
	{
		name: "action/rewrite-ttl", word: "rewrite(ttl=1) client.DATA@1",
		shows: "the kernel accepts the changed packet, whose IP header adds up, at the first attempt",
		play: func(s *stage) {
			unprobed(s)
			one(s)
		},
		judge: func(g Gomega, r *record.Run) {
			at := 14 + 8
			if r.IP == 6 {
				at = 14 + 7
			}
			x := Find(g, r, "client.DATA@1")
			g.Expect(x.Frame[at]).NotTo(BeEquivalentTo(1))
			g.Expect(x.Rewritten[at]).To(BeEquivalentTo(1))
			g.Expect(r).To(Returned("server", "read", 1))
			sentOnce(g, r, "client")
		},
	},
	{
		name: "action/rewrite-tsval", word: "rewrite(tsval-=3600000) client.DATA@1",
		shows: "PAWS: the kernel drops a segment whose timestamp is an hour old",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 1))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "action/rewrite-tsecr", word: "rewrite(tsecr+=100000) server.SYN-ACK",
		shows: "a SYN-ACK that echoes a timestamp which the client never sent is answered with RST",
		play: func(s *stage) {
			s.arm()
			s.Server.Peer().Listen(8080, 8)
			s.Client.Peer().BeginConnect(s.Server, 8080)
			seen(s, "client.RST")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("client", "TcpExt.PAWSActive", 1))
			g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
		},
	},
	{
		name: "action/rewrite-options-none", word: "rewrite(options=none) client.SYN",
		shows: "the server offers no option but its MSS, because it was offered none",
		play:  func(s *stage) { s.arm(); s.Established() },
		judge: func(g Gomega, r *record.Run) {
			asked, offered := options(g, r, "client.SYN"), options(g, r, "server.SYN-ACK")
			g.Expect(asked.Timestamps).To(BeTrue())
			g.Expect(offered.Timestamps).To(BeFalse())
			g.Expect(offered.SACKPermitted).To(BeFalse())
			g.Expect(offered.WindowScale).To(BeNumerically("<", 0))
			g.Expect(offered.MSS).NotTo(BeZero())
		},
	},
	{
		name: "action/rewrite-options", word: "rewrite(options=020400c8) client.SYN",
		shows: "the server believes in an MSS of 200 and sends no longer segment",
		play: func(s *stage) {
			s.arm()
			client, server := s.Established()
			server.WriteBulk(600)
			client.ReadBulk(600)
		},
		judge: func(g Gomega, r *record.Run) {
			data := All(g, r, "server.DATA")
			g.Expect(len(data)).To(BeNumerically(">=", 3))
			for _, x := range data {
				g.Expect(x.Len).To(BeNumerically("<=", 200))
			}
		},
	},
	{
		name: "action/rewrite-keep", word: "rewrite(keep=2) client.DATA@1",
		shows: "the kernel acknowledges two bytes of five, and the rest comes by a repeat",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("hello")
			server.Read(64)
			server.ReadBulk(3)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(string(call(g, r, "server", "read", 1).Data)).To(Equal("he"))
			g.Expect(r).To(Segments("server.ACK(client.DATA@1[1])", "server.ACK(client.DATA@1[4])"))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "action/rewrite-payload", word: "rewrite(payload=HELLO) client.DATA@1",
		shows: "the program reads other bytes than were written, and no kernel notices",
		play: func(s *stage) {
			unprobed(s)
			client, server := s.Established()
			s.arm()
			client.Write("hello")
			server.Read(64)
			seen(s, "server.ACK(client.DATA@1)")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(string(call(g, r, "server", "read", 1).Data)).To(Equal("HELLO"))
			sentOnce(g, r, "client")
		},
	},
	{
		name: "action/rewrite-checksum", word: "rewrite(checksum=bad) client.DATA@1",
		shows: "the kernel drops and counts it, and the repeat is read",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "Tcp.InCsumErrors", 1))
			sentAgain(g, r, "client")
		},
	},
}

// options are those of the first segment of that name, as it came to the wire.
func options(g Gomega, r *record.Run, name string) tcp.Options {
	var s tcp.Segment
	g.Expect(s.Parse(Find(g, r, name).Frame)).To(Succeed())
	return s.Options
}
