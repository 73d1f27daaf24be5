// Package recordtest makes records for tests, with names that the flow gave
// and frames that hold what the names say.
package recordtest

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// started is the wall time of every record's T = 0.
var started = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// Maker writes a run down segment by segment. Its methods take times in µs.
type Maker struct {
	Run  record.Run
	flow *flow.Tracker
}

// The ends of a Maker's connections by host, with their first numbers.
var ends = map[string]struct {
	addr netip.AddrPort
	isn  tcp.Seq
}{
	"client":   {netip.MustParseAddrPort("192.0.2.1:40000"), 1000},
	"server":   {netip.MustParseAddrPort("192.0.2.2:8080"), 4294967290}, // wraps
	"attacker": {netip.MustParseAddrPort("192.0.2.66:6666"), 7000},
}

// New begins a run with the hosts client and server, and further ones.
func New(scenario string, further ...string) *Maker {
	m := &Maker{Run: record.Run{
		Scenario: scenario, Summary: "What it is about.", Play: "default", IP: 4, Kernel: "6.18.0",
		Started: started, Verdict: record.Pass, Repro: "lastack run " + scenario,
	}}
	m.flow = flow.NewTracker(func(a netip.Addr) string {
		for name, e := range ends {
			if e.addr.Addr() == a {
				return name
			}
		}
		return ""
	})
	for _, name := range append([]string{"client", "server"}, further...) {
		last := ends[name].addr.Addr().As4()[3]
		m.Run.Hosts = append(m.Run.Hosts, record.Host{
			Name: name, IPv4: ends[name].addr.Addr().String(),
			IPv6: netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: last}).String(),
			MAC:  mac(last),
		})
	}
	return m
}

func mac(last byte) string {
	const hex = "0123456789abcdef"
	return "02:00:00:00:00:" + string([]byte{hex[last>>4], hex[last&15]})
}

// Seg describes one segment: its numbers are relative, those of each end's SYN
// being 0.
type Seg struct {
	At       int // µs
	From, To string
	Flags    string // tcpdump's letters
	Seq, Ack int
	Data     string
	Rule     string
	Drop     bool
	// Held is how long after At it was due to leave, µs; Again when the copies left.
	Held  int
	Again []int
	// SentBy makes it a forgery in the name of From.
	SentBy string
	// NotSent leaves it in the wire.
	NotSent bool
	// Before is the sender's state at arrival, After the receiver's after delivery.
	Before, After tcp.State
}

// wireTakes is how long the wire takes for a segment that no rule holds.
const wireTakes = 40 * time.Microsecond

func us(n int) time.Duration { return time.Duration(n) * time.Microsecond }

// Segment adds a segment to the run and returns its index.
func (m *Maker) Segment(x Seg) int {
	flags, err := tcp.ParseFlags(x.Flags)
	if err != nil {
		panic(err) // the test's own text is wrong
	}
	frame := Frame(x, flags)
	var seg tcp.Segment
	if err := seg.Parse(frame); err != nil {
		panic(err)
	}
	s := record.Segment{T: us(x.At), Flags: flags, Len: len(x.Data), Window: seg.Window, Rule: x.Rule, Frame: frame, Fate: record.Delivered}
	if x.SentBy != "" {
		m.flow.Forge(&seg, x.SentBy, &s.Sighting)
		if x.SentBy == "wire" {
			s.Fate = record.Injected
		}
	} else {
		m.flow.Arrive(0, &seg, &s.Sighting)
	}
	index := len(m.Run.Segments)
	conn := s.Conn
	if x.Before != 0 {
		m.read(s.T, conn, x.From, x.Before, index, false)
	}
	switch {
	case x.Drop:
		s.Fate = record.Dropped
	case x.NotSent:
	default:
		m.flow.Deliver(0, &seg, &s.Sighting)
		due := s.T + us(x.Held)
		s.Departures = []record.Departure{{Due: due, T: due + wireTakes, To: x.To}}
		for _, at := range x.Again {
			s.Departures = append(s.Departures, record.Departure{Due: us(at), T: us(at) + wireTakes, To: x.To})
		}
		if x.After != 0 {
			m.read(due+2*wireTakes, conn, x.To, x.After, index, true)
		}
	}
	s.Detach()
	m.Run.Segments = append(m.Run.Segments, s)
	return index
}

