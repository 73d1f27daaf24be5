package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// LadderOptions say how a ladder is drawn.
type LadderOptions struct {
	// Width is the number of columns that no line exceeds; 0 means 80, and
	// less than 60 counts as 60.
	Width int
	// Color marks what was lost, kept, made or changed with ANSI colours.
	Color bool
	// Names prints the whole name of a segment, as a rule takes it; without it
	// the kind alone, since the arrow shows whose it is.
	Names bool
	// Most bounds how many segments, calls and the like are drawn: of more the first
	// and the last, and between them how many segments were left out. 0 draws all.
	Most int
	// Whole says there where all of it is: "ladder.txt has them".
	Whole string
}

// Ladder draws the run in at most 80 columns without colours: each segment
// with the states of both kernels beside it, and the calls of both programs in
// between. It ends with a newline.
func (r *Run) Ladder() string { return r.DrawLadder(LadderOptions{Names: true}) }

// DrawLadder draws the run.
//
//	──►  delivered when it came      ──✗  dropped
//	──┤  held when it came           ├─►  let go, or sent once more
//	✱─►  made by a rule or by the attacker
//
// The sender's state is the one in which it was seen when the segment came to
// the wire, the receiver's the one after it was delivered.
func (r *Run) DrawLadder(o LadderOptions) string {
	l := newLadder(r, o)
	l.title()
	events := l.events()
	from, to := leftOut(events, o.Most)
	for i := range events {
		switch {
		case i == from && from < to:
			l.leaveOut(events[from:to])
		case i == to && from < to:
			l.goOn()
		}
		events[i].draw()
	}
	l.footer()
	return l.out.String()
}

// leftOut are the events from which and up to which nothing is drawn. Readings do not
// count: few of them draw anything.
func leftOut(events []event, most int) (from, to int) {
	var counted []int
	for i := range events {
		if events[i].rank != rankState {
			counted = append(counted, i)
		}
	}
	if most <= 0 || len(counted) <= most {
		return 0, 0
	}
	return counted[most/2], counted[len(counted)-(most-most/2)]
}

// leaveOut draws nothing from here on but how many segments that are. What is not
// drawn is followed all the same, for the states that hold behind it.
func (l *ladder) leaveOut(events []event) {
	segments := 0
	for _, e := range events {
		if e.arrives {
			segments++
		}
	}
	text := fmt.Sprintf("… %d segments are left out here", segments)
	if l.opts.Whole != "" {
		text += "; " + l.opts.Whole
	}
	for _, row := range Wrap(text, l.width-l.clock-1) {
		l.line(strings.Repeat(" ", l.clock+1) + row)
	}
	l.before, l.muted = l.shown, true
}

// goOn draws again, and names the hosts if others stood there before.
func (l *ladder) goOn() {
	l.muted = false
	pair := l.shown
	l.shown = l.before
	l.heading(pair)
}

// stateWidth is the length of the longest state, ESTABLISHED.
const stateWidth = 11

type ladder struct {
	run   *Run
	opts  LadderOptions
	out   strings.Builder
	width int
	clock int // columns of the time
	digit int // decimals of the time
	lane  int // columns of the arrows

	pairs    map[int][2]string // by connection: the host at the left and at the right
	main     [2]string
	shown    [2]string // the pair under the last heading
	headed   bool
	muted    bool      // nothing is drawn
	before   [2]string // shown when that began
	current  map[end]reading
	readings map[int][]*State // by segment
	times    []time.Duration  // of everything that is drawn, to see what lies between
}

type end struct {
	conn int
	host string
}

type reading struct {
	state tcp.State
	at    time.Duration
}

// event is something that is drawn at its time.
type event struct {
	at      time.Duration
	rank    int  // of what happens at the same time: causes first
	arrives bool // it is a segment that came to the wire
	draw    func()
}

// The ranks.
const (
	rankCall = iota
	rankSegment
	rankState
	rankReturn
)

