package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
)

func dialogues(t *testing.T, request string) []*record.Run {
	var runs []*record.Run
	for range 3 {
		w := tape(t)
		w.dialogue(1, request)
		runs = append(runs, w.ended(0, "ok"))
	}
	return runs
}

func pointNames(list []Point) (names []string) {
	for _, p := range list {
		name := p.Name
		if p.Same != "" {
			name += " = " + p.Same
		}
		names = append(names, name)
	}
	return names
}

func TestPoints(t *testing.T) {
	runs := dialogues(t, "hello")
	want := []string{
		"client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)",
		"client.DATA@1[0]", "client.DATA@1[2] = client.DATA@1[0]", "client.DATA@1[-1] = client.DATA@1[0]",
		"server.DATA@1[0]", "server.DATA@1[8] = server.DATA@1[0]", "server.DATA@1[-1]",
		"server.FIN", "client.FIN", "client.ACK(server.FIN) = client.FIN", "server.ACK(client.FIN)",
	}
	if d := cmp.Diff(want, pointNames(points(runs, 1, false))); d != "" {
		t.Errorf("points (-want +got):\n%s", d)
	}
	deep := points(runs, 1, true)
	if p, ok := pointNamed(deep, "server.DATA@1[10]"); !ok || p.Match != "server.DATA@1[10]" || p.Same != "" {
		t.Errorf("--deep has no point for the second segment: %v", pointNames(deep))
	}
}

func TestPointsOfAnotherConnection(t *testing.T) {
	w := tape(t)
	w.dialogue(1, "one")
	w.dialogue(2, "two")
	run := w.ended(0, "")
	list := points([]*record.Run{run}, 2, false)
	if len(list) == 0 || list[0].Match != "2:client.SYN" {
		t.Errorf("points of connection 2 are %v", pointNames(list))
	}
	if len(points([]*record.Run{run}, 3, false)) != 0 {
		t.Error("there are points of a connection that there never was")
	}
}

// What is not in every recording is no point, and segments are one only where they are
// one in all.
func TestPointsThatWaver(t *testing.T) {
	runs := dialogues(t, "hello")
	w := tape(t)
	w.handshake(1)
	w.send(1, 0, push, "hello", "")
	w.send(1, 1, push, "0123", "")
	w.send(1, 1, push, "456789", "")
	w.send(1, 1, fin, "abcdef", "")
	w.send(1, 0, ack, "", "")
	w.send(1, 0, fin, "", "")
	names := strings.Join(pointNames(points(append(runs, w.ended(0, "")), 1, false)), "\n")
	for _, no := range []string{"server.ACK(client.FIN)", "server.DATA@1[8] =", "client.ACK(server.FIN) ="} {
		if strings.Contains(names, no) {
			t.Errorf("points have %q:\n%s", no, names)
		}
	}
	if !strings.Contains(names, "client.ACK(server.FIN)") {
		t.Errorf("the ACK of the server's FIN is no point, alone or not:\n%s", names)
	}
}

// Every cell has a rule that the wire understands.
func TestCellsHaveRules(t *testing.T) {
	list := points(dialogues(t, "hello"), 1, false)
	for _, side := range []string{Client, Server, Both} {
		all, excluded := cells(list, side)
		if len(all) < 150 || len(excluded) < 6 {
			t.Errorf("%s under test: %d cells, %d reasons", side, len(all), len(excluded))
		}
		seen := map[string]bool{}
		for _, c := range all {
			if seen[c.Name()] {
				t.Errorf("there are two cells %s", c.Name())
			}
			seen[c.Name()] = true
			for _, cell := range []*Cell{&c, c.of("client3")} {
				r, err := inject.ParseRule(cell.rule())
				if err != nil {
					t.Errorf("%s: %v", cell.Name(), err)
					continue
				}
				if _, err := inject.NewEngine([]inject.Port{{Host: Client}, {Host: Server}, {Host: "client3"}}, true).Arm(r); err != nil {
					t.Errorf("%s: %v", cell.Name(), err)
				}
			}
			if c.Fault.Host && c.Strikes == side {
				t.Errorf("%s strikes what is under test", c.Name())
			}
		}
	}
}

