package tcp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

var (
	mac1 = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	mac2 = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// headers are crafted over both families: the tests below hold for each.
func headers() map[string]Header {
	v4 := func(h Header) Header {
		h.Src, h.Dst = netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:8080")
		h.SrcMAC, h.DstMAC = mac1, mac2
		return h
	}
	v6 := func(h Header) Header {
		h = v4(h)
		h.Src, h.Dst = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:8080")
		return h
	}
	all := map[string]Header{}
	for name, h := range map[string]Header{
		"SYN with options": {
			Seq: 0xfffffffe, Flags: SYN, Window: 64240,
			Options: []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 3, 3, 7},
		},
		"data":         {Seq: 7, Ack: 9, Flags: PSH | ACK, Window: 500, Payload: []byte("hello")},
		"bare ACK":     {Seq: 7, Ack: 9, Flags: ACK, Window: 500},
		"SACK":         {Seq: 7, Ack: 9, Flags: ACK, Options: []byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 5}},
		"every flag":   {Seq: 7, Ack: 9, Flags: FIN | SYN | RST | PSH | ACK | URG | ECE | CWR | AE, Payload: []byte("x")},
		"broken":       {Seq: 7, Ack: 9, Flags: ACK, Options: []byte{8, 10, 0, 0}},
		"odd and long": {Seq: 7, Ack: 9, Flags: ACK, Payload: bytes.Repeat([]byte{0xab}, 1447)},
	} {
		all[name+" over IPv4"], all[name+" over IPv6"] = v4(h), v6(h)
	}
	return all
}

func TestParseAgreesWithGopacket(t *testing.T) {
	for name, h := range headers() {
		t.Run(name, func(t *testing.T) {
			frame, err := h.Frame()
			if err != nil {
				t.Fatal(err)
			}
			var s Segment
			if err := s.Parse(frame); err != nil {
				t.Fatal(err)
			}
			if s.Seq != h.Seq || s.Ack != h.Ack || s.Flags != h.Flags || s.Window != h.Window || s.Src != h.Src || s.Dst != h.Dst {
				t.Errorf("parsed %+v, crafted %+v", s, h)
			}
			if !bytes.Equal(s.Payload(), h.Payload) || s.Len != len(h.Payload) {
				t.Errorf("payload %d bytes, Len %d, crafted %d", len(s.Payload()), s.Len, len(h.Payload))
			}
			if !s.ChecksumOK() {
				t.Error("the crafted checksum is not right")
			}
			s.FixChecksum()
			reference := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
			layer, ok := reference.Layer(layers.LayerTypeTCP).(*layers.TCP)
			if !ok {
				if s.Options.Broken {
					return // gopacket gives up where the options lie
				}
				t.Fatalf("gopacket finds no TCP: %v", reference.ErrorLayer())
			}
			if Seq(layer.Seq) != s.Seq || Seq(layer.Ack) != s.Ack || layer.Window != s.Window || !bytes.Equal(layer.Payload, s.Payload()) {
				t.Errorf("gopacket read %+v", layer)
			}
			if h.Options == nil || s.Options.Broken {
				return
			}
			var want Options
			want.WindowScale = -1
			for _, o := range layer.Options {
				readOption(&want, o)
			}
			if d := cmp.Diff(want, s.Options); d != "" {
				t.Errorf("options (-gopacket +ours):\n%s", d)
			}
		})
	}
}

func readOption(want *Options, o layers.TCPOption) {
	be := func(b []byte) uint32 { return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) }
	switch o.OptionType {
	case layers.TCPOptionKindMSS:
		want.MSS = uint16(o.OptionData[0])<<8 | uint16(o.OptionData[1])
	case layers.TCPOptionKindWindowScale:
		want.WindowScale = int8(o.OptionData[0])
	case layers.TCPOptionKindSACKPermitted:
		want.SACKPermitted = true
	case layers.TCPOptionKindTimestamps:
		want.Timestamps, want.TSVal, want.TSEcr = true, be(o.OptionData), be(o.OptionData[4:])
	case layers.TCPOptionKindSACK:
		for i := 0; i+8 <= len(o.OptionData); i += 8 {
			want.SACK[want.SACKs] = [2]Seq{Seq(be(o.OptionData[i:])), Seq(be(o.OptionData[i+4:]))}
			want.SACKs++
		}
	}
}

