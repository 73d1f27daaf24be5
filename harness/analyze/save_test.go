package analyze

import (
	"testing"

	"github.com/lastack/lastack/harness/file"
)

// What is written reads back as a scenario file.
func TestReproductionsAreScenarioFiles(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"data-after-close-of-the-server", request + "s FIN\nc ACK\nc DATA 5\ns RST"},
		{"data-after-close-of-the-client", request + "c FIN\ns ACK\ns DATA 5\nc RST"},
		{"keepalive-timeout", request + "+60s c ASK\n+60s c ASK\n+60s c RST-ACK"},
		{"data-of-the-client-unanswered", request + "c DATA 5\n+200ms c DATA again\n+400ms c DATA again"},
		{"syn-unanswered", "c SYN\n+1s c SYN again"},
		{"", request + "s RST-ACK"},
		{"", request + "c FIN\ns FIN\nc ACK"},
		{"", request},
	} {
		text := analysed(t, tt.script)[0].Scenario()
		if tt.name == "" {
			if text != "" {
				t.Errorf("%s: its cause was not seen, and yet it gives\n%s", tt.script, text)
			}
			continue
		}
		list, err := file.Parse("saved.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v\n%s", tt.name, err, text)
			continue
		}
		if len(list) != 1 || list[0].Name != tt.name {
			t.Errorf("%d scenarios, want one named %s:\n%s", len(list), tt.name, text)
		}
	}
}
