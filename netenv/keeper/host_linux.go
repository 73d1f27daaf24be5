package keeper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/netenv/keeper/hostinit"
)

const (
	// hostLink is the one link of a host beside lo.
	hostLink = "eth0"
	// loopback is lo's index in every namespace.
	loopback = 1
	// plainMTU is Ethernet's. The wire's ends are never smaller, so that a frame too
	// large for a host is dropped by that host, as on a real cable.
	plainMTU = 1500
)

// quiet is set in each host before it has a link: no router solicitations, and no
// answer to router advertisements. That it has no link-local address is said to
// the link itself, by noLinkLocal.
var quiet = []Sysctl{
	{Key: "net.ipv6.conf.default.accept_ra", Value: "0"},
	{Key: "net.ipv6.conf.default.router_solicitations", Value: "0"},
}

// errOff says that a host has no power.
var errOff = errors.New("the host is off")

// A host is one network namespace, and what runs in it.
type host struct {
	keeper *keeper
	lab    *lab
	plan   HostPlan

	mu      sync.Mutex // held for one request on the host at a time
	on      bool
	plugged bool
	wire    int // index of the wire's end of the cable
	link    int // index of the host's end
	agent   *agent
	net     netns.NsHandle
	rtnl    *rtnl
	// port is the keeper's own copy, so that the kernel's wait at the end of a packet
	// socket, some ten milliseconds each, is done here and side by side. A caller that
	// is killed would do it for one after the other.
	port    int
	diag    diag
	sysctls []Sysctl // set since the lab was made, again at boot
	disk    disk

	running sync.Mutex // guards what follows, so that ends are noted while mu is held
	procs   map[*child]bool
	init    *hostInit
}

// hostInit is process 1 of a host that runs a user's programs, and the socket on
// which it is asked.
type hostInit struct {
	child *child
	fd    int
}

// boot builds the host and returns the descriptors for the caller, in the order of
// HostFiles. What was built stays for destroy where it fails. mu is held.
func (h *host) boot() (files []int, err error) {
	files = make([]int, 0, HostFiles)
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	h.on = true
	h.procs = map[*child]bool{}
	h.diag = diag{fd: -1}
	h.port = -1
	h.net = netns.None()
	h.agent = startAgent(h.keeper.net)
	h.wire = h.keeper.nextLink()
	events := -1
	defer func() {
		if events >= 0 {
			unix.Close(events)
		}
	}()

	if err := h.agent.do(func() error { return h.enter(&events) }); err != nil {
		return files, err
	}
	port, err := openPort(h.wire, h.plan.Offloads)
	if err != nil {
		return files, err
	}
	files = append(files, port)
	if h.port, err = unix.FcntlInt(uintptr(port), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		h.port = -1
		return files, fmt.Errorf("keep port: %w", err)
	}
	if err := h.keeper.rtnl.setUp(h.wire, true); err != nil {
		return files, err
	}
	err = h.agent.do(func() error {
		if err := h.rtnl.setUp(h.link, true); err != nil {
			return err
		}
		open := func(fd int, err error) error {
			if err == nil {
				files = append(files, fd)
			}
			return err
		}
		// These are opened while the link comes up.
		for _, err := range []error{
			open(openDiag(unix.SOCK_NONBLOCK)), open(openDestroyEvents()),
			open(openCounters("snmp")), open(openCounters("netstat")),
		} {
			if err != nil {
				return err
			}
		}
		if err := h.routes(); err != nil {
			return err
		}
		return awaitHost(events, h.link, h.plan.IPv6.Addr())
	})
	if err != nil {
		return files, err
	}
	if err := h.keeper.watch.await(h.wire); err != nil {
		return files, err
	}
	h.plugged = true
	return files, nil
}

// enter takes the agent's thread into a namespace of its own and furnishes it. The
// link is still down when it returns.
func (h *host) enter(events *int) (err error) {
	if err := enterNewNet(); err != nil {
		return err
	}
	if h.net, err = netns.GetFromPath("/proc/thread-self/ns/net"); err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	if h.rtnl, err = openRtnl(); err != nil {
		return err
	}
	if h.diag.fd, err = openDiag(0); err != nil {
		return err
	}
	for _, s := range quiet {
		if err := writeSysctl(s.Key, s.Value); err != nil && !errors.Is(err, unix.ENOENT) {
			return err // an older kernel without the key is as quiet as it can be
		}
	}
	wireMTU := max(h.plan.MTU, plainMTU)
	err = h.keeper.rtnl.addCable(cable{
		index: h.wire, group: h.lab.group, wireMTU: wireMTU,
		hostNet: int(h.net), hostMTU: h.plan.MTU, hostAddr: net.HardwareAddr(h.plan.MAC),
	})
	if err != nil {
		return err
	}
	iface, err := linkIndex(hostLink)
	if err != nil {
		return err
	}
	h.link = iface
	if err := h.rtnl.noLinkLocal(iface); err != nil {
		return err
	}
	if !h.plan.Offloads {
		if err := disableOffloads(); err != nil {
			return err
		}
	}
	if *events, err = openLinkEvents(); err != nil {
		return err
	}
	if err := h.furnish(); err != nil {
		return err
	}
	for _, s := range h.sysctls {
		if err := writeSysctl(s.Key, s.Value); err != nil {
			return err
		}
	}
	return nil
}

