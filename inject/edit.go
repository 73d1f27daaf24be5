package inject

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

func (e *Edit) parse(text string, list []string, at []int) error {
	for i, item := range list {
		key, value, ok := strings.Cut(item, "=")
		add := strings.HasSuffix(key, "+") || strings.HasSuffix(key, "-")
		sign := int64(1)
		if strings.HasSuffix(key, "-") {
			sign = -1
		}
		if !ok {
			return syntax(text, at[i], "want FIELD=VALUE or FIELD+=N, as in %s", examples[Rewrite])
		}
		if err := e.set(strings.TrimRight(key, "+-"), value, add, sign); err != nil {
			return syntax(text, at[i], "%v", err)
		}
	}
	return nil
}

func (e *Edit) set(key, value string, add bool, sign int64) error {
	if target := e.change(key); target != nil {
		c := &Change{Add: add}
		var err error
		if add {
			c.By, err = strconv.ParseInt(value, 10, 64)
			c.By *= sign
		} else {
			c.To, err = ParseNumber(value)
		}
		if err != nil {
			return err
		}
		*target = c
		return nil
	}
	if add {
		return fmt.Errorf("only seq, ack, tsval and tsecr can be added to, not %q", key)
	}
	switch key {
	case "flags":
		flags, err := tcp.ParseFlags(value)
		if err != nil {
			return err
		}
		e.Flags = &flags
	case "win":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("want a window from 0 to 65535, not %q", value)
		}
		window := uint16(n)
		e.Window = &window
	case "ttl":
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return fmt.Errorf("want a TTL from 0 to 255, not %q", value)
		}
		ttl := uint8(n)
		e.TTL = &ttl
	case "options":
		if value == "none" {
			e.NoOptions = true
			return nil
		}
		raw, err := hex.DecodeString(value)
		if err != nil || len(raw) > 40 {
			return fmt.Errorf("want options=none, or up to 40 bytes in hexadecimal, not %q", value)
		}
		e.Options = raw
	case "keep":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("want how many bytes of data stay, not %q", value)
		}
		e.Keep = &n
	case "payload":
		e.Payload = &value
	case "checksum":
		if value != "bad" {
			return fmt.Errorf("want checksum=bad, not %q", value)
		}
		e.BadChecksum = true
	default:
		return fmt.Errorf("unknown field %q: want one of seq, ack, flags, win, ttl, tsval, tsecr, options, keep, payload, checksum", key)
	}
	return nil
}

func (e *Edit) change(key string) **Change {
	switch key {
	case "seq":
		return &e.Seq
	case "ack":
		return &e.Ack
	case "tsval":
		return &e.TSVal
	case "tsecr":
		return &e.TSEcr
	}
	return nil
}

// String is the text of the edit's brackets.
func (e Edit) String() string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, c := range []struct {
		key string
		*Change
	}{{"seq", e.Seq}, {"ack", e.Ack}, {"tsval", e.TSVal}, {"tsecr", e.TSEcr}} {
		switch {
		case c.Change == nil:
		case !c.Add:
			add("%s=%s", c.key, c.To)
		case c.By < 0:
			add("%s-=%d", c.key, -c.By)
		default:
			add("%s+=%d", c.key, c.By)
		}
	}
	if e.Flags != nil {
		add("flags=%s", *e.Flags)
	}
	if e.Window != nil {
		add("win=%d", *e.Window)
	}
	if e.TTL != nil {
		add("ttl=%d", *e.TTL)
	}
	if e.NoOptions {
		add("options=none")
	}
	if e.Options != nil {
		add("options=%x", e.Options)
	}
	if e.Keep != nil {
		add("keep=%d", *e.Keep)
	}
	if e.Payload != nil {
		add("payload=%s", *e.Payload)
	}
	if e.BadChecksum {
		add("checksum=bad")
	}
	return strings.Join(list, ", ")
}

// apply writes the frame that leaves in the segment's place. v are the
// receiver's variables, synFrom and synTo where the sender's stream and the
// receiver's begin.
func (e *Edit) apply(seg *tcp.Segment, v flow.Numbers, synFrom, synTo tcp.Seq) ([]byte, error) {
	edit := tcp.Edit{Flags: e.Flags, Window: e.Window, TTL: e.TTL, Options: e.Options, BadChecksum: e.BadChecksum}
	number := func(c *Change, now, begin tcp.Seq) *tcp.Seq {
		if c == nil {
			return nil
		}
		n := now.Add(int(c.By))
		if !c.Add {
			n = c.To.in(v, begin)
		}
		return &n
	}
	edit.Seq = number(e.Seq, seg.Seq, synFrom)
	edit.Ack = number(e.Ack, seg.Ack, synTo)
	stamp := func(c *Change, now uint32) *uint32 {
		if c == nil {
			return nil
		}
		n := now + uint32(c.By)
		if !c.Add {
			n = uint32(c.To.Offset)
		}
		return &n
	}
	edit.TSVal = stamp(e.TSVal, seg.Options.TSVal)
	edit.TSEcr = stamp(e.TSEcr, seg.Options.TSEcr)
	if e.NoOptions {
		edit.Options = []byte{}
	}
	if e.Payload != nil {
		edit.Payload = []byte(*e.Payload)
	}
	if e.Keep != nil {
		payload := seg.Payload()
		edit.Payload = append([]byte{}, payload[:min(*e.Keep, len(payload))]...)
	}
	return edit.Apply(seg)
}
