package file

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness"
)

// document is one scenario of a file, as it is written.
type document struct {
	_ struct{} `noun:"a scenario" example:"{ lastack: 1, name: …, hosts: { … } }"`

	Node *node

	Lastack  version        `key:"lastack" need:"yes" doc:"The version of this format: 1."`
	Name     name           `key:"name" need:"yes" doc:"What the scenario is called, in lower case with hyphens."`
	Summary  phrase         `key:"summary" need:"yes" doc:"One sentence."`
	Sources  []phrase       `key:"sources" doc:"Where the bug was published."`
	Hosts    table[host]    `key:"hosts" need:"yes" doc:"The programs, by the host on which they run. client and server are always there; further hosts are wherever they are named."`
	Rules    []rule         `key:"rules" doc:"What the wire does to segments. The first rule that matches a segment, and may still fire, acts on it."`
	At       []act          `key:"at" doc:"What is done to a host when a condition comes."`
	Given    []wireClaim    `key:"given" doc:"What must have come to the wire for the play to say anything: where an item does not hold, it is INCONCLUSIVE."`
	Expect   expects        `key:"expect" doc:"What must be true in the end. Each sentence of it is a claim."`
	For      table[[]plain] `key:"for" doc:"Variables and their values: the scenario is played once with each, and once with each combination of several. ${name} stands for the value."`
	Variants table[variant] `key:"variants" doc:"Other ways to play the scenario, by name: each is laid over it, key by key. A value of ~ takes a key away."`
	Verdicts table[verdict] `key:"verdicts" doc:"The verdict that each variant must give; default is the scenario as it stands. Of several values of for the worst verdict counts."`
	Sysctls  table[phrase]  `key:"sysctls" doc:"Settings of the hosts' kernels: net.ipv4.tcp_retries2 for all hosts, client:net.ipv4.tcp_retries2 for one."`
	IP       family         `key:"ip" doc:"The address family, where the scenario is about one: 4 or 6."`
	Files    table[globs]   `key:"files" doc:"Files that are kept as evidence, by host; a relative name or glob is looked up in {dir}."`
}

// globs is a list of names of files.
type globs = oneOrMany[phrase]

// version is the version of the format.
type version struct{}

func (*version) read(n *node) {
	if n.kind != integer || n.word != "1" {
		panic(n.fail("want 1, the version of this format that is known here, not %s", n.says()))
	}
}

// name is a name of a scenario.
type name struct{ phrase }

func (x *name) read(n *node) {
	x.phrase.read(n)
	if !written(x.text) || len(x.text) > 80 {
		panic(n.fail("want a name in lower case with hyphens, as in idle-close-race, not %s", n.says()))
	}
}

// written tells a name: a letter, and then letters, digits and hyphens.
func written(name string) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' || strings.HasSuffix(name, "-") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// family is an address family.
type family struct{ ip int }

func (f *family) read(n *node) {
	if n.kind != integer || n.word != "4" && n.word != "6" {
		panic(n.fail("want 4 or 6, not %s: without the key both are played where both are asked for", n.says()))
	}
	f.ip = int(n.word[0] - '0')
}

// verdict is PASS or FAIL: whatever else a play gives, it tested nothing.
type verdict struct {
	word string
	at   *node
}

func (v *verdict) read(n *node) {
	v.word, v.at = choice(n, "a verdict", "PASS", "FAIL"), n
}

// plain is a value of for.
type plain struct{ at *node }

func (p *plain) read(n *node) {
	if n.kind == list || n.kind == mapping || n.kind == null {
		panic(n.fail("want a number or text, not %s", n.says()))
	}
	p.at = n
}

// variant is laid over the scenario before it is read.
type variant struct {
	at *node
}

// variantKeys are what a variant may change.
var variantKeys = []string{"hosts", "rules", "at", "given", "expect", "sysctls", "ip", "files"}

func (v *variant) read(n *node) {
	n.want(mapping, "what is changed, as in { hosts: { client: { run: [./mended] } } }")
	for _, p := range n.pairs {
		if !slices.Contains(variantKeys, p.key.word) {
			panic(unknown(p.key, "a variant", variantKeys))
		}
	}
	v.at = n
}

