package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// ScenarioFile writes the one cell of a configuration as a scenario file. It plays
// the pair without a fault, to know the point.
func ScenarioFile(ctx context.Context, c Config) (string, error) {
	w, err := begin(ctx, &c)
	if err != nil {
		return "", err
	}
	if c.Pool == nil {
		defer w.pool.Close()
	}
	list, _, err := w.config.pick(w.points, c.UnderTest)
	switch {
	case err != nil:
		return "", fmt.Errorf("check: %w", err)
	case len(list) != 1:
		return "", errors.New("check: a scenario file is of one cell")
	}
	return w.scenario(&list[0])
}

// faultRule is what acts of the file call the rule.
const faultRule = "the fault"

// scenario is the text of the file.
func (w *sweep) scenario(cell *Cell) (string, error) {
	c := w.config
	rule, err := inject.ParseRule(cell.rule())
	if err != nil {
		return "", fmt.Errorf("check: write scenario: %w", err)
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# yaml-language-server: $schema=lastack.schema.json")
	line("lastack: 1")
	line("name: %s", slug(cell.Name()))
	line("summary: %s", text(fmt.Sprintf("At %s, %s.", cell.Point.Name, cell.Fault.Says)))
	if c.IP == 6 {
		line("ip: 6")
	}
	line("")
	line("hosts:")
	ready := ""
	switch {
	case c.Ready != nil:
		ready = fmt.Sprintf(", ready: { log: %s }", text(c.Ready.String()))
	case c.Port != 0:
		ready = fmt.Sprintf(", ready: { listen: %d }", c.Port)
	}
	line("  server: { run: %s%s }", list(c.Server), ready)
	line("  client: { run: %s, after: [server] }", list(c.Client))
	line("")
	line("rules:")
	line("  - name: %s", faultRule)
	line("    match: %s", text(rule.Match.String()))
	line("    %s", action(rule.Action))
	if rule.Always {
		line("    times: always")
	}
	if acts := cell.deeds(); len(acts) > 0 {
		line("")
		line("at:")
		for _, act := range acts {
			line("  - %s", act)
		}
	}
	line("")
	line("expect:")
	within := (w.patience + time.Second - 1).Truncate(time.Second)
	if cell.Fault.Repairable {
		line("  client: { exit: 0, within: %v }", within)
	} else {
		line("  client: { within: %v }", within)
	}
	return b.String(), nil
}

// action is the action of a rule as the file has it.
func action(a inject.Action) string {
	switch a.Verb {
	case inject.Drop:
		return "drop: true"
	case inject.Hold:
		return fmt.Sprintf("hold: { until: %s }", text(a.Until.String()))
	case inject.Duplicate:
		return fmt.Sprintf("duplicate: { copies: %d, after: %v }", max(a.Copies, 1), a.For)
	case inject.Cut:
		then := "fin"
		if a.Then.Has(tcp.RST) {
			then = "rst"
		}
		return fmt.Sprintf("cut: { keep: %d, then: %s }", a.Keep, then)
	case inject.Silence:
		if a.To == "" {
			return "silence: both"
		}
		return "silence: " + a.To
	}
	f := a.Forgery
	list := []string{"place: " + string(f.Place)}
	if f.ICMP != "" {
		list = append(list, "icmp: "+string(f.ICMP))
	} else {
		list = append(list, "flags: "+text(f.Flags.String()))
	}
	if f.To != "" {
		list = append(list, "to: "+f.To)
	}
	if f.Ack != nil {
		list = append(list, "ack: "+f.Ack.String())
	}
	if f.Ends {
		list = append(list, "ends: true")
	}
	return "forge: { " + strings.Join(list, ", ") + " }"
}

// deeds are the acts of a fault of a host.
func (c *Cell) deeds() []string {
	if !c.Fault.Host {
		return nil
	}
	act := func(when, do string) string {
		return fmt.Sprintf("{ when: %s, do: %s, host: %s }", when, do, c.Strikes)
	}
	fired := "fired " + faultRule
	switch c.Fault.Name {
	case "poweroff":
		return []string{act(fired, "power-off")}
	case "reboot":
		return []string{act(fired, "power-off"), act("returned "+c.Strikes+" power-off", "boot")}
	case "stop":
		return []string{act(fired, "stop"), act("after "+stopped.String(), "continue")}
	}
	return []string{act(fired, c.Fault.Name)}
}

// text is a scalar that is read back as it is: JSON's strings are YAML's.
func text(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		return `""` // a string can always be written
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(data))
}

func list(words []string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, text(w))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// slug makes a scenario's name of a cell's.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-") && b.Len() > 0:
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}
