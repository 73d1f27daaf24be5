package keeper

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// portBuffer holds about five thousand full frames; the machine may allow less.
const portBuffer = 8 << 20

// openPort opens the wire's end of a cable. It is bound before the link comes up,
// so that it sees the first frame, and it never sees another link's.
func openPort(index int, virtioHeader bool) (int, error) {
	// Protocol 0 hears nothing until bind.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, at(StepPort, fmt.Errorf("open port: %w", err))
	}
	set := func(level, option int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, option, 1)
		}
	}
	// What the wire itself sends is not news to it.
	set(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING)
	set(unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS)
	set(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS)
	if virtioHeader {
		set(unix.SOL_PACKET, unix.PACKET_VNET_HDR)
	}
	if err == nil && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, portBuffer) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, portBuffer)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkUint16(unix.ETH_P_ALL), Ifindex: index})
	}
	if err == nil {
		// Binding to a link that is down leaves ENETDOWN for the first call, which may
		// be the one that writes the first frame. Asking for the error takes it away.
		_, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	}
	if err != nil {
		unix.Close(fd)
		return -1, at(StepPort, fmt.Errorf("open port: %w", err))
	}
	return fd, nil
}

// openDiag opens sock_diag in the calling thread's namespace.
func openDiag(flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1, at(StepDiag, fmt.Errorf("open sock_diag: %w", err))
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return -1, at(StepDiag, fmt.Errorf("open sock_diag: %w", err))
	}
	return fd, nil
}

// The multicast groups of sock_diag that tell of TCP sockets' ends.
const (
	groupTCPDestroy  = 1
	groupTCP6Destroy = 3
)

// openDestroyEvents subscribes to the ends of TCP sockets in the calling thread's
// namespace.
func openDestroyEvents() (int, error) {
	fd, err := openDiag(unix.SOCK_NONBLOCK)
	if err != nil {
		return -1, err
	}
	for _, group := range []int{groupTCPDestroy, groupTCP6Destroy} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			unix.Close(fd)
			return -1, at(StepDiag, fmt.Errorf("watch ends of sockets: %w", err))
		}
	}
	return fd, nil
}

// openCounters opens a file of counters of the calling thread's namespace. The
// thread's own directory must be named: /proc/net is that of the whole process.
func openCounters(name string) (int, error) {
	fd, err := unix.Open("/proc/thread-self/net/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open counters: /proc/thread-self/net/%s: %w", name, err)
	}
	return fd, nil
}

// protocolNumbers are the protocols of raw sockets by their names.
var protocolNumbers = map[string]int{
	"icmp": unix.IPPROTO_ICMP, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP,
	"ipv6-icmp": unix.IPPROTO_ICMPV6, "raw": unix.IPPROTO_RAW,
}

// openRaw opens a raw IP socket in the calling thread's namespace.
func openRaw(network string) (int, error) {
	family, name, _ := strings.Cut(network, ":")
	domain := map[string]int{"ip4": unix.AF_INET, "ip6": unix.AF_INET6}[family]
	protocol, known := protocolNumbers[name]
	if domain == 0 || !known {
		return -1, fmt.Errorf("open raw socket: network %q: want ip4 or ip6, and :tcp, :udp, :icmp, :ipv6-icmp or :raw", network)
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, fmt.Errorf("open raw socket %s: %w", network, err)
	}
	return fd, nil
}