// host is what runs on a host.
type host struct {
	_ struct{} `noun:"a host" example:"{ run: [./srv, --port, \"8080\"] }"`

	Node *node

	Run     command           `key:"run" doc:"The program and its arguments. builtin:NAME is a program of lastack itself; {dir} in an argument is the host's private directory."`
	Env     table[phrase]     `key:"env" doc:"Variables added to the environment."`
	Ready   ready             `key:"ready" doc:"When the hosts that name this one in after are started. Without it: once the host listens on any port."`
	After   oneOrMany[phrase] `key:"after" doc:"The hosts that must be ready before the program is started."`
	As      phrase            `key:"as" doc:"The host whose addresses it bears: client or server."`
	MTU     number            `key:"mtu" doc:"The link's MTU in bytes, from 1280; 1500 without it."`
	RTOMin  span              `key:"rto_min" doc:"The least retransmission timeout towards the other hosts; the kernel's 200ms without it."`
	Resolve flag              `key:"resolve_neighbours" doc:"Ask for the other hosts' hardware addresses over the wire; without it they are known for good."`
}

// command is a program and its arguments.
type command struct {
	words []phrase
	at    *node
}

func (c *command) read(n *node) {
	if n.kind == text {
		words, err := Words(n.word)
		example := "./srv"
		if err == nil && len(words) > 0 {
			example = strings.Join(words, ", ")
		}
		panic(n.fail("want a list, the program and its arguments, as in [%s]", shorten(example)))
	}
	n.want(list, "a list, the program and its arguments")
	if len(n.items) == 0 {
		panic(n.fail("the list is empty: it begins with the program"))
	}
	c.at = n
	for _, item := range n.items {
		var p phrase
		p.read(item)
		if strings.Contains(p.text, "\x00") {
			panic(item.fail("a program's argument cannot hold a NUL"))
		}
		c.words = append(c.words, p)
	}
	if c.words[0].text == "" {
		panic(n.items[0].fail("the program's name is empty"))
	}
}

// check says why the program cannot be run; nil where it can.
func (c *command) check() error {
	program := c.words[0]
	if err := harness.CheckProgram(program.text); err != nil {
		return program.at.fail("%v", err)
	}
	return nil
}

// ready says when a host's program can be used.
type ready struct {
	_ struct{} `noun:"ready" example:"{ listen: 8080 } or { log: \"listening on\" }" one:"sign"`

	Node *node

	Listen number  `key:"listen" one:"yes" doc:"It listens on this port."`
	Log    pattern `key:"log" one:"yes" doc:"A line that it writes matches this regular expression."`
	AtMost span    `key:"at_most" doc:"How long that may take; 30s without it."`
}

// act is something that is done to a host.
type act struct {
	_ struct{} `noun:"an act" example:"{ when: server.FIN, do: kill, host: client }"`

	Node *node

	When     condition `key:"when" need:"yes" doc:"The condition: a segment that came to the wire, or delivered NAME, client in FIN_WAIT_2, fired RULE, exited HOST, returned HOST ACT, listening HOST PORT, after 2s."`
	Do       deed      `key:"do" need:"yes" doc:"What is done."`
	Host     phrase    `key:"host" doc:"The host to which it is done."`
	Run      command   `key:"run" doc:"With do: run, the program; without it the host's own is run again."`
	Required flag      `key:"required" doc:"false: the play may end without it."`
}

// deed is what an act does.
type deed struct{ word string }

// deeds are all that a file can do to a host.
var deeds = []string{"kill", "stop", "continue", "power-off", "boot", "unplug", "plug", "run", "wait"}

func (d *deed) read(n *node) {
	if n.kind != text || !slices.Contains(deeds, n.word) {
		panic(n.fail("want one of %s, not %s", strings.Join(deeds, ", "), n.says()))
	}
	d.word = n.word
}