func (m *Maker) read(t time.Duration, conn int, host string, state tcp.State, segment int, after bool) {
	x := record.State{T: t, Conn: conn, Host: host, State: state, Segment: segment, After: after}
	switch state {
	case tcp.TimeWait:
		x.Timer, x.Expires = "timewait", time.Minute
	case tcp.FinWait1, tcp.LastAck:
		x.Timer, x.Expires = "retransmit", 204*time.Millisecond
	}
	if x.Timer != "" {
		x.Latest = x.Expires + 40*time.Microsecond
	}
	m.Run.States = append(m.Run.States, x)
}

// State adds a reading that belongs to no segment.
func (m *Maker) State(at int, host string, state tcp.State) {
	m.read(us(at), 1, host, state, -1, false)
}

// Call adds a system call that took from at to end; end -1 for one that did
// not return.
func (m *Maker) Call(at, end int, host, name, text string, result int64, errno string) {
	c := record.Call{T: us(at), End: us(end), Host: host, Name: name, Call: text, Result: result, Errno: errno}
	if end < 0 {
		c.End = -1
	}
	if errno == "EPIPE" {
		c.Signal = "SIGPIPE"
	}
	m.Run.Calls = append(m.Run.Calls, c)
}

// Frame is the Ethernet frame of a segment, with right checksums.
func Frame(x Seg, flags tcp.Flags) []byte {
	src, dst := ends[x.From], ends[x.To]
	f := make([]byte, 54, 54+len(x.Data))
	copy(f, []byte{2, 0, 0, 0, 0, dst.addr.Addr().As4()[3], 2, 0, 0, 0, 0, src.addr.Addr().As4()[3], 8, 0})
	ip := f[14:]
	ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(40+len(x.Data)))
	a, b := src.addr.Addr().As4(), dst.addr.Addr().As4()
	copy(ip[12:], a[:])
	copy(ip[16:], b[:])
	p := f[34:]
	binary.BigEndian.PutUint16(p, src.addr.Port())
	binary.BigEndian.PutUint16(p[2:], dst.addr.Port())
	binary.BigEndian.PutUint32(p[4:], uint32(src.isn.Add(x.Seq)))
	if flags.Has(tcp.ACK) {
		binary.BigEndian.PutUint32(p[8:], uint32(dst.isn.Add(x.Ack)))
	}
	binary.BigEndian.PutUint16(p[12:], 0x5000|uint16(flags))
	binary.BigEndian.PutUint16(p[14:], 502)
	f = append(f, x.Data...)
	var seg tcp.Segment
	if err := seg.Parse(f); err != nil {
		panic(err)
	}
	seg.FixChecksum()
	return f
}

// Handshake opens a connection from the client to the server in the first
// millisecond.
func (m *Maker) Handshake() {
	m.Call(100, 120, "server", "listen", "listen(3, 8)", 0, "")
	m.Call(200, 1000, "client", "connect", "connect(3, 192.0.2.2:8080)", 0, "")
	m.Segment(Seg{At: 300, From: "client", To: "server", Flags: "S", Before: tcp.SynSent, After: tcp.SynRecv})
	m.Segment(Seg{At: 500, From: "server", To: "client", Flags: "S.", Ack: 1, Before: tcp.SynRecv, After: tcp.Established})
	m.Segment(Seg{At: 700, From: "client", To: "server", Flags: ".", Seq: 1, Ack: 1, Before: tcp.Established, After: tcp.Established})
	m.Call(150, 900, "server", "accept4", "accept4(3)", 4, "")
}

