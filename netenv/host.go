package netenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"github.com/lastack/lastack/netenv/keeper"
)

// Host is one machine of a lab: a network namespace with one link, eth0, on a
// cable to the wire. Its methods are safe for concurrent use, but the descriptors
// are replaced by Boot, so nobody should be using the old ones then.
//
// The descriptors belong to the lab, which closes them in Close and PowerOff; who
// uses them may close them before.
type Host struct {
	Name string
	IPv4 netip.Addr
	IPv6 netip.Addr
	MAC  net.HardwareAddr

	// Port is the wire's end of the cable: an AF_PACKET SOCK_RAW socket,
	// non-blocking, bound to that end. Reading gives the frames that the host sends,
	// with SO_TIMESTAMPNS; writing a frame hands it to the host. It does not see what
	// it wrote. While the host is unplugged, writing fails with ENETDOWN, and reading
	// does once; after CutOff both fail with ENETDOWN or ENXIO.
	Port *os.File
	// PortIndex is the interface index of the port, for addresses of AF_PACKET.
	PortIndex int
	// Diag is a NETLINK_SOCK_DIAG socket of the host, non-blocking: the kernel's
	// answer is in its queue when the request has been sent.
	Diag *os.File
	// DestroyEvents is a NETLINK_SOCK_DIAG socket of the host, non-blocking, in the
	// multicast groups that tell of the end of each full TCP socket of both families.
	DestroyEvents *os.File
	// SNMP and Netstat are the host's net/snmp and net/netstat. ReadAt with offset 0
	// makes the kernel write them anew.
	SNMP, Netstat *os.File

	lab *Lab

	mu    sync.Mutex
	ended bool           // the lab was closed
	stock []SysctlChange // in order of the first change of each key
}

func newHost(l *Lab, plan keeper.HostPlan) *Host {
	return &Host{
		Name: plan.Name, IPv4: plan.IPv4.Addr(), IPv6: plan.IPv6.Addr(), MAC: net.HardwareAddr(plan.MAC),
		lab: l,
	}
}

// take makes the descriptors of a host that has just been made the host's.
func (h *Host) take(port int, files []*os.File) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return fmt.Errorf("host %s: %w", h.Name, ErrClosed)
	}
	h.PortIndex = port
	h.Port, h.Diag, h.DestroyEvents, h.SNMP, h.Netstat = files[0], files[1], files[2], files[3], files[4]
	return nil
}

// give takes them away again, to be closed. The fields stay, so that who still
// uses one gets os.ErrClosed and no nil.
func (h *Host) give(last bool) []*os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = h.ended || last
	var files []*os.File
	for _, f := range []*os.File{h.Port, h.Diag, h.DestroyEvents, h.SNMP, h.Netstat} {
		if f != nil {
			files = append(files, f)
		}
	}
	return files
}

func (h *Host) ask(ctx context.Context, op keeper.Op, body, result any) error {
	return h.lab.keeper.ask(ctx, h.lab.message(op, h.Name), body, result)
}

// CutOff deletes the host's cable: whatever the host sends from now on goes
// nowhere. It cannot be undone but by PowerOff and Boot.
func (h *Host) CutOff(ctx context.Context) error { return h.ask(ctx, keeper.OpCutOff, nil, nil) }

// PowerOff ends the host as a power failure would, seen from the wire: the cable
// is cut first, then all processes are killed and waited for, all TCP sockets
// destroyed, and the descriptors closed. Whoever reads and writes the port must
// have stopped before. A host that is off stays so until Boot; a second PowerOff
// does nothing.
func (h *Host) PowerOff(ctx context.Context) error {
	closeFiles(h.give(false))
	return h.ask(ctx, keeper.OpPowerOff, nil, nil)
}

// Boot gives power to a host that is off: a new namespace that knows no
// connection, with the same addresses, hardware address and sysctls, and a new
// cable. It returns when the first frame can be sent, with new descriptors in the
// host's fields.
func (h *Host) Boot(ctx context.Context) error {
	// What comes late is not lost: it is closed, and the lab's end takes the host.
	reply, files, err := h.lab.keeper.call(ctx, h.lab.message(keeper.OpBoot, h.Name), nil, nil, nil)
	if err != nil {
		return explain(err)
	}
	var port int
	if err := json.Unmarshal(reply.Body, &port); err != nil || len(files) != keeper.HostFiles {
		closeFiles(files)
		return fmt.Errorf("boot host %s: the keeper sent %d descriptors: %w", h.Name, len(files), err)
	}
	if err := h.take(port, files); err != nil {
		closeFiles(files)
		return fmt.Errorf("boot host: %w", err)
	}
	return nil
}

// Unplug takes the cable out. The host sees that its link has no carrier. A host
// that is unplugged already stays so.
func (h *Host) Unplug(ctx context.Context) error { return h.ask(ctx, keeper.OpUnplug, nil, nil) }

// Plug puts the cable in again and returns when both ends carry frames.
func (h *Host) Plug(ctx context.Context) error { return h.ask(ctx, keeper.OpPlug, nil, nil) }

// ResolveNeighbours makes the host forget the hardware addresses of the others and
// ask for them over the wire when needed (true), or know them for good (false).
func (h *Host) ResolveNeighbours(ctx context.Context, resolve bool) error {
	return h.ask(ctx, keeper.OpNeighbours, keeper.Neighbours{Resolve: resolve}, nil)
}

