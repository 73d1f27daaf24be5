package builtin

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

var poolClient = standIn{
	name:      "pool-client",
	summary:   "An HTTP/1.1 client that keeps its connection for the next request.",
	arguments: "METHOD URL [METHOD URL …]",
	more: `
It makes the requests one after another, prints "METHOD STATUS" for each that was
answered, and fails if one was not.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		c := &webClient{}
		c.dial.define(f)
		f.DurationVar(&c.gap, "gap", 0, "wait so `long` between requests")
		c.retry = choose(f, "retry", "what is sent again, on a new connection, when no answer came: nothing; everything; everything, with an Idempotency-Key; what is idempotent by its method",
			"none", "always", "with-key", "idempotent")
		c.check = choose(f, "check", "look at a kept connection before it is used: not at all, or read without waiting", "none", "read")
		c.reuse = choose(f, "reuse", "which connections are kept: those whose answer was whole, or any", "whole", "always")
		c.body = sizeFlag(f, "body", "send a body of this size with POST and PUT", 0)
		c.onWriteError = choose(f, "on-write-error", "when the body cannot be sent: give up, or read the answer that may be there", "fail", "read")
		f.DurationVar(&c.timeout, "timeout", 0, "give a request up after so `long`; 0 never")
		c.onError = choose(f, "on-error", "when a request has failed: connect anew for the next, or go on with the same connection", "redial", "reuse")
		f.DurationVar(&c.readDelay, "read-delay", 0, "wait so `long` before reading an answer")
		f.BoolVar(&c.pipeline, "pipeline", false, "send all requests before reading an answer, on one connection")
		return func(p *process, args []string) error {
			if err := c.dial.check(); err != nil {
				return err
			}
			requests, err := parseRequests(args)
			if err != nil {
				return err
			}
			return c.run(p, requests)
		}
	},
}

type request struct {
	method, address, path string
	key                   string
	body                  []byte
}

func parseRequests(args []string) ([]request, error) {
	if len(args) == 0 || len(args)%2 != 0 {
		return nil, usageError("want METHOD URL pairs, as in GET http://server:8080/")
	}
	var all []request
	for i := 0; i < len(args); i += 2 {
		address, path, err := splitURL(args[i+1])
		if err != nil {
			return nil, err
		}
		all = append(all, request{method: args[i], address: address, path: path})
	}
	return all, nil
}

// idempotent are the methods that may be repeated (RFC 9110 §9.2.2).
func (r *request) idempotent() bool {
	switch r.method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// text is what is sent of a request, apart from its body.
func (r *request) text(last bool) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.path, r.address)
	if r.key != "" {
		b = fmt.Appendf(b, "Idempotency-Key: %s\r\n", r.key)
	}
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	if r.body != nil || r.method == "POST" || r.method == "PUT" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(r.body))
	}
	return append(b, "\r\n"...)
}

// readAnswer reads the answer to a request; there is a head where only the body
// failed.
func (r *request) readAnswer(c *bufferedConn) (*head, error) {
	h, err := readHead(c.r)
	if err != nil {
		return nil, midway(err)
	}
	if r.method != "HEAD" {
		_, err = readBody(c.r, h, true, io.Discard)
	}
	return h, err
}

type webClient struct {
	dial                    dialFlags
	gap, timeout, readDelay time.Duration
	retry, check, reuse     *choice
	onWriteError, onError   *choice
	body                    *size
	pipeline                bool
	pooled                  *bufferedConn
	pooledAddress           string
}

// tries bounds how often a request is sent.
const tries = 3

func (w *webClient) run(p *process, requests []request) error {
	for i := range requests {
		r := &requests[i]
		if *w.body > 0 && (r.method == "POST" || r.method == "PUT") {
			r.body = pattern(int64(*w.body))
		}
		if w.retry.is("with-key") {
			r.key = fmt.Sprintf("request-%d", i+1)
		}
	}
	failed := false
	if w.pipeline {
		failed = !w.pipelined(p, requests)
	} else {
		for i := range requests {
			if i > 0 {
				p.pause(w.gap)
			}
			failed = !w.do(p, &requests[i]) || failed
		}
	}
	if w.pooled != nil {
		w.pooled.Close()
	}
	if failed {
		return errFailed
	}
	return nil
}

// do makes a request, and again where that is allowed.
func (w *webClient) do(p *process, r *request) bool {
	for try := 1; ; try++ {
		status, err := w.once(p, r)
		if err == nil {
			p.say("%s %s", r.method, status)
			return true
		}
		p.complain("%s: %v", r.method, reason(err))
		again := w.retry.is("always") || w.retry.is("with-key") || w.retry.is("idempotent") && r.idempotent()
		if !again || try == tries {
			return false
		}
	}
}

func (w *webClient) once(p *process, r *request) (status string, err error) {
	c, err := w.connection(p, r.address)
	if err != nil {
		return "", err
	}
	keep := false
	defer func() {
		if w.pooled = nil; keep || err != nil && w.onError.is("reuse") {
			w.pooled, w.pooledAddress = c, r.address
		} else {
			c.Close()
		}
	}()
	if w.timeout > 0 {
		_ = c.SetDeadline(time.Now().Add(w.timeout)) // a connection that has ended says so when it is used
		defer c.SetDeadline(time.Time{})
	}
	// The body goes out on its own, as the head is often sent first.
	_, err = c.Write(r.text(false))
	if err == nil && len(r.body) > 0 {
		_, err = c.Write(r.body)
	}
	if err != nil && (w.onWriteError.is("fail") || errors.Is(err, os.ErrDeadlineExceeded)) {
		return "", err
	}
	sent := err == nil
	p.pause(w.readDelay)
	h, err := r.readAnswer(c)
	if h == nil {
		return "", err
	}
	length, _ := h.length()
	keep = sent && !h.last() && (length >= 0 || h.chunked()) && (err == nil || w.reuse.is("always"))
	return h.first[1], err
}

// connection is the one that is kept, if it will do, or a new one.
func (w *webClient) connection(p *process, address string) (*bufferedConn, error) {
	if c := w.pooled; c != nil {
		if w.pooledAddress == address && (w.check.is("none") || c.r.Buffered() == 0 && peek(c.TCPConn) == alive) {
			return c, nil
		}
		c.Close()
		w.pooled = nil
	}
	tcp, err := w.dial.connect(p, address)
	if err != nil {
		return nil, err
	}
	return buffered(tcp), nil
}

// pipelined sends all and then reads the answers.
func (w *webClient) pipelined(p *process, requests []request) bool {
	c, err := w.connection(p, requests[0].address)
	if err != nil {
		p.complain("%v", reason(err))
		return false
	}
	defer c.Close()
	var all bytes.Buffer
	for i := range requests {
		all.Write(requests[i].text(false))
		all.Write(requests[i].body)
	}
	if _, err := c.Write(all.Bytes()); err != nil && w.onWriteError.is("fail") {
		p.complain("%v", reason(err))
		return false
	}
	p.pause(w.readDelay)
	for i := range requests {
		h, err := requests[i].readAnswer(c)
		if err != nil {
			p.complain("%s: %v", requests[i].method, reason(err))
			return false
		}
		p.say("%s %s", requests[i].method, h.first[1])
	}
	return true
}

var download = standIn{
	name:      "download",
	summary:   "Downloads a file by HTTP/1.1 and says whether it has it.",
	arguments: "URL",
	more: `
It prints "downloaded N bytes" when it believes to have the file.
`,
	define: func(f *flag.FlagSet) func(*process, []string) error {
		d := &downloader{}
		d.dial.define(f)
		d.check = choose(f, "check", "what must be true of a whole file: it ends where the connection ends; it has its length, or its last chunk; that, and the connection ended without an error",
			"none", "length", "length-and-end")
		f.StringVar(&d.out, "o", "", "write to this `file`; stdout if not given")
		f.DurationVar(&d.timeout, "timeout", 0, "give up when nothing came for so `long`; 0 never")
		f.DurationVar(&d.readDelay, "read-delay", 0, "wait so `long` before reading")
		return func(p *process, args []string) error {
			if len(args) != 1 {
				return usageError("want one URL, as in http://server:8080/file")
			}
			if err := d.dial.check(); err != nil {
				return err
			}
			address, path, err := splitURL(args[0])
			if err != nil {
				return err
			}
			return d.run(p, &request{method: "GET", address: address, path: path})
		}
	},
}

type downloader struct {
	dial               dialFlags
	check              *choice
	out                string
	timeout, readDelay time.Duration
}

// run downloads. What checks a length gives the file its name once it is whole;
// what checks nothing writes under that name from the beginning.
func (d *downloader) run(p *process, r *request) (err error) {
	out, name := p.stdout, d.out
	if name != "" {
		if !d.check.is("none") {
			name += ".part"
		}
		file, createErr := os.Create(name)
		if createErr != nil {
			return createErr
		}
		defer func() {
			err = errors.Join(err, file.Close())
			switch {
			case name == d.out:
			case err == nil:
				err = os.Rename(name, d.out)
			default:
				os.Remove(name)
			}
		}()
		out = file
	}
	n, err := d.fetch(p, r, out)
	if err != nil {
		return fmt.Errorf("download: %w", reason(err))
	}
	if d.out != "" {
		p.say("downloaded %d bytes", n)
	}
	return nil
}

func (d *downloader) fetch(p *process, r *request, out io.Writer) (int64, error) {
	tcp, err := d.dial.connect(p, r.address)
	if err != nil {
		return 0, err
	}
	defer tcp.Close()
	c := buffered(tcp)
	if _, err := c.Write(r.text(true)); err != nil {
		return 0, err
	}
	p.pause(d.readDelay)
	c.r.Reset(&impatient{tcp, d.timeout})
	h, err := readHead(c.r)
	if err != nil {
		return 0, midway(err)
	}
	if h.first[1] != "200" {
		return 0, fmt.Errorf("the server says %s %s", h.first[1], h.first[2])
	}
	if d.check.is("none") {
		return readLoosely(c, h, out)
	}
	n, err := readBody(c.r, h, true, out)
	if err == nil && d.check.is("length-and-end") {
		_, err = io.Copy(io.Discard, c.r)
	}
	return n, err
}

// readLoosely takes the end of the connection for the end of the file.
func readLoosely(c *bufferedConn, h *head, out io.Writer) (int64, error) {
	if !h.chunked() {
		return io.Copy(out, c.r)
	}
	n, err := readChunks(c.r, out)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}
