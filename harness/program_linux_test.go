package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// playPrograms plays over both families and gives the records.
func playPrograms(t *testing.T, play func(s *Stage), judge func(t *testing.T, r *record.Run)) {
	t.Helper()
	for _, ip := range []int{4, 6} {
		t.Run(map[int]string{4: "IPv4", 6: "IPv6"}[ip], func(t *testing.T) {
			t.Parallel()
			sc := Scenario{Name: "test/program", Play: play}
			r, err := Play(context.Background(), sc, Options{IP: ip, Out: t.TempDir(), Bound: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != record.Pass {
				t.Fatalf("verdict %s: %s", r.Verdict, r.Why)
			}
			judge(t, r)
		})
	}
}

// stdout is what the nth program wrote.
func stdout(r *record.Run, nth int) string { return string(r.Programs[nth].Stdout) }

func TestProgramsHaveFilesOfTheirHost(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	own := "/tmp/lastack-test-" + hex.EncodeToString(sha256.New().Sum([]byte(t.TempDir()))[:8])
	playPrograms(t, func(s *Stage) {
		s.Await(s.Client.Run(ProgramSpec{
			Argv: []string{"sh", "-c", `echo "$HOME $LASTACK_DIR $WORD $1"; ls -A /tmp/ $HOME {dir}
				test -e "$2" && echo sees the file of the caller; echo one >"$1"; echo home >$HOME/h; echo tmp >` + own, "sh", "{dir}/out", mine},
			Env: []string{"WORD=in {dir}"}, Keep: []string{"*"},
		}).Exited())
		s.Client.PowerOff()
		s.Client.Boot()
		s.Await(s.Client.Run(ProgramSpec{Argv: []string{"sh", "-c", "cat out $HOME/h " + own}, Dir: "{dir}", Keep: []string{own, "{dir}/o?t"}}).Exited())
		s.Await(s.Server.Start("sh", "-c", "ls -A $LASTACK_DIR $HOME; test -e "+own+" && echo shared").Exited())
	}, func(t *testing.T, r *record.Run) {
		dir := "/tmp/lastack.dir"
		there := []string{"lastack.dir", "lastack.home"}
		if below, is := strings.CutPrefix(here, "/tmp/"); is { // the caller's directory stays visible
			first, _, _ := strings.Cut(below, "/")
			there = append(there, first)
			slices.Sort(there)
		}
		want := "/tmp/lastack.home " + dir + " in " + dir + " " + dir + "/out\n/tmp/:\n" + strings.Join(there, "\n") + "\n\n" + dir + ":\n\n/tmp/lastack.home:\n"
		if d := cmp.Diff(want, stdout(r, 0)); d != "" {
			t.Errorf("the first program saw (-want +got):\n%s\n%s", d, r.Programs[0].Stderr)
		}
		if d := cmp.Diff("one\nhome\ntmp\n", stdout(r, 1)); d != "" {
			t.Errorf("after the boot (-want +got):\n%s\n%s", d, r.Programs[1].Stderr)
		}
		if d := cmp.Diff(dir+":\n\n/tmp/lastack.home:\n", stdout(r, 2)); d != "" {
			t.Errorf("another host saw (-want +got):\n%s", d)
		}
		one := record.File{Name: "out", Size: 4, SHA256: sum256("one\n"), Data: []byte("one\n")}
		tmp := record.File{Name: own, Size: 4, SHA256: sum256("tmp\n"), Data: []byte("tmp\n")}
		for i, want := range [][]record.File{{one}, {tmp, one}, nil} {
			if d := cmp.Diff(want, r.Programs[i].Files); d != "" {
				t.Errorf("files of program %d (-want +got):\n%s", i, d)
			}
		}
		if _, err := os.Stat(own); err == nil {
			t.Errorf("%s is on this machine", own)
		}
	})
}

func sum256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// What lies under /tmp is hidden, but for the working directory and the program.
func TestProgramsSeeTheirDirectoryAndTheirFile(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	work, bin := filepath.Join(dir, "work"), filepath.Join(dir, "bin")
	for _, d := range []string{work, bin} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(bin, "program")
	for path, text := range map[string]string{
		filepath.Join(work, "file"): "in the directory\n", filepath.Join(bin, "other"): "x", program: "#!/bin/sh\ncat file; pwd; ls $1; echo written >new\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(work, link); err != nil {
		t.Fatal(err)
	}
	playPrograms(t, func(s *Stage) {
		for _, cwd := range []string{work, link} {
			s.Await(s.Client.Run(ProgramSpec{Argv: []string{program, bin}, Dir: cwd}).Exited())
		}
	}, func(t *testing.T, r *record.Run) {
		for i, cwd := range []string{work, link} {
			if d := cmp.Diff("in the directory\n"+cwd+"\nprogram\n", stdout(r, i)); d != "" {
				t.Errorf("in %s (-want +got):\n%s\n%s", cwd, d, r.Programs[i].Stderr)
			}
		}
		if text, err := os.ReadFile(filepath.Join(work, "new")); err != nil || string(text) != "written\n" {
			t.Errorf("what the program wrote into the caller's directory: %q, %v", text, err)
		}
	})
}

// Of a working directory that is /tmp itself its content is seen, and what is
// written there stays on the host.
func TestProgramInTmpItself(t *testing.T) {
	file, err := os.CreateTemp("/tmp", "lastack-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	file.WriteString("seen\n")
	file.Close()
	r, err := Play(t.Context(), Scenario{Name: "test/tmp", Play: func(s *Stage) {
		s.Await(s.Client.Run(ProgramSpec{Argv: []string{"sh", "-c", "cat $1; pwd; echo >$1.new", "sh", filepath.Base(file.Name())}, Dir: "/tmp"}).Exited())
	}}, Options{Out: t.TempDir()})
	if err != nil || r.Verdict != record.Pass {
		t.Fatal(r, err)
	}
	if got := stdout(r, 0); got != "seen\n/tmp\n" {
		t.Errorf("the program saw %q, %s", got, r.Programs[0].Stderr)
	}
	if _, err := os.Stat(file.Name() + ".new"); err == nil {
		t.Error("what the program wrote is on this machine")
	}
}

// A program may leave anything in place of a file.
func TestKeptFilesAreBounded(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	playPrograms(t, func(s *Stage) {
		s.Await(s.Client.Run(ProgramSpec{
			Argv: []string{"sh", "-c", `ln -s /etc/passwd a.link; ln -s /etc d.link; mkfifo a.fifo; mkdir d a.dir; echo d >d/passwd
				head -c 100000 /dev/zero >a.big; head -c 7 /dev/zero >.hidden; for i in $(seq 300); do echo >many.$i; done`},
			Dir: "{dir}", Keep: []string{"a.*", ".h*", "*/passwd", "/dev/zero", "many.*", "nothing"},
		}).Exited())
	}, func(t *testing.T, r *record.Run) {
		p := r.Programs[0]
		got := map[string]int64{}
		for _, f := range p.Files {
			if !strings.HasPrefix(f.Name, "many.") {
				got[f.Name] = f.Size
			}
		}
		if d := cmp.Diff(map[string]int64{"a.big": 100000, ".hidden": 7, "d/passwd": 2}, got); d != "" {
			t.Errorf("kept (-want +got):\n%s\n%s", d, p.Stderr)
		}
		if len(p.Files) != 200 || p.FilesLeft != 103 || len(p.Files[0].Data) != record.FileKept {
			t.Errorf("%d files kept, %d left, %d bytes of the first", len(p.Files), p.FilesLeft, len(p.Files[0].Data))
		}
	})
}

func TestProgramsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spec ProgramSpec
		want string
	}{
		"no command":       {ProgramSpec{}, "start program on client: no command"},
		"glob":             {ProgramSpec{Argv: []string{"true"}, Keep: []string{"["}}, `start "true" on client: keep "[": want a glob`},
		"above":            {ProgramSpec{Argv: []string{"true"}, Keep: []string{"../x"}}, `keep "../x": want a glob as out/*.bin that goes nowhere above`},
		"no such stand-in": {ProgramSpec{Argv: []string{"builtin:htpt"}}, `there is no builtin "htpt"; the nearest is "http"`},
		"no such program":  {ProgramSpec{Argv: []string{"/tmp/no/such"}}, "on client: start program /tmp/no/such: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Play(t.Context(), Scenario{Name: "test/refused", Play: func(s *Stage) { s.Client.Run(c.spec) }}, Options{Out: t.TempDir()})
			if err != nil || r.Verdict != record.Error || !strings.Contains(r.Why, c.want) {
				t.Fatalf("%v, %v; want %q", r, err, c.want)
			}
		})
	}
}