// Destroy destroys the host's TCP socket with these ends, as an administrator
// could (SOCK_DESTROY). A socket that does not exist is syscall.ENOENT; a kernel
// without CONFIG_INET_DIAG_DESTROY answers syscall.EOPNOTSUPP.
func (h *Host) Destroy(ctx context.Context, local, remote netip.AddrPort) error {
	return h.ask(ctx, keeper.OpDestroy, keeper.Tuple{Local: local, Remote: remote}, nil)
}

// OpenRaw opens a raw IP socket on the host, non-blocking, which the caller
// closes. The network is as in net.ListenPacket, "ip4:tcp" for example; "ip6:raw"
// is an IPPROTO_RAW socket, on which the caller writes the IPv6 header too.
func (h *Host) OpenRaw(ctx context.Context, network string) (*os.File, error) {
	m := h.lab.message(keeper.OpOpenRaw, h.Name)
	_, files, err := h.lab.keeper.call(ctx, m, keeper.RawSocket{Network: network}, nil, nil)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		closeFiles(files)
		return nil, fmt.Errorf("open raw socket: the keeper sent %d descriptors", len(files))
	}
	return files[0], nil
}

// Sysctl reads a sysctl of the host, with single spaces where it has several
// values.
func (h *Host) Sysctl(ctx context.Context, key string) (string, error) {
	if err := checkSysctl(key); err != nil {
		return "", err
	}
	var s keeper.Sysctl
	err := h.ask(ctx, keeper.OpGetSysctl, keeper.Sysctl{Key: key}, &s)
	return s.Value, h.explainSysctl(ctx, key, err)
}

// SetSysctl sets a sysctl of the host, and of no other and not of the machine. It
// stays over Boot. An unknown key is refused with the nearest one that exists, and a
// value that the kernel refuses with the kernel's reason.
func (h *Host) SetSysctl(ctx context.Context, key, value string) error {
	if err := checkSysctl(key); err != nil {
		return err
	}
	var change keeper.SysctlChange
	err := h.ask(ctx, keeper.OpSetSysctl, keeper.Sysctl{Key: key, Value: value}, &change)
	if err != nil {
		return h.explainSysctl(ctx, key, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.stock {
		if h.stock[i].Key == key {
			h.stock[i].Value = change.Value
			return nil
		}
	}
	h.stock = append(h.stock, SysctlChange{Key: key, Value: change.Value, Stock: change.Before})
	return nil
}

// Changed tells the sysctls that differ from the stock value, in the order in which
// they were first set. What every lab sets for quiet on the wire is not among them.
func (h *Host) Changed() []SysctlChange {
	h.mu.Lock()
	defer h.mu.Unlock()
	var changed []SysctlChange
	for _, c := range h.stock {
		if c.Value != c.Stock {
			changed = append(changed, c)
		}
	}
	return changed
}

func (h *Host) explainSysctl(ctx context.Context, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOENT):
		var keys []string
		if h.ask(ctx, keeper.OpListSysctls, nil, &keys) == nil {
			if near := nearest(key, keys); near != "" {
				return fmt.Errorf("sysctl %s: this kernel has no such key for a host; the nearest is %s: %w", key, near, syscall.ENOENT)
			}
		}
		return fmt.Errorf("sysctl %s: this kernel has no such key for a host: %w", key, syscall.ENOENT)
	}
	return err
}

// SignalAll signals every process on the host, what programs left behind
// included. SIGSTOP and SIGCONT stop and continue it as a whole. It returns when
// what SIGSTOP stops stands still, and when what SIGKILL kills is gone.
func (h *Host) SignalAll(ctx context.Context, number syscall.Signal) error {
	return h.ask(ctx, keeper.OpSignalAll, keeper.Signal{Number: number}, nil)
}

// Where the programs of each host that were started Isolated keep their files, in
// every lab at the same place and on each host its own: in a directory that is
// empty at first, and in one to be their HOME. Both lie in /tmp, which is the host's
// own too, as /dev/shm is. They are memory, live as long as the lab, over PowerOff
// and Boot too, and hold 128 MiB in all.
const (
	ProgramDir  = keeper.ProgramDir
	ProgramHome = keeper.ProgramHome
)

// File is an open file of a host.
type File struct {
	Name string
	*os.File
}

// Files opens, for reading, the regular files of the host that match one of the
// globs: absolute paths as path.Match knows them. No link is followed. The caller
// closes the files; more counts those that were too many for one answer. It works
// on a host that is off too.
func (h *Host) Files(ctx context.Context, globs []string) (files []File, more int, err error) {
	reply, open, err := h.lab.keeper.call(ctx, h.lab.message(keeper.OpFiles, h.Name), keeper.Search{Globs: globs}, nil, nil)
	if err != nil {
		return nil, 0, err
	}
	var found keeper.Found
	err = json.Unmarshal(reply.Body, &found)
	if err == nil && len(found.Names) != len(open) {
		err = fmt.Errorf("the keeper sent %d descriptors for %d names", len(open), len(found.Names))
	}
	if err != nil {
		closeFiles(open)
		return nil, 0, fmt.Errorf("find files on host %s: %w", h.Name, err)
	}
	for i, f := range open {
		files = append(files, File{found.Names[i], f})
	}
	return files, found.More, nil
}
