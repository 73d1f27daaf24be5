package netenv

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// established connects the client to the server over a bridge that the test makes,
// and returns the two ends as the client sees them.
func established(t *testing.T, l *Lab, v6 bool) (local, remote string) {
	t.Helper()
	address := "192.0.2.2:8080"
	if v6 {
		address = "[2001:db8::2]:8080"
	}
	r, w := pipe(t)
	helper(t, l.Host("server"), true, []*os.File{nil, w}, "listen", address)
	w.Close()
	readLine(t, r)
	r2, w2 := pipe(t)
	helper(t, l.Host("client"), false, []*os.File{nil, w2}, "connect", address)
	w2.Close()
	local, remote, _ = strings.Cut(readLine(t, r2), " ")
	return local, remote
}

// A host that loses its power says nothing, has no socket left, and answers old
// connections with RST when it is back.
func TestPowerOffAndBoot(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client, server := l.Host("client"), l.Host("server")
	bridge(t, client.Port, server.Port)
	established(t, l, false)
	old := server.Port
	for range 3 {
		must(t, server.PowerOff(ctx))
		must(t, server.PowerOff(ctx))
		if _, err := server.StartProcess(ctx, ProcessSpec{Path: "/bin/true"}); err == nil || !strings.Contains(err.Error(), "the host is off") {
			t.Errorf("start on a host that is off: %v", err)
		}
		must(t, server.Boot(ctx))
		if err := server.Boot(ctx); err == nil || !strings.Contains(err.Error(), "it is on") {
			t.Errorf("boot twice: %v", err)
		}
	}
	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("old port: %v", err)
	}
	// With its port the old bridge ends too.
	must(t, client.PowerOff(ctx))
	must(t, client.Boot(ctx))
	bridge(t, client.Port, server.Port)
	p := helper(t, client, false, nil, "connect", "192.0.2.2:80")
	if status := wait(t, p); status.Code != 1 {
		t.Errorf("connect after boot: %+v, want it refused", status)
	}
	if snmp := counters(t, server.SNMP, "Tcp"); snmp["OutRsts"] == "0" {
		t.Errorf("the server sent no RST: %v", snmp)
	}
}

// The end of a host puts nothing on the wire, though a killed process closes its
// sockets.
func TestPowerOffIsSilent(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client := l.Host("client")
	// A second descriptor of the port outlives the host's.
	fd := -1
	raw, err := client.Port.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(f uintptr) { fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) }))
	must(t, err)
	port := os.NewFile(uintptr(fd), "port")
	defer port.Close()

	helper(t, client, false, nil, "connect", "192.0.2.2:80")
	readFrame(t, client.Port, isSYN)
	must(t, client.PowerOff(ctx))
	must(t, unix.SetNonblock(fd, true))
	buffer := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			break // nothing more
		}
		if isTCP(buffer[:n]) && !isSYN(buffer[:n]) {
			t.Errorf("said at its end: % x", buffer[:n])
		}
	}
}

func TestUnplugAndPlug(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client, server := l.Host("client"), l.Host("server")
	bridge(t, client.Port, server.Port)
	carrier := func() string { return output(t, client, "carrier") }
	for range 3 {
		must(t, client.Unplug(ctx))
		must(t, client.Unplug(ctx))
		if got := carrier(); got != "0\n" {
			t.Errorf("carrier %q while unplugged", got)
		}
		must(t, client.Plug(ctx))
		must(t, client.Plug(ctx))
		if got := carrier(); got != "1\n" {
			t.Errorf("carrier %q while plugged", got)
		}
		for _, address := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
			if status := wait(t, helper(t, client, false, nil, "connect", address)); status.Code != 1 {
				t.Errorf("connect: %+v", status)
			}
		}
	}
	if snmp := counters(t, client.SNMP, "Tcp"); snmp["RetransSegs"] != "0" {
		t.Errorf("a first segment after Plug was lost: %v", snmp)
	}
	must(t, client.CutOff(ctx))
	if err := client.Plug(ctx); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("plug what was cut off: %v", err)
	}
}

