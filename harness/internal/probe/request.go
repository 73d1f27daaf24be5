package probe

import (
	"encoding/binary"
	"net/netip"
)

// request is a netlink message that asks sock_diag for one socket or for all. It
// is reused from query to query.
type request [requestLen]byte

// header writes everything but the socket's identity, which it clears.
func (r *request) header(seq uint32, flags uint16, family uint8, ask uint8, states uint32) {
	clear(r[:])
	binary.NativeEndian.PutUint32(r[0:], requestLen)
	binary.NativeEndian.PutUint16(r[4:], messageFamily)
	binary.NativeEndian.PutUint16(r[6:], flags)
	binary.NativeEndian.PutUint32(r[8:], seq)
	body := r[headerLen:]
	body[0], body[1], body[2] = family, protoTCP, ask
	binary.NativeEndian.PutUint32(body[4:], states)
}

// exact asks for the socket with this four-tuple.
func (r *request) exact(seq uint32, ask uint8, local, remote netip.AddrPort) {
	family := uint8(familyIPv6)
	if local.Addr().Is4() {
		family = familyIPv4
	}
	r.header(seq, flagRequest, family, ask, allStates)
	id := r[headerLen+8:]
	binary.BigEndian.PutUint16(id[0:], local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	putAddr(id[4:20], local.Addr())
	putAddr(id[20:36], remote.Addr())
	for i := range 8 {
		id[40+i] = 0xff // no cookie: any incarnation
	}
}

// dump asks for every socket of the family in one of the states.
func (r *request) dump(seq uint32, family, ask uint8, states uint32) {
	r.header(seq, flagRequest|flagDump, family, ask, states)
}

func putAddr(b []byte, addr netip.Addr) {
	if addr.Is4() {
		v4 := addr.As4()
		copy(b, v4[:])
		return
	}
	v6 := addr.As16()
	copy(b, v6[:])
}
