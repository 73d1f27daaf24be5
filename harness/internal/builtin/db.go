package builtin

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

var dbServer = standIn{
	name:    "db",
	summary: "A server that answers each line with \"OK\", as a database answers statements.",
	more: `
It prints "LINE done" for each line that it has carried out.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		port := portFlag(f)
		var idle, delay time.Duration
		f.DurationVar(&idle, "idle", 0, "close a connection that has waited so `long` for the next statement (wait_timeout); 0 never")
		says := f.String("idle-says", "", "send this `line` before it does")
		f.DurationVar(&delay, "delay", 0, "think so `long` before each answer")
		return func(p *process, args []string) error {
			if err := nothing(args); err != nil {
				return err
			}
			l, err := p.listen(*port)
			if err != nil {
				return err
			}
			return p.serve(l, func(c *net.TCPConn) {
				defer c.Close()
				for r, next := bufio.NewReader(c), false; ; next = true {
					if next && idle > 0 {
						_ = c.SetReadDeadline(time.Now().Add(idle)) // a connection that has ended says so when it is read
					}
					line, err := r.ReadString('\n')
					if errors.Is(err, os.ErrDeadlineExceeded) && *says != "" {
						fmt.Fprintln(c, *says)
					}
					if err != nil {
						return
					}
					p.pause(delay)
					p.say("%s done", strings.TrimSpace(line))
					if _, err := fmt.Fprintln(c, "OK"); err != nil {
						return
					}
				}
			})
		}
	},
}

var dbClient = standIn{
	name:      "db-client",
	summary:   "Sends statements, a line each, on a connection that it keeps.",
	arguments: "HOST:PORT STATEMENT [STATEMENT …]",
	more: `
It prints "STATEMENT OK" for each that was answered so, and fails if one was not.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		d := &driver{}
		d.dial.define(f)
		f.DurationVar(&d.gap, "gap", 0, "wait so `long` between statements")
		d.check = choose(f, "check", "look at the kept connection before it is used: not at all; for an end of file only; for anything that has come", "none", "eof", "any")
		d.retry = choose(f, "retry", "which statements are sent again, on a new connection, when no answer came: none, or all", "none", "blind")
		f.DurationVar(&d.deadline, "deadline", 0, "wait so `long` for an answer; 0 for ever")
		d.onDeadline = choose(f, "on-deadline", "when none came: connect anew for the next statement, or go on with the same connection", "redial", "reuse")
		d.onIdleEnd = choose(f, "on-idle-end", "when the kept connection ends while nobody uses it: nothing, or crash by an error that nobody handles", "nothing", "crash")
		return func(p *process, args []string) error {
			if len(args) < 2 {
				return usageError("want HOST:PORT and a statement")
			}
			address, err := hostPort(args[:1])
			if err != nil {
				return err
			}
			if err := d.dial.check(); err != nil {
				return err
			}
			return d.run(p, address, args[1:])
		}
	},
}

type driver struct {
	dial                                dialFlags
	gap, deadline                       time.Duration
	check, retry, onDeadline, onIdleEnd *choice
	kept                                *bufferedConn
}

func (d *driver) run(p *process, address string, statements []string) error {
	failed := false
	for i, statement := range statements {
		if i > 0 {
			if err := d.wait(p); err != nil {
				return err
			}
		}
		failed = !d.do(p, address, statement) || failed
	}
	if d.kept != nil {
		d.kept.Close()
	}
	if failed {
		return errFailed
	}
	return nil
}

// wait is the time between statements, in which somebody may watch the connection.
func (d *driver) wait(p *process) error {
	if d.kept == nil || d.onIdleEnd.is("nothing") {
		p.pause(d.gap)
		return nil
	}
	if err := d.kept.SetReadDeadline(time.Now().Add(d.gap)); err != nil {
		return err
	}
	_, err := d.kept.r.Peek(1)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("unhandled error event: %w", reason(midway(err)))
	}
	return d.kept.SetReadDeadline(time.Time{})
}

