package peer

import "fmt"

// sizeLimit bounds one read or write, in bytes; a bulk call has no bound.
const sizeLimit = 1 << 28

// Check says what a peer could not make of s before it is sent: an unknown call,
// a size out of range, a Ref to a call that does not come before. What the kernel
// would refuse is no concern of it.
func (s Sequence) Check() error {
	if len(s.Calls) == 0 {
		return fmt.Errorf("check sequence: it has no call")
	}
	for i, c := range s.Calls {
		if err := c.check(i); err != nil {
			return fmt.Errorf("check call %d, %s: %w", i, c.Op, err)
		}
	}
	return nil
}

func (c Call) check(index int) error {
	fds := []FD{c.FD}
	for _, p := range c.Poll {
		fds = append(fds, p.FD)
	}
	for _, fd := range fds {
		if i, ok := fd.ref(); ok && i >= index {
			return fmt.Errorf("descriptor refers to call %d, which does not come before", i)
		}
	}
	switch c.Op {
	case OpSocket:
		if c.Family != IPv4 && c.Family != IPv6 {
			return fmt.Errorf("family %d is neither 4 nor 6", c.Family)
		}
	case OpBind, OpConnect:
		if !c.Addr.IsValid() {
			return fmt.Errorf("no address")
		}
	case OpRead, OpWrite:
		if c.size() < 0 || c.size() > sizeLimit {
			return fmt.Errorf("%d bytes are not between 0 and %d", c.size(), sizeLimit)
		}
		if c.Offset < 0 {
			return fmt.Errorf("offset %d is negative", c.Offset)
		}
	case OpBulkRead:
		if c.N < All {
			return fmt.Errorf("%d bytes are negative", c.N)
		}
	case OpBulkWrite:
		if c.N < 0 {
			return fmt.Errorf("%d bytes are negative", c.N)
		}
	case OpGetsockopt, OpSetsockopt:
		if !known[c.Option] {
			return fmt.Errorf("option %q is not known", c.Option)
		}
		if c.Op == OpSetsockopt && (c.Option == SOError || c.Option == TCPInfoOption) {
			return fmt.Errorf("option %s can only be read", c.Option)
		}
	case OpListen, OpAccept, OpShutdown, OpClose, OpPoll, OpGetsockname, OpGetpeername,
		OpNonblock, OpInQueue, OpOutQueue, OpExit:
	default:
		return fmt.Errorf("no such call")
	}
	return nil
}

var known = map[Option]bool{
	SOLinger: true, SOReuseAddr: true, SOReusePort: true, SOKeepalive: true,
	SORcvBuf: true, SOSndBuf: true, SOError: true, SOOOBInline: true,
	TCPLinger2: true, TCPKeepIdle: true, TCPKeepIntvl: true, TCPKeepCnt: true,
	TCPUserTimeout: true, TCPNoDelay: true, TCPCork: true, TCPQuickACK: true,
	TCPMaxSeg: true, TCPSynCnt: true, TCPWindowClamp: true, TCPInfoOption: true,
}
