package analyze

import "strings"

// Nearest is what shows the same end in the catalogue.
type Nearest struct {
	// Scenario is a name that `lastack run` takes.
	Scenario string `json:"scenario"`
	// Story is the production bug with this end, as `lastack run` takes it;
	// empty, and null in JSON, where none is known.
	Story Story `json:"story"`
}

// Story is the name of a story, or "" for none, which is null in JSON.
type Story string

// MarshalJSON writes none as null.
func (s Story) MarshalJSON() ([]byte, error) { return nullable(string(s)) }

// likeness is a row of the table: a field that is empty fits anything.
type likeness struct {
	ended    Ended
	by       Who
	why      Why
	state    StateName
	afterFIN bool // one end had closed before
	first    Who  // closed first
	scenario string
	story    Story
}

// likenesses is searched from above. The names are those of the catalogue, and a
// story stands only where its own capture shows that very end: tests of
// suites/tool hold them against both.
var likenesses = []likeness{
	{ended: FourWay, scenario: "close/four-way"},
	{ended: ThreeWay, scenario: "close/three-way"},
	{ended: Simultaneous, scenario: "close/simultaneous"},
	{ended: HalfClosed, first: Client, scenario: "wait/fin-wait-2-half-closed", story: "request-cut-by-fin-leaks-close-wait"},
	{ended: HalfClosed, first: Server, scenario: "wait/fin-wait-2-half-closed", story: "fin-wait-2-leak"},
	{ended: HalfClosed, scenario: "wait/fin-wait-2-half-closed"},
	{ended: KeepaliveTimeout, scenario: "detect/keepalive-finds-dead-peer"},
	{ended: Unanswered, scenario: "detect/syn-retries{tcp_syn_linear_timeouts=2}"},
	{ended: Refused, why: ClosedPort, scenario: "reset/closed-port"},
	{ended: Refused, scenario: "detect/icmp-in-syn-sent{port-unreachable}"},
	{ended: Reset, why: DataAfterClose, scenario: "reset/data-after-close", story: "idle-close-race"},
	{ended: Reset, why: UnreadData, scenario: "close/unread-data"},
	{ended: Reset, why: Abort, state: "CLOSE_WAIT", scenario: "close/linger-zero-in{state=CLOSE_WAIT}"},
	{ended: Reset, why: Abort, state: "FIN_WAIT_1", scenario: "close/linger-zero-in{state=FIN_WAIT_1}"},
	{ended: Reset, why: Abort, state: "FIN_WAIT_2", scenario: "close/linger-zero-in{state=FIN_WAIT_2}"},
	{ended: Reset, why: Abort, scenario: "close/linger-zero"},
	{ended: Reset, why: Backlog, scenario: "reset/accept-queue-full{tcp_abort_on_overflow=1}"},
	{ended: Reset, why: ByMiddlebox, scenario: "reset/middlebox-resets-both"},
	{ended: Reset, why: UnknownConnection, afterFIN: true, scenario: "crash/host-after-fin-boots"},
	{ended: Reset, why: UnknownConnection, by: Server, scenario: "crash/host-boots{before=write}"},
	{ended: Reset, why: UnknownConnection, scenario: "reset/half-open-after-boot"},
}

// nearest is the row that fits, or nil. What is unclear has no likeness. keptAlive
// tells that keep-alives had no answer, and nothing else.
func nearest(c *Connection, keptAlive bool) *Nearest {
	if c.Ended == Abandoned {
		return nearestAbandoned(c, keptAlive)
	}
	for _, l := range likenesses {
		if l.ended != c.Ended {
			continue
		}
		if r := c.Reset; l.why != "" && (r == nil || r.Why != l.why || l.by != "" && r.By != l.by || l.state != "" && r.InState != l.state) {
			continue
		}
		if l.afterFIN && c.ClosedFirst == "" || l.first != "" && l.first != c.ClosedFirst {
			continue
		}
		return &Nearest{Scenario: l.scenario, Story: l.story}
	}
	return nil
}

// abandonedLikenesses go by the state of an end that repeated, or waited for
// who did.
var abandonedLikenesses = []struct {
	state    StateName
	scenario string
	story    Story
}{
	{"SYN_RECV", "detect/syn-ack-never-answered", ""},
	{"LAST_ACK", "close/last-ack-lost-for-ever", "stuck-in-last-ack"},
	{"CLOSING", "detect/fin-never-answered-in-closing", ""},
	{"FIN_WAIT_1", "detect/fin-never-answered", "close-on-dead-path"},
	{"CLOSE_WAIT", "detect/data-never-answered-in-close-wait", ""},
	{"ESTABLISHED", "detect/retransmission-timeout{tcp_retries2=3}", "silent-peer"},
	{"", "detect/zero-window-probes-unanswered", ""},
}

// nearestAbandoned looks at what was repeated.
func nearestAbandoned(c *Connection, keptAlive bool) *Nearest {
	if keptAlive && len(c.Repeats) == 0 {
		return &Nearest{Scenario: "detect/keepalive-finds-dead-peer"}
	}
	for _, l := range abandonedLikenesses {
		probes := l.state == ""
		if probes || l.state == c.States.Client || l.state == c.States.Server {
			if l.state == "ESTABLISHED" && len(c.Repeats) == 0 {
				continue
			}
			n := &Nearest{Scenario: l.scenario, Story: l.story}
			if l.story == "silent-peer" && !c.unansweredRequest() {
				n.Story = ""
			}
			return n
		}
	}
	return nil
}

// unansweredRequest reports whether what was repeated is data of the client, and
// nothing else.
func (c *Connection) unansweredRequest() bool {
	for _, r := range c.Repeats {
		if !strings.HasPrefix(r.Name, "client.DATA") {
			return false
		}
	}
	return len(c.Repeats) > 0
}

// Likenesses lists what Nearest can name, so that a test can hold it against
// the catalogue.
func Likenesses() []Nearest {
	var list []Nearest
	for _, l := range likenesses {
		list = append(list, Nearest{Scenario: l.scenario, Story: l.story})
	}
	for _, l := range abandonedLikenesses {
		list = append(list, Nearest{Scenario: l.scenario, Story: l.story})
	}
	return list
}
