package vocabulary

import (
	"testing"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/flow"
)

// part is one thing that a text can say, with an example that parses.
type part struct {
	Part, Example, Means string
}

var nameParts = []part{
	{"`host.KIND`", "client.FIN", "a segment of that kind that came in by the host's port, whatever address it bears"},
	{"`forged.KIND`", "forged.RST", "made by a rule or sent by the attacker, in whoever's name"},
	{"`forged.KIND(host)`", "forged.RST(client)", "the same, in the name of that host"},
	{"`host.ACK(name)`", "server.ACK(client.FIN)", "its acknowledgement covers that SYN, SYN-ACK, FIN or DATA, if nothing delivered before did; or, if it carries nothing else, what it covers was the last thing delivered to its sender"},
	{"`n:`", "2:client.SYN", "of the nth connection by its first SYN, from 1; without it the first. A new incarnation of a four-tuple is a new number"},
	{"`host>host:`", "client>proxy:client.SYN", "of any connection that the first host opened to the second"},
	{"`@n`", "client.DATA@2", "of the nth turn of that host: a turn is all that one end says before the other end speaks, however its kernel cut it"},
	{"`[k]`", "client.DATA@1[5]", "the segment that holds byte k of the turn, from 0; of the stream without `@`"},
	{"`[a:b]`", "client.DATA@1[2:7]", "one that carries any byte from a on and before b; both may be left out"},
	{"`[-k]`", "client.DATA@1[-1]", "byte k from the turn's end, as a fault-free play showed it"},
	{"`#n`", "client.FIN#2", "the nth arrival at the wire with the same first number and kind; without it any. Copies that the wire makes do not count"},
}

var fieldParts = []part{
	{"`is(…)`", `is("client.FIN") && !is("server.ACK")`, "a name, in quotes"},
	{"`tcp.flags.…`", "tcp.flags.fin && !tcp.flags.push", "`fin`, `syn`, `reset`, `push`, `ack`, `urg`, `ece`, `cwr`, `ae`: true or false"},
	{"`tcp.len`", "tcp.len > 0", "bytes of data"},
	{"`tcp.seq`, `tcp.nxtseq`, `tcp.ack`", "tcp.seq < 1000 && tcp.nxtseq >= 1000 && tcp.ack == 1", "relative: the SYN of each end is 0; `nxtseq` is the number behind the segment"},
	{"`tcp.window_size_value`", "tcp.window_size_value == 0", "the field as it stands, not scaled"},
	{"`tcp.srcport`, `tcp.dstport`", "tcp.srcport == 4000 || tcp.dstport == 8080", "the ports"},
	{"`tcp.options.…`", "tcp.options.mss_val < 536 || tcp.options.sack_perm || tcp.options.sack_count > 0 || tcp.options.wscale == 7", "`mss_val` and `wscale` of a SYN, `sack_perm`, and how many blocks a SACK has"},
	{"`tcp.options.timestamp.…`", "tcp.options.timestamp.present && tcp.options.timestamp.tsval > tcp.options.timestamp.tsecr", "`present`, `tsval`, `tsecr`"},
	{"`ip.version`, `ip.src`, `ip.dst`", `ip.version == 6 || ip.src == "192.0.2.1" || ip.dst == "192.0.2.2"`, "addresses as text"},
	{"`icmp.…`", "icmp.present && icmp.type == 3 && icmp.code == 4", "`present`, `type`, `code` of an ICMP error about the connection"},
	{"`from`, `to`", `from == "client" && to == "server"`, "the hosts whose addresses it bears"},
	{"`sent_by`", `sent_by in ["wire", "attacker"]`, "the host by whose port it came in, or `wire` for what a rule made"},
	{"`conn`, `copy`", "conn == 2 && copy > 1", "the connection's number, and the count behind `#` of its first name"},
}

var ruleParts = []part{
	{"`action match`", "drop client.FIN", "the action is done once, to the first segment that matches"},
	{"`action(arguments)`", "delay(200ms) client.FIN", "what an action can be told is below; times are written as `200ms`, `1.5s`, `2m`"},
	{"`… always`", "drop client.FIN always", "at every match"},
	{"`… n times`", "drop client.FIN 3 times", "at the first n matches"},
	{"`hold … until condition`", "hold client.FIN until server.FIN", "until the condition is met, or the rule is disarmed; one whose condition never comes makes the run INCONCLUSIVE"},
	{"`… at most d`", "hold client.FIN until server in CLOSE_WAIT at most 2s always", "for `hold`: and no longer than that"},
}