// LastACKLost is a whole run of close/last-ack-lost that passed.
func LastACKLost() *record.Run {
	m := New("close/last-ack-lost")
	m.Run.Summary = "The ACK of the passive closer's FIN is lost once."
	const rule = "drop client.ACK(server.FIN)"
	m.Handshake()
	m.Call(1200, 1230, "client", "close", "close(3)", 0, "")
	m.Segment(Seg{At: 1250, From: "client", To: "server", Flags: "F.", Seq: 1, Ack: 1, Before: tcp.FinWait1, After: tcp.CloseWait})
	m.Segment(Seg{At: 1450, From: "server", To: "client", Flags: ".", Seq: 1, Ack: 2, Before: tcp.CloseWait, After: tcp.FinWait2})
	m.Call(1600, 1610, "server", "read", "read(4, 1)", 0, "")
	m.Call(1700, 1720, "server", "close", "close(4)", 0, "")
	m.Segment(Seg{At: 1750, From: "server", To: "client", Flags: "F.", Seq: 1, Ack: 2, Before: tcp.LastAck, After: tcp.TimeWait})
	m.Segment(Seg{At: 1900, From: "client", To: "server", Flags: ".", Seq: 2, Ack: 2, Rule: rule, Drop: true, Before: tcp.TimeWait})
	m.Segment(Seg{At: 206750, From: "server", To: "client", Flags: "F.", Seq: 1, Ack: 2, Before: tcp.LastAck, After: tcp.TimeWait})
	m.Segment(Seg{At: 206900, From: "client", To: "server", Flags: ".", Seq: 2, Ack: 2, Before: tcp.TimeWait, After: tcp.Closed})
	m.Run.Duration = us(207512)
	m.Run.Rules = []record.Rule{{Rule: rule, Hits: 1}}
	m.Run.Claims = []record.Claim{
		{Sentence: "the server sends its FIN again, with the same sequence number", Verdict: record.Pass},
		{Sentence: "the client stays in TIME_WAIT", Verdict: record.Pass},
	}
	m.Run.Counters = []record.Counter{
		{Host: "server", Name: "TcpExt.TCPLossProbes", Delta: 1},
		{Host: "server", Name: "Tcp.RetransSegs", Delta: 1},
	}
	return &m.Run
}

