package probe

import (
	"encoding/binary"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// The bits of TCPInfo.Options.
const (
	OptionTimestamps  = 1
	OptionSACK        = 2
	OptionWindowScale = 4
	OptionECN         = 8
	OptionECNSeen     = 16
	OptionSYNData     = 32
)

// TCPInfo is the kernel's tcp_info under the names of include/uapi/linux/tcp.h
// without tcpi_. What an older kernel does not tell is zero.
type TCPInfo struct {
	State                      tcp.State
	CAState                    uint8
	Retransmits                uint8
	Probes                     uint8
	Backoff                    uint8
	Options                    uint8
	SndWScale, RcvWScale       uint8
	RTO, ATO                   time.Duration
	SndMSS, RcvMSS             uint32
	Unacked, Sacked            uint32 // segments; of a listener the accept queue's length and bound
	Lost, Retrans, Fackets     uint32 // segments
	LastDataSent               time.Duration
	LastDataRecv               time.Duration
	LastAckRecv                time.Duration
	PMTU                       uint32
	RcvSsthresh                uint32
	RTT, RTTVar                time.Duration
	SndSsthresh, SndCwnd       uint32
	AdvMSS                     uint32
	Reordering                 uint32
	RcvRTT                     time.Duration
	RcvSpace                   uint32
	TotalRetrans               uint32
	PacingRate, MaxPacingRate  uint64 // bytes per second
	BytesAcked, BytesReceived  uint64
	SegsOut, SegsIn            uint32
	NotSentBytes               uint32
	MinRTT                     time.Duration
	DataSegsIn, DataSegsOut    uint32
	DeliveryRate               uint64 // bytes per second
	BusyTime                   time.Duration
	RwndLimited, SndbufLimited time.Duration
	Delivered, DeliveredCE     uint32
	BytesSent, BytesRetrans    uint64
	DSackDups, ReordSeen       uint32
	RcvOOOPack                 uint32
	SndWnd, RcvWnd             uint32
	Rehash                     uint32
	TotalRTO                   uint16
	TotalRTORecoveries         uint16
	TotalRTOTime               time.Duration
}

// cursor takes fields from the front of a C structure; beyond its end they are
// zero, because an older kernel's structure is shorter.
type cursor []byte

func (c *cursor) bytes(n int) []byte {
	if len(*c) < n {
		*c = nil
		return make([]byte, 8)[:n]
	}
	field := (*c)[:n]
	*c = (*c)[n:]
	return field
}

func (c *cursor) u8() uint8   { return c.bytes(1)[0] }
func (c *cursor) u16() uint16 { return binary.NativeEndian.Uint16(c.bytes(2)) }
func (c *cursor) u32() uint32 { return binary.NativeEndian.Uint32(c.bytes(4)) }
func (c *cursor) u64() uint64 { return binary.NativeEndian.Uint64(c.bytes(8)) }

func (c *cursor) micros() time.Duration { return time.Duration(c.u32()) * time.Microsecond }
func (c *cursor) millis() time.Duration { return time.Duration(c.u32()) * time.Millisecond }
func (c *cursor) busy() time.Duration   { return time.Duration(c.u64()) * time.Microsecond }

// scales splits the byte that holds snd_wscale and rcv_wscale. C puts the first
// bit field at the low end on little-endian machines, else at the high end.
func scales(b uint8) (snd, rcv uint8) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return b & 15, b >> 4
	}
	return b >> 4, b & 15
}

// ParseTCPInfo reads the bytes of the kernel's struct tcp_info, as sock_diag and
// getsockopt(TCP_INFO) give them. Any length will do.
func ParseTCPInfo(b []byte) TCPInfo {
	var t TCPInfo
	t.parse(b)
	return t
}

func (t *TCPInfo) parse(b []byte) {
	c := cursor(b)
	t.State = tcp.Kernel(c.u8())
	t.CAState, t.Retransmits, t.Probes, t.Backoff, t.Options = c.u8(), c.u8(), c.u8(), c.u8(), c.u8()
	t.SndWScale, t.RcvWScale = scales(c.u8())
	c.u8() // delivery_rate_app_limited and fastopen_client_fail
	t.RTO, t.ATO = c.micros(), c.micros()
	t.SndMSS, t.RcvMSS = c.u32(), c.u32()
	t.Unacked, t.Sacked, t.Lost, t.Retrans, t.Fackets = c.u32(), c.u32(), c.u32(), c.u32(), c.u32()
	t.LastDataSent = c.millis()
	c.u32() // last_ack_sent, which the kernel never fills
	t.LastDataRecv, t.LastAckRecv = c.millis(), c.millis()
	t.PMTU, t.RcvSsthresh = c.u32(), c.u32()
	t.RTT, t.RTTVar = c.micros(), c.micros()
	t.SndSsthresh, t.SndCwnd, t.AdvMSS, t.Reordering = c.u32(), c.u32(), c.u32(), c.u32()
	t.RcvRTT, t.RcvSpace = c.micros(), c.u32()
	t.TotalRetrans = c.u32()
	t.PacingRate, t.MaxPacingRate = c.u64(), c.u64()
	t.BytesAcked, t.BytesReceived = c.u64(), c.u64()
	t.SegsOut, t.SegsIn = c.u32(), c.u32()
	t.NotSentBytes, t.MinRTT = c.u32(), c.micros()
	t.DataSegsIn, t.DataSegsOut = c.u32(), c.u32()
	t.DeliveryRate = c.u64()
	t.BusyTime, t.RwndLimited, t.SndbufLimited = c.busy(), c.busy(), c.busy()
	t.Delivered, t.DeliveredCE = c.u32(), c.u32()
	t.BytesSent, t.BytesRetrans = c.u64(), c.u64()
	t.DSackDups, t.ReordSeen, t.RcvOOOPack = c.u32(), c.u32(), c.u32()
	t.SndWnd, t.RcvWnd, t.Rehash = c.u32(), c.u32(), c.u32()
	t.TotalRTO, t.TotalRTORecoveries = c.u16(), c.u16()
	t.TotalRTOTime = c.millis()
}
