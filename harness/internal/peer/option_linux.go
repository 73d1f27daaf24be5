package peer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// optionNumber is an option's level and number.
type optionNumber struct{ level, number int }

var optionNumbers = map[Option]optionNumber{
	SOLinger:       {unix.SOL_SOCKET, unix.SO_LINGER},
	SOReuseAddr:    {unix.SOL_SOCKET, unix.SO_REUSEADDR},
	SOReusePort:    {unix.SOL_SOCKET, unix.SO_REUSEPORT},
	SOKeepalive:    {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	SORcvBuf:       {unix.SOL_SOCKET, unix.SO_RCVBUF},
	SOSndBuf:       {unix.SOL_SOCKET, unix.SO_SNDBUF},
	SOError:        {unix.SOL_SOCKET, unix.SO_ERROR},
	SOOOBInline:    {unix.SOL_SOCKET, unix.SO_OOBINLINE},
	TCPLinger2:     {unix.IPPROTO_TCP, unix.TCP_LINGER2},
	TCPKeepIdle:    {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	TCPKeepIntvl:   {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	TCPKeepCnt:     {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	TCPUserTimeout: {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
	TCPNoDelay:     {unix.IPPROTO_TCP, unix.TCP_NODELAY},
	TCPCork:        {unix.IPPROTO_TCP, unix.TCP_CORK},
	TCPQuickACK:    {unix.IPPROTO_TCP, unix.TCP_QUICKACK},
	TCPMaxSeg:      {unix.IPPROTO_TCP, unix.TCP_MAXSEG},
	TCPSynCnt:      {unix.IPPROTO_TCP, unix.TCP_SYNCNT},
	TCPWindowClamp: {unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP},
	TCPInfoOption:  {unix.IPPROTO_TCP, unix.TCP_INFO},
}

func setsockopt(c *Call) error {
	o := optionNumbers[c.Option]
	if c.Option != SOLinger {
		return unix.SetsockoptInt(int(c.FD), o.level, o.number, c.Value)
	}
	l := unix.Linger{Linger: int32(c.Linger.Seconds)}
	if c.Linger.On {
		l.Onoff = 1
	}
	return unix.SetsockoptLinger(int(c.FD), o.level, o.number, &l)
}

func (w *work) getsockopt() error {
	c, r := &w.call, &w.result
	o := optionNumbers[c.Option]
	switch c.Option {
	case SOLinger:
		var l unix.Linger
		err := getsockopt(int(c.FD), o, unsafe.Pointer(&l), unsafe.Sizeof(l))
		r.Linger = Linger{On: l.Onoff != 0, Seconds: int(l.Linger)}
		return err
	case TCPInfoOption:
		var info unix.TCPInfo
		if err := getsockopt(int(c.FD), o, unsafe.Pointer(&info), unsafe.Sizeof(info)); err != nil {
			return err
		}
		r.Info = readable(&info)
		return nil
	}
	value, err := unix.GetsockoptInt(int(c.FD), o.level, o.number)
	if err != nil {
		return err
	}
	if c.Option == SOError {
		if value != 0 {
			r.OptionErrno = errnoName(unix.Errno(value))
		}
		return nil
	}
	r.Value = value
	return nil
}

// getsockopt reads a structure; where the kernel knows less of it the rest stays
// zero.
func getsockopt(fd int, o optionNumber, value unsafe.Pointer, size uintptr) error {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.number),
		uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// readable puts units to the kernel's numbers.
func readable(k *unix.TCPInfo) *TCPInfo {
	return &TCPInfo{
		State: k.State, CAState: k.Ca_state, Retransmits: k.Retransmits, Probes: k.Probes,
		Backoff: k.Backoff, Options: k.Options,
		RTO: micros(k.Rto), ATO: micros(k.Ato), SndMSS: k.Snd_mss, RcvMSS: k.Rcv_mss,
		Unacked: k.Unacked, Sacked: k.Sacked, Lost: k.Lost, Retrans: k.Retrans, TotalRetrans: k.Total_retrans,
		LastDataSent: millis(k.Last_data_sent), LastDataRecv: millis(k.Last_data_recv), LastAckRecv: millis(k.Last_ack_recv),
		PMTU: k.Pmtu, AdvMSS: k.Advmss, RTT: micros(k.Rtt), RTTVar: micros(k.Rttvar), MinRTT: micros(k.Min_rtt),
		SndCwnd: k.Snd_cwnd, SndSsthresh: k.Snd_ssthresh, RcvSpace: k.Rcv_space,
		SndWnd: k.Snd_wnd, RcvWnd: k.Rcv_wnd, NotSentBytes: k.Notsent_bytes,
		BytesAcked: k.Bytes_acked, BytesRecv: k.Bytes_received, BytesSent: k.Bytes_sent, BytesRetrans: k.Bytes_retrans,
		SegsOut: k.Segs_out, SegsIn: k.Segs_in, TotalRTO: k.Total_rto,
	}
}
