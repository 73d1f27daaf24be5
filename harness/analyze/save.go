package analyze

import (
	"fmt"
	"strings"
)

// Scenario is a scenario file that makes a connection end as this one did,
// between stand-ins in place of the programs; see docs/scenario-files.md. It is
// empty where the capture does not show the cause, but lets it be inferred at
// best, or where no stand-in can do it.
func (c *Connection) Scenario() string {
	for i := range reproductions {
		if p := &reproductions[i]; p.fits(c) {
			return p.text()
		}
	}
	return ""
}

// Reproductions are all that Scenario can give, so that a test can play them.
func Reproductions() (texts []string) {
	for i := range reproductions {
		texts = append(texts, reproductions[i].text())
	}
	return texts
}

// reproduction makes one kind of end.
type reproduction struct {
	name, summary string
	fits          func(*Connection) bool
	body          string
}

func (p *reproduction) text() string {
	head := "# yaml-language-server: $schema=lastack.schema.json\nlastack: 1\nname: %s\nsummary: %s\n\n"
	return fmt.Sprintf(head, p.name, p.summary) + strings.TrimLeft(p.body, "\n")
}

func seenReset(c *Connection, by Who, why Why) bool {
	return c.Reset != nil && c.Reset.Confidence == Seen && c.Reset.By == by && c.Reset.Why == why
}

// repeatedBy reports whether all that was sent again is of one end, and is
// data.
func repeatedBy(c *Connection, w Who) bool {
	for _, r := range c.Repeats {
		if !strings.HasPrefix(r.Name, string(w)+".DATA") {
			return false
		}
	}
	return len(c.Repeats) > 0
}

var reproductions = []reproduction{
	{
		name: "data-after-close-of-the-server", summary: "The server closes while a request is on its way, and answers it with RST.",
		fits: func(c *Connection) bool { return seenReset(c, Server, DataAfterClose) },
		body: `
hosts:
  server:
    run: [builtin:http, --port, "8080", --idle, 200ms]
    ready: { listen: 8080 }
  client:
    run: [builtin:pool-client, --retry, none, --gap, 400ms, POST, "http://server:8080/", POST, "http://server:8080/"]
    after: [server]

# The FIN and the request pass each other, whichever comes to the wire first.
rules:
  - name: the FIN meets the request
    match: server.FIN
    hold: { until: client.DATA@2, at_most: 2s }
    times: always
  - name: the request meets the FIN
    match: client.DATA@2
    hold: { until: server.FIN, at_most: 2s }
    times: always
    required: false

expect:
  wire:
    - delivered: [client.DATA@2, server.RST]
`,
	},
	{
		name: "data-after-close-of-the-client", summary: "The client gives up and closes, and answers what the server still sends with RST.",
		fits: func(c *Connection) bool { return seenReset(c, Client, DataAfterClose) },
		body: `
hosts:
  server:
    run: [builtin:http, --port, "8080"]
    ready: { listen: 8080 }
  client:
    run: [builtin:pool-client, --timeout, 200ms, GET, "http://server:8080/"]
    after: [server]

rules:
  - name: the answer comes when the client has closed
    match: server.DATA@1
    hold: { until: delivered client.FIN, at_most: 5s }

expect:
  wire:
    - delivered: [client.FIN, server.DATA@1, client.RST]
`,
	},
	{
		name: "keepalive-timeout", summary: "The client's keep-alives have no answer, and its kernel gives the connection up with a RST.",
		fits: func(c *Connection) bool { return c.Ended == KeepaliveTimeout && seenReset(c, Client, Timeout) },
		body: `
hosts:
  server:
    run: [builtin:http, --port, "8080"]
    ready: { listen: 8080 }
  client:
    run: [builtin:pool-client, --keepalive, 1s, --gap, 8s, GET, "http://server:8080/", GET, "http://server:8080/"]
    after: [server]

rules:
  - name: nothing comes through
    match: client.KEEPALIVE
    drop: true
    times: always

expect:
  wire:
    - order: [client.KEEPALIVE, client.RST]
`,
	},
	{
		name: "data-of-the-client-unanswered", summary: "What the client sends is not answered, and its kernel repeats it until it gives up.",
		fits: func(c *Connection) bool {
			return c.Ended == Abandoned && c.Confidence == Seen && repeatedBy(c, Client)
		},
		body: `
hosts:
  server:
    run: [builtin:http, --port, "8080"]
    ready: { listen: 8080 }
  client:
    run: [builtin:pool-client, --retry, none, GET, "http://server:8080/"]
    after: [server]

rules:
  - name: nothing comes through
    match: client.DATA@1
    drop: true
    times: always

expect:
  wire:
    - count: { client.DATA@1: at least 3 }
  client:
    exit: not 0

sysctls:
  "client:net.ipv4.tcp_retries2": 3
`,
	},
	{
		name: "syn-unanswered", summary: "Nothing answers the SYN, and connect() gives up.",
		fits: func(c *Connection) bool { return c.Ended == Unanswered && c.Confidence == Seen },
		body: `
hosts:
  server:
    run: [builtin:http, --port, "8080"]
    ready: { listen: 8080 }
  client:
    run: [builtin:pool-client, --retry, none, GET, "http://server:8080/"]
    after: [server]

rules:
  - name: nothing comes through
    match: client.SYN
    drop: true
    times: always

expect:
  wire:
    - count: { client.SYN: at least 2 }
  client:
    exit: not 0

sysctls:
  "client:net.ipv4.tcp_syn_retries": 1
`,
	},
}
