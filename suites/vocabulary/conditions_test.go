package vocabulary

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// conditions are shown by what they hold back: a byte that the client has
// written is read by the server only when the condition was met.
var conditions = []entry{
	{
		name: "condition/seen", word: "server.DATA@1", of: []string{"inject.Seen", "Wire.Seen"},
		shows: "held data is read after the other end's own data came to the wire, although that was lost there",
		play: held(func(s *stage, client, server *harness.Peer) {
			armed(s, "drop server.DATA@1")
			server.Write("y")
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration { return Find(g, r, "server.DATA@1").T }),
	},
	{
		name: "condition/delivered", word: "delivered server.DATA@1", of: []string{"inject.Delivered", "Wire.Delivered"},
		shows: "held data is read after the other end's own data, which was delayed, reached the program",
		play: held(func(s *stage, client, server *harness.Peer) {
			armed(s, "delay(60ms) server.DATA@1")
			server.Write("y")
			client.Read(1)
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration {
			return call(g, r, "server", "write", 1).T + 60*time.Millisecond
		}),
	},
	{
		name: "condition/in", word: "client in FIN_WAIT_1", of: []string{"inject.InState", "Socket.In"},
		shows: "a FIN that is held until the other kernel is in FIN_WAIT_1 finds it there: both ends are in CLOSING",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "hold server.FIN until "+s.word)
			server.Shutdown()
			s.Await(s.Wire.Seen("server.FIN"))
			client.Shutdown()
			s.Await(client.In(tcp.Closing))
			s.Await(server.Gone())
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveStates("client", tcp.Established, tcp.FinWait1, tcp.Closing))
			g.Expect(r).NotTo(HaveStates("client", tcp.CloseWait))
		},
	},
	{
		name: "condition/in-connection", word: "2:client in ESTABLISHED",
		says:  "The same of another connection than the first.",
		shows: "held data of one connection is read after the kernel has established a second",
		play:  held(func(s *stage, client, server *harness.Peer) { client.Connect(s.Server, 8080) }),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration {
			for _, x := range r.Visited(2, "client") {
				if x.State == tcp.Established {
					return x.T
				}
			}
			g.Expect(r).To(HaveStates("2:client", tcp.Established))
			return 0
		}),
	},
	{
		name: "condition/in-closed", word: "client in CLOSED", of: []string{"Socket.Gone"},
		says:  "The kernel has no socket of the connection any more.",
		shows: "a RST that is held until the other socket is gone finds nobody, and nobody answers",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "hold server.RST until "+s.word)
			server.Linger(0)
			server.Close()
			s.Await(s.Wire.Seen("server.RST"))
			client.Linger(0)
			client.Close()
			s.Await(client.Gone())
			seen(s, "server.RST")
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
			states := r.Visited(1, "client")
			g.Expect(left(g, Find(g, r, "server.RST"))).To(BeNumerically(">=", states[len(states)-1].T))
			g.Expect(r).To(HaveCount("client.RST", 1))
		},
	},
	{
		name: "condition/fired", word: "fired drop server.DATA@1", of: []string{"inject.Fired"},
		shows: "held data is read after another rule has lost the other end's data, which comes again",
		play: held(func(s *stage, client, server *harness.Peer) {
			armed(s, "drop server.DATA@1")
			server.Write("y")
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration { return Find(g, r, "server.DATA@1").T }),
	},
	{
		name: "condition/exited", word: "exited server", of: []string{"inject.Exited", "Program.Exited"},
		shows: "held data is read after a program of the host has ended",
		play: held(func(s *stage, client, server *harness.Peer) {
			s.Await(s.Server.Start("true").Exited())
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration {
			g.Expect(r.Server().Programs).To(HaveLen(1))
			return r.Server().Programs[0].End
		}),
	},
	{
		name: "condition/returned", word: "returned server write", of: []string{"inject.Returned", "Peer.Returned"},
		shows: "held data is read after the other program's write() has returned",
		play:  held(func(s *stage, client, server *harness.Peer) { server.Write("y") }),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration { return call(g, r, "server", "write", 1).End }),
	},
	{
		name: "condition/returned-nth", word: "returned server write#2", of: []string{"Pending.Returned"},
		says:  "The same of the nth call of that name which was begun on the host.",
		shows: "held data is read after the second write() has returned, and not after the first",
		play: held(func(s *stage, client, server *harness.Peer) {
			server.Write("y")
			client.Read(1)
			s.Await(server.BeginWrite("z").Returned())
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration { return call(g, r, "server", "write", 2).End }),
	},
	{
		name: "condition/returned-act", word: "returned client unplug", of: []string{"Host.Returned"},
		says:  "The same of an act of the play on a host.",
		shows: "what was held until the cable was out is lost at the host without a link, and read when it comes again",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "hold server.DATA@1 until "+s.word)
			server.Write("x")
			s.Await(s.Wire.Seen("server.DATA@1"))
			s.Client.Unplug()
			s.Await(s.Client.Returned("unplug"))
			s.Client.Plug()
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "read", 1).End).To(BeNumerically(">=", call(g, r, "client", "plug", 1).End))
			sentAgain(g, r, "server")
		},
	},
	{
		name: "condition/exited-nth", word: "exited server#2",
		shows: "held data is read after the second program of the host has ended, and the first has not",
		play: held(func(s *stage, client, server *harness.Peer) {
			s.Server.Start("sleep", "1000")
			s.Await(s.Server.Start("true").Exited())
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration {
			g.Expect(r.Server().Programs).To(HaveLen(2))
			g.Expect(r.Server().Programs[0].End).To(BeNumerically("<", 0))
			return r.Server().Programs[1].End
		}),
	},
	{
		name: "condition/listening", word: "listening server 9090", of: []string{"inject.Listening", "Host.Listening"},
		shows: "held data is read after the kernel has a listener on that port",
		play: held(func(s *stage, client, server *harness.Peer) {
			worker := s.Server.NewPeer("worker")
			worker.Listen(9090, 1)
			s.Await(s.Server.Listening(9090))
		}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration { return call(g, r, "server", "listen", 2).T }),
	},
	{
		name: "condition/next", word: "next", of: []string{"inject.Next"},
		shows: "a held segment is overtaken by the next of the same sender, here an ACK, and by no other",
		play: held(func(s *stage, client, server *harness.Peer) {
			server.Write("no")
		}),
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("server.DATA@1", "client.ACK(server.DATA@1)", "client.DATA@1"))
			g.Expect(string(call(g, r, "server", "read", 1).Data)).To(Equal("x"))
		},
	},
	{
		name: "condition/after", word: "after 80ms", of: []string{"inject.After", "Wire.After"},
		shows: "held data is read no earlier than that",
		play:  held(func(s *stage, client, server *harness.Peer) {}),
		judge: readAfter(func(g Gomega, r *record.Run) time.Duration {
			return Find(g, r, "client.DATA@1").T + 80*time.Millisecond
		}),
	},
}

// held plays the condition: the client's byte is held until it is met, which
// meet brings about.
func held(meet func(s *stage, client, server *harness.Peer)) func(*stage) {
	return func(s *stage) {
		client, server := s.Established()
		mine := server.Socket
		armed(s, "hold client.DATA@1 until "+s.word)
		client.Write("x")
		s.Await(s.Wire.Seen("client.DATA@1"))
		meet(s, client, server)
		mine.Read(1)
	}
}

// readAfter judges that the server read the byte after something happened.
func readAfter(when func(g Gomega, r *record.Run) time.Duration) func(Gomega, *record.Run) {
	return func(g Gomega, r *record.Run) {
		read := call(g, r, "server", "read", 1)
		g.Expect(read.Result).To(BeEquivalentTo(1))
		g.Expect(read.End).To(BeNumerically(">=", when(g, r)))
	}
}
