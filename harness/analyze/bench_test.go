package analyze

import (
	"bytes"
	"testing"

	"github.com/lastack/lastack/internal/capturetest"
)

// A tenth of the load by which programs are compared, from memory.
func BenchmarkAnalyze(b *testing.B) {
	load := capturetest.Load{Packets: 100_000, Connections: 5_700}
	var file bytes.Buffer
	if err := load.Write(&file); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		_, err := Read(b.Context(), []Input{{"load", bytes.NewReader(file.Bytes())}}, Options{Ended: func(*Connection) { n++ }})
		if err != nil || n != load.Connections {
			b.Fatalf("%d connections, %v", n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*load.Packets), "ns/packet")
}
