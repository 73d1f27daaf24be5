// Package tcp is one segment and the words of RFC 9293: sequence numbers,
// flags, states, and a Segment that keeps the bytes it was read from.
//
// It parses Ethernet frames that carry TCP, or an ICMP error that quotes TCP,
// over IPv4 and IPv6, and crafts new ones. It holds no state of a connection:
// that is package flow.
package tcp
