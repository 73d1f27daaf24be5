package shell_test

import (
	"testing"

	"github.com/lastack/lastack/internal/shell"
)

func TestJoin(t *testing.T) {
	argv := []string{"lastack", "run", "close/linger-zero-in{state=FIN_WAIT_1}", "", "it's", "--set", "server:net.ipv4.tcp_rmem=1 2 3", "a,b+c@d%e"}
	const want = `lastack run 'close/linger-zero-in{state=FIN_WAIT_1}' '' 'it'\''s' --set 'server:net.ipv4.tcp_rmem=1 2 3' a,b+c@d%e`
	if got := shell.Join(argv); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
