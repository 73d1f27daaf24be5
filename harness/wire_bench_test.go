//go:build linux

package harness_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/netenv"
)

// What the wire costs, in the gait flow: no kernel is asked, no log is kept.
// Each figure is taken beside what it is compared with, in turns, so that both
// have the same share of a busy machine.

// benchLimit bounds a whole benchmark; none takes a tenth of it.
const benchLimit = 2 * time.Minute

func benchContext(b *testing.B) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	b.Cleanup(cancel)
	return ctx
}

func benchKeeper(b *testing.B) *netenv.Keeper {
	b.Helper()
	k, err := netenv.Start(benchContext(b))
	if errors.Is(err, netenv.ErrNoPrivileges) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := k.Close(); err != nil {
			b.Error(err)
		}
	})
	return k
}

// benchWire puts an engine between the hosts of a lab.
func benchWire(b *testing.B, l *netenv.Lab) *inject.Wire {
	b.Helper()
	var config inject.WireConfig
	for _, h := range l.Hosts() {
		socket, err := inject.TakeSocket(h.Port)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { socket.Close() })
		config.Ports = append(config.Ports, inject.WirePort{
			Port:   inject.Port{Host: h.Name, Addrs: []netip.Addr{h.IPv4, h.IPv6}, MAC: h.MAC},
			Socket: socket,
		})
	}
	w, err := inject.NewWire(config)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// path is a connection between two peers, and what lies between them.
type path struct {
	b                  *testing.B
	ctx                context.Context
	client, server     *peer.Conn
	clientFD, serverFD peer.FD
}

// hostPeer starts a peer on a host.
func hostPeer(b *testing.B, h *netenv.Host, argv ...string) *peer.Conn {
	b.Helper()
	ours, theirs, err := peer.Pair()
	if err != nil {
		b.Fatal(err)
	}
	defer theirs.Close()
	if len(argv) == 0 {
		argv = []string{peer.Role}
	}
	_, err = h.StartProcess(benchContext(b), netenv.ProcessSpec{Argv: argv, Files: []*os.File{nil, nil, os.Stderr, theirs}})
	if err != nil {
		b.Fatal(err)
	}
	c := peer.NewConn(ours)
	b.Cleanup(func() { c.Close() })
	return c
}

// localPeer starts a peer where the benchmark itself runs.
func localPeer(b *testing.B) *peer.Conn {
	b.Helper()
	ours, theirs, err := peer.Pair()
	if err != nil {
		b.Fatal(err)
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{peer.Role}, ExtraFiles: []*os.File{theirs}, Stderr: os.Stderr}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		b.Fatal(err)
	}
	c := peer.NewConn(ours)
	b.Cleanup(func() {
		c.Close()
		_ = cmd.Wait() // it ends with its control socket
	})
	return c
}

