package inject

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Rule is a match, an action, and how often it may fire.
type Rule struct {
	// Name is what conditions and reports call the rule; its text where empty.
	Name   string
	Match  Match
	Action Action
	// Times is how often it fires: 0 means once. Always lifts the bound.
	Times  int
	Always bool
	// Optional: the play may end without the rule having fired.
	Optional bool
}

// ParseRule reads a rule as it is typed and printed:
//
//	ACTION["(" ARGS ")"] MATCH ["until" CONDITION] ["at most" D] ["always" | N "times"]
//
// The error is a *flow.SyntaxError whose column counts from the rule's begin.
func ParseRule(text string) (Rule, error) {
	at := leading(text)
	verb, args, rest, err := cutAction(text, at)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Action: Action{Verb: Verb(verb)}}
	body, err := r.cutTail(text, rest)
	if err != nil {
		return Rule{}, err
	}
	if r.Action.Verb == Hold {
		begin, word := rest, " until "
		i := strings.Index(text[begin:body], word)
		if i < 0 {
			return Rule{}, syntax(text, body, "hold needs what it waits for, as in hold client.FIN until server.FIN")
		}
		condition := begin + i + len(word)
		if r.Action.Until, err = ParseCondition(text[condition:body]); err != nil {
			return Rule{}, shift(err, text, condition)
		}
		body = begin + i
	}
	if err := r.Action.parseArgs(text, args, at+len(verb)); err != nil {
		return Rule{}, err
	}
	if strings.TrimSpace(text[rest:body]) == "" {
		return Rule{}, syntax(text, rest, "want a match after %s, as in %s client.FIN", verb, verb)
	}
	rest += leading(text[rest:])
	if r.Match, err = ParseMatch(strings.TrimRight(text[rest:body], " ")); err != nil {
		return Rule{}, shift(err, text, rest)
	}
	if err := r.consistent(); err != nil {
		return Rule{}, syntax(text, rest, "%v", err)
	}
	return r, nil
}

// Resolve replaces bytes that are counted from the end of a turn, in the match,
// in the condition and in Cut's Keep, by bytes from its beginning. turnLen says
// how long a turn was in a fault-free play; turn 0 is the whole stream.
func (r Rule) Resolve(turnLen func(who string, turn int) (int64, bool)) (Rule, error) {
	if r.Action.Verb == Cut && r.Action.Keep < 0 && r.Match.pattern != nil {
		n, ok := turnLen(r.Match.pattern.Who, r.Match.pattern.Turn)
		if !ok || n+r.Action.Keep < 0 {
			return r, fmt.Errorf("resolve %s: the fault-free play had %d bytes there", r, n)
		}
		r.Action.Keep += n
	}
	var err error
	if r.Match, err = r.Match.resolve(turnLen); err != nil {
		return r, err
	}
	r.Action.Until, err = r.Action.Until.Resolve(turnLen)
	return r, err
}

// Resolve is Rule.Resolve for a condition by itself.
func (c Condition) Resolve(turnLen func(who string, turn int) (int64, bool)) (Condition, error) {
	var err error
	c.Match, err = c.Match.resolve(turnLen)
	return c, err
}

// consistent refuses a match that an action cannot work with.
func (r *Rule) consistent() error {
	if f := r.Action.Forgery; r.Action.Verb == Forge {
		switch {
		case f.To == Both && (f.ICMP != "" || f.Ends):
			return errors.New("to=both is for a segment to each end, after which these know all: it goes neither with icmp nor with ends")
		case f.Ends && f.ICMP != "":
			return errors.New("an ICMP error ends nothing on the wire: drop what it is about, as forge(instead, icmp …) … always does")
		}
		return nil
	}
	if r.Action.Verb != Cut {
		return nil
	}
	if p := r.Match.pattern; p == nil || p.Kind != flow.DATA || p.Bytes || p.Copy != 0 || p.Who == flow.Forged {
		return fmt.Errorf("cut needs the turn or the stream that it cuts, as in %s or cut(500, fin) server.DATA", examples[Cut])
	}
	return nil
}

// cutAction takes the verb and what is in its brackets; rest is where the
// match begins.
func cutAction(text string, at int) (verb, args string, rest int, err error) {
	end := at
	for end < len(text) && text[end] >= 'a' && text[end] <= 'z' {
		end++
	}
	verb = text[at:end]
	known := false
	for _, v := range Verbs() {
		known = known || string(v) == verb
	}
	if !known {
		return "", "", 0, syntax(text, at, "unknown action %q: want one of %s", verb, joinVerbs())
	}
	if end < len(text) && text[end] == '(' {
		closing := strings.IndexByte(text[end:], ')')
		if closing < 0 {
			return "", "", 0, syntax(text, end, "want a closing bracket")
		}
		args = text[end+1 : end+closing]
		end += closing + 1
	}
	return verb, args, end, nil
}

func joinVerbs() string {
	var words []string
	for _, v := range Verbs() {
		words = append(words, string(v))
	}
	return strings.Join(words, ", ")
}

