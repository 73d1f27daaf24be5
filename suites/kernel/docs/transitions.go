package docs

import (
	"fmt"

	"github.com/lastack/lastack/inject/tcp"
)

// Transition is one way of a connection's end from a state to the next.
type Transition struct {
	From, To tcp.State
	// Event is what makes it go.
	Event string
	// Ref says where to read of it.
	Ref string
	// By tells apart transitions to CLOSED, which many things lead to.
	By Cause
	// Scenarios reach it by construction, on either host: whatever the machine
	// does, a segment waits until the state before and the state after were
	// seen. Those that only happen to reach it are not listed.
	Scenarios []string
}

// Cause is what must have led to CLOSED, beside the states.
type Cause int

// The causes.
const (
	// Anything but a RST that came.
	Anything Cause = iota
	// Reset: a RST came to this end.
	Reset
	// Timer: no RST came, and CLOSED was not seen upon the arrival of a segment.
	Timer
)

// String is the transition in one line.
func (t Transition) String() string { return fmt.Sprintf("%s → %s: %s", t.From, t.To, t.Event) }

// Transitions are those of RFC 9293 that Linux has, in the order of a
// connection's life: figure 5, and what section 3.10 adds to it (resets,
// aborts, timeouts). The suite plays the scenarios, and fails for each that
// does not reach what it is listed with.
var Transitions = []Transition{
	{From: tcp.Closed, To: tcp.Listen, Event: "listen()", Ref: "RFC 9293 §3.10.1", Scenarios: []string{"close/four-way"}},
	{From: tcp.Closed, To: tcp.SynSent, Event: "connect()", Ref: "RFC 9293 §3.10.1", Scenarios: []string{"close/four-way", "close/simultaneous"}},

	{From: tcp.Listen, To: tcp.SynRecv, Event: "SYN", Ref: "RFC 9293 §3.10.7.2", Scenarios: []string{"close/four-way"}},
	{From: tcp.Listen, To: tcp.Closed, Event: "close() of the listener", Ref: "RFC 9293 §3.10.4", Scenarios: []string{"reset/listener-closed-with-pending"}},

	{From: tcp.SynSent, To: tcp.Established, Event: "SYN-ACK", Ref: "RFC 9293 §3.10.7.3", Scenarios: []string{"close/four-way", "close/simultaneous"}},
	{From: tcp.SynSent, To: tcp.SynRecv, Event: "SYN (simultaneous open)", Ref: "RFC 9293 §3.10.7.3", Scenarios: []string{"close/simultaneous-open"}},
	{From: tcp.SynSent, To: tcp.Closed, Event: "close()", Ref: "RFC 9293 §3.10.4", Scenarios: []string{"close/syn-sent"}},
	{From: tcp.SynSent, To: tcp.Closed, Event: "RST that acknowledges the SYN", Ref: "RFC 9293 §3.10.7.3", By: Reset, Scenarios: []string{"reset/closed-port"}},
	{From: tcp.SynSent, To: tcp.Closed, Event: "no answer to any SYN", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"detect/syn-retries{tcp_syn_linear_timeouts=0}"}},

	{From: tcp.SynRecv, To: tcp.Established, Event: "ACK of the SYN-ACK", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/four-way", "close/simultaneous"}},
	{From: tcp.SynRecv, To: tcp.FinWait1, Event: "close() in a simultaneous open", Ref: "RFC 9293 §3.10.4", Scenarios: []string{"close/simultaneous-open-close-in-syn-recv"}},
	{From: tcp.SynRecv, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"close/syn-sent"}},
	{From: tcp.SynRecv, To: tcp.Closed, Event: "no answer to any SYN-ACK", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"detect/syn-ack-never-answered"}},

	{From: tcp.Established, To: tcp.FinWait1, Event: "close(), shutdown(WR)", Ref: "RFC 9293 §3.10.4", Scenarios: []string{"close/four-way", "close/simultaneous"}},
	{From: tcp.Established, To: tcp.CloseWait, Event: "FIN", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/four-way", "close/fin-lost"}},
	{From: tcp.Established, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"close/linger-zero", "close/unread-data"}},
	{From: tcp.Established, To: tcp.Closed, Event: "abort: SO_LINGER 0, or close() with data unread", Ref: "RFC 9293 §3.10.5", Scenarios: []string{"close/linger-zero", "close/unread-data"}},
	{From: tcp.Established, To: tcp.Closed, Event: "no answer to data or keep-alive", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"detect/keepalive-finds-dead-peer", "detect/user-timeout"}},

	{From: tcp.FinWait1, To: tcp.FinWait2, Event: "ACK of the FIN", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/four-way", "close/fin-lost"}},
	{From: tcp.FinWait1, To: tcp.Closing, Event: "FIN that does not acknowledge ours", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/simultaneous"}},
	{From: tcp.FinWait1, To: tcp.TimeWait, Event: "FIN that acknowledges ours", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/three-way"}},
	{From: tcp.FinWait1, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"reset/right-before-fin"}},
	{From: tcp.FinWait1, To: tcp.Closed, Event: "abort: SO_LINGER 0 after shutdown(WR), or data that nobody will read", Ref: "RFC 9293 §3.10.5", Scenarios: []string{"close/linger-zero-in{state=FIN_WAIT_1}"}},
	{From: tcp.FinWait1, To: tcp.Closed, Event: "no answer to the FIN", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"detect/fin-never-answered"}},

	{From: tcp.FinWait2, To: tcp.TimeWait, Event: "FIN", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/four-way", "close/fin-lost"}},
	{From: tcp.FinWait2, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"trap/rst-is-not-always-econnreset{FIN_WAIT_2}"}},
	{From: tcp.FinWait2, To: tcp.Closed, Event: "abort: SO_LINGER 0 after shutdown(WR), or data that nobody will read", Ref: "RFC 9293 §3.10.5", Scenarios: []string{"close/linger-zero-in{state=FIN_WAIT_2}"}},

	{From: tcp.CloseWait, To: tcp.LastAck, Event: "close(), shutdown(WR)", Ref: "RFC 9293 §3.10.4", Scenarios: []string{"close/four-way"}},
	{From: tcp.CloseWait, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"close/linger-zero-in{state=FIN_WAIT_2}"}},
	{From: tcp.CloseWait, To: tcp.Closed, Event: "abort: SO_LINGER 0, or close() with data unread", Ref: "RFC 9293 §3.10.5", Scenarios: []string{"close/linger-zero-in{state=CLOSE_WAIT}"}},
	{From: tcp.CloseWait, To: tcp.Closed, Event: "no answer to data", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"detect/data-never-answered-in-close-wait"}},

	{From: tcp.Closing, To: tcp.TimeWait, Event: "ACK of the FIN", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/simultaneous"}},
	{From: tcp.Closing, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"reset/in-closing"}},
	{From: tcp.Closing, To: tcp.Closed, Event: "abort: SO_LINGER 0 after shutdown(WR)", Ref: "RFC 9293 §3.10.5", Scenarios: []string{"close/linger-zero-in{state=CLOSING}"}},
	{From: tcp.Closing, To: tcp.Closed, Event: "no answer to the FIN", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"detect/fin-never-answered-in-closing"}},

	{From: tcp.LastAck, To: tcp.Closed, Event: "ACK of the FIN", Ref: "RFC 9293 §3.10.7.4", Scenarios: []string{"close/four-way", "close/last-ack-lost"}},
	{From: tcp.LastAck, To: tcp.Closed, Event: "RST", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"reset/number-of-the-fin{state=LAST_ACK}", "crash/host-after-fin-boots"}},
	{From: tcp.LastAck, To: tcp.Closed, Event: "abort: SO_LINGER 0 after shutdown(WR)", Ref: "RFC 9293 §3.10.5", Scenarios: []string{"close/linger-zero-in{state=LAST_ACK}"}},
	{From: tcp.LastAck, To: tcp.Closed, Event: "no answer to the FIN", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"close/last-ack-lost-for-ever"}},

	{From: tcp.TimeWait, To: tcp.Closed, Event: "60 s are over", Ref: "RFC 9293 §3.10.8", By: Timer, Scenarios: []string{"wait/time-wait-waited"}},
	{From: tcp.TimeWait, To: tcp.Closed, Event: "RST (`tcp_rfc1337=0`)", Ref: "RFC 9293 §3.10.7.4", By: Reset, Scenarios: []string{"middlebox/nat-reuses-port-of-time-wait{tcp_rfc1337=0}"}},
	{From: tcp.TimeWait, To: tcp.SynRecv, Event: "SYN of a new connection on the same ports", Ref: "RFC 9293 §3.6.1", Scenarios: []string{"middlebox/nat-reuses-port-of-time-wait{tcp_rfc1337=0}"}},
}

