package tcp

import (
	"bytes"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, family := range []string{"IPv4", "IPv6"} {
		h := headers()["odd and long over "+family]
		h.Flags = FIN | PSH | ACK | CWR
		h.Payload = bytes.Repeat([]byte("0123456789"), 1000)
		h.Options = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
		s := parsed(t, h)
		frames, err := s.Split(1448)
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) != 7 {
			t.Errorf("%s: %d frames, want 7", family, len(frames))
		}
		var whole []byte
		for i, frame := range frames {
			var piece Segment
			if err := piece.Parse(frame); err != nil {
				t.Fatal(err)
			}
			if !piece.ChecksumOK() || piece.Options != s.Options || piece.Ack != s.Ack || piece.Window != s.Window {
				t.Errorf("%s, frame %d: %+v", family, i, piece)
			}
			if piece.Seq != s.Seq.Add(len(whole)) {
				t.Errorf("%s, frame %d: seq %d", family, i, piece.Seq)
			}
			if last := i == len(frames)-1; piece.Flags.Has(FIN|PSH) != last || piece.Flags.Has(FIN) != last {
				t.Errorf("%s, frame %d: flags %s", family, i, piece.Flags)
			}
			if piece.Flags.Has(CWR) != (i == 0) {
				t.Errorf("%s, frame %d: flags %s", family, i, piece.Flags)
			}
			whole = append(whole, piece.Payload()...)
		}
		if !bytes.Equal(whole, h.Payload) {
			t.Errorf("%s: the pieces hold other bytes than the whole", family)
		}
	}
	ack := parsed(t, headers()["bare ACK over IPv4"])
	frames, err := ack.Split(1448)
	if err != nil || len(frames) != 1 {
		t.Errorf("a bare ACK gives %d frames, %v", len(frames), err)
	}
}
