package peer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/harness/internal/peer"
)

var loopbacks = map[string]netip.Addr{
	"IPv4": netip.MustParseAddr("127.0.0.1"),
	"IPv6": netip.MustParseAddr("::1"),
}

// start runs a peer of its own and ends it with the test.
func start(t testing.TB) (*peer.Conn, *exec.Cmd) {
	t.Helper()
	callers, peers, err := peer.Pair()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{peer.Role}, ExtraFiles: []*os.File{peers}, Stderr: os.Stderr}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peers.Close()
	c := peer.NewConn(callers)
	t.Cleanup(func() {
		c.Close()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.Exited() && cmd.ProcessState.ExitCode() != exitStatus {
			t.Errorf("peer ended: %v", err)
		}
	})
	return c, cmd
}

// exitStatus is what the test of Exit asks for.
const exitStatus = 7

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// must makes a call that has to succeed.
func must(t testing.TB, c *peer.Conn, call peer.Call) peer.Result {
	t.Helper()
	r := do(t, c, call)
	if r.Failed() {
		t.Fatalf("%v", r)
	}
	return r
}

func do(t testing.TB, c *peer.Conn, call peer.Call) peer.Result {
	t.Helper()
	r, err := c.Do(deadline(t), call)
	if err != nil {
		t.Fatalf("%s: %v", call.Op, err)
	}
	return r
}

// established is a connection between two peers.
type established struct {
	client, server *peer.Conn
	listener       peer.FD
	cfd, sfd       peer.FD
	addr           netip.AddrPort
}

func establish(t testing.TB, addr netip.Addr) established {
	t.Helper()
	var e established
	e.client, _ = start(t)
	e.server, _ = start(t)
	rs, err := e.server.Run(deadline(t), peer.Sequence{UntilError: true, Calls: []peer.Call{
		peer.Socket(peer.FamilyOf(addr)),
		peer.Setsockopt(peer.Ref(0), peer.SOReuseAddr, 1),
		peer.Bind(peer.Ref(0), netip.AddrPortFrom(addr, 0)),
		peer.Listen(peer.Ref(0), 4),
		peer.Getsockname(peer.Ref(0)),
	}})
	if err != nil || rs[len(rs)-1].Failed() {
		t.Fatalf("listen: %v %v", rs, err)
	}
	e.listener, e.addr = rs[0].FD(), rs[4].Addr
	accept := e.server.Start(peer.Accept(e.listener))
	e.cfd = must(t, e.client, peer.Socket(peer.FamilyOf(addr))).FD()
	must(t, e.client, peer.Connect(e.cfd, e.addr))
	r, err := accept.Wait(deadline(t))
	if err != nil || r.Failed() {
		t.Fatalf("accept: %v %v", r, err)
	}
	e.sfd = r.FD()
	if want := must(t, e.client, peer.Getsockname(e.cfd)).Addr; r.Addr != want {
		t.Errorf("accepted from %v, want %v", r.Addr, want)
	}
	return e
}

func eachFamily(t *testing.T, test func(t *testing.T, e established)) {
	for name, addr := range loopbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, establish(t, addr))
		})
	}
}

