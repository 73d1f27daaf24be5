package matrix

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// both are a state and an arrival by name.
func both(t *testing.T, state, arrival string) (*State, *Arrival) {
	t.Helper()
	states, arrivals := States(), Arrivals()
	s := slices.IndexFunc(states, func(s State) bool { return s.Name == state })
	a := slices.IndexFunc(arrivals, func(a Arrival) bool { return a.Name == arrival })
	if s < 0 || a < 0 {
		t.Fatalf("there is no %s × %s", state, arrival)
	}
	return &states[s], &arrivals[a]
}

func TestCellsWithoutMeaning(t *testing.T) {
	got := map[string]int{}
	cells := 0
	for _, s := range States() {
		for _, a := range Arrivals() {
			cells++
			if senseless(&s, &a) != "" {
				got[a.Name]++
			}
		}
	}
	want := map[string]int{"fin-again": 9, "no-timestamp": 3, "close": 5, "kill": 5}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if cells != 13*19 {
		t.Errorf("there are %d cells", cells)
	}
}

func TestEveryCellIsAskedSomething(t *testing.T) {
	for _, s := range States() {
		for _, a := range Arrivals() {
			want := asked(&s, &a)
			if !strings.HasPrefix(want.text, "RFC ") || len(want.outcomes) == 0 {
				t.Errorf("%s × %s is asked %q, with %d outcomes", s.Name, a.Name, want.text, len(want.outcomes))
			}
		}
	}
}