// wirePath goes through the engine.
func wirePath(b *testing.B) *path {
	b.Helper()
	l, err := benchKeeper(b).NewLab(benchContext(b), netenv.LabSpec{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	w := benchWire(b, l)
	b.Cleanup(func() {
		lost := w.Lost()
		if err := w.Close(); err != nil {
			b.Error(err)
		}
		if lost > 0 {
			b.Logf("the wire lost %d frames", lost)
		}
	})
	client, server := l.Host("client"), l.Host("server")
	return connect(b, hostPeer(b, client), hostPeer(b, server), netip.AddrPortFrom(server.IPv4, 8080), nil)
}

// vethPath is one veth pair between two namespaces, and nothing else. With
// segments each frame is one segment with its checksum, as in a lab.
func vethPath(b *testing.B, segments bool) *path {
	b.Helper()
	l, err := benchKeeper(b).NewLab(benchContext(b), netenv.LabSpec{Hosts: []netenv.HostSpec{{Name: "client"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	role := roleOffloads
	if segments {
		role = roleSegments
	}
	h := l.Host("client")
	server := hostPeer(b, h, role)
	if _, err := server.Do(benchContext(b), peer.Socket(peer.IPv4)); err != nil { // until it stands
		b.Fatal(err)
	}
	return connect(b, hostPeer(b, h), server, netip.AddrPortFrom(bareServer.Addr(), 8080), nil)
}

// loopbackPath stays on 127.0.0.1, with or without a proxy between.
func loopbackPath(b *testing.B, proxied bool) *path {
	b.Helper()
	var between func(netip.AddrPort) netip.AddrPort
	if proxied {
		between = func(to netip.AddrPort) netip.AddrPort { return proxy(b, to) }
	}
	return connect(b, localPeer(b), localPeer(b), netip.MustParseAddrPort("127.0.0.1:0"), between)
}

// proxy is what is at hand instead of a wire: it accepts, connects, and copies
// through a buffer of its own, where a fault could be put in.
func proxy(b *testing.B, to netip.AddrPort) netip.AddrPort {
	b.Helper()
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	pass := func(from, to *net.TCPConn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err == nil {
				_, err = to.Write(buffer[:n])
			}
			if err != nil {
				from.Close()
				to.Close()
				return
			}
		}
	}
	go func() {
		for {
			in, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			out, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to))
			if err != nil {
				in.Close()
				continue
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// connect makes the connection; between tells where to connect to instead of
// the address on which the server listens.
func connect(b *testing.B, client, server *peer.Conn, addr netip.AddrPort, between func(netip.AddrPort) netip.AddrPort) *path {
	b.Helper()
	p := &path{b: b, ctx: benchContext(b), client: client, server: server}
	listener := p.do(server, peer.Socket(peer.IPv4)).FD()
	p.do(server, peer.Bind(listener, addr))
	p.do(server, peer.Listen(listener, 1))
	addr = p.do(server, peer.Getsockname(listener)).Addr
	if between != nil {
		addr = between(addr)
	}
	accepting := server.Start(peer.Accept(listener))
	p.clientFD = p.do(client, peer.Socket(peer.IPv4)).FD()
	p.do(client, peer.Connect(p.clientFD, addr))
	accepted, err := accepting.Wait(p.ctx)
	if err != nil || accepted.Failed() {
		b.Fatal(accepted, err)
	}
	p.serverFD = accepted.FD()
	return p
}

func (p *path) do(c *peer.Conn, call peer.Call) peer.Result {
	p.b.Helper()
	r, err := c.Do(p.ctx, call)
	if err != nil || r.Failed() {
		p.b.Fatal(r, err)
	}
	return r
}

// pings is how many round trips are one turn.
const pings = 100

// roundTrips takes a turn of round trips of one byte: from the client's write
// until its read has returned. What the two peers need for the calls is in it,
// here as there.
func (p *path) roundTrips() []time.Duration {
	p.b.Helper()
	var here, there []peer.Call
	for range pings {
		there = append(there, peer.Read(p.serverFD, 1), peer.Write(p.serverFD, []byte("x")))
		here = append(here, peer.Write(p.clientFD, []byte("x")), peer.Read(p.clientFD, 1))
	}
	answering := p.server.StartSequence(peer.Seq(there...))
	<-answering.Begun()
	results, err := p.client.Run(p.ctx, peer.Seq(here...))
	if err != nil {
		p.b.Fatal(err)
	}
	if _, err := answering.WaitAll(p.ctx); err != nil {
		p.b.Fatal(err)
	}
	var took []time.Duration
	for i := 0; i < len(results); i += 2 {
		if results[i].N != 1 || results[i+1].N != 1 {
			p.b.Fatal(results[i], results[i+1])
		}
		took = append(took, results[i+1].End-results[i].Begin)
	}
	return took[1:] // the first wakes everybody up
}

// bulk sends n bytes and tells how long they took to the last read.
func (p *path) bulk(n int64) time.Duration {
	p.b.Helper()
	write, read := peer.BulkWrite(p.clientFD, n), peer.BulkRead(p.serverFD, n)
	write.NoSum, read.NoSum = true, true
	reading := p.server.Start(read)
	<-reading.Begun()
	wrote := p.do(p.client, write)
	r, err := reading.Wait(p.ctx)
	if err != nil || r.Total != n {
		p.b.Fatal(r, err)
	}
	return r.End - wrote.Begin
}

func median[T time.Duration | float64](all []T) T {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// noTime takes the time of an iteration out of the report, where it means
// nothing to a reader.
func noTime(b *testing.B) { b.ReportMetric(0, "ns/op") }

// BenchmarkRoundTrip: how much later an answer comes with something between.
// wire is against the same two namespaces with one veth pair between; proxy is
// a TCP proxy, against a connection on loopback without it.
func BenchmarkRoundTrip(b *testing.B) {
	for _, bm := range []struct {
		name          string
		with, without func(*testing.B) *path
	}{
		{"wire", wirePath, func(b *testing.B) *path { return vethPath(b, true) }},
		{
			"proxy",
			func(b *testing.B) *path { return loopbackPath(b, true) },
			func(b *testing.B) *path { return loopbackPath(b, false) },
		},
	} {
		b.Run(bm.name, func(b *testing.B) {
			with, without := bm.with(b), bm.without(b)
			with.roundTrips()
			without.roundTrips()
			var long, short []time.Duration
			for b.Loop() {
				long = append(long, with.roundTrips()...)
				short = append(short, without.roundTrips()...)
			}
			noTime(b)
			b.ReportMetric(micros(median(long)), "with-µs")
			b.ReportMetric(micros(median(short)), "without-µs")
			b.ReportMetric(micros(median(long)-median(short)), "added-µs")
		})
	}
}

// bulkBytes is one turn of BenchmarkBulk.
const bulkBytes = 64 << 20

// BenchmarkBulk: how fast one connection carries data. wire has one segment a
// frame, and so has veth-segments, without a wire; veth has the kernel's usual
// superframes; proxy is a TCP proxy on loopback.
func BenchmarkBulk(b *testing.B) {
	for _, bm := range []struct {
		name string
		path func(*testing.B) *path
	}{
		{"wire", wirePath},
		{"veth-segments", func(b *testing.B) *path { return vethPath(b, true) }},
		{"veth", func(b *testing.B) *path { return vethPath(b, false) }},
		{"proxy", func(b *testing.B) *path { return loopbackPath(b, true) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := bm.path(b)
			p.bulk(bulkBytes / 8)
			var speeds []float64
			for b.Loop() {
				speeds = append(speeds, bulkBytes*8/p.bulk(bulkBytes).Seconds()/1e9)
			}
			noTime(b)
			b.ReportMetric(median(speeds), "Gbit/s")
		})
	}
}
