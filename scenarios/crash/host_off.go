package crash

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// HostIdle is the dead host that nobody misses: the other end of an idle
// connection never learns of it.
var HostIdle = harness.Scenario{
	Name:    "crash/host-idle",
	Summary: "The server's host loses its power while the connection is idle, and boots: the client believes in ESTABLISHED.",
	Doc: `
An idle connection sends nothing, so nothing can go unanswered. The end that lives
has no timer at all; it stays ESTABLISHED through the other host's power failure,
its boot, and for as long as nobody writes. That time passes is shown by a second
connection, to the booted host, from the same client.

Only when the client writes does the booted host answer with RST.

  client                                              server
  ESTABLISHED                                          (power off, boot)
  ESTABLISHED    (a second connection opens and closes)
  write() = 1 ── data ───────────────────────────────►
  CLOSED      ◄───────────────────────────────  RST ──
  read(): ECONNRESET
`,
	Refs: []string{"RFC 9293 §3.5.1", "RFC 9293 §3.8.4", "tcp_v4_send_reset"},
	Answers: []harness.Answer{
		{Statement: 34, Holds: harness.Holds, Says: "ESTABLISHED without data in flight has no timer: nothing ends it unless something is sent or SO_KEEPALIVE is set."},
		{Statement: 39, Holds: harness.HoldsWhen, Says: "Known at once when the end that lives sends something; an idle one learns nothing of the reboot."},
	},
	Play: hostIdle,
	Claims: []harness.Claim{
		{
			Says: "the client stays ESTABLISHED, without a timer, through the power failure and the boot",
			Judge: func(g Gomega, r *record.Run) {
				booted := Call(g, r, "server", "boot", 1)
				still, known := r.StateAt(1, "client", Find(g, r, "2:client.FIN").T)
				g.Expect(known).To(BeTrue())
				g.Expect(still.State).To(Equal(tcp.Established))
				g.Expect(still.Timer).To(BeEmpty())
				g.Expect(Find(g, r, "2:client.FIN").T).To(BeNumerically(">", booted.End))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { idle(s, true) }},
		},
		{
			Says: "the dead host said nothing, neither FIN nor RST, until it was spoken to",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("server.FIN"))
				g.Expect(Find(g, r, "server.RST").T).To(BeNumerically(">", Find(g, r, "client.DATA@1").T))
				g.Expect(Find(g, r, "client.DATA@1").T).To(BeNumerically(">", Find(g, r, "2:client.FIN").T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { idle(s, true) }},
		},
		{
			Says: "the first write() succeeds; the RST shows in the next call: read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "write", 1))
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { idle(s, true) }},
		},
	},
}

func hostIdle(s *harness.Stage) { idle(s, false) }

// idle ends the server's process, or its host, and brings both back.
func idle(s *harness.Stage, process bool) {
	client, server := s.Established()
	one := client.Socket
	if process {
		server.Kill()
		one.Read(1)
	} else {
		s.Server.PowerOff()
		s.Server.Boot()
	}
	server = s.Server.Peer()
	server.Listen(8080, 8)
	client.Connect(s.Server, 8080)
	server.Accept()
	client.Close()
	s.Await(s.Wire.Delivered("2:server.ACK(client.FIN)"))
	one.Write("x")
	one.Read(1)
}

