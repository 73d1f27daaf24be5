package builtin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// text is what a stand-in prints, to be read while it runs.
type text struct {
	mu    sync.Mutex
	b     bytes.Buffer
	wrote chan struct{} // if not nil, closed at the next Write
}

func (t *text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrote != nil {
		close(t.wrote)
		t.wrote = nil
	}
	return t.b.Write(b)
}

// next is what was written, and a channel that is closed when there is more.
func (t *text) next() (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrote == nil {
		t.wrote = make(chan struct{})
	}
	return t.b.String(), t.wrote
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// running is a server.
type running struct {
	addr   string
	stdout text
	ended  chan int
}

// find gives the stand-in of a name.
func find(t *testing.T, name string) *standIn {
	t.Helper()
	for i := range standIns {
		if standIns[i].name == name {
			return &standIns[i]
		}
	}
	t.Fatalf("no stand-in %q", name)
	return nil
}

// serveOn starts a server on a free port of an address; it ends with the test.
func serveOn(t *testing.T, host string, command ...string) *running {
	t.Helper()
	r := &running{ended: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	listens := make(chan net.Addr, 1)
	var complaints text
	p := &process{Context: ctx, stdout: &r.stdout, stderr: &complaints, listens: func(a net.Addr) { listens <- a }}
	go func() { r.ended <- find(t, command[0]).run(p, append([]string{"--port", "0"}, command[1:]...)) }()
	t.Cleanup(func() {
		cancel()
		t.Logf("%v: %s%s", command, r.stdout.String(), complaints.String())
	})
	select {
	case a := <-listens:
		r.addr = net.JoinHostPort(host, fmt.Sprint(a.(*net.TCPAddr).Port))
	case status := <-r.ended:
		t.Fatalf("%v ended with %d: %s", command, status, complaints.String())
	}
	return r
}

// await waits until a server has printed a line.
func (r *running) await(t *testing.T, line string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		printed, more := r.stdout.next()
		if strings.Contains(printed, line) {
			return
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("the server has not printed %q: %q", line, printed)
		}
	}
}

// outcome runs a client to its end.
func outcome(t *testing.T, command ...string) (status int, stdout string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out, complaints text
	status = find(t, command[0]).run(&process{Context: ctx, stdout: &out, stderr: &complaints}, command[1:])
	t.Logf("%v: %d\n%s%s", command, status, out.String(), complaints.String())
	return status, out.String()
}

func words(s string) []string { return strings.Fields(s) }

// Each case is a server's mistake or a client's, and its mending.
func TestMistakesAndTheirMending(t *testing.T) {
	for name, c := range map[string]struct {
		server, client string
		status         int
		stdout         string
		serverSays     string
	}{
		"pool: an idle connection that the server has closed": {
			server: "http --idle 300ms", client: "pool-client --gap 1s POST http://ADDR/ POST http://ADDR/", status: 1, stdout: "POST 200\n", serverSays: "POST done\n",
		},
		"pool: looked at before": {
			server: "http --idle 300ms", client: "pool-client --gap 1s --check read POST http://ADDR/ POST http://ADDR/", stdout: "POST 200\nPOST 200\n", serverSays: "POST done\nPOST done\n",
		},
		"pool: retried with a key": {
			server: "http --idle 300ms", client: "pool-client --gap 1s --retry with-key POST http://ADDR/ POST http://ADDR/", stdout: "POST 200\nPOST 200\n", serverSays: "POST done\nPOST done\n",
		},
		"pool: connects anew after a failure": {
			server: "http --idle 300ms", client: "pool-client --gap 1s POST http://ADDR/ POST http://ADDR/ POST http://ADDR/", status: 1, stdout: "POST 200\nPOST 200\n", serverSays: "POST done\nPOST done\n",
		},
		"pool: goes on with a dead connection": {
			server: "http --idle 300ms", client: "pool-client --gap 1s --on-error reuse POST http://ADDR/ POST http://ADDR/ POST http://ADDR/", status: 1, stdout: "POST 200\n", serverSays: "POST done\n",
		},
		"pool: idempotent requests only": {
			server: "http --idle 300ms", client: "pool-client --gap 1s --retry idempotent GET http://ADDR/ PUT http://ADDR/", stdout: "GET 200\nPUT 200\n", serverSays: "GET done\nPUT done\n",
		},
		"pool: an answer that is carried out and lost is repeated": {
			server: "http --short 10 --body 100", client: "pool-client --retry always POST http://ADDR/", status: 1, serverSays: "POST done\nPOST done\nPOST done\n",
		},
		"pool: an answer that is carried out and lost, with a key": {
			server: "http --short 10 --body 100", client: "pool-client --retry with-key POST http://ADDR/", status: 1, serverSays: "POST done\nPOST repeated\nPOST repeated\n",
		},
		"server: chunks": {
			server: "http --framing chunked --body 40KiB", client: "pool-client GET http://ADDR/ HEAD http://ADDR/", stdout: "GET 200\nHEAD 200\n", serverSays: "GET done\nHEAD done\n",
		},
		"server: refuses and lingers": {
			server:     "http --early-status 413 --close lingering",
			client:     "pool-client --body 4MiB --on-write-error read POST http://ADDR/ GET http://ADDR/",
			stdout:     "POST 413\nGET 200\n",
			serverSays: "POST refused\nGET done\n",
		},
		"server: answers what it has not read": {
			server:     "http --early-status 200 --body 1MiB --close lingering",
			client:     "pool-client --body 4MiB --on-write-error read POST http://ADDR/ GET http://ADDR/",
			stdout:     "POST 200\nGET 200\n",
			serverSays: "POST done\nGET done\n",
		},
		"server: refuses, and says nothing of closing": {
			server:     "http --early-status 413 --early-announce no --early-read 10 --close lingering",
			client:     "pool-client --body 100 POST http://ADDR/ GET http://ADDR/",
			status:     1,
			stdout:     "POST 413\n",
			serverSays: "POST refused\n",
		},
		"server: refuses a body that it has read": {
			server:     "http --early-status 413 --early-read 1MiB",
			client:     "pool-client --body 100 POST http://ADDR/ GET http://ADDR/",
			stdout:     "POST 413\nGET 200\n",
			serverSays: "POST refused\nGET done\n",
		},
		"server: pipelined": {
			server: "http", client: "pool-client --pipeline GET http://ADDR/ GET http://ADDR/", stdout: "GET 200\nGET 200\n", serverSays: "GET done\nGET done\n",
		},
		"server: times out in mid-request": {
			server: "http --timeout 10ms --delay 1s", client: "pool-client GET http://ADDR/", status: 1, serverSays: "GET done\n",
		},
		"download: a short body": {
			server: "http --body 64KiB --short 1000", client: "download --check none -o DIR/f http://ADDR/", stdout: "downloaded 64536 bytes\n", serverSays: "GET done\n",
		},
		"download: a short body, checked": {
			server: "http --body 64KiB --short 1000", client: "download --check length -o DIR/f http://ADDR/", status: 1, serverSays: "GET done\n",
		},
		"download: a short body in chunks": {
			server: "http --body 64KiB --short 5 --framing chunked", client: "download --check none -o DIR/f http://ADDR/", stdout: "downloaded 65536 bytes\n", serverSays: "GET done\n",
		},
		"download: a short body in chunks, checked": {
			server: "http --body 64KiB --short 5 --framing chunked", client: "download --check length -o DIR/f http://ADDR/", status: 1, serverSays: "GET done\n",
		},
		"download: a whole body": {
			server: "http --body 64KiB --framing close", client: "download --check length-and-end -o DIR/f http://ADDR/", stdout: "downloaded 65536 bytes\n", serverSays: "GET done\n",
		},
		"send: an answer to all": {
			server: "echo --reply all", client: "send --text abc\\n --times 2 ADDR", stdout: "abc\nabc\n", serverSays: "received 8 bytes\nclosed\n",
		},
		"send: less than is wanted": {
			server: "echo", client: "send --text abc\\n --want 5 ADDR", status: 1, stdout: "abc\n", serverSays: "received 4 bytes\nclosed\n",
		},
		"db: blind retry after the server's timeout": {
			server: "db --idle 300ms", client: "db-client --gap 1s --retry none ADDR INSERT INSERT", status: 1, stdout: "INSERT OK\n", serverSays: "INSERT done\n",
		},
		"db: checked": {
			server: "db --idle 300ms", client: "db-client --gap 1s --check eof ADDR INSERT INSERT", stdout: "INSERT OK\nINSERT OK\n", serverSays: "INSERT done\nINSERT done\n",
		},
		"db: the server says why": {
			server: "db --idle 300ms --idle-says timeout", client: "db-client --gap 1s --check eof ADDR INSERT INSERT", status: 1, stdout: "INSERT OK\n", serverSays: "INSERT done\n",
		},
		"db: the server says why, checked": {
			server: "db --idle 300ms --idle-says timeout", client: "db-client --gap 1s --check any ADDR INSERT INSERT", stdout: "INSERT OK\nINSERT OK\n", serverSays: "INSERT done\nINSERT done\n",
		},
		"db: an error that nobody handles": {
			server: "db --idle 300ms", client: "db-client --gap 10s --check any --on-idle-end crash ADDR INSERT INSERT", status: 1, stdout: "INSERT OK\n", serverSays: "INSERT done\n",
		},
		"dial: twice": {
			server: "echo", client: "dial --times 2 ADDR", stdout: "connected\nconnected\n", serverSays: "received 0 bytes\n",
		},
		"dial: waits for nothing": {
			server: "echo --close-delay 10ms", client: "dial --close at-once ADDR", stdout: "connected\n", serverSays: "received 0 bytes\nclosed\n",
		},
		"reader: closes late": {
			server: "feed --lines 1 --every 1ms", client: "reader --close-delay 1ms ADDR", status: 1, stdout: "connected\nevent 1\n", serverSays: "subscribed\ngone\n",
		},
		"reader: an end": {
			server: "feed --lines 2 --every 1ms", client: "reader ADDR", status: 1, stdout: "connected\nevent 1\nevent 2\n", serverSays: "subscribed\ngone\n",
		},
		"reader: connects again": {
			server: "feed --lines 2 --every 1ms", client: "reader --on-end reconnect --reconnect-after 1ms --lines 3 --ping 1s ADDR", stdout: "connected\nevent 1\nevent 2\nconnected\nevent 1\n",
		},
	} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(name+"/"+host, func(t *testing.T) {
				t.Parallel()
				s := serveOn(t, host, words(c.server)...)
				dir := t.TempDir()
				var command []string
				for _, w := range words(c.client) {
					command = append(command, strings.NewReplacer("ADDR", s.addr, "DIR", dir).Replace(w))
				}
				status, out := outcome(t, command...)
				if status != c.status {
					t.Errorf("exit status %d, want %d", status, c.status)
				}
				if d := cmp.Diff(c.stdout, out); d != "" {
					t.Errorf("client printed (-want +got):\n%s", d)
				}
				if c.serverSays != "" {
					s.await(t, c.serverSays)
				}
				if kept, _ := filepath.Glob(dir + "/*"); command[0] == "download" && len(kept) != 1-c.status {
					t.Errorf("files %v", kept)
				}
			})
		}
	}
}

