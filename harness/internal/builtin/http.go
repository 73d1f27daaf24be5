package builtin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"
)

// head is the beginning of a request or of a response.
type head struct {
	first  [3]string // METHOD PATH HTTP/1.1, or HTTP/1.1 STATUS REASON
	fields textproto.MIMEHeader
}

// readHead reads up to the empty line. io.EOF says that there was nothing.
func readHead(r *bufio.Reader) (*head, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	reader := textproto.NewReader(r)
	line, err := reader.ReadLine()
	if err != nil {
		return nil, midway(err)
	}
	parts := strings.SplitN(line, " ", 3)
	if len(parts) < 2 {
		return nil, fmt.Errorf("read head: %.40q is no HTTP", line)
	}
	h := &head{}
	copy(h.first[:], parts)
	if h.fields, err = reader.ReadMIMEHeader(); err != nil {
		return nil, midway(err)
	}
	return h, nil
}

// midway makes an end of file within something an error of its own.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (h *head) chunked() bool { return strings.EqualFold(h.fields.Get("Transfer-Encoding"), "chunked") }

// length is the Content-Length, −1 without.
func (h *head) length() (int64, error) {
	text := h.fields.Get("Content-Length")
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("read head: Content-Length %q", text)
	}
	return n, nil
}

// last says that the connection ends behind this message.
func (h *head) last() bool { return strings.EqualFold(h.fields.Get("Connection"), "close") }

// readBody copies what follows a head; one without length or chunks ends with
// the connection where that is allowed, and is empty where not. A body that ends
// early is io.ErrUnexpectedEOF.
func readBody(r *bufio.Reader, h *head, toEnd bool, w io.Writer) (int64, error) {
	length, err := h.length()
	switch {
	case err != nil:
		return 0, err
	case h.chunked():
		return readChunks(r, w)
	case length >= 0:
		n, err := io.CopyN(w, r, length)
		return n, midway(err)
	case toEnd:
		return io.Copy(w, r)
	}
	return 0, nil
}

func readChunks(r *bufio.Reader, w io.Writer) (total int64, err error) {
	lines := textproto.NewReader(r)
	for {
		line, err := lines.ReadLine()
		if err != nil {
			return total, midway(err)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil || size < 0 {
			return total, fmt.Errorf("read chunk: size %.20q", line)
		}
		n, err := io.CopyN(w, r, size)
		total += n
		if err != nil {
			return total, midway(err)
		}
		if line, err = lines.ReadLine(); err != nil {
			return total, midway(err)
		}
		if line != "" {
			return total, fmt.Errorf("read chunk: %.20q behind it", line)
		}
		if size == 0 {
			return total, nil
		}
	}
}

// appendChunks is the body in chunks of 16 KiB.
func appendChunks(b, body []byte) []byte {
	for len(body) > 0 {
		n := min(len(body), 16<<10)
		b = fmt.Appendf(b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return append(b, "0\r\n\r\n"...)
}

// statusText names the statuses that stand-ins send.
func statusText(status int) string {
	switch status {
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 413:
		return "Content Too Large"
	case 431:
		return "Request Header Fields Too Large"
	case 503:
		return "Service Unavailable"
	}
	return "Status"
}
