package probe

// once keeps the last of several answers about one socket: a socket that moves
// in the kernel's tables during a dump may be met twice.
func once(sockets []Socket) []Socket {
	last := make(map[uint64]int, len(sockets))
	for i, s := range sockets {
		if s.Cookie != 0 {
			last[s.Cookie] = i
		}
	}
	kept := sockets[:0]
	for i, s := range sockets {
		if s.Cookie == 0 || last[s.Cookie] == i {
			kept = append(kept, s)
		}
	}
	return kept
}