func newLadder(r *Run, o LadderOptions) *ladder {
	l := &ladder{
		run: r, opts: o, width: o.Width, digit: 3,
		pairs: map[int][2]string{}, current: map[end]reading{}, readings: map[int][]*State{},
	}
	if l.width == 0 {
		l.width = 80
	}
	l.width = max(l.width, 60)
	last := r.Duration
	for i := range r.Segments {
		last = max(last, r.Segments[i].T)
		for _, d := range r.Segments[i].Departures {
			last = max(last, d.T)
		}
	}
	for i := range r.States {
		last = max(last, r.States[i].T)
	}
	for i := range r.Calls {
		last = max(last, r.Calls[i].T, r.Calls[i].End)
	}
	if last >= 100*time.Second {
		l.digit = 1
	}
	l.clock = max(len(l.ms(last)), 7)
	l.lane = l.width - l.clock - 2*stateWidth - 3
	l.main = l.mainPair()
	for i := range r.Segments {
		s := &r.Segments[i]
		if _, ok := l.pairs[s.Conn]; !ok && !s.Other && s.Conn != 0 {
			l.pairs[s.Conn] = l.pair(s.Opener, s.Accepter)
		}
	}
	from := r.arrivals()
	for i := range r.States {
		s := &r.States[i]
		if s.Segment >= 0 {
			l.readings[s.Segment] = append(l.readings[s.Segment], s)
		}
		l.belongsTo(s, from)
	}
	return l
}

// belongsTo counts a reading as one of the arrival of its host's next segment
// too, where that had come in before the reading was made and left after it: the
// segment waited its turn meanwhile, and a state that does not change is not
// kept twice.
func (l *ladder) belongsTo(s *State, from map[end][]arrived) {
	list := from[end{s.Conn, s.Host}]
	// Before the first of which one has left so late none did.
	first, _ := slices.BinarySearchFunc(list, s.T, func(x arrived, t time.Duration) int { return cmp.Compare(x.latest, t) })
	for _, x := range list[first:] {
		segment := &l.run.Segments[x.index]
		if segment.T >= s.T {
			return
		}
		if x.index != s.Segment && s.T <= segment.Departures[0].T {
			own := *s
			own.Segment, own.After = x.index, false
			l.readings[x.index] = append(l.readings[x.index], &own)
			return
		}
	}
}

// arrived is a segment that came in and left, in the order of arrival.
type arrived struct {
	index  int
	latest time.Duration // at which it or one before it left
}

// arrivals are those of each end of each connection, which went on by themselves.
func (r *Run) arrivals() map[end][]arrived {
	from := map[end][]arrived{}
	for i := range r.Segments {
		x := &r.Segments[i]
		if x.Other || x.Forged || x.kept() || len(x.Departures) == 0 {
			continue
		}
		key := end{x.Conn, x.From}
		latest := x.Departures[0].T
		if n := len(from[key]); n > 0 {
			latest = max(latest, from[key][n-1].latest)
		}
		from[key] = append(from[key], arrived{i, latest})
	}
	return from
}

// mainPair is who stands left and right where nothing says otherwise.
func (l *ladder) mainPair() [2]string {
	if h := l.run.Hosts; len(h) >= 2 {
		return [2]string{h[0].Name, h[1].Name}
	}
	for i := range l.run.Segments {
		if s := &l.run.Segments[i]; !s.Other && s.Conn != 0 {
			return [2]string{s.Opener, s.Accepter}
		}
	}
	return [2]string{"client", "server"}
}

// pair places two hosts: who has a side of its own keeps it, and else the
// opener stands left.
func (l *ladder) pair(opener, accepter string) [2]string {
	if accepter == l.main[0] || opener == l.main[1] {
		return [2]string{accepter, opener}
	}
	return [2]string{opener, accepter}
}

func (l *ladder) ms(t time.Duration) string {
	return fmt.Sprintf("%.*f", l.digit, float64(t)/float64(time.Millisecond))
}

// The colours, by what they mean.
const (
	dim    = "2"
	bold   = "1"
	red    = "31"
	yellow = "33"
	cyan   = "36"
)