func TestRuleOfACell(t *testing.T) {
	list := points(dialogues(t, "hello"), 1, false)
	for name, want := range map[string]string{
		"server.FIN/drop":                     "drop server.FIN",
		"server.FIN/hold-rto":                 "hold server.FIN#1 until delivered server.FIN#2",
		"server.DATA@1[-1]/cut":               "cut(15, fin) server.DATA@1",
		"server.DATA@1[-1]/fin-instead":       "forge(instead, F., ends) server.DATA@1[15]",
		"server.DATA@1[0]/rst-before/client":  "forge(before, R., to=client, ack=SND.NXT, ends) server.DATA@1[0]",
		"server.DATA@1[0]/rst-after/both":     "forge(after, R., to=both, ack=SND.NXT) server.DATA@1[0]",
		"client.DATA@1[3]/silence/to-server":  "silence(to-server) client.DATA@1[3]",
		"client.DATA@1[0]/reboot":             "hold client.DATA@1[0] until returned server boot",
		"server.ACK(client.FIN)/unreachable":  "forge(instead, icmp host-unreachable) server.ACK(client.FIN) always",
		"client.ACK(server.SYN-ACK)/dup-late": "duplicate(1, 100ms) client.ACK(server.SYN-ACK)",
	} {
		s := Selection{Cells: []string{name}}
		got, _, err := s.pick(list, Client)
		if err != nil || len(got) != 1 || got[0].rule() != want || got[0].Name() != name {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
	}
	c := Cell{Point: list[0], Fault: Fault{Name: "silence"}, Side: "to-client"}
	if got, want := c.of("client2").rule(), "silence(to-client2) client2>server:client2.SYN"; got != want {
		t.Errorf("rule of another client is %q, want %q", got, want)
	}
}

func TestSelection(t *testing.T) {
	list := points(dialogues(t, "hello"), 1, false)
	all, _ := cells(list, Client)
	for name, test := range map[string]struct {
		s       Selection
		want    int // -1: some, and fewer than all
		has, no string
	}{
		"all":        {Selection{}, len(all), "server.FIN/drop", ""},
		"points":     {Selection{Points: []string{"server.*"}}, -1, "server.FIN/drop", "client.SYN/drop"},
		"faults":     {Selection{Faults: []string{"rst-*"}}, -1, "server.FIN/rst-after/both", "server.FIN/drop"},
		"one side":   {Selection{Faults: []string{"rst-*/client"}}, -1, "server.FIN/rst-after/client", "server.FIN/rst-after/both"},
		"exclude":    {Selection{Exclude: []string{"*/kill", "client.SYN"}}, -1, "server.FIN/drop", "client.SYN/drop"},
		"shallow":    {Selection{Shallow: 30, Seed: 7}, 30, "", ""},
		"one cell":   {Selection{Cells: []string{"server.FIN/drop"}}, 1, "server.FIN/drop", ""},
		"one twice":  {Selection{Cells: []string{"server.FIN/drop", "server.FIN/drop"}}, 1, "server.FIN/drop", ""},
		"any byte":   {Selection{Cells: []string{"server.DATA@1[3]/cut"}}, 1, "server.DATA@1[3]/cut", ""},
		"from end":   {Selection{Cells: []string{"server.DATA@1[-4]/cut"}}, 1, "server.DATA@1[-4]/cut", ""},
		"same point": {Selection{Points: []string{"client.DATA@1[-1]"}, Faults: []string{"drop"}}, 1, "client.DATA@1[-1]/drop", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := test.s.pick(list, Client)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, c := range got {
				names = append(names, c.Name())
			}
			text := "\n" + strings.Join(names, "\n") + "\n"
			if test.want >= 0 && len(got) != test.want || test.want < 0 && (len(got) == 0 || len(got) >= len(all)) {
				t.Errorf("%d cells of %d:%s", len(got), len(all), text)
			}
			if !strings.Contains(text, test.has) || test.no != "" && strings.Contains(text, "\n"+test.no+"\n") {
				t.Errorf("cells are%s", text)
			}
		})
	}
}

