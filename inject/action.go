package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Verb is the word for what a rule does.
type Verb string

// The verbs. Silence, Forget and Cut strike the connection of the segment that
// they matched from then on, until the rule is disarmed.
const (
	// Drop loses the segment between the hosts: neither kernel can tell.
	Drop Verb = "drop"
	// Delay lets it go on after a time.
	Delay Verb = "delay"
	// Hold keeps it until a condition is met.
	Hold Verb = "hold"
	// Duplicate lets it go on, and copies of it.
	Duplicate Verb = "duplicate"
	// Rewrite changes it on its way.
	Rewrite Verb = "rewrite"
	// Forge makes another segment, or an ICMP error, before it, after it, or
	// instead of it.
	Forge Verb = "forge"
	// Cut lets the first bytes of a turn or stream pass and then ends it in its
	// sender's name. From then on nothing passes between the hosts on that
	// connection, and the wire speaks for both dead ends.
	Cut Verb = "cut"
	// Silence loses everything one way, or both.
	Silence Verb = "silence"
	// Forget is a middlebox that forgot the flow: everything is lost, or
	// answered with RST.
	Forget Verb = "forget"
)

// Verbs lists the actions that a rule can have.
func Verbs() []Verb {
	return []Verb{Drop, Delay, Hold, Duplicate, Rewrite, Forge, Cut, Silence, Forget}
}

// Action is what a rule does to a segment. It is data; which fields count is
// said by the verb.
type Action struct {
	Verb Verb
	// For is how long Delay keeps the segment, and how long after it the copies
	// of Duplicate leave.
	For time.Duration
	// Until is what Hold waits for; AtMost bounds the wait where it is not 0.
	Until  Condition
	AtMost time.Duration
	// Reversed lets go what one condition frees in the reverse of the order in
	// which it came.
	Reversed bool
	// Copies is how many copies Duplicate adds; 0 means one.
	Copies int
	// Edit is for Rewrite.
	Edit Edit
	// Forgery is for Forge.
	Forgery Forgery
	// Keep is how many bytes Cut lets pass, -1 for all but the last (by a
	// fault-free play); Then is FIN or RST.
	Keep int64
	Then tcp.Flags
	// To is the host that Silence keeps from hearing; empty means both.
	To string
	// Answer makes Forget answer with RST.
	Answer bool
}

// Number is a sequence or acknowledgement number, relative to the variables of
// the end that receives the segment (RFC 9293 §3.3.1): RCV.NXT+RCV.WND+10.
type Number struct {
	// Base is RCV.NXT, SND.UNA or SND.NXT; empty counts from the SYN of the
	// stream that the number belongs to.
	Base string
	// Windows is how often RCV.WND is added.
	Windows int
	Offset  int64
}

// Place says where a forgery stands to the segment that was matched.
type Place string

// The places.
const (
	Before  Place = "before"
	Behind  Place = "after"
	Instead Place = "instead"
)

// Forgery is a segment that nobody sent: everything that it leaves out is as
// its claimed sender would have it.
type Forgery struct {
	Place Place
	// To is the host that gets it; empty means the matched segment's receiver,
	// or for an ICMP error its sender. The claimed sender is the other end. Both
	// makes two, one for each end in the name of the other.
	To    string
	Flags tcp.Flags
	// Seq is RCV.NXT where it is nil. Ack is written where Flags have ACK; nil
	// acknowledges what was delivered to the claimed sender.
	Seq, Ack *Number
	// Window is the claimed sender's last where it is nil.
	Window *uint16
	// Len is the number of data bytes, zeros.
	Len int
	// Timestamps are those of the connection where it is empty; "none" leaves
	// the option out, "old" goes back by an hour, "new" ahead by one.
	Timestamps string
	// ICMP makes it an ICMP error that quotes the matched segment; MTU is for
	// tcp.TooBig.
	ICMP tcp.Unreachable
	MTU  uint16
	// MSS is the option of a SYN; 0 leaves it out.
	MSS uint16
	// Ends: from then on nothing passes between the hosts on that connection, and
	// the wire speaks for both dead ends, as after Cut.
	Ends bool
}

