package record_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/harness/internal/recordtest"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// A detached sighting has nothing in its private fields but their zero values.
var detached = cmpopts.IgnoreUnexported(flow.Sighting{})

func TestReadsBackEqual(t *testing.T) {
	full := recordtest.Full()
	if missing := zeroFields(reflect.ValueOf(full).Elem(), "Run"); len(missing) > 0 {
		t.Fatalf("the run of this test leaves fields out: %s", missing)
	}
	empty := &record.Run{
		Attempts: []string{}, Claims: []record.Claim{}, Segments: []record.Segment{{Frame: []byte{}, Departures: []record.Departure{}}},
		Calls: []record.Call{{Data: []byte{}}}, Programs: []record.Program{{Argv: []string{}, Stdout: []byte{}}},
	}
	for name, run := range map[string]*record.Run{
		"full": full, "usual": recordtest.LastACKLost(), "zero": {}, "empty lists": empty,
		"markup": {Why: "a<b & c>d \u2028 \x1b \x00"},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			if err := run.Write(&file); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(file.Bytes(), []byte("null")) {
				t.Error("the file says null")
			}
			text := file.String()
			got, err := record.Read(&file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(run, got, detached); diff != "" {
				t.Errorf("reads back as (-want +got):\n%s", diff)
			}
			var again bytes.Buffer
			if err := got.Write(&again); err != nil {
				t.Fatal(err)
			}
			if again.String() != text {
				t.Error("writing what was read gives another file")
			}
		})
	}
}

// zeroFields lists the fields of the record's types that are zero in every
// place of a run where they occur.
func zeroFields(v reflect.Value, name string) []string {
	seen := map[string]bool{}
	var walk func(v reflect.Value, name string)
	walk = func(v reflect.Value, name string) {
		switch v.Kind() {
		case reflect.Pointer:
			walk(v.Elem(), name)
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), name)
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[flow.Names]() {
				return
			}
			for i := range v.NumField() {
				f := v.Type().Field(i)
				if !f.IsExported() {
					continue
				}
				key := v.Type().Name() + "." + f.Name
				seen[key] = seen[key] || !v.Field(i).IsZero()
				walk(v.Field(i), key)
			}
		}
	}
	walk(v, name)
	var missing []string
	for key, set := range seen {
		if !set {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"segments":7}`, `{} {}`, `{"states":[{"state":"FINWAIT"}]}`, `{"segments":[{"flags":"Q"}]}`} {
		if _, err := record.Read(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), "read record: ") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestDocument(t *testing.T) {
	runs := []*record.Run{recordtest.LastACKLost(), recordtest.Full()}
	var out bytes.Buffer
	if err := record.NewDocument(runs).Write(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "document.json", out.String())
}

// The keys of a run that passed, in the order that was promised.
func TestDocumentShape(t *testing.T) {
	const want = `{"schema":1,"verdict":"PASS","kernel":"Linux 6.18.0","scenarios":[{"name":"n","ip":4,"play":"p","verdict":"PASS","duration_ms":1,` +
		`"claims":[{"sentence":"s","verdict":"PASS","why":"","given":false}],"rules":[{"rule":"r","hits":1}],` +
		`"segments":[{"t_us":1,"conn":0,"from":"client","sent_by":"wire","name":"","names":[],"flags":"F.","seq":1,"ack":2,"len":3,"fate":"injected","rule":"","held_us":2,"copies":1}],` +
		`"states":[{"t_us":1,"conn":1,"host":"h","state":"TIME_WAIT","timer":"timewait","expires_ms":60000}],` +
		`"calls":[{"t_us":1,"host":"h","call":"read(3, 1)","result":-1,"errno":"ECONNRESET"}],` +
		`"counters":[{"host":"h","name":"c","delta":1}],"programs":[{"host":"h","argv":[],"exit":0,"signal":"","stdout_size":1,"stderr_size":2,"stdout_sha256":"3c","files":[{"name":"f","size":1,"sha256":"d4"}],"files_left":3}],` +
		`"sockets":[{"host":"h","local":"l","remote":"r","state":"FIN_WAIT_2","timer":"timewait","expires_ms":60000,"orphan":true,"unaccepted":true,"recv_queue":1,"send_queue":2}],` +
		`"sysctls":[{"host":"h","key":"k","value":"1","stock":"60"}]}]}`
	us := time.Microsecond
	got, err := json.Marshal(record.NewDocument([]*record.Run{{
		Scenario: "n", IP: 4, Play: "p", Verdict: record.Pass, Kernel: "Linux 6.18.0", Duration: 1999 * us,
		Claims: []record.Claim{{Sentence: "s", Verdict: record.Pass}}, Rules: []record.Rule{{Rule: "r", Hits: 1}},
		Segments: []record.Segment{
			{Other: true},
			{T: us, Sighting: flow.Sighting{From: "client", SentBy: "wire", Seq: 1, Ack: 2}, Flags: tcp.FIN | tcp.ACK, Len: 3, Fate: record.Injected, Departures: []record.Departure{{T: 3 * us}}},
		},
		States:   []record.State{{T: us, Conn: 1, Host: "h", State: tcp.TimeWait, Timer: "timewait", Expires: time.Minute}},
		Calls:    []record.Call{{T: us, Host: "h", Name: "read", Call: "read(3, 1)", Result: -1, Errno: "ECONNRESET"}},
		Counters: []record.Counter{{Host: "h", Name: "c", Delta: 1}},
		Programs: []record.Program{{Host: "h", StdoutSize: 1, StderrSize: 2, StdoutSHA256: "3c", Files: []record.File{{Name: "f", Size: 1, SHA256: "d4", Data: []byte{1}}}, FilesLeft: 3}},
		Sockets: []record.Socket{{
			Host: "h", Local: "l", Remote: "r", State: tcp.FinWait2, Timer: "timewait", Expires: time.Minute,
			Orphan: true, Unaccepted: true, RecvQueue: 1, SendQueue: 2,
		}},
		Sysctls: []record.Sysctl{{Host: "h", Key: "k", Value: "1", Stock: "60"}},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("document is\n%s, want\n%s", got, want)
	}
}

func TestDocumentOfNothing(t *testing.T) {
	got, err := json.Marshal(record.NewDocument(nil))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"schema":1,"verdict":"INCONCLUSIVE","kernel":"","scenarios":[]}`; string(got) != want {
		t.Errorf("document is %s, want %s", got, want)
	}
	got, err = json.Marshal(record.NewDocument([]*record.Run{{}}))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(got, []byte("null")) {
		t.Errorf("null in %s", got)
	}
}

