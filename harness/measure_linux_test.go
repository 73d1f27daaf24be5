package harness

import (
	"testing"

	"github.com/lastack/lastack/harness/record"
)

// What is counted from the end of a turn is known only from a play without the
// faults, which the harness plays first by itself.
func TestBytesFromTheEnd(t *testing.T) {
	exchange := func(s *Stage, arm func()) {
		client, server := s.Established()
		client.Write("request")
		server.Read(64)
		arm()
		server.Write("response")
		client.Read(64)
	}
	showEffects(t, []effect{
		{
			name: "all but the last byte",
			play: func(t *testing.T, s *Stage) {
				var cut *Rule
				exchange(s, func() { cut = s.Wire.On("server.DATA@1").Cut(-1, ThenFIN) })
				s.Await(cut.Fired())
				s.Client.Peer().Read(64)
			},
			calls: map[string][]string{"client read": {"7", "0"}},
		},
		{
			name: "the segment with the last byte",
			play: func(t *testing.T, s *Stage) {
				exchange(s, func() { s.Wire.On("server.DATA@1[-1]#1").Drop() })
				s.Await(s.Wire.Delivered("client.ACK(server.DATA@1[-1])"))
			},
			calls: map[string][]string{"client read": {"8"}},
			lost:  map[string]int{"server.DATA@1": 1},
		},
	})
}

func TestNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		need Need
		want record.Verdict
	}{
		"a kernel of tomorrow": {Need{Linux: "99.1"}, record.Skip},
		"a kernel of old":      {Need{Linux: "3.0"}, record.Pass},
		"an unknown sysctl":    {Need{Sysctl: "net.ipv4.tcp_no_such_thing"}, record.Skip},
		"a known sysctl":       {Need{Sysctl: "net.ipv4.tcp_fin_timeout"}, record.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Play(t.Context(), Scenario{Name: "test/needs", Needs: []Need{test.need}, Play: func(*Stage) {}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != test.want {
				t.Errorf("verdict %s: %s; want %s", r.Verdict, r.Why, test.want)
			}
		})
	}
}

// The hosts keep their offloads, and a record still has one segment a row.
func TestSuperframesAreCutForARecord(t *testing.T) {
	for _, ip := range []int{4, 6} {
		sc := Scenario{Name: "test/super", Play: func(s *Stage) {
			client, server := s.Established()
			lost := s.Wire.On("client.DATA[20000]").Drop()
			reading := server.BeginReadAll()
			client.WriteBulk(200_000)
			s.Await(lost.Fired())
			client.Close()
			reading.Wait()
		}}
		r, err := Play(t.Context(), sc, Options{IP: ip, Wire: Super})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != record.Pass {
			t.Fatalf("IPv%d: verdict %s: %s", ip, r.Verdict, r.Why)
		}
		for _, s := range r.Segments {
			if s.Len > 1448 {
				t.Errorf("IPv%d: a row of %d bytes", ip, s.Len)
			}
		}
		for _, c := range r.Counters {
			if c.Name == "Tcp.InErrs" || c.Name == "Tcp.InCsumErrors" {
				t.Errorf("IPv%d: %s of %s moved by %d", ip, c.Name, c.Host, c.Delta)
			}
		}
	}
}
