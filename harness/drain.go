package harness

import "time"

// drainBound is how long the end of a play waits for what was sent; a kernel may
// have counted what it then had no neighbour for.
const drainBound = 500 * time.Millisecond

// drain waits until the wire has every TCP segment that the kernels had sent when
// the play ended: the last, as the RST of a socket that is gone already, may still
// wait for a busy processor on its way through the cable, and a record without
// it would tell of a silence that there was not.
func (l *lab) drain() {
	give := time.Now().Add(Timescale(drainBound))
	for _, h := range l.hosts {
		// What was sent before a boot or into an unplugged cable is counted
		// elsewhere, or nowhere.
		if h.off || h.begun["boot"] > 0 || h.begun["unplug"] > 0 {
			continue
		}
		for pause := firstLook; !h.drained() && time.Now().Before(give); pause = min(2*pause, lastLook) {
			select {
			case <-time.After(pause):
			case <-l.stage.ctx.Done():
				return
			}
		}
	}
}

// drained compares the kernel's counters, which are read first, with the wire's
// log.
func (h *Host) drained() bool {
	n, err := h.counters.TCP()
	if err != nil {
		return true // what cannot be counted is not waited for
	}
	_, taken := h.passed()
	return taken >= n.Out+n.Retrans
}