// outcome is what does not change from run to run.
var outcome = cmp.Options{
	cmpopts.IgnoreFields(peer.Result{}, "Begin", "End"),
	cmpopts.EquateComparable(netip.AddrPort{}),
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func TestReadAndWrite(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		got := must(t, e.client, peer.Write(e.cfd, []byte("hello")))
		want := peer.Result{Name: "write", Text: "write(8, \"hello\")", N: 5, Total: 5, Sum: sum("hello")}
		if d := cmp.Diff(want, got, outcome); d != "" {
			t.Error(d)
		}
		if got.Begin <= 0 || got.End < got.Begin {
			t.Errorf("times %v to %v", got.Begin, got.End)
		}
		must(t, e.server, peer.Poll(peer.Forever, peer.PollFD{FD: e.sfd, Events: peer.In}))
		if n := must(t, e.server, peer.InQueue(e.sfd)); n.Value != 5 || n.Text != "ioctl(9, SIOCINQ)" {
			t.Errorf("%v: %d bytes", n, n.Value)
		}
		got = must(t, e.server, peer.Recv(e.sfd, 3, peer.Peek|peer.DontWait))
		want = peer.Result{Name: "recv", Text: "recv(9, 3, MSG_PEEK|MSG_DONTWAIT)", N: 3, Total: 3, Data: []byte("hel"), Sum: sum("hel")}
		if d := cmp.Diff(want, got, outcome); d != "" {
			t.Error(d)
		}
		got = must(t, e.server, peer.Read(e.sfd, 100))
		want = peer.Result{Name: "read", Text: "read(9, 100)", N: 5, Total: 5, Data: []byte("hello"), Sum: sum("hello")}
		if d := cmp.Diff(want, got, outcome); d != "" {
			t.Error(d)
		}
		if s := do(t, e.server, peer.Recv(e.sfd, 1, peer.DontWait)).String(); s != "recv(9, 1, MSG_DONTWAIT) = -1 EAGAIN" {
			t.Error(s)
		}
		must(t, e.server, peer.Nonblock(e.sfd, true))
		if s := do(t, e.server, peer.Read(e.sfd, 1)).String(); s != "read(9, 1) = -1 EAGAIN" {
			t.Error(s)
		}
		must(t, e.client, peer.Close(e.cfd))
		must(t, e.server, peer.Nonblock(e.sfd, false))
		if r := must(t, e.server, peer.Read(e.sfd, 1)); r.String() != "read(9, 1) = 0" || !r.EOF {
			t.Errorf("%v, end of file %v", r, r.EOF)
		}
	})
}

func TestResetIsReadOnceThenEndOfFile(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		must(t, e.client, peer.SetLinger(e.cfd, peer.Linger{On: true}))
		if l := must(t, e.client, peer.Getsockopt(e.cfd, peer.SOLinger)); l.Linger != (peer.Linger{On: true}) {
			t.Errorf("linger %v", l.Linger)
		}
		must(t, e.client, peer.Close(e.cfd))
		r := must(t, e.server, peer.Poll(peer.Forever, peer.PollFD{FD: e.sfd, Events: peer.RdHup}))
		if r.Poll[0].Returns&(peer.Err|peer.Hup) != peer.Err|peer.Hup {
			t.Errorf("poll says %v", r.Poll[0].Returns)
		}
		for _, want := range []string{"read(9, 1) = -1 ECONNRESET", "read(9, 1) = 0", "write(9, \"x\") = -1 EPIPE (SIGPIPE)"} {
			call := peer.Read(e.sfd, 1)
			if want[0] == 'w' {
				call = peer.Write(e.sfd, []byte("x"))
			}
			if got := do(t, e.server, call).String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if i := must(t, e.server, peer.Getsockopt(e.sfd, peer.TCPInfoOption)).Info; i == nil || i.State != 7 {
			t.Errorf("tcp_info %+v", i)
		}
	})
}

func TestWriteAfterReset(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		must(t, e.client, peer.SetLinger(e.cfd, peer.Linger{On: true}))
		must(t, e.client, peer.Close(e.cfd))
		must(t, e.server, peer.Poll(peer.Forever, peer.PollFD{FD: e.sfd, Events: peer.RdHup}))
		rs, err := e.server.Run(deadline(t), peer.Seq(
			peer.Write(e.sfd, []byte("a")), peer.Write(e.sfd, []byte("b")), peer.Send(e.sfd, []byte("c"), peer.NoSignal),
			peer.BulkWrite(e.sfd, 1), peer.Read(e.sfd, 1)))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"write(9, \"a\") = -1 ECONNRESET", "write(9, \"b\") = -1 EPIPE (SIGPIPE)",
			"send(9, \"c\", MSG_NOSIGNAL) = -1 EPIPE", "bulk-write(9, 1) = 0 bytes, -1 EPIPE (SIGPIPE)", "read(9, 1) = 0",
		}
		for i := range want {
			if got := rs[i].String(); got != want[i] {
				t.Errorf("got %s, want %s", got, want[i])
			}
		}
	})
}

