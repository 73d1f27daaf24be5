//go:build linux

package harness_test

import (
	"net/netip"
	"testing"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/netenv"
)

// superPath goes through the engine with the hosts' offloads on: superframes
// pass unread.
func superPath(b *testing.B) *path {
	b.Helper()
	hosts := []netenv.HostSpec{{Name: "client", Offloads: true}, {Name: "server", Offloads: true}}
	l, err := benchKeeper(b).NewLab(benchContext(b), netenv.LabSpec{Hosts: hosts})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	var config inject.WireConfig
	for _, h := range l.Hosts() {
		socket, err := inject.TakeSocket(h.Port)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { socket.Close() })
		config.Ports = append(config.Ports, inject.WirePort{
			Port:   inject.Port{Host: h.Name, Addrs: []netip.Addr{h.IPv4, h.IPv6}, MAC: h.MAC},
			Socket: socket, Super: true,
		})
	}
	w, err := inject.NewWire(config)
	if err != nil {
		b.Fatal(err)
	}
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

// BenchmarkSuperframes: bulk through a wire that need not look, in turns with
// the bare veth pair, so that both have the same share of a busy machine.
func BenchmarkSuperframes(b *testing.B) {
	with, without := superPath(b), vethPath(b, false)
	with.bulk(bulkBytes / 8)
	without.bulk(bulkBytes / 8)
	var wire, veth []float64
	for b.Loop() {
		wire = append(wire, bulkBytes*8/with.bulk(bulkBytes).Seconds()/1e9)
		veth = append(veth, bulkBytes*8/without.bulk(bulkBytes).Seconds()/1e9)
	}
	noTime(b)
	b.ReportMetric(median(wire), "wire-Gbit/s")
	b.ReportMetric(median(veth), "veth-Gbit/s")
	b.ReportMetric(100*median(wire)/median(veth), "%")
}