// A proxy that closes at an end of file loses the answer.
func TestProxy(t *testing.T) {
	for _, c := range []struct {
		flags  string
		status int
		stdout string
	}{
		{"--on-eof shutdown", exitOK, "hello\n"},
		{"--on-eof close", exitFailed, ""},
		{"--on-eof shutdown --idle 20ms", exitFailed, ""}, // the server thinks longer
		{"--on-eof shutdown --idle 20s", exitOK, "hello\n"},
	} {
		t.Run(c.flags, func(t *testing.T) {
			t.Parallel()
			server := serveOn(t, "127.0.0.1", "echo", "--reply", "all", "--delay", "300ms")
			between := serveOn(t, "127.0.0.1", append([]string{"proxy", "--target", server.addr}, words(c.flags)...)...)
			status, out := outcome(t, "send", "--want", "6", between.addr)
			if status != c.status || out != c.stdout {
				t.Errorf("exit status %d, %q; want %d, %q", status, out, c.status, c.stdout)
			}
			between.await(t, "connection closed")
		})
	}
}

// What waits in the accept queue when a server ends is reset or served.
func TestAcceptQueueAtTheEnd(t *testing.T) {
	for shutdown, want := range map[string]int{"close": exitFailed, "drain": exitOK} {
		t.Run(shutdown, func(t *testing.T) {
			t.Parallel()
			s := serveOn(t, "127.0.0.1", "http", "--accept-limit", "1", "--shutdown", shutdown)
			first, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			queued := make(chan int, 1)
			second, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				fmt.Fprintf(second, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
				all, _ := io.ReadAll(second)
				queued <- map[bool]int{true: exitOK, false: exitFailed}[bytes.HasPrefix(all, []byte("HTTP/1.1 200"))]
			}()
			first.Close()
			if got := <-queued; got != want {
				t.Errorf("the queued connection got %d, want %d", got, want)
			}
			if status := <-s.ended; status != exitOK {
				t.Errorf("the server ended with %d", status)
			}
		})
	}
}

