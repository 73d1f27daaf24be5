package check

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness/record"
)

// content is what a program wrote to stdout or to one file.
type content struct {
	size   int64
	digest string
	// data is the beginning, without what is to be ignored.
	data []byte
}

// contentOf makes content comparable. What is ignored is taken out of what was
// kept; of a longer text the rest, which was not kept, then counts by its length.
func contentOf(size int64, digest string, data []byte, ignore []*regexp.Regexp) content {
	c := content{size: size, digest: digest, data: data}
	for _, re := range ignore {
		c.data = re.ReplaceAll(c.data, nil)
	}
	if len(ignore) == 0 {
		return c
	}
	sum := sha256.Sum256(c.data)
	rest := size - int64(len(data))
	c.size = int64(len(c.data)) + rest
	c.digest = hex.EncodeToString(sum[:])
	return c
}

func (c content) equal(o content) bool { return c.size == o.size && c.digest == o.digest }

// differs says in a few words how two contents differ.
func differs(what string, was, is content) string {
	at := 0
	for at < len(was.data) && at < len(is.data) && was.data[at] == is.data[at] {
		at++
	}
	switch {
	case is.size < was.size && at == len(is.data) && int64(at) == is.size:
		return fmt.Sprintf("%s has only %d of %d bytes", what, is.size, was.size)
	case is.size > was.size && at == len(was.data) && int64(at) == was.size:
		return fmt.Sprintf("%s has %d bytes behind the %d of the fault-free run", what, is.size-was.size, was.size)
	case is.size != was.size:
		return fmt.Sprintf("%s has %d bytes instead of %d, and differs from byte %d on", what, is.size, was.size, at)
	}
	return fmt.Sprintf("%s differs from byte %d on", what, at)
}

// variesBy are the first lines in which outputs differ from run to run.
func variesBy(all []content) []string {
	first := bytes.Split(all[0].data, []byte("\n"))
	for _, o := range all[1:] {
		if o.equal(all[0]) {
			continue
		}
		other := bytes.Split(o.data, []byte("\n"))
		for i := range max(len(first), len(other)) {
			var a, b []byte
			if i < len(first) {
				a = first[i]
			}
			if i < len(other) {
				b = other[i]
			}
			if !bytes.Equal(a, b) {
				return []string{string(a), string(b)}
			}
		}
		return []string{fmt.Sprintf("%d bytes", all[0].size), fmt.Sprintf("%d bytes", o.size)}
	}
	return nil
}

// outputs are all that a run of the client left behind: stdout under the name
// "stdout", and files under their own.
type outputs map[string]content

const stdout = "stdout"

func outputsOf(p *record.Program, ignore []*regexp.Regexp) outputs {
	out := outputs{stdout: contentOf(p.StdoutSize, p.StdoutSHA256, p.Stdout, ignore)}
	for _, f := range p.Files {
		out["file "+f.Name] = contentOf(f.Size, f.SHA256, f.Data, ignore)
	}
	return out
}

// changed are the outputs that differ from the fault-free ones. A file that is
// there and was not there before differs; one that is missing does too, but says
// nothing where the program failed: existing tells those that are there.
func (o outputs) changed(free outputs, varies map[string][]string) (what []string, existing bool) {
	for _, name := range slices.Sorted(maps.Keys(free)) {
		is, there := o[name]
		switch {
		case varies[name] != nil:
		case !there:
			what = append(what, name+" is missing")
		case !is.equal(free[name]):
			what = append(what, differs(name, free[name], is))
			existing = existing || name != stdout
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if _, known := free[name]; !known && len(varies) == 0 {
			what = append(what, name+" is there, which no fault-free run leaves")
			existing = true
		}
	}
	return what, existing
}

// complaints begin the line in which a runtime says that a program is broken.
var complaints = regexp.MustCompile(`(?m)^(?:panic: |fatal error: |Traceback \(most recent call last\):|thread '[^']*' (?:\(\d+\) )?panicked at |Exception in thread "|Uncaught |terminate called |\*\*\* stack smashing detected|==\d+==ERROR: AddressSanitizer|Segmentation fault|.*: line \d+: +\d+ (?:Segmentation fault|Aborted|Broken pipe)|.*\.go:\d+ \+0x)`)

// complaint is the line with which a program's runtime complained, or for a
// traceback its last line.
func complaint(texts ...[]byte) string {
	for _, text := range texts {
		at := complaints.FindIndex(text)
		if at == nil {
			continue
		}
		rest := text[at[0]:]
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if bytes.HasPrefix(line, []byte("Traceback")) {
			// What was raised stands behind the indented lines.
			for _, l := range bytes.Split(rest, []byte("\n"))[1:] {
				if len(l) > 0 && l[0] != ' ' {
					return string(line) + " " + string(l)
				}
			}
		}
		return string(line)
	}
	return ""
}

// lastWords are the last lines of what a program complained of, in one.
func lastWords(p *record.Program) string {
	text := strings.TrimSpace(string(p.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(p.Stdout))
	}
	lines := strings.Split(text, "\n")
	return record.Fit(record.Printable(strings.TrimSpace(lines[len(lines)-1])), 200)
}