func TestChecksumSeesEveryByte(t *testing.T) {
	h := headers()["data over IPv6"]
	frame, err := h.Frame()
	if err != nil {
		t.Fatal(err)
	}
	var s Segment
	for i := 14 + 40; i < len(frame); i++ {
		bad := bytes.Clone(frame)
		bad[i] ^= 0x40
		if s.Parse(bad) == nil && s.ChecksumOK() && i < s.end {
			t.Errorf("byte %d changed and the checksum still holds", i)
		}
		s.FixChecksum()
		if s.Parse(bad) == nil && !s.ChecksumOK() {
			t.Errorf("byte %d changed, and FixChecksum did not mend it", i)
		}
	}
}

func TestParseErrors(t *testing.T) {
	data := headers()["data over IPv4"]
	frame, err := data.Frame()
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, to byte) []byte {
		c := bytes.Clone(frame)
		c[at] = to
		return c
	}
	for name, test := range map[string]struct {
		frame []byte
		want  error
	}{
		"nothing":                 {nil, ErrTruncated},
		"Ethernet only":           {frame[:14], ErrTruncated},
		"half an IP header":       {frame[:24], ErrTruncated},
		"half a TCP header":       {frame[:14+20+10], ErrTruncated},
		"ARP":                     {change(13, 6), ErrNotTCP},
		"UDP":                     {change(23, 17), ErrNotTCP},
		"IP version 5":            {change(14, 0x55), ErrNotTCP},
		"IP header of 16 bytes":   {change(14, 0x44), ErrMalformed},
		"data offset of 16 bytes": {change(14+20+12, 0x40), ErrMalformed},
		"data offset of 60 bytes": {change(14+20+12, 0xf0), ErrMalformed},
		"later fragment":          {change(21, 5), ErrFragment},
	} {
		var s Segment
		if err := s.Parse(test.frame); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestICMPQuotes(t *testing.T) {
	h := headers()["data over IPv4"]
	inner, err := h.Frame()
	if err != nil {
		t.Fatal(err)
	}
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: net.IP{192, 0, 2, 9}, DstIP: net.IP{192, 0, 2, 1}}
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: 1400}
	buf := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: mac2, DstMAC: mac1, EthernetType: layers.EthernetTypeIPv4}, ip, icmp, gopacket.Payload(inner[14:14+20+8]))
	if err != nil {
		t.Fatal(err)
	}
	var s Segment
	if err := s.Parse(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	want := &ICMP{Type: 3, Code: 4, From: netip.MustParseAddr("192.0.2.9"), MTU: 1400}
	if d := cmp.Diff(want, s.ICMP, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("ICMP (-want +got):\n%s", d)
	}
	if s.Src != h.Src || s.Dst != h.Dst || s.Seq != h.Seq {
		t.Errorf("quoted %v > %v seq %d", s.Src, s.Dst, s.Seq)
	}
}

func TestPacket(t *testing.T) {
	for name, h := range headers() {
		frame, err := h.Frame()
		if err != nil {
			t.Fatal(err)
		}
		h.SrcMAC, h.DstMAC = nil, nil // a raw socket needs none
		packet, err := h.Packet()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.HasPrefix(frame[14:], packet) {
			t.Errorf("%s: the packet is not what the frame carries", name)
		}
	}
}

func TestSeq(t *testing.T) {
	if !Seq(0xfffffff0).Before(5) || Seq(5).Before(0xfffffff0) {
		t.Error("Before does not wrap")
	}
	if d := Seq(5).Diff(0xfffffff0); d != 21 {
		t.Errorf("Diff = %d, want 21", d)
	}
	if s := Seq(5).Add(-6); s != 0xffffffff {
		t.Errorf("Add = %#x", s)
	}
}

func TestFlagsText(t *testing.T) {
	for f := range FIN | SYN | RST | PSH | ACK | URG | ECE | CWR | AE {
		text := f.String()
		back, err := ParseFlags(text)
		if err != nil || back != f {
			t.Errorf("%#x prints %q, which reads %#x, %v", uint16(f), text, uint16(back), err)
		}
	}
	if _, err := ParseFlags("X"); err == nil {
		t.Error("X is no flag")
	}
}

func FuzzParse(f *testing.F) {
	for _, h := range headers() {
		frame, err := h.Frame()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		var s Segment
		if err := s.Parse(frame); err == nil {
			if len(s.Payload()) > s.Len || s.Len < 0 || s.SeqLen() < s.Len {
				t.Errorf("payload %d bytes, Len %d", len(s.Payload()), s.Len)
			}
			s.ChecksumOK()
		}
		if !bytes.Equal(before, frame) {
			t.Error("Parse changed the frame")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	h := headers()["odd and long over IPv4"]
	frame, err := h.Frame()
	if err != nil {
		b.Fatal(err)
	}
	var s Segment
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Parse(frame); err != nil {
			b.Fatal(err)
		}
	}
}
