package harness

import (
	"fmt"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// enter writes down that a call is under way: one that never returns stays so.
func (s *Stage) enter(p *Peer, c peer.Call) *record.Call {
	open := &record.Call{
		T: s.clock(), End: -1, Host: p.host.name, Peer: p.name, Name: c.Name(), Call: c.Text(), Result: -1,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, open)
	return open
}

// leave writes down what a call returned, and tells the engine.
func (s *Stage) leave(p *Peer, open *record.Call, key string, r peer.Result) {
	s.mu.Lock()
	*open = record.Call{
		T: r.Begin - s.monotonic, End: r.End - s.monotonic, Host: p.host.name, Peer: p.name,
		Name: r.Name, Call: withAnswer(r), Result: r.N, Errno: string(r.Errno), Signal: r.Signal, Data: r.Data,
	}
	s.mu.Unlock()
	s.Wire.wire.Do(func(e *inject.Engine, now time.Duration) {
		e.NoteReturn(now, p.host.name, p.call(r.Name))
		e.NoteReturn(now, p.host.name, key)
	})
}

// withAnswer is the text of a call with what the kernel wrote through its
// arguments, in brackets as strace prints it.
func withAnswer(r peer.Result) string {
	answer := ""
	switch {
	case r.Name == "getsockopt" && r.Errno == "":
		answer = optionAnswer(&r)
	case r.Name == "ioctl" && r.Errno == "":
		answer = fmt.Sprint(r.Value)
	case len(r.Poll) > 0:
		var events []string
		for _, p := range r.Poll {
			events = append(events, fmt.Sprintf("{%d, %s}", p.FD, p.Returns))
		}
		answer = strings.Join(events, ", ")
	case r.Calls > 0:
		answer = fmt.Sprintf("%d bytes", r.Total)
	}
	before, ok := strings.CutSuffix(r.Text, ")")
	if answer == "" || !ok {
		return r.Text
	}
	return before + ", [" + answer + "])"
}

func optionAnswer(r *peer.Result) string {
	switch {
	case r.Info != nil:
		return fmt.Sprintf("%s, retransmits %d, probes %d, unacked %d",
			tcp.Kernel(r.Info.State), r.Info.Retransmits, r.Info.Probes, r.Info.Unacked)
	case strings.Contains(r.Text, string(peer.SOError)):
		if r.OptionErrno == "" {
			return "0"
		}
		return string(r.OptionErrno)
	case strings.Contains(r.Text, string(peer.SOLinger)):
		return r.Linger.String()
	}
	return fmt.Sprint(r.Value)
}
