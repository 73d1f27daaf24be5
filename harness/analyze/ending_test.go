package analyze

import (
	"strings"
	"testing"
)

const opening = `
	c SYN
	s SYN-ACK
	c ACK
`

const request = opening + `
	c DATA 100
	s ACK
	s DATA 200
	c ACK
`

// How each connection of a script ended: ENDED, then who closed first where
// somebody did, then BY WHY IN_STATE CONFIDENCE of a reset.
var endingTests = []struct {
	name, script, want string
	states             string // client, server; not looked at where empty
	note               string // a part of a note
}{
	{
		name: "four ways", want: "four-way client", states: "TIME_WAIT CLOSED",
		script: request + `
			c FIN
			s ACK
			s FIN
			c ACK`,
	},
	{
		name: "an acknowledgement on data is one without a FIN", want: "four-way client", states: "TIME_WAIT CLOSED",
		script: request + `
			c FIN
			s DATA 50
			s FIN
			c ACK`,
	},
	{
		name: "three ways", want: "three-way server", states: "CLOSED TIME_WAIT",
		script: request + `
			s FIN
			c FIN
			s ACK`,
	},
	{
		name: "three ways with data on the second FIN", want: "three-way server", states: "CLOSED TIME_WAIT",
		script: request + `
			s FIN
			c FIN 7
			s ACK`,
	},
	{
		name: "simultaneous", want: "simultaneous both", states: "TIME_WAIT TIME_WAIT",
		script: request + `
			c FIN
			s FIN ack=101
			c ACK
			s ACK`,
	},
	{
		name: "half-closed", want: "half-closed client", states: "FIN_WAIT_2 CLOSE_WAIT",
		script: request + `
			c FIN
			s ACK`,
	},
	{
		name: "a FIN that is not acknowledged when the capture ends", want: "half-closed client", states: "FIN_WAIT_1 CLOSE_WAIT",
		script: request + `
			c FIN`,
	},
	{name: "open", want: "open", states: "ESTABLISHED ESTABLISHED", script: request},
	{
		name: "the last ACK is not in the capture", want: "four-way client", states: "TIME_WAIT LAST_ACK",
		script: request + `
			c FIN
			s ACK
			s FIN`,
		note: "the last ACK is not in the file",
	},
	{
		name: "the last ACK is lost once", want: "four-way client", states: "TIME_WAIT CLOSED",
		script: request + `
			c FIN
			s ACK
			s FIN
			c ACK hidden
			+200ms s FIN again
			c ACK`,
	},
	{
		name: "the last ACK never comes", want: "abandoned client", states: "TIME_WAIT LAST_ACK",
		script: request + `
			c FIN
			s ACK
			s FIN
			+200ms s FIN again
			+400ms s FIN again
			+800ms s FIN again`,
		note: "doubling intervals, from 401 ms on",
	},
	{
		name: "a FIN that nobody answers", want: "abandoned client", states: "FIN_WAIT_1 ",
		script: request + `
			c FIN
			+200ms c FIN again
			+400ms c FIN again`,
	},
	{
		name: "data that nobody answers", want: "abandoned",
		script: request + `
			c DATA 10
			+200ms c DATA again
			+400ms c DATA again
			+800ms c DATA again`,
	},
	{
		name: "data that is answered in the end", want: "open",
		script: request + `
			c DATA 10
			+200ms c DATA again
			+400ms c DATA again
			s ACK`,
	},
	{
		name: "probes of a closed window that are answered", want: "open",
		script: request + `
			c DATA 10
			s ACK win=0
			+200ms c ASK
			s ACK win=0
			+400ms c ASK
			s ACK win=0`,
		note: "the window of the server was 0 once, and still is",
	},
	{
		name: "probes of a closed window that are not answered", want: "abandoned",
		script: request + `
			c DATA 10
			s ACK win=0
			+200ms c ASK
			+400ms c ASK
			+800ms c ASK`,
	},
	{name: "nothing answers the SYN", want: "unanswered", states: "SYN_SENT ", script: `
			c SYN
			+1s c SYN again
			+2s c SYN again`},
	{name: "one SYN", want: "unanswered", script: `c SYN`},
	{
		name: "a closed port", want: "refused server closed-port CLOSED inferred",
		script: `
			c SYN
			s REFUSE ack=1`,
	},
	{
		name: "a RST for another SYN", want: "open",
		script: `
			c SYN
			s REFUSE ack=77
			s SYN-ACK
			c ACK
			c DATA
			s ACK`,
	},
	{
		name: "nobody answers the SYN-ACK", want: "abandoned", states: " SYN_RECV",
		script: `
			c SYN
			s SYN-ACK
			+1s s SYN-ACK again
			+2s s SYN-ACK again`,
	},
	{
		name: "a scan", want: "reset client unknown-connection CLOSED inferred",
		script: `
			c SYN
			s SYN-ACK
			c RST`,
	},
	{
		name: "data after close", want: "reset client client data-after-close FIN_WAIT_2 seen", states: "CLOSED CLOSED",
		script: request + `
			c FIN
			s ACK
			s DATA 10
			c RST`,
	},
	{
		name: "a FIN to who has given up", want: "reset client client unknown-connection CLOSED inferred",
		script: request + `
			c FIN
			s ACK
			+90s s FIN
			c RST`,
	},
	{
		name: "data to who has booted", want: "reset server unknown-connection CLOSED inferred",
		script: request + `
			+400s c DATA 10
			s RST`,
		note: "AWS Network Load Balancer forgets an idle connection after 5 min 50 s",
	},
	{
		name: "thrown away by who has received nothing", want: "reset server abort ESTABLISHED inferred",
		script: opening + `
			s DATA 10
			c ACK
			s RST-ACK`,
	},
	{
		name: "unread data and abort look the same", want: "reset server unclear ESTABLISHED seen",
		script: request + `
			s RST-ACK`,
	},
	{
		name: "unread data, for the window was closed", want: "reset server unread-data ESTABLISHED inferred",
		script: request + `
			c DATA 500
			s ACK win=0
			s RST-ACK`,
	},
	{
		name: "keep-alives without an answer", want: "keepalive-timeout client timeout ESTABLISHED seen",
		script: request + `
			+7200s c ASK
			+75s c ASK
			+75s c ASK
			+75s c RST-ACK`,
		note: "3 keep-alives of the client, the last 3 without an answer",
	},
	{
		name: "a RST behind a keep-alive that was answered here", want: "reset client unclear ESTABLISHED seen",
		script: opening + `
			c DATA 10
			s ACK
			+60s c ASK
			s ACK
			+60s c RST-ACK`,
	},
	{
		name: "data that crosses the FIN", want: "reset server server data-after-close FIN_WAIT_1 seen",
		script: request + `
			c DATA 10
			s FIN ack=101
			s RST seq=201`,
	},
	{
		name: "data that crosses the FIN, and a FIN behind it", want: "reset server server data-after-close FIN_WAIT_1 seen",
		script: request + `
			c DATA 10
			s FIN ack=101
			c FIN
			s RST seq=201`,
	},
	{
		name: "data after close and a FIN behind it, before the RST is there", want: "reset server server data-after-close FIN_WAIT_2 seen", states: "CLOSED CLOSED",
		script: request + `
			s FIN
			c DATA 10
			c FIN
			s RST`,
	},
	{
		name: "a FIN to who no longer knows the connection, behind data that was acknowledged", want: "reset server server unknown-connection CLOSED inferred",
		script: request + `
			s FIN
			c DATA 10
			s ACK
			c FIN
			s RST`,
	},
	{
		name: "data long after close", want: "reset client client data-after-close - seen",
		script: request + `
			c FIN
			s ACK
			+300s s DATA 10
			c RST`,
	},
	{
		name: "keep-alives that are answered", want: "open",
		script: request + `
			+60s c ASK
			s ACK
			+60s c ASK
			s ACK`,
		note: "2 keep-alives of the client, answered",
	},
	{
		name: "a RST that misses the window", want: "open", states: "ESTABLISHED ESTABLISHED",
		script: request + `
			s RST-ACK seq=90000
			c DATA 10
			s ACK`,
		note: "missed",
	},
	{
		name: "a RST in the window is challenged", want: "open",
		script: request + `
			s RST-ACK seq=300
			c ACK
			c DATA 10
			s ACK`,
		note: "it was not reset",
	},
	{
		name: "a RST at the edge of what is selectively acknowledged", want: "reset client unclear - seen",
		script: request + `
			c DATA 10 hidden
			c DATA 10
			s ACK ack=101 sack=121
			c RST seq=121`,
	},
	{
		name: "a RST between that and what is acknowledged", want: "unknown",
		script: request + `
			c DATA 10 hidden
			c DATA 10
			s ACK ack=101 sack=121
			c RST seq=115`,
		note: "nothing follows that would tell",
	},
	{
		name: "a RST in the window that nothing follows", want: "unknown",
		script: request + `
			s RST-ACK seq=300`,
		note: "nothing follows that would tell",
	},
	{
		name: "a RST in the name of who goes on", want: "reset middlebox middlebox - inferred",
		script: request + `
			s RST
			+50ms s DATA 10
			+1ms s DATA 10`,
	},
	{
		name: "a RST with another TTL", want: "reset middlebox middlebox - inferred",
		script: request + `
			s RST ttl=55`,
	},
	{
		name: "a RST that answers nothing", want: "reset server unclear - seen",
		script: request + `
			s ACK
			+3s s RST`,
	},
	{
		name: "a RST in TIME_WAIT ends no connection", want: "three-way client", states: "TIME_WAIT CLOSED",
		script: request + `
			c FIN
			s FIN
			c ACK
			s RST`,
		note: "TIME_WAIT",
	},
	{
		name: "a FIN behind the RST closes nothing", want: "reset server abort ESTABLISHED inferred",
		script: opening + `
			s RST-ACK
			c FIN`,
	},
	{
		name: "the listener had no room", want: "reset server backlog SYN_RECV inferred",
		script: opening + `
			+1s s SYN-ACK again
			c ACK
			s RST`,
	},
	{
		name: "a RST after the handshake fits several causes", want: "reset server unclear - seen",
		script: opening + `
			s RST`,
	},
	{
		name: "one side: who says nothing that is in the file", want: "unknown",
		script: `
			c SYN
			s SYN-ACK hidden
			c ACK
			c DATA 10
			s ACK hidden
			c DATA 10
			c FIN`,
		note: "one-sided",
	},
	{
		name: "one side: the repeats of one who is not heard", want: "abandoned",
		script: `
			c SYN
			s SYN-ACK hidden
			c ACK
			c DATA 10
			+200ms c DATA again
			+400ms c DATA again
			+800ms c DATA again`,
	},
	{
		name: "from the middle: a close", want: "four-way client", states: "TIME_WAIT CLOSED",
		script: `
			c DATA 10 seq=1000 ack=5000
			s ACK seq=5000
			c FIN ack=5000
			s ACK seq=5000
			s FIN seq=5000
			c ACK`,
		note: "the capture begins in the middle",
	},
	{
		name: "from the middle: a RST for data", want: "reset server unknown-connection CLOSED inferred",
		script: `
			c DATA 10 seq=1000 ack=5000
			s RST seq=5000`,
	},
	{
		name: "from the middle: a RST alone", want: "unknown",
		script: `s RST seq=5000`,
	},
	{
		name: "two incarnations of one four-tuple", want: "four-way client, open",
		script: request + `
			c FIN
			s ACK
			s FIN
			c ACK
			reopen` + request,
	},
	{
		name: "a late FIN is still the old connection's", want: "four-way client",
		script: request + `
			c FIN
			s ACK
			s FIN
			c ACK
			+90s s FIN again
			c ACK`,
	},
	{
		name: "a FIN with an old timestamp is none", want: "open",
		script: `
			c SYN ts=100
			s SYN-ACK ts=900
			c ACK ts=101
			c DATA 10 ts=102
			s ACK ts=901
			c FIN ts=50
			s ACK ack=11 ts=902`,
	},
	{
		name: "the SYN is not in the file", want: "half-closed server",
		script: `
			s SYN-ACK ack=1
			c ACK seq=1
			s FIN
			c ACK`,
		note: "the SYN is not in the file",
	},
}

