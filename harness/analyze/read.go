package analyze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/capture"
	"github.com/lastack/lastack/inject/tcp"
)

// Input is a capture to be read.
type Input struct {
	// Name is what it is called in results and errors.
	Name string
	// Reader gives its bytes. Who opened it closes it.
	Reader io.Reader
}

// Options say how captures are analysed. The zero value is valid.
type Options struct {
	// Filter picks the connections of which a segment matches; nil for all.
	// Every connection counts for itself: a name without a connection means any.
	Filter *inject.Match
	// Explain keeps every segment of a connection for Explain, up to a bound.
	Explain bool
	// Live hands out what is over by the clock too: the capture is still being
	// made, and its next packet may be long in coming.
	Live bool
	// Ended is called for each connection when it has ended or the capture has,
	// one at a time. It may be called from another goroutine than Read's.
	Ended func(*Connection)
}

// Totals are what was read.
type Totals struct {
	Files   []string
	Packets int
	// Skipped counts the packets that are no segments, by reason.
	Skipped map[string]int
	// Duplicates are frames that the capture has twice.
	Duplicates int
	// Late counts the segments of connections that had been handed out.
	Late int
	// Connections counts those that were handed out.
	Connections int
	// Cut says of which files the last record is cut short, and where.
	Cut []string
	// Partial: ctx ended before the captures did.
	Partial bool
}

// Read analyses captures. Several are read together in the order of time, as
// one capture: the pieces of a long one, or those of both ends.
//
// The error names the file. It is that of a reader, or of a file that is no
// capture or is damaged; a file whose last record is cut short is none. Where
// ctx ends, what is open by then is handed out, and the totals say so.
func Read(ctx context.Context, inputs []Input, o Options) (Totals, error) {
	totals := Totals{Skipped: map[string]int{}}
	t := newTable(o.Filter, o.Explain, func(c *Connection) {
		totals.Connections++
		if o.Ended != nil {
			o.Ended(c)
		}
	})
	files := make([]*captureFile, 0, len(inputs))
	for i, in := range inputs {
		totals.Files = append(totals.Files, in.Name)
		r, err := capture.NewReader(in.Reader)
		if err != nil {
			return totals, fmt.Errorf("%s: %w", in.Name, err)
		}
		files = append(files, &captureFile{name: in.Name, index: i, reader: r, totals: &totals})
	}
	for _, f := range files {
		if err := f.advance(); err != nil && ctx.Err() == nil {
			return totals, err
		}
	}
	var mu sync.Mutex
	if o.Live {
		stop := t.followClock(&mu)
		defer stop()
	}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			totals.Partial = true
			break
		}
		var first *captureFile
		for _, f := range files {
			if !f.ended && (first == nil || f.at < first.at) {
				first = f
			}
		}
		if first == nil {
			break
		}
		if o.Live {
			mu.Lock()
		}
		first.apply(t)
		if o.Live {
			mu.Unlock()
		}
		if err := first.advance(); err != nil {
			if ctx.Err() == nil {
				return totals, err
			}
			totals.Partial = true
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	t.flush()
	totals.Duplicates, totals.Late = t.duplicates, t.afterwards
	if t.senseless > 0 {
		totals.Skipped["flags"] = t.senseless
	}
	return totals, nil
}

// followClock lets the time of the capture go on while no packet comes.
func (t *table) followClock(mu *sync.Mutex) (stop func()) {
	ticker := time.NewTicker(time.Second)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		packets, now := -1, int64(0)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			mu.Lock()
			if packets == t.packets {
				now += int64(time.Second)
				t.advance(now)
			} else {
				packets, now = t.packets, t.now
			}
			mu.Unlock()
		}
	})
	return func() {
		ticker.Stop()
		close(done)
		running.Wait()
	}
}

// captureFile is a capture that is being read.
type captureFile struct {
	name    string
	index   int
	reader  *capture.Reader
	decoder capture.Decoder
	totals  *Totals
	ended   bool

	at  int64 // of what comes next
	seg tcp.Segment

	wire *wire // where it is a wire.pcapng of lastack
}

// apply hands what comes next to the table.
func (f *captureFile) apply(t *table) {
	if f.wire != nil {
		f.wire.apply(t)
		return
	}
	t.both(&f.seg, f.at, f.index)
}

// advance reads up to the next segment.
func (f *captureFile) advance() error {
	if f.wire != nil {
		f.at, f.ended = f.wire.peek()
		return nil
	}
	for {
		p, err := f.next()
		if p == nil {
			f.ended = true
			return err
		}
		sources := f.reader.Sources()
		if f.totals.Packets == 1 || f.at == 0 {
			if isWire(sources) {
				return f.readWire(p)
			}
		}
		if f.decode(p, &f.seg) {
			if at := p.Time.UnixNano(); !p.Time.IsZero() {
				f.at = at
			}
			return nil
		}
	}
}

// next reads a packet; nil at the end.
func (f *captureFile) next() (*capture.Packet, error) {
	p, err := f.reader.Next()
	switch {
	case err == nil:
		f.totals.Packets++
		return p, nil
	case errors.Is(err, io.EOF):
		return nil, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.totals.Cut = append(f.totals.Cut, fmt.Sprintf("%s: %s", f.name, err))
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %w", f.name, err)
}

func (f *captureFile) decode(p *capture.Packet, seg *tcp.Segment) bool {
	skip := f.decoder.Decode(f.reader.Sources()[p.Interface].Link, p, seg)
	if skip == capture.Taken {
		return true
	}
	f.totals.Skipped[skip.String()]++
	return false
}