func (l *ladder) paint(color, text string) string {
	if !l.opts.Color || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// line ends a line, without trailing blanks.
func (l *ladder) line(text string) {
	if l.muted {
		return
	}
	l.out.WriteString(strings.TrimRight(text, " "))
	l.out.WriteByte('\n')
}

// stamp is the time column with the blank after it.
func (l *ladder) stamp(t time.Duration) string {
	return l.paint(dim, fmt.Sprintf("%*s ", l.clock, l.ms(t)))
}

func (l *ladder) title() {
	r := l.run
	head := []string{Printable(r.Scenario), fmt.Sprintf("IPv%d", r.IP), string(r.Verdict)}
	if r.Play != "" && r.Play != "default" {
		head = append(head, "play: "+Printable(r.Play))
	}
	l.line(Fit(strings.Join(head, " · "), l.width))
	l.wrapped("", r.Why)
	if len(r.Attempts) > 0 {
		for i, why := range r.Attempts {
			l.wrapped(fmt.Sprintf("attempt %d: ", i+1), why)
		}
	}
	l.heading(l.main)
}

// wrapped prints a paragraph that came from elsewhere, indented by two.
func (l *ladder) wrapped(lead, text string) {
	if text == "" {
		return
	}
	for _, row := range Wrap(lead+text, l.width-2) {
		l.line("  " + row)
	}
}

// heading names the hosts above their columns, where they are not those of the
// last heading.
func (l *ladder) heading(pair [2]string) {
	if l.headed && l.shown == pair {
		return
	}
	l.shown = pair
	left := padded(Printable(pair[0]), stateWidth+1+l.lane)
	unit := ""
	if !l.headed {
		unit = "ms"
	}
	l.headed = true
	l.line(l.paint(bold, fmt.Sprintf("%*s %s %s", l.clock, unit, left, Fit(Printable(pair[1]), stateWidth))))
}

func (l *ladder) footer() {
	for i := range l.run.Calls {
		c := &l.run.Calls[i]
		if c.End < 0 {
			l.side(l.run.Duration, c.Host, c.text()+" had not returned", yellow)
		}
	}
	for i := range l.run.Programs {
		if p := &l.run.Programs[i]; p.End < 0 {
			l.side(l.run.Duration, p.Host, p.command()+" still ran", yellow)
		}
	}
	for _, x := range l.run.Rules {
		if x.Hits == 0 && !x.Optional {
			l.wrapped("never fired: ", x.Rule)
		}
	}
	late := l.run.Late
	if l.opts.Most > 0 {
		late = late[:min(len(late), mostLate)]
	}
	for _, x := range late {
		l.wrapped("late: ", fmt.Sprintf("%s, due at %s ms, done at %s ms", x.What, l.ms(x.Due), l.ms(x.T)))
	}
	if more := len(l.run.Late) - len(late); more > 0 {
		l.wrapped("late: ", fmt.Sprintf("and %d more, by less", more))
	}
	if n := l.run.Lost; n > 0 {
		l.wrapped("", fmt.Sprintf("%d frames were lost before the wire could read them", n))
	}
}

// mostLate is how many delays are told where the ladder is bounded: the worst come
// first.
const mostLate = 10

// command is a program by its name alone, since its arguments may be many.
func (p *Program) command() string {
	if len(p.Argv) == 0 {
		return "program"
	}
	return p.Argv[0]
}

// events collects all that is drawn, in the order of time.
func (l *ladder) events() []event {
	var list []event
	add := func(at time.Duration, rank int, draw func()) {
		list = append(list, event{at: at, rank: rank, draw: draw})
	}
	r := l.run
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other {
			continue
		}
		l.times = append(l.times, s.T)
		list = append(list, event{s.T, rankSegment, true, func() { l.arrival(i, s) }})
		for n, d := range s.Departures {
			if n > 0 || s.kept() {
				l.times = append(l.times, d.T)
				add(d.T, rankSegment, func() { l.departure(i, s, n) })
			}
		}
	}
	slices.Sort(l.times)
	for i := range r.States {
		s := &r.States[i]
		add(s.T, rankState, func() { l.reading(s) })
	}
	for i := range r.Calls {
		l.call(&r.Calls[i], add)
	}
	for i := range r.Programs {
		p := &r.Programs[i]
		add(p.T, rankCall, func() { l.side(p.T, p.Host, "$ "+strings.Join(p.Argv, " "), cyan) })
		if p.End >= 0 {
			add(p.End, rankReturn, func() {
				how := fmt.Sprintf("%s exited %d", p.command(), p.Exit)
				if p.Signal != "" {
					how = fmt.Sprintf("%s ended by %s", p.command(), p.Signal)
				}
				l.side(p.End, p.Host, how, cyan)
			})
		}
	}
	slices.SortStableFunc(list, func(a, b event) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		return a.rank - b.rank
	})
	return list
}

