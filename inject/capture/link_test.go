package capture_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/lastack/lastack/inject/capture"
	"github.com/lastack/lastack/inject/tcp"
)

// headers are one segment over both families.
func headers() map[string]tcp.Header {
	h := tcp.Header{
		Seq: 0xfffffff0, Ack: 9, Flags: tcp.PSH | tcp.ACK, Window: 500, Payload: bytes.Repeat([]byte("abc"), 100),
		Options: []byte{1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9},
	}
	v4, v6 := h, h
	v4.Src, v4.Dst = netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:8080")
	v6.Src, v6.Dst = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:8080")
	return map[string]tcp.Header{"IPv4": v4, "IPv6": v6}
}

// packet is the IP packet of a header.
func packet(t testing.TB, h tcp.Header) []byte {
	t.Helper()
	p, err := h.Packet()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// etherType of an IP packet.
func etherType(p []byte) []byte {
	if p[0]>>4 == 6 {
		return []byte{0x86, 0xdd}
	}
	return []byte{0x08, 0x00}
}

func ethernet(p []byte, tags ...byte) []byte {
	return slices.Concat(make([]byte, 12), tags, etherType(p), p)
}

func family(p []byte, v6 uint32, order binary.AppendByteOrder) []byte {
	f := uint32(2)
	if p[0]>>4 == 6 {
		f = v6
	}
	return append(order.AppendUint32(nil, f), p...)
}

func TestLinks(t *testing.T) {
	for version, h := range headers() {
		p := packet(t, h)
		for name, test := range map[string]struct {
			link   capture.LinkType
			data   []byte
			way    capture.Direction
			device int
		}{
			"Ethernet":              {link: capture.LinkEthernet, data: ethernet(p)},
			"VLAN":                  {link: capture.LinkEthernet, data: ethernet(p, 0x81, 0, 0, 5)},
			"QinQ":                  {link: capture.LinkEthernet, data: ethernet(p, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6)},
			"old QinQ":              {link: capture.LinkEthernet, data: ethernet(p, 0x91, 0, 0, 5, 0x81, 0, 0, 6)},
			"padded":                {link: capture.LinkEthernet, data: append(ethernet(p), 1, 2, 3, 4)},
			"cooked, outbound":      {link: capture.LinkLinuxSLL, data: slices.Concat([]byte{0, 4, 0, 1, 0, 6}, make([]byte, 8), etherType(p), p), way: capture.Outbound},
			"cooked, inbound":       {link: capture.LinkLinuxSLL, data: slices.Concat(make([]byte, 14), etherType(p), p), way: capture.Inbound},
			"cooked, with a VLAN":   {link: capture.LinkLinuxSLL, data: slices.Concat(make([]byte, 14), []byte{0x81, 0, 0, 5}, etherType(p), p), way: capture.Inbound},
			"cooked v2":             {link: capture.LinkLinuxSLL2, data: slices.Concat(etherType(p), []byte{0, 0, 0, 0, 0, 7, 0, 1, 4, 6}, make([]byte, 8), p), way: capture.Outbound, device: 7},
			"raw":                   {link: capture.LinkRaw, data: p},
			"raw on a BSD":          {link: 12, data: p},
			"IPv4 and IPv6":         {link: capture.LinkIPv4, data: p},
			"loopback":              {link: capture.LinkNull, data: family(p, 30, binary.LittleEndian)},
			"loopback, other order": {link: capture.LinkNull, data: family(p, 28, binary.BigEndian)},
			"OpenBSD loopback":      {link: capture.LinkLoop, data: family(p, 24, binary.BigEndian)},
		} {
			var d capture.Decoder
			var s tcp.Segment
			if skip := d.Decode(test.link, &capture.Packet{Data: test.data, Length: len(test.data)}, &s); skip != capture.Taken {
				t.Errorf("%s over %s: skipped, %s", version, name, skip)
				continue
			}
			if s.Src != h.Src || s.Dst != h.Dst || s.Seq != h.Seq || s.Ack != h.Ack || s.Flags != h.Flags || s.Len != 300 ||
				!bytes.Equal(s.Payload(), h.Payload) || s.Options.TSVal != 7 || s.TTL() != 64 {
				t.Errorf("%s over %s: %+v", version, name, s)
			}
			if d.Direction != test.way || d.Device != test.device {
				t.Errorf("%s over %s: %s, device %d, want %s, %d", version, name, d.Direction, d.Device, test.way, test.device)
			}
		}
	}
}

func TestSkips(t *testing.T) {
	p := packet(t, headers()["IPv4"])
	change := func(at int, to ...byte) []byte {
		c := bytes.Clone(p)
		copy(c[at:], to)
		return c
	}
	v6 := packet(t, headers()["IPv6"])
	for name, test := range map[string]struct {
		link capture.LinkType
		data []byte
		more int // bytes that the snap length took
		want capture.Skip
	}{
		"ARP":                    {link: capture.LinkEthernet, data: append(make([]byte, 12), 8, 6, 0, 1), want: capture.NotIP},
		"802.3":                  {link: capture.LinkEthernet, data: append(make([]byte, 12), 0, 40, 0x42, 0x42), want: capture.NotIP},
		"another family":         {link: capture.LinkNull, data: append([]byte{7, 0, 0, 0}, p...), want: capture.NotIP},
		"IPX over IP":            {link: capture.LinkRaw, data: change(0, 0x55), want: capture.NotTCP},
		"UDP":                    {link: capture.LinkRaw, data: change(9, 17), want: capture.NotTCP},
		"ping":                   {link: capture.LinkRaw, data: change(9, 1, 0, 0), want: capture.NotTCP},
		"a fragment of UDP":      {link: capture.LinkRaw, data: change(6, 0x20, 0, 64, 17), want: capture.NotTCP},
		"a later one":            {link: capture.LinkRaw, data: change(6, 0, 9, 64, 17), want: capture.NotTCP},
		"a first fragment":       {link: capture.LinkRaw, data: change(2, 1, 60, 0, 1, 0x20, 0), want: capture.Fragment},
		"a later fragment":       {link: capture.LinkRaw, data: change(6, 0, 9), want: capture.Fragment},
		"a fragment of 13 bytes": {link: capture.LinkRaw, data: change(2, 0, 33, 0, 1, 0x20, 9), want: capture.Malformed},
		"ping of death":          {link: capture.LinkRaw, data: change(6, 0x1f, 0xff), want: capture.Malformed},
		"IP header of 4 bytes":   {link: capture.LinkRaw, data: change(0, 0x41), want: capture.Malformed},
		"data offset of 16":      {link: capture.LinkRaw, data: change(32, 0x40), want: capture.Malformed},
		"cut in the link layer":  {link: capture.LinkEthernet, data: p[:13], more: 50, want: capture.Truncated},
		"cut in a VLAN tag":      {link: capture.LinkEthernet, data: ethernet(p, 0x81, 0, 0, 5)[:16], more: 50, want: capture.Truncated},
		"cut in the IP header":   {link: capture.LinkRaw, data: p[:19], more: 50, want: capture.Truncated},
		"cut in IPv6":            {link: capture.LinkRaw, data: v6[:39], more: 50, want: capture.Truncated},
		"cut in TCP":             {link: capture.LinkRaw, data: p[:39], more: 50, want: capture.Truncated},
		"short by itself":        {link: capture.LinkRaw, data: p[:39], want: capture.Malformed},
		"nothing":                {link: capture.LinkRaw, want: capture.Malformed},
		"a radio":                {link: 127, data: p, want: capture.UnknownLink},
	} {
		var d capture.Decoder
		var s tcp.Segment
		got := d.Decode(test.link, &capture.Packet{Data: test.data, Length: len(test.data) + test.more}, &s)
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if got := capture.LinkType(127).String(); got != "link type 127" {
		t.Errorf("link type 127 prints %q", got)
	}
}

// What a snap length took from the data counts all the same.
func TestSnapLength(t *testing.T) {
	for version, h := range headers() {
		whole := ethernet(packet(t, h))
		header := len(whole) - len(h.Payload)
		for kept := header - 12; kept < len(whole); kept += 4 {
			var d capture.Decoder
			var s tcp.Segment
			if skip := d.Decode(capture.LinkEthernet, &capture.Packet{Data: whole[:kept], Length: len(whole)}, &s); skip != capture.Taken {
				t.Fatalf("%s, %d bytes kept: skipped, %s", version, kept, skip)
			}
			if s.Len != 300 || len(s.Payload()) != max(0, kept-header) || s.Options.Broken != (kept < header) {
				t.Errorf("%s, %d bytes kept: Len %d, %d bytes of data, %+v", version, kept, s.Len, len(s.Payload()), s.Options)
			}
		}
	}
}

// A superframe that the network card would have cut has no length in its IP
// header where 16 bits do not hold it.
func TestSuperframes(t *testing.T) {
	for version, h := range headers() {
		h.Payload = make([]byte, 60000)
		p := packet(t, h)
		p = append(p, make([]byte, 100000)...)
		if version == "IPv6" {
			p[4], p[5] = 0, 0
		} else {
			p[2], p[3] = 0, 0
		}
		frame := ethernet(p)
		var d capture.Decoder
		var s tcp.Segment
		for _, kept := range []int{len(frame), 200} {
			if skip := d.Decode(capture.LinkEthernet, &capture.Packet{Data: frame[:kept], Length: len(frame)}, &s); skip != capture.Taken || s.Len != 160000 {
				t.Errorf("%s, %d bytes kept: %s, Len %d, want 160000", version, kept, skip, s.Len)
			}
		}
	}
	// Big TCP over IPv6 says its length in a hop-by-hop option (RFC 2675).
	h := headers()["IPv6"]
	p := packet(t, h)
	jumbo := slices.Concat(p[:40], []byte{6, 0, 0xc2, 4, 0, 0, 1, 84}, p[40:])
	jumbo[4], jumbo[5], jumbo[6] = 0, 0, 0
	var d capture.Decoder
	var s tcp.Segment
	if skip := d.Decode(capture.LinkRaw, &capture.Packet{Data: jumbo, Length: len(jumbo)}, &s); skip != capture.Taken || s.Len != 300 {
		t.Errorf("jumbogram: %s, Len %d", skip, s.Len)
	}
}

// pieces cuts an IP packet into fragments of size bytes.
func pieces(p []byte, size int) [][]byte {
	var all [][]byte
	header := 20
	if p[0]>>4 == 6 {
		header = 40
	}
	for from := header; from < len(p); from += size {
		to := min(from+size, len(p))
		f := bytes.Clone(p[:header])
		place, more := uint16(from-header), uint16(0)
		if to < len(p) {
			more = 1
		}
		if header == 20 {
			binary.BigEndian.PutUint16(f[2:], uint16(20+to-from))
			binary.BigEndian.PutUint16(f[4:], 77)
			binary.BigEndian.PutUint16(f[6:], more<<13|place>>3)
		} else {
			binary.BigEndian.PutUint16(f[4:], uint16(8+to-from))
			f[6] = 44
			f = append(f, 6, 0)
			f = binary.BigEndian.AppendUint16(f, place|more)
			f = append(f, 0, 0, 0, 77)
		}
		all = append(all, append(f, p[from:to]...))
	}
	return all
}

func TestFragments(t *testing.T) {
	for version, h := range headers() {
		p := packet(t, h)
		cut := pieces(p, 104)
		for name, order := range map[string][]int{
			"in order": {0, 1, 2, 3}, "the first last": {3, 1, 2, 0}, "each twice": {0, 0, 1, 1, 2, 2, 3},
		} {
			var d capture.Decoder
			var s tcp.Segment
			for i, k := range order {
				skip := d.Decode(capture.LinkRaw, &capture.Packet{Data: cut[k], Length: len(cut[k])}, &s)
				if want := i == len(order)-1; want != (skip == capture.Taken) || !want && skip != capture.Fragment {
					t.Fatalf("%s, %s: piece %d: %s", version, name, i, skip)
				}
			}
			if !s.Fragment || s.Len != 300 || s.Src != h.Src || s.Seq != h.Seq || s.Flags != h.Flags {
				t.Errorf("%s, %s: %+v", version, name, s)
			}
		}
		// Pieces of two packets that came too far apart are of two packets.
		var d capture.Decoder
		var s tcp.Segment
		for i, data := range cut {
			at := time.Unix(int64(i/2*40), 0)
			if skip := d.Decode(capture.LinkRaw, &capture.Packet{Data: data, Length: len(data), Time: at}, &s); skip != capture.Fragment {
				t.Errorf("%s, 40 s between: piece %d: %s", version, i, skip)
			}
		}
		// However many are begun, the memory for them is bounded, and the next whole one is read.
		d = capture.Decoder{}
		for id := range 1000 {
			first := bytes.Clone(cut[0])
			if version == "IPv4" {
				binary.BigEndian.PutUint16(first[4:], uint16(1000+id))
			} else {
				binary.BigEndian.PutUint32(first[44:], uint32(1000+id))
			}
			d.Decode(capture.LinkRaw, &capture.Packet{Data: first, Length: len(first)}, &s)
		}
		for i, data := range cut {
			if skip := d.Decode(capture.LinkRaw, &capture.Packet{Data: data, Length: len(data)}, &s); (i == len(cut)-1) != (skip == capture.Taken) {
				t.Errorf("%s, after a thousand others: piece %d: %s", version, i, skip)
			}
		}
	}
}

// read is what of a segment gopacket reads too.
type read struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    tcp.Flags
	Window   uint16
	Payload  []byte
}

// reference reads with gopacket's layers; false where these find no TCP
// segment, or complain.
func reference(link capture.LinkType, data []byte) (read, bool) {
	p := gopacket.NewPacket(data, layers.LinkType(link), gopacket.DecodeOptions{NoCopy: true})
	l, ok := p.TransportLayer().(*layers.TCP)
	if !ok || p.ErrorLayer() != nil || p.Metadata().Truncated {
		return read{}, false
	}
	// gopacket looks for a port's protocol behind TCP; its header is what counts.
	src, dst := p.NetworkLayer().NetworkFlow().Endpoints()
	from, _ := netip.AddrFromSlice(src.Raw())
	to, _ := netip.AddrFromSlice(dst.Raw())
	flags := tcp.Flags(binary.BigEndian.Uint16(l.Contents[12:]) & 0x1ff)
	return read{
		Src: netip.AddrPortFrom(from, uint16(l.SrcPort)), Dst: netip.AddrPortFrom(to, uint16(l.DstPort)),
		Seq: l.Seq, Ack: l.Ack, Flags: flags, Window: l.Window, Payload: l.Payload,
	}, true
}

// agrees compares a packet's reading with gopacket's, and says whether there
// was one.
func agrees(t *testing.T, link capture.LinkType, data []byte, skip capture.Skip, s *tcp.Segment) bool {
	t.Helper()
	want, ok := reference(link, data)
	if !ok || skip != capture.Taken || s.ICMP != nil || s.Fragment {
		return false
	}
	got := read{Src: s.Src, Dst: s.Dst, Seq: uint32(s.Seq), Ack: uint32(s.Ack), Flags: s.Flags, Window: s.Window, Payload: s.Payload()}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), equalBytes); diff != "" {
		t.Errorf("%s: (-gopacket +ours):\n%s", link, diff)
	}
	return true
}