// rule is a rule of the wire.
type rule struct {
	_ struct{} `noun:"a rule" example:"{ match: server.FIN, drop: true }" one:"action"`

	Node *node

	Name      phrase    `key:"name" doc:"What reports and conditions call it."`
	Match     match     `key:"match" need:"yes" doc:"Which segments are meant: a name, or an expression."`
	Drop      yes       `key:"drop" one:"yes" doc:"Lose the segment."`
	Delay     span      `key:"delay" one:"yes" doc:"Let it go on after this time."`
	Hold      hold      `key:"hold" one:"yes" doc:"Keep it until a condition is met."`
	Duplicate duplicate `key:"duplicate" one:"yes" doc:"Let it go on, and copies of it: their number, or { copies, after }."`
	Rewrite   rewrite   `key:"rewrite" one:"yes" doc:"Change it on its way."`
	Forge     forge     `key:"forge" one:"yes" doc:"Make another segment, or an ICMP error, before it, after it, or instead of it."`
	Cut       cut       `key:"cut" one:"yes" doc:"Let the first bytes of the turn or stream pass and end it in its sender's name."`
	Silence   phrase    `key:"silence" one:"yes" doc:"From here on lose everything on the connection that goes to this host; or both ways: both."`
	Forget    forget    `key:"forget" one:"yes" doc:"From here on lose everything on the connection (silently), or answer it with RST (rst)."`
	Times     times     `key:"times" doc:"How often it fires: a number, or always; once without it."`
	Required  flag      `key:"required" doc:"false: the play may end without it having fired."`
}

// yes is true.
type yes struct{ at *node }

func (y *yes) read(n *node) {
	if n.kind != boolean || strings.ToLower(n.word) != "true" {
		panic(n.fail("want true, not %s", n.says()))
	}
	y.at = n
}

type hold struct {
	_ struct{} `noun:"hold" example:"{ until: server.FIN, at_most: 2s }"`

	Node *node

	Until    condition `key:"until" need:"yes" doc:"The condition that frees it."`
	AtMost   span      `key:"at_most" doc:"No longer than this."`
	Reversed flag      `key:"reversed" doc:"true: what one condition frees leaves in the reverse of the order in which it came."`
}

// duplicate is a number of copies, or more of them.
type duplicate struct {
	at     *node
	copies number
	after  span
}

// copies is duplicate as a mapping.
type copies struct {
	_ struct{} `noun:"duplicate" example:"{ copies: 2, after: 50ms }"`

	Node *node

	Copies number `key:"copies" doc:"How many; 1 without it."`
	After  span   `key:"after" doc:"How long after its arrival they follow."`
}

type cut struct {
	_ struct{} `noun:"cut" example:"{ keep: 500, then: fin }"`

	Node *node

	Keep number `key:"keep" need:"yes" doc:"How many bytes pass; -1 is all but the last, as a fault-free play showed it, which is played first."`
	Then ending `key:"then" doc:"What follows in the sender's name: fin or rst; fin without it."`
}

type ending struct{ word string }

func (e *ending) read(n *node) { e.word = choice(n, "how it ends", "fin", "rst") }

type forget struct{ word string }

func (f *forget) read(n *node) { f.word = choice(n, "how it forgets", "silently", "rst") }

type rewrite struct {
	_ struct{} `noun:"rewrite" example:"{ win: 0 }"`

	Node *node

	Flags    phrase `key:"flags" doc:"The flags as tcpdump prints them."`
	Win      phrase `key:"win" doc:"The window, not scaled."`
	TTL      phrase `key:"ttl" doc:"The TTL or hop limit."`
	Seq      phrase `key:"seq" doc:"The sequence number, as RCV.NXT+10; or += 5, -= 5 to move it."`
	Ack      phrase `key:"ack" doc:"The acknowledgement number, likewise."`
	TSVal    phrase `key:"tsval" doc:"The timestamp's value, likewise."`
	TSEcr    phrase `key:"tsecr" doc:"The timestamp's echo, likewise."`
	Options  phrase `key:"options" doc:"All TCP options: none, or up to 40 bytes in hexadecimal."`
	Keep     phrase `key:"keep" doc:"How many bytes of data stay."`
	Payload  phrase `key:"payload" doc:"The data that stands in place of its own."`
	Checksum phrase `key:"checksum" doc:"bad: the TCP checksum is wrong."`
}

type forge struct {
	_ struct{} `noun:"forge" example:"{ place: before, flags: R }"`

	Node *node

	Place phrase `key:"place" need:"yes" doc:"before, after or instead of what matched."`
	Flags phrase `key:"flags" doc:"The flags as tcpdump prints them."`
	ICMP  phrase `key:"icmp" doc:"The reason of an ICMP error: port-unreachable, host-unreachable, net-unreachable, admin-prohibited, too-big."`
	To    phrase `key:"to" doc:"The host that gets it, in the other end's name; or both, each end one."`
	Seq   phrase `key:"seq" doc:"The sequence number, as RCV.NXT+10."`
	Ack   phrase `key:"ack" doc:"The acknowledgement number."`
	Win   phrase `key:"win" doc:"The window, not scaled."`
	Len   phrase `key:"len" doc:"How many bytes of data it has, zeros."`
	TS    phrase `key:"ts" doc:"Timestamps: none, old by an hour, or new by one."`
	MTU   phrase `key:"mtu" doc:"The MTU of too-big."`
	Ends  flag   `key:"ends" doc:"true: from then on nothing passes between the hosts on that connection, as after a cut."`
}

