package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
)

// results are what the calls of that name returned on a host, in order.
func results(r *record.Run, host, name string) (list []int64) {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			list = append(list, c.Result)
		}
	}
	return list
}

// errnos are the errors of the calls of that name on a host, in order; empty
// where one went well.
func errnos(r *record.Run, host, name string) (list []string) {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			list = append(list, c.Errno)
		}
	}
	return list
}

// next is the first segment of a host that came to the wire after a moment.
func next(g Gomega, r *record.Run, host string, after time.Duration) *record.Segment {
	for i := range r.Segments {
		if s := &r.Segments[i]; !s.Other && s.SentBy == host && s.T > after {
			return s
		}
	}
	g.Expect(host).To(BeEmpty(), "it sent nothing more")
	return &record.Segment{}
}
