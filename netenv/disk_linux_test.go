package netenv

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shell runs a script on a host, isolated, and gives what it printed.
func shell(t *testing.T, h *Host, script string) string {
	t.Helper()
	r, w := pipe(t)
	p, err := h.StartProcess(testContext(t), ProcessSpec{
		Path: "sh", Argv: []string{"sh", "-c", script}, Files: []*os.File{nil, w, w}, Isolated: true,
	})
	must(t, err)
	w.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	wait(t, p)
	return string(text)
}

func TestDiskIsTheHostsAndOutlivesItsPower(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client, server := l.Host("client"), l.Host("server")
	if files, more, err := client.Files(ctx, []string{"/tmp/*"}); err != nil || len(files) != 0 || more != 0 {
		t.Errorf("before the first program: %v, %d, %v", files, more, err)
	}
	places := []string{ProgramDir, ProgramHome, "/tmp", "/dev/shm"}
	for _, place := range places {
		if out := shell(t, client, "echo "+place+" >"+place+"/lastack-file"); out != "" {
			t.Errorf("write to %s: %s", place, out)
		}
	}
	if out := shell(t, server, "ls -d /tmp/lastack-file /dev/shm/lastack-file "+ProgramDir+"/* 2>/dev/null"); out != "" {
		t.Errorf("another host has %s", out)
	}
	look := func(when string) {
		t.Helper()
		var globs, want []string
		for _, place := range places {
			globs = append(globs, place+"/lastack-f*")
			want = append(want, place+"/lastack-file: "+place+"\n")
		}
		files, more, err := client.Files(ctx, globs)
		must(t, err)
		var got []string
		for _, f := range files {
			text, err := io.ReadAll(f)
			must(t, err)
			f.Close()
			got = append(got, f.Name+": "+string(text))
		}
		if d := cmp.Diff(want, got); d != "" || more != 0 {
			t.Errorf("%s, files (-want +got):\n%s", when, d)
		}
	}
	look("on")
	for range 2 {
		must(t, client.PowerOff(ctx))
		look("off")
		must(t, client.Boot(ctx))
		if out := shell(t, client, "cat "+ProgramDir+"/lastack-file; ls /sys/class/net; ls /proc/self/exe"); !strings.HasPrefix(out, ProgramDir+"\n") || !strings.Contains(out, "eth0") || !strings.Contains(out, "/proc/self/exe") {
			t.Errorf("after the boot: %s", out)
		}
	}
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, "lastack-file")); err == nil {
			t.Errorf("a file of a host is on this machine, in %s", place)
		}
	}
}

// A program that plants links where the caller's files will be shown gains nothing.
func TestDiskFollowsNoLinkOfAProgram(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client := l.Host("client")
	dir, err := os.MkdirTemp("/tmp", "lastack-test-")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	here, err := os.Getwd()
	must(t, err)
	shell(t, client, "ln -s "+here+" "+dir)
	_, err = client.StartProcess(testContext(t), ProcessSpec{Path: "/bin/true", Dir: dir, Isolated: true})
	if err == nil || !strings.Contains(err.Error(), "show "+dir) {
		t.Errorf("error %v", err)
	}
}

func TestNamesOfOneFamily(t *testing.T) {
	k := startKeeper(t)
	for ip, want := range map[int][]string{4: {"192.0.2.1\tclient", "192.0.2.2\tserver"}, 6: {"2001:db8::1\tclient", "2001:db8::2\tserver"}} {
		l := newLab(t, k, LabSpec{IP: ip})
		var got []string
		for line := range strings.Lines(shell(t, l.Host("client"), "cat /etc/hosts")) {
			if !strings.Contains(line, "localhost") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("IPv%d (-want +got):\n%s", ip, d)
		}
	}
}
