package peer

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// DataLimit is how many bytes of what was read a Result carries; Total and Sum
// speak of all.
const DataLimit = 64 << 10

// Errno is the name of an error number, "ECONNRESET"; empty is none.
type Errno string

// SIGPIPE is Result.Signal of a write that raised it.
const SIGPIPE = "SIGPIPE"

// Result is what the kernel made of one call. It is plain data.
type Result struct {
	// Name is the system call's and Text the call as strace would print it,
	// "read(4, 1)".
	Name string `json:"name"`
	Text string `json:"text"`
	// N is what the call returned, -1 with an Errno. In a bulk call it is what the
	// last system call returned.
	N     int64 `json:"n"`
	Errno Errno `json:"errno,omitempty"`
	// Signal is SIGPIPE where the call raised it. It never ends the peer.
	Signal string `json:"signal,omitempty"`
	// Data is what was read, at most DataLimit bytes of it.
	Data []byte `json:"data,omitempty"`
	// Total counts the bytes read or written, and Sum is their SHA-256 in
	// hexadecimal (empty where there were none or NoSum was set).
	Total int64  `json:"total,omitempty"`
	Sum   string `json:"sum,omitempty"`
	// Calls counts the system calls of a bulk call.
	Calls int64 `json:"calls,omitempty"`
	// EOF says that a read returned 0 for more than 0 bytes asked.
	EOF bool `json:"eof,omitempty"`
	// Begin and End are CLOCK_MONOTONIC just before and just after the call.
	Begin time.Duration `json:"begin"`
	End   time.Duration `json:"end"`
	// Addr is the address of accept, getsockname and getpeername.
	Addr netip.AddrPort `json:"addr,omitzero"`
	// Value is what getsockopt and the queue sizes returned. SO_ERROR is in
	// OptionErrno.
	Value       int      `json:"value,omitempty"`
	OptionErrno Errno    `json:"option_errno,omitempty"`
	Linger      Linger   `json:"linger,omitzero"`
	Info        *TCPInfo `json:"info,omitempty"`
	// Poll are the polled descriptors, with Returns filled in.
	Poll []PollFD `json:"poll,omitempty"`
}

// FD is what socket and accept returned.
func (r Result) FD() FD { return FD(r.N) }

// Failed reports whether the call returned an error number.
func (r Result) Failed() bool { return r.Errno != "" }

// String is the call and its outcome in one line: "read(4, 1) = -1 ECONNRESET".
func (r Result) String() string { return r.Text + " = " + r.Outcome() }

// Outcome is what the call returned: "1", "-1 ECONNRESET", "-1 EPIPE (SIGPIPE)".
// Where bytes were counted over several calls it begins with them: "4096 bytes,
// 0".
func (r Result) Outcome() string {
	var b strings.Builder
	if r.Calls > 0 {
		fmt.Fprintf(&b, "%d bytes, ", r.Total)
	}
	fmt.Fprint(&b, r.N)
	if r.Errno != "" {
		fmt.Fprintf(&b, " %s", r.Errno)
	}
	if r.Signal != "" {
		fmt.Fprintf(&b, " (%s)", r.Signal)
	}
	return b.String()
}

// TCPInfo is the part of the kernel's tcp_info that a program's author looks at.
type TCPInfo struct {
	// State is the kernel's number; 7 is CLOSED, which a descriptor shows whose
	// connection is in TIME_WAIT or reset.
	State       uint8 `json:"state"`
	CAState     uint8 `json:"ca_state"`
	Retransmits uint8 `json:"retransmits"`
	Probes      uint8 `json:"probes"`
	Backoff     uint8 `json:"backoff"`
	// Options: 1 timestamps, 2 SACK, 4 window scaling, 8 ECN.
	Options      uint8         `json:"options"`
	RTO          time.Duration `json:"rto"`
	ATO          time.Duration `json:"ato"`
	SndMSS       uint32        `json:"snd_mss"`
	RcvMSS       uint32        `json:"rcv_mss"`
	Unacked      uint32        `json:"unacked"` // segments
	Sacked       uint32        `json:"sacked"`
	Lost         uint32        `json:"lost"`
	Retrans      uint32        `json:"retrans"`
	TotalRetrans uint32        `json:"total_retrans"`
	LastDataSent time.Duration `json:"last_data_sent"`
	LastDataRecv time.Duration `json:"last_data_recv"`
	LastAckRecv  time.Duration `json:"last_ack_recv"`
	PMTU         uint32        `json:"pmtu"`
	AdvMSS       uint32        `json:"advmss"`
	RTT          time.Duration `json:"rtt"`
	RTTVar       time.Duration `json:"rttvar"`
	MinRTT       time.Duration `json:"min_rtt"`
	SndCwnd      uint32        `json:"snd_cwnd"`
	SndSsthresh  uint32        `json:"snd_ssthresh"`
	RcvSpace     uint32        `json:"rcv_space"`
	SndWnd       uint32        `json:"snd_wnd"`
	RcvWnd       uint32        `json:"rcv_wnd"`
	NotSentBytes uint32        `json:"notsent_bytes"`
	BytesAcked   uint64        `json:"bytes_acked"`
	BytesRecv    uint64        `json:"bytes_received"`
	BytesSent    uint64        `json:"bytes_sent"`
	BytesRetrans uint64        `json:"bytes_retrans"`
	SegsOut      uint32        `json:"segs_out"`
	SegsIn       uint32        `json:"segs_in"`
	TotalRTO     uint16        `json:"total_rto"`
}
