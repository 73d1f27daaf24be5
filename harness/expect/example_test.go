package expect_test

import (
	"fmt"
	"time"

	"github.com/onsi/gomega"

	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/internal/recordtest"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// judge holds a record against what a claim expects, as harness does.
func judge(r *record.Run, claim func(g gomega.Gomega, r *record.Run)) {
	failed := false
	claim(gomega.NewGomega(func(message string, _ ...int) {
		failed = true
		fmt.Println(message)
	}), r)
	if !failed {
		fmt.Println("holds")
	}
}

func ExampleSegments() {
	judge(recordtest.LastACKLost(), func(g gomega.Gomega, r *record.Run) {
		g.Expect(r.Segments).To(Segments("server.FIN", "server.FIN#2"))
		g.Expect(r.Segments).NotTo(Segments("server.RST"))
	})
	// Output: holds
}

func ExampleDropped() {
	judge(recordtest.LastACKLost(), func(g gomega.Gomega, r *record.Run) {
		g.Expect(r).To(Dropped("client.ACK(server.FIN)#1"))
		g.Expect(r).To(Delivered("server.FIN#2", "client.ACK(server.FIN)#2"))
	})
	// Output: holds
}

func ExampleHaveStates() {
	judge(recordtest.LastACKLost(), func(g gomega.Gomega, r *record.Run) {
		g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
		g.Expect(r).To(HaveTimer("client", tcp.TimeWait, "timewait"))
	})
	// Output: holds
}

func ExampleReturned() {
	judge(recordtest.LastACKLost(), func(g gomega.Gomega, r *record.Run) {
		g.Expect(r).To(Returned("server", "read", 0)) // end of file
		g.Expect(r).NotTo(Failed("server", "close", "EIO"))
	})
	// Output: holds
}

func ExampleHaveDelta() {
	judge(recordtest.LastACKLost(), func(g gomega.Gomega, r *record.Run) {
		g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 1))
		g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeouts", gomega.BeNumerically("<=", 1)))
	})
	// Output: holds
}

func ExampleFind() {
	judge(recordtest.LastACKLost(), func(g gomega.Gomega, r *record.Run) {
		lost, again := Find(g, r, "server.FIN"), Find(g, r, "server.FIN#2")
		g.Expect(again.Seq).To(gomega.Equal(lost.Seq))
		g.Expect(Gap(lost, again)).To(gomega.BeNumerically(">", 150*time.Millisecond))
	})
	// Output: holds
}