func (d *driver) do(p *process, address, statement string) bool {
	for try := 1; ; try++ {
		err := d.once(p, address, statement)
		if err == nil {
			p.say("%s OK", statement)
			return true
		}
		p.complain("%s: %v", statement, reason(err))
		if d.retry.is("none") || try == tries {
			return false
		}
	}
}

func (d *driver) once(p *process, address, statement string) error {
	if d.kept != nil && d.stale() {
		d.kept.Close()
		d.kept = nil
	}
	if d.kept == nil {
		tcp, err := d.dial.connect(p, address)
		if err != nil {
			return err
		}
		d.kept = buffered(tcp)
	}
	c := d.kept
	err := d.ask(c, statement)
	if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || d.onDeadline.is("redial")) {
		c.Close()
		d.kept = nil
	}
	return err
}

func (d *driver) ask(c *bufferedConn, statement string) error {
	if d.deadline > 0 {
		if err := c.SetDeadline(time.Now().Add(d.deadline)); err != nil {
			return err
		}
		defer c.SetDeadline(time.Time{})
	}
	if _, err := fmt.Fprintln(c, statement); err != nil {
		return err
	}
	answer, err := c.r.ReadString('\n')
	if err != nil {
		return midway(err)
	}
	if answer = strings.TrimSpace(answer); answer != "OK" {
		return fmt.Errorf("the server says %q", answer)
	}
	return nil
}

// stale looks at the kept connection.
func (d *driver) stale() bool {
	switch found := peek(d.kept.TCPConn); d.check.value {
	case "eof":
		return found == ended && d.kept.r.Buffered() == 0
	case "any":
		return found != alive || d.kept.r.Buffered() > 0
	}
	return false
}

var reader = standIn{
	name:      "reader",
	summary:   "A subscriber: it only reads lines, and prints them.",
	arguments: "HOST:PORT",
	more: `
It prints each line, and "connected" whenever it has connected. Nothing but its own
flags can tell it that a silent server is gone.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		s := &subscriber{}
		s.dial.define(f)
		f.IntVar(&s.lines, "lines", 0, "end after so `many`; 0 goes on")
		f.DurationVar(&s.heartbeat, "heartbeat", 0, "give the connection up when no line came for so `long`; 0 never")
		f.DurationVar(&s.ping, "ping", 0, "send a line each so `long`, so that the kernel has something to be acknowledged; 0 never")
		s.onEnd = choose(f, "on-end", "when the connection ends: fail, or connect again", "fail", "reconnect")
		f.DurationVar(&s.closeDelay, "close-delay", 0, "wait so `long` before it closes a connection that has ended")
		f.DurationVar(&s.pause, "reconnect-after", 100*time.Millisecond, "wait so `long` before it connects again")
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

type subscriber struct {
	dial                               dialFlags
	lines                              int
	heartbeat, ping, pause, closeDelay time.Duration
	onEnd                              *choice
}

func (s *subscriber) run(p *process, address string) error {
	seen := 0
	for {
		err := s.subscribe(p, address, &seen)
		switch {
		case err == nil:
			return nil
		case s.onEnd.is("fail") || p.Err() != nil:
			return err
		}
		p.complain("%v", err)
		p.pause(s.pause)
	}
}

// subscribe reads one connection to its end; nil when all lines were seen.
func (s *subscriber) subscribe(p *process, address string, seen *int) error {
	tcp, err := s.dial.connect(p, address)
	if err != nil {
		return err
	}
	defer tcp.Close()
	p.say("connected")
	stop := make(chan struct{})
	defer close(stop)
	if s.ping > 0 {
		go pings(tcp, s.ping, stop)
	}
	for r := bufio.NewReader(&impatient{tcp, s.heartbeat}); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			p.pause(s.closeDelay)
		}
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("end of file")
		case err != nil:
			return reason(err)
		}
		p.say("%s", strings.TrimSpace(line))
		if *seen++; *seen == s.lines {
			return nil
		}
	}
}

// pings writes until it is stopped or cannot.
func pings(c *net.TCPConn, every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if _, err := fmt.Fprintln(c, "ping"); err != nil {
				return
			}
		}
	}
}
