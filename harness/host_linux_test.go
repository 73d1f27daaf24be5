package harness

import (
	"syscall"
	"testing"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

func TestHostActsShowTheirEffect(t *testing.T) {
	showEffects(t, []effect{
		{
			name: "kill sends FIN",
			play: func(t *testing.T, s *Stage) {
				_, server := s.Established()
				s.Client.Kill()
				server.Read(1)
			},
			calls:   map[string][]string{"client kill": {"0"}, "server read": {"0"}},
			arrived: map[string]int{"client.FIN": 1, "client.RST": 0},
		},
		{
			name: "kill sends RST where bytes are unread",
			play: func(t *testing.T, s *Stage) {
				_, server := s.Established()
				server.Write("x")
				s.Await(s.Wire.Delivered("server.DATA"))
				s.Client.Kill()
				server.Read(1)
			},
			calls:   map[string][]string{"server read": {"-1 ECONNRESET"}},
			arrived: map[string]int{"client.FIN": 0, "client.RST": 1},
		},
		{
			name: "kill ends what is under way, and another peer starts",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				reading := client.BeginRead(1)
				s.Client.Kill()
				same(t, "the read that never returned", reading.Wait(), -1)
				again := s.Client.Peer()
				again.Connect(s.Server, defaultPort)
				server.Accept()
				same(t, "connection of the second peer", again.Conn(), 2)
			},
			calls:   map[string][]string{"client read": {"under way"}, "client connect": {"0", "0"}},
			arrived: map[string]int{"1:client.FIN": 1, "2:client.SYN": 1},
		},
		{
			name: "kill takes programs too",
			play: func(t *testing.T, s *Stage) {
				p := s.Client.Start("sleep", "1000")
				s.Client.Kill()
				s.Await(p.Exited())
				<-s.Client.Start("true").ended // the host still runs programs
			},
		},
		{
			name: "what is stopped can be killed, and lose its power",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				reading := server.BeginRead(1)
				s.Client.Stop()
				s.Server.Stop()
				client.Kill()
				s.Await(s.Wire.Delivered("client.FIN"))
				s.Server.PowerOff()
				same(t, "the read that never returned", reading.Wait(), -1)
				s.Client.Peer().Open()
				s.Client.Stop() // to the end
			},
		},
		{
			name: "an act on a peer that is stopped ends the play",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.Stop()
				client.Read(1)
			},
			verdict: record.Error,
		},
		{
			name: "a peer that ends by itself ends the play",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				if err := client.process.Signal(syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				<-client.conn.Gone()
			},
			verdict: record.Error,
		},
		{
			name: "an act for the second time",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				s.Server.Unplug()
				s.Server.Plug()
				s.Wire.On("client.FIN").Hold(s.Server.Returned("neighbours#2"))
				s.Server.ResolveNeighbours(false)
				client.Close()
				s.Await(s.Wire.Seen("client.FIN"))
				server.ReadNow(1)
				s.Server.ResolveNeighbours(false)
				server.Read(1)
			},
			calls: map[string][]string{"server recv": {"-1 EAGAIN"}, "server read": {"0"}},
		},
		{
			name: "an act on a peer that was killed ends the play",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				s.Client.Kill()
				client.Read(1)
			},
			verdict: record.Error,
		},
		{
			name: "stop closes the window, continue opens it",
			play: func(t *testing.T, s *Stage) {
				server := s.Server.Peer()
				server.Open()
				server.ReceiveBuffer(4096)
				server.Listen(defaultPort, 8)
				client := s.Client.Peer()
				client.Connect(s.Server, defaultPort)
				server.Accept()
				reading := server.BeginReadAll()
				s.Server.Stop()
				client.Nonblock(true)
				n := client.WriteBulk(1 << 20)
				s.Await(s.Wire.Seen(`from == "server" && tcp.window_size_value == 0`))
				client.Shutdown()
				s.Server.Continue()
				reading.Wait()
				same(t, "bytes read", reading.results[0].Total, n)
			},
			calls:   map[string][]string{"server bulk-read": {"0"}, "client bulk-write": {"-1 EAGAIN"}},
			arrived: map[string]int{"server.RST": 0},
		},
		{
			name: "a host without power is silent, and answers with RST after boot",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				s.Server.PowerOff()
				client.Write("x")
				s.Await(s.Wire.Seen("client.DATA"))
				s.Server.Boot()
				s.Await(s.Wire.Delivered("server.RST"))
				client.Read(1)
				same(t, "state after boot", s.Server.Observe(1).State, tcp.Closed)
				server := s.Server.Peer()
				server.Listen(defaultPort, 8)
				client.Connect(s.Server, defaultPort)
				server.Accept()
			},
			calls:   map[string][]string{"server power-off": {"0"}, "server boot": {"0"}, "client read": {"-1 ECONNRESET"}},
			arrived: map[string]int{"server.FIN": 0, "server.RST": 1, "2:server.SYN-ACK": 1},
			lost:    map[string]int{"client.DATA#1": 1},
		},
		{
			name: "power-off between arrival and delivery",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				reading := server.BeginRead(1)
				s.Wire.On("client.DATA").Hold(s.Server.Returned("power-off"))
				client.Write("x")
				s.Await(s.Wire.Seen("client.DATA"))
				s.Server.PowerOff()
				same(t, "the read that never returned", reading.Wait(), -1)
			},
			calls: map[string][]string{"server read": {"under way"}},
			lost:  map[string]int{"client.DATA": 1},
		},
		{
			name: "what was unplugged is lost, and goes on when plugged",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				s.Server.Unplug()
				client.Write("x")
				s.Await(s.Wire.Seen("client.DATA"))
				s.Server.Plug()
				server.Read(1)
				server.Write("y")
				client.Read(1)
			},
			calls:   map[string][]string{"server read": {"1"}, "client read": {"1"}, "server unplug": {"0"}, "server plug": {"0"}},
			arrived: map[string]int{"client.DATA": some},
			lost:    map[string]int{"client.DATA#1": 1},
		},
		{
			name: "the sender's own cable",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				s.Client.Unplug()
				client.Write("x")
				s.Client.Plug()
				server.Read(1)
			},
			calls: map[string][]string{"server read": {"1"}},
		},
		{
			name: "a neighbour that is missed",
			play: func(t *testing.T, s *Stage) {
				for _, family := range []string{"ipv4", "ipv6"} {
					s.Client.Sysctl("net."+family+".neigh.eth0.mcast_solicit", "1")
					s.Client.Sysctl("net."+family+".neigh.eth0.retrans_time_ms", "100")
				}
				s.Client.ResolveNeighbours(true)
				s.Server.Unplug()
				s.Client.Peer().Connect(s.Server, defaultPort)
			},
			calls:   map[string][]string{"client connect": {"-1 EHOSTUNREACH"}},
			arrived: map[string]int{"client.SYN": 0},
		},
		{
			name:  "neighbours are resolved over the wire",
			hosts: []HostSpec{{Name: "client", ResolveNeighbours: true}, {Name: "server", ResolveNeighbours: true}},
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				s.Client.ResolveNeighbours(false)
				client.Write("x")
				server.Read(1)
			},
			calls: map[string][]string{"client connect": {"0"}, "server read": {"1"}},
		},
		{
			name:  "a link with a small MTU",
			hosts: []HostSpec{{Name: "client", MTU: 1280}},
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				same(t, "path MTU", client.Info().PMTU, 1280)
			},
		},
		{
			name: "a second process on the host",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				worker := s.Server.NewPeer("worker")
				worker.Listen(9090, 8)
				first := client.Socket
				client.Connect(s.Server, 9090)
				worker.Accept()
				same(t, "connection of the worker", worker.Conn(), 2)
				s.Wire.On("2:server.FIN").Hold(worker.Returned("kill"))
				worker.Kill()
				client.Read(1)
				first.Write("x")
				server.Read(1)
			},
			calls: map[string][]string{
				"client read": {"0"}, "server read": {"1"}, "server/worker kill": {"0"}, "server/worker accept": {"9"},
			},
			arrived: map[string]int{"1:server.FIN": 0, "2:server.FIN": 1},
		},
		{
			name:  "a third host",
			hosts: []HostSpec{{Name: "proxy"}},
			play: func(t *testing.T, s *Stage) {
				proxy := s.Host("proxy").Peer()
				proxy.Listen(3128, 8)
				s.Client.Peer().Connect(s.Host("proxy"), 3128)
				proxy.Accept()
				s.Host("proxy").PowerOff()
			},
			arrived: map[string]int{"client>proxy:proxy.SYN-ACK": 1, "proxy.FIN": 0},
		},
		{
			name:  "a second server at the same address",
			hosts: []HostSpec{{Name: "standby", As: "server"}},
			play: func(t *testing.T, s *Stage) {
				s.Host("standby").Peer().Listen(defaultPort, 8)
				client, server := s.Established()
				client.Write("x")
				server.Read(1)
			},
			arrived: map[string]int{"server.SYN-ACK": 1},
		},
		{
			name:  "the attacker's raw socket",
			hosts: []HostSpec{{Name: AttackerName}},
			play: func(t *testing.T, s *Stage) {
				network := "ip4:tcp"
				if s.IP == 6 {
					network = "ip6:raw"
				}
				if s.Attacker().OpenRaw(network) == nil {
					t.Error("no raw socket")
				}
			},
		},
		{
			name:    "a host that the lab does not have",
			play:    func(t *testing.T, s *Stage) { s.Attacker() },
			verdict: record.Error,
		},
	})
}

// TestCountersSurvivePowerOff: what a kernel had counted is not forgotten with it.
func TestCountersSurvivePowerOff(t *testing.T) {
	r, err := Play(t.Context(), Scenario{Name: "test/counters", Play: func(s *Stage) {
		s.Established()
		s.Server.PowerOff()
		s.Server.Boot()
	}}, Options{Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, c := range r.Counters {
		if c.Host == "server" {
			got[c.Name] = c.Delta
		}
	}
	if got["Tcp.PassiveOpens"] != 1 || got["Tcp.CurrEstab"] != 0 {
		t.Errorf("verdict %s %s; the server counted %v", r.Verdict, r.Why, got)
	}
}