func TestDecodesAsGopacket(t *testing.T) {
	files, err := filepath.Glob(captures + "*.pcap*")
	if err != nil {
		t.Fatal(err)
	}
	agreed := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		packets, sources, _ := readAll(bytes.NewReader(data)) // a damaged one has packets too
		var d capture.Decoder
		for i := range packets {
			var s tcp.Segment
			link := sources[packets[i].Interface].Link
			if agrees(t, link, packets[i].Data, d.Decode(link, &packets[i], &s), &s) {
				agreed++
			}
		}
	}
	if agreed < 900 {
		t.Errorf("gopacket reads only %d packets of %d captures", agreed, len(files))
	}
}

func FuzzDecode(f *testing.F) {
	links := []capture.LinkType{capture.LinkEthernet, capture.LinkRaw, capture.LinkLinuxSLL, capture.LinkNull, capture.LinkLinuxSLL2}
	for _, h := range headers() {
		p := packet(f, h)
		f.Add(byte(0), ethernet(p))
		f.Add(byte(0), ethernet(p, 0x81, 0, 0, 5))
		f.Add(byte(1), p)
		f.Add(byte(2), slices.Concat(make([]byte, 14), etherType(p), p))
		f.Add(byte(3), family(p, 30, binary.LittleEndian))
		f.Add(byte(4), slices.Concat(etherType(p), make([]byte, 18), p))
		for _, piece := range pieces(p, 104) {
			f.Add(byte(1), piece)
		}
	}
	f.Fuzz(func(t *testing.T, n byte, data []byte) {
		link := links[int(n)%len(links)]
		before := bytes.Clone(data)
		var d capture.Decoder
		var s tcp.Segment
		skip := d.Decode(link, &capture.Packet{Data: data, Length: len(data)}, &s)
		if !bytes.Equal(before, data) {
			t.Fatal("Decode changed the packet")
		}
		if skip == capture.Taken && (s.Len < 0 || len(s.Payload()) > s.Len) {
			t.Errorf("Len %d, %d bytes of data", s.Len, len(s.Payload()))
		}
		agrees(t, link, data, skip, &s)
	})
}