// docs/json.md has a section for every object, headed by its path, and a row
// for every field, and none besides.
func TestEveryFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want[path+" "+key] = true
			if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				walk(f.Type.Elem(), strings.TrimPrefix(path+"."+key+"[]", "document."))
			}
		}
	}
	walk(reflect.TypeFor[record.Document](), "document")
	got := map[string]bool{}
	section := ""
	heading := regexp.MustCompile("^#+ `([^`]+)`")
	row := regexp.MustCompile("^\\| `([^`]+)` \\|")
	for line := range strings.Lines(string(text)) {
		if m := heading.FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if strings.HasPrefix(line, "#") {
			section = ""
		} else if m := row.FindStringSubmatch(line); m != nil && section != "" {
			got[section+" "+m[1]] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented fields (-want +got):\n%s", diff)
	}
}

func TestWorst(t *testing.T) {
	const p, f, i, s, e = record.Pass, record.Fail, record.Inconclusive, record.Skip, record.Error
	for _, c := range []struct {
		verdicts     []record.Verdict
		want, strict record.Verdict
		exit         int
		exitStrict   int
	}{
		{nil, i, i, 3, 3},
		{[]record.Verdict{p}, p, p, 0, 0},
		{[]record.Verdict{p, f}, f, f, 1, 1},
		{[]record.Verdict{f, e, i, s, p}, f, f, 1, 1},
		{[]record.Verdict{e, i, s, p}, e, e, 2, 2},
		{[]record.Verdict{p, i}, i, i, 3, 3},
		{[]record.Verdict{s, i, p}, i, i, 3, 3},
		{[]record.Verdict{p, s}, p, s, 0, 3},
		{[]record.Verdict{s, s}, s, s, 3, 3},
		{[]record.Verdict{p, ""}, e, e, 2, 2},
		{[]record.Verdict{"", f}, f, f, 1, 1},
		{[]record.Verdict{"maybe"}, e, e, 2, 2},
	} {
		var runs []*record.Run
		for _, v := range c.verdicts {
			runs = append(runs, &record.Run{Verdict: v})
		}
		for strict, want := range map[bool]record.Verdict{false: c.want, true: c.strict} {
			exit := c.exit
			if strict {
				exit = c.exitStrict
			}
			got := record.Overall(runs, strict)
			if got != want || got.ExitStatus() != exit {
				t.Errorf("of %q (strict %t) %s with status %d, want %s with %d", c.verdicts, strict, got, got.ExitStatus(), want, exit)
			}
		}
	}
}

