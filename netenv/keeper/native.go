package keeper

import "encoding/binary"

// nativeUint32 reads a number in the machine's own order, as netlink has it.
func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// networkUint16 is a number in the order of the network, kept in a field of the
// machine's order.
func networkUint16(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}
