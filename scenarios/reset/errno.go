package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// DataUnread resets an end that has bytes which its program has not read yet.
var DataUnread = harness.Scenario{
	Name:    "reset/data-unread",
	Summary: "A RST arrives while bytes are unread: read() gives the bytes first.",
	Doc: `
Books say that a RST throws the receive queue away. Linux hands out what is in it
(tcp_recvmsg looks into the queue before it looks at sk_err), then the error, once,
and then the end of file. poll() tells all at once.

A program that stops reading at the first error, or looks at SO_ERROR first, loses
bytes that it could have had.

  client                                              server
  write("unread")      ── DATA ──────────────────────► (nobody reads)
  close(), linger 0    ── RST ───────────────────────► CLOSED
                                               poll() = IN OUT ERR HUP RDHUP
                                                       read() = 6, ECONNRESET, 0
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_reset", "tcp_recvmsg_locked", "tcp_poll"},
	Play: func(s *harness.Stage) { unread(s, true) },
	Claims: []harness.Claim{
		{
			Says: "read() gives the bytes first, then ECONNRESET once, then the end of file",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "server", "recv")).To(Equal([]string{"6", "ECONNRESET", "0"}))
				g.Expect(Call(g, r, "server", "recv", 1).Data).To(Equal([]byte("unread")))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { unread(s, false) }},
		},
		{
			Says: "poll() shows IN, OUT, ERR, HUP and RDHUP together",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "poll", 1).Call).To(ContainSubstring("IN|OUT|ERR|HUP|RDHUP"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { unread(s, false) }},
		},
		{
			Says: "the connection was gone before the first byte was read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(FirstIn(g, r, "server", tcp.Closed).T).To(BeNumerically("<=", Call(g, r, "server", "recv", 1).T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { unread(s, false) }},
		},
	},
}

// unread resets the connection behind bytes that nobody has read, or leaves it.
func unread(s *harness.Stage, reset bool) {
	client, server := s.Established()
	client.Write("unread")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	if reset {
		client.Linger(0)
		client.Close()
		s.Await(s.Wire.Delivered("client.RST"))
		server.Observe()
	}
	server.Poll("IN|OUT|RDHUP", 0)
	for range 3 {
		server.ReadNow(64)
	}
}

// WriteFirst lets the first call after a RST be a write().
var WriteFirst = harness.Scenario{
	Name:    "reset/write-is-first-call",
	Summary: "The first call after a RST is write(): ECONNRESET without a signal, and only the next one is EPIPE.",
	Doc: `
A RST leaves an error with the socket, and whichever call comes first takes it: a
write() fails with ECONNRESET and raises no signal. From then on the socket is one
that was shut down: EPIPE and SIGPIPE. A program that expects EPIPE from write(),
or that lets SIGPIPE end it, sees something else once in a while.

  client                                              server
  close(), linger 0    ── RST ───────────────────────► CLOSED
                                                       write() = ECONNRESET
                                                       write() = EPIPE, SIGPIPE
                                                       read()  = 0
`,
	Refs: []string{"tcp_reset", "tcp_sendmsg_locked", "sk_stream_error"},
	Play: func(s *harness.Stage) { firstCall(s, false) },
	Claims: []harness.Claim{
		{
			Says: "the first write() fails with ECONNRESET and raises no signal",
			Judge: func(g Gomega, r *record.Run) {
				write := Call(g, r, "server", "write", 1)
				g.Expect(write.Errno).To(Equal("ECONNRESET"))
				g.Expect(write.Signal).To(BeEmpty())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { firstCall(s, true) }},
		},
		{
			Says: "the second fails with EPIPE and raises SIGPIPE",
			Judge: func(g Gomega, r *record.Run) {
				write := Call(g, r, "server", "write", 2)
				g.Expect(write.Errno).To(Equal("EPIPE"))
				g.Expect(write.Signal).To(Equal("SIGPIPE"))
			},
			Refute: harness.Variant{Play: talkTwice},
		},
		{
			Says: "the error was taken: read() behind it returns 0, as if the other end had closed in order",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "server", "recv")).To(Equal([]string{"0"}))
				g.Expect(r).To(Delivered("client.RST"))
			},
			Refute: harness.Variant{Play: talkTwice},
		},
	},
}

// firstCall resets the server, whose program reads before it writes, or not.
func firstCall(s *harness.Stage, read bool) {
	client, server := s.Established()
	client.Linger(0)
	client.Close()
	s.Await(s.Wire.Delivered("client.RST"))
	if read {
		server.Read(1)
	}
	server.Write("x")
	server.Write("y")
	server.ReadNow(1)
}

// talkTwice writes twice on a connection that is well.
func talkTwice(s *harness.Stage) {
	_, server := s.Established()
	server.Write("x")
	server.Write("y")
	server.ReadNow(1)
}

// AfterFIN resets an end that has heard a FIN before.
var AfterFIN = harness.Scenario{
	Name:    "reset/after-fin",
	Summary: "A RST behind a FIN: read() never says so, write() says EPIPE.",
	Doc: `
In CLOSE_WAIT the kernel has promised the end of file, and a RST does not take it
back: read() returns the data and then 0, never ECONNRESET. The error that the RST
leaves is EPIPE (tcp_reset chooses it by the state), and it shows in write(), in
SO_ERROR and in poll(). A program that tests for ECONNRESET only never learns that
its answer is not wanted.

  client                                              server
  write("data"), shutdown(WR) ── DATA, FIN ──────────► CLOSE_WAIT
  close(), linger 0           ── RST ────────────────► CLOSED
                                                       read() = 4, 0, 0
                                                       SO_ERROR = EPIPE
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_reset", "tcp_recvmsg_locked", "tcp_need_reset"},
	Play: func(s *harness.Stage) { resetAfter(s, true) },
	Claims: []harness.Claim{
		{
			Says: "read() gives the data and then the end of file, and never fails",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "client.RST"))
				g.Expect(outcomes(r, "server", "recv")).To(Equal([]string{"4", "0", "0"}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { resetAfter(s, false) }},
		},
		{
			Says: "the error that is left is EPIPE",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "getsockopt", 1).Call).To(ContainSubstring("[EPIPE]"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { resetAfter(s, false) }},
		},
		{
			Says: "the server's end is gone from CLOSE_WAIT, and the kernel counts a reset",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { resetAfter(s, false) }},
		},
	},
}

// resetAfter resets the connection behind a FIN, or without one.
func resetAfter(s *harness.Stage, fin bool) {
	client, server := s.Established()
	client.Write("data")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	if fin {
		client.Shutdown()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	}
	client.Linger(0)
	client.Close()
	s.Await(s.Wire.Delivered("client.RST"))
	for range 3 {
		server.ReadNow(64)
	}
	server.SocketError()
}