// Both is what a forgery is to where each end gets one.
const Both = "both"

// Edit is what Rewrite changes; nil leaves a field as it is. The checksum is
// kept as right or wrong as it was.
type Edit struct {
	Seq, Ack *Change
	Flags    *tcp.Flags
	Window   *uint16
	TTL      *uint8
	// TSVal and TSEcr need a segment with timestamps.
	TSVal, TSEcr *Change
	// NoOptions strips all TCP options; Options replaces them.
	NoOptions bool
	Options   []byte
	// Keep shortens the data to so many bytes; Payload replaces it.
	Keep    *int
	Payload *string
	// BadChecksum breaks the TCP checksum.
	BadChecksum bool
}

// Change sets a number, or adds to it.
type Change struct {
	Add bool
	// By is what is added; To is what is set where Add is false.
	By int64
	To Number
}

// parseArgs reads what stands in the brackets of a rule. base is where they
// begin in text.
func (a *Action) parseArgs(text, args string, base int) error {
	if args == "" {
		switch a.Verb {
		case Delay:
			return syntax(text, base, `want a duration as 200ms or 2s, not "", as in delay(200ms) client.FIN`)
		case Rewrite, Forge, Cut, Silence:
			return syntax(text, base, "%s needs arguments, as in %s", a.Verb, examples[a.Verb])
		}
		return nil
	}
	list, at := splitArgs(args, base+1)
	switch a.Verb {
	case Drop:
		return syntax(text, base, "drop takes nothing in brackets")
	case Delay:
		return a.duration(text, list[0], at[0])
	case Hold:
		if len(list) != 1 || list[0] != "reversed" {
			return syntax(text, at[0], "hold takes nothing in brackets but reversed")
		}
		a.Reversed = true
		return nil
	case Duplicate:
		return a.parseDuplicate(text, list, at)
	case Rewrite:
		return a.Edit.parse(text, list, at)
	case Forge:
		return a.Forgery.parse(text, list, at)
	case Cut:
		return a.parseCut(text, list, at)
	case Silence:
		return a.parseSilence(text, list, at)
	}
	if len(list) != 1 || list[0] != "rst" {
		return syntax(text, at[0], "forget takes nothing in brackets but rst")
	}
	a.Answer = true
	return nil
}

// examples are shown where an action is written wrongly.
var examples = map[Verb]string{
	Rewrite: "rewrite(win=0) server.ACK",
	Forge:   "forge(before, R, to=server, seq=RCV.NXT+10) client.FIN",
	Cut:     "cut(500, fin) server.DATA@1",
	Silence: "silence(to-server) client.DATA@2",
}

// splitArgs cuts at commas, and says where each piece begins.
func splitArgs(args string, base int) (list []string, at []int) {
	for {
		piece, rest, more := strings.Cut(args, ",")
		lead := leading(piece)
		list = append(list, strings.TrimSpace(piece))
		at = append(at, base+lead)
		if !more {
			return list, at
		}
		base += len(piece) + 1
		args = rest
	}
}

func (a *Action) duration(text, word string, at int) error {
	d, err := parseDuration(word)
	if err != nil {
		return syntax(text, at, "%v", err)
	}
	a.For = d
	return nil
}

func (a *Action) parseDuplicate(text string, list []string, at []int) error {
	n, err := strconv.Atoi(list[0])
	if err != nil || n < 1 || n > 1000 {
		return syntax(text, at[0], "want a number of copies from 1 to 1000, as in duplicate(2) client.FIN")
	}
	a.Copies = n
	if len(list) > 1 {
		return a.duration(text, list[1], at[1])
	}
	return nil
}

