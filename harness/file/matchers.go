package file

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

type gomegaMatcher = types.GomegaMatcher

// found is a matcher of a run that says what was there.
type found struct {
	want string
	look func(*record.Run) (ok bool, rows []string)
	rows []string
}

// Match implements GomegaMatcher.
func (m *found) Match(actual any) (ok bool, err error) {
	r, isRun := actual.(*record.Run)
	if !isRun {
		return false, fmt.Errorf("want a *record.Run, got %T", actual)
	}
	ok, m.rows = m.look(r)
	return ok, nil
}

// FailureMessage implements GomegaMatcher.
func (m *found) FailureMessage(any) string {
	rows := "    nothing"
	if len(m.rows) > 0 {
		rows = "    " + strings.Join(m.rows, "\n    ")
	}
	return fmt.Sprintf("Expected\n    %s\nthere was\n%s", record.Printable(m.want), rows)
}

// NegatedFailureMessage implements GomegaMatcher.
func (m *found) NegatedFailureMessage(actual any) string { return m.FailureMessage(actual) }

// program looks at the programs of a host: the last of them counts, which an act
// may have started.
func program(host, want string, look func(*record.Program) (bool, []string)) gomegaMatcher {
	return &found{want: want, look: func(r *record.Run) (bool, []string) {
		all := r.On(host).Programs
		if len(all) == 0 {
			return false, nil
		}
		return look(&all[len(all)-1])
	}}
}

// ended looks at how a program ended.
func ended(host, want string, holds func(*record.Program) bool) gomegaMatcher {
	return program(host, "the program on "+host+" "+want, func(p *record.Program) (bool, []string) {
		how := fmt.Sprintf("exit status %d after %s", p.Exit, ms(p))
		switch {
		case p.Signal != "":
			how = fmt.Sprintf("ended by %s after %s", p.Signal, ms(p))
		case p.End < 0:
			how = "it still ran"
		}
		rows := []string{how}
		return holds(p), append(rows, excerpt("stderr", p.Stderr)...)
	})
}

func ms(p *record.Program) string { return fmt.Sprintf("%d ms", (p.End - p.T).Milliseconds()) }

// wrote looks at what a program wrote. Of a long output the record has the beginning:
// what that does not prove does not hold.
func wrote(host, stream, want string, of func(*record.Program) ([]byte, int64), holds func(text []byte, whole bool) bool) gomegaMatcher {
	return program(host, fmt.Sprintf("%s of the program on %s %s", stream, host, want), func(p *record.Program) (bool, []string) {
		text, size := of(p)
		rows := excerpt(stream, text)
		more := size - int64(len(text))
		if more > 0 {
			rows = append(rows, fmt.Sprintf("and %d bytes more, which are not kept, so that nothing is known of them", more))
		}
		return holds(text, more <= 0), rows
	})
}

// fewRows is how much of an output is shown where a claim does not hold.
const fewRows = 10

// excerpt is the end of what a program wrote.
func excerpt(stream string, text []byte) (rows []string) {
	all := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	if len(all) == 1 && all[0] == "" {
		return nil
	}
	if len(all) > fewRows {
		rows = append(rows, fmt.Sprintf("%s | … %d lines before", stream, len(all)-fewRows))
		all = all[len(all)-fewRows:]
	}
	for _, line := range all {
		rows = append(rows, fmt.Sprintf("%s | %s", stream, record.Fit(record.Printable(strings.TrimRight(line, "\r")), 200)))
	}
	return rows
}

// left counts the sockets that were left when the play ended. Listeners count only
// where they are asked for.
func left(where place, want amount) gomegaMatcher {
	return &found{
		want: fmt.Sprintf("%s sockets of %s%s when the play ends", want, where.host, where.where()),
		look: func(r *record.Run) (bool, []string) {
			n := int64(0)
			var rows []string
			for _, s := range r.Sockets {
				if s.Host != where.host {
					continue
				}
				row := fmt.Sprintf("%s %s > %s", s.State, s.Local, s.Remote)
				if s.Timer != "" {
					row += fmt.Sprintf(", timer %s %d ms", s.Timer, s.Expires.Milliseconds())
				}
				if s.Orphan {
					row += ", orphan"
				}
				rows = append(rows, row)
				if where.state == nil && s.State != tcp.Listen || where.state != nil && s.State == where.state.state {
					n++
				}
			}
			return want.holds(n), rows
		},
	}
}

// aFile looks at a file that was kept.
func aFile(host, name, want string, holds func(*record.File) bool) gomegaMatcher {
	return &found{
		want: fmt.Sprintf("the file %s of %s %s", name, host, want),
		look: func(r *record.Run) (bool, []string) {
			var kept *record.File
			var rows []string
			for _, p := range r.On(host).Programs {
				for i := range p.Files {
					f := &p.Files[i]
					rows = append(rows, fmt.Sprintf("%s, %d bytes, SHA-256 %.8s…", f.Name, f.Size, f.SHA256))
					if f.Name == strings.TrimPrefix(name, "{dir}/") {
						kept = f
					}
				}
			}
			return holds(kept), rows
		},
	}
}
