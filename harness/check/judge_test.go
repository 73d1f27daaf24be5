package check

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
)

func out(text string) outputs {
	return outputs{stdout: contentOf(int64(len(text)), "sha of "+text, []byte(text), nil)}
}

func ok(text string) ending { return ending{ended: true, out: out(text)} }

func failing(exit int, text string) ending {
	return ending{ended: true, exit: exit, words: "it broke", out: out(text)}
}

func withFile(e ending, name, text string) ending {
	e.out["file "+name] = contentOf(int64(len(text)), "sha of "+text, []byte(text), nil)
	return e
}

func TestJudge(t *testing.T) {
	const same = "0123456789"
	status := func(n int) *int { return &n }
	broken := failing(1, "")
	short := ok("01234")
	hung := ending{out: out("")}
	for name, test := range map[string]struct {
		underTest  string
		repairable bool
		free       func(*reference)
		o          observation
		verdict    record.Verdict
		symptoms   []Symptom
		says       string // in a sentence or a note
	}{
		"held":                                     {o: observation{client: ok(same)}, verdict: record.Pass},
		"failed by a fatal fault":                  {o: observation{client: broken}, verdict: record.Pass},
		"failed though all had come":               {o: observation{client: broken, allRead: true}, verdict: record.Pass, says: "every byte of the server had come"},
		"failed by what TCP repairs":               {repairable: true, o: observation{client: broken}, verdict: record.Fail, symptoms: []Symptom{FalseFailure}, says: "the client exited 1 (it broke)"},
		"failed after its own close":               {o: observation{client: broken, afterClose: true}, verdict: record.Fail, symptoms: []Symptom{FalseFailure}},
		"the struck server gave up":                {repairable: true, o: observation{client: broken, gaveUp: Server}, verdict: record.Pass, says: "the server, which was struck, ended the connection by itself"},
		"half an answer taken for a whole":         {o: observation{client: short}, verdict: record.Fail, symptoms: []Symptom{SilentCorruption}, says: "the client exited 0, but stdout has only 5 of 10 bytes"},
		"half an answer, and said so":              {o: observation{client: failing(18, "01234")}, verdict: record.Pass},
		"half a file, and said so":                 {free: func(r *reference) { r.client = withFile(r.client, "a", same) }, o: observation{client: withFile(failing(18, ""), "a", "012")}, verdict: record.Fail, symptoms: []Symptom{SilentCorruption}, says: "file a has only 3 of 10 bytes"},
		"no file, and said so":                     {free: func(r *reference) { r.client = withFile(r.client, "a", same) }, o: observation{client: broken}, verdict: record.Pass},
		"no file, and did not say so":              {free: func(r *reference) { r.client = withFile(r.client, "a", same) }, o: observation{client: ok(same)}, verdict: record.Fail, symptoms: []Symptom{SilentCorruption}, says: "file a is missing"},
		"output that varies":                       {free: func(r *reference) { r.varies = map[string][]string{stdout: {"a", "b"}} }, o: observation{client: short}, verdict: record.Pass},
		"hung":                                     {o: observation{client: hung, waits: "its connection is in ESTABLISHED without a timer"}, verdict: record.Fail, symptoms: []Symptom{Hang}, says: "had not ended after 2s; its connection is in ESTABLISHED"},
		"hung while its server was judged":         {underTest: Server, o: observation{client: hung}, verdict: record.Pass, says: "the client had not ended after 2s"},
		"hung by what TCP repairs, server judged":  {underTest: Server, repairable: true, o: observation{client: hung}, verdict: record.Fail, symptoms: []Symptom{Hang}},
		"short while its server was judged":        {underTest: Server, o: observation{client: short}, verdict: record.Pass, says: "the client exited 0, but stdout"},
		"short by what TCP repairs, server judged": {underTest: Server, repairable: true, o: observation{client: short}, verdict: record.Fail, symptoms: []Symptom{SilentCorruption}},
		"client died by SIGPIPE":                   {o: observation{client: ending{ended: true, exit: -1, signal: "SIGPIPE"}}, verdict: record.Fail, symptoms: []Symptom{Signal}, says: "the client was ended by SIGPIPE"},
		"a shell's client died by SIGPIPE":         {o: observation{client: failing(141, "")}, verdict: record.Fail, symptoms: []Symptom{Signal}, says: "as a shell tells SIGPIPE"},
		"client was killed by the play":            {underTest: Server, o: observation{client: ending{ended: true, signal: "SIGKILL", ours: true}}, verdict: record.Pass},
		"server panicked, client judged":           {o: observation{client: broken, server: ending{complaint: "panic: x"}}, verdict: record.Pass},
		"server panicked":                          {underTest: Server, o: observation{client: broken, server: ending{complaint: "panic: x"}}, verdict: record.Fail, symptoms: []Symptom{Signal}, says: "the server said: panic: x"},
		"server complains without a fault too":     {underTest: Server, free: func(r *reference) { r.server.complaint = "Traceback" }, o: observation{client: broken, server: ending{complaint: "Traceback"}}, verdict: record.Pass},
		"repeated a POST":                          {o: observation{client: ok(same), repeats: []repeat{{1, 2, "POST"}}}, verdict: record.Fail, symptoms: []Symptom{RepeatedEffect}, says: "POST must not be repeated unasked"},
		"repeated a GET":                           {o: observation{client: ok(same), repeats: []repeat{{1, 2, ""}}}, verdict: record.Pass, says: "reached the server's program again on connection 2"},
		"repeated a POST, server judged":           {underTest: Server, o: observation{client: ok(same), repeats: []repeat{{1, 2, "POST"}}}, verdict: record.Pass},
		"took effect twice":                        {free: func(r *reference) { r.effects = 1 }, o: observation{client: ok(same), effects: 2}, verdict: record.Fail, symptoms: []Symptom{RepeatedEffect}},
		"leaked":                                   {underTest: Server, o: observation{client: broken, leaked: "5 more sockets"}, verdict: record.Fail, symptoms: []Symptom{Leak}},
		"leaks were not counted":                   {underTest: Server, o: observation{client: broken, uncounted: "no /proc"}, verdict: record.Pass, says: "whether the server leaks is not known: no /proc"},
		"a second client failed":                   {underTest: Server, o: observation{client: broken, after: &broken}, verdict: record.Fail, symptoms: []Symptom{ServerDown}, says: "a second client, after the fault, exited 1 (it broke)"},
		"a second client hung":                     {underTest: Both, o: observation{client: broken, during: &hung}, verdict: record.Fail, symptoms: []Symptom{ServerDown}, says: "while the fault lasts, had not ended after 2s"},
		"a second client got half":                 {underTest: Server, o: observation{client: broken, after: &short}, verdict: record.Fail, symptoms: []Symptom{ServerDown}},
		"the judge convicts":                       {o: observation{client: ok(same), judge: status(1)}, verdict: record.Fail, symptoms: []Symptom{Judged}},
		"the judge acquits":                        {o: observation{client: short, judge: status(0)}, verdict: record.Pass, says: "the judge acquits it of silent-corruption"},
		"the judge abstains":                       {o: observation{client: short, judge: status(3)}, verdict: record.Fail, symptoms: []Symptom{SilentCorruption}},
		"the judge fails":                          {o: observation{client: ok(same), judge: status(7)}, verdict: record.Error, says: "the judge exited 7"},
		"could not be played":                      {o: observation{trouble: "the server has not listened"}, verdict: record.Error, says: "the server has not listened"},
		"another connection":                       {o: observation{client: ok(same), conns: 2, struck: 1}, verdict: record.Pass, says: "one more connection passed untouched"},
		"a server that crashed is down":            {underTest: Server, o: observation{client: broken, after: &broken, server: ending{ended: true, exit: -1, signal: "SIGSEGV"}}, verdict: record.Fail, symptoms: []Symptom{Signal}},
		"two symptoms, the worst first": {
			underTest: Both, repairable: true, o: observation{client: failing(141, ""), after: &broken},
			verdict: record.Fail, symptoms: []Symptom{Signal, FalseFailure, ServerDown},
		},
	} {
		t.Run(name, func(t *testing.T) {
			free := reference{client: ok(same)}
			if test.free != nil {
				test.free(&free)
			}
			if test.underTest == "" {
				test.underTest = Client
			}
			test.o.fired = true
			got := judge(trial{test.underTest, test.repairable, 2 * time.Second}, &free, &test.o)
			var symptoms []Symptom
			text := strings.Join(got.notes, "\n")
			for _, s := range Symptoms() {
				if sentence, is := got.symptoms[s]; is {
					symptoms = append(symptoms, s)
					text += "\n" + sentence
				}
			}
			if got.verdict != test.verdict {
				t.Errorf("verdict %s, want %s", got.verdict, test.verdict)
			}
			if d := cmp.Diff(test.symptoms, symptoms); d != "" {
				t.Errorf("symptoms (-want +got):\n%s", d)
			}
			if !strings.Contains(text, test.says) {
				t.Errorf("it says\n%s\nand not %q", text, test.says)
			}
			if len(symptoms) > 0 && got.worst() != symptoms[0] {
				t.Errorf("the worst is %s", got.worst())
			}
		})
	}
}

