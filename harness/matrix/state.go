package matrix

import "github.com/lastack/lastack/inject/tcp"

// State is a row of the matrix: a state of the subject, the server's kernel,
// in which a segment arrives. Numbers are relative: each SYN is 0.
type State struct {
	// Name is the kernel's; an orphan's has "/orphan" behind it.
	Name string
	// Short is the name in four columns.
	Short string
	// Is is what sock_diag shows, and Orphan that no descriptor refers to the
	// socket any more. Mini: a mini-socket is all that is left of it.
	Is           tcp.State
	Orphan, Mini bool
	// Entered says how the play gets there.
	Entered string
	// R, U and N are RCV.NXT, SND.UNA and SND.NXT; 1 where there is none.
	R, U, N int64
	// Open: the subject has offered a window.
	Open bool
	// Data: 100 bytes were delivered and acknowledged each way before.
	Data bool
	// FIN: the peer's FIN has come. Closed: the subject has sent its own.
	FIN, Closed bool
	// Descriptor: the program has one to ask.
	Descriptor bool
}

// String is the state's name.
func (s *State) String() string { return s.Name }

// orphaned is what the name of a state has behind it whose descriptor is closed.
const orphaned = "/orphan"

// States are the rows, in the order of a connection's life.
func States() []State {
	return []State{
		{
			Name: "SYN_SENT", Short: "SYNS", Is: tcp.SynSent, R: 1, U: 0, N: 1, Open: true, Descriptor: true,
			Entered: "connect(); the SYN is lost",
		},
		{
			Name: "SYN_RECV", Short: "SYNR", Is: tcp.SynRecv, Mini: true, R: 1, U: 0, N: 1, Open: true,
			Entered: "a SYN came to a listener, whose SYN-ACK is lost: its request",
		},
		{
			Name: "ESTABLISHED", Short: "ESTB", Is: tcp.Established, R: 101, U: 101, N: 101, Open: true, Data: true, Descriptor: true,
			Entered: "accept(), and 100 bytes each way",
		},
		{
			Name: "FIN_WAIT_1", Short: "FW1", Is: tcp.FinWait1, R: 101, U: 101, N: 102, Open: true, Data: true, Closed: true, Descriptor: true,
			Entered: "shutdown(WR); the FIN is lost",
		},
		{
			Name: "FIN_WAIT_1" + orphaned, Short: "FW1o", Is: tcp.FinWait1, Orphan: true, R: 101, U: 101, N: 102, Open: true, Data: true, Closed: true,
			Entered: "close(); the FIN is lost",
		},
		{
			Name: "FIN_WAIT_2", Short: "FW2", Is: tcp.FinWait2, R: 101, U: 102, N: 102, Open: true, Data: true, Closed: true, Descriptor: true,
			Entered: "shutdown(WR); the FIN is acknowledged",
		},
		{
			Name: "FIN_WAIT_2" + orphaned, Short: "FW2o", Is: tcp.FinWait2, Orphan: true, Mini: true, R: 101, U: 102, N: 102, Open: true, Data: true, Closed: true,
			Entered: "close(); the FIN is acknowledged: a mini-socket",
		},
		{
			Name: "CLOSE_WAIT", Short: "CLSW", Is: tcp.CloseWait, R: 102, U: 101, N: 101, Open: true, Data: true, FIN: true, Descriptor: true,
			Entered: "the peer's FIN came and is acknowledged",
		},
		{
			Name: "CLOSING", Short: "CLSG", Is: tcp.Closing, R: 102, U: 101, N: 102, Open: true, Data: true, FIN: true, Closed: true, Descriptor: true,
			Entered: "shutdown(WR), whose FIN is lost, and the peer's FIN came",
		},
		{
			Name: "LAST_ACK", Short: "LACK", Is: tcp.LastAck, R: 102, U: 101, N: 102, Open: true, Data: true, FIN: true, Closed: true, Descriptor: true,
			Entered: "the peer's FIN came, then shutdown(WR), whose FIN is lost",
		},
		{
			Name: "TIME_WAIT", Short: "TW", Is: tcp.TimeWait, Mini: true, R: 102, U: 102, N: 102, Open: true, Data: true, FIN: true, Closed: true,
			Entered: "close(), and all four segments of the end went their way",
		},
		{
			Name: "LISTEN", Short: "LSTN", Is: tcp.Listen, R: 1, U: 1, N: 1, Descriptor: true,
			Entered: "listen(); the client's SYN is lost",
		},
		{
			Name: "CLOSED", Short: "CLSD", Is: tcp.Closed, R: 1, U: 1, N: 1,
			Entered: "nothing listens; the client's SYN is lost",
		},
	}
}