// kept reports whether a rule let the segment wait: it left, or would have
// left, later than it came. A wire that only takes its time is no rule.
func (s *Segment) kept() bool {
	if s.Rule == "" || s.Fate == Dropped {
		return false
	}
	if len(s.Departures) == 0 {
		return true
	}
	return s.Departures[0].Due > s.T
}

// call adds the events of one system call. One that acts is drawn where it was
// entered, since what follows follows from it, and again where it returned if
// the wire saw something in between; one that waits where it returned.
func (l *ladder) call(c *Call, add func(time.Duration, int, func())) {
	result := c.outcome()
	switch c.kind() {
	case callPrepares:
		if c.Errno == "" {
			return
		}
	case callWaits:
		if c.End >= 0 {
			add(c.End, rankReturn, func() { l.side(c.End, c.Host, c.text()+result, cyan) })
		}
		return
	}
	if c.End < 0 || result == "" {
		add(c.T, rankCall, func() { l.side(c.T, c.Host, c.text(), cyan) })
		return
	}
	if i, _ := slices.BinarySearch(l.times, c.T+1); i < len(l.times) && l.times[i] < c.End {
		add(c.T, rankCall, func() { l.side(c.T, c.Host, c.text(), cyan) })
		add(c.End, rankReturn, func() { l.side(c.End, c.Host, c.text()+result, cyan) })
		return
	}
	add(c.T, rankCall, func() { l.side(c.T, c.Host, c.text()+result, cyan) })
}

// callKind is how a system call belongs into a ladder.
type callKind int

const (
	callActs     callKind = iota // may send something
	callWaits                    // waits for something
	callPrepares                 // of interest only when it fails
)

func (c *Call) kind() callKind {
	name := strings.TrimRight(c.Name, "0123456789")
	switch name {
	case "read", "recv", "recvfrom", "recvmsg", "readv", "accept":
		return callWaits
	case "close", "shutdown", "connect", "write", "writev", "send", "sendto", "sendmsg", "exit",
		"kill", "stop", "continue", "destroy", "power-off", "boot", "unplug", "plug", "neighbours":
		return callActs
	}
	if strings.HasSuffix(name, "read") {
		return callWaits
	}
	if strings.HasSuffix(name, "write") {
		return callActs
	}
	return callPrepares
}

// outcome is what a call returned, with an arrow before it; empty where it
// says nothing: success without a number.
func (c *Call) outcome() string {
	switch {
	case c.End < 0:
		return ""
	case c.Errno != "" && c.Signal != "":
		return " → " + c.Errno + ", " + c.Signal
	case c.Errno != "":
		return " → " + c.Errno
	case c.kind() == callWaits && c.Name != "accept" && c.Name != "accept4":
		if c.Result == 0 {
			return " → 0 (EOF)"
		}
		return fmt.Sprintf(" → %d", c.Result)
	case c.kind() == callActs && c.Result != 0:
		return fmt.Sprintf(" → %d", c.Result)
	}
	return ""
}