// times is how often a rule fires.
type times struct {
	n      int64
	always bool
	at     *node
}

func (t *times) read(n *node) {
	t.at = n
	if n.kind == text && n.word == "always" {
		t.always = true
		return
	}
	var x number
	if n.kind != integer {
		panic(n.fail("want a number from 1, or always, not %s", n.says()))
	}
	x.read(n)
	x.between(1, 1<<30)
	t.n = x.n
}

// expects is what must be true in the end.
type expects struct {
	Wire     []wireClaim
	NoSocket []place
	Sockets  table[amount]
	Hosts    table[hostClaims]
}

// expectKeys are the words of expect that are no hosts.
type expectKeys struct {
	Wire     []wireClaim   `key:"wire" doc:"What came to the wire. Each item is a claim."`
	NoSocket []place       `key:"no_socket" doc:"Sockets that must not be left when the play ends: HOST/STATE, or HOST for any but those that listen."`
	Sockets  table[amount] `key:"sockets" doc:"How many sockets are left when the play ends: HOST/STATE and a number."`
}

// wireClaim is one claim about the wire.
type wireClaim struct {
	_ struct{} `noun:"a claim about the wire" example:"{ order: [client.FIN, server.RST] }" one:"sentence"`

	Node *node

	Order     []segment          `key:"order" one:"yes" doc:"These came to the wire, in this order, whatever came between."`
	Delivered []segment          `key:"delivered" one:"yes" doc:"These left the wire, in this order, whatever left between."`
	Dropped   []segment          `key:"dropped" one:"yes" doc:"These were lost on the wire, in this order."`
	Absent    oneOrMany[segment] `key:"absent" one:"yes" doc:"None of these came to the wire."`
	Count     table[amount]      `key:"count" one:"yes" doc:"How many of each came to the wire: a number, at least 2, at most 2."`
	Time      *gap               `key:"time" one:"yes" doc:"How much later one segment came than another."`
}

// gap bounds the time between two segments.
type gap struct {
	_ struct{} `noun:"time" example:"{ from: server.FIN, to: server.FIN#2, at_least: 150ms }"`

	Node *node

	From    segment `key:"from" need:"yes" doc:"The segment that is counted from."`
	To      segment `key:"to" need:"yes" doc:"The segment that comes later."`
	AtLeast bound   `key:"at_least" doc:"A duration, or 0.9 x timer of server.FIN: what its sender's kernel meant to wait when it had sent that segment."`
	AtMost  bound   `key:"at_most" doc:"Likewise."`
}

// place is a host, and a state of its sockets.
type place struct {
	host  string
	state *state
	at    *node
}

func (p *place) read(n *node) {
	n.want(text, "HOST/STATE, as in client/CLOSE_WAIT,")
	p.at = n
	word, after, found := strings.Cut(n.word, "/")
	p.host = word
	if !found {
		return
	}
	at := *n
	at.word = after
	if n.exact {
		at.column += n.inset + len([]rune(word)) + 1
	}
	p.state = &state{}
	p.state.read(&at)
}

// placeOf is the place that a key is.
func placeOf(key *node) (p place) {
	p.read(key.asText())
	return p
}

// hostClaims is what must be true of a host's program.
type hostClaims struct {
	_ struct{} `noun:"what is expected of a host" example:"{ exit: 0 }"`

	Node *node

	Exit     *exit            `key:"exit" doc:"The exit status: 0, not 0, or a list of those that will do."`
	Signal   phrase           `key:"signal" doc:"The signal that ended it, as SIGPIPE; or none."`
	Runs     flag             `key:"runs" doc:"true: it still runs when the play ends; false: it has ended."`
	Within   span             `key:"within" doc:"It ends within this time from its start. The play waits no longer for it."`
	Stdout   *output          `key:"stdout" doc:"What it writes to stdout."`
	Stderr   *output          `key:"stderr" doc:"What it writes to stderr."`
	Files    table[fileClaim] `key:"files" doc:"Files when the play ends: absent, present, or what is in them. A relative name is looked up in {dir}."`
	States   oneOrMany[state] `key:"states" doc:"The states in which its end of the first connection was seen, in this order, whatever was seen in between."`
	Errno    table[phrase]    `key:"errno" doc:"Of a builtin: the errors that its system calls reported, as { write: EPIPE }."`
	Counters table[amount]    `key:"counters" doc:"By how much counters of its kernel moved, as { TcpExt.TCPTimeouts: at least 1 }."`
}

