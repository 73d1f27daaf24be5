package tool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/inject/tcp"
)

// The end of a lab puts nothing on a wire: neither the FIN and RST of the programs that it kills, nor those of the sockets
// that it destroys. A packet socket of this test's own listens beside lastack's, from before the first lab until after the
// last one; what it hears must be what the records say, and nothing else.
func TestTearDownIsSilent(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can enter the keeper's network namespace from outside; the records themselves cannot show what came after them")
	}
	pool := newPool(t)
	port := eavesdrop(t, keeperOf(t))
	var jobs []harness.Job
	for _, sc := range unfinished {
		for _, ip := range []int{4, 6} {
			jobs = append(jobs, harness.Job{Scenario: sc, Options: harness.Options{IP: ip}})
		}
	}
	var want []string
	for _, r := range playAll(t, pool, jobs) {
		mustPass(t, r)
		for i := range r.Segments {
			if s := &r.Segments[i]; !s.Other && (s.SentBy == "client" || s.SentBy == "server") {
				want = append(want, describe(s.Frame))
			}
		}
	}
	// A lab has ended when its run is told, and what its hosts sent is in the socket's queue by then.
	got := heard(t, port)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("segments that left the hosts (-in the records +on the wires):\n%s", diff)
	}
	t.Logf("%d labs, %d segments", len(jobs), len(got))
}

// Plays that end in the middle. Where a FIN is in flight it was sent so often that the kernel's next try is far off: what
// comes nevertheless is the doing of the tear-down.
var unfinished = []harness.Scenario{
	{Name: "silence/open", Play: func(s *harness.Stage) {
		client, server := s.Established()
		client.Write("hello")
		server.Read(5)
		s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	}},
	{Name: "silence/unread-data", Play: func(s *harness.Stage) {
		client, _ := s.Established()
		client.Write("hello") // close() of the server would be RST
		s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	}},
	{Name: "silence/fin-wait-1", Play: func(s *harness.Stage) {
		client, _ := s.Established()
		s.Wire.On("client.FIN").Always().Drop()
		client.Close()
		s.Await(s.Wire.Seen("client.FIN#3"))
	}},
	{Name: "silence/last-ack", Play: func(s *harness.Stage) {
		client, server := s.Established()
		s.Wire.On("client.ACK(server.FIN)").Always().Drop()
		client.Close()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Read(1) // end of file
		server.Close()
		s.Await(s.Wire.Seen("client.ACK(server.FIN)#3")) // it is on the wire before the record is taken
	}},
}

// keeperOf finds the keeper that this process has started.
func keeperOf(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(line), "lastack-keeper\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) {
			return pid
		}
	}
	t.Fatal("this process has no keeper")
	return 0
}

// eavesdrop opens a packet socket in the network namespace of a process. It is bound to no link and hears them all.
func eavesdrop(t *testing.T, pid int) int {
	t.Helper()
	type opened struct {
		fd  int
		err error
	}
	done := make(chan opened)
	go func() {
		// The thread is never unlocked, and so ends with this goroutine: no other one finds itself in that namespace.
		runtime.LockOSThread()
		fd, err := openEverywhere(pid)
		done <- opened{fd, err}
	}()
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Cleanup(func() { unix.Close(o.fd) })
	return o.fd
}

func openEverywhere(pid int) (int, error) {
	net, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the keeper's namespace: %w", err)
	}
	defer unix.Close(net)
	if err := unix.Setns(net, unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("enter the keeper's namespace: %w", err)
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in the order of the network
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	return fd, nil
}

// heard reads all that hosts have sent.
func heard(t *testing.T, fd int) []string {
	t.Helper()
	var all []string
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return all
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // a link was deleted
			continue
		case err != nil:
			t.Fatal(err)
		}
		link, is := from.(*unix.SockaddrLinklayer)
		if is && link.Pkttype != unix.PACKET_OUTGOING {
			if text := describe(buffer[:n]); text != "" {
				all = append(all, text)
			}
		}
	}
}

// describe is a segment in one line, by which two of them can be told apart; "" for what is not TCP.
func describe(frame []byte) string {
	var s tcp.Segment
	if s.Parse(frame) != nil {
		return ""
	}
	return fmt.Sprintf("%v > %v %s seq %d ack %d len %d %x", s.Src, s.Dst, s.Flags, s.Seq, s.Ack, s.Len, frame)
}
