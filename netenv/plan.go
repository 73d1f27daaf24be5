package netenv

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/lastack/lastack/netenv/keeper"
)

const (
	plainMTU = 1500
	// leastMTU is IPv6's; a link with less has no IPv6 at all.
	leastMTU = 1280
	// mostMTU is veth's.
	mostMTU = 65535
)

// The address plan. It is the same in every lab, so that all ladders read alike,
// and of documentation ranges, which lead nowhere.
var (
	networkIPv4 = netip.MustParsePrefix("192.0.2.0/24")
	networkIPv6 = netip.MustParsePrefix("2001:db8::/64")
	fixed       = map[string]byte{ClientName: 1, ServerName: 2, AttackerName: 66}
)

// firstFree is the number of the first host without a fixed one.
const firstFree = 3

// hostName is what may stand in /etc/hosts and in the name of a segment.
var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Addresses tells the addresses of the host with a number of the plan, 1 to 254.
func Addresses(number byte) (v4, v6 netip.Addr, mac net.HardwareAddr) {
	four := networkIPv4.Addr().As4()
	four[3] = number
	six := networkIPv6.Addr().As16()
	// .66 and ::66 read alike: the number's decimal digits are the hexadecimal ones.
	six[14], six[15] = number/100, number/10%10<<4|number%10
	return netip.AddrFrom4(four), netip.AddrFrom16(six), net.HardwareAddr{2, 0, 0, 0, 0, number}
}

// planLab leaves nothing to choose, and refuses what cannot be made.
func planLab(spec LabSpec) (keeper.LabPlan, error) {
	hosts := spec.Hosts
	if hosts == nil {
		hosts = []HostSpec{{Name: ClientName}, {Name: ServerName}}
	}
	plan := keeper.LabPlan{IP: spec.IP}
	if len(hosts) == 0 {
		return plan, errors.New("make lab: no hosts")
	}
	if len(hosts) > keeper.MaxHosts {
		return plan, fmt.Errorf("make lab: %d hosts, the most is %d", len(hosts), keeper.MaxHosts)
	}
	next := byte(firstFree)
	names := map[string]bool{}
	for i := range hosts {
		h := &hosts[i]
		if !hostName.MatchString(h.Name) {
			return plan, fmt.Errorf("make lab: host name %q: want lower case letters, digits and hyphens", h.Name)
		}
		if names[h.Name] {
			return plan, fmt.Errorf("make lab: two hosts are called %q", h.Name)
		}
		names[h.Name] = true
		number, isFixed := fixed[h.Name]
		if !isFixed {
			number = next
			next++
		}
		p, err := planHost(h, number)
		if err != nil {
			return plan, fmt.Errorf("make lab: host %s: %w", h.Name, err)
		}
		plan.Hosts = append(plan.Hosts, p)
	}
	return plan, nil
}

func planHost(h *HostSpec, number byte) (keeper.HostPlan, error) {
	v4, v6, mac := Addresses(number)
	if h.IPv4.IsValid() {
		v4 = h.IPv4
	}
	if h.IPv6.IsValid() {
		v6 = h.IPv6
	}
	if h.MAC != nil {
		mac = h.MAC
	}
	p := keeper.HostPlan{
		Name: h.Name, MAC: keeper.MAC(mac),
		IPv4: netip.PrefixFrom(v4, networkIPv4.Bits()), IPv6: netip.PrefixFrom(v6, networkIPv6.Bits()),
		MTU: h.MTU, RTOMin: h.RTOMin, Resolve: h.ResolveNeighbours, Offloads: h.Offloads,
	}
	switch {
	case !networkIPv4.Contains(v4):
		return p, fmt.Errorf("address %v is not in %v", v4, networkIPv4)
	case !networkIPv6.Contains(v6):
		return p, fmt.Errorf("address %v is not in %v", v6, networkIPv6)
	case len(mac) != 6 || mac[0]&1 != 0:
		return p, fmt.Errorf("hardware address %v: want six bytes, not multicast", mac)
	case h.RTOMin < 0 || h.RTOMin%time.Millisecond != 0:
		return p, fmt.Errorf("least RTO %v: want whole milliseconds", h.RTOMin)
	}
	if p.MTU == 0 {
		p.MTU = plainMTU
	}
	if p.MTU < leastMTU || p.MTU > mostMTU {
		return p, fmt.Errorf("MTU %d: want %d to %d", h.MTU, leastMTU, mostMTU)
	}
	for _, s := range h.Sysctls {
		if err := checkSysctl(s.Key); err != nil {
			return p, err
		}
	}
	return p, nil
}
