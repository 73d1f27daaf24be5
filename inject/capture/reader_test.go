package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"github.com/lastack/lastack/inject/capture"
)

// readAll reads a capture to its end, or to its error.
func readAll(r io.Reader) (packets []capture.Packet, sources []capture.Source, err error) {
	c, err := capture.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	for {
		p, err := c.Next()
		if err != nil {
			if _, again := c.Next(); again != err {
				panic("another error at the second call")
			}
			if err == io.EOF {
				err = nil
			}
			return packets, c.Sources(), err
		}
		keep := *p
		keep.Data = bytes.Clone(p.Data)
		keep.Comments = append([]string(nil), p.Comments...)
		packets = append(packets, keep)
	}
}

// equalBytes compares data at once.
var equalBytes = cmp.Comparer(bytes.Equal)

// ignoreUnread leaves out what of a source only the reader needs.
var ignoreUnread = cmpopts.IgnoreUnexported(capture.Source{})

func TestReadsWhatTheWriterWrote(t *testing.T) {
	var file bytes.Buffer
	w := must[*capture.Writer](t)(capture.NewWriter(&file, capture.Options{Comment: "close/last-ack-lost"}))
	for _, name := range []string{"client", "injected"} {
		must[int](t)(w.AddInterface(capture.Interface{Name: name, Description: "port of " + name}))
	}
	want := []capture.Packet{
		{Time: epoch, Data: []byte{1, 2, 3}, Length: 3, Direction: capture.Inbound, Comments: []string{"client.FIN; dropped", "é"}},
		{Time: epoch.Add(1), Interface: 1, Data: bytes.Repeat([]byte{7}, 70000), Length: 70000},
		{Time: epoch.Add(2), Data: []byte{}, Length: 1500, Direction: capture.Outbound},
	}
	for i, p := range want {
		if err := w.WritePacket(p); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteStatistics(i%2, capture.Statistics{Received: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for name, r := range map[string]io.Reader{
		"whole":                    bytes.NewReader(file.Bytes()),
		"byte by byte":             iotest.OneByteReader(bytes.NewReader(file.Bytes())),
		"with its end":             iotest.DataErrReader(bytes.NewReader(file.Bytes())),
		"compressed":               bytes.NewReader(compressed(t, file.Bytes())),
		"compressed, byte by byte": iotest.OneByteReader(bytes.NewReader(compressed(t, file.Bytes()))),
	} {
		packets, sources, err := readAll(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, packets, equalBytes); diff != "" {
			t.Errorf("%s: packets (-written +read):\n%s", name, diff)
		}
		wantSources := []capture.Source{
			{Name: "client", Description: "port of client", Link: capture.LinkEthernet, Tick: 1},
			{Name: "injected", Description: "port of injected", Link: capture.LinkEthernet, Tick: 1},
		}
		if diff := cmp.Diff(wantSources, sources, ignoreUnread); diff != "" {
			t.Errorf("%s: sources (-written +read):\n%s", name, diff)
		}
	}
	r := must[*capture.Reader](t)(capture.NewReader(&file))
	if got := r.Comment(); got != "close/last-ack-lost" {
		t.Errorf("comment %q", got)
	}
}

func compressed(t testing.TB, file []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// file builds captures by hand, in either byte order.
type file struct {
	order binary.AppendByteOrder
	bytes []byte
}

func (f *file) u16(v ...uint16) *file {
	for _, v := range v {
		f.bytes = f.order.AppendUint16(f.bytes, v)
	}
	return f
}

func (f *file) u32(v ...uint32) *file {
	for _, v := range v {
		f.bytes = f.order.AppendUint32(f.bytes, v)
	}
	return f
}

func (f *file) raw(p ...byte) *file {
	f.bytes = append(f.bytes, p...)
	return f
}

func (f *file) pcap(magic, link uint32) *file {
	return f.u32(magic).u16(2, 4).u32(0, 0, 262144, link)
}

// block appends a pcapng block around what body appends.
func (f *file) block(kind uint32, body func(*file)) *file {
	inner := &file{order: f.order}
	body(inner)
	for len(inner.bytes)%4 != 0 {
		inner.raw(0)
	}
	length := uint32(len(inner.bytes) + 12)
	return f.u32(kind, length).raw(inner.bytes...).u32(length)
}

func (f *file) section() *file {
	return f.block(0x0a0d0d0a, func(b *file) { b.u32(0x1a2b3c4d).u16(1, 0).u32(0xffffffff, 0xffffffff) })
}

func (f *file) iface(link uint16, options func(*file)) *file {
	return f.block(1, func(b *file) {
		b.u16(link, 0).u32(0)
		if options != nil {
			options(b)
			b.u32(0)
		}
	})
}

func orders() map[string]binary.AppendByteOrder {
	return map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian}
}

func TestPcap(t *testing.T) {
	for name, order := range orders() {
		for magic, unit := range map[uint32]time.Duration{0xa1b2c3d4: time.Microsecond, 0xa1b23c4d: time.Nanosecond} {
			f := &file{order: order}
			f.pcap(magic, 0xf0000000|113) // the upper bits are about the frame check sequence
			f.u32(1700000000, 999999, 3, 1500).raw(1, 2, 3)
			f.u32(0xffffffff, 0, 0, 0)
			packets, sources, err := readAll(bytes.NewReader(f.bytes))
			if err != nil {
				t.Fatal(err)
			}
			want := []capture.Packet{
				{Time: time.Unix(1700000000, 999999*int64(unit)).UTC(), Data: []byte{1, 2, 3}, Length: 1500},
				{Time: time.Unix(0xffffffff, 0).UTC(), Data: []byte{}},
			}
			if diff := cmp.Diff(want, packets, equalBytes); diff != "" {
				t.Errorf("%s-endian, %s: packets (-want +got):\n%s", name, unit, diff)
			}
			if diff := cmp.Diff([]capture.Source{{Link: capture.LinkLinuxSLL, SnapLen: 262144, Tick: unit}}, sources, ignoreUnread); diff != "" {
				t.Errorf("%s-endian, %s: source (-want +got):\n%s", name, unit, diff)
			}
		}
	}
}

func TestPcapngBlocks(t *testing.T) {
	for name, order := range orders() {
		f := &file{order: order}
		f.section()
		f.iface(1, nil) // microseconds
		f.iface(276, func(b *file) {
			b.u16(2, 3).raw('a', 'n', 'y', 0)
			b.u16(9, 1).raw(0x80|20, 0, 0, 0)      // 2^-20 s
			b.u16(14, 8).raw(offset(order, -5)...) // seconds
		})
		f.block(0xbad, func(b *file) { b.raw(1, 2, 3, 4) })
		f.block(6, func(b *file) { b.u32(0, 0, 1500000, 2, 2).raw(1, 2) })
		f.block(6, func(b *file) {
			b.u32(1, 0, 10<<20|1<<19, 1, 60).raw(9, 0, 0, 0)
			b.u16(1, 5).raw([]byte("hello")...).raw(0, 0, 0)
			b.u16(2, 4).u32(2)
			b.u32(0)
		})
		f.block(2, func(b *file) { // obsolete packet block
			b.u16(1, 7).u32(0, 6<<20, 1, 1).raw(8, 0, 0, 0)
			b.u16(1, 2).raw('n', 'o', 0, 0).u16(2, 4).u32(1).u32(0)
		})
		f.block(3, func(b *file) { b.u32(3).raw(5, 6, 7) }) // simple packet block
		// Another section, in the other byte order: its interface 0 is the third.
		other := &file{order: binary.LittleEndian}
		if name == "little" {
			other.order = binary.BigEndian
		}
		other.section().block(1, func(b *file) { b.u16(101, 0).u32(4) })
		other.block(3, func(b *file) { b.u32(1500).raw(1, 2, 3, 4) })
		f.raw(other.bytes...)

		want := []capture.Packet{
			{Time: time.Unix(1, 500_000_000).UTC(), Data: []byte{1, 2}, Length: 2},
			{Interface: 1, Time: time.Unix(5, 500_000_000).UTC(), Data: []byte{9}, Length: 60, Comments: []string{"hello"}, Direction: capture.Outbound},
			{Interface: 1, Time: time.Unix(1, 0).UTC(), Data: []byte{8}, Length: 1, Comments: []string{"no"}, Direction: capture.Inbound},
			{Data: []byte{5, 6, 7}, Length: 3},
			{Interface: 2, Data: []byte{1, 2, 3, 4}, Length: 1500},
		}
		packets, sources, err := readAll(bytes.NewReader(f.bytes))
		if err != nil {
			t.Fatalf("%s-endian: %v", name, err)
		}
		if diff := cmp.Diff(want, packets, equalBytes); diff != "" {
			t.Errorf("%s-endian: packets (-want +got):\n%s", name, diff)
		}
		wantSources := []capture.Source{
			{Link: capture.LinkEthernet, Tick: time.Microsecond},
			{Name: "any", Link: capture.LinkLinuxSLL2, Tick: 953},
			{Link: capture.LinkRaw, SnapLen: 4, Tick: time.Microsecond},
		}
		if diff := cmp.Diff(wantSources, sources, ignoreUnread); diff != "" {
			t.Errorf("%s-endian: sources (-want +got):\n%s", name, diff)
		}
	}
}

// offset is an if_tsoffset.
func offset(order binary.AppendByteOrder, seconds int64) []byte {
	return order.AppendUint64(nil, uint64(seconds))
}

func TestRefusesDamage(t *testing.T) {
	f := func() *file { return &file{order: binary.LittleEndian} }
	ng := func() *file { return f().section().iface(1, nil) }
	good := func(f *file) *file { return f.block(6, func(b *file) { b.u32(0, 0, 0, 1, 1).raw(1) }) }
	cutIn := func(f *file, n int) *file { f.bytes = f.bytes[:len(f.bytes)-n]; return f }
	for name, test := range map[string]struct {
		file *file
		want string
	}{
		"nothing":                   {f(), "read capture: the file is empty"},
		"two bytes":                 {f().raw(0xd4, 0xc3), "read capture: the file ends after 2 bytes: unexpected EOF"},
		"half a file header":        {f().u32(0xa1b2c3d4, 0), "read capture: the file ends after 8 bytes: unexpected EOF"},
		"text":                      {f().raw([]byte("hello, world")...), "read capture: it begins with the bytes 68656c6c: neither pcap nor pcapng"},
		"modified pcap":             {f().pcap(0xa1b2cd34, 1), "read capture: it is in the modified pcap format of an old libpcap: convert it with editcap -F pcapng"},
		"pcap version 1":            {f().u32(0xa1b2c3d4).u16(1, 4).u32(0, 0, 0, 1), "read capture: pcap version 1.4, want 2.4"},
		"half a record header":      {f().pcap(0xa1b2c3d4, 1).u32(0, 0, 0, 0, 9, 9), "read capture: after 1 packet, at byte 40: the file is cut: unexpected EOF"},
		"half a record":             {f().pcap(0xa1b2c3d4, 1).u32(0, 0, 9, 9).raw(1), "read capture: after 0 packets, at byte 24: the file is cut: unexpected EOF"},
		"record of 4 GiB":           {f().pcap(0xa1b2c3d4, 1).u32(0, 0, 0xffffffff, 9), "read capture: after 0 packets, at byte 24: a packet of 4294967295 bytes: no capture holds more than 16777216, the file is damaged"},
		"gzip of nothing":           {f().raw(compressed(t, nil)...), "read capture: the file is empty"},
		"gzip cut":                  {f().raw(compressed(t, good(ng()).bytes)[:30]...), ""},
		"gzip header only":          {f().raw(0x1f, 0x8b), ""},
		"no byte order":             {f().u32(0x0a0d0d0a, 28, 7, 0, 0, 0, 28), "read capture: a section whose byte-order magic is 07000000"},
		"section of 8 bytes":        {f().u32(0x0a0d0d0a, 8, 0x1a2b3c4d), "read capture: a section header of 8 bytes: the length must be a multiple of 4, and 28 or more"},
		"pcapng version 2":          {f().block(0x0a0d0d0a, func(b *file) { b.u32(0x1a2b3c4d).u16(2, 0).u32(0, 0) }), "read capture: pcapng version 2.0, want 1.0"},
		"block of 3 bytes":          {ng().u32(6, 3, 0), "read capture: after 0 packets, at byte 48: a block of 3 bytes: the length must be a multiple of 4, and 12 or more"},
		"packet block of 4 GiB":     {ng().u32(6, 0xfffffffc), "read capture: after 0 packets, at byte 48: a block of 4294967292 bytes: no capture holds one of more than 16777216, the file is damaged"},
		"unknown block of 4 GiB":    {ng().u32(0xbad, 0xfffffffc), "read capture: after 0 packets, at byte 48: the file is cut: unexpected EOF"},
		"two lengths":               {good(ng()).u32(0xbad, 12, 16), "read capture: after 1 packet, at byte 84: a block is 12 bytes long by its beginning and 16 by its end"},
		"data beyond the block":     {ng().block(6, func(b *file) { b.u32(0, 0, 0, 5, 5).raw(1, 2, 3, 4) }), "read capture: after 0 packets, at byte 48: a packet of 5 bytes in a block that has room for 4"},
		"simple beyond the block":   {ng().block(3, func(b *file) { b.u32(5).raw(1, 2, 3, 4) }), "read capture: after 0 packets, at byte 48: a packet of 5 bytes in a block that has room for 4"},
		"short packet block":        {ng().block(6, func(b *file) { b.u32(0, 0, 0, 0) }), "read capture: after 0 packets, at byte 48: a packet block without its fixed fields"},
		"unknown interface":         {ng().block(6, func(b *file) { b.u32(1, 0, 0, 0, 0) }), "read capture: after 0 packets, at byte 48: a packet of interface 1, the section has described 1"},
		"no interface":              {f().section().block(3, func(b *file) { b.u32(0) }), "read capture: after 0 packets, at byte 28: a packet of interface 0, the section has described 0"},
		"another section's":         {ng().section().block(6, func(b *file) { b.u32(0, 0, 0, 0, 0) }), "read capture: after 0 packets, at byte 76: a packet of interface 0, the section has described 0"},
		"a clock of 10^-20 s":       {f().section().iface(1, func(b *file) { b.u16(9, 1).raw(20, 0, 0, 0) }), "read capture: after 0 packets, at byte 28: interface 0 has a time resolution (if_tsresol 0x14) that no clock has"},
		"resolution of two bytes":   {f().section().iface(1, func(b *file) { b.u16(9, 2).raw(6, 6, 0, 0) }), "read capture: after 0 packets, at byte 28: option 9 of interface 0 has 2 bytes"},
		"option beyond the block":   {ng().block(6, func(b *file) { b.u32(0, 0, 0, 0, 0).u16(1, 5).raw('h', 'e') }), "read capture: after 0 packets, at byte 48: option 1 of a block has 5 bytes, of which 4 are there"},
		"cut within a block":        {cutIn(good(good(ng())), 3), "read capture: after 1 packet, at byte 84: the file is cut: unexpected EOF"},
		"cut within a block header": {cutIn(good(ng()), 30), "read capture: after 0 packets, at byte 48: the file is cut: unexpected EOF"},
	} {
		before := allocated()
		_, _, err := readAll(bytes.NewReader(test.file.bytes))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if test.want != "" && err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
		if cut := strings.Contains(err.Error(), "unexpected EOF"); cut != errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v is io.ErrUnexpectedEOF: %v", name, err, !cut)
		}
		if n := allocated() - before; n > 4<<20 {
			t.Errorf("%s: took %d bytes of memory for %d bytes of file", name, n, len(test.file.bytes))
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Of a file that is cut, every packet before the cut is given.
func TestCutAnywhere(t *testing.T) {
	f := (&file{order: binary.BigEndian}).pcap(0xa1b2c3d4, 1)
	for i := range uint32(5) {
		f.u32(i, 0, 7, 7).raw(1, 2, 3, 4, 5, 6, byte(i))
	}
	for cut := 24; cut < len(f.bytes); cut++ {
		packets, _, err := readAll(bytes.NewReader(f.bytes[:cut]))
		if want := (cut - 24) / 23; len(packets) != want {
			t.Errorf("cut at %d: %d packets, want %d", cut, len(packets), want)
		}
		if within := (cut-24)%23 != 0; within != errors.Is(err, io.ErrUnexpectedEOF) || !within && err != nil {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// A pipe is read as it is written: a packet comes before the next one is there.
func TestReadsNoFurtherThanThePacket(t *testing.T) {
	from, to := io.Pipe()
	defer from.Close()
	var written bytes.Buffer
	w := must[*capture.Writer](t)(capture.NewWriter(&written, capture.Options{}))
	must[int](t)(w.AddInterface(capture.Interface{}))
	step := make(chan struct{})
	go func() {
		for i := range 3 {
			if err := w.WritePacket(capture.Packet{Time: epoch, Data: []byte{byte(i)}}); err != nil {
				to.CloseWithError(err)
				return
			}
			if _, err := written.WriteTo(to); err != nil {
				return
			}
			<-step // the packet was read, though nothing follows it yet
		}
		to.Close()
	}()
	r := must[*capture.Reader](t)(capture.NewReader(from))
	for i := range 3 {
		p := must[*capture.Packet](t)(r.Next())
		if p.Data[0] != byte(i) {
			t.Errorf("packet %d is %d", i, p.Data[0])
		}
		step <- struct{}{}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
}

func TestReaderErrorIsTheSources(t *testing.T) {
	broken := errors.New("disk on fire")
	f := (&file{order: binary.LittleEndian}).pcap(0xa1b2c3d4, 1).u32(0, 0, 1, 1)
	_, _, err := readAll(io.MultiReader(bytes.NewReader(f.bytes), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if _, err := capture.NewReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("NewReader: %v", err)
	}
}

// captures are files of other tools, of which a README says how they were made.
const captures = "../../harness/analyze/testdata/captures/"

// pcapgo is the reference, for all that it reads: it knows neither the older
// packet blocks nor an end within a record. It copies each packet, which is why
// it is not the reader itself.
func TestReadsWhatPcapgoReads(t *testing.T) {
	files, err := filepath.Glob(captures + "*.pcap*")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	agreed := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := pcapgoPackets(data)
		if err != nil {
			continue
		}
		agreed++
		got, _, err := readAll(bytes.NewReader(data))
		if _, refused := damaged[filepath.Base(name)]; (err != nil) != refused {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		// pcapgo leaves out directions and comments, and numbers interfaces anew in each section.
		ignore := cmpopts.IgnoreFields(capture.Packet{}, "Direction", "Comments", "Interface")
		if diff := cmp.Diff(want, got, equalBytes, ignore); diff != "" {
			t.Errorf("%s: packets (-pcapgo +ours):\n%s", filepath.Base(name), diff)
		}
	}
	if agreed < 70 {
		t.Errorf("pcapgo reads only %d of %d captures", agreed, len(files))
	}
}

func pcapgoPackets(data []byte) (packets []capture.Packet, err error) {
	var read func() ([]byte, gopacket.CaptureInfo, error)
	if len(data) > 4 && binary.BigEndian.Uint32(data) == 0x0a0d0d0a {
		r, err := pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil, err
		}
		read = r.ReadPacketData
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		read = r.ReadPacketData
	}
	for {
		data, ci, err := read()
		if err == io.EOF {
			return packets, nil
		}
		if err != nil {
			return nil, err
		}
		packets = append(packets, capture.Packet{Interface: ci.InterfaceIndex, Time: ci.Timestamp, Data: data, Length: ci.Length})
	}
}

// damaged are the captures that cannot be read to their end, with what the
// error ends with.
var damaged = map[string]string{
	"nothing.pcap":             "the file is empty",
	"text.pcap":                "it begins with the bytes 74637064: neither pcap nor pcapng",
	"cut-record.pcap":          "after 10 packets, at byte 1792: the file is cut: unexpected EOF",
	"cut-header.pcap":          "the file is cut: unexpected EOF",
	"cut-block.pcapng":         "the file is cut: unexpected EOF",
	"cut.pcap.gz":              "the file is cut: unexpected EOF",
	"checksum.pcap.gz":         "gzip: invalid checksum",
	"record-of-4-gib.pcap":     "after 0 packets, at byte 24: a packet of 4294967280 bytes: no capture holds more than 16777216, the file is damaged",
	"block-of-2-gib.pcapng":    "a block of 2147483644 bytes: no capture holds one of more than 16777216, the file is damaged",
	"block-of-33.pcapng":       "a block of 33 bytes: the length must be a multiple of 4, and 12 or more",
	"no-such-interface.pcapng": "a packet of interface 9, the section has described 1",
}

// What cannot be read is refused in one line, and never taken for whole.
func TestDamagedCaptures(t *testing.T) {
	for name, want := range damaged {
		data, err := os.ReadFile(captures + name)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = readAll(bytes.NewReader(data))
		if err == nil || !strings.HasPrefix(err.Error(), "read capture: ") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want read capture: … %s", name, err, want)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, order := range orders() {
		f.Add((&file{order: order}).pcap(0xa1b23c4d, 1).u32(1, 2, 3, 4).raw(1, 2, 3).bytes)
		ng := (&file{order: order}).section().iface(1, func(b *file) { b.u16(9, 1).raw(9, 0, 0, 0).u16(14, 8).raw(1, 2, 3, 4, 5, 6, 7, 8) })
		ng.block(6, func(b *file) { b.u32(0, 1, 2, 1, 60).raw(9, 0, 0, 0).u16(1, 2).raw('n', 'o', 0, 0).u32(0) })
		ng.block(2, func(b *file) { b.u16(0, 7).u32(0, 6, 1, 1).raw(8, 0, 0, 0) })
		ng.block(3, func(b *file) { b.u32(3).raw(5, 6, 7) })
		f.Add(ng.section().bytes)
		f.Add(compressed(f, ng.bytes))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, sources, err := readAll(bytes.NewReader(data))
		for i, p := range packets {
			if p.Interface < 0 || p.Interface >= len(sources) || p.Length < len(p.Data) {
				t.Errorf("packet %d: interface %d of %d, %d of %d bytes", i, p.Interface, len(sources), len(p.Data), p.Length)
			}
			_ = p.Time.String()
		}
		again, _, errAgain := readAll(iotest.HalfReader(bytes.NewReader(data)))
		if diff := cmp.Diff(packets, again, equalBytes); diff != "" {
			t.Errorf("packets depend on how the file comes (-whole +in pieces):\n%s", diff)
		}
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Errorf("%v, and in pieces %v", err, errAgain)
		}
	})
}