// cutTail takes "always", "N times" and "at most D" from the end, and returns
// where what is before them ends.
func (r *Rule) cutTail(text string, from int) (int, error) {
	end := len(strings.TrimRight(text, " "))
	for {
		body := text[from:end]
		switch {
		case strings.HasSuffix(body, " always"):
			r.Always = true
			end -= len(" always")
			continue
		case strings.HasSuffix(body, " times"):
			words := strings.Fields(body)
			n, err := strconv.Atoi(words[len(words)-2])
			if err != nil || n < 1 {
				return 0, syntax(text, end-len(" times")-len(words[len(words)-2]), "want a number from 1 before times")
			}
			r.Times = n
			end = from + strings.LastIndex(strings.TrimRight(body[:len(body)-len(" times")], " "), " ")
			continue
		}
		i := strings.LastIndex(body, " at most ")
		if i < 0 || strings.ContainsAny(strings.TrimSpace(body[i+len(" at most "):]), " ") {
			return end, nil
		}
		d, err := parseDuration(strings.TrimSpace(body[i+len(" at most "):]))
		if err != nil {
			return 0, syntax(text, from+i+len(" at most "), "%v", err)
		}
		if r.Action.Verb != Hold {
			return 0, syntax(text, from+i+1, "at most belongs to hold")
		}
		r.Action.AtMost = d
		end = from + i
	}
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("want a duration as 200ms or 2s, not %q", text)
	}
	return d, nil
}

// String is the rule's text, which ParseRule reads back.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(string(r.Action.Verb))
	if args := r.Action.Argument(); args != "" {
		fmt.Fprintf(&b, "(%s)", args)
	}
	fmt.Fprintf(&b, " %s", r.Match)
	if r.Action.Verb == Hold {
		fmt.Fprintf(&b, " until %s", r.Action.Until)
		if r.Action.AtMost > 0 {
			fmt.Fprintf(&b, " at most %v", r.Action.AtMost)
		}
	}
	switch {
	case r.Always:
		b.WriteString(" always")
	case r.Times > 1:
		fmt.Fprintf(&b, " %d times", r.Times)
	}
	return b.String()
}

// ConditionKind is the word for what a condition waits for.
type ConditionKind string

// The conditions. Each, once true, stays true for the rest of the play: a
// state that was seen has been seen.
const (
	Seen      ConditionKind = "seen"      // a segment arrived at the wire
	Delivered ConditionKind = "delivered" // a segment left the wire
	InState   ConditionKind = "in"        // a kernel's connection was seen in a state
	Fired     ConditionKind = "fired"     // a rule fired
	Exited    ConditionKind = "exited"    // the programs of a host have ended
	Returned  ConditionKind = "returned"  // a system call of a peer returned
	Listening ConditionKind = "listening" // a program of a host listens on a port
	After     ConditionKind = "after"     // a time has passed since it was asked
	Next      ConditionKind = "next"      // Hold only: the next segment of the same sender on the same connection has left
)

// Condition is something to wait for: one type for Hold, Await and the acts of
// hosts. It is data.
type Condition struct {
	Kind  ConditionKind
	Match Match         // Seen, Delivered
	Host  string        // InState, Exited, Returned, Listening
	Conn  int           // InState; 0 means 1
	State tcp.State     // InState; Closed means that the kernel has no such socket any more
	Rule  string        // Fired: the rule's name
	Call  string        // Returned: the system call's name
	Nth   int           // Exited: which program of the host, in the order of their start; 0 is any
	Port  uint16        // Listening; 0 is any that other hosts can reach
	D     time.Duration // After
}

