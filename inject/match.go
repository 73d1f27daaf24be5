package inject

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Match says which segments are meant: a name, or an expression over the
// segment's fields. The zero value matches nothing.
type Match struct {
	text    string
	pattern *flow.Pattern
	program *vm.Program
	names   map[string]*flow.Pattern // those of is(…)
}

// ParseMatch reads a match. The error is a *flow.SyntaxError.
func ParseMatch(text string) (Match, error) {
	pattern, err := flow.ParsePattern(text)
	if err == nil {
		return Match{text: text, pattern: &pattern}, nil
	}
	if !looksLikeExpression(text) {
		return Match{}, err
	}
	return parseExpression(text)
}

// looksLikeExpression decides which of two errors a reader is shown.
func looksLikeExpression(text string) bool {
	for _, sign := range []string{"==", "!=", "<", "&&", "||", "!", "is(", " and ", " or ", "not ", "tcp.", "ip.", "icmp.", "copy", "sent_by", "("} {
		if strings.Contains(text, sign) && !(sign == "(" && strings.Contains(text, ".")) {
			return true
		}
	}
	return false
}

func parseExpression(text string) (Match, error) {
	m := Match{text: text, names: map[string]*flow.Pattern{}}
	v := &isVisitor{names: m.names}
	program, err := expr.Compile(text, expr.Env(&fields{}), expr.AsBool(), expr.Patch(v))
	if v.err != nil {
		return Match{}, &flow.SyntaxError{Text: text, Column: v.column + 1, What: v.err.Error()}
	}
	if err != nil {
		syntax := &flow.SyntaxError{Text: text, Column: 1, What: err.Error()}
		var at *file.Error
		if errors.As(err, &at) {
			syntax.Column = at.Column + 1
			syntax.What = said(at.Message)
		}
		return Match{}, syntax
	}
	m.program = program
	return m, nil
}

// unknownField is what the compiler of expressions says of a field.
var unknownField = regexp.MustCompile(`^type inject\.\w+ has no field (\w+)$|^unknown name (\w+)$`)

// said is the compiler's complaint in words of the reader.
func said(text string) string {
	if m := unknownField.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("there is no field %s here: docs/vocabulary.md lists them", m[1]+m[2])
	}
	return text
}

// isVisitor finds the names within is(…), so that a typo is refused when the
// rule is armed and not when a segment comes.
type isVisitor struct {
	names  map[string]*flow.Pattern
	err    error
	column int
}

func (v *isVisitor) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok || v.err != nil {
		return
	}
	if id, ok := call.Callee.(*ast.IdentifierNode); !ok || id.Value != "is" || len(call.Arguments) != 1 {
		return
	}
	name, ok := call.Arguments[0].(*ast.StringNode)
	if !ok {
		v.err, v.column = errors.New(`is() takes a name in quotes, as in is("client.FIN")`), call.Location().From
		return
	}
	pattern, err := flow.ParsePattern(name.Value)
	if err != nil {
		v.column = call.Arguments[0].Location().From
		v.err = err
		var syntax *flow.SyntaxError
		if errors.As(err, &syntax) {
			v.column += syntax.Column
			v.err = errors.New(syntax.What)
		}
		return
	}
	v.names[name.Value] = &pattern
}

// fields is what an expression sees, under Wireshark's names where Wireshark
// has one.
type fields struct {
	TCP    tcpFields         `expr:"tcp"`
	IP     ipFields          `expr:"ip"`
	ICMP   icmpFields        `expr:"icmp"`
	From   string            `expr:"from"`
	To     string            `expr:"to"`
	SentBy string            `expr:"sent_by"`
	Conn   int               `expr:"conn"`
	Copy   int               `expr:"copy"`
	Is     func(string) bool `expr:"is"`
}

type tcpFields struct {
	Flags   flagFields   `expr:"flags"`
	Len     int          `expr:"len"`
	Seq     int          `expr:"seq"`
	NxtSeq  int          `expr:"nxtseq"`
	Ack     int          `expr:"ack"`
	Window  int          `expr:"window_size_value"`
	SrcPort int          `expr:"srcport"`
	DstPort int          `expr:"dstport"`
	Options optionFields `expr:"options"`
}

type flagFields struct {
	FIN   bool `expr:"fin"`
	SYN   bool `expr:"syn"`
	Reset bool `expr:"reset"`
	Push  bool `expr:"push"`
	ACK   bool `expr:"ack"`
	URG   bool `expr:"urg"`
	ECE   bool `expr:"ece"`
	CWR   bool `expr:"cwr"`
	AE    bool `expr:"ae"`
}

