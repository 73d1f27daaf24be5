package flow

import (
	"fmt"
	"strconv"
	"strings"
)

// Pattern is a name as it is typed: what it leaves out matches anything, but
// for the connection, which is 1 unless said.
type Pattern struct {
	// Conn is the number asked for; 0 where Opener and Accepter are given.
	Conn             int
	Opener, Accepter string
	// Who is a host, or Forged; Claimed is then the host in brackets, or "".
	Who     string
	Claimed string
	Kind    Kind
	// Of is the name in the brackets of an ACK; nil without.
	Of *Pattern
	// Turn is 0 where any is meant.
	Turn int
	// Bytes tells that a range was given. From and To count from the turn's
	// first byte, or from the stream's where Turn is 0; Open is a range
	// without an end. Negative From counts from the turn's end, by a
	// fault-free play: resolve it with Resolve before matching.
	Bytes    bool
	From, To int64
	Open     bool
	// Copy is 0 where any is meant.
	Copy uint32
}

// SyntaxError says where a name, match or rule does not parse.
type SyntaxError struct {
	Text   string // what was parsed
	Column int    // from 1, in bytes
	What   string // what is wrong, and what to write instead
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parse %q: column %d: %s", e.Text, e.Column, e.What)
}

// ParsePattern reads a name by the grammar of docs/vocabulary.md. The error is
// a *SyntaxError.
func ParsePattern(text string) (Pattern, error) {
	p := parser{text: text}
	pattern, err := p.name(true)
	if err != nil {
		return Pattern{}, err
	}
	if p.at < len(text) {
		return Pattern{}, p.fail("unexpected %q after the name", text[p.at:])
	}
	return pattern, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{Text: p.text, Column: p.at + 1, What: fmt.Sprintf(format, args...)}
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) accept(c byte) bool {
	if p.peek() == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) word() string {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			p.at++
			continue
		}
		break
	}
	return p.text[start:p.at]
}

func (p *parser) number(what string) (int64, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[start:p.at], 10, 64)
	if err != nil {
		p.at = start
		return 0, p.fail("want %s, a number", what)
	}
	return n, nil
}

// name parses one name; the connection may be given at the top only, for what
// is acknowledged belongs to the same one.
func (p *parser) name(top bool) (Pattern, error) {
	pattern := Pattern{Conn: 1}
	if top {
		if err := p.conn(&pattern); err != nil {
			return pattern, err
		}
	}
	start := p.at
	pattern.Who = p.word()
	if pattern.Who == "" {
		return pattern, p.fail("want a host, as in client.FIN")
	}
	if !p.accept('.') {
		if kindOf(pattern.Who) != None {
			p.at = start
			return pattern, p.fail("%s needs its sender, as in client.%s", pattern.Who, pattern.Who)
		}
		return pattern, p.fail("want a dot and a kind after %q, as in %s.FIN", pattern.Who, pattern.Who)
	}
	start = p.at
	word := p.word()
	pattern.Kind = kindOf(word)
	if pattern.Kind == None {
		p.at = start
		if upper := kindOf(strings.ToUpper(word)); upper != None {
			return pattern, p.fail("unknown kind %q: write %s", word, upper)
		}
		return pattern, p.fail("unknown kind %q: want one of SYN, SYN-ACK, ACK, DUP-ACK, DATA, FIN, RST, KEEPALIVE, PROBE, CHALLENGE-ACK, ICMP", word)
	}
	if err := p.brackets(&pattern); err != nil {
		return pattern, err
	}
	if err := p.position(&pattern); err != nil {
		return pattern, err
	}
	if p.accept('#') {
		n, err := p.number("a copy, counted from 1")
		if err != nil {
			return pattern, err
		}
		if n < 1 || n > 1<<31 {
			return pattern, p.fail("copies count from 1")
		}
		pattern.Copy = uint32(n)
	}
	return pattern, nil
}