// A connection whose other end has said all is left open by who ignores that, and
// a request that ends in the middle keeps one who waits for its rest.
func TestLeaks(t *testing.T) {
	for command, leaks := range map[string]bool{"echo --on-eof ignore": true, "echo": false, "http --partial wait": true, "http": false} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := serveOn(t, "127.0.0.1", words(command)...)
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
			c.(*net.TCPConn).CloseWrite()
			wait := 20 * time.Second
			if leaks {
				wait = 100 * time.Millisecond
			}
			c.SetReadDeadline(time.Now().Add(wait))
			if _, err := io.Copy(io.Discard, c); (err != nil) != leaks {
				t.Errorf("the server's end: %v", err)
			}
		})
	}
}

// The idle timer runs between requests: a client may take its time for the first.
func TestIdleBeforeTheFirstRequest(t *testing.T) {
	for command, request := range map[string]string{"http --idle 10ms": "GET / HTTP/1.1\r\n\r\n", "db --idle 10ms": "SELECT\n"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := serveOn(t, "127.0.0.1", words(command)...)
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("before the first request: read = %d, %v", n, err)
			}
			fmt.Fprint(c, request)
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if answer, err := io.ReadAll(c); err != nil || len(answer) == 0 {
				t.Errorf("after it: %q, %v", answer, err)
			}
		})
	}
}

