package peer

import (
	"fmt"
	"slices"
	"strings"
)

// Flags are the flags of recv and send, under Linux's numbers.
type Flags int

// The flags of recv and send.
const (
	OOB      Flags = 0x1
	Peek     Flags = 0x2
	DontWait Flags = 0x40
	WaitAll  Flags = 0x100
	NoSignal Flags = 0x4000
	More     Flags = 0x8000
)

var flagNames = []bitName{
	{int(OOB), "MSG_OOB"}, {int(Peek), "MSG_PEEK"}, {int(DontWait), "MSG_DONTWAIT"},
	{int(WaitAll), "MSG_WAITALL"}, {int(NoSignal), "MSG_NOSIGNAL"}, {int(More), "MSG_MORE"},
}

// String is MSG_PEEK|MSG_DONTWAIT.
func (f Flags) String() string { return bits(int(f), flagNames) }

// Events are poll's events, under Linux's numbers.
type Events int16

// The events of poll. ERR, HUP and NVAL come unasked.
const (
	In    Events = 0x1
	Pri   Events = 0x2
	Out   Events = 0x4
	Err   Events = 0x8
	Hup   Events = 0x10
	Nval  Events = 0x20
	RdHup Events = 0x2000
)

var eventNames = []bitName{
	{int(In), "IN"}, {int(Pri), "PRI"}, {int(Out), "OUT"}, {int(Err), "ERR"},
	{int(Hup), "HUP"}, {int(Nval), "NVAL"}, {int(RdHup), "RDHUP"},
}

// String is IN|OUT|ERR|HUP|RDHUP, in this order.
func (e Events) String() string { return bits(int(e), eventNames) }

// ParseEvents reads what String writes: names without POLL, joined by |. An
// empty text is no event.
func ParseEvents(text string) (Events, error) {
	var events Events
	if text == "" {
		return events, nil
	}
	for word := range strings.SplitSeq(text, "|") {
		i := slices.IndexFunc(eventNames, func(n bitName) bool { return n.name == word })
		if i < 0 {
			return 0, fmt.Errorf("parse events %q: unknown event %q", text, word)
		}
		events |= Events(eventNames[i].bit)
	}
	return events, nil
}

// PollFD is a descriptor to be polled, and in a result the events that it has.
type PollFD struct {
	FD      FD     `json:"fd"`
	Events  Events `json:"events,omitempty"`
	Returns Events `json:"returns,omitempty"`
}

type bitName struct {
	bit  int
	name string
}

// bits joins the names of the bits of value; what has no name is in hexadecimal.
func bits(value int, names []bitName) string {
	if value == 0 {
		return "0"
	}
	var parts []string
	for _, n := range names {
		if value&n.bit != 0 {
			parts = append(parts, n.name)
			value &^= n.bit
		}
	}
	if value != 0 {
		parts = append(parts, fmt.Sprintf("%#x", value))
	}
	return strings.Join(parts, "|")
}
