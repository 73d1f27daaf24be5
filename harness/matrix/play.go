package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
	"github.com/lastack/lastack/internal/shell"
)

// Options say what of the matrix is played, and how.
type Options struct {
	// States and Arrivals are those to be played, by name; empty means all.
	States, Arrivals []string
	// IP are the address families, 4 and 6.
	IP []int
	// Sysctls are set before each play, and win over what the play sets.
	Sysctls []harness.Sysctl
	// Out is the directory in which the evidence of every play is kept; where it
	// is empty, that of plays that say nothing is.
	Out string
	// Done is called with each cell when it is known, one call at a time, with
	// the record of its play: nil for a cell without meaning. It may add to Why.
	Done func(*Cell, *record.Run)
}

// Play plays the matrix on labs of the pool side by side: a lab a cell, and where
// one does not tell enough a second time. Where ctx ends first the document is
// partial.
func Play(ctx context.Context, pool *harness.Pool, o Options) *Document {
	d := &Document{Schema: Schema}
	m := &player{ctx: ctx, pool: pool, options: o, document: d, cells: map[key]Cell{}}
	order := m.plan()
	for len(m.waiting) > 0 {
		now := m.waiting
		m.waiting = nil
		m.play(now)
	}
	for _, k := range order {
		if c, ok := m.cells[k]; ok {
			d.Cells = append(d.Cells, c)
		} else {
			d.Partial = true
		}
	}
	return d
}

// player plays a matrix.
type player struct {
	ctx      context.Context
	pool     *harness.Pool
	options  Options
	document *Document
	cells    map[key]Cell
	waiting  []*plan
}

// playing is one cell under way.
type playing struct {
	plan  *plan
	parts []*part
	left  int // parts that have not ended
	err   error
}

// part is one play of a cell: of all of it, or where its connections are played
// apart of the one that is asked a question.
type part struct {
	cell      *playing
	questions []string // one a connection; none where the program is not asked
	notes     []notes
	run       *record.Run
}

// plan lists the cells, and tells of those without meaning.
func (m *player) plan() (order []key) {
	states, arrivals := States(), Arrivals()
	var first []*plan // what waits for timers begins first
	for i := range states {
		s := &states[i]
		if !named(m.options.States, s.Name) {
			continue
		}
		for j := range arrivals {
			a := &arrivals[j]
			if !named(m.options.Arrivals, a.Name) {
				continue
			}
			for _, ip := range m.options.IP {
				p := &plan{state: s, arrival: a, ip: ip, fenced: true}
				c := p.cell()
				order = append(order, c.key())
				switch why := senseless(s, a); {
				case why != "":
					c.Verdict, c.Why, c.RFC = NotApplicable, why, ""
					m.done(c, nil)
				case a.kind == silence:
					first = append(first, p)
				default:
					m.waiting = append(m.waiting, p)
				}
			}
		}
	}
	m.waiting = append(first, m.waiting...)
	return order
}

func named(list []string, name string) bool {
	return len(list) == 0 || slices.Contains(list, name)
}

func (m *player) done(c Cell, r *record.Run) {
	if m.options.Done != nil {
		m.options.Done(&c, r)
	}
	m.cells[c.key()] = c
}

// play plays cells side by side.
func (m *player) play(plans []*plan) {
	var jobs []harness.Job
	var parts []*part
	for _, p := range plans {
		u := &playing{plan: p, parts: p.parts()}
		u.left = len(u.parts)
		for _, x := range u.parts {
			x.cell = u
			parts = append(parts, x)
			jobs = append(jobs, harness.Job{Scenario: x.scenario(), Options: harness.Options{
				IP: p.ip, Sysctls: m.options.Sysctls, Out: m.options.Out, Repro: p.repro(m.options.Sysctls),
			}})
		}
	}
	harness.PlayAll(m.ctx, m.pool, jobs, func(i int, r *record.Run, err error) {
		x := parts[i]
		x.run = r
		u := x.cell
		if u.err == nil {
			u.err = err
		}
		if u.left--; u.left == 0 {
			m.ended(u)
		}
	})
}

// ended takes a cell of which every part was played.
func (m *player) ended(u *playing) {
	p := u.plan
	if u.err != nil {
		c := p.cell()
		c.Verdict, c.Why = record.Error, u.err.Error()
		m.done(c, u.telling())
		return
	}
	if m.document.Kernel == "" {
		m.document.Kernel = u.parts[0].run.Kernel
	}
	c, how := p.result(u.parts)
	next := *p
	switch {
	case how == withoutFence:
		next.fenced = false
	case how == apart && len(m.options.Sysctls) > 0 && !p.apart:
		// What a setting limits for the whole namespace, as tcp_challenge_ack_limit
		// does, the connections of one lab share. The limits that a kernel is shipped
		// with are far above what a cell takes: there they must agree.
		next.apart = true
	default:
		m.done(c, u.telling())
		return
	}
	m.waiting = append(m.waiting, &next)
}