func TestDestroy(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	for _, v6 := range []bool{false, true} {
		l := newLab(t, k, LabSpec{})
		client := l.Host("client")
		bridge(t, client.Port, l.Host("server").Port)
		local, remote := established(t, l, v6)
		must(t, client.Destroy(ctx, parse(t, local), parse(t, remote)))
		if err := client.Destroy(ctx, parse(t, local), parse(t, remote)); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("destroy again: %v", err)
		}
	}
}

// An event tells of each end, and arrives at a descriptor that was opened by
// somebody else in another namespace.
func TestDestroyEventsArrive(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	for _, v6 := range []bool{false, true} {
		l := newLab(t, k, LabSpec{})
		client := l.Host("client")
		bridge(t, client.Port, l.Host("server").Port)
		local, remote := established(t, l, v6)
		must(t, client.Destroy(ctx, parse(t, local), parse(t, remote)))
		n, err := client.DestroyEvents.Read(make([]byte, 8192))
		if err != nil || n < 72 {
			t.Errorf("v6 %t: event of %d bytes, %v", v6, n, err)
		}
	}
}

func TestNeighboursAreResolvedOnRequest(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{{Name: "client", ResolveNeighbours: true}, {Name: "server"}}})
	client := l.Host("client")
	isARP := func(f []byte) bool { return etherType(f) == unix.ETH_P_ARP }
	p := helper(t, client, false, nil, "connect", "192.0.2.2:7")
	readFrame(t, client.Port, isARP)
	must(t, p.Signal(syscall.SIGKILL))
	p = helper(t, client, false, nil, "connect", "[2001:db8::2]:7")
	readFrame(t, client.Port, func(f []byte) bool { return etherType(f) == unix.ETH_P_IPV6 && f[54] == 135 })
	must(t, p.Signal(syscall.SIGKILL))
	must(t, client.ResolveNeighbours(ctx, false))
	helper(t, client, false, nil, "connect", "192.0.2.2:7")
	readFrame(t, client.Port, func(f []byte) bool { return isSYN(f) && etherType(f) == unix.ETH_P_IP })
	must(t, client.ResolveNeighbours(ctx, true))
	helper(t, client, false, nil, "connect", "192.0.2.2:8")
	readFrame(t, client.Port, isARP)
}

func TestMTUAndRTOMin(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{{Name: "client", MTU: 1300, RTOMin: 20_000_000}, {Name: "server", MTU: 9000}}})
	client, server := l.Host("client"), l.Host("server")
	for _, test := range []struct {
		from, to *Host
		address  string
		mss      int
	}{
		{client, server, "192.0.2.2:7", 1260}, {client, server, "[2001:db8::2]:7", 1240},
		{server, client, "192.0.2.1:7", 8960}, {server, client, "[2001:db8::1]:7", 8940},
	} {
		helper(t, test.from, false, nil, "connect", test.address)
		frame := readFrame(t, test.from.Port, func(f []byte) bool {
			return isSYN(f) && (etherType(f) == unix.ETH_P_IPV6) == (test.address[0] == '[')
		})
		tcp := tcpOf(frame)
		if mss := int(tcp[22])<<8 | int(tcp[23]); mss != test.mss {
			t.Errorf("%s to %s: MSS %d, want %d", test.from.Name, test.address, mss, test.mss)
		}
	}
	if text := output(t, client, "routes"); strings.Count(text, "rto_min") != 2 {
		t.Logf("routes (ip may be missing here): %s", text)
	}
}

func TestSuperframes(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{{Name: "client", Offloads: true}, {Name: "server", Offloads: true}}})
	client, server := l.Host("client"), l.Host("server")
	r, w := pipe(t)
	helper(t, server, false, []*os.File{nil, w}, "listen", "192.0.2.2:80")
	readLine(t, r)
	seen := make(chan []byte, 4096)
	go copyFrames(client.Port, server.Port, seen)
	go copyFrames(server.Port, client.Port, nil)
	helper(t, client, false, nil, "say", "192.0.2.2:80", "2000000")
	const virtioHeader = 10
	total, longest := 0, 0
	for total < 2000000 {
		frame := (<-seen)[virtioHeader:]
		longest = max(longest, len(frame))
		total += len(tcpOf(frame)) - int(tcpOf(frame)[12]>>4)*4
	}
	if longest <= 1514 {
		t.Errorf("the longest frame has %d bytes: no superframe", longest)
	}
}