func (p *parser) conn(pattern *Pattern) error {
	colon := strings.IndexByte(p.text, ':')
	bracket := strings.IndexAny(p.text, "[(.")
	if colon < 0 || bracket >= 0 && bracket < colon {
		return nil
	}
	if c := p.peek(); c >= '0' && c <= '9' {
		n, err := p.number("a connection")
		if err != nil {
			return err
		}
		if n < 1 || n > 1<<31 {
			p.at = 0
			return p.fail("connections count from 1")
		}
		pattern.Conn = int(n)
	} else {
		pattern.Conn = 0
		pattern.Opener = p.word()
		if pattern.Opener == "" || !p.accept('>') {
			return p.fail("want a connection before the colon: a number, or host>host")
		}
		if pattern.Accepter = p.word(); pattern.Accepter == "" {
			return p.fail("want the host that was connected to after >")
		}
	}
	if !p.accept(':') {
		return p.fail("want a colon after the connection")
	}
	return nil
}

func (p *parser) brackets(pattern *Pattern) error {
	open := p.at
	if !p.accept('(') {
		return nil
	}
	switch {
	case pattern.Who == Forged:
		if pattern.Claimed = p.word(); pattern.Claimed == "" {
			return p.fail("want the host in whose name it was forged, as in forged.RST(client)")
		}
	case pattern.Kind == ACK:
		of, err := p.name(false)
		if err != nil {
			return err
		}
		if of.Kind != SYN && of.Kind != SYNACK && of.Kind != FIN && of.Kind != DATA {
			p.at = open + 1
			return p.fail("an ACK covers a SYN, SYN-ACK, FIN or DATA, not a %s", of.Kind)
		}
		if of.Copy != 0 {
			p.at = open + 1
			return p.fail("an ACK cannot tell which copy it covers: leave out #%d", of.Copy)
		}
		pattern.Of = &of
	default:
		p.at = open
		return p.fail("brackets belong to ACK and to forged only")
	}
	if !p.accept(')') {
		return p.fail("want a closing bracket")
	}
	return nil
}

func (p *parser) position(pattern *Pattern) error {
	start := p.at
	if p.accept('@') {
		n, err := p.number("a turn, counted from 1")
		if err != nil {
			return err
		}
		if n < 1 || n > 1<<31 {
			p.at = start
			return p.fail("turns count from 1")
		}
		pattern.Turn = int(n)
	}
	if p.accept('[') {
		pattern.Bytes = true
		var err error
		if p.peek() != ':' {
			if pattern.From, err = p.number("a byte"); err != nil {
				return err
			}
			pattern.To = pattern.From + 1
		}
		if p.accept(':') {
			pattern.To, pattern.Open = 0, p.peek() == ']'
			if !pattern.Open {
				if pattern.To, err = p.number("a byte"); err != nil {
					return err
				}
				if pattern.From < 0 || pattern.To <= pattern.From {
					p.at = start
					return p.fail("the range [%d:%d] holds no byte", pattern.From, pattern.To)
				}
			}
		}
		if !p.accept(']') {
			return p.fail("want a closing ]")
		}
	}
	if p.at > start && pattern.Kind != DATA {
		p.at = start
		return p.fail("only DATA has turns and bytes, not %s", pattern.Kind)
	}
	if pattern.From < 0 && pattern.Turn == 0 {
		p.at = start
		return p.fail("a byte counted from the end needs its turn, as in DATA@1[-1]")
	}
	return nil
}

func kindOf(word string) Kind {
	for _, k := range Kinds() {
		if kindNames[k] == word {
			return k
		}
	}
	return None
}

// String prints the pattern in the grammar.
func (p Pattern) String() string {
	var b strings.Builder
	switch {
	case p.Conn == 0:
		fmt.Fprintf(&b, "%s>%s:", p.Opener, p.Accepter)
	case p.Conn != 1:
		fmt.Fprintf(&b, "%d:", p.Conn)
	}
	fmt.Fprintf(&b, "%s.%s", p.Who, p.Kind)
	if p.Claimed != "" {
		fmt.Fprintf(&b, "(%s)", p.Claimed)
	}
	if p.Of != nil {
		fmt.Fprintf(&b, "(%s)", p.Of)
	}
	if p.Turn != 0 {
		fmt.Fprintf(&b, "@%d", p.Turn)
	}
	switch {
	case !p.Bytes:
	case p.Open:
		fmt.Fprintf(&b, "[%d:]", p.From)
	case p.To == p.From+1:
		fmt.Fprintf(&b, "[%d]", p.From)
	default:
		fmt.Fprintf(&b, "[%d:%d]", p.From, p.To)
	}
	if p.Copy != 0 {
		fmt.Fprintf(&b, "#%d", p.Copy)
	}
	return b.String()
}