func TestOutputIsMeasuredWhole(t *testing.T) {
	const size = 3 << 20
	playPrograms(t, func(s *Stage) {
		s.Await(s.Client.Start("sh", "-c", "head -c 3145728 /dev/zero; echo err >&2").Exited())
	}, func(t *testing.T, r *record.Run) {
		p := r.Programs[0]
		if len(p.Stdout) != maxOutput || p.StdoutSize != size || p.StderrSize != 4 || p.StdoutSHA256 != sum256(string(make([]byte, size))) {
			t.Errorf("%d bytes kept of %d and %d, sum %s", len(p.Stdout), p.StdoutSize, p.StderrSize, p.StdoutSHA256)
		}
	})
}

func TestLoggedAndAwaitFirst(t *testing.T) {
	playPrograms(t, func(s *Stage) {
		p := s.Server.Start("sh", "-c", "echo first; echo ready to serve >&2; printf end; exec sleep 1000")
		s.Await(p.Logged(regexp.MustCompile("^ready to")))
		s.Await(p.Logged(regexp.MustCompile("^first$")))
		same(t, "a line that has not ended", s.AwaitFirst(time.Millisecond, p.Logged(regexp.MustCompile("end")), p.Exited()), -1)
		q := s.Server.Start("sh", "-c", "printf end; exit 3")
		same(t, "a line that the end of the output ends", s.AwaitFirst(0, p.Exited(), q.Logged(regexp.MustCompile("^end$"))), 1)
		s.Await(q.Exited())
		same(t, "the first of those that were met", s.AwaitFirst(0, p.Exited(), q.Exited(), q.Logged(regexp.MustCompile("end"))), 1)
		exit, signal, ended := q.Status()
		same(t, "exit status", exit, 3)
		same(t, "signal", signal, "")
		same(t, "ended", ended, true)
		same(t, "all ended", s.Server.Ended(), false)
		s.Server.Kill()
		s.Await(p.Exited())
		_, signal, _ = p.Status()
		same(t, "signal", signal, "SIGKILL")
		same(t, "all ended", s.Server.Ended(), true)
	}, func(*testing.T, *record.Run) {})
}

