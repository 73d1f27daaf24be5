package file_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
)

// parse reads a text that is right.
func parse(t *testing.T, text string) []*file.Scenario {
	t.Helper()
	list, err := file.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// all is a file that holds every key.
func all(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryKey(t *testing.T) {
	list := parse(t, all(t))
	if len(list) != 2 || list[0].Name != "every-key" || list[1].Name != "second" {
		t.Fatalf("%d scenarios", len(list))
	}
	s := list[0]
	if diff := cmp.Diff([]file.Expected{{Variant: "default", Verdict: record.Fail}, {Variant: "mended", Verdict: record.Pass}}, s.Verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"default", "mended", "other"}, s.Variants); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(s.Text, "# A comment.\n") || strings.Contains(s.Text, "second") || strings.Contains(list[1].Text, "every-key") {
		t.Errorf("the text of the first is %q", s.Text)
	}
	plays, err := s.Plays("default", nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range plays {
		names = append(names, p.Scenario.Name)
	}
	want := []string{
		"every-key{keep=0,then=fin}", "every-key{keep=0,then=rst}", "every-key{keep=-1,then=fin}", "every-key{keep=-1,then=rst}",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("plays (-want +got):\n%s", diff)
	}
	var claims []string
	for _, c := range plays[0].Scenario.Claims {
		says := c.Says
		if c.Given {
			says = "given: " + says
		}
		claims = append(claims, says)
	}
	golden, err := os.ReadFile("testdata/all.claims")
	if *update {
		err = os.WriteFile("testdata/all.claims", []byte(strings.Join(claims, "\n")+"\n"), 0o644)
		golden = []byte(strings.Join(claims, "\n") + "\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), strings.Join(claims, "\n")+"\n"); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	// A variant is laid over: its exit status is another, and a claim is gone.
	mended, err := s.Plays("mended", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, c := range mended[0].Scenario.Claims {
		text += c.Says + "\n"
	}
	if !strings.Contains(text, "exits with 7\n") || strings.Contains(text, "signal") || !strings.Contains(text, "TIME_WAIT") {
		t.Errorf("the claims of the variant are\n%s", text)
	}
	if _, err := s.Plays("mendet", nil); err == nil || !strings.Contains(err.Error(), `the nearest is "mended"`) {
		t.Errorf("an unknown variant: %v", err)
	}
	if _, err := s.Plays("default", map[string][]string{"proxy": {"x"}}); err == nil || !strings.Contains(err.Error(), "programs run on server, client") {
		t.Errorf("a host that runs nothing: %v", err)
	}
}

func TestProgramsMustBeThere(t *testing.T) {
	const text = `lastack: 1
name: x
summary: s
hosts:
  server: { run: [no-such-program] }
  client: { run: ["builtin:downlaod"], after: [server] }
`
	s := parse(t, text)[0]
	err := s.Check(s.Variants, nil)
	if err == nil || !strings.HasPrefix(err.Error(), `test.yaml:5:19: there is no program "no-such-program"`) {
		t.Errorf("a program that is not there: %v", err)
	}
	err = s.Check(s.Variants, map[string][]string{"server": {"sh"}})
	if err == nil || !strings.Contains(err.Error(), `test.yaml:6:19: there is no builtin "downlaod"; the nearest is "download"`) {
		t.Errorf("a builtin that is not there: %v", err)
	}
	if err := s.Check(s.Variants, map[string][]string{"server": {"sh"}, "client": {"sh"}}); err != nil {
		t.Errorf("both replaced: %v", err)
	}
}

// TestLongOutput: of an output that the record does not have whole, a claim holds only
// where what it has proves it.
func TestLongOutput(t *testing.T) {
	const text = `lastack: 1
name: x
summary: s
hosts: { client: { run: [./c] } }
expect:
  client:
    stdout: { lines: { a: 1, b: at least 1, c: at most 1 }, contains: [a, c], absent: [a, c], matches: ["^a", "^c"], equals: "a\nb\n", size: 4 }
`
	plays, err := parse(t, text)[0].Plays(file.Default, nil)
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]string{4: "✓✓✓ ✓✗ ✗✓ ✓✗ ✓ ✓", 5: "✗✓✗ ✓✗ ✗✗ ✓✗ ✗ ✗"} {
		r := &record.Run{Verdict: record.Pass, Programs: []record.Program{{Host: "client", Stdout: []byte("a\nb\n"), StdoutSize: size}}}
		harness.Judge(&plays[0].Scenario, r)
		got := ""
		for _, c := range r.Claims {
			got += map[record.Verdict]string{record.Pass: "✓", record.Fail: "✗"}[c.Verdict]
			if told := strings.Contains(c.Why, "and 1 bytes more, which are not kept"); told != (size == 5 && c.Verdict == record.Fail && !strings.Contains(c.Sentence, "bytes")) {
				t.Errorf("of %d bytes: %s: %s", size, c.Sentence, c.Why)
			}
		}
		if want = strings.ReplaceAll(want, " ", ""); got != want {
			t.Errorf("of %d bytes: %s, want %s", size, got, want)
		}
	}
}

func TestReadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	f, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(100 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for path, want := range map[string]string{
		large:                       "larger than 256 KiB",
		dir:                         "directory",
		filepath.Join(dir, "x.yml"): "no such file",
		"/dev/zero":                 "larger than 256 KiB",
	} {
		_, err := file.Read(path)
		var wrong *file.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) || wrong.File != path {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestWords(t *testing.T) {
	for command, want := range map[string]any{
		`./srv --port 8080`:             []string{"./srv", "--port", "8080"},
		"  a\tb\n":                      []string{"a", "b"},
		`sh -c 'echo "a b" | cat'`:      []string{"sh", "-c", `echo "a b" | cat`},
		`a "b c" d\ e '' ""`:            []string{"a", "b c", "d e", "", ""},
		`a "\"q\" \\ \n $x"`:            []string{"a", `"q" \ \n $x`},
		`a x'y'"z"`:                     []string{"a", "xyz"},
		`a '|' \; "&"`:                  []string{"a", "|", ";", "&"},
		`curl http://server/?a=1&b=2 *`: []string{"curl", "http://server/?a=1&b=2", "*"},
		`a | b`:                         "| is for a shell",
		`a > b`:                         "> is for a shell",
		`a 'b`:                          "closing '",
		`a "b`:                          `closing "`,
		`a \`:                           `behind the \`,
		``:                              "empty",
		`''`:                            "empty",
	} {
		got, err := file.Words(command)
		switch want := want.(type) {
		case []string:
			if err != nil || !cmp.Equal(want, got) {
				t.Errorf("%s: %q, %v, want %q", command, got, err, want)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, %v, want an error with %q", command, got, err, want)
			}
		}
	}
}

// TestDraft: what a draft writes is a file that says the same.
func TestDraft(t *testing.T) {
	var rules []inject.Rule
	for _, text := range []string{
		"drop server.FIN#1", "delay(200ms) client.FIN", "hold(reversed) client.DATA until server in FIN_WAIT_2 at most 2s 3 times",
		"hold client.DATA@2 until server.FIN", "duplicate(2) client.SYN", "duplicate(1, 50ms) client.FIN always",
		"rewrite(seq=RCV.NXT+10, ack-=1, win=0, flags=F., options=none) client.ACK", "rewrite(payload=a: b #c) client.DATA@1",
		"forge(before, R, to=server, seq=RCV.NXT+RCV.WND+10) client.FIN", "forge(instead, icmp too-big, mtu=1280) client.DATA@1[0]",
		"forge(after, P., len=3, ts=old) client.DATA@1[2:]", "cut(-1, fin) server.DATA@1", "cut(500, rst) server.DATA",
		"silence(to-server) client.DATA@2", "silence(both) client.DATA@3", "forget client.DATA@4", "forget(rst) client.DATA@5",
		`drop tcp.len == 2 && from == "client" && is("client.DATA#2")`,
	} {
		r, err := inject.ParseRule(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		rules = append(rules, r)
	}
	d := file.Draft{
		Name: "try", Summary: "true: # no", Client: []string{"./c", "", "-x", "--", "~", "1e3", "yes", "${HOME}", "ü\n", "'", "a:"},
		Server: []string{"builtin:http", "http://server:8080/"}, Listen: 8080, Rules: rules, Exit: "not 3",
		Sysctls: [][2]string{{"client:net.ipv4.tcp_retries2", "3"}},
	}
	text := d.Text()
	list, err := file.Parse("draft.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	argv, armed := file.Inside(list[0])
	if diff := cmp.Diff([][]string{d.Server, d.Client}, argv); diff != "" {
		t.Errorf("programs (-want +got):\n%s\n%s", diff, text)
	}
	for i := range rules {
		if i >= len(armed) || armed[i].String() != rules[i].String() {
			t.Errorf("rule %d is %v, want %v", i, armed[i], rules[i])
		}
	}
	if list[0].Summary != d.Summary {
		t.Errorf("summary %q", list[0].Summary)
	}
	d = file.Draft{Name: "try", Summary: "s", Client: []string{"c"}, Server: []string{"s"}, Log: `up \d+ "now"`}
	if _, err := file.Parse("draft.yaml", []byte(d.Text())); err != nil {
		t.Errorf("%v\n%s", err, d.Text())
	}
}

// TestSchemaIsFresh: docs/lastack.schema.json is what lastack schema prints.
func TestSchemaIsFresh(t *testing.T) {
	const name = "../../docs/lastack.schema.json"
	if *update {
		if err := os.WriteFile(name, file.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, file.Schema()) {
		t.Error("docs/lastack.schema.json is stale: lastack schema > docs/lastack.schema.json")
	}
}

func FuzzFile(f *testing.F) {
	names, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(names, "testdata/all.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := file.Parse("fuzz.yaml", data)
		var wrong *file.Error
		switch {
		case err == nil:
			for _, s := range list {
				for _, v := range s.Variants {
					if _, err := s.Plays(v, nil); err != nil {
						t.Error(err)
					}
				}
			}
		case !errors.As(err, &wrong):
			t.Errorf("error %v, want a *file.Error", err)
		case strings.Contains(err.Error(), "\n"):
			t.Errorf("more than one line: %q", err)
		default:
			wrong.Excerpt(80)
		}
	})
}
