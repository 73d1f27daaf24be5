package trap

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

const cookieDoc = `
listen(0) has room for one connection that nobody has accepted, and for one request.
Two handshakes run side by side. The first SYN is the request; the second is answered
with a cookie, and nothing of it is kept. Its ACK finds the accept queue full.
`

var cookieNeeds = []harness.Need{{Sysctl: "net.ipv4.tcp_syncookies"}}

// SYNCookieQueueFull shows that tcp_abort_on_overflow does not speak for a
// connection that was answered with a cookie.
var SYNCookieQueueFull = harness.Scenario{
	Name:    "trap/syn-cookie-and-full-accept-queue",
	Summary: "The ACK of a SYN cookie finds the accept queue full: silence, in spite of tcp_abort_on_overflow=1.",
	Doc: cookieDoc + `
Where a request stood for the client, tcp_check_req would answer that ACK with RST:
so says tcp_abort_on_overflow=1. Here there is no request: tcp_get_cookie_sock makes
no socket, and the ACK is dropped in silence. The client believes in ESTABLISHED;
the server knows nothing of it and repeats no SYN-ACK.

The first segment of data carries the same two numbers as that ACK. So it is as good
as the ACK: dropped as long as the queue is full, and when accept() has made room its
repeat opens the connection and brings the data along. That lasts as long as the
cookie is valid: one to two minutes.

  client                                              server
  connect() = 0 ESTABLISHED ── ACK ──────────────────► (queue full) nothing
  write("x")                ── DATA ─────────────────► (queue full) nothing
                                                       accept(): room
                            ── DATA ── after RTO ────► ESTABLISHED
                                                       accept(), read() "x"
`,
	Refs:  []string{"RFC 4987 §3.6", "listen(2)", "tcp_conn_request", "cookie_v4_check", "cookie_v6_check", "tcp_get_cookie_sock", "tcp_check_req"},
	Needs: cookieNeeds,
	Play:  func(s *harness.Stage) { cookie(s, false, roomLater) },
	Claims: []harness.Claim{
		{
			Says: "connect() returns 0 and the client is in ESTABLISHED, of which the server knows nothing",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				first := Find(g, r, "2:client.DATA@1#1")
				ours, _ := r.StateAt(2, "client", first.T)
				g.Expect(ours.State).To(Equal(tcp.Established))
				theirs, known := r.StateAt(2, "server", first.T)
				g.Expect(!known || theirs.State == tcp.Closed).To(BeTrue(), "the server has a socket in %s", theirs.State)
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, true, roomLater) }},
		},
		{
			Says: "the last ACK and the first data are answered with nothing, neither RST nor SYN-ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("2:client.ACK(server.SYN-ACK)", "2:client.DATA@1#1", "2:client.DATA@1#2"))
				again := Find(g, r, "2:client.DATA@1#2")
				for _, x := range r.Segments {
					g.Expect(x.SentBy == "server" && x.Conn == 2 && x.T > Find(g, r, "2:client.ACK(server.SYN-ACK)").T && x.T < again.T).To(BeFalse(), x.Name())
				}
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: asRequest},
		},
		{
			Says: "the kernel counts one cookie that it sent, each time that it came back, and an overflow for each that found no room",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.SyncookiesSent", 1))
				g.Expect(r).To(HaveDelta("server", "TcpExt.SyncookiesRecv", 3))
				g.Expect(r).To(HaveDelta("server", "TcpExt.ListenOverflows", 2))
			},
			Refute: harness.Variant{Play: asRequest},
		},
		{
			Says: "when there is room the repeat of the data opens the connection, and nothing is lost: read() returns it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("2:client.DATA@1#1", "2:client.DATA@1#2", "2:server.ACK(client.DATA@1)"))
				g.Expect(r).To(HaveStates("2:server", tcp.Established))
				g.Expect(Call(g, r, "server", "read", 1).Data).To(Equal([]byte("x")))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, false, secondWrite) }},
		},
	},
}

