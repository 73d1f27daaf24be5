package builtin

import (
	"flag"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var proxy = standIn{
	name:    "proxy",
	summary: "A TCP proxy: each connection that it takes it makes again to a target.",
	more: `
It prints "connection closed" when both of its sockets are closed.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		x := &relay{}
		port := portFlag(f)
		f.StringVar(&x.target, "target", "", "connect to this `HOST:PORT`")
		x.onEOF = choose(f, "on-eof", "when one end has said all: pass that on and go on with the other direction, or close both connections", "shutdown", "close")
		f.DurationVar(&x.idle, "idle", 0, "close both connections when nothing moved for so `long`; 0 never")
		x.dial.define(f)
		return func(p *process, args []string) error {
			if err := nothing(args); err != nil {
				return err
			}
			if _, err := hostPort([]string{x.target}); err != nil {
				return usageError("--target: want HOST:PORT")
			}
			if err := x.dial.check(); err != nil {
				return err
			}
			l, err := p.listen(*port)
			if err != nil {
				return err
			}
			return p.serve(l, func(c *net.TCPConn) { x.handle(p, c) })
		}
	},
}

type relay struct {
	target string
	onEOF  *choice
	idle   time.Duration
	dial   dialFlags
}

func (x *relay) handle(p *process, near *net.TCPConn) {
	defer near.Close()
	far, err := x.dial.connect(p, x.target)
	if err != nil {
		p.complain("%v", err)
		return
	}
	p.handle(far, func(far *net.TCPConn) {
		defer far.Close()
		x.relay(p, near, far)
	})
}

func (x *relay) relay(p *process, near, far *net.TCPConn) {
	closeBoth := sync.OnceFunc(func() { near.Close(); far.Close() })
	var moved atomic.Int64 // counts what would reset the idle timer
	if x.idle > 0 {
		over := make(chan struct{})
		defer close(over)
		go func() {
			look := time.NewTicker(x.idle)
			defer look.Stop()
			for last := int64(0); ; last = moved.Load() {
				select {
				case <-over:
					return
				case <-look.C:
				}
				if moved.Load() == last {
					closeBoth()
					return
				}
			}
		}()
	}
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{near, far}, {far, near}} {
		both.Go(func() {
			_, err := io.Copy(counter{way[1], &moved}, plainReader{way[0]})
			if err != nil || x.onEOF.is("close") {
				closeBoth()
				return
			}
			_ = way[1].CloseWrite() // one that has ended takes no end
		})
	}
	both.Wait()
	closeBoth()
	p.say("connection closed")
}

// counter counts writes.
type counter struct {
	c     *net.TCPConn
	moved *atomic.Int64
}

func (w counter) Write(b []byte) (int, error) {
	w.moved.Add(1)
	return w.c.Write(b)
}

// plainReader hides what would let the kernel copy from socket to socket.
type plainReader struct{ io.Reader }
