package crash

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// CableOut is a cable that is out for a while: TCP does not care.
var CableOut = harness.Scenario{
	Name:    "crash/cable-out-and-in",
	Summary: "The server's cable is pulled and put in again: the connection lives, and the repeat gets through.",
	Doc: `
A link that goes down says nothing to the connections that use it, on neither end:
both stay ESTABLISHED. What was sent meanwhile is repeated, and the first repeat
that finds the cable in is acknowledged. Neither program learns of anything.

  client                                              server
                                                       (cable out)
  write()     ── data ───────────────✗
                                                       (cable in)
              ── data ─ after RTO ──────────────────► read() = 1
              ◄───────────────────────────────  ACK ──
`,
	Refs: []string{"RFC 9293 §3.8.3", "tcp_retransmit_timer"},
	Play: cableOut,
	Claims: []harness.Claim{
		{
			Says: "what was sent while the cable was out is lost, and its repeat arrives when the cable is in",
			Judge: func(g Gomega, r *record.Run) {
				copies := All(g, r, "client.DATA@1")
				g.Expect(len(copies)).To(BeNumerically(">=", 2))
				for i, x := range copies {
					g.Expect(x.Seq).To(Equal(copies[0].Seq))
					g.Expect(len(x.Departures) > 0).To(Equal(i == len(copies)-1), "only the last one was delivered")
				}
				g.Expect(Call(g, r, "server", "plug", 1).T).To(BeNumerically(">=", copies[0].T))
				g.Expect(r).To(Delivered("client.DATA@1", "server.ACK(client.DATA@1)"))
			},
			Refute: harness.Variant{Play: cableStays},
		},
		{
			Says: "both ends stay ESTABLISHED all the time",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(Call(g, r, "server", "unplug", 1).End).To(BeNumerically(">=", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { boots(s, true) }},
		},
		{
			Says: "the programs see no error: write() and read() return 1",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "write", 1))
				g.Expect(r).To(Returned("server", "read", 1))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", BeNumerically(">=", 1)))
			},
			Refute: harness.Variant{Play: cableStays},
		},
	},
}

func cableOut(s *harness.Stage) {
	client, server := s.Established()
	s.Server.Unplug()
	client.Write("x")
	s.Await(s.Wire.Seen("client.DATA@1"))
	s.Server.Plug()
	server.Read(1)
	s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)"))
}

// cableStays never pulls the cable.
func cableStays(s *harness.Stage) {
	client, server := s.Established()
	client.Write("x")
	server.Read(1)
	s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)"))
}

// OneWays are networks that lose everything in one direction for a while.
var OneWays = []harness.Scenario{oneWay("server"), oneWay("client")}

func oneWay(to string) harness.Scenario {
	toServer := to == "server"
	arrives := "the data does not arrive: the server's read() waits until the network is whole again"
	if !toServer {
		arrives = "the data arrives at once: the server's read() returns while the client still repeats it"
	}
	repeats := "the client repeats what was lost"
	if !toServer {
		repeats = "the client repeats what has long arrived: its ACK is what was lost"
	}
	whole := harness.Variant{Play: cableStays}
	other := harness.Variant{Play: func(s *harness.Stage) { partition(s, !toServer) }}
	return harness.Scenario{
		Name:    "crash/one-way-partition{lost=to-" + to + "}",
		Summary: "For a while everything is lost that travels to the " + to + ".",
		Doc: `
To the client both directions look alike: its data is not acknowledged, and it
repeats. Whether the data was lost or its ACK it cannot know, and so neither whether
the server has acted on it. Only the server's kernel sees the difference: a copy of
what it has is answered at once, and counted (TCPDSACKOldSent).

  lost   client                                        server
  data   write()  ── data ──────────✗                  read() waits
                  ── data ─────────────────────────► read() = 1
  ACK    write()  ── data ─────────────────────────► read() = 1
                                     ✗─────────  ACK ──
                  ── data ─────────────────────────►
                  ◄────────────────────────────  ACK ── again, with D-SACK
`,
		Refs: []string{"RFC 9293 §3.8", "RFC 2883", "tcp_data_queue"},
		Play: func(s *harness.Stage) { partition(s, toServer) },
		Claims: []harness.Claim{
			{
				Says: repeats,
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Segments("client.DATA@1", "client.DATA@1#2"))
					g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", BeNumerically(">=", 1)))
				},
				Refute: whole,
			},
			{
				Says: arrives,
				Judge: func(g Gomega, r *record.Run) {
					read, again := Call(g, r, "server", "read", 1), Find(g, r, "client.DATA@1#2")
					g.Expect(read.Result).To(BeEquivalentTo(1))
					if toServer {
						g.Expect(read.End).To(BeNumerically(">=", again.T))
					} else {
						g.Expect(read.End).To(BeNumerically("<", again.T))
					}
				},
				Refute: other,
			},
			{
				Says: map[bool]string{true: "the server knows of no copy", false: "the server's kernel counts the copy of what it had: TCPDSACKOldSent"}[toServer],
				Judge: func(g Gomega, r *record.Run) {
					want := BeNumerically(">=", 1)
					if toServer {
						want = BeNumerically("==", 0)
					}
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPDSACKOldSent", want))
				},
				Refute: other,
			},
			{
				Says: "when the network is whole again both ends go on: ESTABLISHED, and nothing is unacknowledged",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
					g.Expect(LastSeen(g, r, "client").Timer).To(BeEmpty())
				},
				Refute: harness.Variant{Play: hostSending},
			},
		},
	}
}

// partition loses everything one way from the client's first data on until its
// first repeat.
func partition(s *harness.Stage, toServer bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	reading := server.BeginRead(1)
	if toServer {
		lost := s.Wire.On("client.DATA@1#1").Silence(s.Server)
		client.Write("x")
		s.Await(lost.Fired())
		lost.Disarm()
		reading.Wait()
		s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)"))
	} else {
		lost := s.Wire.On("server.ACK(client.DATA@1)#1").Silence(s.Client)
		client.Write("x")
		s.Await(lost.Fired())
		reading.Wait()
		lost.Disarm()
		s.Await(s.Wire.Delivered("server.ACK(client.DATA@1)#2"))
	}
	s.Client.Observe(1)
}
