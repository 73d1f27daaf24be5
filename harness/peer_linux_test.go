package harness

import (
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

func TestPeerCallsShowTheirEffect(t *testing.T) {
	showEffects(t, []effect{
		{
			name: "SO_LINGER 0 makes close a reset",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.Linger(0)
				client.Close()
				server.Read(1)
			},
			calls:   map[string][]string{"client close": {"0"}, "server read": {"-1 ECONNRESET"}},
			arrived: map[string]int{"client.RST": 1, "client.FIN": 0},
		},
		{
			name: "SO_LINGER makes close wait",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.Linger(5)
				s.Wire.On("client.FIN").Hold(s.Wire.After(100 * time.Millisecond))
				closing := client.BeginClose()
				s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
				closing.Wait()
				s.mu.Lock()
				defer s.mu.Unlock()
				if c := callOf(t, s.calls, "client", "close", 0); c.End-c.T < 100*time.Millisecond {
					t.Errorf("close waited for %v", c.End-c.T)
				}
			},
			calls: map[string][]string{"client close": {"0"}},
		},
		{
			name: "TCP_LINGER2 below 0 resets instead of FIN_WAIT_2",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.Linger2(-1)
				client.Close()
				s.Await(s.Wire.Delivered("client.RST"))
			},
			arrived: map[string]int{"client.FIN": 1, "client.RST": 1},
		},
		{
			name: "keep-alive asks, and gives up",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.KeepAlive(time.Second, time.Second, 1)
				s.Server.PowerOff()
				client.Read(1)
				s.Await(s.Wire.Seen("client.RST")) // it is not there yet when read() returns
			},
			calls:   map[string][]string{"client read": {"-1 ETIMEDOUT"}},
			arrived: map[string]int{"client.KEEPALIVE": 1, "client.RST": 1},
		},
		{
			name: "TCP_USER_TIMEOUT bounds silence",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.UserTimeout(300 * time.Millisecond)
				s.Server.PowerOff()
				client.Write("x")
				client.Read(1)
			},
			calls:   map[string][]string{"client read": {"-1 ETIMEDOUT"}},
			arrived: map[string]int{"client.DATA": some},
		},
		{
			name: "SOCK_DESTROY aborts",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.Destroy()
				client.Read(1)
				server.Read(1)
				client.Destroy()
			},
			calls: map[string][]string{
				"client read": {"-1 ECONNABORTED"}, "server read": {"-1 ECONNRESET"}, "client destroy": {"0", "-1 ENOENT"},
			},
			arrived: map[string]int{"client.RST": 1},
		},
		{
			name: "SIGPIPE is seen on the call",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				server.Close()
				client.Read(1)
				client.Write("a")
				s.Await(s.Wire.Delivered("server.RST"))
				client.Write("b")
			},
			calls: map[string][]string{"client read": {"0"}, "client write": {"1", "-1 EPIPE SIGPIPE"}},
		},
		{
			name: "several connections of one peer",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				first, served := client.Socket, server.Socket
				client.Connect(s.Server, defaultPort)
				server.Accept()
				same(t, "number of the first", first.Conn(), 1)
				same(t, "number of the second", client.Conn(), 2)
				same(t, "number at the other end", server.Conn(), 2)
				client.Close()
				s.Await(s.Wire.Delivered("2:server.ACK(client.FIN)"))
				server.Read(1)
				server.Close()
				s.Await(server.Gone())
				same(t, "state of the first", served.State(), tcp.Established)
				first.Write("x")
				served.Read(1)
			},
			calls:   map[string][]string{"server read": {"0", "1"}},
			arrived: map[string]int{"1:client.FIN": 0, "2:client.FIN": 1},
		},
		{
			name: "several listeners of one peer",
			play: func(t *testing.T, s *Stage) {
				server, client := s.Server.Peer(), s.Client.Peer()
				server.Listen(8080, 8)
				web := server.Listener()
				server.Listen(9090, 8)
				client.Connect(s.Server, 8080)
				client.Connect(s.Server, 9090)
				same(t, "connection of the earlier listener", web.Accept().Conn(), 1)
				same(t, "connection of the later one", server.Accept().Conn(), 2)
			},
		},
		{
			name: "a port in use is a fact",
			play: func(t *testing.T, s *Stage) {
				p := s.Server.Peer()
				p.Listen(8080, 8)
				p.Open()
				if p.Bind(8080) {
					t.Error("bound a port that is in use")
				}
				p.ReuseAddr()
				p.Bind(8081)
				p.Socket.Listen(1)
				s.Client.Peer().Connect(s.Server, 8081)
				p.Socket.Accept()
			},
			calls: map[string][]string{"server bind": {"0", "-1 EADDRINUSE", "0"}, "client connect": {"0"}},
		},
		{
			name: "a refused connection is a fact",
			play: func(t *testing.T, s *Stage) {
				if s.Client.Peer().Connect(s.Server, defaultPort) {
					t.Error("connected")
				}
			},
			calls: map[string][]string{"client connect": {"-1 ECONNREFUSED"}},
		},
		{
			name: "non-blocking",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.ReadNow(1)
				client.Nonblock(true)
				client.Read(1)
			},
			calls: map[string][]string{"client recv": {"-1 EAGAIN"}, "client read": {"-1 EAGAIN"}},
		},
		{
			name: "poll tells of FIN and of RST",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				waiting := client.BeginPoll("RDHUP", -1)
				server.Shutdown()
				waiting.Wait()
				same(t, "events after FIN", client.Poll("IN|OUT|RDHUP", 0), "IN|OUT|RDHUP")
				server.Linger(0)
				server.Close()
				s.Await(s.Wire.Delivered("server.RST"))
				same(t, "events after RST", client.Poll("IN|OUT|RDHUP", 0), "IN|OUT|ERR|HUP|RDHUP")
				same(t, "nothing to wait for", client.Poll("PRI", 0), "ERR|HUP")
			},
		},
		{
			name: "SO_ERROR and TCP_INFO stand in the record",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				same(t, "state", client.Info().State, tcp.Established)
				server.Linger(0)
				server.Close()
				s.Await(s.Wire.Delivered("server.RST"))
				same(t, "error", client.SocketError(), "ECONNRESET")
				same(t, "error, which reading cleared", client.SocketError(), "")
				s.mu.Lock()
				defer s.mu.Unlock()
				if c := callOf(t, s.calls, "client", "getsockopt", 1); !strings.HasSuffix(c.Call, "SO_ERROR, [ECONNRESET])") {
					t.Errorf("the record has %q", c.Call)
				}
			},
		},
		{
			name: "queues",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				s.Wire.On("server.ACK(client.DATA)").Hold(server.Returned("ioctl"))
				client.Write("hello")
				s.Await(s.Wire.Delivered("client.DATA"))
				same(t, "bytes not acknowledged", client.Unacked(), 5)
				same(t, "bytes to be read", server.Queued(), 5)
				server.Peek(2)
				server.Read(8)
			},
			calls: map[string][]string{"server recv": {"2"}, "server read": {"5"}},
		},
		{
			name: "shutdown of either direction",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.ShutdownRead()
				server.Write("x")
				s.Await(s.Wire.Delivered("server.DATA"))
				client.Read(1)
				client.ShutdownBoth()
				server.Read(1)
			},
			calls:   map[string][]string{"client read": {"1"}, "server read": {"0"}, "client shutdown": {"0", "0"}},
			arrived: map[string]int{"client.FIN": 1},
		},
		{
			name: "cork keeps back, uncork sends",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.NoDelay(true)
				client.QuickACK(true)
				client.Cork()
				client.Write("a")
				client.Write("b")
				client.Uncork()
				server.Read(8)
			},
			calls:   map[string][]string{"server read": {"2"}},
			arrived: map[string]int{"client.DATA": 1},
		},
		{
			name: "bulk",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.SendBuffer(1 << 16)
				writing := client.BeginWriteBulk(1 << 18)
				same(t, "bytes read", server.ReadBulk(1<<18), 1<<18)
				writing.Wait()
				client.Close()
				same(t, "bytes behind them", server.ReadAll(), 0)
			},
		},
		{
			name: "connect and accept in the background",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Client.Peer(), s.Server.Peer()
				server.Listen(defaultPort, 8)
				accepting := server.BeginAccept()
				connecting := client.unused()
				s.Wire.On("server.SYN-ACK").Hold(client.In(tcp.SynSent))
				began := connecting.BeginConnect(s.Server, defaultPort)
				s.Await(client.In(tcp.SynSent))
				began.Wait()
				accepting.Accepted()
				same(t, "number", server.Conn(), 1)
				client.BeginWrite("x").Wait()
				server.Read(1)
			},
			calls: map[string][]string{"server read": {"1"}},
		},
		{
			name: "a condition on the second call of a name",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.Write("ab")
				server.Read(1)
				second := server.BeginPoll("RDHUP", -1)
				s.Wire.On("client.FIN").Hold(server.Returned("read#2"))
				client.Close()
				s.Await(s.Wire.Seen("client.FIN"))
				server.Read(1)
				s.Await(second.Returned())
			},
			calls: map[string][]string{"server read": {"1", "1"}, "server poll": {"1"}},
		},
		{
			name: "exit closes what is open",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				client.Exit(3)
				server.Read(1)
			},
			calls:   map[string][]string{"client exit": {"0"}, "server read": {"0"}},
			arrived: map[string]int{"client.FIN": 1},
		},
		{
			name: "what the kernel keeps of a connection",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Client.Peer(), s.Server.Peer()
				server.Listen(defaultPort, 8)
				s.Wire.On("client.ACK(server.SYN-ACK)").Hold(s.Client.Returned("neighbours"))
				client.Connect(s.Server, defaultPort)
				s.Await(s.Wire.Seen("client.ACK(server.SYN-ACK)"))
				request := s.Server.Observe(1)
				same(t, "request", []any{request.State, request.Kind}, []any{tcp.SynRecv, "request"})
				s.Client.ResolveNeighbours(false)
				s.Await(s.Wire.Delivered("client.ACK(server.SYN-ACK)"))
				waiting := s.Server.Observe(1)
				same(t, "not accepted", []any{waiting.State, waiting.Kind, waiting.Unaccepted}, []any{tcp.Established, "full", true})
				server.Accept()
				client.Write("xy")
				s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
				same(t, "bytes to be read", server.Observe().RQueue, 2)
				server.Read(2)
				s.Wire.On("client.FIN").Times(1).Hold(s.Server.Returned("neighbours"))
				client.Close()
				s.Await(s.Wire.Seen("client.FIN"))
				orphan := client.Observe()
				same(t, "orphan", []any{orphan.State, orphan.Kind, orphan.Orphan, orphan.Shutdown}, []any{tcp.FinWait1, "full", true, "both"})
				s.Server.ResolveNeighbours(false)
				s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
				mini := client.Observe()
				same(t, "mini-socket", []any{mini.State, mini.Kind, mini.Orphan}, []any{tcp.FinWait2, "time-wait", true})
				server.Close()
				s.Await(server.Gone())
				same(t, "after the close", client.State(), tcp.TimeWait)
			},
		},
		{
			name: "an unknown event ends the play",
			play: func(t *testing.T, s *Stage) {
				client, _ := s.Established()
				client.Poll("EVERYTHING", 0)
			},
			verdict: record.Error,
		},
	})
}
