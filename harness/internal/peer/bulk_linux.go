package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"golang.org/x/sys/unix"
)

// bulkLen is the size of one read or write of a bulk call, a multiple of the
// pattern's period.
const bulkLen = 1024 * patternPeriod

// bulkRead reads until enough came, the end of file, or an error.
func (w *work) bulkRead() (last int64, err error) {
	sum := w.hash()
	defer w.finishSum(sum)
	left := w.call.N
	for left != 0 {
		want := w.buffer
		if left > 0 {
			want = want[:min(left, int64(len(want)))]
		}
		n, err := unix.Read(int(w.call.FD), want)
		w.result.Calls++
		if err != nil {
			return -1, err
		}
		if last = int64(n); n == 0 {
			w.result.EOF = true
			return 0, nil
		}
		if left > 0 {
			left -= last
		}
		w.count(want[:n], sum)
	}
	return last, nil
}

// bulkWrite writes all, or until an error.
func (w *work) bulkWrite() (last int64, err error) {
	sum := w.hash()
	defer w.finishSum(sum)
	for w.result.Total < w.call.N {
		from := w.result.Total % patternPeriod
		piece := w.buffer[from : from+min(w.call.N-w.result.Total, bulkLen)]
		n, err := unix.Write(int(w.call.FD), piece)
		w.result.Calls++
		if err != nil {
			if collectSigpipe() {
				w.result.Signal = SIGPIPE
			}
			return -1, err
		}
		last = int64(n)
		w.count(piece[:n], sum)
	}
	return last, nil
}

// hash is nil where no sum is wanted.
func (w *work) hash() hash.Hash {
	if w.call.NoSum {
		return nil
	}
	return sha256.New()
}

func (w *work) count(b []byte, sum hash.Hash) {
	w.result.Total += int64(len(b))
	if w.call.Op == OpBulkRead && len(w.result.Data) < DataLimit {
		w.result.Data = append(w.result.Data, b[:min(len(b), DataLimit-len(w.result.Data))]...)
	}
	if sum != nil {
		sum.Write(b)
	}
}

func (w *work) finishSum(sum hash.Hash) {
	if sum != nil && w.result.Total > 0 {
		w.result.Sum = hex.EncodeToString(sum.Sum(nil))
	}
}