// The same seed chooses the same, each fault is there, and shards make up the whole.
func TestPartsOfAllCells(t *testing.T) {
	list := points(dialogues(t, "hello"), 1, false)
	names := func(s Selection) (names []string) {
		got, _, err := s.pick(list, Client)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got {
			names = append(names, c.Name())
		}
		return names
	}
	some := Selection{Shallow: 40, Seed: 3}
	if d := cmp.Diff(names(some), names(some)); d != "" {
		t.Errorf("one seed, two choices:\n%s", d)
	}
	if cmp.Equal(names(some), names(Selection{Shallow: 40, Seed: 4})) {
		t.Error("another seed makes the same choice")
	}
	text := strings.Join(names(some), " ")
	for _, f := range Faults() {
		if !strings.Contains(text, "/"+f.Name) {
			t.Errorf("of 40 cells none is %s", f.Name)
		}
	}
	seen := map[string]int{}
	for i := range 4 {
		for _, name := range names(Selection{Shard: i + 1, Shards: 4}) {
			seen[name]++
		}
	}
	all := names(Selection{})
	for _, name := range all {
		if seen[name] != 1 {
			t.Errorf("%s is in %d shards", name, seen[name])
		}
	}
	if len(seen) != len(all) {
		t.Errorf("the shards have %d cells, the whole %d", len(seen), len(all))
	}
}

func TestOrder(t *testing.T) {
	var list []Cell
	for _, name := range []string{"drop", "silence", "dup", "poweroff", "rst-after", "drop-always"} {
		f, known := faultNamed(name)
		if !known {
			t.Fatal(name)
		}
		list = append(list, Cell{Fault: f})
	}
	if d := cmp.Diff([]int{1, 3, 5, 0, 2, 4}, order(list)); d != "" {
		t.Errorf("those that wait first, each kind in its order:\n%s", d)
	}
}

func TestSelectionErrors(t *testing.T) {
	list := points(dialogues(t, "hello"), 1, false)
	for want, s := range map[string]Selection{
		`there is no fault "dorp"; the nearest is "drop"`:                                            {Faults: []string{"dorp"}},
		`"server.FIN" is no cell: it is written POINT/FAULT[/SIDE]`:                                  {Cells: []string{"server.FIN"}},
		`cell "server.FIN/rst-insted/client": there is no fault "rst-insted/client"; the nearest`:    {Cells: []string{"server.FIN/rst-insted/client"}},
		`there is no point "server.FNI"; the nearest is "server.FIN"`:                                {Points: []string{"server.FNI"}},
		`cell "sever.FIN/drop": there is no point "sever.FIN"; the nearest is "server.FIN"`:          {Cells: []string{"sever.FIN/drop"}},
		`cell "server.DATA@1[99]/drop": there is no point "server.DATA@1[99]"`:                       {Cells: []string{"server.DATA@1[99]/drop"}},
		`cell "server.FIN/fin-instead" has no meaning: fin: the segment is a FIN itself`:             {Cells: []string{"server.FIN/fin-instead"}},
		`cell "server.FIN/kill/client": with --under-test client the fault is kill`:                  {Cells: []string{"server.FIN/kill/client"}},
		`cell "server.FIN/rst-instead": with --under-test client the fault is rst-instead/client or`: {Cells: []string{"server.FIN/rst-instead"}},
		`there is no shard 5 of 4`: {Shard: 5, Shards: 4},
	} {
		err := s.checkFaults()
		if err == nil {
			_, _, err = s.pick(list, Client)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v:\n got %v\nwant %s", s, err, want)
		}
	}
	for _, text := range []string{"", "1", "0/4", "5/4", "1/0", "a/b", "1/2/3"} {
		if _, _, err := ParseShard(text); err == nil {
			t.Errorf("ParseShard(%q): no error", text)
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*", "a/b"}, {"rst-*/client", "rst-after/client"}, {"a?c", "abc"}, {"DATA@1[0]", "DATA@1[0]"}, {"**a*", "bab"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		got := glob(pattern, text)
		if !strings.ContainsAny(pattern, "*?") && got != (pattern == text) {
			t.Errorf("glob(%q, %q) = %v", pattern, text, got)
		}
		if glob(pattern, text) && !glob("*"+pattern+"*", "x"+text+"y") {
			t.Errorf("glob(%q, %q) matches, and not with more around it", pattern, text)
		}
	})
}

func FuzzSplitCell(f *testing.F) {
	f.Add("server.FIN/rst-instead/client")
	f.Add("/")
	list := []Point{{Name: "server.FIN", Match: "server.FIN"}}
	f.Fuzz(func(t *testing.T, name string) {
		s := Selection{Cells: []string{name}}
		if s.checkFaults() == nil {
			s.pick(list, Client) // refuses or not, and does not break
		}
	})
}