func TestWhatArrives(t *testing.T) {
	for name, want := range map[string]segment{
		"ESTABLISHED rst-exact":     {flags: tcp.RST, seq: 101, ack: 101},
		"CLOSE_WAIT rst-below":      {flags: tcp.RST, seq: 101, ack: 101},
		"ESTABLISHED rst-in-window": {flags: tcp.RST, seq: 111, ack: 101},
		"FIN_WAIT_1 rst-beyond":     {flags: tcp.RST, seq: 111, windows: 1, ack: 101},
		"SYN_SENT rst-exact":        {flags: tcp.RST | tcp.ACK, seq: 1, ack: 1},
		"SYN_SENT rst-below":        {flags: tcp.RST, seq: 1, ack: 0},
		"SYN_SENT rst-in-window":    {flags: tcp.RST | tcp.ACK, seq: 1, ack: 11},
		"SYN_SENT rst-beyond":       {flags: tcp.RST | tcp.ACK, seq: 1, ack: 0},
		"TIME_WAIT syn-above":       {flags: tcp.SYN, seq: 100102, windows: 1, ack: 102, mss: true},
		"SYN_SENT syn-ack":          {flags: tcp.SYN | tcp.ACK, seq: 0, ack: 1, mss: true},
		"LAST_ACK syn-ack":          {flags: tcp.SYN | tcp.ACK, seq: 0, ack: 101, mss: true},
		"FIN_WAIT_2 fin":            {flags: tcp.FIN | tcp.ACK, seq: 101, ack: 102},
		"CLOSING fin-again":         {flags: tcp.FIN | tcp.ACK, seq: 101, ack: 101},
		"ESTABLISHED data":          {flags: tcp.PSH | tcp.ACK, seq: 101, ack: 101, len: 10},
		"ESTABLISHED data-below":    {flags: tcp.PSH | tcp.ACK, seq: 51, ack: 101, len: 10},
		"SYN_RECV data-beyond":      {flags: tcp.PSH | tcp.ACK, seq: 1, windows: 1, ack: 0, len: 10},
		"LISTEN data-beyond":        {flags: tcp.PSH | tcp.ACK, seq: 65536, ack: 1, len: 10},
		"FIN_WAIT_1 ack-unsent":     {flags: tcp.ACK, seq: 101, ack: 1102},
		"TIME_WAIT ack-old":         {flags: tcp.ACK, seq: 102, ack: -99898},
	} {
		t.Run(name, func(t *testing.T) {
			state, arrival, _ := strings.Cut(name, " ")
			s, a := both(t, state, arrival)
			got, ok := a.segment(s)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(segment{})); !ok || d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestFence: its ACK covers no FIN that is not acknowledged, and its byte was
// received before.
func TestFence(t *testing.T) {
	for _, s := range States() {
		f := fence(&s, s.Is)
		if f.Seq.Offset+1 >= s.R || f.Len != 1 {
			t.Errorf("%s: the fence begins with %d, and %d is the next", s.Name, f.Seq.Offset, s.R)
		}
		want := s.U
		if s.Is == tcp.SynSent {
			want = s.N + 1000
		}
		if f.Ack.Offset != want {
			t.Errorf("%s: the fence acknowledges %d, want %d", s.Name, f.Ack.Offset, want)
		}
	}
	s, _ := both(t, "SYN_SENT", "syn-ack")
	if f := fence(s, tcp.Established); f.Ack.Offset != s.U {
		t.Errorf("behind SYN_SENT the fence acknowledges %d", f.Ack.Offset)
	}
}

func TestWhatTheRFCsAsk(t *testing.T) {
	none := []Answer{}
	one := func(flags string, seq, ack int64) []Answer { return []Answer{{Flags: flags, Seq: seq, Ack: ack}} }
	for name, c := range map[string]struct {
		answers []Answer
		after   string
		timer   string
		expires int64
		soError string
		departs bool
	}{
		"CLOSED rst-exact":                                  {answers: none, after: "CLOSED"},
		"CLOSED fin":                                        {answers: one("R", 1, 0), after: "CLOSED"},
		"CLOSED syn-in-window":                              {answers: one("R.", 0, 12), after: "CLOSED"},
		"LISTEN syn-above":                                  {answers: one("S.", 0, 1), after: "SYN_RECV"},
		"LISTEN ack-old":                                    {answers: one("R", -99999, 0), after: "LISTEN"},
		"SYN_SENT rst-exact":                                {answers: none, after: "CLOSED"},
		"SYN_SENT rst-below":                                {answers: none, after: "CLOSED", departs: true},
		"SYN_SENT fin":                                      {answers: one("R", 0, 0), after: "SYN_SENT"},
		"SYN_RECV rst-in-window":                            {answers: none, after: "LISTEN", departs: true},
		"SYN_RECV data":                                     {answers: one("R", 0, 0), after: "SYN_RECV"},
		"ESTABLISHED rst-in-window":                         {answers: one(".", 101, 101), after: "ESTABLISHED"},
		"ESTABLISHED rst-in-window: no challenge":           {answers: none, after: "ESTABLISHED", departs: true},
		"ESTABLISHED rst-in-window: two challenges":         {answers: append(one(".", 101, 101), one(".", 101, 101)...), after: "ESTABLISHED", departs: true},
		"ESTABLISHED data":                                  {answers: one(".", 101, 111), after: "ESTABLISHED"},
		"ESTABLISHED data: not acknowledged":                {answers: one(".", 101, 101), after: "ESTABLISHED", departs: true},
		"FIN_WAIT_1 fin":                                    {answers: one(".", 102, 102), after: "CLOSING"},
		"FIN_WAIT_1/orphan fin":                             {answers: one(".", 102, 102), after: "CLOSING/orphan"},
		"FIN_WAIT_1/orphan data":                            {answers: one("R", 101, 0), after: "CLOSED"},
		"FIN_WAIT_2 fin":                                    {answers: one(".", 102, 102), after: "TIME_WAIT", timer: "timewait", expires: 60_000},
		"FIN_WAIT_2/orphan silence":                         {answers: none, after: "FIN_WAIT_2/orphan", timer: "timewait", expires: 60_000, departs: true},
		"FIN_WAIT_2 silence":                                {answers: none, after: "FIN_WAIT_2"},
		"LAST_ACK silence":                                  {answers: one("F.", 101, 102), after: "LAST_ACK", timer: "retransmit"},
		"TIME_WAIT silence":                                 {answers: none, after: "TIME_WAIT", timer: "timewait", expires: 60_000, departs: true},
		"TIME_WAIT silence: four minutes":                   {answers: none, after: "TIME_WAIT", timer: "timewait", expires: 239_900},
		"TIME_WAIT rst-exact":                               {answers: none, after: "CLOSED", departs: true},
		"TIME_WAIT rst-exact: stays":                        {answers: none, after: "TIME_WAIT"},
		"TIME_WAIT syn-above":                               {answers: one("S.", 0, 1), after: "SYN_RECV"},
		"TIME_WAIT syn-above: old":                          {answers: one(".", 102, 102), after: "TIME_WAIT"},
		"CLOSE_WAIT rst-below":                              {answers: none, after: "CLOSED", departs: true},
		"CLOSE_WAIT close":                                  {answers: one("F.", 101, 102), after: "LAST_ACK/orphan"},
		"SYN_SENT icmp-port":                                {answers: none, after: "CLOSED"},
		"ESTABLISHED icmp-port":                             {answers: none, after: "ESTABLISHED"},
		"ESTABLISHED icmp-port: the program learns of it":   {answers: none, after: "ESTABLISHED", soError: "ECONNREFUSED", departs: true},
		"SYN_RECV icmp-port: the request is gone":           {answers: none, after: "LISTEN"},
		"ESTABLISHED no-timestamp: taken":                   {answers: one(".", 101, 111), after: "ESTABLISHED", departs: true},
		"ESTABLISHED no-timestamp: dropped":                 {answers: none, after: "ESTABLISHED"},
		"ESTABLISHED ack-old: not answered":                 {answers: none, after: "ESTABLISHED", departs: true},
		"ESTABLISHED syn-ack: answered with a wrong number": {answers: one(".", 101, 102), after: "ESTABLISHED", departs: true},
	} {
		t.Run(name, func(t *testing.T) {
			words, _, _ := strings.Cut(name, ":")
			state, arrival, _ := strings.Cut(words, " ")
			s, a := both(t, state, arrival)
			want := asked(s, a)
			said := noError
			if c.soError != "" {
				said = c.soError
			}
			got := !want.met(&Cell{Answers: c.answers, StateAfter: c.after, Timer: c.timer, ExpiresMS: c.expires, SOError: &said})
			if got != c.departs {
				t.Errorf("departs: %v, want %v; it is asked: %s", got, c.departs, want.text)
			}
		})
	}
}

// TestDepartures: an explanation names cells that there are, none twice, and a
// function or constant of the kernel.
func TestDepartures(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, d := range departures {
		if !strings.Contains(d.because, "tcp_") && !strings.Contains(d.because, "TCP_") {
			t.Errorf("%q names no function of the kernel", d.because)
		}
		for _, state := range d.states {
			for _, arrival := range d.arrivals {
				s, a := both(t, state, arrival)
				if why := senseless(s, a); why != "" {
					t.Errorf("%s × %s has no meaning: %s", state, arrival, why)
				}
				if k := [2]string{state, arrival}; seen[k] {
					t.Errorf("%s × %s is explained twice", state, arrival)
				} else {
					seen[k] = true
				}
			}
		}
	}
}

// text is a pointer to it.
func text(s string) *string { return &s }

// sample is a small matrix with every kind of cell in it.
func sample() *Document {
	cell := func(state, arrival string, ip int) Cell {
		return Cell{
			State: state, Arrival: arrival, IP: ip, Verdict: record.Pass, Answers: []Answer{}, StateAfter: state, RFC: "RFC 9293 §3.10.7.4",
		}
	}
	closed := cell("ESTABLISHED", "rst-exact", 4)
	closed.StateAfter, closed.SOError, closed.Read, closed.Write = "CLOSED", text("ECONNRESET"), text("ECONNRESET"), text("ECONNRESET")
	other := closed
	other.IP = 6
	data := cell("ESTABLISHED", "data", 4)
	data.Answers = []Answer{{Flags: ".", Seq: 101, Ack: 111}, {Flags: "P.", Seq: 101, Ack: 111, Len: 5}}
	departs := cell("TIME_WAIT", "rst-in-window", 4)
	departs.Departs, departs.Because, departs.Timer, departs.ExpiresMS = true, "tcp_timewait_state_process drops it.", "timewait", 59_990
	unlike := departs
	unlike.IP, unlike.StateAfter, unlike.Timer = 6, "CLOSED", ""
	senseless := Cell{State: "TIME_WAIT", Arrival: "close", IP: 4, Verdict: NotApplicable, Why: "no program has a descriptor of it", Answers: []Answer{}}
	failed := Cell{State: "TIME_WAIT", Arrival: "data", IP: 4, Verdict: record.Inconclusive, Why: "the fence was not answered", Answers: []Answer{}}
	return &Document{Schema: Schema, Kernel: "Linux 6.18.1", Cells: []Cell{closed, other, data, departs, unlike, senseless, failed}}
}

func written(t *testing.T, write func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDocumentReadsBack(t *testing.T) {
	d := sample()
	got, err := Read(strings.NewReader(written(t, func(b *bytes.Buffer) error { return d.Write(b) })))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentErrors(t *testing.T) {
	for in, want := range map[string]string{
		"": "EOF", "[]": "cannot unmarshal", `{"schema":2}`: "its schema is 2", `{"schema":1,"cells":[]}`: "no cells", `{"schema":1} {}`: "something follows",
		`{"schema":1,"cells":[{"state":"LISTEN"}]}`: "cell 1 lacks",
		`{"schema":1,"cells":[{"state":"A","arrival":"b","ip":4,"verdict":"PASS"},{"state":"A","arrival":"b","ip":4,"verdict":"PASS"}]}`: "is there twice",
	} {
		if _, err := Read(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", in, err, want)
		}
	}
}

func TestTableReadsBack(t *testing.T) {
	d := sample()
	out := written(t, func(b *bytes.Buffer) error { return d.WriteTable(b) })
	table, err := ReadTable(strings.NewReader(out))
	if err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if table.Kernel != d.Kernel || len(table.Lines) != len(d.Cells) {
		t.Errorf("kernel %q, %d lines, want %q, %d", table.Kernel, len(table.Lines), d.Kernel, len(d.Cells))
	}
	for i := range d.Cells {
		c := &d.Cells[i]
		got, ok := table.Line(c)
		if d := cmp.Diff(c.Line(), got); !ok || d != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name(), d)
		}
	}
}

func TestTableErrors(t *testing.T) {
	const head = "recorded on Linux 6.18\n"
	for in, want := range map[string]string{
		"":                                        "no line says",
		head + "LISTEN  close\n":                  "line 2: want state, arrival",
		head + "LISTEN  close  5  N/A\n":          "families are 4, 6 or 4+6",
		head + "LISTEN  close  4  PASS\n":         "one column is N/A",
		head + "LISTEN  close  4  -  -\n":         "want 6 columns",
		head + "A  b  4  N/A\n\nA  b  4+6  N/A\n": "line 4: A × b over IPv4 is there twice",
		head + "A  b  4  -  A  -  -  -  -  no\n":  "want 6 columns",
	} {
		if _, err := ReadTable(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", in, err, want)
		}
	}
}

func FuzzReadTable(f *testing.F) {
	var b bytes.Buffer
	if err := sample().WriteTable(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add("recorded on x\nA  b  4+6  N/A\n")
	f.Fuzz(func(t *testing.T, in string) {
		table, err := ReadTable(strings.NewReader(in))
		if err == nil && table.Kernel == "" {
			t.Error("a table without its kernel")
		}
	})
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(`{"schema":1,"kernel":"k","cells":[{"state":"A","arrival":"b","ip":4,"verdict":"PASS","answers":[{"flags":"R"}]}]}`)
	f.Add(b.String())
	f.Fuzz(func(t *testing.T, in string) {
		d, err := Read(strings.NewReader(in))
		if err != nil {
			return
		}
		// Whatever was read can be shown, and equals itself.
		if c := Diff(d, d); len(c.Differences)+c.OnlyA+c.OnlyB > 0 {
			t.Errorf("it differs from itself: %+v", c)
		}
		for _, write := range []func(*bytes.Buffer) error{
			func(b *bytes.Buffer) error { return d.WriteTerminal(b, true) },
			func(b *bytes.Buffer) error { return d.WriteMarkdown(b) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDiff(t *testing.T) {
	a, b := sample(), sample()
	for i := range b.Cells {
		b.Cells[i].ExpiresMS += 17 // times do not count
		b.Cells[i].RFC = "something else"
	}
	if c := Diff(a, b); len(c.Differences) != 0 || c.Compared != 6 || len(c.Unmeasured) != 1 || c.Whole() {
		t.Errorf("of two that are alike: %+v", c)
	}
	b.Cells[0].Read = text("0")
	b.Cells[3].Answers = []Answer{{Flags: ".", Seq: 102, Ack: 102}}
	b.Cells[5].Verdict, b.Cells[5].StateAfter = record.Pass, "TIME_WAIT"
	b.Cells = b.Cells[:6]
	c := Diff(a, b)
	var names []string
	for _, d := range c.Differences {
		names = append(names, d.A.Name())
	}
	if d := cmp.Diff([]string{"ESTABLISHED × rst-exact", "TIME_WAIT × rst-in-window", "TIME_WAIT × close"}, names); d != "" || c.OnlyA != 1 {
		t.Errorf("%+v (-want +got):\n%s", c, d)
	}
	out := written(t, func(w *bytes.Buffer) error { return c.Write(w, "Linux 6.12", "Linux 6.18") })
	for _, want := range []string{"A  Linux 6.12\n", "TIME_WAIT × rst-in-window, IPv4\n", "6 cells compared, 3 differ", "1 only in A"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestTerminal(t *testing.T) {
	var full Document
	full.Kernel = "Linux 6.18.1"
	for _, s := range States() {
		for _, a := range Arrivals() {
			full.Cells = append(full.Cells, Cell{
				State: s.Name, Arrival: a.Name, IP: 4, Verdict: record.Pass, Departs: true, StateAfter: "CLOSED", Answers: resets(1),
			})
		}
	}
	if out := written(t, func(b *bytes.Buffer) error { return full.WriteTerminal(b, true) }); !strings.Contains(out, "\x1b[33mrx!\x1b[0m") {
		t.Errorf("a departure has not its colour:\n%s", out)
	}
	for _, d := range []*Document{&full, sample()} {
		out := written(t, func(b *bytes.Buffer) error { return d.WriteTerminal(b, false) })
		for line := range strings.Lines(out) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Error("there are colours where none were asked for")
		}
	}
	out := written(t, func(b *bytes.Buffer) error { return sample().WriteTerminal(b, false) })
	for _, want := range []string{"rst-exact     ·x", "rst-in-window      ≠", "close              –", "data          a    ?"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// TestMarkdown: the document does not change with what changes from run to run.
func TestMarkdown(t *testing.T) {
	a, b := sample(), sample()
	for i := range b.Cells {
		b.Cells[i].ExpiresMS += 17
	}
	x := written(t, func(w *bytes.Buffer) error { return a.WriteMarkdown(w) })
	if d := cmp.Diff(x, written(t, func(w *bytes.Buffer) error { return b.WriteMarkdown(w) })); d != "" {
		t.Errorf("times are in it:\n%s", d)
	}
	for _, want := range []string{"# The arrival matrix of Linux 6.18.1\n", "| `TIME_WAIT` | `rst-in-window`, IPv6 | tcp_timewait_state_process drops it. |", "| `rst-in-window`, IPv4 | `-` | stays |", "| `close` | N/A |"} {
		if !strings.Contains(x, want) {
			t.Errorf("%q is missing in\n%s", want, x)
		}
	}
}

func TestVerdict(t *testing.T) {
	d := sample()
	if v := d.Verdict(false); v != record.Pass {
		t.Errorf("with one cell that says nothing: %s", v)
	}
	if v := d.Verdict(true); v != record.Inconclusive {
		t.Errorf("strict: %s", v)
	}
	d.Cells[0].Verdict = record.Error
	if v := d.Verdict(false); v != record.Error {
		t.Errorf("with an error: %s", v)
	}
	d.Cells = d.Cells[5:]
	if v := d.Verdict(false); v != record.Inconclusive {
		t.Errorf("with nothing measured: %s", v)
	}
}

func TestDetail(t *testing.T) {
	d := sample()
	out := written(t, func(b *bytes.Buffer) error { return d.Cells[3].WriteDetail(b, "a ladder\n", 80) })
	for _, want := range []string{"TIME_WAIT × rst-in-window, IPv4: PASS\n", "arrives   RST, seq R+10", "timer timewait in 59990 ms", "departs   tcp_timewait", "\na ladder\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	out = written(t, func(b *bytes.Buffer) error { return d.Cells[5].WriteDetail(b, "", 80) })
	if !strings.Contains(out, "why       no program has a descriptor of it\n") || strings.Contains(out, "answers") {
		t.Errorf("a cell without meaning:\n%s", out)
	}
}
