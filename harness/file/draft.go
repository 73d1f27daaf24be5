package file

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Draft is a scenario of one client and one server, before it is a file.
type Draft struct {
	Name, Summary  string
	Server, Client []string
	// Listen is the port on which the server is ready, or Log a regular expression
	// for a line that it writes; neither means any port.
	Listen int
	Log    string
	Rules  []inject.Rule
	// Exit is the exit status that the client must have, as 0 or not 0; empty
	// expects nothing.
	Exit string
	// Sysctls are settings by key, as the file has them, in their order.
	Sysctls [][2]string
}

// Text is the draft as a scenario file.
func (d *Draft) Text() string {
	var b strings.Builder
	line := func(indent int, format string, args ...any) {
		b.WriteString(strings.Repeat("  ", indent))
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line(0, "# yaml-language-server: $schema=lastack.schema.json")
	line(0, "lastack: 1")
	line(0, "name: %s", yamlText(d.Name))
	line(0, "summary: %s", yamlText(d.Summary))
	line(0, "")
	line(0, "hosts:")
	line(1, "server:")
	line(2, "run: %s", yamlList(d.Server))
	switch {
	case d.Listen > 0:
		line(2, "ready: { listen: %d }", d.Listen)
	case d.Log != "":
		line(2, "ready: { log: %s }", yamlText(d.Log))
	}
	line(1, "client:")
	line(2, "run: %s", yamlList(d.Client))
	line(2, "after: [server]")
	if len(d.Rules) > 0 {
		line(0, "")
		line(0, "rules:")
	}
	for _, r := range d.Rules {
		line(1, "- match: %s", yamlText(r.Match.String()))
		line(2, "%s: %s", r.Action.Verb, actionText(&r.Action))
		switch {
		case r.Always:
			line(2, "times: always")
		case r.Times > 1:
			line(2, "times: %d", r.Times)
		}
	}
	if d.Exit != "" {
		line(0, "")
		line(0, "expect:")
		line(1, "client:")
		line(2, "exit: %s", d.Exit)
	}
	if len(d.Sysctls) > 0 {
		line(0, "")
		line(0, "sysctls:")
		for _, s := range d.Sysctls {
			line(1, "%s: %s", yamlText(s[0]), yamlText(s[1]))
		}
	}
	return b.String()
}

// actionText is what stands behind an action's key.
func actionText(a *inject.Action) string {
	var pairs []string
	add := func(key, value string) { pairs = append(pairs, key+": "+value) }
	switch a.Verb {
	case inject.Drop:
		return "true"
	case inject.Delay:
		return a.For.String()
	case inject.Hold:
		add("until", yamlText(a.Until.String()))
		if a.AtMost > 0 {
			add("at_most", a.AtMost.String())
		}
		if a.Reversed {
			add("reversed", "true")
		}
	case inject.Duplicate:
		if a.For == 0 {
			return fmt.Sprint(max(a.Copies, 1))
		}
		add("copies", fmt.Sprint(max(a.Copies, 1)))
		add("after", a.For.String())
	case inject.Rewrite:
		edit := a.Edit
		payload := edit.Payload
		edit.Payload = nil
		if text := edit.String(); text != "" {
			for _, item := range strings.Split(text, ", ") {
				key, value, _ := strings.Cut(item, "=")
				if sign := key[len(key)-1]; sign == '+' || sign == '-' {
					key, value = key[:len(key)-1], string(sign)+"= "+value
				}
				add(key, yamlText(value))
			}
		}
		if payload != nil {
			add("payload", yamlText(*payload))
		}
	case inject.Forge:
		for i, item := range strings.Split(a.Forgery.String(), ", ") {
			key, value, _ := strings.Cut(item, "=")
			reason, isICMP := strings.CutPrefix(item, "icmp ")
			switch {
			case i == 0:
				add("place", item)
			case i == 1 && isICMP:
				add("icmp", yamlText(reason))
			case i == 1:
				add("flags", yamlText(item))
			case item == "ends":
				add("ends", "true")
			default:
				add(key, yamlText(value))
			}
		}
	case inject.Cut:
		then := "fin"
		if a.Then.Has(tcp.RST) {
			then = "rst"
		}
		add("keep", fmt.Sprint(a.Keep))
		add("then", then)
	case inject.Silence:
		if a.To == "" {
			return "both"
		}
		return yamlText(a.To)
	case inject.Forget:
		if a.Answer {
			return "rst"
		}
		return "silently"
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}

func yamlList(words []string) string {
	var items []string
	for _, w := range words {
		items = append(items, yamlText(w))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// bare is text that is text without quotes wherever it stands.
var bare = regexp.MustCompile(`^-?-?[A-Za-z./_][A-Za-z0-9./_@()#=+:-]*( [A-Za-z0-9./_@()-]+)*$`)

// spoken are words that YAML takes for something else, or once did.
var spoken = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null|y|n|\.nan|\.inf|e[0-9]+|\.[0-9_e.]+)$`)

// yamlText writes text so that it is read back as that text.
func yamlText(text string) string {
	if bare.MatchString(text) && !spoken.MatchString(text) && !strings.HasSuffix(text, ":") && !strings.Contains(text, ": ") {
		return text
	}
	text = strings.ReplaceAll(text, "${", "$${")
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err) // text is always encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
