package netenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/lastack/lastack/netenv/keeper"
)

// Lab is a set of hosts, each with a cable to the wire. Its methods are safe for
// concurrent use.
type Lab struct {
	keeper *Keeper
	number uint64
	hosts  []*Host

	closing sync.Once
	failure error
}

// NewLab makes the hosts and returns when each can send its first frame. The
// caller closes the lab. Where ctx ends first, what was made is taken down in the
// background.
//
// As many labs are built at once as there are processors; the others wait for
// their turn. A lab that is built costs little to keep.
func (k *Keeper) NewLab(ctx context.Context, spec LabSpec) (*Lab, error) {
	plan, err := planLab(spec)
	if err != nil {
		return nil, err
	}
	l := &Lab{keeper: k, number: k.numbers.Add(1)}
	for i := range plan.Hosts {
		l.hosts = append(l.hosts, newHost(l, plan.Hosts[i]))
	}
	k.mu.Lock()
	if k.closing {
		k.mu.Unlock()
		return nil, fmt.Errorf("make lab: keeper: %w", ErrClosed)
	}
	k.labs[l.number] = l
	k.mu.Unlock()

	// What a lab that fails or is given up leaves is taken down meanwhile.
	undo := func() { go l.Close() }
	reply, files, err := k.call(ctx, keeper.Message{Op: keeper.OpNewLab, Lab: l.number}, plan, nil, nil)
	if err != nil {
		undo()
		return nil, explain(err)
	}
	var ports []int
	err = json.Unmarshal(reply.Body, &ports)
	if err != nil || len(files) != len(l.hosts)*keeper.HostFiles || len(ports) != len(l.hosts) {
		closeFiles(files)
		undo()
		return nil, fmt.Errorf("make lab: the keeper sent %d descriptors: %w", len(files), err)
	}
	for i, h := range l.hosts {
		if err := h.take(ports[i], files[i*keeper.HostFiles:][:keeper.HostFiles]); err != nil {
			undo()
			closeFiles(files)
			return nil, fmt.Errorf("make lab: %w", err)
		}
	}
	for i, h := range l.hosts {
		// One by one, so that the stock values are known and errors name the key.
		for _, s := range hostSysctls(spec, i) {
			if err := h.SetSysctl(ctx, s.Key, s.Value); err != nil {
				undo()
				return nil, err
			}
		}
	}
	return l, nil
}

func hostSysctls(spec LabSpec, i int) []Sysctl {
	if spec.Hosts == nil {
		return nil
	}
	return spec.Hosts[i].Sysctls
}

func (k *Keeper) forget(l *Lab) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.labs, l.number)
}

// Hosts are the lab's, in the order of its spec.
func (l *Lab) Hosts() []*Host { return append([]*Host(nil), l.hosts...) }

// Host finds a host by name; nil where the lab has none of that name.
func (l *Lab) Host(name string) *Host {
	for _, h := range l.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Close ends the lab in order: cables, processes (by SIGKILL), sockets, namespaces.
// Whoever moves frames between the ports must have stopped before, as the
// descriptors that Host gives to the caller are closed with it. It takes some ten milliseconds, which
// the kernel waits for its readers, so labs are best closed side by side. A second
// call waits for the first and returns the same.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		ctx, cancel := bounded()
		defer cancel()
		var files []*os.File
		for _, h := range l.hosts {
			files = append(files, h.give(true)...)
		}
		closeFiles(files) // at once, as the keeper has copies of what takes its time
		l.failure = l.keeper.ask(ctx, keeper.Message{Op: keeper.OpCloseLab, Lab: l.number}, nil, nil)
		select {
		case <-l.keeper.gone: // which took the lab with it
			if errors.Is(l.failure, ErrClosed) {
				l.failure = nil
			}
		default:
		}
		l.keeper.forget(l)
	})
	return l.failure
}

// message begins a request on one of the lab's hosts.
func (l *Lab) message(op keeper.Op, host string) keeper.Message {
	return keeper.Message{Op: op, Lab: l.number, Host: host}
}
