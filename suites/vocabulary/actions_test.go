package vocabulary

import (
	"time"

	. "github.com/onsi/gomega"

	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

var actions = []entry{
	{
		name: "action/drop", word: "drop client.DATA@1",
		shows: "the sender's kernel sends it again, and the program reads it then",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Dropped("client.DATA@1"))
			g.Expect(r).To(Delivered("client.DATA@1#2"))
			g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 1))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "action/drop-times", word: "drop client.DATA@1 2 times",
		shows: "the kernel needs three attempts",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Dropped("client.DATA@1", "client.DATA@1#2"))
			g.Expect(r).To(Delivered("client.DATA@1#3"))
			g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 2))
		},
	},
	{
		name: "action/drop-always", word: "drop client.FIN always",
		shows: "every repeat is lost too: the other kernel never leaves ESTABLISHED",
		play: func(s *stage) {
			client, _ := s.Established()
			s.arm()
			client.Close()
			s.Await(s.Wire.Seen("client.FIN#3"))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).NotTo(Delivered("client.FIN"))
			g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", BeNumerically(">=", 2)))
			g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "action/delay", word: "delay(150ms) client.DATA@1",
		shows: "the program reads it that much later than the other wrote it",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			late := call(g, r, "server", "read", 1).End - call(g, r, "client", "write", 1).T
			g.Expect(late).To(BeNumerically(">=", 150*time.Millisecond))
		},
	},
	{
		name: "action/hold", word: "hold client.DATA@1 until server.DATA@1",
		shows: "what was sent later arrives earlier, and the program reads it only when the condition is met",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("x")
			server.Write("y")
			server.Read(1)
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "server", "read", 1).End).To(BeNumerically(">=", Find(g, r, "server.DATA@1").T))
		},
	},
	{
		name: "action/hold-at-most", word: "hold client.DATA@1 until server.FIN at most 120ms",
		shows: "the program reads it after that time although the condition never came",
		play:  one,
		judge: func(g Gomega, r *record.Run) {
			late := call(g, r, "server", "read", 1).End - call(g, r, "client", "write", 1).T
			g.Expect(late).To(BeNumerically(">=", 120*time.Millisecond))
			g.Expect(r).NotTo(Segments("server.FIN"))
		},
	},
	{
		name: "action/hold-reversed", word: "hold(reversed) client.DATA until client.DATA@1[2] always",
		shows: "the kernel gets the second segment before the first, queues it out of order, and the program reads all in order",
		play: func(s *stage) {
			unprobed(s)
			client, server := s.Established()
			s.arm()
			for _, text := range []string{"a", "b", "c"} {
				client.Write(text)
			}
			server.ReadBulk(3)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("client.DATA@1[1]", "client.DATA@1[0]", "client.DATA@1[2]"))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPOFOQueue", 1))
		},
	},
	{
		name: "action/duplicate", word: "duplicate client.SYN",
		shows: "the server answers each copy with SYN-ACK, and the client challenges the second",
		play: func(s *stage) {
			s.arm()
			s.Established()
			seen(s, "client.CHALLENGE-ACK")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveCount("client.SYN", 1))
			g.Expect(r).To(HaveCount("server.SYN-ACK", 2))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPSYNChallenge", 1))
		},
	},
	{
		name: "action/duplicate-copies", word: "duplicate(2) client.DATA@1",
		shows: "the kernel says by DSACK that it had the bytes already, and the program reads them once",
		play: func(s *stage) {
			one(s)
			seen(s, "server.DUP-ACK")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA@1").Departures).To(HaveLen(3))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPDSACKOldSent", moved))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPDSACKRecv", moved))
			g.Expect(results(r, "server", "read")).To(Equal([]int64{1}))
		},
	},
	{
		name: "action/duplicate-later", word: "duplicate(1, 50ms) client.FIN",
		shows: "the kernel acknowledges the FIN again when the copy comes",
		play: func(s *stage) {
			unprobed(s)
			client, _ := s.Established()
			s.arm()
			client.Close()
			s.Await(s.Wire.Seen("server.ACK(client.FIN)#2"))
		},
		judge: func(g Gomega, r *record.Run) {
			x := Find(g, r, "client.FIN")
			g.Expect(x.Departures).To(HaveLen(2))
			g.Expect(x.Departures[1].T - x.T).To(BeNumerically(">=", 50*time.Millisecond))
			g.Expect(Find(g, r, "server.ACK(client.FIN)#2").T).To(BeNumerically(">=", x.Departures[1].T))
			sentOnce(g, r, "client")
		},
	},
	{
		name: "action/cut-fin", word: "cut(3, fin) server.DATA@1",
		shows: "the reader gets exactly these bytes and the end of file; its FIN is acknowledged; the other end's data is answered with RST",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			server.Write("0123456789")
			client.Read(64)
			client.Read(64) // end of file
			client.Close()
			server.Read(64) // its repeats are answered
			s.Await(client.Gone())
			s.Await(server.Gone())
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "client", "read")).To(Equal([]int64{3, 0}))
			g.Expect(string(call(g, r, "client", "read", 1).Data)).To(Equal("012"))
			g.Expect(r).To(HaveStates("client", tcp.CloseWait, tcp.LastAck, tcp.Closed))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).NotTo(Delivered("client.FIN"))
		},
	},
	{
		name: "action/cut-rst", word: "cut(3, rst) server.DATA@1",
		shows: "the reader gets exactly these bytes and then ECONNRESET; so does the other end, when it repeats what was cut off",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			server.Write("0123456789")
			client.Read(64)
			client.Read(64)
			server.Read(64)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(string(call(g, r, "client", "read", 1).Data)).To(Equal("012"))
			g.Expect(call(g, r, "client", "read", 2).Errno).To(Equal("ECONNRESET"))
			g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
		},
	},
	{
		name: "action/cut-last", word: "cut(-1, fin) server.DATA@1",
		shows: "all but the last byte arrive, however long the turn is, and then the end of file",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			server.Write("01234")
			server.Write("56789")
			client.ReadAll()
			server.Close()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "bulk-read", 1).Call).To(ContainSubstring("[9 bytes]"))
			g.Expect(call(g, r, "client", "bulk-read", 1).Result).To(BeZero())
			g.Expect(r).To(HaveStates("client", tcp.CloseWait))
		},
	},
	{
		name: "action/cut-stream", word: "cut(12, fin) server.DATA",
		shows: "bytes are counted over all turns",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			server.Write("0123456789")
			client.Read(64)
			client.Write("go on")
			server.Read(64)
			server.Write("0123456789")
			client.ReadAll()
			server.Read(64)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "client", "read")).To(Equal([]int64{10}))
			g.Expect(call(g, r, "client", "bulk-read", 1).Call).To(ContainSubstring("[2 bytes]"))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
		},
	},
	{
		name: "action/silence-to", word: "silence(to-server) client.DATA@1",
		shows: "one end hears everything and is not heard: both kernels repeat, only one program reads, until the rule is disarmed",
		play: func(s *stage) {
			client, server := s.Established()
			deaf := s.arm()
			client.Write("x")
			server.Write("y")
			client.Read(1)
			s.Await(s.Wire.Seen("server.DATA@1#2"))
			s.Await(s.Wire.Seen("client.DATA@1#2"))
			deaf.Disarm()
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Dropped("client.DATA@1", "client.DATA@1#2"))
			g.Expect(r).To(Delivered("server.DATA@1", "server.DATA@1#2"))
			sentAgain(g, r, "client")
			sentAgain(g, r, "server")
			g.Expect(call(g, r, "server", "read", 1).End).To(BeNumerically(">", call(g, r, "client", "read", 1).End))
		},
	},
	{
		name: "action/silence-both", word: "silence(both) client.DATA@1",
		shows: "nothing passes: the kernel gives up after its TCP_USER_TIMEOUT, and the program gets ETIMEDOUT",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.UserTimeout(300 * time.Millisecond)
			client.Write("x")
			server.Write("y")
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "action/forget", word: "forget client.DATA@1",
		shows: "a middlebox that forgot the flow is silent: both kernels repeat in vain",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("x")
			server.Write("y")
			s.Await(s.Wire.Seen("client.DATA@1#2"))
			s.Await(s.Wire.Seen("server.DATA@1#2"))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).NotTo(Delivered("client.DATA"))
			g.Expect(r).NotTo(Delivered("server.DATA"))
			sentAgain(g, r, "client")
			sentAgain(g, r, "server")
		},
	},
	{
		name: "action/forget-rst", word: "forget(rst) client.DATA@1",
		shows: "a middlebox that answers for the flow it forgot: each end gets ECONNRESET when it next sends",
		play: func(s *stage) {
			client, server := s.Established()
			s.arm()
			client.Write("x")
			client.Read(1)
			server.Write("y")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 1))
			g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			g.Expect(r).NotTo(Segments("client.RST"))
		},
	},
}
