package docs

// Chapter is a part of what is taught.
type Chapter struct {
	Title string
	// First is the number of its first statement: numbers are names, and go on
	// from chapter to chapter.
	First      int
	Statements []string
}

// chapters are what books and courses say of the end of a connection. A
// statement's number is its stable name: scenarios answer by it, so none is
// ever given to another statement.
var chapters = []Chapter{
	{
		Title: "The four-way close", First: 1,
		Statements: []string{
			"Each direction is closed on its own: after the first FIN data may still flow the other way (half-close).",
			"A close is FIN, ACK, FIN, ACK. A FIN consumes one sequence number, so the ACK's number is the FIN's plus 1.",
			"The active closer goes ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT, CLOSED; the passive closer ESTABLISHED, CLOSE_WAIT, LAST_ACK, CLOSED.",
			"The first FIN usually has the ACK flag too: a capture shows `[F.] [.] [F.] [.]`.",
			"Where the passive closer is ready at once, its ACK and its FIN are one segment (three-way close).",
			"Both ends may send FIN at the same time (simultaneous close): four segments in another order, and an orderly end.",
			"TIME_WAIT lasts 2 MSL, two to four minutes as a rule.",
			"TIME_WAIT exists so that a FIN which is repeated because the last ACK was lost is acknowledged again.",
			"TIME_WAIT exists so that delayed duplicates do not disturb a new connection on the same ports.",
			"Without SO_LINGER close() returns at once, and the four-way close goes on behind it.",
			"With SO_LINGER 0 close() throws the send buffer away and sends RST.",
			"With SO_LINGER n close() waits up to n seconds for what is not yet delivered.",
			"FIN_WAIT_2 does not last for ever: after some minutes the connection is dropped.",
			"A restarted server may find its port held by TIME_WAIT; with SO_REUSEADDR it binds the port at once.",
		},
	},
	{
		Title: "Recognising it", First: 15,
		Statements: []string{
			"The FIN bit (0x01) marks the segments of a close. The ACK of a FIN is known by its number only: its flags are those of any ACK.",
			"Whoever sends the first FIN is the active closer.",
			"A FIN that is not acknowledged points to the network, or to a peer that crashed.",
			"Unusually long gaps between the steps of a close point to a problem.",
			"`tcp.flags.fin == 1` finds the segments; netstat shows FIN_WAIT, CLOSE_WAIT and TIME_WAIT while a close is under way.",
			"A RST is no part of the four-way close: it ends the connection at once, and is not acknowledged.",
			"Very many sockets in TIME_WAIT call for other settings of the server.",
		},
	},
	{
		Title: "The fast close: RST", First: 22,
		Statements: []string{
			"RST is sent by close() with SO_LINGER 0; by a port on which nothing listens; by a rebooted host, to connections that it no longer knows; to unacceptable numbers; by some stacks to idle connections; by firewalls and intrusion detection.",
			"On RST both ends throw away what is in their send and receive buffers.",
			"After a RST both ends are CLOSED at once: there is no TIME_WAIT.",
			"Whoever receives a RST sees ECONNRESET, \"Connection reset by peer\".",
			"What the other end had already sent may be lost.",
			"A port that is used again right after a RST may meet late segments of the old connection.",
			"A server whose backlog is full answers a SYN with RST, and the client sees \"Connection refused\".",
			"A forged RST can cut a connection; the check of its sequence number is the defence.",
			"shutdown() half-closes; close() after it ends the rest.",
		},
	},
	{
		Title: "A peer that dies in the middle", First: 31,
		Statements: []string{
			"Dead right after its FIN: the server's own FIN is repeated five to eight times, after 1, 2, 4, 8 … seconds; then it gives up.",
			"Dead right after the last ACK: the server has closed in order, the client has no TIME_WAIT; little harm, since a restarted client uses another port.",
			"Dead in ESTABLISHED while the other end sends: repeats with exponential backoff and, after minutes to a quarter of an hour, \"Connection timed out\".",
			"Dead in ESTABLISHED while nothing is sent: the other end never notices (a dead or zombie connection).",
			"Keep-alive: after two hours of silence a probe of one byte, nine of them 75 s apart, then \"Connection timed out\".",
			"Keep-alive is off unless SO_KEEPALIVE is set; its timers are `tcp_keepalive_time`, `_intvl` and `_probes`.",
			"A heartbeat of the application, say every 30 s, finds a dead peer sooner.",
			"A router's ICMP \"destination unreachable\" may end the connection.",
			"A rebooted peer answers data with RST, so the end of the connection is known at once.",
			"Load balancers and proxies end idle connections, often after 60 s: heartbeats must come more often.",
			"The crash of a process is not the crash of a host: other segments leave, or none.",
			"Watching socket states and how they change finds what is not normal.",
		},
	},
}

// Statements is how many statements there are; they are numbered from 1.
var Statements = func() int {
	last := chapters[len(chapters)-1]
	return last.First + len(last.Statements) - 1
}()
