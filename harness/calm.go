package harness

import (
	"runtime"
	"sync"
)

// calm keeps apart what is played for the first time, as much side by side as the
// pool carries, and what is played again because the machine was too busy for it: as
// many of these at once as there are cores, and nothing else beside them. While some
// of them wait nothing else begins, and they are few and end.
type calm struct {
	others sync.RWMutex  // read by first attempts, written by the group of the others
	places chan struct{} // of the group
	mu     sync.Mutex
	group  int // how many are in it
}

func newCalm() *calm { return &calm{places: make(chan struct{}, max(runtime.GOMAXPROCS(0), 1))} }

// first waits until nothing is played again, and lets a first attempt begin; it ends
// by calling what is returned.
func (c *calm) first() (leave func()) {
	c.others.RLock()
	return c.others.RUnlock
}

// again waits until no first attempt is under way and there is a place.
func (c *calm) again() (leave func()) {
	c.places <- struct{}{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group == 0 {
		c.others.Lock()
	}
	c.group++
	return func() {
		c.mu.Lock()
		if c.group--; c.group == 0 {
			c.others.Unlock()
		}
		c.mu.Unlock()
		<-c.places
	}
}