func (a *Action) parseCut(text string, list []string, at []int) error {
	n, err := strconv.ParseInt(list[0], 10, 64)
	if err != nil || n < -1 {
		return syntax(text, at[0], "want the number of bytes that pass, or -1 for all but the last, as in %s", examples[Cut])
	}
	a.Keep, a.Then = n, tcp.FIN
	if len(list) > 1 {
		switch list[1] {
		case "fin":
		case "rst":
			a.Then = tcp.RST
		default:
			return syntax(text, at[1], "want fin or rst, as in %s", examples[Cut])
		}
	}
	return nil
}

func (a *Action) parseSilence(text string, list []string, at []int) error {
	to, ok := strings.CutPrefix(list[0], "to-")
	if list[0] == "both" {
		return nil
	}
	if !ok || to == "" {
		return syntax(text, at[0], "want to-HOST or both, as in %s", examples[Silence])
	}
	a.To = to
	return nil
}

// Argument is the text of the verb's brackets, without them.
func (a Action) Argument() string {
	switch a.Verb {
	case Delay:
		return a.For.String()
	case Hold:
		if a.Reversed {
			return "reversed"
		}
	case Duplicate:
		if a.For > 0 {
			return fmt.Sprintf("%d, %v", max(a.Copies, 1), a.For)
		}
		if a.Copies > 0 {
			return strconv.Itoa(a.Copies)
		}
	case Rewrite:
		return a.Edit.String()
	case Forge:
		return a.Forgery.String()
	case Cut:
		then := "fin"
		if a.Then.Has(tcp.RST) {
			then = "rst"
		}
		return fmt.Sprintf("%d, %s", a.Keep, then)
	case Silence:
		if a.To == "" {
			return "both"
		}
		return "to-" + a.To
	case Forget:
		if a.Answer {
			return "rst"
		}
	}
	return ""
}

// bases are the variables that a number may begin with.
var bases = []string{"RCV.NXT", "SND.UNA", "SND.NXT"}

// ParseNumber reads RCV.NXT+RCV.WND+10, or a number that counts from the SYN.
func ParseNumber(text string) (Number, error) {
	var n Number
	rest := text
	for _, b := range bases {
		if after, ok := strings.CutPrefix(rest, b); ok {
			n.Base, rest = b, after
			break
		}
	}
	for first := n.Base == ""; rest != "" || first; first = false {
		sign := int64(1)
		switch {
		case strings.HasPrefix(rest, "+"):
			rest = rest[1:]
		case strings.HasPrefix(rest, "-"):
			sign, rest = -1, rest[1:]
		case !first:
			return n, fmt.Errorf("want + or - before %q", rest)
		}
		if after, ok := strings.CutPrefix(rest, "RCV.WND"); ok {
			n.Windows += int(sign)
			rest = after
			continue
		}
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		v, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || v > 1<<32 {
			return n, fmt.Errorf("want a number such as RCV.NXT+10 or SND.UNA-1, not %q", text)
		}
		n.Offset += sign * v
		rest = rest[digits:]
	}
	return n, nil
}

// String is the text that ParseNumber reads back.
func (n Number) String() string {
	text := n.Base
	for range n.Windows {
		text += "+RCV.WND"
	}
	for range -n.Windows {
		text += "-RCV.WND"
	}
	switch {
	case text == "":
		return strconv.FormatInt(n.Offset, 10)
	case n.Offset != 0:
		text += fmt.Sprintf("%+d", n.Offset)
	}
	return strings.TrimPrefix(text, "+")
}

// in gives the absolute number for a receiver with these variables; begin is
// the SYN of the stream that the number belongs to.
func (n Number) in(v flow.Numbers, begin tcp.Seq) tcp.Seq {
	base := begin
	switch n.Base {
	case "RCV.NXT":
		base = v.RcvNxt
	case "SND.UNA":
		base = v.SndUna
	case "SND.NXT":
		base = v.SndNxt
	}
	return base.Add(n.Windows * v.RcvWnd).Add(int(n.Offset))
}

