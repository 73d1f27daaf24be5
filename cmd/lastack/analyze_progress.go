package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// progress shows on a terminal how much of the files was read. On anything
// else it shows nothing.
type progress struct {
	to    io.Writer
	total atomic.Int64
	read  atomic.Int64
	done  chan struct{}
	ended chan struct{}
	begun bool
}

func newProgress(stderr io.Writer) *progress {
	p := &progress{to: stderr}
	if !live(stderr) {
		p.to = nil
	}
	return p
}

// count is the file as a reader whose bytes are counted. The first one starts
// the bar.
func (p *progress) count(file *os.File) io.Reader {
	if p.to == nil {
		return file
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return file
	}
	p.total.Add(info.Size())
	if !p.begun {
		p.begun, p.done, p.ended = true, make(chan struct{}), make(chan struct{})
		go p.draw()
	}
	return &countedFile{file, &p.read}
}

// off takes the bar away. It may be called again.
func (p *progress) off() {
	if p.begun {
		close(p.done)
		<-p.ended
		p.begun = false
	}
}

// barWidth is how many columns the bar has.
const barWidth = 40

func (p *progress) draw() {
	defer close(p.ended)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	drawn := false
	for {
		select {
		case <-p.done:
			if drawn {
				fmt.Fprint(p.to, "\r\x1b[K")
			}
			return
		case <-ticker.C:
		}
		total := max(p.total.Load(), 1)
		read := min(p.read.Load(), total)
		filled := int(read * barWidth / total)
		fmt.Fprintf(p.to, "\r  %s%s %3d %%", strings.Repeat("█", filled), strings.Repeat("░", barWidth-filled), read*100/total)
		drawn = true
	}
}

type countedFile struct {
	file *os.File
	read *atomic.Int64
}

func (c *countedFile) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.read.Add(int64(n))
	return n, err
}