// telling is the record to be shown: of a part that did not pass, else of the first.
func (u *playing) telling() *record.Run {
	for _, x := range u.parts {
		if x.run != nil && x.run.Verdict != record.Pass {
			return x.run
		}
	}
	return u.parts[0].run
}

// repro is the command that plays the cell again and shows it.
func (p *plan) repro(set []harness.Sysctl) string {
	words := []string{"lastack", "matrix", "--state", p.state.Name, "--arrival", p.arrival.Name, "--ip", fmt.Sprint(p.ip)}
	for _, s := range set {
		words = append(words, "--set", s.String())
	}
	return shell.Join(words)
}

// farRTO keeps the subject's retransmissions out of the play. It must not be
// more than two sevenths of tcp_fin_timeout, lest FIN_WAIT_2 last longer than a
// mini-socket may (tcp_fin_time).
const farRTO = 15 * time.Second

// scenario is how the harness knows the part.
func (x *part) scenario() harness.Scenario {
	p := x.cell.plan
	sc := harness.Scenario{
		Name:    "matrix/" + p.state.Name + "/" + p.arrival.Name,
		Summary: p.state.Name + ": " + p.arrival.Segment + ".",
		// Nobody repeats anything within that time, but a SYN.
		Patience: farRTO / 3,
		Play: func(s *harness.Stage) {
			s.At("") // a line of ours says nothing to the user
			// The harness may play it again where it was late.
			x.notes = p.play(s, x.questions)
		},
	}
	// A repeat of the peer's would be an arrival of its own.
	sc.Hosts = []harness.HostSpec{{Name: peer, RTOMin: farRTO}}
	if p.arrival.kind != silence {
		sc.Hosts = append(sc.Hosts, harness.HostSpec{Name: subject, RTOMin: farRTO})
	}
	return sc
}

// end is one connection of a cell's play.
type end struct {
	conn   int
	port   uint16
	socket *harness.Socket // the subject's; nil without a descriptor
	notes  *notes
}

// name is a name of the connection's, for matches.
func (e *end) name(text string) string { return fmt.Sprintf("%d:%s", e.conn, text) }

// play brings connections into the state, lets the arrival come to each, and asks
// the program a question on each; without questions there is one connection.
func (p *plan) play(s *harness.Stage, questions []string) []notes {
	p.settings(s)
	all := make([]notes, max(len(questions), 1))
	ends := make([]*end, len(all))
	for i := range ends {
		ends[i] = &end{conn: i + 1, port: uint16(8080 + i), notes: &all[i]}
		p.enter(s, ends[i])
	}
	s.Client.Settle()
	s.Server.Settle()
	// From here on nothing passes: the real peer would answer what the subject
	// says, and so would spoil the cell.
	s.Wire.On("conn != 0").Always().Optional().Drop()
	for _, e := range ends {
		e.notes.at = time.Now()
		e.notes.entry = s.Server.Observe(e.conn)
		if !p.entered(s, e) {
			e.notes.missed = fmt.Sprintf("the subject was in %s when it should have been in %s", stateText(e.notes.entry), p.state)
			return all
		}
	}
	for i, e := range ends {
		p.arrive(s, e)
		if len(questions) > 0 {
			ask(questions[i], e)
		}
	}
	return all
}

// settings make MSS the only option of the connections, and keep tail-loss
// probes away.
func (p *plan) settings(s *harness.Stage) {
	stamps := "0"
	if p.arrival.Name == noTimestamp {
		stamps = "1"
	}
	for _, h := range []*harness.Host{s.Client, s.Server} {
		h.Sysctl("net.ipv4.tcp_timestamps", stamps)
		h.Sysctl("net.ipv4.tcp_sack", "0")
		h.Sysctl("net.ipv4.tcp_window_scaling", "0")
	}
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
}

// entered tells whether the subject is in the state.
func (p *plan) entered(s *harness.Stage, e *end) bool {
	r, want := e.notes.entry, p.state
	if want.Is == tcp.Listen {
		return r.State == tcp.Closed && s.Server.Listens(e.port)
	}
	return r.State == want.Is && r.Orphan == want.Orphan && (r.Kind != "full") == want.Mini || want.Is == tcp.Closed && r.State == tcp.Closed
}

// enter brings one connection of the subject into the state.
func (p *plan) enter(s *harness.Stage, e *end) {
	switch p.state.Is {
	case tcp.SynSent:
		s.Wire.On(e.name("server.SYN")).Always().Drop()
		server := s.Server.Peer()
		e.socket = server.Open()
		server.Nonblock(true)
		server.Connect(s.Client, e.port)
		s.Await(s.Wire.Seen(e.name("server.SYN")))
	case tcp.SynRecv:
		s.Server.Peer().Listen(e.port, 8)
		s.Wire.On(e.name("server.SYN-ACK")).Always().Drop()
		knock(s, e)
		s.Await(s.Wire.Seen(e.name("server.SYN-ACK")))
	case tcp.Listen, tcp.Closed:
		if p.state.Is == tcp.Listen {
			s.Server.Peer().Listen(e.port, 8)
			e.socket = s.Server.Peer().Listener()
		}
		s.Wire.On(e.name("client.SYN")).Always().Drop()
		knock(s, e)
		s.Await(s.Wire.Seen(e.name("client.SYN")))
	default:
		p.establish(s, e)
	}
}

