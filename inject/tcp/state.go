package tcp

import "fmt"

// State is a TCP state under the number that the kernel gives it
// (include/net/tcp_states.h), so that what sock_diag says needs no table.
type State uint8

// The states.
const (
	Established State = iota + 1
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
	newSynRecv
)

var stateNames = [...]string{
	Established: "ESTABLISHED",
	SynSent:     "SYN_SENT",
	SynRecv:     "SYN_RECV",
	FinWait1:    "FIN_WAIT_1",
	FinWait2:    "FIN_WAIT_2",
	TimeWait:    "TIME_WAIT",
	Closed:      "CLOSED",
	CloseWait:   "CLOSE_WAIT",
	LastAck:     "LAST_ACK",
	Listen:      "LISTEN",
	Closing:     "CLOSING",
}

// String is the state's name as the kernel's headers spell it: FIN_WAIT_2.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("STATE_%d", uint8(s))
	}
	return stateNames[s]
}

// Kernel is a state as sock_diag gives its number. TCP_NEW_SYN_RECV, a request
// socket's, is SYN_RECV here: the difference is an inner matter of the listener.
func Kernel(number uint8) State {
	if State(number) == newSynRecv {
		return SynRecv
	}
	return State(number)
}

// ParseState reads a state's name. The error lists the names.
func ParseState(name string) (State, error) {
	for s := Established; s <= Closing; s++ {
		if stateNames[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("parse state %q: want one of %s", name, stateNames[Established:])
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the state's name.
func (s *State) UnmarshalText(text []byte) error {
	parsed, err := ParseState(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
