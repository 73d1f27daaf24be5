package vocabulary

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

var peerCalls = []entry{
	{
		name: "peer/kill", of: []string{"Peer.Kill"},
		shows: "the kernel closes for the killed process: FIN, because nothing was unread",
		play: func(s *stage) {
			client, server := s.Established()
			server.Kill()
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("server.FIN"))
			g.Expect(r).To(Returned("client", "read", 0))
		},
	},
	{
		name: "peer/stop", of: []string{"Peer.Stop", "Peer.Continue"},
		shows: "only its kernel speaks: a close() that was asked for is made when it goes on",
		play: func(s *stage) {
			client, server := s.Established()
			closing := server.CloseAtEOF()
			server.Stop()
			client.Shutdown()
			seen(s, "server.ACK(client.FIN)")
			server.Continue()
			closing.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			again := call(g, r, "server", "continue", 1).T
			g.Expect(Find(g, r, "server.ACK(client.FIN)").T).To(BeNumerically("<", again))
			g.Expect(call(g, r, "server", "close", 1).T).To(BeNumerically(">=", again))
		},
	},
	{
		name: "peer/exit", of: []string{"Peer.Exit"},
		shows: "exit() with an open socket sends what close() sends",
		play: func(s *stage) {
			client, server := s.Established()
			server.Exit(1)
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("server.FIN"))
			g.Expect(r).NotTo(HaveStates("server", tcp.CloseWait))
			g.Expect(calls(r, "server", "close")).To(BeEmpty())
			g.Expect(r).To(Returned("client", "read", 0))
		},
	},
	{
		name: "peer/connect", of: []string{"Peer.Listen", "Peer.Connect", "Peer.Accept", "Peer.Listener", "Stage.Established"},
		shows: "connect() returns when the kernel is ESTABLISHED, accept() takes the connection, and a port without a listener refuses",
		play: func(s *stage) {
			client, server := s.Established()
			server.Listener().Close()
			client.Connect(s.Server, 8080)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "connect", 1).Result).To(BeZero())
			g.Expect(call(g, r, "client", "connect", 2).Errno).To(Equal("ECONNREFUSED"))
			g.Expect(call(g, r, "server", "accept", 1).Errno).To(BeEmpty())
			g.Expect(r).To(Segments("2:client.SYN", "2:server.RST"))
		},
	},
	{
		name: "peer/sockets", of: []string{"Peer.Open", "Socket.Bind", "Socket.Listen", "Socket.Connect", "Socket.Accept"},
		shows: "the client's segments come from the port that it bound, and each socket is a connection of its own",
		play: func(s *stage) {
			listener, client := s.Server.Peer().Open(), s.Client.Peer()
			listener.Bind(8080)
			listener.Listen(8)
			one, two := client.Open(), client.Open()
			one.Bind(4001)
			two.Bind(4002)
			one.Connect(s.Server, 8080)
			two.Connect(s.Server, 8080)
			first := listener.Accept()
			listener.Accept()
			one.Write("x")
			first.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(port(g, r, "client.SYN")).To(BeEquivalentTo(4001))
			g.Expect(port(g, r, "2:client.SYN")).To(BeEquivalentTo(4002))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "peer/begin-connect", of: []string{"Peer.BeginAccept", "Peer.BeginConnect", "Pending.Accepted", "Pending.Wait"},
		shows: "the play goes on, and both calls return when the SYN has passed",
		play: func(s *stage) {
			client, server := s.Client.Peer(), s.Server.Peer()
			server.Listen(8080, 8)
			accepting := server.BeginAccept()
			syn := armed(s, "hold client.SYN until after 60ms")
			connecting := client.BeginConnect(s.Server, 8080)
			s.Await(syn.Fired())
			connecting.Wait()
			accepting.Accepted()
		},
		judge: func(g Gomega, r *record.Run) {
			passed := left(g, Find(g, r, "client.SYN"))
			for _, c := range []record.Call{call(g, r, "client", "connect", 1), call(g, r, "server", "accept", 1)} {
				g.Expect(c.End).To(BeNumerically(">=", passed))
				g.Expect(c.Errno).To(BeEmpty())
			}
		},
	},
	{
		name: "peer/begin-on-socket", of: []string{"Socket.BeginAccept", "Socket.BeginConnect"},
		shows: "the same of sockets that the play opened itself",
		play: func(s *stage) {
			listener, client := s.Server.Peer().Open(), s.Client.Peer().Open()
			listener.Bind(8080)
			listener.Listen(1)
			accepting := listener.BeginAccept()
			client.BeginConnect(s.Server, 8080).Wait()
			accepting.Accepted()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "server", "accept", 1).End).To(BeNumerically(">", Find(g, r, "client.SYN").T))
			g.Expect(r).To(Returned("client", "connect", 0))
		},
	},
	{
		name: "peer/read", of: []string{"Socket.Read", "Socket.Write"},
		shows: "read() returns the bytes that write() sent",
		play: func(s *stage) {
			client, server := s.Established()
			client.Write("hello")
			server.Read(64)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Returned("client", "write", 5))
			g.Expect(string(call(g, r, "server", "read", 1).Data)).To(Equal("hello"))
		},
	},
	{
		name: "peer/read-now", of: []string{"Socket.ReadNow"},
		shows: "EAGAIN where nothing is there",
		play: func(s *stage) {
			_, server := s.Established()
			server.ReadNow(64)
		},
		judge: func(g Gomega, r *record.Run) { g.Expect(r).To(Failed("server", "recv", "EAGAIN")) },
	},
	{
		name: "peer/nonblock", of: []string{"Socket.Nonblock"},
		shows: "a read() of nothing fails with EAGAIN, and waits again when it is switched off",
		play: func(s *stage) {
			client, server := s.Established()
			server.Nonblock(true)
			server.Read(64)
			server.Nonblock(false)
			reading := server.BeginRead(64)
			client.Write("x")
			reading.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "server", "read", 1).Errno).To(Equal("EAGAIN"))
			g.Expect(call(g, r, "server", "read", 2).Result).To(BeEquivalentTo(1))
		},
	},
	{
		name: "peer/peek", of: []string{"Socket.Peek", "Socket.Queued"},
		shows: "peeked bytes stay in the kernel's queue",
		play: func(s *stage) {
			client, server := s.Established()
			client.Write("abc")
			server.Peek(64)
			server.Queued()
			server.Read(64)
			server.Queued()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "server", "recv", 1).Result).To(BeEquivalentTo(3))
			g.Expect(call(g, r, "server", "ioctl", 1).Call).To(ContainSubstring("[3]"))
			g.Expect(call(g, r, "server", "read", 1).Result).To(BeEquivalentTo(3))
			g.Expect(call(g, r, "server", "ioctl", 2).Call).To(ContainSubstring("[0]"))
		},
	},
	{
		name: "peer/bulk", of: []string{"Socket.ReadBulk", "Socket.WriteBulk", "Socket.ReadAll"},
		shows: "all bytes arrive, and reading ends at the end of file",
		play: func(s *stage) {
			client, server := s.Established()
			client.WriteBulk(30000)
			client.Close()
			server.ReadBulk(10000)
			server.ReadAll()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "bulk-write", 1).Call).To(ContainSubstring("[30000 bytes]"))
			g.Expect(call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[10000 bytes]"))
			g.Expect(call(g, r, "server", "bulk-read", 2).Call).To(ContainSubstring("[20000 bytes]"))
			g.Expect(call(g, r, "server", "bulk-read", 2).Result).To(BeZero())
		},
	},
	{
		name: "peer/begin-bulk", of: []string{"Socket.BeginReadAll", "Socket.BeginWriteBulk"},
		shows: "a bulk write() waits in the kernel until the other end reads",
		play: func(s *stage) {
			client, server := s.Established()
			client.SendBuffer(4608)
			writing := client.BeginWriteBulk(200000)
			s.Await(s.Wire.Seen("client.DATA@1[20000]"))
			reading := server.BeginReadAll()
			writing.Wait()
			client.Close()
			reading.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "bulk-write", 1).End).To(BeNumerically(">", call(g, r, "server", "bulk-read", 1).T))
			g.Expect(call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[200000 bytes]"))
		},
	},
	{
		name: "peer/begin-read", of: []string{"Socket.BeginRead", "Socket.BeginWrite"},
		shows: "the play goes on and sends what the read() waits for",
		play: func(s *stage) {
			client, server := s.Established()
			reading := server.BeginRead(64)
			client.BeginWrite("x").Wait()
			reading.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			read := call(g, r, "server", "read", 1)
			g.Expect(read.End).To(BeNumerically(">=", Find(g, r, "client.DATA@1").T))
			g.Expect(read.Result).To(BeEquivalentTo(1))
		},
	},
	{
		name: "peer/shutdown", of: []string{"Socket.Shutdown"},
		shows: "half-close: FIN is sent, and data of the other end is still read",
		play: func(s *stage) {
			client, server := s.Established()
			client.Shutdown()
			server.Read(1)
			server.Write("x")
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.FIN", "server.DATA@1"))
			g.Expect(r).To(Returned("client", "read", 1))
			g.Expect(r).To(HaveStates("server", tcp.CloseWait))
			g.Expect(r).NotTo(Segments("client.RST"))
		},
	},
	{
		name: "peer/shutdown-read", of: []string{"Socket.ShutdownRead"},
		shows: "nothing is sent, and later data is acknowledged and read all the same",
		play: func(s *stage) {
			client, server := s.Established()
			client.ShutdownRead()
			client.Read(1)
			server.Write("x")
			seen(s, "client.ACK(server.DATA@1)")
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "client", "read")).To(Equal([]int64{0, 1}))
			g.Expect(r).NotTo(Segments("client.FIN"))
			g.Expect(r).NotTo(Segments("client.RST"))
		},
	},
	{
		name: "peer/shutdown-both", of: []string{"Socket.ShutdownBoth"},
		shows: "FIN is sent, the descriptor stays, and write() fails with EPIPE and SIGPIPE",
		play: func(s *stage) {
			client, server := s.Established()
			client.ShutdownBoth()
			server.Read(1)
			client.Write("x")
			client.Close()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.FIN"))
			g.Expect(call(g, r, "client", "write", 1).Errno).To(Equal("EPIPE"))
			g.Expect(call(g, r, "client", "write", 1).Signal).To(Equal("SIGPIPE"))
			g.Expect(r).To(Returned("client", "close", 0))
		},
	},
	{
		name: "peer/close", of: []string{"Socket.Close"},
		shows: "FIN is sent, the other program reads the end of file, and the descriptor is gone",
		play: func(s *stage) {
			client, server := s.Established()
			client.Close()
			server.Read(1)
			client.Close()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Returned("server", "read", 0))
			g.Expect(call(g, r, "client", "close", 1).Errno).To(BeEmpty())
			g.Expect(call(g, r, "client", "close", 2).Errno).To(Equal("EBADF"))
		},
	},
	{
		name: "peer/linger", of: []string{"Socket.Linger"},
		shows: "SO_LINGER {1, 0}: close() sends RST and throws away what was written",
		play: func(s *stage) {
			client, server := s.Established()
			client.Linger(0)
			client.Close()
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.RST"))
			g.Expect(r).NotTo(Segments("client.FIN"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
		},
	},
	{
		name: "peer/begin-close", of: []string{"Socket.BeginClose"},
		shows: "with SO_LINGER {1, 5} close() waits until the FIN is acknowledged",
		play: func(s *stage) {
			client, _ := s.Established()
			armed(s, "hold server.ACK(client.FIN) until after 80ms")
			client.Linger(5)
			client.BeginClose().Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			c := call(g, r, "client", "close", 1)
			g.Expect(c.Errno).To(BeEmpty())
			g.Expect(c.T).To(BeNumerically("<=", Find(g, r, "client.FIN").T))
			g.Expect(c.End).To(BeNumerically(">=", left(g, Find(g, r, "server.ACK(client.FIN)"))))
		},
	},
	{
		name: "peer/linger2", of: []string{"Socket.Linger2"},
		shows: "below 0: instead of FIN_WAIT_2 a RST, when the FIN is acknowledged",
		play: func(s *stage) {
			client, _ := s.Established()
			client.Linger2(-1)
			client.Close()
			seen(s, "client.RST")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.FIN", "server.ACK(client.FIN)", "client.RST"))
			g.Expect(r).NotTo(HaveStates("client", tcp.FinWait2))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
		},
	},
	{
		name: "peer/close-at-eof", of: []string{"Socket.CloseAtEOF"},
		shows: "close() follows the end of file without a way back to the play",
		play: func(s *stage) {
			client, server := s.Established()
			closing := server.CloseAtEOF()
			client.Close()
			closing.Wait()
			s.Await(server.Gone())
		},
		judge: func(g Gomega, r *record.Run) {
			read, closed := call(g, r, "server", "read", 1), call(g, r, "server", "close", 1)
			g.Expect(read.Result).To(BeZero())
			g.Expect(read.End).To(BeNumerically(">=", Find(g, r, "client.FIN").T))
			g.Expect(closed.T).To(BeNumerically(">=", read.End))
			g.Expect(r).To(HaveStates("server", tcp.LastAck, tcp.Closed))
		},
	},
	{
		name: "peer/poll", of: []string{"Socket.Poll", "Socket.BeginPoll"},
		shows: "nothing, then IN for data, then IN and RDHUP for a FIN, and ERR and HUP for a RST",
		play: func(s *stage) {
			client, server := s.Established()
			server.Poll("IN|RDHUP", 0)
			waiting := server.BeginPoll("IN|RDHUP", -1)
			client.Write("x")
			waiting.Wait()
			client.Shutdown()
			seen(s, "server.ACK(client.FIN)")
			server.Poll("IN|RDHUP", -1)
			server.Linger(0)
			server.Close()
			seen(s, "server.RST")
			client.Poll("IN", -1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "server", "poll")).To(Equal([]int64{0, 1, 1}))
			g.Expect(call(g, r, "server", "poll", 2).Call).To(MatchRegexp(`\[\{\d+, IN\}\]\)$`))
			g.Expect(call(g, r, "server", "poll", 3).Call).To(ContainSubstring("IN|RDHUP}])"))
			g.Expect(call(g, r, "client", "poll", 1).Call).To(ContainSubstring("ERR|HUP"))
		},
	},
	{
		name: "peer/reuse-addr", of: []string{"Socket.ReuseAddr"},
		shows: "bind() to a port with a connection fails with EADDRINUSE without it",
		play: func(s *stage) {
			_, server := s.Established()
			server.Listener().Close()
			server.Open().Bind(8080)
			again := server.Open()
			again.ReuseAddr()
			again.Bind(8080)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "server", "bind", 2).Errno).To(Equal("EADDRINUSE"))
			g.Expect(call(g, r, "server", "bind", 3).Errno).To(BeEmpty())
		},
	},
	{
		name: "peer/keep-alive", of: []string{"Socket.KeepAlive"},
		shows: "one question without an answer ends the connection: ETIMEDOUT, and a RST",
		play: func(s *stage) {
			client, _ := s.Established()
			armed(s, "silence(to-server) client.KEEPALIVE")
			client.KeepAlive(time.Second, time.Second, 1)
			client.Read(1)
			s.Await(s.Wire.Seen("client.RST"))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPKeepAlive", 1))
			g.Expect(r).To(Segments("client.KEEPALIVE", "client.RST"))
		},
	},
	{
		name: "peer/user-timeout", of: []string{"Socket.UserTimeout"},
		shows: "bytes that are not acknowledged for that time end the connection: ETIMEDOUT",
		play: func(s *stage) {
			client, _ := s.Established()
			armed(s, "silence(to-server) client.DATA@1")
			client.UserTimeout(300 * time.Millisecond)
			client.Write("x")
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
			g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			lasted := call(g, r, "client", "read", 1).End - call(g, r, "client", "write", 1).T
			g.Expect(lasted).To(BeNumerically(">=", 300*time.Millisecond))
		},
	},
	{
		name: "peer/no-delay", of: []string{"Socket.NoDelay"},
		shows: "off: Nagle's algorithm keeps the second small write until the first is acknowledged",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "hold server.ACK(client.DATA@1[0]) until after 60ms")
			client.NoDelay(false)
			client.Write("a")
			client.Write("b")
			server.ReadBulk(2)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA@1[1]").T).To(BeNumerically(">=", left(g, Find(g, r, "server.ACK(client.DATA@1[0])"))))
		},
	},
	{
		name: "peer/cork", of: []string{"Socket.Cork", "Socket.Uncork"},
		shows: "two writes leave as one segment, when the cork is drawn",
		play: func(s *stage) {
			unprobed(s)
			client, server := s.Established()
			client.Cork()
			client.Write("a")
			client.Write("b")
			client.Uncork()
			server.ReadBulk(2)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveCount("client.DATA", 1))
			g.Expect(Find(g, r, "client.DATA").Len).To(Equal(2))
		},
	},
	{
		name: "peer/quick-ack", of: []string{"Socket.QuickACK"},
		shows: "off: the kernel delays its first ACK too, and counts it",
		play: func(s *stage) {
			client, server := s.Established()
			server.QuickACK(false)
			client.Write("x")
			seen(s, "server.ACK(client.DATA@1)")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.DelayedACKs", moved))
		},
	},
	{
		name: "peer/receive-buffer", of: []string{"Socket.ReceiveBuffer"},
		shows: "the kernel offers no larger window",
		play: func(s *stage) {
			s.Server.Peer().Listen(8080, 8)
			client := s.Client.Peer()
			client.Open().ReceiveBuffer(4096)
			client.Connect(s.Server, 8080)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.SYN").Window).To(BeNumerically("<=", 2*4096))
		},
	},
	{
		name: "peer/send-buffer", of: []string{"Socket.SendBuffer", "Socket.Unacked"},
		shows: "the kernel takes few bytes that it cannot send: then EAGAIN",
		play: func(s *stage) {
			client, _ := s.Established()
			silence := armed(s, "silence(to-server) client.DATA@1")
			client.SendBuffer(4608)
			client.Nonblock(true)
			client.WriteBulk(1 << 20)
			s.Await(silence.Fired())
			client.Unacked()
		},
		judge: func(g Gomega, r *record.Run) {
			c := call(g, r, "client", "bulk-write", 1)
			g.Expect(c.Errno).To(Equal("EAGAIN"))
			g.Expect(call(g, r, "client", "ioctl", 1).Call).To(MatchRegexp(`\[\d{1,5}\]`))
		},
	},
	{
		name: "peer/socket-error", of: []string{"Socket.SocketError"},
		shows: "SO_ERROR tells of the RST once, and is cleared by that",
		play: func(s *stage) {
			client, server := s.Established()
			server.Linger(0)
			server.Close()
			seen(s, "server.RST")
			client.SocketError()
			client.SocketError()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "getsockopt", 1).Call).To(ContainSubstring("[ECONNRESET]"))
			g.Expect(call(g, r, "client", "getsockopt", 2).Call).To(ContainSubstring("[0]"))
		},
	},
	{
		name: "peer/info", of: []string{"Socket.Info"},
		shows: "TCP_INFO says ESTABLISHED, and CLOSED of a descriptor whose connection is in TIME_WAIT",
		play: func(s *stage) {
			client, server := s.Established()
			client.Info()
			client.Shutdown()
			server.Read(1)
			server.Close()
			s.Await(client.In(tcp.TimeWait))
			client.Info()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "getsockopt", 1).Call).To(ContainSubstring("[ESTABLISHED"))
			g.Expect(call(g, r, "client", "getsockopt", 2).Call).To(ContainSubstring("[CLOSED"))
		},
	},
	{
		name: "peer/destroy", of: []string{"Socket.Destroy"},
		shows: "the kernel resets the other end of this socket and of no other",
		play: func(s *stage) {
			client, server := s.Established()
			first := client.Socket
			client.Connect(s.Server, 8080)
			client.Destroy()
			seen(s, "2:client.RST")
			first.Write("x")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).NotTo(Segments("client.RST"))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "peer/addresses", of: []string{"Socket.Local", "Socket.Remote", "Socket.Conn"},
		shows: "what the play was told of its socket is what the kernel put on the wire",
		play: func(s *stage) {
			client, _ := s.Established()
			client.Connect(s.Server, 8080)
			armed(s, "drop tcp.srcport == "+fmt.Sprint(client.Local().Port())+" && tcp.dstport == "+fmt.Sprint(client.Remote().Port())+
				" && tcp.len > 0 && conn == "+fmt.Sprint(client.Conn()))
			client.Write("x")
			seen(s, "2:client.DATA@1#2")
		},
		judge: func(g Gomega, r *record.Run) { g.Expect(r).To(Dropped("2:client.DATA@1")) },
	},
}
