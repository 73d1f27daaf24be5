package keeper

import (
	"errors"
	"fmt"
	"sync"
)

// errKeeperEnds is told to whoever still waits when the control socket is gone.
var errKeeperEnds = errors.New("the keeper is ending")

// A lab is its hosts. The wire between them is not here: its ends lie in the
// keeper's own namespace, which has no addresses and no IPv6, and the caller holds
// a port on each.
type lab struct {
	keeper    *keeper
	id        uint64
	group     uint32 // of its links
	hosts     []*host
	hostsFile string

	mu sync.Mutex // held while it is made and while it ends
	// ended is written with the locks of the lab and of all its hosts held, so that
	// any of them is enough to read it.
	ended bool
}

func (k *keeper) addLab(id uint64, plan LabPlan) (*lab, error) {
	l := &lab{keeper: k, id: id, group: uint32(k.groups.Add(1)), hostsFile: hostsFile(plan)}
	for _, p := range plan.Hosts {
		l.hosts = append(l.hosts, &host{keeper: k, lab: l, plan: p, disk: disk{ns: -1}})
	}
	if len(l.hosts) > MaxHosts {
		return nil, fmt.Errorf("make lab: %d hosts, the most is %d", len(l.hosts), MaxHosts)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.labs[id] != nil {
		return nil, fmt.Errorf("make lab: number %d is taken", id)
	}
	k.labs[id] = l
	return l, nil
}

// build boots the hosts, side by side, and returns their descriptors in order. A
// lab that fails is ended before the error is returned.
func (l *lab) build() ([]int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, errKeeperEnds
	}
	// More at once than processors only makes all of them late.
	select {
	case l.keeper.building <- struct{}{}:
		defer func() { <-l.keeper.building }()
	case <-l.keeper.ending:
		l.end()
		return nil, errKeeperEnds
	}
	var wait sync.WaitGroup
	files := make([][]int, len(l.hosts))
	errs := make([]error, len(l.hosts))
	for i, h := range l.hosts {
		wait.Go(func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if files[i], errs[i] = h.boot(); errs[i] != nil {
				errs[i] = fmt.Errorf("make host %s: %w", h.plan.Name, errs[i])
			}
		})
	}
	wait.Wait()
	var all []int
	for _, fds := range files {
		all = append(all, fds...)
	}
	if err := errors.Join(errs...); err != nil {
		closeAll(all)
		l.end()
		return nil, firstOf(errs)
	}
	return all, nil
}

// firstOf keeps one of several errors that most likely have the same reason, so
// that the caller prints one line.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// close ends the lab, after it was made if that is still going on.
func (l *lab) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end()
}

// end is steps (2) to (5) for all hosts. mu is held.
func (l *lab) end() error {
	if l.ended {
		return nil
	}
	for _, h := range l.hosts {
		h.mu.Lock()
		defer h.mu.Unlock()
	}
	l.ended = true
	errs := []error{deleteGroup(l.group)}
	for _, h := range l.hosts {
		if errs[0] == nil {
			l.keeper.watch.forget(h.wire)
			h.wire = 0
		}
	}
	var wait sync.WaitGroup
	more := make([]error, len(l.hosts))
	for i, h := range l.hosts {
		wait.Go(func() {
			more[i] = h.powerOff()
			h.disk.close()
		})
	}
	wait.Wait()
	l.keeper.mu.Lock()
	delete(l.keeper.labs, l.id)
	l.keeper.mu.Unlock()
	return errors.Join(append(errs, more...)...)
}

// host finds a host by name.
func (l *lab) host(name string) (*host, error) {
	for _, h := range l.hosts {
		if h.plan.Name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("the lab has no host %q", name)
}