func TestOn(t *testing.T) {
	r := recordtest.Full()
	if got := r.Server(); got.Name != "server" || len(got.Programs) != 1 || got.Programs[0].Exit != 3 || len(got.Calls) == 0 {
		t.Errorf("server is %+v", got)
	}
	if got := r.Client(); got.MAC != "02:00:00:00:00:01" || len(got.Sysctls) != 1 || len(got.Counters) != 1 {
		t.Errorf("client is %+v", got)
	}
	if got := r.On("nobody"); got.Name != "nobody" || got.Calls != nil {
		t.Errorf("nobody is %+v", got)
	}
}

func TestVisited(t *testing.T) {
	r := recordtest.LastACKLost()
	var got []tcp.State
	for _, s := range r.Visited(1, "server") {
		got = append(got, s.State)
	}
	if diff := cmp.Diff([]tcp.State{tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.LastAck, tcp.Closed}, got); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
	if got := r.Visited(2, "server"); got != nil {
		t.Errorf("connection 2: %v", got)
	}
	if s, ok := r.StateAt(1, "client", 1500*time.Microsecond); !ok || s.State != tcp.FinWait1 {
		t.Errorf("client at 1.5 ms: %v %v", s, ok)
	}
	if _, ok := r.StateAt(1, "client", 0); ok {
		t.Error("client has a state before any reading")
	}
}

func TestHeld(t *testing.T) {
	s := record.Segment{T: 5, Departures: []record.Departure{{T: 12}, {T: 99}}}
	if s.Held() != 7 || (&record.Segment{T: 5}).Held() != 0 {
		t.Errorf("held %d", s.Held())
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain text": "plain text", "": "", "größe ✗ 漢字": "größe ✗ 漢字",
		"\x1b[31mred\x07":   `\x1b[31mred\x07`,
		"a\nb\r\tc\x7f\x00": `a\nb\r\tc\x7f\x00`,
		"\xff\xfe ok":       `\xff\xfe ok`,
		"\u202egnp.exe":     `\u202egnp.exe`, "\u0085\u200b": `\u0085\u200b`, "\U000e0001": `\U000e0001`,
	} {
		if got := record.Printable(text); got != want {
			t.Errorf("Printable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestWidthAndFit(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "漢字": 4, "e\u0301": 1, "── ✗ ►": 6, "🙂": 2, "ｱ": 1, "！": 2} {
		if got := record.Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 4, "abc…"}, {"漢字漢字", 5, "漢字…"}, {"漢字", 3, "漢…"}, {"漢字", 2, "…"}, {"abc", 0, ""}, {"abc", -1, ""}} {
		if got := record.Fit(c.text, c.width); got != c.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 8, []string{"one two", "three"}},
		{"  one two three", 8, []string{"  one", "  two", "  three"}},
		{"unbreakable", 4, []string{"unbr", "eaka", "ble"}},
		{"a\n\x1bb\n", 8, []string{"a", `\x1bb`}},
		{"漢字漢字", 3, []string{"漢", "字", "漢", "字"}},
		{"漢字", 1, []string{"漢", "字"}},
	} {
		got := record.Wrap(c.text, c.width)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("Wrap(%q, %d) (-want +got):\n%s", c.text, c.width, diff)
		}
	}
}

func FuzzLadderText(f *testing.F) {
	f.Add("close\x1b[2J", "漢字 long text with no end whatsoever and then some more of it", 80)
	f.Add("", "\n\n  \t", 1)
	f.Fuzz(func(t *testing.T, name, why string, width int) {
		width = 60 + width&0x7f
		r := recordtest.Full()
		r.Scenario, r.Why = name, why
		r.Hosts[1].Name = name
		r.Programs[0].Argv = []string{why, name}
		r.Segments[3].Rule = why
		for line := range strings.Lines(r.DrawLadder(record.LadderOptions{Width: width, Names: true})) {
			line = strings.TrimSuffix(line, "\n")
			if record.Width(line) > width {
				t.Errorf("%d columns, want at most %d: %q", record.Width(line), width, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("control character in %q", line)
			}
		}
	})
}