func TestListeners(t *testing.T) {
	playPrograms(t, func(s *Stage) {
		server := s.Server.Peer()
		loopback := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 7070)
		if s.IP == 6 {
			loopback = netip.MustParseAddrPort("[::1]:7070")
		}
		server.Open()
		server.must(peer.Bind(server.fd, loopback))
		server.must(peer.Listen(server.fd, 1))
		s.Await(s.Server.Listening(7070))
		same(t, "nothing can be reached", s.AwaitFirst(10*time.Millisecond, s.Server.ListeningAny()), -1)
		equal := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		for of, list := range map[string][]netip.AddrPort{
			"listeners": s.Server.Listeners(), "those that nobody reaches": s.Server.Unreachable(0), "those on the port": s.Server.Unreachable(7070),
		} {
			if d := cmp.Diff([]netip.AddrPort{loopback}, list, equal); d != "" {
				t.Errorf("%s (-want +got):\n%s", of, d)
			}
		}
		same(t, "those on another port", len(s.Server.Unreachable(7071)), 0)
		s.Server.NewPeer("other").Listen(8080, 1)
		s.Await(s.Server.ListeningAny())
		same(t, "listeners", len(s.Server.Listeners()), 2)
		same(t, "those that nobody reaches, beside one that can be", len(s.Server.Unreachable(0)), 0)
		same(t, "those on the port", len(s.Server.Unreachable(7070)), 1)
	}, func(t *testing.T, r *record.Run) {
		listening := 0
		for _, x := range r.Server().Sockets {
			if x.State == tcp.Listen && strings.HasSuffix(x.Remote, ":0") && !x.Unaccepted && !x.Orphan {
				listening++
			}
		}
		if listening != 2 || len(r.Sockets) != 2 {
			t.Errorf("sockets %+v", r.Sockets)
		}
	})
}