// ParseCondition reads a condition: a name (seen) | "delivered" NAME | HOST
// "in" STATE | "fired" RULE | "exited" HOST | "returned" HOST CALL |
// "listening" HOST PORT | "after" D | "next".
// The error is a *flow.SyntaxError.
func ParseCondition(text string) (Condition, error) {
	at := leading(text)
	word, rest, _ := strings.Cut(text[at:], " ")
	rest = strings.TrimSpace(rest)
	argument := len(text) - len(strings.TrimLeft(text[at+len(word):], " "))
	switch ConditionKind(word) {
	case Seen, Delivered:
		m, err := ParseMatch(rest)
		if err != nil {
			return Condition{}, shift(err, text, argument)
		}
		return Condition{Kind: ConditionKind(word), Match: m}, nil
	case Fired:
		if rest == "" {
			return Condition{}, syntax(text, len(text), "fired needs a rule's name")
		}
		return Condition{Kind: Fired, Rule: rest}, nil
	case Exited:
		if rest == "" || strings.Contains(rest, " ") {
			return Condition{}, syntax(text, argument, "exited needs one host, as in exited client")
		}
		host, number, numbered := strings.Cut(rest, "#")
		c := Condition{Kind: Exited, Host: host}
		if numbered {
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 {
				return Condition{}, syntax(text, argument+len(host)+1, "want the number of a program behind the #, from 1")
			}
			c.Nth = n
		}
		return c, nil
	case Returned:
		host, call, ok := strings.Cut(rest, " ")
		if !ok || strings.Contains(strings.TrimSpace(call), " ") {
			return Condition{}, syntax(text, argument, "returned needs a host and a system call, as in returned server close")
		}
		return Condition{Kind: Returned, Host: host, Call: strings.TrimSpace(call)}, nil
	case Listening:
		host, number, numbered := strings.Cut(rest, " ")
		if host != "" && !numbered {
			return Condition{Kind: Listening, Host: host}, nil
		}
		port, err := strconv.ParseUint(strings.TrimSpace(number), 10, 16)
		if err != nil || port == 0 {
			return Condition{}, syntax(text, argument, "listening needs a host and perhaps a port, as in listening server 8080")
		}
		return Condition{Kind: Listening, Host: host, Port: uint16(port)}, nil
	case After:
		d, err := parseDuration(rest)
		if err != nil {
			return Condition{}, syntax(text, argument, "%v", err)
		}
		return Condition{Kind: After, D: d}, nil
	case Next:
		if rest != "" {
			return Condition{}, syntax(text, argument, "next takes nothing behind it, as in hold client.FIN until next")
		}
		return Condition{Kind: Next}, nil
	}
	if host, state, ok := strings.Cut(strings.TrimSpace(text), " in "); ok && !strings.Contains(host, " ") {
		c := Condition{Kind: InState, Host: host, Conn: 1}
		if number, rest, ok := strings.Cut(host, ":"); ok {
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 {
				return Condition{}, syntax(text, at, "want a connection's number before the colon")
			}
			c.Conn, c.Host = n, rest
		}
		s, err := tcp.ParseState(strings.TrimSpace(state))
		if err != nil {
			return Condition{}, syntax(text, strings.Index(text, " in ")+4, "unknown state %q: they are spelt as FIN_WAIT_2", strings.TrimSpace(state))
		}
		c.State = s
		return c, nil
	}
	m, err := ParseMatch(strings.TrimSpace(text))
	if err != nil {
		return Condition{}, shift(err, text, at)
	}
	return Condition{Kind: Seen, Match: m}, nil
}

// String is the condition's text, which ParseCondition reads back.
func (c Condition) String() string {
	switch c.Kind {
	case Seen:
		return c.Match.String()
	case Delivered:
		return "delivered " + c.Match.String()
	case InState:
		if c.Conn > 1 {
			return fmt.Sprintf("%d:%s in %s", c.Conn, c.Host, c.State)
		}
		return fmt.Sprintf("%s in %s", c.Host, c.State)
	case Fired:
		return "fired " + c.Rule
	case Exited:
		if c.Nth > 0 {
			return fmt.Sprintf("exited %s#%d", c.Host, c.Nth)
		}
		return "exited " + c.Host
	case Returned:
		return "returned " + c.Host + " " + c.Call
	case Listening:
		if c.Port == 0 {
			return "listening " + c.Host
		}
		return fmt.Sprintf("listening %s %d", c.Host, c.Port)
	case After:
		return "after " + c.D.String()
	case Next:
		return "next"
	}
	return "nothing"
}

// Check refuses a rule that names a host which the lab does not have.
func (r *Rule) Check(hosts []string) error {
	if err := r.Match.Check(hosts); err != nil {
		return err
	}
	switch r.Action.Verb {
	case Hold:
		return r.Action.Until.Check(hosts)
	case Forge, Silence:
		to := r.Action.To
		if r.Action.Verb == Forge {
			to = r.Action.Forgery.To
		}
		if to != "" && !(r.Action.Verb == Forge && to == Both) && !contains(hosts, to) {
			return syntax(r.String(), strings.Index(r.String(), to), "there is no host %q: the hosts are %s", to, strings.Join(hosts, ", "))
		}
	}
	return r.consistent()
}

// Check refuses a condition that names a host which the lab does not have.
func (c *Condition) Check(hosts []string) error {
	if c.Kind == Seen || c.Kind == Delivered {
		return c.Match.Check(hosts)
	}
	if c.Host != "" && !contains(hosts, c.Host) {
		return syntax(c.String(), strings.Index(c.String(), c.Host), "there is no host %q: the hosts are %s", c.Host, strings.Join(hosts, ", "))
	}
	return nil
}

func leading(text string) int { return len(text) - len(strings.TrimLeft(text, " ")) }

func syntax(text string, at int, format string, args ...any) error {
	return &flow.SyntaxError{Text: text, Column: at + 1, What: fmt.Sprintf(format, args...)}
}

// shift moves an error's column to where its text stands within the whole.
func shift(err error, whole string, by int) error {
	var e *flow.SyntaxError
	if errors.As(err, &e) {
		return &flow.SyntaxError{Text: whole, Column: e.Column + by, What: e.What}
	}
	return err
}
