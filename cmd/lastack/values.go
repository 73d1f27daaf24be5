package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/internal/shell"
)

// count is the value of a flag that takes a number from 1 on. The zero value
// is the flag that was not given.
type count struct {
	n    int
	most int
}

// String is the number, or "" where none was given.
func (c *count) String() string {
	if c.n == 0 {
		return ""
	}
	return strconv.Itoa(c.n)
}

// Set takes the number from the command line.
func (c *count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > c.most {
		return fmt.Errorf("it takes a number from 1 to %d", c.most)
	}
	c.n = n
	return nil
}

// Type is what help calls the value.
func (c *count) Type() string { return "N" }

// pathValue is the value of a flag that names a file or a directory. An empty
// one is refused: it is a variable of a script that was not set.
type pathValue string

// String is the path.
func (p *pathValue) String() string { return string(*p) }

// Set takes the path from the command line.
func (p *pathValue) Set(text string) error {
	if text == "" {
		return errors.New("the name is empty")
	}
	*p = pathValue(text)
	return nil
}

// Type is what help calls the value.
func (p *pathValue) Type() string { return "PATH" }

// word is the value of a flag that is a name.
type word string

// String is the word.
func (w *word) String() string { return string(*w) }

// Set takes the word from the command line.
func (w *word) Set(text string) error {
	if text == "" {
		return errors.New("the name is empty")
	}
	*w = word(text)
	return nil
}

// Type is what help calls the value.
func (w *word) Type() string { return "V" }

// programs are commands by host, and the value of --host, which may be given
// again and again.
type programs map[string][]string

// String is "": no program is replaced unless asked for.
func (p programs) String() string { return "" }

// Set takes HOST=CMD from the command line.
func (p programs) Set(text string) error {
	host, command, ok := strings.Cut(text, "=")
	if !ok || host == "" {
		return errors.New("it is written HOST=CMD, as in proxy=./my-proxy")
	}
	return p.set(host, command)
}

func (p programs) set(host, command string) error {
	words, err := file.Words(command)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "read command: "))
	}
	if _, twice := p[host]; twice {
		return fmt.Errorf("%s has a command already", host)
	}
	p[host] = words
	return nil
}

// Type is what help calls the value.
func (p programs) Type() string { return "HOST=CMD" }

// flag is the flag that sets the program of a host.
func (p programs) flag(host string) string {
	if host == hosts[0] || host == hosts[1] {
		return "--" + host
	}
	return "--host " + host
}

// words are the flags and their values.
func (p programs) words() (words []string) {
	for _, host := range slices.Sorted(maps.Keys(p)) {
		command := shell.Join(p[host])
		if host == hosts[0] || host == hosts[1] {
			words = append(words, "--"+host, command)
		} else {
			words = append(words, "--host", host+"="+command)
		}
	}
	return words
}

// of is the flag that sets the program of one host.
func (p programs) of(host string) *program { return &program{p, host} }

// program is the value of --client and --server.
type program struct {
	all  programs
	host string
}

// String is "".
func (p *program) String() string { return "" }

// Set takes the command from the command line.
func (p *program) Set(text string) error { return p.all.set(p.host, text) }

// Type is what help calls the value.
func (p *program) Type() string { return "CMD" }

// families is the value of --ip: the address families to be played.
type families []int

// String is the value as it is typed.
func (f *families) String() string {
	switch {
	case len(*f) == 2:
		return "both"
	case len(*f) == 1:
		return strconv.Itoa((*f)[0])
	}
	return ""
}

// Set takes the value from the command line.
func (f *families) Set(text string) error {
	switch text {
	case "4":
		*f = families{4}
	case "6":
		*f = families{6}
	case "both":
		*f = families{4, 6}
	default:
		return errors.New("it is one of 4, 6, both")
	}
	return nil
}

// Type is what help calls the value.
func (f *families) Type() string { return "4|6|both" }

// oneFamily is the value of --ip where a verb plays one.
type oneFamily struct{ families }

// Type is what help calls the value.
func (f *oneFamily) Type() string { return "4|6" }

// settings is the value of --set, which may be given again and again.
type settings []harness.Sysctl

// String is "": nothing is set unless asked for.
func (s *settings) String() string { return "" }

// Set takes one more setting from the command line.
func (s *settings) Set(text string) error {
	set, err := parseSetting(text)
	if err != nil {
		return err
	}
	*s = append(*s, set)
	return nil
}

// Type is what help calls the value.
func (s *settings) Type() string { return "[HOST:]KEY=V" }

// hosts are those of every lab that is made here.
var hosts = []string{"client", "server"}

// parseSetting reads [HOST:]net.ipv4.KEY=V. Whether the kernel has such a key,
// and takes the value, only a lab can tell.
func parseSetting(text string) (harness.Sysctl, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return harness.Sysctl{}, errors.New("it is written [HOST:]net.ipv4.KEY=VALUE, and the = is missing")
	}
	host, key, ok := strings.Cut(name, ":")
	if !ok {
		host, key = "", name
	}
	set := harness.Sysctl{Host: host, Key: key, Value: value}
	switch {
	case ok && host != hosts[0] && host != hosts[1]:
		return set, fmt.Errorf("there is no host %q; the hosts are %s", host, strings.Join(hosts, " and "))
	case key == "net" || !strings.HasPrefix(key, "net."):
		return set, fmt.Errorf("%q is no setting of a host: only those under net. are, as net.ipv4.tcp_fin_timeout", key)
	case !keyWritten(key):
		return set, fmt.Errorf("%q is no key: it is names between single dots, as net.ipv4.tcp_fin_timeout", key)
	case strings.TrimSpace(value) == "":
		return set, fmt.Errorf("it gives %s no value", key)
	}
	return set, nil
}

// keyWritten reports whether a key is names between single dots.
func keyWritten(key string) bool {
	for name := range strings.SplitSeq(key, ".") {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return true
}