// Hosts lists the hosts that the pattern names, so that a typo can be refused
// before the play.
func (p Pattern) Hosts() []string {
	var hosts []string
	for _, h := range []string{p.Opener, p.Accepter, p.Who, p.Claimed} {
		if h != "" && h != Forged {
			hosts = append(hosts, h)
		}
	}
	if p.Of != nil {
		hosts = append(hosts, p.Of.Hosts()...)
	}
	return hosts
}

// FromEnd tells whether the pattern counts bytes from a turn's end, which only
// a fault-free play of the same scenario can tell.
func (p Pattern) FromEnd() bool {
	return p.From < 0 || p.Of != nil && p.Of.FromEnd()
}

// Resolve replaces bytes counted from the end of a turn by bytes counted from
// its beginning; turnLen says how long the turn was in a fault-free play.
func (p Pattern) Resolve(turnLen func(who string, turn int) (int64, bool)) (Pattern, error) {
	if p.Of != nil {
		of, err := p.Of.Resolve(turnLen)
		if err != nil {
			return p, err
		}
		p.Of = &of
	}
	if p.From >= 0 {
		return p, nil
	}
	n, ok := turnLen(p.Who, p.Turn)
	if !ok || n+p.From < 0 {
		return p, fmt.Errorf("resolve %s: the fault-free play had %d bytes in that turn", p, n)
	}
	p.From += n
	if !p.Open {
		p.To = p.From + 1
	}
	return p, nil
}

// Matches reports whether one of the sighting's names is of this pattern.
func (p *Pattern) Matches(s *Sighting) bool {
	if p.Conn != 0 && p.Conn != max(s.Conn, 1) || p.Conn == 0 && (p.Opener != s.Opener || p.Accepter != s.Accepter) {
		return false
	}
	if p.Who == Forged {
		if !s.Forged || p.Claimed != "" && p.Claimed != s.From {
			return false
		}
	} else if s.Forged || p.Who != s.From {
		return false
	}
	for i := range s.Names.n {
		if p.matches(&s.Names.list[i], s) {
			return true
		}
	}
	return false
}

func (p *Pattern) matches(n *Name, s *Sighting) bool {
	if p.Copy != 0 && p.Copy != n.Copy {
		return false
	}
	if p.Kind == ACK && p.Of == nil {
		// Bare ACK is what carries nothing else, whatever it covers.
		return n == &s.Names.list[0] && n.Kind == ACK
	}
	if p.Kind != n.Kind {
		return false
	}
	if p.Of != nil {
		of := p.Of
		if of.Kind != n.Of {
			return false
		}
		if of.Who == Forged {
			if !n.OfForged || of.Claimed != "" && of.Claimed != s.To {
				return false
			}
		} else if n.OfForged || of.Who != s.To {
			return false
		}
		if of.Kind == DATA && !of.Bytes {
			return n.Last && (of.Turn == 0 || of.Turn == n.Turn)
		}
		return of.Kind != DATA || of.holds(n)
	}
	return p.Kind != DATA || p.holds(n)
}

// holds reports whether a name's bytes are of the turn and the range asked for.
func (p *Pattern) holds(n *Name) bool {
	if p.Turn != 0 && p.Turn != n.Turn {
		return false
	}
	if !p.Bytes {
		return true
	}
	from, to := n.From, n.To
	if p.Turn == 0 {
		from, to = n.Stream, n.Stream+n.To-n.From
	}
	return to > p.From && (p.Open || from < p.To)
}