func TestSocketErrorIsClearedByReading(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		must(t, e.client, peer.SetLinger(e.cfd, peer.Linger{On: true}))
		must(t, e.client, peer.Close(e.cfd))
		must(t, e.server, peer.Poll(peer.Forever, peer.PollFD{FD: e.sfd, Events: peer.RdHup}))
		for _, want := range []peer.Errno{"ECONNRESET", ""} {
			if r := must(t, e.server, peer.Getsockopt(e.sfd, peer.SOError)); r.OptionErrno != want {
				t.Errorf("SO_ERROR %q, want %q", r.OptionErrno, want)
			}
		}
	})
}

func TestOptions(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		for _, o := range []struct {
			option peer.Option
			value  int
		}{
			{peer.TCPLinger2, 3}, {peer.SOReuseAddr, 1}, {peer.SOReusePort, 1}, {peer.SOKeepalive, 1},
			{peer.TCPKeepIdle, 11}, {peer.TCPKeepIntvl, 12}, {peer.TCPKeepCnt, 4}, {peer.TCPUserTimeout, 1500},
			{peer.TCPNoDelay, 0}, {peer.TCPCork, 1}, {peer.SOOOBInline, 1}, {peer.TCPSynCnt, 3}, {peer.TCPQuickACK, 1},
		} {
			must(t, e.client, peer.Setsockopt(e.cfd, o.option, o.value))
			if r := must(t, e.client, peer.Getsockopt(e.cfd, o.option)); r.Value != o.value {
				t.Errorf("%s is %d, want %d", o.option, r.Value, o.value)
			}
		}
		for _, o := range []peer.Option{peer.SORcvBuf, peer.SOSndBuf} {
			must(t, e.client, peer.Setsockopt(e.cfd, o, 8192))
			if r := must(t, e.client, peer.Getsockopt(e.cfd, o)); r.Value != 16384 { // the kernel doubles it
				t.Errorf("%s is %d", o, r.Value)
			}
		}
		if r := must(t, e.server, peer.Getsockopt(e.sfd, peer.TCPNoDelay)); r.Value != 1 {
			t.Error("an accepted socket has no TCP_NODELAY")
		}
		if i := must(t, e.server, peer.Getsockopt(e.sfd, peer.TCPInfoOption)).Info; i.State != 1 || i.RTO == 0 || i.SndMSS == 0 {
			t.Errorf("tcp_info %+v", i)
		}
		if r := must(t, e.client, peer.Getpeername(e.cfd)); r.Addr != e.addr {
			t.Errorf("peer is %v, want %v", r.Addr, e.addr)
		}
	})
}

func TestNagle(t *testing.T) {
	c, _ := start(t)
	call := peer.Socket(peer.IPv4)
	call.Nagle = true
	fd := must(t, c, call).FD()
	if r := must(t, c, peer.Getsockopt(fd, peer.TCPNoDelay)); r.Value != 0 {
		t.Error("TCP_NODELAY is set")
	}
}

func TestBlockedCallHindersNoOther(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		ctx := deadline(t)
		var blocked []*peer.Pending
		for range 20 {
			p := e.server.Start(peer.Recv(e.sfd, 1, peer.Peek))
			blocked = append(blocked, p)
			select {
			case <-p.Begun():
			case <-ctx.Done():
				t.Fatal("the call did not begin")
			}
			must(t, e.server, peer.Getsockname(e.sfd))
		}
		for _, p := range blocked {
			select {
			case <-p.Done():
				t.Fatal("the call returned with nothing to read")
			default:
			}
		}
		must(t, e.client, peer.Write(e.cfd, []byte("x")))
		for _, p := range blocked {
			if r, err := p.Wait(ctx); err != nil || r.N != 1 {
				t.Fatal(r, err)
			}
		}
	})
}

