package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// SimultaneousOpen lets both ends connect to each other, and then close.
var SimultaneousOpen = harness.Scenario{
	Name:    "close/simultaneous-open",
	Summary: "Both ends connect() to each other: one connection, without a listener, closed as any other.",
	Doc: `
Both SYNs cross. Each end is in SYN_SENT when the other's SYN arrives, answers with
SYN-ACK out of SYN_RECV, and is in ESTABLISHED when it has one. Nobody listened and
nobody accepted: both programs return from connect().

  client                                              server
  connect()  SYN_SENT    ── SYN ────╮   ╭───── SYN ── connect()  SYN_SENT
             SYN_RECV    ◄──────────┼───╯
                                    ╰───────────────► SYN_RECV
                         ── SYN-ACK ╮   ╭─ SYN-ACK ──
             ESTABLISHED ◄──────────┼───╯
                                    ╰───────────────► ESTABLISHED
  close()    FIN_WAIT_1  ── FIN ────────────────────► CLOSE_WAIT …
`,
	Refs: []string{"RFC 9293 §3.5", "RFC 9293 figure 7", "tcp_rcv_synsent_state_process", "tcp_validate_incoming"},
	Play: func(s *harness.Stage) {
		client, server := crossing(s, in("server", tcp.SynRecv))
		s.Await(in("client", tcp.Established))
		s.Await(in("server", tcp.Established))
		client.Poll("OUT", -1)
		server.Poll("OUT", -1)
		client.SocketError()
		server.SocketError()
		client.Close()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Read(1)
		server.Close()
		s.Await(in("server", tcp.Closed))
	},
	Claims: []harness.Claim{
		{
			Says: "both ends go SYN_SENT, SYN_RECV, ESTABLISHED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.SynSent, tcp.SynRecv, tcp.Established))
				g.Expect(r).To(HaveStates("server", tcp.SynSent, tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "each sends a SYN and a SYN-ACK, and it is one connection",
			Judge: func(g Gomega, r *record.Run) {
				for _, host := range []string{"client", "server"} {
					g.Expect(r).To(HaveCount(host+".SYN-ACK", BeNumerically(">=", 1)))
					g.Expect(r).To(HaveDelta(host, "Tcp.ActiveOpens", 1))
					g.Expect(r).To(HaveDelta(host, "Tcp.PassiveOpens", 0))
				}
				for _, s := range r.Segments {
					g.Expect(s.Other || s.Conn == 1).To(BeTrue())
				}
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "it closes as any other: the first closer waits in TIME_WAIT, the other is gone",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.SynRecv, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
				g.Expect(r).To(HaveStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.LastAck, tcp.Closed))
			},
			Refute: harness.Variant{Play: fourWay},
		},
	},
}

// SimultaneousOpenClose closes an end while the open is still in SYN_RECV.
var SimultaneousOpenClose = harness.Scenario{
	Name:    "close/simultaneous-open-close-in-syn-recv",
	Summary: "close() in SYN_RECV of a simultaneous open sends FIN.",
	Doc: `
Only a simultaneous open has a SYN_RECV with a descriptor: that of a listener is a
request, which no program can close. The other end's SYN has been heard, so there is
somebody to say goodbye to: the kernel goes to FIN_WAIT_1 and sends FIN before it
knows whether its own SYN has arrived. The SYN-ACK that comes later is answered
with an ACK, and all ends as usual.

  client                                              server
  connect()  SYN_SENT    ── SYN ────╮   ╭───── SYN ── connect()  SYN_SENT
             SYN_RECV    ◄──────────┼───╯
  close()    FIN_WAIT_1  ── FIN ────┼───────────────► CLOSE_WAIT
                         ◄──────────╯── SYN-ACK ──
             FIN_WAIT_2  ◄───────────────────── ACK ──
             TIME_WAIT   ◄───────────────────── FIN ── close()  LAST_ACK
                         ── ACK ────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.10.4", "__tcp_close", "tcp_close_state"},
	Play: func(s *harness.Stage) {
		client, server := crossing(s, s.Wire.Delivered("client.FIN"))
		s.Await(in("client", tcp.SynRecv))
		client.Close()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Poll("IN", -1)
		server.Read(1)
		server.Close()
		s.Await(in("server", tcp.Closed))
	},
	Claims: []harness.Claim{
		{
			Says: "the client goes from SYN_RECV to FIN_WAIT_1: it never is in ESTABLISHED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.SynRecv, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
			},
			Refute: harness.Variant{Play: SimultaneousOpen.Play},
		},
		{
			Says: "its FIN leaves before anything has acknowledged its SYN",
			Judge: func(g Gomega, r *record.Run) {
				fin := Find(g, r, "client.FIN")
				g.Expect(Find(g, r, "server.SYN-ACK").Departures[0].T).To(BeNumerically(">", fin.T))
				g.Expect(r).To(Delivered("client.FIN", "server.SYN-ACK"))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: SimultaneousOpen.Play},
		},
		{
			Says: "the close goes its ordinary way: the server reads the end of file, and the client ends in TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("server", "read", 0))
				g.Expect(r).To(HaveStates("server", tcp.SynSent, tcp.SynRecv, tcp.CloseWait, tcp.LastAck, tcp.Closed))
				g.Expect(r).To(HaveStates("client", tcp.TimeWait))
			},
			Refute: harness.Variant{Play: simultaneous},
		},
	},
}

// in is met once a host's end of the first connection was seen in a state. Of
// an end that neither opened nor accepted no socket knows its number.
func in(host string, state tcp.State) inject.Condition {
	return inject.Condition{Kind: inject.InState, Host: host, Conn: 1, State: state}
}

// crossing lets both ends connect to each other from ports that are known. The
// SYNs cross, and the server's SYN-ACK waits for something.
func crossing(s *harness.Stage, until inject.Condition) (client, server *harness.Peer) {
	client, server = s.Client.Peer(), s.Server.Peer()
	client.Open()
	client.Bind(8081)
	client.Nonblock(true)
	server.Open()
	server.Bind(8080)
	server.Nonblock(true)
	s.Wire.On("client.SYN").Always().Hold(s.Wire.Seen("server.SYN"))
	s.Wire.On("server.SYN").Always().Hold(in("client", tcp.SynSent))
	s.Wire.On("server.SYN-ACK").Always().Hold(until)
	s.Wire.On("server.ACK(client.SYN-ACK)").Always().Optional().Hold(until)
	client.Connect(s.Server, 8080)
	server.Connect(s.Client, 8081)
	return client, server
}
