package harness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// maxOutput is how much of what a program writes is kept, and longestLine how
// much of a line is looked at.
const (
	maxOutput   = 1 << 20
	longestLine = 64 << 10
)

// digest takes bytes: it keeps the first and sums up all.
type digest struct {
	kept []byte
	most int
	size int64
	hash hash.Hash
}

func newDigest(most int) *digest { return &digest{most: most, hash: sha256.New()} }

// Write never fails.
func (d *digest) Write(p []byte) (int, error) {
	d.kept = append(d.kept, p[:min(len(p), d.most-len(d.kept))]...)
	d.size += int64(len(p))
	return d.hash.Write(p)
}

func (d *digest) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

// output is one stream of a program: it keeps the beginning of what the program
// writes and reads the rest away, so that a full pipe never stops it.
type output struct {
	mu      sync.Mutex
	digest  *digest
	line    []byte // the line that has not ended
	watches []func(line []byte) bool
	ended   bool
	done    chan struct{}
}

func newOutput() *output { return &output{digest: newDigest(maxOutput), done: make(chan struct{})} }

// pipe begins to read; the caller hands the returned end to the program and
// closes its own.
func (o *output) pipe() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		close(o.done)
		return nil, err
	}
	go func() {
		defer close(o.done)
		defer r.Close()
		io.Copy(o, r)
		o.end()
	}()
	w.Fd() // makes it blocking: a program expects that of its output
	return w, nil
}

// Write takes what the program wrote, and tells whole lines to who watches.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.digest.Write(p)
	var lines [][]byte
	if len(o.watches) > 0 || len(o.line) > 0 {
		for rest := p; len(rest) > 0; {
			part, after, ended := bytes.Cut(rest, []byte("\n"))
			rest = after
			o.line = append(o.line, part[:min(len(part), longestLine-len(o.line))]...)
			if ended {
				lines = append(lines, o.line)
				o.line = nil
			}
		}
	} else {
		rest := p[bytes.LastIndexByte(p, '\n')+1:] // somebody may watch when this line ends
		o.line = append(o.line, rest[:min(len(rest), longestLine)]...)
	}
	watches := slices.Clone(o.watches)
	o.mu.Unlock()
	tell(watches, lines...)
	return len(p), nil
}

// end tells the line that has not ended.
func (o *output) end() {
	o.mu.Lock()
	o.ended = true
	line, watches := o.line, slices.Clone(o.watches)
	o.mu.Unlock()
	if len(line) > 0 {
		tell(watches, line)
	}
}

// tell calls who watches, without a lock: they call the wire.
func tell(watches []func([]byte) bool, lines ...[]byte) {
	for _, line := range lines {
		for _, met := range watches {
			met(line)
		}
	}
}

// watch calls met with each line that was kept, until it says true, and with each
// that comes.
func (o *output) watch(met func(line []byte) bool) {
	o.mu.Lock()
	before, ended := o.digest.kept, o.ended
	o.watches = append(o.watches, met)
	o.mu.Unlock()
	for rest := before; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		rest = after
		if (whole || ended) && met(line[:min(len(line), longestLine)]) {
			return
		}
	}
}

// drain waits until the program's end of the pipe is closed, a while at most.
func (o *output) drain(atMost time.Duration) {
	limit := time.NewTimer(atMost)
	defer limit.Stop()
	select {
	case <-o.done:
	case <-limit.C:
	}
}

// snapshot is what was read so far.
func (o *output) snapshot() (kept []byte, size int64, sum string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.digest.kept), o.digest.size, o.digest.sum()
}

// size is how much the program has written so far.
func (o *output) size() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.digest.size
}