func TestEnding(t *testing.T) {
	for _, tt := range endingTests {
		t.Run(tt.name, func(t *testing.T) {
			list := analysed(t, tt.script)
			var words, notes []string
			for _, c := range list {
				words = append(words, inWords(c))
				notes = append(notes, c.Notes...)
			}
			if got := strings.Join(words, ", "); got != tt.want {
				t.Errorf("ended %q, want %q\n%s", got, tt.want, drawn(list))
			}
			if len(list) == 0 {
				t.FailNow()
			}
			last := list[len(list)-1]
			if got := string(last.States.Client + " " + last.States.Server); tt.states != "" && got != tt.states {
				t.Errorf("states %q, want %q\n%s", got, tt.states, drawn(list))
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.note) {
				t.Errorf("no note has %q:\n%s", tt.note, all)
			}
		})
	}
}

func inWords(c *Connection) string {
	words := []string{string(c.Ended)}
	if c.ClosedFirst != "" {
		words = append(words, string(c.ClosedFirst))
	}
	if r := c.Reset; r != nil {
		state := string(r.InState)
		if state == "" {
			state = "-"
		}
		words = append(words, string(r.By), string(r.Why), state, string(r.Confidence))
		if r.Evidence == "" {
			words = append(words, "without evidence")
		}
	}
	return strings.Join(words, " ")
}

func drawn(list []*Connection) string {
	text := ""
	for _, c := range list {
		text += c.Ladder(0, false)
	}
	return text
}