// knock begins to connect and does not wait.
func knock(s *harness.Stage, e *end) {
	client := s.Client.Peer()
	client.Open()
	client.Nonblock(true)
	client.Connect(s.Server, e.port)
}

// establish opens a connection, lets it carry data both ways, and takes it to the
// state.
func (p *plan) establish(s *harness.Stage, e *end) {
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Listen(e.port, 8)
	client.Connect(s.Server, e.port)
	server.Accept()
	e.socket = server.Socket
	data := strings.Repeat("x", before)
	server.Write(data)
	client.Read(before)
	client.Write(data)
	server.Read(before)
	s.Await(s.Wire.Delivered(e.name("client.ACK(server.DATA)")))
	s.Await(s.Wire.Delivered(e.name("server.ACK(client.DATA)")))

	// The subject closes: shutdown keeps the descriptor, close does not.
	finish := func(lost bool) {
		if lost {
			s.Wire.On(e.name("server.FIN")).Always().Drop()
		}
		if p.state.Descriptor {
			e.socket.Shutdown()
		} else {
			e.socket.Close()
		}
		s.Await(s.Wire.Seen(e.name("server.FIN")))
	}
	peerFinishes := func() {
		client.Shutdown()
		s.Await(s.Wire.Delivered(e.name("server.ACK(client.FIN)")))
	}
	switch p.state.Is {
	case tcp.FinWait1:
		finish(true)
	case tcp.FinWait2, tcp.TimeWait:
		if !p.state.Descriptor {
			// An ACK that comes while close() still holds the socket leaves a full
			// socket behind (tcp_rcv_state_process).
			s.Wire.On(e.name("client.ACK(server.FIN)")).Hold(server.Returned("close"))
		}
		finish(false)
		s.Await(s.Wire.Delivered(e.name("client.ACK(server.FIN)")))
		if p.state.Is == tcp.TimeWait {
			peerFinishes()
		}
	case tcp.CloseWait:
		peerFinishes()
	case tcp.Closing:
		finish(true)
		peerFinishes()
	case tcp.LastAck:
		peerFinishes()
		finish(true)
	}
}

// shortWait bounds what is awaited of silence.
const shortWait = 5 * time.Second

// arrive lets the arrival come, and reads what is there to be read.
func (p *plan) arrive(s *harness.Stage, e *end) {
	switch p.arrival.kind {
	case silence:
		if r := e.notes.entry; r.Timer != "" && r.Expires <= shortWait {
			again := fmt.Sprintf(`conn == %d && sent_by == %q && tcp.flags.fin && copy > 1 && tcp.ack == %d`, e.conn, subject, p.state.R)
			switch p.state.Is {
			case tcp.SynSent:
				again = e.name("server.SYN#2")
			case tcp.SynRecv:
				again = e.name("server.SYN-ACK#2")
			}
			s.Await(s.Wire.Seen(again))
		}
	case act:
		if p.arrival.Name == kill {
			s.Server.Peer().Kill()
		} else {
			e.socket.Close()
		}
	}
	release := pin()
	defer release()
	switch p.arrival.kind {
	case forged:
		g, _ := p.arrival.segment(p.state)
		f := g.forgery(p.state)
		if p.arrival.Name == noTimestamp {
			f.Timestamps = "none"
		}
		s.Wire.Inject(e.conn, f)
	case icmp:
		s.Wire.Inject(e.conn, inject.Forgery{To: subject, ICMP: tcp.PortUnreachable, Seq: &inject.Number{Offset: p.state.U}})
	}
	if !p.fenced {
		s.Await(s.Wire.Seen(fmt.Sprintf(`conn == %d && sent_by == %q && tcp.ack > %d`, e.conn, subject, p.state.R)))
	}
	s.Server.Settle()
	e.notes.until = time.Now()
	e.notes.behind = s.Server.Observe(e.conn)
	e.notes.listens = s.Server.Listens(e.port)
	if p.fenced {
		s.Wire.Inject(e.conn, fence(p.state, e.notes.behind.State))
		s.Server.Settle()
		e.notes.fenced = s.Server.Observe(e.conn)
	}
}

// ask asks the program one question, which is its first.
func ask(question string, e *end) {
	switch question {
	case askError:
		e.notes.soError = e.socket.SocketError()
		if e.notes.soError == "" {
			e.notes.soError = noError
		}
	case askRead:
		e.socket.ReadNow(before)
	case askWrite:
		e.socket.Nonblock(true)
		e.socket.Write(strings.Repeat("x", someData))
	}
}
