package harness

import (
	"fmt"
	"time"

	"github.com/lastack/lastack/netenv"
)

// HostSpec is a further host of a scenario's lab, or says more of its client or
// server. Only Name is needed.
type HostSpec struct {
	// Name is in lower case: "attacker" (192.0.2.66, 2001:db8::66), or any other,
	// which gets addresses from .3 and ::3 on in the order of the list.
	Name string
	// As gives the host the addresses of another, "server" or "client", but not its
	// hardware address: who is meant, each host knows by its neighbour entries, in
	// which the client and the server come first.
	As string
	// MTU is the link's, in bytes, 1280 at least; 0 is 1500.
	MTU int
	// RTOMin is the least retransmission timeout towards the other hosts, in whole
	// milliseconds; 0 leaves the kernel's 200 ms.
	RTOMin time.Duration
	// ResolveNeighbours is Host.ResolveNeighbours from the start on.
	ResolveNeighbours bool
}

// AttackerName is the host whose raw socket the off-path attacker sends by.
const AttackerName = netenv.AttackerName

// hostNumbers are the hosts whose addresses another can bear.
var hostNumbers = map[string]byte{netenv.ClientName: 1, netenv.ServerName: 2}

// labSpec is a client and a server with what the list says of them, and behind
// them the further hosts.
func labSpec(list []HostSpec) (netenv.LabSpec, error) {
	spec := netenv.LabSpec{Hosts: []netenv.HostSpec{{Name: netenv.ClientName}, {Name: netenv.ServerName}}}
	for _, h := range list {
		out := netenv.HostSpec{Name: h.Name, MTU: h.MTU, RTOMin: h.RTOMin, ResolveNeighbours: h.ResolveNeighbours}
		if h.As != "" {
			number, ok := hostNumbers[h.As]
			if !ok || h.As == h.Name {
				return spec, fmt.Errorf("build lab: host %s cannot bear the addresses of %q", h.Name, h.As)
			}
			out.IPv4, out.IPv6, _ = netenv.Addresses(number)
		}
		switch h.Name {
		case netenv.ClientName:
			spec.Hosts[0] = out
		case netenv.ServerName:
			spec.Hosts[1] = out
		default:
			spec.Hosts = append(spec.Hosts, out)
		}
	}
	return spec, nil
}
