package matrix

import "slices"

// departure explains cells in which Linux does something else than the RFC asks.
type departure struct {
	states, arrivals []string
	because          string
}

// departures name the kernel function in which each comes about. That a cell
// departs is measured; here stands only why.
var departures = []departure{
	{
		[]string{"SYN_RECV"}, []string{"syn-in-window"},
		"tcp_check_req answers a SYN in the window with RST+ACK, as RFC 793 had it, before it drops the request.",
	},
	{
		[]string{"SYN_RECV"}, []string{"syn-ack", "data-below", "data-beyond"},
		"tcp_check_req looks at the ACK before it looks at the sequence number: a wrong one goes to the listener, which answers any ACK with RST (tcp_rcv_state_process).",
	},
	{
		[]string{"SYN_RECV"}, []string{noTimestamp},
		"tcp_check_req asks for no timestamp where the option is missing. The ACK is wrong too, and the listener answers it with RST.",
	},
	{
		[]string{"ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2"}, []string{noTimestamp},
		"tcp_validate_incoming looks at a timestamp where there is one (tcp_paws_check); a segment without it is taken as it is.",
	},
	{
		[]string{"FIN_WAIT_1/orphan"}, []string{noTimestamp},
		"tcp_validate_incoming looks at a timestamp where there is one; then tcp_rcv_state_process answers data that nobody can read with RST (TCPAbortOnData).",
	},
	{
		[]string{"FIN_WAIT_2/orphan", "TIME_WAIT"}, []string{noTimestamp},
		"tcp_timewait_state_process looks at a timestamp where there is one; a segment without it is treated as any other.",
	},
	{
		[]string{"FIN_WAIT_1/orphan"}, []string{"data-beyond"},
		"tcp_sequence lets a segment pass that begins exactly at the window's edge while nothing is queued; tcp_rcv_state_process then takes it for data that nobody can read: RST (TCPAbortOnData).",
	},
	{
		[]string{"SYN_RECV"}, []string{"icmp-port"},
		"tcp_v4_err lets tcp_req_err drop a request for an unreachable net or host, not for a port; tcp_v6_err does for a port too.",
	},
	{
		[]string{"FIN_WAIT_1", "FIN_WAIT_1/orphan", "CLOSING", "LAST_ACK"}, []string{"icmp-port"},
		"tcp_v4_err and tcp_v6_err keep it as a soft error where the connection is synchronised (RFC 5927 §5.2): SO_ERROR shows it, and the connection lives.",
	},
	{
		[]string{"ESTABLISHED", "FIN_WAIT_2", "CLOSE_WAIT"}, []string{"icmp-port"},
		"tcp_v4_err and tcp_v6_err take SND.NXT for a number in flight (between() includes both ends), and keep it as a soft error, which SO_ERROR shows.",
	},
	{
		[]string{"CLOSE_WAIT", "CLOSING", "LAST_ACK"}, []string{"rst-below"},
		"tcp_reset_check takes a RST with the number of the FIN for an exact one, since 4.11: some stacks send FIN and then RST with the same number.",
	},
	{
		[]string{"CLOSE_WAIT", "CLOSING", "LAST_ACK"}, []string{"fin"},
		"tcp_rcv_state_process looks at nothing that begins behind a FIN: a second one there is dropped in silence.",
	},
	{
		[]string{"FIN_WAIT_2/orphan"}, []string{"rst-below", "rst-beyond"},
		"tcp_timewait_state_process answers any segment outside the mini-socket's window with an ACK, before it looks whether it is a RST.",
	},
	{
		[]string{"FIN_WAIT_2/orphan"}, []string{"rst-in-window"},
		"tcp_timewait_state_process ends the mini-socket for any RST in the window: it knows no RFC 5961.",
	},
	{
		[]string{"FIN_WAIT_2/orphan"}, []string{"syn-in-window"},
		"tcp_timewait_state_process answers a SYN in the window with RST+ACK (TCP_TW_RST), and tcp_v4_rcv and tcp_v6_rcv end the mini-socket: it knows no RFC 5961.",
	},
	{
		[]string{"FIN_WAIT_2/orphan"}, []string{"ack-unsent", "ack-old"},
		"tcp_timewait_state_process takes a segment in the window without data for a duplicate ACK, and does not look at what it acknowledges.",
	},
	{
		[]string{"FIN_WAIT_2/orphan"}, []string{"silence"},
		"tcp_time_wait gives the mini-socket tcp_fin_timeout, 60 s: an orphan that waits for ever would hold memory for ever.",
	},
	{
		[]string{"TIME_WAIT"}, []string{"rst-exact"},
		"tcp_timewait_state_process lets an exact RST end TIME_WAIT unless tcp_rfc1337 is 1; the default is 0.",
	},
	{
		[]string{"TIME_WAIT"}, []string{"rst-in-window"},
		"tcp_timewait_state_process drops a RST that is not exact and sends no challenge ACK: it knows no RFC 5961.",
	},
	{
		[]string{"TIME_WAIT"}, []string{"ack-unsent", "ack-old"},
		"tcp_timewait_state_process takes a bare segment with the exact number for what it waits for: it starts the 60 s again, is silent, and does not look at what is acknowledged.",
	},
	{
		[]string{"TIME_WAIT"}, []string{"silence"},
		"TCP_TIMEWAIT_LEN is 60 s, a constant, whatever the MSL is.",
	},
}

// because explains a cell that departs; "" where nobody knows yet.
func because(c *Cell) string {
	for _, d := range departures {
		if slices.Contains(d.states, c.State) && slices.Contains(d.arrivals, c.Arrival) {
			return d.because
		}
	}
	return ""
}
