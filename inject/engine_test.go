package inject

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/inject/tcp"
)

var (
	clientEnd = netip.MustParseAddrPort("192.0.2.1:40000")
	serverEnd = netip.MustParseAddrPort("192.0.2.2:8080")
	clientMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	serverMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

func testPorts() []Port {
	return []Port{
		{Host: "client", Addrs: []netip.Addr{clientEnd.Addr()}, MAC: clientMAC},
		{Host: "server", Addrs: []netip.Addr{serverEnd.Addr()}, MAC: serverMAC},
	}
}

// bench plays segments through an engine and says what left, in order.
type bench struct {
	t      *testing.T
	engine *Engine
	now    time.Duration
	isn    [2]tcp.Seq
}

func newBench(t *testing.T, rules ...string) *bench {
	t.Helper()
	b := &bench{t: t, engine: NewEngine(testPorts(), true), isn: [2]tcp.Seq{1000, 5000}}
	for _, text := range rules {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.Arm(r); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// send lets a segment arrive; seq and ack are relative. It returns the names
// of what left the wire by it.
func (b *bench) send(from int, flags tcp.Flags, seq, ack, n int) []string {
	b.t.Helper()
	b.enter(from, flags, seq, ack, n)
	return b.left()
}

// enter lets a segment arrive.
func (b *bench) enter(from int, flags tcp.Flags, seq, ack, n int) {
	b.t.Helper()
	src, dst, mac := clientEnd, serverEnd, serverMAC
	if from == 1 {
		src, dst, mac = dst, src, clientMAC
	}
	h := tcp.Header{
		Src: src, Dst: dst, Seq: b.isn[from].Add(seq), Flags: flags, Window: 1000,
		SrcMAC: testPorts()[from].MAC, DstMAC: mac, Payload: make([]byte, n),
	}
	if flags.Has(tcp.ACK) {
		h.Ack = b.isn[1-from].Add(ack)
	}
	frame, err := h.Frame()
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine.Arrive(b.now, from, frame)
}

func (b *bench) left() []string {
	var names []string
	for {
		em, ok := b.engine.Next(b.now)
		if !ok {
			return names
		}
		b.engine.Left(&em, b.now)
		names = append(names, em.Passage.Text(em.Passage.Names.Main()))
	}
}

func (b *bench) want(got []string, want ...string) {
	b.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		b.t.Errorf("left the wire (-want +got):\n%s", d)
	}
}

func (b *bench) handshake() {
	b.t.Helper()
	b.want(b.send(0, tcp.SYN, 0, 0, 0), "client.SYN")
	b.want(b.send(1, tcp.SYN|tcp.ACK, 0, 1, 0), "server.SYN-ACK")
	b.want(b.send(0, tcp.ACK, 1, 1, 0), "client.ACK(server.SYN-ACK)")
}

func TestDropOnceAndAlways(t *testing.T) {
	b := newBench(t, "drop client.FIN", "drop server.FIN always")
	b.handshake()
	b.want(b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0))
	b.want(b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0), "client.FIN#2")
	b.want(b.send(1, tcp.FIN|tcp.ACK, 1, 2, 0))
	b.want(b.send(1, tcp.FIN|tcp.ACK, 1, 2, 0))
	if hits := b.engine.Rules()[1].Hits; hits != 2 {
		t.Errorf("the second rule fired %d times, want 2", hits)
	}
}

func TestHoldUntilSeen(t *testing.T) {
	b := newBench(t, "hold client.FIN until server.FIN")
	b.handshake()
	b.want(b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0))
	// What the condition frees leaves before the segment that met it.
	b.want(b.send(1, tcp.FIN|tcp.ACK, 1, 1, 0), "client.FIN", "server.FIN")
}

func TestHoldUntilState(t *testing.T) {
	b := newBench(t, "hold server.FIN until client in FIN_WAIT_1")
	b.handshake()
	b.want(b.send(1, tcp.FIN|tcp.ACK, 1, 1, 0))
	b.engine.NoteState(b.now, Reading{Conn: 1, Host: "server", State: tcp.FinWait1})
	b.want(b.left())
	b.engine.NoteState(b.now, Reading{Conn: 1, Host: "client", State: tcp.FinWait1})
	b.want(b.left(), "server.FIN")
}

func TestHoldConditionMetBefore(t *testing.T) {
	b := newBench(t, "hold client.FIN until server.SYN-ACK")
	b.handshake()
	b.want(b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0), "client.FIN")
	if hits := b.engine.Rules()[0].Hits; hits != 1 {
		t.Errorf("the rule fired %d times, want 1", hits)
	}
}