// furnish gives the links addresses, routes and neighbours.
func (h *host) furnish() error {
	if err := h.rtnl.setUp(loopback, true); err != nil {
		return err
	}
	ownRoute := h.plan.RTOMin > 0
	if err := h.rtnl.addAddress(h.link, h.plan.IPv4, ownRoute); err != nil {
		return err
	}
	if err := h.rtnl.addAddress(h.link, h.plan.IPv6, ownRoute); err != nil {
		return err
	}
	if h.plan.Resolve {
		return nil
	}
	return h.neighbours(false)
}

// routes puts the routes that carry a least RTO; the kernel takes them only while
// the link is up.
func (h *host) routes() error {
	if h.plan.RTOMin == 0 {
		return nil
	}
	return errors.Join(h.rtnl.addRoute(h.link, h.plan.IPv4, h.plan.RTOMin), h.rtnl.addRoute(h.link, h.plan.IPv6, h.plan.RTOMin))
}

// neighbours makes the entries of all other hosts permanent, or drops them, so
// that they are resolved over the wire. Of hosts that share an address the first
// in the lab has it.
func (h *host) neighbours(resolve bool) error {
	known := map[string]bool{h.plan.IPv4.Addr().String(): true, h.plan.IPv6.Addr().String(): true}
	for _, other := range h.lab.hosts {
		if other == h {
			continue
		}
		for _, addr := range []string{other.plan.IPv4.Addr().String(), other.plan.IPv6.Addr().String()} {
			if known[addr] {
				continue
			}
			known[addr] = true
			ip := other.plan.IPv4.Addr()
			if addr != ip.String() {
				ip = other.plan.IPv6.Addr()
			}
			var err error
			if resolve {
				err = h.rtnl.dropNeighbour(h.link, ip)
			} else {
				err = h.rtnl.setNeighbour(h.link, ip, net.HardwareAddr(other.plan.MAC))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// linkIndex finds a link in the calling thread's namespace.
func linkIndex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("find link %s: %w", name, err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
	}
	if err != nil {
		return 0, fmt.Errorf("find link %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// unplug takes the wire's end down, which is what the host sees of a cable that
// is out: no carrier. Deleted or unplugged already is fine.
func (h *host) unplug() error {
	if !h.on {
		return errOff
	}
	if !h.plugged {
		return nil
	}
	h.keeper.watch.forget(h.wire)
	if err := h.keeper.rtnl.setUp(h.wire, false); err != nil {
		return err
	}
	h.plugged = false
	return nil
}

// plug puts the cable in and waits until both ends carry frames.
func (h *host) plug() error {
	if !h.on {
		return errOff
	}
	if h.plugged {
		return nil
	}
	if h.wire == 0 {
		return errors.New("the host was cut off: only boot gives it a cable again")
	}
	err := h.agent.do(func() error {
		events, err := openLinkEvents()
		if err != nil {
			return err
		}
		defer unix.Close(events)
		if err := h.keeper.rtnl.setUp(h.wire, true); err != nil {
			return err
		}
		return awaitHost(events, h.link, netip.Addr{})
	})
	if err != nil {
		return err
	}
	if err := h.keeper.watch.await(h.wire); err != nil {
		return err
	}
	h.plugged = true
	return nil
}

// cutOff deletes the cable. Step (2) of the end of a host.
func (h *host) cutOff() error {
	if h.wire == 0 {
		return nil
	}
	h.keeper.watch.forget(h.wire)
	if err := deleteLink(h.wire); err != nil {
		return err
	}
	h.wire, h.plugged = 0, false
	return nil
}

// powerOff is steps (2) to (5) of the end of a host; (1), a wire that takes and
// gives nothing more, is done before.
func (h *host) powerOff() error {
	if !h.on {
		return nil
	}
	cutErr := h.cutOff()
	var closing sync.WaitGroup
	if h.port >= 0 {
		port := h.port
		closing.Go(func() { unix.Close(port) })
	}
	h.killAll()
	var destroyErr error
	if h.diag.fd >= 0 {
		destroyErr = h.diag.destroyAll()
	}
	h.closeAll()
	closing.Wait()
	return errors.Join(cutErr, destroyErr)
}

// closeAll gives the namespace back.
func (h *host) closeAll() {
	h.on, h.plugged, h.link = false, false, 0
	if h.diag.fd >= 0 {
		unix.Close(h.diag.fd)
		h.diag.fd = -1
	}
	if h.rtnl != nil {
		h.rtnl.close()
		h.rtnl = nil
	}
	if h.net.IsOpen() {
		h.net.Close()
	}
	h.agent.end()
}

// setSysctl writes and remembers the value for the next boot.
func (h *host) setSysctl(s Sysctl) (change SysctlChange, err error) {
	if !h.on {
		return change, errOff
	}
	err = h.agent.do(func() (err error) {
		change, err = changeSysctl(s)
		return err
	})
	if err == nil {
		h.sysctls = append(h.sysctls, s)
	}
	return change, err
}

// start starts a program on the host. files are the descriptors that the plan
// speaks of, and stay the caller's.
func (h *host) start(plan *ProcessPlan, files []int) (*child, error) {
	if !h.on {
		return nil, errOff
	}
	attr := &syscall.ProcAttr{Dir: plan.Dir, Env: plan.Env, Sys: &syscall.SysProcAttr{Setpgid: true}}
	for i, given := range plan.Files {
		if !given {
			attr.Files = append(attr.Files, h.keeper.null)
			continue
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("start program: descriptor %d did not arrive", i)
		}
		attr.Files = append(attr.Files, uintptr(files[0]))
		files = files[1:]
	}
	for len(attr.Files) < 3 {
		attr.Files = append(attr.Files, h.keeper.null)
	}
	path := plan.Path
	if path == "" {
		path = h.keeper.binary
	}
	if plan.Isolated {
		if err := h.settle(); err != nil {
			return nil, err
		}
	} else {
		attr.Sys.AmbientCaps = h.keeper.capabilities
	}
	if h.init != nil {
		if err := h.show(plan.Dir, path); err != nil {
			return nil, err
		}
	}
	var c *child
	err := h.agent.do(func() (err error) {
		if c, err = h.keeper.nursery.start(path, plan.Argv, attr); err != nil {
			err = startError(plan, path, err) // here, where the paths mean what they meant
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	h.running.Lock()
	c.inInit = h.init != nil
	h.procs[c] = true
	h.running.Unlock()
	return c, nil
}

// show lets a program see its working directory and its own file.
func (h *host) show(dir, path string) error {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return errors.Join(h.disk.show(dir, h.agent.do), h.disk.show(path, h.agent.do))
}

// settle makes the pid and mount namespaces of a host that runs a user's programs:
// the agent's thread enters the mounts, its next child is process 1, and every one
// after that lives under it. The host's roles start the same way from then on.
func (h *host) settle() error {
	h.running.Lock()
	settled := h.init != nil
	h.running.Unlock()
	if settled {
		return nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start the host's init: %w", err)
	}
	attr := &syscall.ProcAttr{
		Dir: "/", Env: []string{},
		Files: []uintptr{h.keeper.null, h.keeper.null, h.keeper.null, uintptr(pair[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true, AmbientCaps: h.keeper.capabilities},
	}
	var c *child
	err = h.agent.do(func() error {
		if err := h.disk.mount(h.lab.hostsFile); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_NEWPID); err != nil {
			return at(StepNamespace, fmt.Errorf("make pid namespace: %w", err))
		}
		var err error
		c, err = h.keeper.nursery.start(h.keeper.binary, []string{hostinit.Role}, attr)
		return err
	})
	unix.Close(pair[1]) // so that the init's death is seen on the other end
	if err != nil {
		unix.Close(pair[0])
		return fmt.Errorf("start the host's init: %w", err)
	}
	h.running.Lock()
	h.init = &hostInit{child: c, fd: pair[0]}
	h.running.Unlock()
	return hostinit.Ask(pair[0], 0)
}

// forget drops a child that has ended.
func (h *host) forget(c *child) {
	h.running.Lock()
	defer h.running.Unlock()
	delete(h.procs, c)
}

// children are the processes that run now.
func (h *host) children() []*child {
	h.running.Lock()
	defer h.running.Unlock()
	all := make([]*child, 0, len(h.procs))
	for c := range h.procs {
		all = append(all, c)
	}
	return all
}

// signalAll signals what runs on the host: what was started here, and through the
// init what that left behind.
func (h *host) signalAll(number syscall.Signal) error {
	if !h.on {
		return errOff
	}
	var errs []error
	if h.init != nil {
		errs = append(errs, hostinit.Ask(h.init.fd, number))
	}
	for _, c := range h.children() {
		if c.inInit {
			continue
		}
		if err := h.keeper.nursery.signal(c, number); err != nil && !isDone(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// killAll kills everything on the host and waits for it.
func (h *host) killAll() {
	children := h.children()
	if h.init != nil {
		children = append(children, h.init.child)
	}
	for _, c := range children {
		_ = h.keeper.nursery.signal(c, syscall.SIGKILL) // one that has just ended is as good
	}
	for _, c := range children {
		<-c.gone
	}
	if h.init != nil {
		unix.Close(h.init.fd)
		h.init = nil
	}
}
