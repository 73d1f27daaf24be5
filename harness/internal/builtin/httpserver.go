package builtin

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

var httpServer = standIn{
	name:    "http",
	summary: "An HTTP/1.1 server that answers every request with the same body.",
	more: `
It prints "METHOD done" for each request that it has carried out, and "METHOD
repeated" for one with an Idempotency-Key that it has seen: that one is answered
and not carried out again. It never ends by itself but with --accept-limit.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		s := &webServer{keys: map[string]bool{}}
		port := portFlag(f)
		f.DurationVar(&s.idle, "idle", 0, "close a connection that has waited so `long` for the next request (keep-alive timeout); 0 never")
		f.DurationVar(&s.timeout, "timeout", 0, "close a connection on which nothing moved for so `long`, whatever is unread or unanswered; 0 never")
		s.body = sizeFlag(f, "body", "send a body of this size", 6)
		s.framing = choose(f, "framing", "how the end of the body is told: by its length, by chunks, or by closing", "length", "chunked", "close")
		s.short = sizeFlag(f, "short", "leave so much of the body out and close, whatever the length says", 0)
		f.DurationVar(&s.delay, "delay", 0, "think so `long` before each answer")
		f.IntVar(&s.early, "early-status", 0, "answer a request that has a body with this `status` as soon as its head is read, and close; 200 is an answer as every other; 0 reads the body first")
		s.announce = choose(f, "early-announce", "whether the early answer says Connection: close", "yes", "no")
		s.keep = sizeFlag(f, "early-read", "of that body read so much first, and keep the connection if that was all", 0)
		s.closing = choose(f, "close", "how a connection with unread bytes is closed: at once, which resets it, or lingering: shut down, read the rest, close", "at-once", "lingering")
		s.partial = choose(f, "partial", "when a request ends in the middle: close the connection, or wait for the rest that never comes", "close", "wait")
		f.DurationVar(&s.acceptDelay, "accept-delay", 0, "accept nothing for so `long`")
		limit := f.Int("accept-limit", 0, "accept so many `connections`, serve them, and end; 0 goes on")
		shutdown := choose(f, "shutdown", "before it ends by --accept-limit: close the listener, or first serve what waits in the accept queue", "close", "drain")
		return func(p *process, args []string) error {
			if err := nothing(args); err != nil {
				return err
			}
			return s.serve(p, *port, *limit, shutdown.is("drain"))
		}
	},
}

type webServer struct {
	idle, timeout, delay, acceptDelay time.Duration
	body, short, keep                 *size
	framing, closing, partial         *choice
	announce                          *choice
	early                             int

	mu   sync.Mutex
	keys map[string]bool // Idempotency-Keys that were carried out
}

func (s *webServer) serve(p *process, port, limit int, drain bool) error {
	l, err := p.listen(port)
	if err != nil {
		return err
	}
	defer l.Close()
	p.pause(s.acceptDelay)
	handle := func(c *net.TCPConn) { s.handle(p, c) }
	if limit == 0 {
		return p.serve(l, handle)
	}
	var handlers sync.WaitGroup
	take := func() error {
		c, err := l.Accept()
		if err == nil {
			handlers.Go(func() { p.handle(c.(*net.TCPConn), handle) })
		}
		return err
	}
	for range limit {
		if err := take(); err != nil {
			return reason(err)
		}
	}
	handlers.Wait()
	if drain {
		for waiting(l) && take() == nil {
		}
	}
	l.Close()
	handlers.Wait()
	return nil
}

func (s *webServer) handle(p *process, tcp *net.TCPConn) {
	c := buffered(tcp)
	var watch *time.Timer
	if s.timeout > 0 {
		watch = time.AfterFunc(s.timeout, func() { c.Close() }) // blind: it looks at nothing
		defer watch.Stop()
	}
	for next := false; ; next = true {
		if next && s.idle > 0 {
			_ = c.SetReadDeadline(time.Now().Add(s.idle)) // a connection that has ended says so when it is read
		}
		h, err := readHead(c.r)
		if err != nil {
			s.ended(p, c, err)
			return
		}
		_ = c.SetReadDeadline(time.Time{})
		if watch != nil {
			watch.Reset(s.timeout)
		}
		again, err := s.answer(p, c, h)
		if err != nil {
			s.ended(p, c, err)
			return
		}
		if !again {
			s.close(c)
			return
		}
		if watch != nil {
			watch.Reset(s.timeout)
		}
	}
}

// ended closes a connection that gave no further request.
func (s *webServer) ended(p *process, c *bufferedConn, err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.complain("the request ends in the middle")
		if s.partial.is("wait") {
			<-p.Done()
		}
	default:
		p.complain("%v", reason(err))
	}
	c.Close()
}

// close closes a connection on which bytes may be unread.
func (s *webServer) close(c *bufferedConn) {
	if s.closing.is("lingering") {
		lingeringClose(c.TCPConn)
		return
	}
	c.Close()
}

// answer carries a request out and answers it; false where the connection is to
// be closed.
func (s *webServer) answer(p *process, c *bufferedConn, h *head) (again bool, err error) {
	method := h.first[0]
	length, err := h.length()
	if err != nil {
		return false, err
	}
	if s.early > 0 && (length > 0 || h.chunked()) {
		return s.refuse(p, c, h, length)
	}
	if _, err := readBody(c.r, h, false, io.Discard); err != nil {
		return false, err
	}
	p.pause(s.delay)
	what := "done"
	if key := h.fields.Get("Idempotency-Key"); key != "" {
		s.mu.Lock()
		if s.keys[key] {
			what = "repeated"
		}
		s.keys[key] = true
		s.mu.Unlock()
	}
	p.say("%s %s", method, what)
	closing := h.last() || s.framing.is("close") || *s.short > 0
	_, err = c.Write(s.response(method, closing))
	return !closing, err
}

// refuse answers before the body was read.
func (s *webServer) refuse(p *process, c *bufferedConn, h *head, length int64) (again bool, err error) {
	read, err := io.CopyN(io.Discard, c.r, min(int64(*s.keep), max(length, 0)))
	if err != nil {
		return false, midway(err)
	}
	p.pause(s.delay)
	again = read == length
	if s.early == 200 {
		p.say("%s done", h.first[0])
		_, err = c.Write(s.response(h.first[0], !again && s.announce.is("yes")))
		return again, err
	}
	p.say("%s refused", h.first[0])
	announce := ""
	if !again && s.announce.is("yes") {
		announce = "Connection: close\r\n"
	}
	body := strings.ToLower(statusText(s.early)) + "\n"
	_, err = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n%s\r\n%s", s.early, statusText(s.early), len(body), announce, body)
	return again, err
}

// response is the whole answer, to be written in one piece.
func (s *webServer) response(method string, closing bool) []byte {
	body := pattern(int64(*s.body))
	b := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\n")
	if closing {
		b = append(b, "Connection: close\r\n"...)
	}
	switch s.framing.value {
	case "length":
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	case "chunked":
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = append(b, "\r\n"...)
	if method == "HEAD" {
		return b
	}
	whole := len(b) + len(body)
	if s.framing.is("chunked") {
		b = appendChunks(b, body)
		whole = len(b)
	} else {
		b = append(b, body...)
	}
	return b[:max(whole-int(*s.short), 0)]
}
