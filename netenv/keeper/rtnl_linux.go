package keeper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtnl speaks rtnetlink in the namespace in which it was opened, from any thread.
type rtnl struct {
	handle *netlink.Handle
	// own is for the requests for which the library has no name.
	own *socket
}

// openRtnl opens the sockets in the calling thread's namespace.
func openRtnl() (*rtnl, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	own, err := openSocket()
	if err != nil {
		handle.Close()
		return nil, err
	}
	return &rtnl{handle: handle, own: own}, nil
}

// socket is one rtnetlink socket. Requests on it wait for each other.
type socket struct {
	sockets map[int]*nl.SocketHandle
}

// openSocket opens one in the calling thread's namespace.
func openSocket() (*socket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return &socket{map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}, nil
}

func (s *socket) close() { s.sockets[unix.NETLINK_ROUTE].Close() }

func (r *rtnl) close() {
	r.handle.Close()
	r.own.close()
}

// execute sends one request of our own making and waits for its acknowledgement.
func (s *socket) execute(kind, flags int, parts ...nl.NetlinkRequestData) error {
	request := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	request.Sockets = s.sockets
	for _, part := range parts {
		request.AddData(part)
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// deleteGroup deletes all links of a group of the calling thread's namespace at
// once, and the other ends of veth pairs with them: the kernel then waits for its
// readers once, however many they are. None left is fine. The socket is of its own,
// as labs that are being made should not wait behind those that end.
func deleteGroup(group uint32) error {
	return deleteLinks(nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
}

// deleteLink deletes one link, as deleteGroup does.
func deleteLink(index int) error {
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	return deleteLinks(message)
}

func deleteLinks(which ...nl.NetlinkRequestData) error {
	s, err := openSocket()
	if err != nil {
		return err
	}
	defer s.close()
	err = s.execute(unix.RTM_DELLINK, 0, which...)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete links: %w", err)
	}
	return nil
}

// setUp sets a link's administrative state.
func (r *rtnl) setUp(index int, up bool) error {
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	message.Change = unix.IFF_UP
	if up {
		message.Flags = unix.IFF_UP
	}
	if err := r.own.execute(unix.RTM_NEWLINK, 0, message); err != nil {
		return fmt.Errorf("set link up=%t: %w", up, err)
	}
	return nil
}

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenModeNone = 1

// noLinkLocal keeps a link that is still down from ever making itself an IPv6
// address. The sysctl addr_gen_mode would do the same, but tries for the kernel's
// rtnetlink lock in a loop as long as another host is being made
// (addrconf_sysctl_addr_gen_mode).
func (r *rtnl) noLinkLocal(index int) error {
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	families := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	six := families.AddRtAttr(unix.AF_INET6|unix.NLA_F_NESTED, nil)
	six.AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenModeNone})
	if err := r.own.execute(unix.RTM_SETLINK, 0, message, families); err != nil {
		return fmt.Errorf("keep link from addressing itself: %w", err)
	}
	return nil
}

// A cable is a veth pair: the wire's end, by index and group, in the namespace of
// the rtnetlink socket, and eth0 in the namespace of the descriptor.
type cable struct {
	index    int
	group    uint32
	wireMTU  int
	hostNet  int
	hostMTU  int
	hostAddr net.HardwareAddr
}

// addCable makes both ends straight where they belong. Both are still down.
func (r *rtnl) addCable(c cable) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("w%d", c.index)
	attrs.Index = c.index
	attrs.Group = c.group
	attrs.MTU = c.wireMTU
	veth := netlink.NewVeth(attrs)
	veth.PeerName = hostLink
	veth.PeerHardwareAddr = c.hostAddr
	veth.PeerNamespace = netlink.NsFd(c.hostNet)
	veth.PeerMTU = uint32(c.hostMTU)
	if err := r.handle.LinkAdd(veth); err != nil {
		return at(StepVeth, fmt.Errorf("make veth pair: %w", err))
	}
	return nil
}

// addAddress gives a link an address that is used at once, without duplicate
// address detection. ownRoute leaves the route of its network to addRoute.
func (r *rtnl) addAddress(index int, prefix netip.Prefix, ownRoute bool) error {
	flags := uint32(0)
	size := 4
	family := unix.AF_INET
	if prefix.Addr().Is6() {
		family, size = unix.AF_INET6, 16
		flags |= unix.IFA_F_NODAD
	}
	if ownRoute {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	message := nl.NewIfAddrmsg(family)
	message.Prefixlen = uint8(prefix.Bits())
	message.Index = uint32(index)
	raw := prefix.Addr().AsSlice()[:size]
	err := r.own.execute(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, message,
		nl.NewRtAttr(unix.IFA_LOCAL, raw), nl.NewRtAttr(unix.IFA_ADDRESS, raw),
		nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(flags)))
	if err != nil {
		return fmt.Errorf("add address %v: %w", prefix, err)
	}
	return nil
}

// addRoute makes prefix on-link, with a least retransmission timeout.
func (r *rtnl) addRoute(index int, prefix netip.Prefix, rtoMin time.Duration) error {
	network := prefix.Masked()
	route := &netlink.Route{
		LinkIndex: index,
		Dst:       &net.IPNet{IP: network.Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen())},
		Scope:     netlink.SCOPE_LINK,
		Protocol:  unix.RTPROT_KERNEL,
		RtoMin:    int(rtoMin.Milliseconds()),
		// tcp_rto_min asks dst_metric_locked first: unlocked it counts for nothing.
		RtoMinLock: rtoMin > 0,
	}
	if network.Addr().Is4() {
		route.Src = prefix.Addr().AsSlice()
	} else {
		route.Scope = netlink.SCOPE_UNIVERSE
	}
	if err := r.handle.RouteAdd(route); err != nil {
		return fmt.Errorf("add route to %v: %w", network, err)
	}
	return nil
}

// setNeighbour makes an entry permanent.
func (r *rtnl) setNeighbour(index int, addr netip.Addr, mac net.HardwareAddr) error {
	err := r.handle.NeighSet(&netlink.Neigh{
		LinkIndex: index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac,
	})
	if err != nil {
		return fmt.Errorf("set neighbour %v: %w", addr, err)
	}
	return nil
}

// dropNeighbour forgets an entry; its absence is fine.
func (r *rtnl) dropNeighbour(index int, addr netip.Addr) error {
	err := r.handle.NeighDel(&netlink.Neigh{LinkIndex: index, IP: addr.AsSlice()})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("drop neighbour %v: %w", addr, err)
	}
	return nil
}

// operstates asks for the state of every link of the namespace.
func (r *rtnl) operstates() (map[int]uint8, error) {
	links, err := r.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	states := make(map[int]uint8, len(links))
	for _, link := range links {
		states[link.Attrs().Index] = uint8(link.Attrs().OperState)
	}
	return states, nil
}