func TestDelayAndAtMost(t *testing.T) {
	b := newBench(t, "delay(200ms) client.FIN", "hold server.FIN until client.RST at most 100ms")
	b.handshake()
	b.want(b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0))
	b.now = 50 * time.Millisecond
	b.want(b.send(1, tcp.FIN|tcp.ACK, 1, 1, 0))
	if at, ok := b.engine.Deadline(); !ok || at != 150*time.Millisecond {
		t.Errorf("Deadline() = %v, %v, want 150ms", at, ok)
	}
	b.now = 150 * time.Millisecond
	b.engine.Tick(b.now)
	b.want(b.left(), "server.FIN")
	b.now = 201 * time.Millisecond
	b.engine.Tick(b.now)
	b.want(b.left(), "client.FIN")
	fin := b.engine.Log()[3]
	if d := cmp.Diff([]Departure{{Due: 200 * time.Millisecond, T: 201 * time.Millisecond, Port: 1}}, fin.Departures); d != "" {
		t.Errorf("departures (-want +got):\n%s", d)
	}
}

func TestReleaseCountsWhatNeverCame(t *testing.T) {
	b := newBench(t, "hold client.FIN until server.RST")
	b.handshake()
	b.want(b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0))
	b.engine.Release(b.now)
	b.want(b.left(), "client.FIN")
	if n := b.engine.Rules()[0].Unreleased; n != 1 {
		t.Errorf("Unreleased = %d, want 1", n)
	}
}

// Nothing comes from a silenced port nor goes to it, but what left it before: that is
// under way, and a rule that never lets it go has not done what it should.
func TestSilence(t *testing.T) {
	b := newBench(t, "hold client.FIN until server.RST")
	b.handshake()
	b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0)
	b.engine.Silence(0)
	b.want(b.send(1, tcp.ACK, 1, 1, 0))
	b.want(b.send(0, tcp.ACK, 2, 1, 0))
	b.engine.Release(b.now)
	b.want(b.left(), "client.FIN")
	if n := b.engine.Rules()[0].Unreleased; n != 1 {
		t.Errorf("Unreleased = %d, want 1", n)
	}
}