// SYNCookieRST shows what is answered with RST in the end.
var SYNCookieRST = harness.Scenario{
	Name:    "trap/syn-cookie-reset-comes-with-second-write",
	Summary: "A connection that only its client has, by a SYN cookie: the first write() is dropped in silence, the second is answered with RST.",
	Doc: cookieDoc + `
The ACK, and data that begins right behind the SYN, are dropped in silence however
often they come: their numbers fit the cookie, and the queue is full. The number of
the SYN went into the cookie. So a segment that begins further on brings a wrong one,
and is what any stray ACK to a listener is: answered with RST.

  segment                        its cookie   answer while the queue is full
  ACK, first write(), repeats    fits         none
  second write()                 is wrong     RST
  any, after one to two minutes  is too old   RST

The cookie is a sum, of which the last summand is a choice of four MSS (0 to 3). A
number that is off by one or two may so still fit, with another MSS. The first
write() has five bytes here, which is enough.

  client                                              server
  connect() = 0 ESTABLISHED ── ACK ──────────────────► (queue full) nothing
  write(5) = 5              ── DATA ─────────────────► (queue full) nothing
  write(5) = 5              ── DATA ─────────────────►
  CLOSED, read() ECONNRESET ◄───────────────── RST ──
`,
	Refs:  []string{"RFC 4987 §3.6", "RFC 9293 §3.10.7.2", "cookie_v4_check", "cookie_v6_check", "check_tcp_syn_cookie", "tcp_v4_send_reset"},
	Needs: cookieNeeds,
	// After a timeout the window is one segment: the second write would wait for
	// an answer to the first.
	Hosts: []harness.HostSpec{{Name: "client", RTOMin: 10 * time.Second}},
	Play:  func(s *harness.Stage) { cookie(s, false, secondWrite) },
	Claims: []harness.Claim{
		{
			Says: "the last ACK and the first write are not answered, the second write is: RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("2:client.ACK(server.SYN-ACK)", "2:client.DATA@1[0]", "2:client.DATA@1[5]", "2:server.RST"))
				ack, second := Find(g, r, "2:client.ACK(server.SYN-ACK)"), Find(g, r, "2:client.DATA@1[5]")
				for _, x := range r.Segments {
					g.Expect(x.Conn == 2 && x.SentBy == "server" && x.T > ack.T && x.T < second.T).To(BeFalse(), x.Name())
				}
			},
			Refute: harness.Variant{Play: asRequest},
		},
		{
			Says: "the RST has the number that the second write acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				reset := Find(g, r, "2:server.RST")
				g.Expect(reset.Flags).To(Equal(tcp.RST))
				g.Expect(reset.Seq).To(Equal(Find(g, r, "2:client.DATA@1[5]").Ack))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, true, secondWrite) }},
		},
		{
			Says: "the kernel counts a cookie that was wrong",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.SyncookiesFailed", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, true, secondWrite) }},
		},
		{
			Says: "both write() succeeded; read() fails with ECONNRESET, for a connection that never was",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "write", 2).Result).To(BeEquivalentTo(5))
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
				g.Expect(r).NotTo(HaveStates("2:server", tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, true, secondWrite) }},
		},
	},
}