func TestBulk(t *testing.T) {
	const total = 3<<20 + 17
	eachFamily(t, func(t *testing.T, e established) {
		write := e.client.StartSequence(peer.Seq(peer.BulkWrite(e.cfd, total), peer.Shut(e.cfd, peer.ShutWrite)))
		read, err := e.server.Run(deadline(t), peer.Seq(peer.BulkRead(e.sfd, peer.All), peer.Close(e.sfd)))
		if err != nil {
			t.Fatal(err)
		}
		wrote, err := write.WaitAll(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		want := sum(string(peer.Pattern(0, total)))
		if r := read[0]; r.Total != total || r.Sum != want || !r.EOF || r.N != 0 || r.Calls == 0 {
			t.Errorf("read %d bytes, sum %s, %v", r.Total, r.Sum, r)
		}
		if !bytes.Equal(read[0].Data, peer.Pattern(0, peer.DataLimit)) {
			t.Errorf("the first %d bytes are not the pattern", len(read[0].Data))
		}
		if r := wrote[0]; r.Total != total || r.Sum != want {
			t.Errorf("wrote %d bytes, sum %s", r.Total, r.Sum)
		}
	})
}

func TestSequenceStopsAtAnError(t *testing.T) {
	c, _ := start(t)
	calls := []peer.Call{peer.Accept(-1), peer.Close(peer.Ref(0)), peer.Socket(peer.IPv4)}
	rs, err := c.Run(deadline(t), peer.Sequence{Calls: calls, UntilError: true})
	if err != nil || len(rs) != 1 || rs[0].String() != "accept(-1) = -1 EBADF" {
		t.Errorf("%v %v", rs, err)
	}
	rs, err = c.Run(deadline(t), peer.Seq(calls...))
	if err != nil || len(rs) != 3 || rs[1].String() != "close(-1) = -1 EBADF" || rs[2].Failed() {
		t.Errorf("%v %v", rs, err)
	}
}

func TestAnnouncedSequence(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		p := e.server.StartSequence(peer.Sequence{Announce: true, Calls: []peer.Call{
			peer.Getsockname(e.sfd), peer.Read(e.sfd, 1), peer.Close(e.sfd)}})
		select {
		case <-p.BegunCall(1):
		case <-deadline(t).Done():
			t.Fatal("the second call did not begin")
		}
		if rs := p.Results(); len(rs) != 1 {
			t.Errorf("%d results are known, want 1", len(rs))
		}
		must(t, e.client, peer.Close(e.cfd))
		rs, err := p.WaitAll(deadline(t))
		if err != nil || len(rs) != 3 || rs[2].Failed() {
			t.Errorf("%v %v", rs, err)
		}
	})
}

// Results come in the order of the calls, with the bytes of each.
func TestResultsOfASequence(t *testing.T) {
	for _, announce := range []bool{false, true} {
		eachFamily(t, func(t *testing.T, e established) {
			must(t, e.client, peer.Write(e.cfd, []byte("abc")))
			must(t, e.client, peer.Shut(e.cfd, peer.ShutWrite))
			calls := []peer.Call{
				peer.Poll(peer.Forever, peer.PollFD{FD: e.sfd, Events: peer.RdHup}),
				peer.Read(e.sfd, 1), peer.Read(e.sfd, 2), peer.Read(e.sfd, 1), peer.Close(e.sfd),
			}
			rs, err := e.server.Run(deadline(t), peer.Sequence{Calls: calls, Announce: announce})
			if err != nil || len(rs) != len(calls) {
				t.Fatal(rs, err)
			}
			for i, want := range []string{"read(9, 1) = 1", "read(9, 2) = 2", "read(9, 1) = 0", "close(9) = 0"} {
				if got := rs[i+1]; got.String() != want || got.Begin < rs[i].End {
					t.Errorf("got %v at %v, want %s after %v", got, got.Begin, want, rs[i].End)
				}
			}
			if a, b := rs[1], rs[2]; string(a.Data)+string(b.Data) != "abc" || b.Sum != sum("bc") || !rs[3].EOF {
				t.Errorf("%+v, %+v, %+v", a, b, rs[3])
			}
			t.Logf("from the end of file to close: %v", rs[4].Begin-rs[3].End)
		})
	}
}

