package keeper

import (
	"encoding/binary"
	"net/netip"
)

// nativeUint32 reads a number in the machine's own order, as netlink has it.
func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// networkUint16 is a number in the order of the network, kept in a field of the
// machine's order.
func networkUint16(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

// wildcard is the address of no host in the family of addr.
func wildcard(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
