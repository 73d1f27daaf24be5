package analyze

import (
	"fmt"
	"time"
)

// idleTimeout is a time after which something well known ends, or forgets, a
// connection on which nothing is said.
type idleTimeout struct {
	who    string
	after  time.Duration
	does   string // what it does then
	forget bool   // it tells nobody, and resets what comes later
	source string
}

// idleTimeouts are stock settings. That an idle time is the same proves
// nothing, so it is told as a coincidence.
var idleTimeouts = []idleTimeout{
	{"Node.js (server.keepAliveTimeout)", 5 * time.Second, "closes", false, "https://nodejs.org/api/http.html#serverkeepalivetimeout"},
	{"Apache httpd (KeepAliveTimeout)", 5 * time.Second, "closes", false, "https://httpd.apache.org/docs/2.4/mod/core.html#keepalivetimeout"},
	{"AWS Application Load Balancer", 60 * time.Second, "closes", false, "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html"},
	{"nginx (keepalive_timeout)", 75 * time.Second, "closes", false, "https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout"},
	{"Azure Load Balancer", 4 * time.Minute, "forgets", true, "https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset"},
	{"AWS Network Load Balancer", 350 * time.Second, "forgets", true, "https://aws.amazon.com/about-aws/whats-new/2024/09/aws-network-load-balancer-tcp-idle-timeout"},
	{"AWS NAT gateway", 350 * time.Second, "forgets", true, "https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html"},
	{"Google Cloud VPC firewall", 10 * time.Minute, "forgets", true, "https://cloud.google.com/compute/docs/troubleshooting"},
	{"Envoy (TCP proxy idle_timeout)", time.Hour, "closes", false, "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts"},
}

// knownTimeouts names what is known for such an idle time: those that end a
// connection after exactly it; and where there is none and the end was that
// something was said and answered with a RST, those that forget it before.
func knownTimeouts(idle time.Duration, r *Connection) []string {
	var exact, before []string
	for i := range idleTimeouts {
		k := &idleTimeouts[i]
		switch {
		case idle >= k.after-50*time.Millisecond && idle <= k.after+k.after/50+500*time.Millisecond:
			exact = append(exact, k.text())
		case k.forget && r.Reset != nil && r.Reset.Why == UnknownConnection && idle >= k.after && idle <= 2*k.after:
			before = append(before, k.text())
		}
	}
	if exact != nil {
		return exact
	}
	return before
}

func (k *idleTimeout) text() string {
	return fmt.Sprintf("%s %s an idle connection after %s: %s", k.who, k.does, short(int64(k.after)), k.source)
}