// HostSending is the dead host that is missed: data is never acknowledged.
var HostSending = harness.Scenario{
	Name:    "crash/host-sending",
	Lasts:   6 * time.Second,
	Summary: "The server's host loses its power while the client sends: repeats with doubled timeouts, then ETIMEDOUT.",
	Doc: `
The data is repeated from the retransmission timer, at 0.2 s and then each time
after twice as long. tcp_retries2 (15; here 3) ends it: not as a count, but as the
time that so many doublings of 0.2 s take. With 15 that is 924.6 s at least. With 3 it
is 3.0 s, but it counts from the first repeat (retrans_stamp), so that the timer which
runs out after 3 s is too early by 0.2 s: one more repeat is sent, and the end comes
after 6.2 s.

The reader, which waits for an answer, then gets ETIMEDOUT. No RST is sent: the
other end is thought dead.

  client                                              server
  write() = 1 ── data ───────────────✗                 (power off)
              ── data ───────────────✗ after 0.2 s
              ── data ───────────────✗ after 0.4 s more
              ── data ───────────────✗ after 0.8 s more
              ── data ───────────────✗ after 1.6 s more
  CLOSED
  read(): ETIMEDOUT
`,
	Refs: []string{"RFC 9293 §3.8.3", "RFC 6298", "RFC 1122 §4.2.3.5", "tcp_retransmit_timer", "retransmits_timed_out", "tcp_write_err"},
	Answers: []harness.Answer{{
		Statement: 33, Holds: harness.Holds,
		Says: "The timeout doubles from 0.2 s up to 120 s; with the stock tcp_retries2=15 ETIMEDOUT comes after 924.6 s at least.",
	}},
	Play: hostSending,
	Claims: []harness.Claim{
		{
			Says: "the same data is sent again, with waits of at least 0.2, 0.4, 0.8 s",
			Judge: func(g Gomega, r *record.Run) {
				copies := All(g, r, "client.DATA@1")
				g.Expect(len(copies)).To(BeNumerically(">=", 4))
				for i := 1; i < len(copies); i++ {
					g.Expect(copies[i].Seq).To(Equal(copies[0].Seq))
					g.Expect(Gap(copies[i-1], copies[i])).To(BeNumerically(">=", time.Duration(1<<(i-1))*200*time.Millisecond-Jiffy))
				}
			},
			Refute: harness.Variant{Play: processGone},
		},
		{
			Says: "read() fails with ETIMEDOUT, when the last timer has run out",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				waiting := LastIn(g, r, "client", tcp.Established)
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				g.Expect(Call(g, r, "client", "read", 1).End).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: processGone},
		},
		{
			Says: "TCPAbortOnTimeout counts it, and no RST is sent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).NotTo(Segments("server.RST"))
			},
			Refute: harness.Variant{Play: processGone},
		},
	},
}

func hostSending(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_retries2", "3")
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0") // repeats are counted
	client, _ := s.Established()
	s.Server.PowerOff()
	client.Write("x")
	client.Read(1)
}

// processGone kills the process only, with a byte unread: the host answers.
func processGone(s *harness.Stage) {
	client, server := s.Established()
	client.Write("x")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)"))
	server.Kill()
	client.Read(1)
}

// HostBoots are a host that is back before something is sent to it, and one that
// is back before the repeat.
var HostBoots = []harness.Scenario{hostBoots(false), hostBoots(true)}

func hostBoots(lost bool) harness.Scenario {
	name := "write"
	if lost {
		name = "repeat"
	}
	return harness.Scenario{
		Name:    "crash/host-boots{before=" + name + "}",
		Summary: "The server's host loses its power and boots before the " + name + ": it answers the data with RST.",
		Doc: `
A booted kernel answers data of a connection that it does not know with RST: its
number is the data's ACK, and it carries no ACK itself. For the client the answer is
there a round trip after the first copy that arrives. If the host was still off when
the data was sent, that copy is the repeat.

  client                                              server
                                                       (power off)
  write()     ── data ───────────────✗                 (with before=repeat)
                                                       (boot)
              ── data ───────────────────────────────►
  CLOSED      ◄───────────────────────────────  RST ──
  read(): ECONNRESET
`,
		Refs:    []string{"RFC 9293 §3.5.1", "RFC 9293 §3.5.2", "tcp_v4_send_reset", "tcp_reset"},
		Answers: []harness.Answer{{Statement: 39, Holds: harness.Holds, Says: "The first data that reaches the booted host is answered with RST, and read() fails with ECONNRESET a round trip later."}},
		Play:    func(s *harness.Stage) { boots(s, lost) },
		Claims: []harness.Claim{
			{
				Says: map[bool]string{false: "the very first copy of the data is answered", true: "the copy that was sent while the power was off is lost, and its repeat is answered"}[lost],
				Judge: func(g Gomega, r *record.Run) {
					copies := All(g, r, "client.DATA@1")
					g.Expect(len(copies) > 1).To(Equal(lost))
					for i, x := range copies {
						g.Expect(len(x.Departures) > 0).To(Equal(i == len(copies)-1), "only the last one was delivered")
					}
					g.Expect(Find(g, r, "server.RST").T).To(BeNumerically(">=", Call(g, r, "server", "boot", 1).T))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { boots(s, !lost) }},
			},
			{
				Says: "the answer is a RST without ACK, with the number that the data acknowledged",
				Judge: func(g Gomega, r *record.Run) {
					reset := Find(g, r, "server.RST")
					g.Expect(reset.Flags).To(Equal(tcp.RST))
					g.Expect(reset.Seq).To(Equal(Find(g, r, "client.DATA@1").Ack))
				},
				Refute: harness.Variant{Play: processGone}, // its RST has an ACK
			},
			{
				Says: "read() fails with ECONNRESET, and the connection is gone",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
					g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.RST")).State).To(Equal(tcp.Closed))
				},
				Refute: harness.Variant{Play: cableOut},
			},
		},
	}
}

