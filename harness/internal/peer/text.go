package peer

import (
	"fmt"
	"strconv"
	"strings"
)

// quoteLimit is how many bytes of written data a call's text shows.
const quoteLimit = 16

// Name is the system call's.
func (c Call) Name() string {
	switch c.Op {
	case OpRead:
		if c.Flags != 0 {
			return "recv"
		}
	case OpWrite:
		if c.Flags != 0 {
			return "send"
		}
	case OpNonblock:
		return "fcntl"
	case OpInQueue, OpOutQueue:
		return "ioctl"
	}
	return string(c.Op)
}

// Text is the call with its arguments as strace would print it, bulk calls aside,
// which no single system call is.
func (c Call) Text() string { return c.Name() + "(" + strings.Join(c.arguments(), ", ") + ")" }

func (c Call) arguments() []string {
	fd := strconv.Itoa(int(c.FD))
	switch c.Op {
	case OpSocket:
		return []string{map[Family]string{IPv4: "AF_INET", IPv6: "AF_INET6"}[c.Family], "SOCK_STREAM", "IPPROTO_TCP"}
	case OpBind, OpConnect:
		return []string{fd, c.Addr.String()}
	case OpRead, OpWrite:
		args := []string{fd, c.buffer()}
		if c.Flags != 0 {
			args = append(args, c.Flags.String())
		}
		return args
	case OpListen, OpBulkWrite:
		return []string{fd, strconv.FormatInt(c.N, 10)}
	case OpBulkRead:
		if c.N == All {
			return []string{fd, "all"}
		}
		return []string{fd, strconv.FormatInt(c.N, 10)}
	case OpShutdown:
		return []string{fd, c.How.String()}
	case OpPoll:
		return []string{"[" + pollText(c.Poll) + "]", timeoutText(c)}
	case OpGetsockopt:
		return []string{fd, string(c.Option)}
	case OpSetsockopt:
		if c.Option == SOLinger {
			return []string{fd, string(c.Option), c.Linger.String()}
		}
		return []string{fd, string(c.Option), strconv.Itoa(c.Value)}
	case OpNonblock:
		if c.On {
			return []string{fd, "F_SETFL", "O_NONBLOCK"}
		}
		return []string{fd, "F_SETFL", "0"}
	case OpInQueue:
		return []string{fd, "SIOCINQ"}
	case OpOutQueue:
		return []string{fd, "SIOCOUTQ"}
	case OpExit:
		return []string{strconv.FormatInt(c.N, 10)}
	}
	return []string{fd}
}

// buffer is short data in quotes, else the number of bytes.
func (c Call) buffer() string {
	if len(c.Data) > 0 && len(c.Data) <= quoteLimit {
		return strconv.Quote(string(c.Data))
	}
	return strconv.FormatInt(c.size(), 10)
}

// size is how many bytes a read asks for or a write offers.
func (c Call) size() int64 {
	if len(c.Data) > 0 {
		return int64(len(c.Data))
	}
	return c.N
}

func pollText(fds []PollFD) string {
	parts := make([]string, len(fds))
	for i, fd := range fds {
		parts[i] = fmt.Sprintf("{%d, %s}", fd.FD, fd.Events)
	}
	return strings.Join(parts, ", ")
}

// timeoutText is in milliseconds, as poll takes them.
func timeoutText(c Call) string {
	if c.Timeout < 0 {
		return "-1"
	}
	return strconv.FormatFloat(float64(c.Timeout.Nanoseconds())/1e6, 'f', -1, 64)
}