func TestExitTellsWhatCameBefore(t *testing.T) {
	c, _ := start(t)
	rs, err := c.Run(deadline(t), peer.Seq(peer.Socket(peer.IPv6), peer.Getsockname(peer.Ref(0)), peer.Exit(exitStatus)))
	if err != nil || len(rs) != 3 || rs[1].Addr != netip.MustParseAddrPort("[::]:0") {
		t.Error(rs, err)
	}
}

func TestKilledPeer(t *testing.T) {
	c, cmd := start(t)
	fd := must(t, c, peer.Socket(peer.IPv4)).FD()
	p := c.StartSequence(peer.Sequence{Announce: true, Calls: []peer.Call{
		peer.Getsockopt(fd, peer.SOError), peer.Poll(peer.Forever)}})
	<-p.BegunCall(1)
	cmd.Process.Kill()
	rs, err := p.WaitAll(deadline(t))
	if !errors.Is(err, peer.ErrGone) || len(rs) != 1 {
		t.Errorf("%v %v", rs, err)
	}
	<-c.Gone()
	if _, err := c.Do(deadline(t), peer.Close(fd)); !errors.Is(err, peer.ErrGone) {
		t.Error(err)
	}
}

func TestExit(t *testing.T) {
	c, cmd := start(t)
	if r := must(t, c, peer.Exit(exitStatus)); r.Text != "exit(7)" {
		t.Error(r)
	}
	<-c.Gone()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitStatus {
		t.Errorf("status %d", got)
	}
}

func TestContextEndsTheWaitNotTheCall(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		p := e.server.Start(peer.Read(e.sfd, 1))
		<-p.Begun()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		must(t, e.client, peer.Write(e.cfd, []byte("x")))
		if r, err := p.Wait(deadline(t)); err != nil || r.N != 1 {
			t.Error(r, err)
		}
	})
}

func TestPollTimesOut(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		r := must(t, e.client, peer.Poll(3*time.Millisecond, peer.PollFD{FD: e.cfd, Events: peer.In | peer.RdHup}))
		if r.N != 0 || r.End-r.Begin < 3*time.Millisecond || r.Text != "poll([{8, IN|RDHUP}], 3)" {
			t.Errorf("%v after %v", r, r.End-r.Begin)
		}
	})
}

func TestQueueOfUnacknowledgedBytes(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		must(t, e.client, peer.Setsockopt(e.cfd, peer.SOSndBuf, 1<<16))
		r := do(t, e.client, peer.Nonblock(e.cfd, true))
		for !r.Failed() {
			r = do(t, e.client, peer.WritePattern(e.cfd, 0, 1<<20))
		}
		if r.Errno != "EAGAIN" {
			t.Error(r)
		}
		if q := must(t, e.client, peer.OutQueue(e.cfd)); q.Value == 0 {
			t.Errorf("%v: nothing is unacknowledged", q)
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	eachFamily(t, func(t *testing.T, e established) {
		must(t, e.server, peer.Close(e.listener))
		fd := must(t, e.client, peer.Socket(peer.FamilyOf(e.addr.Addr()))).FD()
		if r := do(t, e.client, peer.Connect(fd, e.addr)); r.Errno != "ECONNREFUSED" {
			t.Error(r)
		}
	})
}

func BenchmarkDo(b *testing.B) {
	c, _ := start(b)
	fd := must(b, c, peer.Socket(peer.IPv4)).FD()
	for b.Loop() {
		must(b, c, peer.Getsockname(fd))
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c, cmd := startOnly(b)
		must(b, c, peer.Socket(peer.IPv4))
		c.Close()
		cmd.Wait()
	}
}

func startOnly(b *testing.B) (*peer.Conn, *exec.Cmd) {
	callers, peers, err := peer.Pair()
	if err != nil {
		b.Fatal(err)
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{peer.Role}, ExtraFiles: []*os.File{peers}}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	peers.Close()
	return peer.NewConn(callers), cmd
}