func TestWatch(t *testing.T) {
	b := newBench(t, "drop client.FIN")
	watch := func(text string) *Watch {
		t.Helper()
		c, err := ParseCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		w, err := b.engine.Watch(c, b.now)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	seen, delivered, fired := watch("client.FIN"), watch("delivered client.FIN"), watch("fired drop client.FIN")
	b.handshake()
	if seen.Met || delivered.Met || fired.Met {
		t.Fatal("a condition was met before its segment came")
	}
	b.send(0, tcp.FIN|tcp.ACK, 1, 1, 0)
	if !seen.Met || delivered.Met || !fired.Met {
		t.Errorf("after a lost FIN: seen %v, delivered %v, fired %v", seen.Met, delivered.Met, fired.Met)
	}
	if w := watch("delivered client.SYN"); !w.Met {
		t.Error("what was delivered before the watch began does not count")
	}
	later := watch("after 1s")
	b.now += time.Second
	b.engine.Tick(b.now)
	if !later.Met {
		t.Error("a second has passed and the watch does not know")
	}
}

func TestArmRefusesUnknownHost(t *testing.T) {
	r, err := ParseRule("drop clinet.FIN")
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewEngine(testPorts(), false).Arm(r)
	want := `parse "clinet.FIN": column 1: there is no host "clinet": the hosts are client, server`
	if err == nil || err.Error() != want {
		t.Errorf("Arm:\n got %v\nwant %s", err, want)
	}
}

func TestRuleText(t *testing.T) {
	for _, text := range []string{
		"drop client.FIN", "drop client.ACK(server.FIN) always", "drop client.FIN 3 times", "delay(200ms) client.FIN",
		"hold server.FIN until client.DATA@2 at most 2s", "hold server.FIN until client in FIN_WAIT_1 always",
		"hold server.FIN until delivered client.FIN#2", "hold client.FIN until after 1.5s", "hold client.FIN until returned server close",
		"hold client.FIN until exited server", "hold client.FIN until fired the first rule", "hold client.FIN until 2:client in CLOSED",
		`drop tcp.flags.fin && is("client.ACK(server.FIN)")`, "hold client.FIN until listening server 8080",
		"hold client.FIN until listening server", "hold client.FIN until exited server#2",
		"duplicate client.FIN", "duplicate(3) client.FIN", "duplicate(1, 100ms) client.FIN", "hold(reversed) client.DATA until client.FIN always",
		"rewrite(seq+=10, ack-=1, flags=R., win=0, ttl=1, options=none, checksum=bad) client.FIN", "rewrite(keep=3) client.DATA",
		"rewrite(seq=RCV.NXT+RCV.WND+10, payload=hello) client.DATA always", "rewrite(tsval-=1000, options=0101) client.DATA",
		"forge(before, R, to=server, seq=RCV.NXT+10) client.FIN", "forge(instead, F., ack=SND.UNA-1, win=5, len=10, ts=old) client.FIN",
		"hold client.FIN until next", "hold client.FIN until next at most 2s", "forge(before, R., to=both, ack=SND.NXT) client.FIN",
		"forge(instead, F., ends) client.FIN", "forge(after, R, to=client, ts=none, ends) client.FIN",
		"forge(after, S, ts=new) client.FIN", "forge(after, R, ts=none) client.FIN",
		"forge(instead, icmp too-big, mtu=1300) client.DATA@2", "cut(500, fin) server.DATA@1", "cut(0, rst) server.DATA",
		"silence(to-server) client.DATA@2", "silence(both) client.FIN", "forget client.DATA@2", "forget(rst) client.DATA@2",
	} {
		r, err := ParseRule(text)
		if err != nil {
			t.Errorf("ParseRule(%q): %v", text, err)
			continue
		}
		if got := r.String(); got != text {
			t.Errorf("ParseRule(%q) prints %q", text, got)
		}
	}
}

func TestRuleErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  `column 1: unknown action "": want one of`,
		"lose client.FIN":                   `column 1: unknown action "lose": want one of`,
		"drop":                              `column 5: want a match after drop, as in drop client.FIN`,
		"drop client.fin":                   `column 13: unknown kind "fin": write FIN`,
		"drop(3) client.FIN":                `column 5: drop takes nothing in brackets`,
		"delay client.FIN":                  `column 6: want a duration as 200ms or 2s, not "", as in delay(200ms) client.FIN`,
		"hold client.FIN":                   `column 16: hold needs what it waits for, as in hold client.FIN until server.FIN`,
		"hold client.FIN until x in DEAD":   `column 28: unknown state "DEAD": they are spelt as FIN_WAIT_2`,
		"hold client.FIN until server.fin":  `column 30: unknown kind "fin": write FIN`,
		"drop client.FIN 0 times":           `column 17: want a number from 1 before times`,
		"drop client.FIN at most 2s":        `column 17: at most belongs to hold`,
		"drop tcp.flags.fni":                `column 16: `,
		`drop is("client.fin") && tcp.len`:  `column 17: unknown kind "fin": write FIN`,
		"drop tcp.len":                      `column 6: `,
		"duplicate(0) client.FIN":           `column 11: want a number of copies from 1 to 1000`,
		"rewrite client.FIN":                `column 8: rewrite needs arguments, as in rewrite(win=0) server.ACK`,
		"rewrite(wni=0) client.FIN":         `column 9: unknown field "wni": want one of seq, ack`,
		"rewrite(win=0, seq=x) client.FIN":  `column 16: want a number such as RCV.NXT+10`,
		"rewrite(win+=1) client.FIN":        `column 9: only seq, ack, tsval and tsecr can be added to`,
		"forge(before) client.FIN":          `column 13: want what is forged`,
		"forge(later, R) client.FIN":        `column 7: want before, after or instead`,
		"forge(before, Q) client.FIN":       `column 15: parse flags "Q"`,
		"forge(before, R, sq=1) client.FIN": `column 18: unknown key "sq"`,
		"forge(before, R, ts=2) client.FIN": `column 18: want ts=none, ts=old or ts=new, not "2"`,
		"forge(before, icmp x) client.FIN":  `column 15: want the reason`,
		"cut(500, fin) client.FIN":          `cut needs the turn or the stream that it cuts`,
		"cut(x) client.DATA":                `column 5: want the number of bytes that pass`,
		"cut(1, ack) client.DATA":           `column 8: want fin or rst`,
		"silence client.FIN":                `column 8: silence needs arguments`,
		"silence(client) client.FIN":        `column 9: want to-HOST or both`,
		"forget(fin) client.FIN":            `column 8: forget takes nothing in brackets but rst`,
		"hold client.FIN until after never": `column 29: want a duration as 200ms or 2s, not "never"`,
		"hold client.FIN until next one":    `column 28: next takes nothing behind it`,

		"forge(before, R, to=both, ends) client.FIN":           `column 33: to=both is for a segment to each end`,
		"forge(before, icmp net-unreachable, ends) client.FIN": `column 43: an ICMP error ends nothing on the wire`,
	} {
		_, err := ParseRule(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRule(%q):\n got %v\nwant …%s…", text, err, want)
		}
	}
}