var argumentParts = []part{
	{"`drop`", "drop client.FIN", "takes none"},
	{"`delay(d)`", "delay(1.5s) client.FIN", "how long after its arrival it goes on"},
	{"`hold`, `hold(reversed)`", "hold(reversed) client.DATA until client.FIN 3 times", "what one condition frees leaves in the order in which it came, or in the reverse of it"},
	{"`duplicate`, `duplicate(n)`, `duplicate(n, d)`", "duplicate(2, 50ms) client.FIN", "how many copies follow, 1 without; and how long after its arrival"},
	{"`rewrite(field=value, …)`", "rewrite(flags=F., win=0, ttl=1, checksum=bad) client.ACK", "`flags` as tcpdump prints them, `win`, `ttl`, `checksum=bad`; else the checksum stays as right or wrong as it was"},
	{"`rewrite(seq=…, ack=…)`", "rewrite(seq=RCV.NXT+RCV.WND+10, ack-=1) client.DATA", "a number (below), or `+=` and `-=` to move the one that stands there"},
	{"`rewrite(tsval=…, tsecr=…)`", "rewrite(tsval-=3600000, tsecr=0) client.DATA", "the same of the timestamps, where the segment has them; one without is not meant"},
	{"`rewrite(options=…)`", "rewrite(options=020405b4) client.SYN", "all TCP options: `none`, or up to 40 bytes in hexadecimal"},
	{"`rewrite(keep=n)`, `rewrite(payload=text)`", "rewrite(keep=2) client.DATA@1", "so many bytes of data stay, or these stand in their place"},
	{"`forge(place, flags, …)`", "forge(before, R, to=server, seq=RCV.NXT+10) client.FIN", "`before`, `after` or `instead` of what matched; `flags` as tcpdump prints them; `to` is the host that gets it, in the other end's name; `to=both` makes one for each"},
	{"`forge(…, key=value)`", "forge(after, P., seq=SND.UNA-1, ack=SND.NXT, win=0, len=10, ts=old) client.FIN", "`seq` and `ack` (below; without them as the claimed sender would write them), `win`, `len` (so many zero bytes), `ts` (`none`, `old` or `new`), `mss` (the option of a SYN)"},
	{"`forge(…, ends)`", "forge(instead, F., ends) server.FIN", "from then on nothing passes between the hosts on that connection, and the wire speaks for both dead ends, as after `cut`"},
	{"`forge(place, icmp reason)`", "forge(instead, icmp too-big, mtu=1280) client.DATA", "an ICMP error that quotes the segment, to its sender: `port-unreachable`, `host-unreachable`, `net-unreachable`, `admin-prohibited`, `too-big` with `mtu`"},
	{"`cut(n)`, `cut(n, fin)`, `cut(n, rst)`", "cut(500, rst) server.DATA@1", "n bytes of the turn or stream pass, and then FIN or RST in the sender's name. It wants `DATA`, with a turn or without, and neither bytes nor copy"},
	{"`silence(to-host)`, `silence(both)`", "silence(to-server) client.DATA@2", "everything on the connection to that host is lost, or both ways"},
	{"`forget`, `forget(rst)`", "forget(rst) client.DATA@2", "from here on everything on the connection is lost, or answered with RST"},
}

var numberParts = []part{
	{"`n`", "1", "counts from the SYN of the stream that the number belongs to"},
	{"`RCV.NXT`", "RCV.NXT+10", "the next number that the receiver expects"},
	{"`SND.UNA`", "SND.UNA-1", "the oldest number of the receiver that was not acknowledged to it"},
	{"`SND.NXT`", "SND.NXT", "the next number that the receiver will send"},
	{"`+RCV.WND`", "RCV.NXT+RCV.WND-1", "the receiver's window, as often as it stands there"},
}

var conditionParts = []part{
	{"`match`", "server.FIN", "such a segment arrived at the wire"},
	{"`delivered match`", "delivered server.ACK(client.FIN)", "such a segment left the wire"},
	{"`host in STATE`", "client in FIN_WAIT_1", "its kernel's end was seen in that state; CLOSED is no socket any more. Of another connection than the first: `2:client in …`"},
	{"`fired rule`", "fired drop client.FIN", "the rule of that name has acted; a rule without a name goes by its text"},
	{"`exited host`, `exited host#n`", "exited server#2", "a program of the host has ended: any, or the nth that was started there"},
	{"`returned host call`", "returned server close", "a system call of the host's peer, or an act on the host (`power-off`), has returned: the first of that name, or the nth with `#n`"},
	{"`listening host port`", "listening server 8080", "a program of the host listens"},
	{"`listening host`", "listening server", "a program of the host listens on an address that other hosts can reach in the play's family"},
	{"`after d`", "after 200ms", "that time has passed since it was asked"},
}

// tables are all parts, with what reads their examples.
func tables() map[string]struct {
	parts []part
	read  func(string) error
} {
	type table = struct {
		parts []part
		read  func(string) error
	}
	rule := func(s string) error { _, err := inject.ParseRule(s); return err }
	match := func(s string) error { _, err := inject.ParseMatch(s); return err }
	return map[string]table{
		"names":      {nameParts, func(s string) error { _, err := flow.ParsePattern(s); return err }},
		"fields":     {fieldParts, match},
		"rules":      {ruleParts, rule},
		"arguments":  {argumentParts, rule},
		"numbers":    {numberParts, func(s string) error { _, err := inject.ParseNumber(s); return err }},
		"conditions": {conditionParts, func(s string) error { _, err := inject.ParseCondition(s); return err }},
	}
}

func TestExamplesParse(t *testing.T) {
	for name, table := range tables() {
		for _, p := range table.parts {
			if err := table.read(p.Example); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