// Additions are transitions of Linux that RFC 9293 does not know.
var Additions = []Transition{
	{From: tcp.FinWait1, To: tcp.Closed, Event: "ACK of the FIN, where TCP_LINGER2 is negative", Ref: "tcp_rcv_state_process", Scenarios: []string{"close/linger2-negative"}},
	{From: tcp.FinWait2, To: tcp.Closed, Event: "`tcp_fin_timeout` or TCP_LINGER2 is over, and nobody holds the socket", Ref: "tcp_time_wait", By: Timer, Scenarios: []string{"trap/fin-wait-2-is-not-tcp-fin-timeout{tcp_fin_timeout=61}"}},
	{From: tcp.TimeWait, To: tcp.SynSent, Event: "connect() from the same port (`tcp_tw_reuse`)", Ref: "tcp_twsk_unique", Scenarios: []string{"wait/connect-from-port-in-time-wait{bind=0,tcp_tw_reuse=1,tcp_timestamps=1}"}},
}

// Lack is a transition of RFC 9293 that Linux does not have.
type Lack struct {
	From, To tcp.State
	Event    string
	Ref      string
	// Instead is what the system call returns.
	Instead string
	// Scenarios show it.
	Scenarios []string
}

// Lacks are those transitions. What a listener's calls return is measured by
// a test of this package.
var Lacks = []Lack{
	{From: tcp.Listen, To: tcp.SynSent, Event: "SEND on a passive OPEN", Ref: "RFC 9293 §3.10.2",
		Instead: "a listener stays one: send() is EPIPE with SIGPIPE, connect() is EISCONN"},
	{From: tcp.SynRecv, To: tcp.Listen, Event: "RST after a passive OPEN", Ref: "RFC 9293 §3.10.7.4",
		Instead: "the listener never left LISTEN, for each SYN has a request of its own: only that goes from SYN_RECV to CLOSED, and accept() returns nothing (EAGAIN where it does not block)"},
	{From: tcp.SynRecv, To: tcp.FinWait1, Event: "CLOSE after a passive OPEN", Ref: "RFC 9293 §3.10.4",
		Instead: "no program has a descriptor before ESTABLISHED: accept() blocks, or is EAGAIN"},
	{From: tcp.SynRecv, To: tcp.Closed, Event: "ABORT after a passive OPEN", Ref: "RFC 9293 §3.10.5",
		Instead: "the same: there is no descriptor on which to call close()"},
	{From: tcp.SynRecv, To: tcp.CloseWait, Event: "FIN", Ref: "RFC 9293 §3.10.7.4",
		Instead: "the ACK in the same segment makes it ESTABLISHED first (tcp_rcv_state_process); a FIN without the flag ACK is dropped"},
	{From: tcp.TimeWait, To: tcp.Closed, Event: "ABORT", Ref: "RFC 9293 §3.10.5",
		Instead:   "TIME_WAIT has left the descriptor (tcp_time_wait): close() with SO_LINGER 0 returns 0, sends nothing, and TIME_WAIT stays",
		Scenarios: []string{"close/linger-zero-in{state=TIME_WAIT}"}},
}

// states are those of RFC 9293, in the order of a connection's life.
var states = []tcp.State{
	tcp.Listen, tcp.SynSent, tcp.SynRecv, tcp.Established, tcp.FinWait1, tcp.FinWait2,
	tcp.CloseWait, tcp.Closing, tcp.LastAck, tcp.TimeWait, tcp.Closed,
}
