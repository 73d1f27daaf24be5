//go:build linux

package harness_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/netenv"
)

// BenchmarkLab: a lab of two hosts with the wire between them, until it passes
// frames; the keeper stands already, and no program is started. Labs are closed
// side by side when a few stand, and not while one is built.
func BenchmarkLab(b *testing.B) {
	k := benchKeeper(b)
	const few = 16
	var labs []standing
	var built []time.Duration
	for b.Loop() {
		begin := time.Now()
		s := newStanding(b, k)
		built = append(built, time.Since(begin))
		if labs = append(labs, s); len(labs) == few {
			b.StopTimer()
			closeAll(b, labs)
			labs = labs[:0]
			b.StartTimer()
		}
	}
	b.StopTimer()
	closeAll(b, labs)
	noTime(b)
	b.ReportMetric(millis(median(built)), "lab-ms")
}

// BenchmarkLabClose: alone is one lab that is closed while no other is;
// together is a lab's share of closing thirty-two side by side.
func BenchmarkLabClose(b *testing.B) {
	for _, bm := range []struct {
		name string
		labs int
	}{{"alone", 1}, {"together", 32}} {
		b.Run(bm.name, func(b *testing.B) {
			k := benchKeeper(b)
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				var labs []standing
				for range bm.labs {
					labs = append(labs, newStanding(b, k))
				}
				b.StartTimer()
				begin := time.Now()
				closeAll(b, labs)
				took = append(took, time.Since(begin)/time.Duration(bm.labs))
			}
			noTime(b)
			b.ReportMetric(millis(median(took)), "close-ms")
		})
	}
}

// BenchmarkLabMemory: what the kernel holds for a lab of two hosts and a wire
// without programs. It is the growth of what /proc/meminfo counts as the
// kernel's own while two hundred labs are built: slabs, per-CPU memory, vmalloc
// with the stacks of the threads that serve the labs, and page tables. Frames on
// their way are not in it, because there are none. What else the machine does
// meanwhile is: take several runs.
func BenchmarkLabMemory(b *testing.B) {
	const many = 200
	k := benchKeeper(b)
	// What is allocated once, for the first lab of a machine, is no lab's.
	closeAll(b, []standing{newStanding(b, k)})
	var all, slab, perCPU, stacks []float64
	for b.Loop() {
		var labs []standing
		before := kernelMemory(b)
		for range many {
			labs = append(labs, newStanding(b, k))
		}
		after := kernelMemory(b)
		closeAll(b, labs)
		grown := func(keys ...string) float64 {
			total := 0.0
			for _, key := range keys {
				total += float64(after[key] - before[key])
			}
			return total / many
		}
		all = append(all, grown(kernelKeys...))
		slab = append(slab, grown("Slab"))
		perCPU = append(perCPU, grown("Percpu"))
		stacks = append(stacks, grown("KernelStack"))
	}
	noTime(b)
	b.ReportMetric(median(all), "KiB/lab")
	b.ReportMetric(median(slab), "slab-KiB/lab")
	b.ReportMetric(median(perCPU), "percpu-KiB/lab")
	b.ReportMetric(median(stacks), "stack-KiB/lab")
}

// kernelKeys are disjoint: per-CPU memory is not counted as VmallocUsed, but the
// threads' stacks are, where the kernel has CONFIG_VMAP_STACK.
var kernelKeys = []string{"Slab", "Percpu", "VmallocUsed", "PageTables"}

// kernelMemory reads /proc/meminfo, in KiB.
func kernelMemory(b *testing.B) map[string]int {
	b.Helper()
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	values := map[string]int{}
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		key, rest, _ := strings.Cut(scanner.Text(), ":")
		var n int
		if _, err := fmt.Sscan(rest, &n); err == nil {
			values[key] = n
		}
	}
	return values
}

// standing is a lab with its wire.
type standing struct {
	lab  *netenv.Lab
	wire *inject.Wire
}

func newStanding(b *testing.B, k *netenv.Keeper) standing {
	b.Helper()
	l, err := k.NewLab(benchContext(b), netenv.LabSpec{})
	if err != nil {
		b.Fatal(err)
	}
	return standing{l, benchWire(b, l)}
}

func closeAll(b *testing.B, labs []standing) {
	b.Helper()
	var wait sync.WaitGroup
	for _, s := range labs {
		wait.Go(func() {
			if err := s.wire.Close(); err != nil {
				b.Error(err)
			}
			if err := s.lab.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
}
