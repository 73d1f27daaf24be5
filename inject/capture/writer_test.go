package capture_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/lastack/lastack/inject/capture"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678912345, time.UTC)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestReadsBack(t *testing.T) {
	var file bytes.Buffer
	w := must[*capture.Writer](t)(capture.NewWriter(&file, capture.Options{
		Hardware: "x86_64", OS: "Linux 6.18", Application: "lastack", Comment: "close/last-ack-lost",
	}))
	for i, name := range []string{"client", "server", "injected"} {
		if got := must[int](t)(w.AddInterface(capture.Interface{Name: name, Description: "port of " + name})); got != i {
			t.Fatalf("interface %s is %d, want %d", name, got, i)
		}
	}
	var want [][]byte
	for i := range 9 { // every padding, and a packet of no bytes
		data := bytes.Repeat([]byte{byte(i + 1)}, i*7)
		want = append(want, data)
		p := capture.Packet{Interface: i % 3, Time: epoch.Add(time.Duration(i)), Data: data, Direction: capture.Direction(i % 3)}
		if i > 4 {
			p.Comments = []string{strings.Repeat("é", i), "", "second"}
		}
		if i == 8 {
			p.Length = 4000
		}
		if err := w.WritePacket(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteStatistics(1, capture.Statistics{Start: epoch, End: epoch.Add(time.Second), Received: 3, Dropped: 2}); err != nil {
		t.Fatal(err)
	}

	var stats []pcapgo.NgInterfaceStatistics
	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{
		ErrorOnMismatchingLinkType: true,
		StatisticsCallback:         func(_ int, s pcapgo.NgInterfaceStatistics) { stats = append(stats, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	info := pcapgo.NgSectionInfo{Hardware: "x86_64", OS: "Linux 6.18", Application: "lastack", Comment: "close/last-ack-lost"}
	if diff := cmp.Diff(info, r.SectionInfo()); diff != "" {
		t.Errorf("section (-want +got):\n%s", diff)
	}
	for i, data := range want {
		got, ci, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("packet %d is %x, want %x", i, got, data)
		}
		length := len(data)
		if i == 8 {
			length = 4000
		}
		if ci.InterfaceIndex != i%3 || !ci.Timestamp.Equal(epoch.Add(time.Duration(i))) || ci.Length != length {
			t.Errorf("packet %d: interface %d at %s of %d bytes", i, ci.InterfaceIndex, ci.Timestamp, ci.Length)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last packet: %v, want EOF", err)
	}
	for i, name := range []string{"client", "server", "injected"} {
		got := must[pcapgo.NgInterface](t)(r.Interface(i))
		if got.Name != name || got.Description != "port of "+name || got.LinkType != layers.LinkTypeEthernet || got.TimestampResolution != 9 {
			t.Errorf("interface %d reads back as %+v", i, got)
		}
	}
	if len(stats) != 1 || stats[0].PacketsReceived != 3 || stats[0].PacketsDropped != 2 || !stats[0].StartTime.Equal(epoch) || !stats[0].EndTime.Equal(epoch.Add(time.Second)) {
		t.Errorf("statistics read back as %+v", stats)
	}
}

// The reader above does not show comments and directions: these bytes do.
func TestGoldenBytes(t *testing.T) {
	var file bytes.Buffer
	w := must[*capture.Writer](t)(capture.NewWriter(&file, capture.Options{Application: "lastack"}))
	must[int](t)(w.AddInterface(capture.Interface{Name: "client"}))
	err := w.WritePacket(capture.Packet{
		Time: time.Unix(0, 0x1122334455667788), Data: []byte{0xde, 0xad, 0xbe, 0xef, 0x01},
		Direction: capture.Outbound, Comments: []string{"FIN"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		// Section header: type, length, byte order, version 1.0, length unknown.
		"0a0d0d0a", "2c000000", "4d3c2b1a", "0100", "0000", "ffffffffffffffff",
		"0400", "0700", "6c61737461636b00", // shb_userappl
		"00000000", "2c000000",
		// Interface description: Ethernet, no snap length.
		"01000000", "2c000000", "0100", "0000", "00000000",
		"0200", "0600", "636c69656e740000", // if_name
		"0900", "0100", "09000000", // if_tsresol
		"00000000", "2c000000",
		// Enhanced packet: interface, time (upper half first), both lengths.
		"06000000", "3c000000", "00000000", "44332211", "88776655", "05000000", "05000000",
		"deadbeef01000000",
		"0100", "0300", "46494e00", // opt_comment
		"0200", "0400", "02000000", // epb_flags
		"00000000", "3c000000",
	}, "")
	if got := hex.EncodeToString(file.Bytes()); got != want {
		t.Errorf("file is\n%s, want\n%s", got, want)
	}
}

// chunks counts the writes, so that no block lies about in a buffer.
type chunks struct{ sizes []int }

func (c *chunks) Write(p []byte) (int, error) {
	c.sizes = append(c.sizes, len(p))
	return len(p), nil
}

func TestOneWriteForEachBlock(t *testing.T) {
	var c chunks
	w := must[*capture.Writer](t)(capture.NewWriter(&c, capture.Options{}))
	must[int](t)(w.AddInterface(capture.Interface{}))
	if err := w.WritePacket(capture.Packet{Time: epoch}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{32, 32, 32}, c.sizes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestRefusesWhatTheFormatCannotHold(t *testing.T) {
	var file bytes.Buffer
	w := must[*capture.Writer](t)(capture.NewWriter(&file, capture.Options{}))
	must[int](t)(w.AddInterface(capture.Interface{Name: "client"}))
	before := file.Len()
	for name, p := range map[string]capture.Packet{
		"interface not added": {Interface: 1, Time: epoch},
		"interface below 0":   {Interface: -1, Time: epoch},
		"before 1970":         {Time: time.Unix(-1, 0)},
		"no time":             {},
		"after 2262":          {Time: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)},
		"direction":           {Time: epoch, Direction: 3},
		"length":              {Time: epoch, Length: -1},
	} {
		if err := w.WritePacket(p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := w.WriteStatistics(7, capture.Statistics{}); err == nil {
		t.Error("statistics of an interface that was not added: no error")
	}
	if file.Len() != before {
		t.Errorf("refused packets left %d bytes in the file", file.Len()-before)
	}
}

func TestLongCommentIsCutAtARune(t *testing.T) {
	var file bytes.Buffer
	w := must[*capture.Writer](t)(capture.NewWriter(&file, capture.Options{}))
	must[int](t)(w.AddInterface(capture.Interface{}))
	// 65,535 is odd, so the last of these two-byte runes does not fit.
	if err := w.WritePacket(capture.Packet{Time: epoch, Comments: []string{strings.Repeat("é", 40000)}}); err != nil {
		t.Fatal(err)
	}
	r := must[*pcapgo.NgReader](t)(pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{}))
	if _, _, err := r.ReadPacketData(); err != nil {
		t.Fatal(err)
	}
}

// full refuses everything after some bytes, as a disk does.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n := f.room
		f.room = 0
		return n, errFull
	}
	f.room -= len(p)
	return len(p), nil
}

// After a torn block nothing more is written, though there may be room again.
func TestFailedWriteIsFinal(t *testing.T) {
	disk := &full{room: 70}
	w := must[*capture.Writer](t)(capture.NewWriter(disk, capture.Options{}))
	must[int](t)(w.AddInterface(capture.Interface{}))
	packet := capture.Packet{Time: epoch, Data: make([]byte, 60)}
	if err := w.WritePacket(packet); !errors.Is(err, errFull) {
		t.Errorf("on a full disk: %v", err)
	}
	disk.room = 1000
	if err := w.WritePacket(packet); !errors.Is(err, errFull) {
		t.Errorf("after a torn block: %v", err)
	}
	if disk.room != 1000 {
		t.Error("wrote after a torn block")
	}
	if _, err := capture.NewWriter(&full{}, capture.Options{}); !errors.Is(err, errFull) {
		t.Errorf("NewWriter on a full disk: %v", err)
	}
}
