package tcp

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func parsed(t *testing.T, h Header) *Segment {
	t.Helper()
	frame, err := h.Frame()
	if err != nil {
		t.Fatal(err)
	}
	s := &Segment{}
	if err := s.Parse(frame); err != nil {
		t.Fatal(err)
	}
	return s
}

func ptr[T any](v T) *T { return &v }

func TestEdit(t *testing.T) {
	for name, h := range headers() {
		if h.Options != nil && h.Options[0] == 8 {
			continue // broken options
		}
		t.Run(name, func(t *testing.T) {
			before := parsed(t, h)
			original := bytes.Clone(before.Frame)
			for what, test := range map[string]struct {
				edit  Edit
				check func(s *Segment) bool
			}{
				"nothing": {Edit{}, func(s *Segment) bool { return bytes.Equal(s.Frame, original) }},
				"numbers": {Edit{Seq: ptr(Seq(0xdeadbeef)), Ack: ptr(Seq(1))}, func(s *Segment) bool { return s.Seq == 0xdeadbeef && s.Ack == 1 }},
				"flags":   {Edit{Flags: ptr(RST | ACK)}, func(s *Segment) bool { return s.Flags == RST|ACK }},
				"window":  {Edit{Window: ptr(uint16(0))}, func(s *Segment) bool { return s.Window == 0 }},
				"ports":   {Edit{SrcPort: ptr(uint16(1)), DstPort: ptr(uint16(2))}, func(s *Segment) bool { return s.Src.Port() == 1 && s.Dst.Port() == 2 }},
				"TTL":     {Edit{TTL: ptr(uint8(3))}, func(s *Segment) bool { return s.Seq == before.Seq }},
				"no options": {Edit{Options: []byte{}}, func(s *Segment) bool {
					return s.Options == Options{WindowScale: -1} && s.Len == before.Len
				}},
				"payload":      {Edit{Payload: []byte("another")}, func(s *Segment) bool { return string(s.Payload()) == "another" && s.Options == before.Options }},
				"less payload": {Edit{Payload: []byte{}}, func(s *Segment) bool { return s.Len == 0 }},
			} {
				out, err := test.edit.Apply(before)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				var s Segment
				if err := s.Parse(out); err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if !test.check(&s) {
					t.Errorf("%s: became %+v", what, s)
				}
				if !s.ChecksumOK() {
					t.Errorf("%s: the checksum is wrong", what)
				}
				if !bytes.Equal(before.Frame, original) {
					t.Fatalf("%s: the segment's own bytes changed", what)
				}
			}
			bad, err := (&Edit{BadChecksum: true}).Apply(before)
			if err != nil {
				t.Fatal(err)
			}
			var s Segment
			if err := s.Parse(bad); err != nil || s.ChecksumOK() {
				t.Errorf("BadChecksum: %v, right %v", err, s.ChecksumOK())
			}
			// What was wrong stays wrong.
			still, err := (&Edit{Window: ptr(uint16(7))}).Apply(&s)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Parse(still); err != nil || s.ChecksumOK() {
				t.Error("a rewrite mended a wrong checksum")
			}
		})
	}
}

func TestEditTimestamps(t *testing.T) {
	s := parsed(t, headers()["SYN with options over IPv4"])
	out, err := (&Edit{TSVal: ptr(uint32(0x01020304)), TSEcr: ptr(uint32(5))}).Apply(s)
	if err != nil {
		t.Fatal(err)
	}
	var again Segment
	if err := again.Parse(out); err != nil {
		t.Fatal(err)
	}
	if again.Options.TSVal != 0x01020304 || again.Options.TSEcr != 5 || !again.ChecksumOK() {
		t.Errorf("became %+v, checksum right: %v", again.Options, again.ChecksumOK())
	}
	if _, err := (&Edit{TSVal: ptr(uint32(1))}).Apply(parsed(t, headers()["data over IPv4"])); err == nil {
		t.Error("timestamps were changed where there are none")
	}
}

func TestEditKeepsReservedBits(t *testing.T) {
	s := parsed(t, headers()["data over IPv4"])
	s.Frame[s.transport+12] |= 0x0e // gopacket would lose them
	s.FixChecksum()
	out, err := (&Edit{Flags: ptr(FIN | ACK)}).Apply(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := out[s.transport+12] & 0x0e; got != 0x0e {
		t.Errorf("reserved bits are %#x after the edit", got)
	}
}

func TestUnreachable(t *testing.T) {
	for _, family := range []string{"IPv4", "IPv6"} {
		s := parsed(t, headers()["data over "+family])
		router := netip.MustParseAddr("192.0.2.254")
		if s.IsIPv6() {
			router = netip.MustParseAddr("2001:db8::fe")
		}
		for _, why := range Unreachables() {
			frame, err := s.Unreachable(why, router, 1300)
			if err != nil {
				t.Errorf("%s over %s: %v", why, family, err)
				continue
			}
			var back Segment
			if err := back.Parse(frame); err != nil {
				t.Errorf("%s over %s: %v", why, family, err)
				continue
			}
			if back.ICMP == nil || back.ICMP.From != router || back.Src != s.Src || back.Dst != s.Dst || back.Seq != s.Seq {
				t.Errorf("%s over %s reads back as %+v", why, family, back)
			}
			if why == TooBig && back.ICMP.MTU != 1300 {
				t.Errorf("%s over %s: MTU %d", why, family, back.ICMP.MTU)
			}
			packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
			if e := packet.ErrorLayer(); e != nil {
				t.Errorf("%s over %s: gopacket: %v", why, family, e.Error())
			}
			if ip, ok := packet.NetworkLayer().(*layers.IPv4); ok && ip.TTL != 64 {
				t.Errorf("%s over %s: TTL %d", why, family, ip.TTL)
			}
		}
		if _, err := s.Unreachable("no-such", router, 0); err == nil {
			t.Error("an unknown reason was crafted")
		}
	}
}