func TestUnfired(t *testing.T) {
	free := reference{client: ok("x")}
	for _, o := range []observation{{client: failing(1, "")}, {fired: true, unsure: "the kernel dropped 3 frames", client: failing(1, "")}} {
		if got := judge(trial{Client, true, time.Second}, &free, &o); got.verdict != record.Inconclusive || len(got.symptoms) > 0 || len(got.notes) != 1 {
			t.Errorf("%+v: %+v", o, got)
		}
	}
}

func TestComplaint(t *testing.T) {
	for text, want := range map[string]string{
		"":            "",
		"all is well": "",
		"2026/11/21 http: panic serving 192.0.2.1: boom\ngoroutine 7 [running]:":                             "",
		"log\npanic: runtime error: index out of range [3]\n\ngoroutine 1 [running]:\n":                      "panic: runtime error: index out of range [3]",
		"fatal error: all goroutines are asleep - deadlock!":                                                 "fatal error: all goroutines are asleep - deadlock!",
		"Traceback (most recent call last):\n  File \"a\"\n    x()\nConnectionResetError: [Errno 104]\nmore": "Traceback (most recent call last): ConnectionResetError: [Errno 104]",
		"thread 'main' panicked at src/main.rs:2:5:\nboom":                                                   "thread 'main' panicked at src/main.rs:2:5:",
		"Exception in thread \"main\" java.io.IOException: x":                                                "Exception in thread \"main\" java.io.IOException: x",
		"terminate called after throwing an instance of 'int'":                                               "terminate called after throwing an instance of 'int'",
		"==12==ERROR: AddressSanitizer: heap-use-after-free":                                                 "==12==ERROR: AddressSanitizer: heap-use-after-free",
		"my panic: is mine": "",
	} {
		if got := complaint([]byte(text)); got != want {
			t.Errorf("complaint(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestIgnoredOutput(t *testing.T) {
	ignore := []*regexp.Regexp{regexp.MustCompile(`(?m)^Date: .*$`)}
	made := func(text string) content {
		return contentOf(int64(len(text)), "sha of "+text, []byte(text), ignore)
	}
	a, b, c := made("Date: 1\nx"), made("Date: 22\nx"), made("Date: 1\ny")
	if !a.equal(b) || a.equal(c) {
		t.Errorf("what is ignored counts, or what is not does not: %v %v %v", a, b, c)
	}
	if lines := variesBy([]content{a, b}); lines != nil {
		t.Errorf("it varies by %q", lines)
	}
	if d := cmp.Diff([]string{"x", "y"}, variesBy([]content{a, a, c})); d != "" {
		t.Errorf("lines that vary (-want +got):\n%s", d)
	}
}

func TestRepeats(t *testing.T) {
	const post = "POST /orders HTTP/1.1\r\nHost: server\r\n\r\nx"
	free := tape(t)
	free.dialogue(1, post)
	twice := func(request string, acknowledge bool) *record.Run {
		w := tape(t)
		w.handshake(1)
		w.send(1, 0, push, request, "")
		if acknowledge {
			w.send(1, 1, ack, "", "")
		}
		w.send(1, 1, rst, "", "")
		w.dialogue(2, request)
		return w.ended(0, "")
	}
	base := free.ended(0, "")
	if d := cmp.Diff([]repeat{{turn: 1, conn: 2, unsafe: "POST"}}, repeats(base, twice(post, true)), cmp.AllowUnexported(repeat{})); d != "" {
		t.Errorf("repeats (-want +got):\n%s", d)
	}
	if got := repeats(base, twice(post, false)); got != nil {
		t.Errorf("what no kernel acknowledged was delivered: %v", got)
	}
	if got := repeats(base, base); got != nil {
		t.Errorf("nothing is repeated: %v", got)
	}
	get := tape(t)
	get.dialogue(1, "GET / HTTP/1.1\r\n\r\n")
	if got := repeats(get.ended(0, ""), twice("GET / HTTP/1.1\r\n\r\n", true)); len(got) != 1 || got[0].unsafe != "" {
		t.Errorf("a GET may be repeated: %v", got)
	}
	if !heardAll(base, base, 1) || heardAll(base, twice(post, true), 1) {
		t.Error("what was heard of the server is wrong")
	}
	gone := tape(t)
	gone.dialogue(1, post)
	early := gone.ended(28, "")
	early.Programs[1].End = 0
	if heardAll(base, early, 1) {
		t.Error("what came when the client's program had ended was not heard")
	}
}

func TestUnsafeMethod(t *testing.T) {
	for text, want := range map[string]string{
		"POST / HTTP/1.1\r\n": "POST", "PATCH /a HTTP/1.0\r\nHost: x": "PATCH", "GET / HTTP/1.1\r\n": "", "DELETE / HTTP/1.1\r\n": "",
		"": "", "put 10\n": "", "POST / HTTP/2\r\n": "", "\x16\x03\x01": "", "set x 1\r\n": "", "one two HTTP/1.1\r\n": "",
	} {
		if got := unsafeMethod([]byte(text)); got != want {
			t.Errorf("unsafeMethod(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestWhoEndedWhat(t *testing.T) {
	w := tape(t)
	w.dialogue(1, "hello")
	free := w.ended(0, "")
	early := tape(t)
	early.handshake(1)
	early.send(1, 0, push, "hello", "")
	early.send(1, 1, rst, "", "")
	if is := early.ended(1, ""); !gaveUp(free, is, 1, Server) || gaveUp(free, is, 1, Client) || gaveUp(free, free, 1, Server) {
		t.Error("it was the server that gave up, and only there")
	}
	half := tape(t)
	half.handshake(1)
	half.send(1, 0, fin, "", "")
	half.send(1, 1, push, "answer", "")
	if !halfCloses(half.ended(0, ""), 1) || halfCloses(free, 1) {
		t.Error("who reads behind its FIN half-closes, and nobody else does")
	}
	if !finished(half.run, 1) {
		t.Error("the client's FIN was there before any fault")
	}
}