func TestSocketsAtTheEnd(t *testing.T) {
	playPrograms(t, func(s *Stage) {
		_, server := s.Established()
		server.Write("xyz")
		s.Await(s.Wire.Delivered("client.ACK(server.DATA)"))
	}, func(t *testing.T, r *record.Run) {
		var ends []record.Socket
		for _, x := range r.Sockets {
			if x.State == tcp.Established {
				x.Local, x.Remote = "", ""
				ends = append(ends, x)
			}
		}
		if d := cmp.Diff([]record.Socket{{Host: "client", State: tcp.Established, RecvQueue: 3}, {Host: "server", State: tcp.Established}}, ends); d != "" {
			t.Errorf("sockets (-want +got):\n%s", d)
		}
	})
}

// A kill reaches what a program left behind in a session of its own.
func TestKillReachesDaemons(t *testing.T) {
	playPrograms(t, func(s *Stage) {
		p := s.Server.Start("sh", "-c", "(trap '' TERM HUP; exec setsid sleep 1000) & echo started")
		s.Await(p.Exited())
		s.Server.Stop()
		s.Server.Continue()
		s.Server.Kill()
		q := s.Server.Start("sh", "-c", "ls -d /proc/[0-9]* | wc -l")
		s.Await(q.Exited())
	}, func(t *testing.T, r *record.Run) {
		if got := strings.TrimSpace(stdout(r, 1)); got != "3" && got != "4" { // the init, sh, ls, wc
			t.Errorf("%s processes are left", got)
		}
	})
}

// A name means the address of the play's family, and the kernel's socket is found
// though the server's carries both families.
func TestStandInsFindEachOtherByName(t *testing.T) {
	playPrograms(t, func(s *Stage) {
		s.Server.Start("builtin:http")
		s.Await(s.Server.ListeningAny())
		s.Await(s.Client.Start("builtin:pool-client", "GET", "http://server:8080/").Exited())
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	}, func(t *testing.T, r *record.Run) {
		if p := r.Client().Programs[0]; p.Exit != 0 || string(p.Stdout) != "GET 200\n" {
			t.Errorf("client: %+v", p)
		}
		want := map[int]string{4: "192.0.2.2:8080", 6: "[2001:db8::2]:8080"}[r.IP]
		states := map[tcp.State]bool{}
		for _, x := range r.Server().States {
			states[x.State] = true
		}
		if !states[tcp.Established] {
			t.Errorf("the server was seen in %v", states)
		}
		for _, x := range r.Client().Sockets {
			if x.Remote != want {
				t.Errorf("the client is connected to %s, want %s", x.Remote, want)
			}
		}
		if len(r.Segments) == 0 {
			t.Error("nothing came to the wire")
		}
	})
}

// A stand-in dies by the signal by which the program died that it stands for.
func TestStandInDiesBySIGPIPE(t *testing.T) {
	for flag, signal := range map[string]string{"die": "SIGPIPE", "go-on": ""} {
		t.Run(flag, func(t *testing.T) {
			playPrograms(t, func(s *Stage) {
				p := s.Server.Start("builtin:feed", "--every", "1ms", "--on-epipe", flag)
				s.Await(s.Server.ListeningAny())
				s.Await(s.Client.Start("builtin:dial", "--close", "reset", "server:8080").Exited())
				s.AwaitFirst(0, p.Exited(), p.Logged(regexp.MustCompile("^gone$")))
			}, func(t *testing.T, r *record.Run) {
				if p := r.Server().Programs[0]; p.Signal != signal || (p.End < 0) != (signal == "") {
					t.Errorf("%+v", p)
				}
			})
		})
	}
}
