package tool_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/internal/capturetest"
)

// BenchmarkAnalyzers measures `lastack analyze` beside the programs that one would use instead, in turn on the same generated
// capture, each on one core and the file in the page cache: the time by the clock, processor time and peak memory of the process,
// the median of the iterations. A program that is not installed is left out.
func BenchmarkAnalyzers(b *testing.B) {
	capture := generated(b, capturetest.Issue)
	programs := []program{{"lastack", []string{lastack(b), "analyze", capture}}}
	for _, other := range []program{
		{"tcptrace", []string{"tcptrace", "-n", capture}},
		{"tshark", []string{"tshark", "-q", "-z", "conv,tcp", "-r", capture}},
	} {
		if _, err := exec.LookPath(other.name); err != nil {
			b.Logf("%s is not installed, and left out", other.name)
			continue
		}
		programs = append(programs, other)
	}
	compare(b, programs)
}

// BenchmarkAnalyzeLong measures 2 GiB: the connections of BenchmarkAnalyzers with more packets each, so that as many of them stay
// open; and then as many more connections, of which one in ten never ends.
func BenchmarkAnalyzeLong(b *testing.B) {
	for _, load := range []capturetest.Load{
		{Packets: 7_090_000, Connections: capturetest.Issue.Connections},
		{Packets: 7_090_000, Connections: 404_000},
	} {
		b.Run(fmt.Sprintf("connections=%d", load.Connections), func(b *testing.B) {
			compare(b, []program{{"lastack", []string{lastack(b), "analyze", generated(b, load)}}})
		})
	}
}

// program is one that reads a capture.
type program struct {
	name string
	args []string
}

// generated is the load as a file, which goes with the benchmark. Having been written it is in the page cache.
func generated(b *testing.B, load capturetest.Load) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "load.pcap")
	file, err := os.Create(name)
	if err == nil {
		err = load.Write(file)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return name
}

// compare runs the programs in turn, so that all have their share of what else the machine does.
func compare(b *testing.B, programs []program) {
	wall, cpu, memory := make([][]float64, len(programs)), make([][]float64, len(programs)), make([][]float64, len(programs))
	for b.Loop() {
		for i, p := range programs {
			began := time.Now()
			state := onOneCore(b, p.args)
			wall[i] = append(wall[i], time.Since(began).Seconds())
			cpu[i] = append(cpu[i], (state.UserTime() + state.SystemTime()).Seconds())
			memory[i] = append(memory[i], float64(state.SysUsage().(*syscall.Rusage).Maxrss)*1024/1e6)
		}
	}
	b.ReportMetric(0, "ns/op")
	own := peak(b)
	for i, p := range programs {
		for unit, list := range map[string][]float64{"wall-s": wall[i], "cpu-s": cpu[i], "MB": memory[i]} {
			slices.Sort(list)
			b.ReportMetric(list[len(list)/2], p.name+"-"+unit)
		}
		if memory[i][0] <= own {
			b.Errorf("the peak memory of %s cannot be told from that of the benchmark, from which it was started: %.0f MB", p.name, own)
		}
	}
}

// onOneCore runs a program to its end on one core.
func onOneCore(b *testing.B, args []string) *os.ProcessState {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		b.Fatal(err)
	}
	core := 0
	for !all.IsSet(core) {
		core++
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		b.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &all)
	c := exec.Command(args[0], args[1:]...)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	if err := c.Run(); err != nil {
		b.Fatalf("%v: %v\n%s", args, err, complaint.String())
	}
	return c.ProcessState
}

// peak is the most memory that this process had, in megabytes. The kernel counts it to a program that it starts, too.
func peak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	kilobytes, err := strconv.ParseFloat(string(bytes.Fields(rest)[0]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes * 1024 / 1e6
}
