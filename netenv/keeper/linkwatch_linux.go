package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readyLimit bounds how long a link may take to come up. Here it takes well under
// a millisecond; a machine in deep trouble gets an error instead of a hang.
const readyLimit = 20 * time.Second

// linkEvents is larger than what a hundred labs tell at once.
const linkEvents = 4 << 20

// A frame sent before a link's operational state is up is lost in silence, and the
// administrative state says nothing of it. So each end is waited for, by the event
// that tells it: linkWatch keeps what the events of one namespace said last.
type linkWatch struct {
	fd   int
	ask  func() (map[int]uint8, error) // after lost events
	mu   sync.Mutex
	up   map[int]bool
	wait map[int]chan struct{}
}

// openLinkEvents subscribes to the links of the calling thread's namespace, and to
// its IPv6 addresses.
func openLinkEvents() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("watch links: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV6_IFADDR}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("watch links: %w", err)
	}
	return fd, nil
}

// watchLinks begins to watch the calling thread's namespace, for as long as the
// process lives.
func watchLinks(ask func() (map[int]uint8, error)) (*linkWatch, error) {
	fd, err := openLinkEvents()
	if err != nil {
		return nil, err
	}
	// More than the machine allows an ordinary process is not essential: what is
	// lost is asked for.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, linkEvents) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, linkEvents)
	}
	w := &linkWatch{fd: fd, ask: ask, up: map[int]bool{}, wait: map[int]chan struct{}{}}
	go w.run()
	return w, nil
}

func (w *linkWatch) run() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buffer)
		switch {
		case err == nil:
			eachLinkEvent(buffer[:n], w.note)
		case errors.Is(err, unix.ENOBUFS):
			if states, err := w.ask(); err == nil {
				for index, state := range states {
					w.note(index, state)
				}
			}
		case !errors.Is(err, unix.EINTR):
			return
		}
	}
}

func (w *linkWatch) note(index int, state uint8) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch state {
	case operUp:
		w.up[index] = true
		if ready := w.wait[index]; ready != nil {
			close(ready)
			delete(w.wait, index)
		}
	default:
		delete(w.up, index)
	}
}

// await waits until the link is up. It is told by events, so a caller subscribes
// first by the mere existence of the watch and then brings the link up.
func (w *linkWatch) await(index int) error {
	w.mu.Lock()
	if w.up[index] {
		w.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	w.wait[index] = ready
	w.mu.Unlock()
	timer := time.NewTimer(readyLimit)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-timer.C:
		w.mu.Lock()
		delete(w.wait, index)
		w.mu.Unlock()
		return fmt.Errorf("wait for the wire's end of the cable: not up after %v", readyLimit)
	}
}

// forget drops what is known of a link, before it is taken down or deleted: an
// event of before must not pass for one of after.
func (w *linkWatch) forget(index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.up, index)
}

// operUp and operGone are values of IFLA_OPERSTATE; operGone is ours.
const (
	operUp   = 6
	operGone = 255
)

// eachLinkEvent tells the operational state of each link in a packet of events.
func eachLinkEvent(packet []byte, tell func(index int, state uint8)) {
	messages, err := syscall.ParseNetlinkMessage(packet)
	if err != nil {
		return
	}
	for i := range messages {
		m := &messages[i]
		if len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := int(int32(nativeUint32(m.Data[4:])))
		switch m.Header.Type {
		case unix.RTM_DELLINK:
			tell(index, operGone)
		case unix.RTM_NEWLINK:
			attrs, err := syscall.ParseNetlinkRouteAttr(m)
			if err != nil {
				continue
			}
			for _, attr := range attrs {
				if attr.Attr.Type == unix.IFLA_OPERSTATE && len(attr.Value) == 1 {
					tell(index, attr.Value[0])
				}
			}
		}
	}
}

// awaitHost reads events until the link is up and the address is in use. An IPv6
// address is entered by the kernel some time after it was given, even without
// duplicate address detection, and what comes for it before is lost in silence.
// Where addr is not valid only the link is waited for.
func awaitHost(fd, index int, addr netip.Addr) error {
	deadline := time.Now().Add(readyLimit)
	buffer := make([]byte, 16<<10)
	up, inUse := false, !addr.IsValid()
	for !up || !inUse {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("wait for the host's end of the cable: not ready after %v (up: %t, %v in use: %t)", readyLimit, up, addr, inUse)
		}
		timeout := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return fmt.Errorf("wait for the host's end of the cable: %w", err)
		}
		n, err := unix.Read(fd, buffer)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for the host's end of the cable: %w", err)
		}
		eachLinkEvent(buffer[:n], func(i int, state uint8) { up = up || i == index && state == operUp })
		inUse = inUse || tellsAddress(buffer[:n], addr)
	}
	return nil
}

// tellsAddress reports whether a packet of events says that addr is in use.
func tellsAddress(packet []byte, addr netip.Addr) bool {
	messages, err := syscall.ParseNetlinkMessage(packet)
	if err != nil {
		return false
	}
	for i := range messages {
		if messages[i].Header.Type != unix.RTM_NEWADDR {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil {
			continue
		}
		for _, attr := range attrs {
			if attr.Attr.Type == unix.IFA_ADDRESS && string(attr.Value) == string(addr.AsSlice()) {
				return true
			}
		}
	}
	return false
}
