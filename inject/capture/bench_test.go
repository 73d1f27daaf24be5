package capture_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/lastack/lastack/inject/capture"
	"github.com/lastack/lastack/inject/tcp"
	"github.com/lastack/lastack/internal/capturetest"
)

// load is a tenth of the load by which programs are compared.
var load = capturetest.Load{Packets: 100_000, Connections: 5_700}

func loadBytes(tb testing.TB, load capturetest.Load) []byte {
	tb.Helper()
	var file bytes.Buffer
	if err := load.Write(&file); err != nil {
		tb.Fatal(err)
	}
	return file.Bytes()
}

// each reads a file and returns how many packets it has. It decodes them where
// seg is given.
func each(tb testing.TB, file []byte, seg *tcp.Segment) int {
	tb.Helper()
	r, err := capture.NewReader(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	var d capture.Decoder
	packets := 0
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		packets++
		if seg != nil {
			if skip := d.Decode(r.Sources()[p.Interface].Link, p, seg); skip != capture.Taken {
				tb.Fatalf("packet %d: %s", packets, skip)
			}
		}
	}
	return packets
}

func BenchmarkRead(b *testing.B) {
	file := loadBytes(b, load)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		each(b, file, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*load.Packets), "ns/packet")
}

func BenchmarkReadDecode(b *testing.B) {
	file := loadBytes(b, load)
	var seg tcp.Segment
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		each(b, file, &seg)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*load.Packets), "ns/packet")
}

// A packet costs no allocation: a file of ten thousand costs what the reader
// itself is.
func TestReadingAllocatesNothing(t *testing.T) {
	small := capturetest.Load{Packets: 10_000, Connections: 500}
	file := loadBytes(t, small)
	var seg tcp.Segment
	if n := each(t, file, &seg); n != small.Packets {
		t.Errorf("%d packets, want %d", n, small.Packets)
	}
	if n := testing.AllocsPerRun(1, func() { each(t, file, &seg) }); n > 20 {
		t.Errorf("a file costs %v allocations", n)
	}
}