func boots(s *harness.Stage, lost bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0") // repeats are counted
	client, _ := s.Established()
	s.Server.PowerOff()
	if lost {
		client.Write("x")
		s.Await(s.Wire.Seen("client.DATA@1"))
	}
	s.Server.Boot()
	if !lost {
		client.Write("x")
	}
	client.Read(1)
}

// HostAfterLastACK is the client that dies in TIME_WAIT: nobody misses it.
var HostAfterLastACK = harness.Scenario{
	Name:    "crash/host-after-last-ack",
	Summary: "The active closer's host loses its power in TIME_WAIT and boots: TIME_WAIT is forgotten, and the port is free.",
	Doc: `
The server has closed normally and misses nothing. What is lost is the client's
TIME_WAIT. The booted kernel keeps no quiet time (RFC 9293 §3.4.3), so the same port
connects to the same server again at once, with nothing to hold off late segments
of the old connection but timestamps and the distance of the numbers.

  client                                              server
            TIME_WAIT  ── ACK ───────────────────────► CLOSED
  (power off, boot)
            CLOSED
  connect() SYN_SENT   ── SYN ───────────────────────► SYN_RECV
`,
	Refs: []string{"RFC 9293 §3.4.3", "RFC 1337", "tcp_time_wait"},
	Answers: []harness.Answer{{
		Statement: 32, Holds: harness.Holds,
		Says: "The server is CLOSED and learns nothing; after the boot even the same port connects at once.",
	}},
	Play: func(s *harness.Stage) { afterLastACK(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the server has closed in order before the power goes",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.LastAck, tcp.Closed))
				g.Expect(FirstIn(g, r, "server", tcp.Closed).T).To(BeNumerically("<", Call(g, r, "client", "power-off", 1).T))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 0))
			},
			Refute: harness.Variant{Play: hostBootsEarly},
		},
		{
			Says: "TIME_WAIT was there, and is gone after the boot",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.TimeWait, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { afterLastACK(s, false) }},
		},
		{
			Says: "the same port connects to the same server at once, where TIME_WAIT would have refused it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				g.Expect(r).To(HaveCount("2:client.SYN", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { afterLastACK(s, false) }},
		},
	},
}

// afterLastACK closes from the client, takes its power or does not, and connects
// again from the same port. Without timestamps a TIME_WAIT is never taken over.
func afterLastACK(s *harness.Stage, off bool) {
	const port = 40001
	s.Server.Sysctl("net.ipv4.tcp_timestamps", "0")
	connect := func() bool {
		client := s.Client.Peer()
		client.Open()
		client.ReuseAddr()
		client.Bind(port)
		return client.Connect(s.Server, 8080)
	}
	server := s.Server.Peer()
	server.Listen(8080, 8)
	connect()
	server.Accept()
	s.Client.Peer().Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
	if off {
		s.Client.PowerOff()
		s.Client.Boot()
	}
	s.Client.Observe(1)
	if connect() {
		server.Accept()
	}
}
