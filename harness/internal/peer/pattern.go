package peer

// patternPeriod is a prime, so that no segment size makes a cut, a loss or an
// exchange of segments look like the right bytes.
const patternPeriod = 251

// Pattern is n bytes of the stream that bulk calls write, from an offset on: the
// byte at offset k is k modulo 251. offset is not negative.
func Pattern(offset int64, n int) []byte {
	b := make([]byte, n)
	k := offset % patternPeriod
	for i := range b {
		b[i] = byte(k)
		if k++; k == patternPeriod {
			k = 0
		}
	}
	return b
}
