//go:build linux

package harness_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/harness/internal/peer"
)

// A process that is started on a host under one of these names makes a second
// network namespace, with one veth pair between it and the host's, and becomes
// a peer there.
const (
	roleSegments = "lastack-bench-veth-segments" // each frame is one segment
	roleOffloads = "lastack-bench-veth"          // as the kernel makes veth pairs
)

var (
	bareClient = netip.MustParsePrefix("198.51.100.1/24")
	bareServer = netip.MustParsePrefix("198.51.100.2/24")
)

func init() {
	if role := os.Args[0]; role == roleSegments || role == roleOffloads {
		err := becomePeerBehindVeth(role == roleSegments)
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
}

func becomePeerBehindVeth(segments bool) error {
	runtime.LockOSThread() // exec leaves the process with this thread's namespace
	near, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	nearEthtool, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	farEthtool, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	here, err := netns.GetFromPath("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	far, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "near"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "far", netlink.NsFd(here)
	if err := near.LinkAdd(veth); err != nil {
		return fmt.Errorf("make veth pair: %w", err)
	}
	for _, end := range []struct {
		handle  *netlink.Handle
		ethtool int
		name    string
		addr    netip.Prefix
	}{{near, nearEthtool, "near", bareClient}, {far, farEthtool, "far", bareServer}} {
		link, err := end.handle.LinkByName(end.name)
		if err != nil {
			return err
		}
		if segments {
			if err := noTransmitChecksum(end.ethtool, end.name); err != nil {
				return err
			}
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: end.addr.Addr().AsSlice(), Mask: net.CIDRMask(end.addr.Bits(), 32)}}
		if err := end.handle.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address: %w", err)
		}
		if err := end.handle.LinkSetUp(link); err != nil {
			return fmt.Errorf("set link up: %w", err)
		}
	}
	return syscall.Exec("/proc/self/exe", []string{peer.Role}, os.Environ())
}

// noTransmitChecksum takes from a link what a lab takes from its own: with the
// checksums the kernel gives up segmentation in "hardware" too.
func noTransmitChecksum(ethtool int, name string) error {
	value := struct{ command, value uint32 }{unix.ETHTOOL_STXCSUM, 0}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(ethtool), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("turn offloads off: %w", errno)
	}
	return nil
}