// SYNCookieTooOld waits until even the right numbers are refused.
var SYNCookieTooOld = harness.Scenario{
	Name:    "trap/syn-cookie-too-old",
	Summary: "A connection that only its client has, by a SYN cookie: after two minutes its first write() is answered with RST.",
	Doc: cookieDoc + `
The client believes in ESTABLISHED and is idle. A cookie has the minute of the machine's
clock in it and is valid in that minute and the next (MAX_SYNCOOKIE_AGE is 2), and a
listener that sent no cookie for two minutes looks at none. So between one and two
minutes after the SYN the silence ends: what the client writes is a stray ACK to a
listener, and is answered with RST, whether there is room or not.

  client                                              server
  connect() = 0 ESTABLISHED ── ACK ──────────────────► (queue full) nothing
  (two minutes)
  write("x")                ── DATA ─────────────────►
  CLOSED, read() ECONNRESET ◄───────────────── RST ──
`,
	Refs:  []string{"RFC 4987 §3.6", "RFC 9293 §3.10.7.2", "MAX_SYNCOOKIE_AGE", "check_tcp_syn_cookie", "tcp_synq_no_recent_overflow"},
	Needs: cookieNeeds,
	Slow:  true,
	Play:  func(s *harness.Stage) { cookie(s, false, twoMinutes) },
	Claims: []harness.Claim{
		{
			Says: "the first data, whose numbers would have fitted, is answered with RST, and no more looked at: only the ACK counts as a cookie",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("2:client.ACK(server.SYN-ACK)", "2:client.DATA@1", "2:server.RST"))
				g.Expect(Find(g, r, "2:client.DATA@1").Seq).To(BeEquivalentTo(1))
				g.Expect(r).To(HaveDelta("server", "TcpExt.SyncookiesRecv", 1))
				g.Expect(r).To(HaveDelta("server", "TcpExt.SyncookiesFailed", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, false, roomLater) }},
		},
		{
			Says: "until then the client was in ESTABLISHED, for two minutes; read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				data := Find(g, r, "2:client.DATA@1")
				g.Expect(Gap(Find(g, r, "2:server.SYN-ACK"), data)).To(BeNumerically(">=", 2*time.Minute))
				at, _ := r.StateAt(2, "client", data.T)
				g.Expect(at.State).To(Equal(tcp.Established))
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { cookie(s, false, roomLater) }},
		},
	},
}

// twoMinutes lets the client write when the cookie is too old.
func twoMinutes(s *harness.Stage, _ bool) {
	s.Await(s.Wire.After(2*time.Minute + time.Second))
	client := s.Client.Peer()
	client.Write("x")
	client.Read(1)
}

// cookie lets the ACK of a cookie find a full queue, or room where that is asked
// for, and goes on with the client's second connection.
func cookie(s *harness.Stage, room bool, end func(s *harness.Stage, room bool)) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Server.Sysctl("net.ipv4.tcp_abort_on_overflow", "1")
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Listen(8080, 0)
	until := s.Wire.Delivered("1:client.ACK(server.SYN-ACK)")
	if room {
		until = server.Returned("accept")
	}
	s.Wire.On("1:client.ACK(server.SYN-ACK)").Hold(s.Wire.Delivered("2:server.SYN-ACK"))
	s.Wire.On("2:client.ACK(server.SYN-ACK)").Hold(until)
	client.Connect(s.Server, 8080)
	client.Connect(s.Server, 8080)
	if room {
		server.Accept()
	}
	s.Await(s.Wire.Delivered("2:client.ACK(server.SYN-ACK)"))
	end(s, room)
}

// roomLater lets the client write, and makes room when the data is repeated.
func roomLater(s *harness.Stage, room bool) {
	client, server := s.Client.Peer(), s.Server.Peer()
	s.Wire.On("2:client.DATA@1#2").Optional().Hold(server.Returned("accept"))
	client.Write("x")
	s.Await(s.Wire.Seen(`is("2:client.DATA@1#2") || conn == 2 && sent_by == "server" && !tcp.flags.syn`))
	if !room {
		server.Accept()
	}
	server.Accept()
	server.Read(1)
}

// secondWrite lets the client write twice.
func secondWrite(s *harness.Stage, room bool) {
	client, server := s.Client.Peer(), s.Server.Peer()
	client.Write("hello")
	s.Await(s.Wire.Delivered("2:client.DATA@1[0]"))
	client.Write("world")
	if room {
		server.Accept()
		server.ReadBulk(10)
		return
	}
	client.Read(1)
}

// asRequest is the same overflow where a request stands for the second client:
// listen(1) has room for one more of each.
func asRequest(s *harness.Stage) {
	s.Server.Sysctl("net.ipv4.tcp_abort_on_overflow", "1")
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Listen(8080, 1)
	client.Connect(s.Server, 8080)
	s.Await(s.Wire.Delivered("1:client.ACK(server.SYN-ACK)"))
	s.Wire.On("2:client.ACK(server.SYN-ACK)").Hold(s.Wire.Delivered("3:client.ACK(server.SYN-ACK)"))
	client.Connect(s.Server, 8080)
	second := client.Socket
	client.Connect(s.Server, 8080)
	second.Read(1)
}
