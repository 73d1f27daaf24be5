package netenv

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkLab builds labs of two hosts and the wire one after the other. The goal
// is a median of 4 ms. Labs are closed in between but not while one is built, as
// the kernel makes a new namespace wait for those that end.
func BenchmarkLab(b *testing.B) {
	k := startKeeper(b)
	ctx := context.Background()
	const batch = 32
	var built []time.Duration
	var labs []*Lab
	closeLabs := func() time.Duration {
		begin := time.Now()
		var wait sync.WaitGroup
		for _, l := range labs {
			wait.Go(func() {
				if err := l.Close(); err != nil {
					b.Error(err)
				}
			})
		}
		wait.Wait()
		labs = labs[:0]
		return time.Since(begin)
	}
	closing, closed := time.Duration(0), 0
	for b.Loop() {
		begin := time.Now()
		l, err := k.NewLab(ctx, LabSpec{})
		if err != nil {
			b.Fatal(err)
		}
		built = append(built, time.Since(begin))
		labs = append(labs, l)
		if len(labs) == batch {
			b.StopTimer()
			closing += closeLabs()
			closed += batch
			b.StartTimer()
		}
	}
	b.StopTimer()
	closeLabs()
	slices.Sort(built)
	b.ReportMetric(float64(built[len(built)/2].Microseconds()), "median-µs")
	if closed > 0 {
		b.ReportMetric(float64(closing.Microseconds())/float64(closed), "close-µs")
	}
}

// BenchmarkClose closes labs one by one, the slow way.
func BenchmarkClose(b *testing.B) {
	k := startKeeper(b)
	for range b.N {
		b.StopTimer()
		l, err := k.NewLab(context.Background(), LabSpec{})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart starts and ends keepers.
func BenchmarkStart(b *testing.B) {
	for range b.N {
		k, err := Start(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := k.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
