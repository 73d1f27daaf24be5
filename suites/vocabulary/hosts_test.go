package vocabulary

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

var hostActs = []entry{
	{
		name: "host/kill", of: []string{"Host.Kill"},
		shows: "the kernel closes for the killed process: RST, because bytes were unread",
		play: func(s *stage) {
			client, _ := s.Established()
			client.Write("x")
			seen(s, "server.ACK(client.DATA@1)")
			s.Server.Kill()
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnClose", 1))
			g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
		},
	},
	{
		name: "host/stop", of: []string{"Host.Stop", "Host.Continue"},
		shows: "the kernel of the stopped process acknowledges data that the process reads only when it goes on",
		play: func(s *stage) {
			client, server := s.Established()
			reading := server.BeginRead(1)
			s.Server.Stop()
			client.Write("x")
			seen(s, "server.ACK(client.DATA@1)")
			s.Server.Continue()
			reading.Wait()
		},
		judge: func(g Gomega, r *record.Run) {
			again := call(g, r, "server", "continue", 1)
			g.Expect(Find(g, r, "server.ACK(client.DATA@1)").T).To(BeNumerically("<", again.T))
			g.Expect(call(g, r, "server", "read", 1).End).To(BeNumerically(">=", again.T))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "host/power-off", of: []string{"Host.PowerOff", "Host.Boot"},
		shows: "nothing is heard of the host, no FIN either; the kernel that boots answers the repeat with RST",
		play: func(s *stage) {
			client, _ := s.Established()
			s.Server.PowerOff()
			client.Write("x")
			s.Await(s.Wire.Seen("client.DATA@1"))
			s.Server.Boot()
			client.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			off := call(g, r, "server", "power-off", 1)
			boot := call(g, r, "server", "boot", 1)
			for _, x := range r.Segments {
				if x.SentBy == "server" && !x.Other {
					g.Expect(x.T < off.End || x.T > boot.T).To(BeTrue(), "%s came while the power was off", x.Name())
				}
			}
			g.Expect(r).NotTo(Segments("server.FIN"))
			g.Expect(r).To(Delivered("client.DATA@1", "server.RST"))
			g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "host/unplug", of: []string{"Host.Unplug", "Host.Plug"},
		shows: "what is sent meanwhile is lost, and its repeat is read when the cable is in again",
		play: func(s *stage) {
			client, server := s.Established()
			s.Server.Unplug()
			client.Write("x")
			s.Await(s.Wire.Seen("client.DATA@1"))
			s.Server.Plug()
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(Find(g, r, "client.DATA@1").Departures).To(BeEmpty())
			g.Expect(call(g, r, "server", "read", 1).End).To(BeNumerically(">=", call(g, r, "server", "plug", 1).End))
			g.Expect(r).To(Returned("server", "read", 1))
			sentAgain(g, r, "client")
		},
	},
	{
		name: "host/resolve-neighbours", of: []string{"Host.ResolveNeighbours"},
		shows: "the host asks for the other's hardware address over the wire before it sends",
		play: func(s *stage) {
			client, server := s.Established()
			s.Client.ResolveNeighbours(true)
			client.Write("x")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			at := asked(r)
			g.Expect(at).To(BeNumerically(">=", call(g, r, "client", "neighbours", 1).T))
			g.Expect(at).To(BeNumerically("<=", Find(g, r, "client.DATA@1").T))
		},
	},
	{
		name: "host/sysctl", of: []string{"Host.Sysctl", "Host.SysctlAlways"},
		shows: "without tcp_timestamps the kernel offers none, and without tcp_sack it accepts no SACK",
		play: func(s *stage) {
			s.Client.Sysctl("net.ipv4.tcp_timestamps", "0")
			s.Server.SysctlAlways("net.ipv4.tcp_sack", "0")
			s.Established()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(options(g, r, "client.SYN").Timestamps).To(BeFalse())
			g.Expect(options(g, r, "server.SYN-ACK").Timestamps).To(BeFalse())
			g.Expect(options(g, r, "client.SYN").SACKPermitted).To(BeTrue())
			g.Expect(options(g, r, "server.SYN-ACK").SACKPermitted).To(BeFalse())
		},
	},
	{
		name: "host/destroy", of: []string{"Host.Destroy"},
		shows: "the kernel resets the other end, and the program gets ECONNABORTED",
		play: func(s *stage) {
			client, server := s.Established()
			s.Client.Destroy(1)
			client.Read(1)
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client.RST"))
			g.Expect(r).To(Failed("client", "read", "ECONNABORTED"))
			g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
		},
	},
	{
		name: "host/observe", of: []string{"Host.Observe", "Socket.Observe", "Socket.State"},
		shows: "the kernel's timer is running again when it is asked after the silence of a lost FIN, without a segment",
		play: func(s *stage) {
			client, server := s.Established()
			armed(s, "drop client.FIN always")
			client.Shutdown()
			s.Await(s.Wire.Seen("client.FIN#2"))
			s.Client.Observe(1)
			client.Observe()
			server.State()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveTimer("client", tcp.FinWait1, "retransmit"))
			g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
		},
	},
	{
		name: "host/gone", of: []string{"Host.Gone"},
		shows: "a RST ends the request of a listener, for which the server never had a socket",
		play: func(s *stage) {
			server, client := s.Server.Peer(), s.Client.Peer()
			server.Listen(8080, 8)
			armed(s, "drop client.ACK(server.SYN-ACK) always")
			client.Connect(s.Server, 8080)
			client.Linger(0)
			client.Close()
			s.Await(s.Server.Gone(1))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Closed))
			g.Expect(r).To(Segments("client.RST"))
			g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 0))
		},
	},
	{
		name: "host/peers", of: []string{"Host.Peer", "Host.NewPeer"},
		shows: "a second process of the host talks over a connection of its own",
		play: func(s *stage) {
			client, server := s.Established()
			worker := s.Client.NewPeer("worker")
			worker.Connect(s.Server, 8080)
			server.Accept()
			worker.Write("xy")
			server.Read(2)
			client.Kill()
			worker.Write("z")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(call(g, r, "client", "write", 1).Peer).To(Equal("worker"))
			g.Expect(r).To(Segments("2:client.DATA@1", "client.FIN", "2:client.DATA@1[2]"))
			g.Expect(results(r, "server", "read")).To(Equal([]int64{2, 1}))
		},
	},
	{
		name: "host/start", of: []string{"Host.Start"},
		shows: "a program runs in the host's namespace, sees the hosts' names, and its output and status are kept",
		play: func(s *stage) {
			s.Await(s.Server.Start("sh", "-c", "cat /etc/hosts; exit 3").Exited())
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r.Server().Programs).To(HaveLen(1))
			p := r.Server().Programs[0]
			g.Expect(p.Exit).To(Equal(3))
			g.Expect(string(p.Stdout)).To(ContainSubstring("client"))
		},
	},
	{
		name: "host/run", of: []string{"Host.Run", "Host.Dir"},
		shows: "a program has its own /tmp, HOME and {dir}, which live over a power failure; files that were to be kept are in the record",
		play: func(s *stage) {
			s.Await(s.Server.Run(harness.ProgramSpec{Argv: []string{"sh", "-c", "ls -A /tmp/ $HOME {dir}; echo kept >$LASTACK_DIR/file"}}).Exited())
			s.Server.PowerOff()
			s.Server.Boot()
			s.Await(s.Server.Run(harness.ProgramSpec{Argv: []string{"cat", "file"}, Dir: s.Server.Dir(), Keep: []string{"f*"}}).Exited())
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r.Server().Programs).To(HaveLen(2))
			first, second := r.Server().Programs[0], r.Server().Programs[1]
			// Of the caller's /tmp at most the directory is seen in which the tests stand.
			tmp, others, _ := strings.Cut(string(first.Stdout), "\n\n")
			g.Expect(strings.Fields(tmp)).To(SatisfyAny(ConsistOf("/tmp/:", "lastack.dir", "lastack.home"), ConsistOf("/tmp/:", "lastack.dir", "lastack.home", inTmp())))
			g.Expect(strings.Fields(others)).To(ConsistOf("/tmp/lastack.dir:", "/tmp/lastack.home:"))
			g.Expect(string(second.Stdout)).To(Equal("kept\n"))
			g.Expect(second.Files).To(HaveLen(1))
			g.Expect(second.Files[0].Name).To(Equal("file"))
		},
	},
	{
		name: "host/logged", of: []string{"Program.Logged"},
		shows: "the play goes on once the program has written a line",
		play: func(s *stage) {
			p := s.Server.Start("sh", "-c", "echo ready to serve; exec sleep 1000")
			s.Await(p.Logged(regexp.MustCompile("^ready")))
			s.Server.Kill()
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r.Server().Programs).To(HaveLen(1))
			p := r.Server().Programs[0]
			g.Expect(string(p.Stdout)).To(Equal("ready to serve\n"))
			g.Expect(p.Signal).To(Equal("SIGKILL"))
		},
	},
	{
		name: "host/listening-any", of: []string{"Host.ListeningAny", "Host.Listeners"},
		shows: "the play finds out where a program listens, and a client is connected there",
		play: func(s *stage) {
			s.Server.Start("builtin:echo", "--port", "9090")
			s.Await(s.Server.ListeningAny())
			s.Client.Peer().Connect(s.Server, s.Server.Listeners()[0].Port())
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "client", "connect")).To(Equal([]int64{0}))
			g.Expect(r.Server().Sockets).To(ContainElement(And(HaveField("State", tcp.Listen), HaveField("Local", HaveSuffix(":9090")))))
		},
	},
	{
		name: "host/loopback", of: []string{"Peer.ListenLoopback", "Peer.ConnectLoopback"},
		shows: "a host's program connects to another one there by the loopback address, of which nothing comes to the wire",
		play: func(s *stage) {
			s.Client.NewPeer("listener").ListenLoopback(8080, 8)
			s.Client.Peer().ConnectLoopback(8080)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(results(r, "client", "connect")).To(Equal([]int64{0}))
			g.Expect(r).To(OnlySegments())
			loopback := map[int]string{4: "127.0.0.1:8080", 6: "[::1]:8080"}[r.IP]
			g.Expect(r.Client().Sockets).To(ContainElement(And(HaveField("State", tcp.Listen), HaveField("Local", loopback))))
		},
	},
	{
		name: "host/holdings", of: []string{"Host.Holdings"},
		shows: "a program that has a file open and waits for a child holds two processes and that descriptor",
		play: func(s *stage) {
			before, err := s.Server.Holdings()
			p := s.Server.Start("sh", "-c", "exec 9</dev/null; sleep 1000 & echo started; wait")
			s.Await(p.Logged(regexp.MustCompile("started")))
			now, again := s.Server.Holdings()
			if err == nil && again == nil && before.Processes == 0 && now.Processes == 2 && now.Descriptors >= 2*4 && now.Sockets == 0 {
				s.Server.Kill() // which the record shows
			}
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r.Server().Programs).To(HaveLen(1))
			g.Expect(r.Server().Programs[0].Signal).To(Equal("SIGKILL"))
			g.Expect(r.Calls).To(ContainElement(HaveField("Name", "kill")))
		},
	},
	{
		name: "host/third", of: []string{"Stage.Host", "HostSpec.Name"},
		hosts: []harness.HostSpec{{Name: "proxy"}},
		shows: "a third host accepts the client's connection and opens another to the server",
		play: func(s *stage) {
			proxy, server, client := s.Host("proxy"), s.Server.Peer(), s.Client.Peer()
			server.Listen(8080, 8)
			front, back := proxy.Peer(), proxy.NewPeer("back")
			front.Listen(3128, 8)
			client.Connect(proxy, 3128)
			front.Accept()
			back.Connect(s.Server, 8080)
			server.Accept()
			client.Write("x")
			front.Read(1)
			back.Write("x")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Segments("client>proxy:client.DATA@1", "proxy>server:proxy.DATA@1"))
			g.Expect(r).To(Returned("server", "read", 1))
		},
	},
	{
		name: "host/as", of: []string{"HostSpec.As"},
		hosts: []harness.HostSpec{{Name: "standby", As: "server"}},
		shows: "what the second server on the address opens is answered to the first, which resets it",
		play: func(s *stage) {
			s.Client.Peer().Listen(9090, 8)
			s.Host("standby").Peer().BeginConnect(s.Client, 9090)
			s.Await(s.Wire.Seen("server.RST"))
		},
		judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", moved))
		},
	},
	{
		name: "host/mtu", of: []string{"HostSpec.MTU"},
		hosts: []harness.HostSpec{{Name: "client", MTU: 1280}},
		shows: "the kernel asks for segments that fit into the link",
		play:  func(s *stage) { s.Established() },
		judge: func(g Gomega, r *record.Run) {
			headers := uint16(40)
			if r.IP == 6 {
				headers = 60
			}
			g.Expect(options(g, r, "client.SYN").MSS).To(Equal(1280 - headers))
		},
	},
	{
		name: "host/rto-min", of: []string{"HostSpec.RTOMin"},
		hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Millisecond}},
		shows: "the retransmission timer is shorter than the 200 ms that no connection goes below otherwise",
		play: func(s *stage) {
			s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0") // a tail-loss probe is earlier anyway
			client, server := s.Established()
			armed(s, "drop client.DATA@1")
			client.Write("x")
			server.Read(1)
		},
		judge: func(g Gomega, r *record.Run) {
			found := false
			for _, x := range r.States {
				found = found || x.Host == "client" && x.Timer == "retransmit" && x.State == tcp.Established && x.Expires < 190*time.Millisecond
			}
			g.Expect(found).To(BeTrue(), "no reading of a retransmission timer below 200 ms")
		},
	},
	{
		name: "host/unresolved", of: []string{"HostSpec.ResolveNeighbours"},
		hosts: []harness.HostSpec{{Name: "client", ResolveNeighbours: true}},
		shows: "the host asks for the other's hardware address before its first segment",
		play:  func(s *stage) { s.Established() },
		judge: func(g Gomega, r *record.Run) {
			g.Expect(asked(r)).To(BeNumerically("<=", Find(g, r, "client.SYN").T))
		},
	},
}

// asked is when the client first asked for a hardware address, by ARP or by a
// neighbour solicitation; after the end of the run where it never did.
func asked(r *record.Run) time.Duration {
	for _, x := range r.Segments {
		if !x.Other || x.SentBy != "client" || len(x.Frame) < 14+40 && r.IP == 6 {
			continue
		}
		arp := bytes.Equal(x.Frame[12:14], []byte{0x08, 0x06})
		solicitation := bytes.Equal(x.Frame[12:14], []byte{0x86, 0xdd}) && x.Frame[14+6] == 58 && x.Frame[14+40] == 135
		if arp && r.IP == 4 || solicitation && r.IP == 6 {
			return x.T
		}
	}
	return r.Duration + time.Hour
}

// inTmp is the entry of /tmp below which this process stands; empty where it stands
// elsewhere.
func inTmp() string {
	here, err := os.Getwd()
	if err != nil {
		return ""
	}
	below, _ := strings.CutPrefix(here, "/tmp/")
	entry, _, _ := strings.Cut(below, "/")
	return entry
}
