package crash

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ProcessIdle is a process that is killed while nothing is under way.
var ProcessIdle = harness.Scenario{
	Name:    "crash/process-idle",
	Summary: "A process is killed on an idle connection: its kernel sends FIN, and the other program reads the end of file.",
	Doc: `
SIGKILL cannot be caught, but the kernel closes what the process had open. For the
other end that is an ordinary close: read() returns 0, and only the protocol of the
application can tell that the answer was not whole.

  client                                              server
  ESTABLISHED                                          ESTABLISHED
  CLOSE_WAIT  ◄───────────────────────────────  FIN ── SIGKILL  FIN_WAIT_1
  read() = 0  ── ACK ────────────────────────────────► FIN_WAIT_2, orphan
`,
	Refs:    []string{"RFC 9293 §3.6", "do_exit", "tcp_close"},
	Answers: []harness.Answer{{Statement: 41, Holds: harness.Holds, Says: "SIGKILL with everything read sends FIN; a host without power sends nothing."}},
	Play:    processIdle,
	Claims: []harness.Claim{
		{
			Says: "the kernel sends FIN for the killed process, and no RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.FIN"))
				g.Expect(Find(g, r, "server.FIN").T).To(BeNumerically(">=", Call(g, r, "server", "kill", 1).T))
				g.Expect(r).NotTo(Segments("server.RST"))
			},
			Refute: harness.Variant{Play: processUnread},
		},
		{
			Says: "the other program reads the end of file: it sees no error",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "read", 0))
			},
			Refute: harness.Variant{Play: processUnread},
		},
		{
			Says: "the dead process's socket lives on as an orphan in FIN_WAIT_2 with tcp_fin_timeout",
			Judge: func(g Gomega, r *record.Run) {
				waiting := LastIn(g, r, "server", tcp.FinWait2)
				g.Expect(waiting.Orphan).To(BeTrue())
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(waiting).To(SetTo(time.Minute, Find(g, r, "client.ACK(server.FIN)").T))
			},
			Refute: harness.Variant{Play: hostIdleOff},
		},
	},
}

func processIdle(s *harness.Stage) {
	client, server := s.Established()
	server.Kill()
	client.Read(1)
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
}

// hostIdleOff takes the power from the whole host, and sends something to it.
func hostIdleOff(s *harness.Stage) {
	client, _ := s.Established()
	s.Server.PowerOff()
	client.Write("x")
	s.Await(s.Wire.Seen("client.DATA@1"))
}

// ProcessUnread is a process that is killed before it has read everything.
var ProcessUnread = harness.Scenario{
	Name:    "crash/process-unread",
	Summary: "A process is killed with a byte unread: its kernel sends RST, and the other program gets ECONNRESET.",
	Doc: `
The byte was acknowledged, so its sender believes that it arrived. The process died
before it read it, and a FIN would confirm the belief. The kernel sends RST.

  client                                              server
  ESTABLISHED ── data ───────────────────────────────► ESTABLISHED
              ◄───────────────────────────────  ACK ──
  CLOSED      ◄───────────────────────────────  RST ── SIGKILL  CLOSED
  read(): ECONNRESET
`,
	Refs: []string{"RFC 2525 §2.17", "RFC 1122 §4.2.2.13", "tcp_close", "tcp_reset"},
	Answers: []harness.Answer{
		{Statement: 25, Holds: harness.HoldsWhen, Says: "The RST shows as ECONNRESET where nothing is left to be read; what came before it is read first."},
		{Statement: 26, Holds: harness.Holds, Says: "The byte was acknowledged and never read."},
	},
	Play: processUnread,
	Claims: []harness.Claim{
		{
			Says: "the kernel sends RST for the killed process, and no FIN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.ACK(client.DATA@1)", "server.RST"))
				g.Expect(r).NotTo(Segments("server.FIN"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnClose", 1))
			},
			Refute: harness.Variant{Play: processIdle},
		},
		{
			Says: "the other program's read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
				g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: processIdle},
		},
		{
			Says: "both ends are gone at once, without any closing state",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
			},
			Refute: harness.Variant{Play: processIdle},
		},
	},
}

func processUnread(s *harness.Stage) {
	client, server := s.Established()
	client.Write("x")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)"))
	server.Kill()
	client.Read(1)
	s.Await(server.Gone())
}

// ProcessSending is a process that is killed while its bytes are still in its
// kernel's queue.
var ProcessSending = harness.Scenario{
	Name:    "crash/process-sending",
	Summary: "A process is killed while it sends: what write() took is still delivered, and the FIN behind it.",
	Doc: `
What write() has accepted belongs to the kernel. The process dies while most of it
waits behind a closed window; the orphan in FIN_WAIT_1 goes on sending as the
reader makes room, and the FIN comes behind the last byte.

The reader gets every byte that write() took, and then an end of file that looks
like that of a complete answer.

  client                                              server
  ESTABLISHED ◄──────────────────────────────  data ── write(…)
              ── ACK, window 0 ──────────────────────►
                                                       SIGKILL  FIN_WAIT_1
  read(all)   ◄──────────────────────────────  data ── (its kernel)
  CLOSE_WAIT  ◄───────────────────────────────  FIN ──
`,
	Refs:    []string{"RFC 9293 §3.6", "tcp_close", "tcp_write_xmit", "tcp_fin"},
	Answers: []harness.Answer{{Statement: 10, Holds: harness.Holds, Says: "close(), here by the death of the process, leaves the kernel to deliver what was queued and the FIN behind it."}},
	Play:    processSending,
	Claims: []harness.Claim{
		{
			Says: "most of the bytes leave when the process is long dead",
			Judge: func(g Gomega, r *record.Run) {
				killed := Call(g, r, "server", "kill", 1)
				late := 0
				for i := range r.Segments {
					if x := &r.Segments[i]; x.SentBy == "server" && x.T > killed.End {
						late += x.Len
					}
				}
				g.Expect(late).To(BeNumerically(">", sendingBytes/2))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sending(s, true) }},
		},
		{
			Says: "the reader gets every byte that write() took, and then the end of file",
			Judge: func(g Gomega, r *record.Run) {
				read := Call(g, r, "client", "bulk-read", 1)
				g.Expect(read.Errno).To(BeEmpty())
				g.Expect(read.Result).To(BeZero())
				g.Expect(read.Call).To(ContainSubstring("[200000 bytes]"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sending(s, true) }},
		},
		{
			Says: "an orphan in FIN_WAIT_1 sends them; no RST, and nothing is aborted",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "server", tcp.FinWait1)
				g.Expect(waiting.Orphan).To(BeTrue())
				g.Expect(r).To(Segments("server.DATA", "server.FIN", "client.ACK(server.FIN)"))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sending(s, true) }},
		},
	},
}

const sendingBytes = 200_000

func processSending(s *harness.Stage) { sending(s, false) }

// sending kills the server's process while its bytes wait for room in the
// client; unread leaves a byte of the client's unread in it.
func sending(s *harness.Stage, unread bool) {
	server, client := s.Server.Peer(), s.Client.Peer()
	server.Listen(8080, 8)
	client.Open()
	client.ReceiveBuffer(8192)
	client.Connect(s.Server, 8080)
	accepted := server.Accept()
	accepted.SendBuffer(4 * sendingBytes)
	if unread {
		client.Write("x")
		s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)"))
	}
	accepted.WriteBulk(sendingBytes)
	server.Kill()
	client.ReadAll()
	if !unread {
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	}
}
