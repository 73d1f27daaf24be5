package evidence_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/harness/internal/evidence"
	"github.com/lastack/lastack/harness/internal/recordtest"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

type frame struct {
	iface string
	at    uint64 // ns
	data  []byte
}

// frames reads the blocks of a file as far as these tests ask: what reads whole
// files is tested where the writer is.
func frames(t *testing.T, path string) []frame {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u32 := binary.LittleEndian.Uint32
	var ifaces []string
	var out []frame
	for len(file) > 0 {
		length := u32(file[4:])
		body := file[8 : length-4]
		switch u32(file) {
		case 1: // interface: its name is the first option
			ifaces = append(ifaces, string(body[12:12+binary.LittleEndian.Uint16(body[10:])]))
		case 6: // packet
			out = append(out, frame{
				iface: ifaces[u32(body)],
				at:    uint64(u32(body[4:]))<<32 | uint64(u32(body[8:])),
				data:  body[20 : 20+u32(body[12:])],
			})
		}
		file = file[length:]
	}
	return out
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	run := recordtest.Full()
	for range 2 { // the second time over the files of the first
		if err := evidence.Write(dir, run); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"attacker.pcapng", "client.pcapng", "ladder.txt", "record.json", "server.pcapng", "wire.pcapng"}
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	f, err := os.Open(filepath.Join(dir, "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := record.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run, got, cmpopts.IgnoreUnexported(flow.Sighting{})); diff != "" {
		t.Errorf("record.json (-want +got):\n%s", diff)
	}
	ladder, err := os.ReadFile(filepath.Join(dir, "ladder.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if string(ladder) != run.Ladder() {
		t.Error("ladder.txt is not the ladder")
	}
}

// In wire.pcapng each segment stands once, as it came in.
func TestWireHoldsEachSegmentOnce(t *testing.T) {
	dir := t.TempDir()
	run := recordtest.Full()
	if err := evidence.Write(dir, run); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	var last frame
	for i, f := range frames(t, filepath.Join(dir, "wire.pcapng")) {
		count[f.iface]++
		if i > 0 && f.at < last.at {
			t.Errorf("packet %d goes back in time", i)
		}
		last = f
	}
	want := map[string]int{"injected": 2} // the wire's RST, and the rewritten data
	for i := range run.Segments {
		if s := &run.Segments[i]; s.SentBy != "wire" {
			want[s.SentBy]++
		}
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("packets by interface (-want +got):\n%s", diff)
	}
}

// HOST.pcapng is what that host sent and what reached it.
func TestHostSeesWhatReachedIt(t *testing.T) {
	dir := t.TempDir()
	run := recordtest.Full()
	if err := evidence.Write(dir, run); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"client", "server", "attacker"} {
		var want [][]byte
		for i := range run.Segments {
			s := &run.Segments[i]
			if s.SentBy == host {
				want = append(want, s.Frame)
			}
			left := s.Frame
			if s.Rewritten != nil {
				left = s.Rewritten
			}
			for _, d := range s.Departures {
				if d.To == host {
					want = append(want, left)
				}
			}
		}
		var got [][]byte
		var last frame
		for i, f := range frames(t, filepath.Join(dir, host+".pcapng")) {
			got = append(got, f.data)
			if i > 0 && f.at < last.at {
				t.Errorf("%s: packet %d goes back in time", host, i)
			}
			last = f
		}
		sortBytes := cmpopts.SortSlices(func(a, b []byte) bool { return bytes.Compare(a, b) < 0 })
		if diff := cmp.Diff(want, got, sortBytes); diff != "" {
			t.Errorf("%s: packets (-want +got):\n%s", host, diff)
		}
	}
}

// tshark reads the files as they are meant: one retransmission of the FIN at
// the server, and the lost ACK seen by its sender alone.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: what Wireshark makes of the files was not tested")
	}
	dir := t.TempDir()
	run := recordtest.LastACKLost()
	if err := evidence.Write(dir, run); err != nil {
		t.Fatal(err)
	}
	fields := []string{"tcp.analysis.retransmission", "tcp.checksum.status", "_ws.malformed", "frame.comment", "frame.interface_name", "frame.packet_flags_direction"}
	read := func(name string) [][]string {
		args := []string{"-n", "-r", filepath.Join(dir, name), "-o", "tcp.check_checksum:TRUE", "-Y", "tcp", "-T", "fields"}
		for _, f := range fields {
			args = append(args, "-e", f)
		}
		out, err := exec.Command(tshark, args...).Output()
		if err != nil {
			t.Fatalf("tshark %s: %v", name, err)
		}
		var rows [][]string
		for line := range strings.Lines(string(out)) {
			rows = append(rows, strings.Split(strings.TrimRight(line, "\r\n"), "\t"))
		}
		return rows
	}
	for name, want := range map[string]int{"client.pcapng": 9, "server.pcapng": 8, "wire.pcapng": 9} {
		rows := read(name)
		if len(rows) != want {
			t.Errorf("%s: %d segments, want %d", name, len(rows), want)
		}
		retransmissions := 0
		for _, row := range rows {
			if row[0] != "" {
				retransmissions++
			}
			if row[1] != "1" || row[2] != "" {
				t.Errorf("%s: checksum or form is wrong: %q", name, row)
			}
		}
		if retransmissions != 1 {
			t.Errorf("%s: %d retransmissions, want one", name, retransmissions)
		}
		if name != "wire.pcapng" {
			continue
		}
		lost := []string{"client.ACK(server.FIN); dropped; rule: drop client.ACK(server.FIN)", "client", "0x00000001"}
		if got := rows[6][3:]; !slices.Equal(got, lost) {
			t.Errorf("the lost ACK reads %q, want %q", got, lost)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, name := range []string{"../out", "a/b", "", ".", "wire", `a\b`, ".hidden"} {
		dir := t.TempDir()
		if err := evidence.Write(dir, &record.Run{Started: recordtest.LastACKLost().Started, Hosts: []record.Host{{Name: name}}}); err == nil {
			t.Errorf("host %q: no error", name)
		}
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("host %q left %s", name, left)
		}
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := evidence.Write(filepath.Join(blocked, "sub"), recordtest.Full()); err == nil || !strings.HasPrefix(err.Error(), "write evidence: ") {
		t.Errorf("below a file: %v", err)
	}
}

// A run that cannot be written whole leaves no file that looks whole.
func TestFailureLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	run := recordtest.LastACKLost()
	if err := evidence.Write(dir, run); err != nil {
		t.Fatal(err)
	}
	bad := recordtest.LastACKLost()
	bad.Started = bad.Started.AddDate(-100, 0, 0) // pcapng knows no time before 1970
	if err := evidence.Write(dir, bad); err == nil {
		t.Fatal("no error")
	}
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, ".") || name == "record.json" {
			t.Errorf("%s was left", name)
		}
	}
}
