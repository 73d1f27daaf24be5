package probe

// Family selects the sockets of a dump.
type Family uint8

const (
	// Both is IPv4 and IPv6.
	Both Family = 0
	// IPv4 is sockets of AF_INET. IPv4 connections of an IPv6 socket are not
	// among them.
	IPv4 Family = 4
	// IPv6 is sockets of AF_INET6, their IPv4 connections included.
	IPv6 Family = 6
)

// numbers are the kernel's address families.
func (f Family) numbers() []uint8 {
	switch f {
	case IPv4:
		return []uint8{familyIPv4}
	case IPv6:
		return []uint8{familyIPv6}
	}
	return []uint8{familyIPv4, familyIPv6}
}