// On a connection on which nothing comes only a deadline helps.
func TestSilentServer(t *testing.T) {
	s := serveOn(t, "127.0.0.1", "db", "--delay", "10m")
	for _, on := range []string{"redial", "reuse"} {
		if status, _ := outcome(t, "db-client", "--deadline", "10ms", "--on-deadline", on, s.addr, "A", "B"); status != exitFailed {
			t.Errorf("%s: exit status %d", on, status)
		}
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if status, out := outcome(t, "reader", "--heartbeat", "10ms", silent.Addr().String()); status != exitFailed || out != "connected\n" {
		t.Errorf("exit status %d, %q", status, out)
	}
	if status, _ := outcome(t, "pool-client", "--timeout", "10ms", "GET", "http://"+silent.Addr().String()+"/"); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if status, _ := outcome(t, "download", "--timeout", "10ms", "http://"+silent.Addr().String()+"/"); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
}

// A timeout ends what waits for more of an answer, however that is copied.
func TestTimeoutInTheMiddle(t *testing.T) {
	half, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	go func() {
		for {
			c, err := half.Accept()
			if err != nil {
				return // the test is over
			}
			defer c.Close()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\nhalf")
		}
	}()
	for _, command := range []string{"send --timeout 10ms ADDR", "download --timeout 10ms --check none http://ADDR/", "download --timeout 10ms http://ADDR/"} {
		w := words(strings.ReplaceAll(command, "ADDR", half.Addr().String()))
		var out, complaints text
		status := find(t, w[0]).run(&process{Context: t.Context(), stdout: &out, stderr: &complaints}, w[1:])
		if status != exitFailed || !strings.HasSuffix(out.String(), "half") || !strings.Contains(complaints.String(), "timed out") {
			t.Errorf("%s: exit status %d, %q, %q", command, status, out.String(), complaints.String())
		}
	}
}

func TestDownloadedFileIsThePattern(t *testing.T) {
	s := serveOn(t, "127.0.0.1", "http", "--body", "100000")
	file := filepath.Join(t.TempDir(), "f")
	outcome(t, "download", "--check", "length", "-o", file, "http://"+s.addr+"/")
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, pattern(100000)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, command := range []string{
		"http --nosuch", "http extra", "http --framing both", "http --body 1GB", "http --body -1", "pool-client GET", "pool-client GET ftp://x/",
		"download", "proxy", "proxy --target x", "echo x", "send", "send server", "dial a b", "db --idle x", "db-client server:1",
		"db-client --keepalive 1500ms server:1 A", "reader", "feed --every 0s", "nosuch",
	} {
		var out, complaint bytes.Buffer
		w := words(command)
		status := run(t.Context(), w[0], w[1:], &out, &complaint)
		if status != exitUsage || out.Len() > 0 || strings.Count(complaint.String(), "\n") != 1 || !strings.HasPrefix(complaint.String(), Role) {
			t.Errorf("%s: exit status %d, stdout %q, stderr %q", command, status, out.String(), complaint.String())
		}
	}
}

func TestUsage(t *testing.T) {
	names := Names()
	for i, b := range All() {
		if i > 0 && names[i-1] >= b.Name {
			t.Errorf("%s stands behind %s", b.Name, names[i-1])
		}
		var out, complaint bytes.Buffer
		if status := run(t.Context(), b.Name, []string{"--help"}, &out, &complaint); status != exitOK || out.String() != b.Usage || complaint.Len() > 0 {
			t.Errorf("%s --help: exit status %d", b.Name, status)
		}
		if !Has(b.Name) || b.Summary == "" || !strings.HasPrefix(b.Usage, "usage: builtin:"+b.Name+" ") || regexp.MustCompile(`(?m) $`).MatchString(b.Usage) {
			t.Errorf("usage of %s:\n%s", b.Name, b.Usage)
		}
	}
}
