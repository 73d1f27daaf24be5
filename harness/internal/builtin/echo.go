package builtin

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

var echo = standIn{
	name:    "echo",
	summary: "A server that sends back what it is sent.",
	more: `
It prints "received N bytes" when a client has said all, and "closed" when it has
closed that connection.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		port := portFlag(f)
		reply := choose(f, "reply", "answer each line as it comes, or everything once the client has said all", "line", "all")
		onEOF := choose(f, "on-eof", "when the client has said all: close, or forget to", "close", "ignore")
		var delay, closeDelay time.Duration
		f.DurationVar(&delay, "delay", 0, "think so `long` before each answer")
		f.DurationVar(&closeDelay, "close-delay", 0, "wait so `long` before it closes")
		return func(p *process, args []string) error {
			if err := nothing(args); err != nil {
				return err
			}
			l, err := p.listen(*port)
			if err != nil {
				return err
			}
			return p.serve(l, func(c *net.TCPConn) {
				if n, err := answer(p, c, reply.is("line"), delay); err != nil {
					p.complain("%v", reason(err))
				} else {
					p.say("received %d bytes", n)
				}
				if onEOF.is("ignore") {
					<-p.Done()
					return
				}
				p.pause(closeDelay)
				c.Close()
				p.say("closed")
			})
		}
	},
}

// answer sends back what comes until the end of file.
func answer(p *process, c *net.TCPConn, lines bool, delay time.Duration) (int, error) {
	if !lines {
		all, err := io.ReadAll(c)
		if err != nil {
			return len(all), err
		}
		p.pause(delay)
		_, err = c.Write(all)
		return len(all), err
	}
	total := 0
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadBytes('\n')
		total += len(line)
		if len(line) > 0 {
			p.pause(delay)
			if _, err := c.Write(line); err != nil {
				return total, err
			}
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

var send = standIn{
	name:      "send",
	summary:   "Sends text, says that this is all, and prints what comes back.",
	arguments: "HOST:PORT",
	more: `
It prints what it receives, and then "received N bytes" on stderr. It fails if the
connection ends otherwise than by an end of file, or with less than --want.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		var s sender
		s.dial.define(f)
		f.StringVar(&s.text, "text", "hello\n", "send this `text`; \\n and the like are understood")
		s.size = sizeFlag(f, "size", "send so much of a pattern instead", 0)
		f.IntVar(&s.times, "times", 1, "send it so `often`")
		f.DurationVar(&s.gap, "gap", 0, "wait so `long` before it is sent again")
		s.end = choose(f, "end", "when all is sent: shut the sending side down, or leave it open", "shutdown", "open")
		f.DurationVar(&s.timeout, "timeout", 0, "give up when nothing came back for so `long`; 0 never")
		s.want = sizeFlag(f, "want", "fail if less comes back", 0)
		return func(p *process, args []string) error {
			address, err := hostPort(args)
			if err != nil {
				return err
			}
			if err := s.dial.check(); err != nil {
				return err
			}
			return s.run(p, address)
		}
	},
}

type sender struct {
	dial         dialFlags
	text         string
	size, want   *size
	times        int
	gap, timeout time.Duration
	end          *choice
}

func (s *sender) run(p *process, address string) error {
	tcp, err := s.dial.connect(p, address)
	if err != nil {
		return err
	}
	defer tcp.Close()
	text := []byte(unescape(s.text))
	if *s.size > 0 {
		text = pattern(int64(*s.size))
	}
	// What comes back is read meanwhile: two ends that only write wait for each
	// other for ever.
	writing := make(chan error, 1)
	go func() { writing <- s.write(p, tcp, text) }()
	n, err := io.Copy(p.stdout, &impatient{tcp, s.timeout})
	if err == nil && n >= int64(*s.want) {
		err = <-writing
	}
	p.complain("received %d bytes", n)
	switch {
	case err != nil:
		return reason(err)
	case n < int64(*s.want):
		return fmt.Errorf("want %d bytes", *s.want)
	}
	return nil
}

func (s *sender) write(p *process, c *net.TCPConn, text []byte) error {
	for i := range s.times {
		if i > 0 {
			p.pause(s.gap)
		}
		if _, err := c.Write(text); err != nil {
			return err
		}
	}
	if s.end.is("open") {
		return nil
	}
	return c.CloseWrite()
}

// unescape turns the two characters \n and \r into one.
func unescape(text string) string {
	var b []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (text[i+1] == 'n' || text[i+1] == 'r') {
			b = append(b, map[byte]byte{'n': '\n', 'r': '\r'}[text[i+1]])
			i++
			continue
		}
		b = append(b, text[i])
	}
	return string(b)
}

var dial = standIn{
	name:      "dial",
	summary:   "Connects, again and again, and closes.",
	arguments: "HOST:PORT",
	more: `
It prints "connected" for each connection, and fails at the first that cannot be
made.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		var d dialFlags
		d.define(f)
		times := f.Int("times", 1, "connect so `often`, one after another")
		var gap time.Duration
		f.DurationVar(&gap, "gap", 0, "wait so `long` between connections")
		first := choose(f, "close", "who closes first: this end, and it waits for the other; this end, and it waits for nothing; the other end; or this end by a reset", "this", "at-once", "other", "reset")
		return func(p *process, args []string) error {
			address, err := hostPort(args)
			if err != nil {
				return err
			}
			if err := d.check(); err != nil {
				return err
			}
			for i := range *times {
				if i > 0 {
					p.pause(gap)
				}
				c, err := d.connect(p, address)
				if err != nil {
					return err
				}
				p.say("connected")
				switch first.value {
				case "other":
					_, _ = io.Copy(io.Discard, c) // however it ends
				case "reset":
					_ = c.SetLinger(0) // a connection that has ended needs no reset
				case "this":
					_ = c.CloseWrite() // as above
					_, _ = io.Copy(io.Discard, c)
				case "at-once":
				}
				c.Close()
			}
			return nil
		}
	},
}

var feed = standIn{
	name:    "feed",
	summary: "A server that sends each client a line again and again.",
	more: `
It prints "subscribed" and "gone" as clients come and go.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		port := portFlag(f)
		every := f.Duration("every", 100*time.Millisecond, "send a line, \"event N\", each so `long`")
		lines := f.Int("lines", 0, "close after so `many`; 0 goes on")
		onPipe := choose(f, "on-epipe", "when a client is gone: send to the others, or be killed by SIGPIPE as a program in C that has not thought of it", "go-on", "die")
		return func(p *process, args []string) error {
			if err := nothing(args); err != nil {
				return err
			}
			if *every <= 0 {
				return usageError("--every: want a time above 0")
			}
			l, err := p.listen(*port)
			if err != nil {
				return err
			}
			return p.serve(l, func(c *net.TCPConn) {
				defer c.Close()
				p.say("subscribed")
				for n := 1; (*lines == 0 || n <= *lines) && p.Err() == nil; n++ {
					// ECONNRESET comes first, and only the write after it raises the signal.
					_, err := fmt.Fprintf(c, "event %d\n", n)
					if err != nil && onPipe.is("die") {
						if errors.Is(err, syscall.EPIPE) {
							dieBySIGPIPE()
						}
						continue
					}
					if err != nil {
						break
					}
					p.pause(*every)
				}
				p.say("gone")
			})
		}
	},
}