func (f *Forgery) parse(text string, list []string, at []int) error {
	f.Place = Place(list[0])
	if !slices.Contains([]Place{Before, Behind, Instead}, f.Place) {
		return syntax(text, at[0], "want before, after or instead, as in %s", examples[Forge])
	}
	if len(list) < 2 {
		return syntax(text, at[0]+len(list[0]), "want what is forged: flags as tcpdump prints them, or icmp, as in %s", examples[Forge])
	}
	what, why, _ := strings.Cut(list[1], " ")
	if what == "icmp" {
		f.ICMP = tcp.Unreachable(strings.TrimSpace(why))
		if !slices.Contains(tcp.Unreachables(), f.ICMP) {
			return syntax(text, at[1], "want the reason: one of %v, as in forge(instead, icmp port-unreachable) client.SYN", tcp.Unreachables())
		}
	} else {
		flags, err := tcp.ParseFlags(list[1])
		if err != nil {
			return syntax(text, at[1], "%v", err)
		}
		f.Flags = flags
	}
	for i := 2; i < len(list); i++ {
		if list[i] == "ends" {
			f.Ends = true
			continue
		}
		key, value, ok := strings.Cut(list[i], "=")
		if !ok {
			return syntax(text, at[i], "want key=value, as in %s", examples[Forge])
		}
		if err := f.set(key, value); err != nil {
			return syntax(text, at[i], "%v", err)
		}
	}
	return nil
}

func (f *Forgery) set(key, value string) error {
	switch key {
	case "to":
		f.To = value
	case "seq", "ack":
		n, err := ParseNumber(value)
		if err != nil {
			return err
		}
		if key == "seq" {
			f.Seq = &n
		} else {
			f.Ack = &n
		}
	case "win":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("want a window from 0 to 65535, not %q", value)
		}
		f.Window = new(uint16)
		*f.Window = uint16(n)
	case "len":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n > maxForged {
			return fmt.Errorf("want a length from 0 to %d, not %q", maxForged, value)
		}
		f.Len = int(n)
	case "ts":
		if !slices.Contains([]string{"none", "old", "new"}, value) {
			return fmt.Errorf("want ts=none, ts=old or ts=new, not %q", value)
		}
		f.Timestamps = value
	case "mtu":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("want an MTU, not %q", value)
		}
		f.MTU = uint16(n)
	case "mss":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("want an MSS from 1 to 65535, not %q", value)
		}
		f.MSS = uint16(n)
	default:
		return fmt.Errorf("unknown key %q: want one of to, seq, ack, win, len, ts, mtu, mss, or the word ends", key)
	}
	return nil
}

// maxForged is the longest payload that fits into a frame of 1,500 bytes over
// both families with every option.
const maxForged = 1400

// String is the text of the forgery's brackets.
func (f Forgery) String() string {
	what := f.Flags.String()
	if f.ICMP != "" {
		what = "icmp " + string(f.ICMP)
	}
	list := []string{string(f.Place), what}
	add := func(key, value string) { list = append(list, key+"="+value) }
	if f.To != "" {
		add("to", f.To)
	}
	if f.Seq != nil {
		add("seq", f.Seq.String())
	}
	if f.Ack != nil {
		add("ack", f.Ack.String())
	}
	if f.Window != nil {
		add("win", strconv.Itoa(int(*f.Window)))
	}
	if f.Len > 0 {
		add("len", strconv.Itoa(f.Len))
	}
	if f.Timestamps != "" {
		add("ts", f.Timestamps)
	}
	if f.MTU > 0 {
		add("mtu", strconv.Itoa(int(f.MTU)))
	}
	if f.MSS > 0 {
		add("mss", strconv.Itoa(int(f.MSS)))
	}
	if f.Ends {
		list = append(list, "ends")
	}
	return strings.Join(list, ", ")
}
