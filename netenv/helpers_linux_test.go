package netenv

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testLimit bounds each wait of a test; nothing here takes a tenth of it.
const testLimit = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

// startKeeper gives a keeper that must end without an error and hold nothing.
func startKeeper(t testing.TB) *Keeper {
	t.Helper()
	k, err := Start(testContext(t))
	if errors.Is(err, ErrNoPrivileges) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func newLab(t testing.TB, k *Keeper, spec LabSpec) *Lab {
	t.Helper()
	l, err := k.NewLab(testContext(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func etherType(frame []byte) uint16 { return binary.BigEndian.Uint16(frame[12:]) }

// readFrame waits for a frame of the host that want accepts.
func readFrame(t testing.TB, port *os.File, want func([]byte) bool) []byte {
	t.Helper()
	must(t, port.SetReadDeadline(time.Now().Add(testLimit)))
	buffer := make([]byte, 65600)
	for {
		n, err := port.Read(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if want(buffer[:n]) {
			return append([]byte(nil), buffer[:n]...)
		}
	}
}

// isSYN accepts TCP's first segment in both families.
func isSYN(frame []byte) bool { return isTCP(frame) && tcpOf(frame)[13] == 2 }

func isTCP(frame []byte) bool {
	switch etherType(frame) {
	case unix.ETH_P_IP:
		return frame[23] == unix.IPPROTO_TCP
	case unix.ETH_P_IPV6:
		return frame[20] == unix.IPPROTO_TCP
	}
	return false
}

// isMLD accepts what a host tells routers of its multicast groups.
func isMLD(frame []byte) bool {
	return etherType(frame) == unix.ETH_P_IPV6 && len(frame) > 62 && frame[20] == 0 && frame[62] == 143
}

func tcpOf(frame []byte) []byte {
	if etherType(frame) == unix.ETH_P_IP {
		return frame[14+20:]
	}
	return frame[14+40:]
}

// bridge passes frames between two ports until both are closed.
func bridge(t testing.TB, a, b *os.File) {
	t.Helper()
	pass := func(from, to *os.File) {
		buffer := make([]byte, 65600)
		for {
			n, err := from.Read(buffer)
			if errors.Is(err, unix.ENETDOWN) {
				continue
			}
			if err != nil {
				return
			}
			// A cable that is out at the other end loses the frame.
			_, _ = to.Write(buffer[:n])
		}
	}
	go pass(a, b)
	go pass(b, a)
}

// helper starts this test binary on a host as one of the helpers of TestMain.
func helper(t testing.TB, h *Host, isolated bool, files []*os.File, args ...string) *Process {
	t.Helper()
	p, err := h.StartProcess(testContext(t), ProcessSpec{
		Argv: append([]string{"lastack-test"}, args...), Files: files, Isolated: isolated,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pipe gives both ends; the test closes what is left open.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	must(t, r.SetReadDeadline(time.Now().Add(testLimit)))
	return r, w
}

func wait(t testing.TB, p *Process) ExitStatus {
	t.Helper()
	status, err := p.Wait(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func addrPort(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }

func parse(t testing.TB, text string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(text)
	must(t, err)
	return a
}