// exit is an exit status.
type exit struct {
	not bool
	of  []int64
	at  *node
}

func (e *exit) read(n *node) {
	e.at = n
	items := []*node{n}
	switch {
	case n.kind == list && len(n.items) > 0:
		items = n.items
	case n.kind == text && strings.HasPrefix(n.word, "not "):
		inner := *n
		inner.kind, inner.word = integer, strings.TrimSpace(n.word[len("not "):])
		items, e.not = []*node{&inner}, true
	}
	for _, item := range items {
		var x number
		if item.kind != integer {
			panic(item.fail("want an exit status as 0, not 0, or [1, 2], not %s", item.says()))
		}
		x.read(item)
		x.between(0, 255)
		e.of = append(e.of, x.n)
	}
}

func (e *exit) holds(status int) bool { return slices.Contains(e.of, int64(status)) != e.not }

func (e *exit) String() string {
	var words []string
	for _, n := range e.of {
		words = append(words, fmt.Sprint(n))
	}
	s := strings.Join(words, " or ")
	if e.not {
		s = "not " + s
	}
	return s
}

// output is what must be true of what a program writes.
type output struct {
	_ struct{} `noun:"stdout and stderr" example:"{ lines: { \"POST done\": 2 } }"`

	Node *node

	Lines    table[amount]      `key:"lines" doc:"How many lines read exactly so."`
	Contains oneOrMany[phrase]  `key:"contains" doc:"It holds each of these."`
	Absent   oneOrMany[phrase]  `key:"absent" doc:"It holds none of these."`
	Matches  oneOrMany[pattern] `key:"matches" doc:"It matches each of these regular expressions; (?m) lets ^ and $ mean lines."`
	Equals   *phrase            `key:"equals" doc:"It is exactly this; a line break at the end does not count."`
	Size     *size              `key:"size" doc:"It is so long, in bytes."`
}

// fileClaim is a word, or what must be in the file.
type fileClaim struct {
	absent bool
	what   fileContent
	at     *node
}

type fileContent struct {
	_ struct{} `noun:"what is expected of a file" example:"{ size: 64KiB }"`

	Node *node

	Size     *size             `key:"size" doc:"It is so long, in bytes."`
	Equals   *phrase           `key:"equals" doc:"It holds exactly this; a line break at the end does not count."`
	Contains oneOrMany[phrase] `key:"contains" doc:"It holds each of these, in its first 64 KiB."`
	SHA256   *phrase           `key:"sha256" doc:"The hash of what it holds."`
}

func (f *fileClaim) read(n *node) {
	f.at = n
	switch {
	case n.kind == mapping:
		decode(n, valueOf(&f.what))
		if f.what.SHA256 != nil && !isHash(f.what.SHA256.text) {
			panic(f.what.SHA256.at.fail("want 64 digits in hexadecimal, in lower case"))
		}
		return
	case n.kind == text && (n.word == "absent" || n.word == "present"):
		f.absent = n.word == "absent"
		return
	}
	panic(n.fail("want absent, present, or what is in it, as in { size: 64KiB }, not %s", n.says()))
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// read takes the words of expect, and every other key for a host.
func (e *expects) read(n *node) {
	n.want(mapping, "what must be true, as in { client: { exit: 0 } }")
	words, hosts := *n, *n
	words.pairs, hosts.pairs = nil, nil
	var own expectKeys
	for _, p := range n.pairs {
		if slices.Contains(keysOf(&own), p.key.word) {
			words.pairs = append(words.pairs, p)
		} else {
			hosts.pairs = append(hosts.pairs, p)
		}
	}
	decode(&words, valueOf(&own))
	e.Wire, e.NoSocket, e.Sockets = own.Wire, own.NoSocket, own.Sockets
	e.Hosts.read(&hosts)
}
