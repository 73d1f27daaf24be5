package peer_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/harness/internal/peer"
)

func TestCheck(t *testing.T) {
	for want, call := range map[string]peer.Call{
		"no such call":                         {},
		"family 0 is neither":                  peer.Socket(0),
		"no address":                           peer.Connect(8, netip.AddrPort{}),
		"-1 bytes are not between":             peer.Read(8, -1),
		"offset -1 is negative":                peer.WritePattern(8, -1, 1),
		"-2 bytes are negative":                peer.BulkRead(8, -2),
		"-1 bytes are negative":                peer.BulkWrite(8, -1),
		"option \"SO_BROADCAST\" is not known": peer.Setsockopt(8, "SO_BROADCAST", 1),
		"option SO_ERROR can only be read":     peer.Setsockopt(8, peer.SOError, 1),
		"refers to call 1":                     peer.Close(peer.Ref(1)),
		"refers to call 2":                     peer.Poll(0, peer.PollFD{FD: peer.Ref(2)}),
	} {
		if err := peer.Seq(call).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", call, err, want)
		}
	}
	if peer.Seq().Check() == nil {
		t.Error("an empty sequence was taken")
	}
	if err := peer.Seq(peer.Socket(peer.IPv4), peer.Close(peer.Ref(0)), peer.Close(-1)).Check(); err != nil {
		t.Error(err)
	}
}

func TestResultText(t *testing.T) {
	for want, r := range map[string]peer.Result{
		"read(8, 1) = -1 ECONNRESET":                       {Text: "read(8, 1)", N: -1, Errno: "ECONNRESET"},
		"write(8, 3) = -1 EPIPE (SIGPIPE)":                 {Text: "write(8, 3)", N: -1, Errno: "EPIPE", Signal: peer.SIGPIPE},
		"bulk-read(8, all) = 4096 bytes, 0":                {Text: "bulk-read(8, all)", Total: 4096, Calls: 3},
		"close(8) = 0":                                     {Text: "close(8)"},
		"bulk-write(8, 9) = 5 bytes, -1 EPIPE (SIGPIPE)":   {Text: "bulk-write(8, 9)", N: -1, Total: 5, Calls: 2, Errno: "EPIPE", Signal: peer.SIGPIPE},
		"poll([{8, IN|OUT|ERR|HUP|RDHUP|0x40}], 1.5) = 11": {Text: "poll([{8, " + (peer.In | peer.Out | peer.Err | peer.Hup | peer.RdHup | 0x40).String() + "}], 1.5)", N: 11},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPlainDataReadsBackEqual(t *testing.T) {
	r := peer.Result{
		Name: "accept", Text: "accept(8)", N: 9, Errno: "EINTR", Signal: peer.SIGPIPE, Data: []byte{0, 255},
		Addr: netip.MustParseAddrPort("[2001:db8::1]:80"), Linger: peer.Linger{On: true, Seconds: 3},
		Info: &peer.TCPInfo{State: 1}, Poll: []peer.PollFD{{FD: 8, Events: peer.In, Returns: peer.Hup}},
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back peer.Result
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, back, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Error(d)
	}
}

func TestPatternIsOneStream(t *testing.T) {
	whole := peer.Pattern(0, 3000)
	for _, at := range []int64{0, 1, 250, 251, 252, 1000} {
		if d := cmp.Diff(whole[at:at+600], peer.Pattern(at, 600)); d != "" {
			t.Errorf("at %d: %s", at, d)
		}
	}
}
