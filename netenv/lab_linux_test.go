package netenv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLabHasItsAddressesAndDescriptors(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{{Name: "client"}, {Name: "server"}, {Name: "attacker"}, {Name: "proxy"}}})
	var got []string
	for _, h := range l.Hosts() {
		got = append(got, h.Name+" "+h.IPv4.String()+" "+h.IPv6.String()+" "+h.MAC.String())
	}
	want := []string{
		"client 192.0.2.1 2001:db8::1 02:00:00:00:00:01", "server 192.0.2.2 2001:db8::2 02:00:00:00:00:02",
		"attacker 192.0.2.66 2001:db8::66 02:00:00:00:00:42", "proxy 192.0.2.3 2001:db8::3 02:00:00:00:00:03",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A frame that is sent the moment a lab is ready must arrive.
func TestFirstFrameIsNotLost(t *testing.T) {
	labs := 200
	if testing.Short() {
		labs = 20
	}
	k := startKeeper(t)
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range labs {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			l, err := k.NewLab(testContext(t), LabSpec{})
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			bridge(t, l.Host("client").Port, l.Host("server").Port)
			server, client := l.Host("server"), l.Host("client")
			to := server.IPv4
			if i%2 == 1 {
				to = server.IPv6
			}
			// Nobody listens, so one round trip ends it; a lost SYN would cost a second.
			p, err := client.StartProcess(testContext(t), ProcessSpec{Argv: []string{"lastack-test", "connect", addrPort(to, 7).String()}})
			if err != nil {
				t.Error(err)
				return
			}
			status, err := p.Wait(testContext(t))
			if err != nil || status.Code != 1 {
				t.Errorf("status %v, %v; want 1: connection refused", status, err)
			}
			if snmp := counters(t, client.SNMP, "Tcp"); snmp["RetransSegs"] != "0" || snmp["AttemptFails"] != "1" {
				t.Errorf("lab %d: counters %v: the first SYN was lost", i, snmp)
			}
		})
	}
	wait.Wait()
}

// counters reads a group of net/snmp anew.
func counters(t testing.TB, file *os.File, group string) map[string]string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != group+":":
		case names == nil:
			names = fields
		default:
			for i, name := range names {
				found[name] = fields[i]
			}
		}
	}
	return found
}

// Each frame is one segment with a right checksum, as a real card would put it on
// the cable. Nothing talks but programs, and the kernel of its multicast groups,
// which cannot be switched off.
func TestFramesAreSingleSegments(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client, server := l.Host("client"), l.Host("server")
	r, w := pipe(t)
	helper(t, server, false, []*os.File{nil, w}, "listen", "192.0.2.2:80")
	readLine(t, r)
	seen := make(chan []byte, 4096)
	go copyFrames(client.Port, server.Port, seen)
	go copyFrames(server.Port, client.Port, nil)
	helper(t, client, false, nil, "say", "192.0.2.2:80", "200000")
	total := 0
	for total < 200000 {
		frame := <-seen
		if len(frame) > 1514 {
			t.Fatalf("a frame of %d bytes", len(frame))
		}
		if !isTCP(frame) {
			if !isMLD(frame) {
				t.Fatalf("neither TCP nor MLD: % x", frame)
			}
			continue
		}
		if sum := checksum(frame); sum != 0xffff {
			t.Fatalf("checksum %#x is wrong in % x", sum, frame[:54])
		}
		total += len(tcpOf(frame)) - int(tcpOf(frame)[12]>>4)*4
	}
}

