// Package evidence keeps what a run left behind in a directory of files:
// record.json, ladder.txt, wire.pcapng, and a HOST.pcapng for each host.
//
// wire.pcapng holds each segment once, as it came in, on the interface of the
// host that sent it; what a rule made or rewrote stands on the interface
// "injected". Rule, fate and departures are in the packet's comment. A file
// that held a delivered segment twice would look like a storm of
// retransmissions.
//
// HOST.pcapng is what that host really sent, when it came to the wire, and what
// really reached it, when it left the wire: only there are loss, order and
// acknowledgements consistent for a program that analyses TCP.
package evidence

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/capture"
	"github.com/lastack/lastack/internal/wholefile"
)

// Write writes the evidence of a run into a directory, which it makes where
// there is none. Files of an earlier run are replaced. Each file gets its name
// only once it is whole, and record.json comes last: where it is, the others
// are.
func Write(dir string, r *record.Run) error {
	if err := write(dir, r); err != nil {
		return fmt.Errorf("write evidence: %w", err)
	}
	return nil
}

func write(dir string, r *record.Run) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// A directory that was used before must not look whole until it is again.
	if err := os.Remove(filepath.Join(dir, "record.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, h := range r.Hosts {
		if h.Name == "wire" || h.Name != filepath.Base(h.Name) || strings.ContainsAny(h.Name, `/\:`) || strings.HasPrefix(h.Name, ".") {
			return fmt.Errorf("host %q: its name is no name for a file", h.Name)
		}
		err := file(dir, h.Name+".pcapng", func(w io.Writer) error { return Host(w, r, h.Name) })
		if err != nil {
			return err
		}
	}
	if err := file(dir, "wire.pcapng", func(w io.Writer) error { return Wire(w, r) }); err != nil {
		return err
	}
	ladder := func(w io.Writer) error { _, err := io.WriteString(w, r.Ladder()); return err }
	if err := file(dir, "ladder.txt", ladder); err != nil {
		return err
	}
	return file(dir, "record.json", r.Write)
}

// file writes a file that gets its name only once it is whole.
func file(dir, name string, content func(io.Writer) error) error {
	err := wholefile.Write(filepath.Join(dir, name), func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<16)
		if err := content(b); err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// packet is a frame that has its place in a file's order.
type packet struct {
	at time.Duration
	capture.Packet
}

// Wire writes the capture of the wire: every segment once.
func Wire(w io.Writer, r *record.Run) error {
	names := hosts(r)
	injected := len(names)
	number := func(host string) int {
		if i := slices.Index(names, host); i >= 0 {
			return i
		}
		return injected
	}
	var packets []packet
	for i := range r.Segments {
		s := &r.Segments[i]
		p := packet{s.T, capture.Packet{
			Interface: number(s.SentBy), Data: s.Frame, Direction: capture.Inbound, Comments: []string{comment(s)},
		}}
		if p.Interface == injected {
			p.Direction = capture.Outbound
		}
		packets = append(packets, p)
		if len(s.Rewritten) > 0 && len(s.Departures) > 0 {
			packets = append(packets, packet{s.Departures[0].T, capture.Packet{
				Interface: injected, Data: s.Rewritten, Direction: capture.Outbound,
				Comments: []string{"rewritten: " + comment(s)},
			}})
		}
	}
	interfaces := make([]capture.Interface, 0, len(names)+1)
	for _, name := range names {
		interfaces = append(interfaces, capture.Interface{Name: name, Description: "what came in from " + name})
	}
	interfaces = append(interfaces, capture.Interface{Name: "injected", Description: "what the wire made or rewrote"})
	return save(w, r, interfaces, packets)
}

// Host writes the capture of one host: what it sent and what reached it.
func Host(w io.Writer, r *record.Run, host string) error {
	var packets []packet
	for i := range r.Segments {
		s := &r.Segments[i]
		var comments []string
		if !s.Other {
			comments = []string{s.Name()}
		}
		if s.SentBy == host {
			packets = append(packets, packet{s.T, capture.Packet{Data: s.Frame, Direction: capture.Outbound, Comments: comments}})
		}
		left := s.Frame
		if len(s.Rewritten) > 0 {
			left = s.Rewritten
		}
		for _, d := range s.Departures {
			if d.To == host {
				packets = append(packets, packet{d.T, capture.Packet{Data: left, Direction: capture.Inbound, Comments: comments}})
			}
		}
	}
	return save(w, r, []capture.Interface{{Name: host, Description: "what " + host + " sent and received"}}, packets)
}

// hosts lists the hosts of the run, and whoever else sent a segment from a
// port of the wire.
func hosts(r *record.Run) []string {
	var names []string
	for _, h := range r.Hosts {
		names = append(names, h.Name)
	}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.SentBy != "wire" && s.SentBy != "" && s.Fate != record.Injected && !slices.Contains(names, s.SentBy) {
			names = append(names, s.SentBy)
		}
	}
	return names
}

// comment is what became of a segment, in one line.
func comment(s *record.Segment) string {
	var parts []string
	if name := s.Name(); name != "" {
		parts = append(parts, name)
	}
	fate := string(s.Fate)
	if fate == "" {
		fate = "still held at the end"
	}
	parts = append(parts, fate)
	if s.Rule != "" {
		parts = append(parts, "rule: "+s.Rule)
	}
	for _, d := range s.Departures {
		parts = append(parts, fmt.Sprintf("left for %s at %.6f s", d.To, d.T.Seconds()))
	}
	return strings.Join(parts, "; ")
}

// save writes packets in the order of time; those of the same time stay in
// the order in which they came to the wire.
func save(w io.Writer, r *record.Run, interfaces []capture.Interface, packets []packet) error {
	about := fmt.Sprintf("%s, IPv%d, play %s: %s", r.Scenario, r.IP, r.Play, r.Verdict)
	if r.Lost > 0 {
		about += fmt.Sprintf("; the wire lost %d frames", r.Lost)
	}
	c, err := capture.NewWriter(w, capture.Options{OS: r.Kernel, Application: "lastack", Comment: about})
	if err != nil {
		return err
	}
	received := make([]uint64, len(interfaces))
	for _, i := range interfaces {
		if _, err := c.AddInterface(i); err != nil {
			return err
		}
	}
	slices.SortStableFunc(packets, func(a, b packet) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	for _, p := range packets {
		p.Time = r.Started.Add(p.at)
		if err := c.WritePacket(p.Packet); err != nil {
			return err
		}
		received[p.Interface]++
	}
	for i, n := range received {
		stats := capture.Statistics{Start: r.Started, End: r.Started.Add(r.Duration), Received: n}
		if err := c.WriteStatistics(i, stats); err != nil {
			return err
		}
	}
	return nil
}