type optionFields struct {
	MSS       int             `expr:"mss_val"`
	SACKPerm  bool            `expr:"sack_perm"`
	SACKs     int             `expr:"sack_count"`
	WScale    int             `expr:"wscale"`
	Timestamp timestampFields `expr:"timestamp"`
}

type timestampFields struct {
	Present bool `expr:"present"`
	TSVal   int  `expr:"tsval"`
	TSEcr   int  `expr:"tsecr"`
}

type ipFields struct {
	Version int    `expr:"version"`
	Src     string `expr:"src"`
	Dst     string `expr:"dst"`
}

type icmpFields struct {
	Present bool `expr:"present"`
	Type    int  `expr:"type"`
	Code    int  `expr:"code"`
}

// Matches reports whether the segment is meant.
func (m *Match) Matches(seg *tcp.Segment, s *flow.Sighting) bool {
	if m.pattern != nil {
		return m.pattern.Matches(s)
	}
	if m.program == nil {
		return false
	}
	env := m.fields(seg, s)
	out, err := expr.Run(m.program, &env)
	if err != nil {
		return false // the compiler checked the types; what is left is an index out of range
	}
	return out.(bool)
}

func (m *Match) fields(seg *tcp.Segment, s *flow.Sighting) fields {
	f := seg.Flags
	env := fields{
		From: s.From, To: s.To, SentBy: s.SentBy, Conn: s.Conn, Copy: int(s.Names.Main().Copy),
		TCP: tcpFields{
			Flags: flagFields{
				FIN: f.Has(tcp.FIN), SYN: f.Has(tcp.SYN), Reset: f.Has(tcp.RST), Push: f.Has(tcp.PSH),
				ACK: f.Has(tcp.ACK), URG: f.Has(tcp.URG), ECE: f.Has(tcp.ECE), CWR: f.Has(tcp.CWR), AE: f.Has(tcp.AE),
			},
			Len: seg.Len, Seq: int(s.Seq), NxtSeq: int(s.Seq) + seg.SeqLen(), Ack: int(s.Ack), Window: int(seg.Window),
			SrcPort: int(seg.Src.Port()), DstPort: int(seg.Dst.Port()),
			Options: optionFields{
				MSS: int(seg.Options.MSS), SACKPerm: seg.Options.SACKPermitted, SACKs: seg.Options.SACKs, WScale: int(seg.Options.WindowScale),
				Timestamp: timestampFields{seg.Options.Timestamps, int(seg.Options.TSVal), int(seg.Options.TSEcr)},
			},
		},
		IP: ipFields{Version: 4, Src: seg.Src.Addr().String(), Dst: seg.Dst.Addr().String()},
		Is: func(name string) bool {
			p := m.names[name]
			return p != nil && p.Matches(s)
		},
	}
	if seg.IsIPv6() {
		env.IP.Version = 6
	}
	if seg.ICMP != nil {
		env.ICMP = icmpFields{true, int(seg.ICMP.Type), int(seg.ICMP.Code)}
	}
	return env
}

// String is the match as it was typed.
func (m Match) String() string { return m.text }

// Patterns lists the names that the match asks for.
func (m *Match) Patterns() []*flow.Pattern {
	if m.pattern != nil {
		return []*flow.Pattern{m.pattern}
	}
	patterns := make([]*flow.Pattern, 0, len(m.names))
	for _, p := range m.names {
		patterns = append(patterns, p)
	}
	return patterns
}

// resolve replaces bytes counted from the end of turns.
func (m Match) resolve(turnLen func(who string, turn int) (int64, bool)) (Match, error) {
	if m.pattern != nil && m.pattern.FromEnd() {
		p, err := m.pattern.Resolve(turnLen)
		if err != nil {
			return m, err
		}
		m.pattern = &p
	}
	for name, p := range m.names {
		if !p.FromEnd() {
			continue
		}
		resolved, err := p.Resolve(turnLen)
		if err != nil {
			return m, err
		}
		m.names = maps.Clone(m.names)
		m.names[name] = &resolved
	}
	return m, nil
}

// Check refuses a match that names a host which the lab does not have.
func (m *Match) Check(hosts []string) error {
	for _, p := range m.Patterns() {
		for _, h := range p.Hosts() {
			if !contains(hosts, h) {
				return &flow.SyntaxError{Text: m.text, Column: strings.Index(m.text, h) + 1,
					What: fmt.Sprintf("there is no host %q: the hosts are %s", h, strings.Join(hosts, ", "))}
			}
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
