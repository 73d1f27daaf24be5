package tcp

// Seq is a sequence or acknowledgement number. It wraps: compare with Before,
// never with < (RFC 9293 §3.4).
type Seq uint32

// Before reports whether s comes before t in sequence space.
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }

// Diff is how far s lies beyond t; negative when it lies before.
func (s Seq) Diff(t Seq) int { return int(int32(s - t)) }

// Add moves s by n, which may be negative.
func (s Seq) Add(n int) Seq { return s + Seq(uint32(n)) }