// Full is a run in which no field is its zero value, with a third host, a
// forgery, a rewrite, a copy, a held segment and ARP.
func Full() *record.Run {
	m := New("story/everything", "attacker")
	m.Handshake()
	m.Call(1000, 1020, "client", "write", `write(3, "hello")`, 5, "")
	i := m.Segment(Seg{At: 1100, From: "client", To: "server", Flags: "P.", Seq: 1, Ack: 1, Data: "hello", Rule: "rewrite(tcp.window=0) client.DATA@1", Before: tcp.Established, After: tcp.Established})
	m.Run.Segments[i].Rewritten = append([]byte(nil), m.Run.Segments[i].Frame...)
	m.Run.Segments[i].Rewritten[48], m.Run.Segments[i].Rewritten[49] = 0, 0
	m.Segment(Seg{At: 1200, From: "server", To: "client", Flags: ".", Seq: 1, Ack: 6, Rule: "duplicate server.ACK(client.DATA@1)", Again: []int{1900}, Before: tcp.Established, After: tcp.Established})
	m.Segment(Seg{At: 1300, From: "client", To: "server", Flags: "F.", Seq: 6, Ack: 1, Rule: "hold client.FIN until forged.RST(client)", Held: 12300, Before: tcp.FinWait1, After: tcp.CloseWait})
	m.Segment(Seg{At: 1400, From: "client", To: "server", Flags: "R", Seq: 900, SentBy: "attacker"})
	m.Segment(Seg{At: 1500, From: "server", To: "client", Flags: ".", Seq: 1, Ack: 6, Before: tcp.Established, After: tcp.FinWait1})
	m.Segment(Seg{At: 14000, From: "server", To: "client", Flags: "R.", Seq: 1, Ack: 7, SentBy: "wire", Rule: "forge(instead: RST) server.ACK(client.FIN)"})
	m.State(14300, "client", tcp.Closed)
	m.Call(14500, 14600, "client", "write", `write(3, "\x1b[2J")`, -1, "EPIPE")
	m.Call(600, 15000, "server", "read", "read(4, 4096)", 5, "")
	m.Call(15100, -1, "server", "read", "read(4, 4096)", -1, "")
	m.Segment(Seg{At: 15200, From: "attacker", To: "server", Flags: "S", Before: tcp.SynSent, After: tcp.SynRecv})
	m.Segment(Seg{At: 15300, From: "server", To: "attacker", Flags: "S.", Ack: 1, Rule: "drop 2:server.SYN-ACK", Drop: true, Before: tcp.SynRecv})
	m.Segment(Seg{At: 15400, From: "server", To: "client", Flags: "F.", Seq: 1, Ack: 7, Rule: "hold server.FIN until client in CLOSED", NotSent: true, Before: tcp.LastAck})
	r := &m.Run
	m.Segment(Seg{At: 15450, From: "client", To: "server", Flags: "P.", Seq: 1, Ack: 1, Data: "hello", Before: tcp.Closed})
	r.Segments = append(r.Segments, record.Segment{
		T: us(15500), Sighting: flow.Sighting{From: "client", SentBy: "client"}, Fate: record.Delivered, Other: true, Window: 1,
		Frame:      append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6}, make([]byte, 28)...),
		Departures: []record.Departure{{Due: us(15500), T: us(15501), To: "server"}, {Due: us(15500), T: us(15502), To: "attacker"}},
	})
	r.Duration = us(20000)
	r.Verdict, r.Why = record.Fail, "the client does not see the reset"
	r.Wanted = record.Pass
	r.Attempts = []string{"the harness was late by 3 ms"}
	r.Claims = []record.Claim{
		{Sentence: "the client sees the reset", Verdict: record.Fail, Why: "expected\n    read of client\nto fail with ECONNRESET"},
		{Sentence: "the server is told", Verdict: record.Pass, Why: "-", Given: true},
	}
	r.Rules = []record.Rule{
		{Rule: "hold client.FIN until forged.RST(client)", Hits: 1, Optional: true},
		{Rule: "drop client.RST always"},
	}
	r.Calls[0].Peer = "worker"
	r.Calls[0].Data = []byte("data")
	r.States[0].Orphan = true
	r.Counters = []record.Counter{{Host: "client", Name: "TcpExt.TCPChallengeACK", Delta: 1}}
	r.Programs = []record.Program{
		{Host: "server", Argv: []string{"./srv", "--port", "8080"}, T: us(50), End: us(19000), Exit: 3, Stdout: []byte("out\x1b[31m"), Stderr: []byte{0xff, 'e', 'r', 'r', '\n'},
			StdoutSize: 8, StderrSize: 5, StdoutSHA256: strings.Repeat("3c", 32),
			Files: []record.File{{Name: "out.bin", Size: 4, SHA256: strings.Repeat("d4", 32), Data: []byte("data")}}, FilesLeft: 1},
		{Host: "client", Argv: []string{"./my-client"}, T: us(60), End: -1, Exit: -1, Signal: "SIGKILL"},
	}
	r.Sockets = []record.Socket{
		{Host: "server", Local: "0.0.0.0:8080", Remote: "0.0.0.0:0", State: tcp.Listen, SendQueue: 128},
		{Host: "server", Local: "192.0.2.2:8080", Remote: "192.0.2.1:40000", State: tcp.CloseWait, Unaccepted: true, RecvQueue: 1},
		{Host: "client", Local: "192.0.2.1:40000", Remote: "192.0.2.2:8080", State: tcp.FinWait2, Timer: "timewait", Expires: time.Minute, Orphan: true},
	}
	r.Sysctls = []record.Sysctl{{Host: "client", Key: "net.ipv4.tcp_fin_timeout", Value: "1", Stock: "60"}}
	r.Late = []record.Lateness{{What: "release of client.FIN", Due: us(13600), T: us(13640)}}
	r.Lost = 2
	r.Evidence = "evidence/story/everything"
	return r
}
