package keeper

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An ifreq whose data is a pointer, as SIOCETHTOOL wants it.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

type ethtoolValue struct {
	command uint32
	value   uint32
}

// disableOffloads makes each frame of eth0 in the calling thread's namespace one
// segment with a right checksum. One switch is enough: without checksums in
// "hardware" the kernel takes scatter-gather and all segmentation away from the
// device by itself, and veth has its receive side (GRO) off from the start. It is
// done while the device is down, when nobody has to be told.
func disableOffloads() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("turn offloads off: %w", err)
	}
	defer unix.Close(fd)
	off := ethtoolValue{command: unix.ETHTOOL_STXCSUM}
	request := ifreqData{data: unsafe.Pointer(&off)}
	copy(request.name[:], hostLink)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("turn offloads off: %w", errno)
	}
	return nil
}