func copyFrames(from, to *os.File, seen chan<- []byte) {
	buffer := make([]byte, 65600)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if seen != nil {
			seen <- append([]byte(nil), buffer[:n]...)
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// checksum sums an IPv4 frame's TCP segment with its pseudo header.
func checksum(frame []byte) uint32 {
	length := int(frame[16])<<8 | int(frame[17])
	segment := frame[34 : 14+length]
	sum := uint32(6 + len(segment))
	add := func(b []byte) {
		for i, c := range b {
			if i%2 == 0 {
				sum += uint32(c) << 8
			} else {
				sum += uint32(c)
			}
		}
	}
	add(frame[26:34])
	add(segment)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

func readLine(t testing.TB, r *os.File) string {
	t.Helper()
	var line []byte
	var b [1]byte
	for {
		if _, err := r.Read(b[:]); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

func TestManyLabsAtOnce(t *testing.T) {
	k := startKeeper(t)
	var wait sync.WaitGroup
	for range 30 {
		wait.Go(func() {
			l, err := k.NewLab(testContext(t), LabSpec{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	census, err := k.Census(testContext(t))
	must(t, err)
	if census.Labs+census.Hosts+census.Processes+census.Strays+census.Links != 0 {
		t.Errorf("left behind: %+v", census)
	}
}

func TestLabGivenUpIsTakenDown(t *testing.T) {
	k := startKeeper(t)
	for i := range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*300*time.Microsecond)
		l, err := k.NewLab(ctx, LabSpec{})
		cancel()
		if err == nil {
			must(t, l.Close())
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	must(t, k.Close())
}

func TestBadSpecs(t *testing.T) {
	for name, test := range map[string]struct {
		hosts []HostSpec
		want  string
	}{
		"none":        {[]HostSpec{}, "no hosts"},
		"bad name":    {[]HostSpec{{Name: "a b"}}, "host name"},
		"twice":       {[]HostSpec{{Name: "a"}, {Name: "a"}}, "two hosts"},
		"small MTU":   {[]HostSpec{{Name: "a", MTU: 500}}, "MTU 500"},
		"RTO":         {[]HostSpec{{Name: "a", RTOMin: time.Microsecond}}, "milliseconds"},
		"sysctl":      {[]HostSpec{{Name: "a", Sysctls: []Sysctl{{"kernel.hostname", "x"}}}}, "only keys under net."},
		"sysctl path": {[]HostSpec{{Name: "a", Sysctls: []Sysctl{{"net..kernel", "x"}}}}, "not a key"},
		"slash":       {[]HostSpec{{Name: "a", Sysctls: []Sysctl{{"net.ipv4/../../kernel/x", "x"}}}}, "not a key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := planLab(LabSpec{Hosts: test.hosts})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestSysctlsRememberStock(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{
		{Name: "client", Sysctls: []Sysctl{{"net.ipv4.tcp_fin_timeout", "5"}, {"net.ipv4.tcp_rmem", "4096 8192 16384"}}},
		{Name: "server"},
	}})
	client, server := l.Host("client"), l.Host("server")
	must(t, client.SetSysctl(ctx, "net.ipv4.tcp_fin_timeout", "7"))
	must(t, client.SetSysctl(ctx, "net.ipv4.tcp_sack", "1"))
	changed := client.Changed()
	if len(changed) != 2 || changed[0] != (SysctlChange{"net.ipv4.tcp_fin_timeout", "7", "60"}) || changed[1].Value != "4096 8192 16384" {
		t.Errorf("changed: %+v", changed)
	}
	if value, err := server.Sysctl(ctx, "net.ipv4.tcp_fin_timeout"); value != "60" || err != nil {
		t.Errorf("the server has %s, %v", value, err)
	}
	for _, test := range []struct{ key, value, want string }{
		{"net.ipv4.tcp_fin_timout", "1", "the nearest is net.ipv4.tcp_fin_timeout"},
		{"net.ipv4.tcp_fin_timeout", "soon", "set sysctl net.ipv4.tcp_fin_timeout to \"soon\": invalid argument"},
		{"kernel.pid_max", "1", "only keys under net."},
		{"net.ipv4", "1", "is a directory"},
	} {
		err := client.SetSysctl(ctx, test.key, test.value)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("set %s to %s: error %v, want %q", test.key, test.value, err, test.want)
		}
	}
	must(t, client.PowerOff(ctx))
	must(t, client.Boot(ctx))
	if value, err := client.Sysctl(ctx, "net.ipv4.tcp_fin_timeout"); value != "7" || err != nil {
		t.Errorf("after boot: %s, %v", value, err)
	}
}

func TestClosedKeeperAndLab(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Host("client").Unplug(testContext(t)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("unplug: %v", err)
	}
	open := newLab(t, k, LabSpec{})
	must(t, k.Close())
	must(t, k.Close())
	if _, err := open.Host("client").Port.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read port: %v", err)
	}
	if _, err := k.NewLab(testContext(t), LabSpec{}); !errors.Is(err, ErrClosed) {
		t.Errorf("new lab: %v", err)
	}
}

func TestRawSocketOfAttacker(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{{Name: "client"}, {Name: "attacker"}}})
	for _, network := range []string{"ip4:tcp", "ip6:raw"} {
		f, err := l.Host("attacker").OpenRaw(ctx, network)
		if err != nil {
			t.Error(err)
			continue
		}
		f.Close()
	}
	if _, err := l.Host("attacker").OpenRaw(ctx, "tcp"); err == nil || !strings.Contains(err.Error(), "network") {
		t.Errorf("open tcp: %v", err)
	}
}

func TestSNMPIsReadAnew(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client := l.Host("client")
	if got := counters(t, client.SNMP, "Tcp")["ActiveOpens"]; got != "0" {
		t.Errorf("ActiveOpens %s before", got)
	}
	p := helper(t, client, false, nil, "connect", "192.0.2.2:80")
	readFrame(t, client.Port, isSYN)
	if got := counters(t, client.SNMP, "Tcp")["ActiveOpens"]; got != "1" {
		t.Errorf("ActiveOpens %s after", got)
	}
	text, err := io.ReadAll(io.NewSectionReader(client.Netstat, 0, 1<<20))
	if err != nil || !bytes.Contains(text, []byte("TcpExt:")) {
		t.Errorf("netstat: %v", err)
	}
	must(t, p.Signal(syscall.SIGKILL))
	if status := wait(t, p); status.Signal != syscall.SIGKILL || status.Code != -1 {
		t.Errorf("status %+v", status)
	}
}