// side prints a text at the side of its host, or with the host's name where it
// has no side.
func (l *ladder) side(t time.Duration, host, text, color string) {
	text = Printable(text)
	room := l.width - l.clock - 1
	switch host {
	case l.shown[0]:
		text = Fit(text, room)
	case l.shown[1]:
		text = Fit(text, room)
		text = strings.Repeat(" ", room-Width(text)) + l.paint(color, text)
		color = ""
	default:
		text = Fit("["+Printable(host)+"] "+text, room)
	}
	if color != "" {
		text = l.paint(color, text)
	}
	l.line(l.stamp(t) + text)
}

// place is the pair of a segment, and whether it runs from left to right.
func (l *ladder) place(s *Segment) (pair [2]string, rightward bool) {
	pair, ok := l.pairs[s.Conn]
	if !ok {
		pair = l.pair(s.From, s.To)
	}
	return pair, s.From == pair[0]
}

// apply takes what was read at a segment, before or after its delivery, of one
// host or of both (host empty).
func (l *ladder) apply(i int, s *Segment, host string, after bool) {
	for _, x := range l.readings[i] {
		if x.After == after && x.Conn == s.Conn && (host == "" || x.Host == host) {
			l.note(x)
		}
	}
}

// note remembers a reading, unless a later one is drawn already.
func (l *ladder) note(s *State) bool {
	key := end{s.Conn, s.Host}
	old, ok := l.current[key]
	if ok && old.at > s.T {
		return false
	}
	l.current[key] = reading{s.State, s.T}
	if !ok {
		return !s.closed()
	}
	return old.state != s.State
}

// reading draws a state that changed without a segment at hand.
func (l *ladder) reading(s *State) {
	if !l.note(s) {
		return
	}
	name := s.State.String()
	pair, ok := l.pairs[s.Conn]
	if !ok || pair != l.shown || s.Conn != 1 {
		l.side(s.T, s.Host, fmt.Sprintf("%d:%s", s.Conn, name), bold)
		return
	}
	l.row(s.T, s.Host == pair[0], s.Host == pair[1], name, "", name)
}

// row prints a line of the three columns; a state that is told to be new is
// painted.
func (l *ladder) row(t time.Duration, newLeft, newRight bool, left, lane, right string) {
	if !newLeft && lane == "" {
		left = ""
	}
	if !newRight && lane == "" {
		right = ""
	}
	a, b := padded(left, stateWidth), padded(right, stateWidth)
	if newLeft {
		a = l.paint(bold, a)
	}
	if newRight {
		b = l.paint(bold, b)
	}
	if lane == "" {
		lane = strings.Repeat(" ", l.lane)
	}
	l.line(l.stamp(t) + a + " " + lane + " " + b)
}

// segmentRow prints an arrow between the states that hold now, before being
// those that were drawn last.
func (l *ladder) segmentRow(t time.Duration, s *Segment, pair [2]string, before [2]string, arrow string) {
	l.heading(pair)
	now := l.states(s.Conn, pair)
	l.row(t, now[0] != before[0], now[1] != before[1], now[0], arrow, now[1])
}

func (l *ladder) states(conn int, pair [2]string) [2]string {
	var out [2]string
	for i, host := range pair {
		if x, ok := l.current[end{conn, host}]; ok {
			out[i] = x.state.String()
		}
	}
	return out
}

// arrival draws a segment when it came to the wire.
func (l *ladder) arrival(i int, s *Segment) {
	pair, rightward := l.place(s)
	before := l.states(s.Conn, pair)
	if !s.Forged {
		l.apply(i, s, s.From, false)
	}
	head, tail, color := "─", "►", ""
	switch {
	case s.Fate == Dropped:
		tail, color = "✗", red
	case s.kept():
		tail, color = "┤", yellow
	default:
		l.apply(i, s, s.To, true)
	}
	if s.Forged || s.Fate == Injected {
		head = "✱"
		if color == "" {
			color = yellow
		}
	}
	detail := s.detail(true)
	label := l.label(s)
	room := l.lane - 6 // the arrow's two ends and the blanks around the label
	below := ""
	switch {
	case Width(label)+1+Width(detail) <= room:
		label += " " + detail
	case Width(label)+1+Width(s.detail(false)) <= room && s.pure():
		label += " " + s.detail(false)
	default:
		below = detail
	}
	l.segmentRow(s.T, s, pair, before, l.paint(color, l.arrow(label, head, tail, rightward)))
	l.notes(s, below)
}

// notes prints below a segment what did not fit beside it.
func (l *ladder) notes(s *Segment, detail string) {
	var notes []string
	if detail != "" {
		notes = append(notes, detail)
	}
	if s.Forged && s.SentBy != "wire" {
		notes = append(notes, "sent by "+s.SentBy)
	}
	switch {
	case len(s.Rewritten) > 0 && s.Rule != "":
		notes = append(notes, "rewritten: "+s.Rule)
	case len(s.Rewritten) > 0:
		notes = append(notes, "rewritten")
	case s.Rule != "":
		notes = append(notes, s.Rule)
	}
	indent := l.clock + 1 + stateWidth + 1
	for _, n := range notes {
		l.line(strings.Repeat(" ", indent) + l.paint(dim, Fit("   └ "+Printable(n), l.width-indent)))
	}
}

// departure draws a segment that left later than it came, or once more.
func (l *ladder) departure(i int, s *Segment, n int) {
	pair, rightward := l.place(s)
	before := l.states(s.Conn, pair)
	l.apply(i, s, "", true)
	d := s.Departures[n]
	label := l.label(s)
	var how string
	switch {
	case n > 0:
		how = fmt.Sprintf(", copy %d", n+1)
	default:
		how = fmt.Sprintf(", held %s ms", l.ms(d.T-s.T))
	}
	label = Fit(label, l.lane-6-len(how)) + how
	l.segmentRow(d.T, s, pair, before, l.paint(yellow, l.arrow(label, "├", "►", rightward)))
}

// label is the segment's name for the arrow.
func (l *ladder) label(s *Segment) string {
	name := s.Name()
	if !l.opts.Names {
		who := s.From
		if s.Forged {
			who = flow.Forged
		}
		if s.Conn != 1 {
			name = strings.TrimPrefix(name, fmt.Sprintf("%d:", s.Conn))
		}
		name = strings.TrimPrefix(name, who+".")
	}
	return Printable(name)
}

// arrow draws a label on an arrow as wide as the lane. What was made or let go
// begins in the midst of the wire, and what was stopped ends there.
func (l *ladder) arrow(label, head, tail string, rightward bool) string {
	label = Fit(label, l.lane-6)
	if !rightward {
		switch head {
		case "├":
			head = "┤"
		}
		switch tail {
		case "┤":
			tail = "├"
		case "►":
			tail = "◄"
		}
	}
	free := l.lane - Width(label) - 6
	lead, stop := 0, 0
	if head != "─" {
		lead = min(6, free)
		free -= lead
	}
	if tail == "✗" || tail == "┤" || tail == "├" {
		stop = min(6, free)
		free -= stop
	}
	blank, dashes := strings.Repeat(" ", lead), strings.Repeat("─", free)
	end := strings.Repeat(" ", stop)
	if rightward {
		return blank + head + "─ " + label + " ─" + dashes + tail + end
	}
	return end + tail + dashes + "─ " + label + " ─" + head + blank
}

// pure reports whether the segment carries an acknowledgement and nothing else.
func (s *Segment) pure() bool {
	return s.Len == 0 && s.Flags&(tcp.SYN|tcp.FIN|tcp.RST) == 0
}

// detail is the segment as tcpdump writes one: flags, seq:end(len), ack.
func (s *Segment) detail(seq bool) string {
	if len(s.Names.All()) > 0 && s.Names.Main().Kind == flow.ICMP {
		return "about " + fmt.Sprint(s.Seq)
	}
	text := s.Flags.String()
	if seq {
		text += fmt.Sprintf(" %d:%d(%d)", s.Seq, s.Seq+int64(s.Len), s.Len)
	}
	if s.Flags.Has(tcp.ACK) {
		text += fmt.Sprintf(" ack %d", s.Ack)
	}
	return text
}
