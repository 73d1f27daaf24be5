// Package probe reads what a kernel says of its TCP sockets: their states,
// timers and queues (sock_diag), the sockets that it frees (destroy events),
// and the counters of a network namespace (/proc/net/snmp and netstat).
//
// It opens nothing. Every source is handed in as an open descriptor, which
// belongs to the namespace where it was opened and goes on answering for that
// namespace, whatever namespace the caller is in.
//
// A socket is asked for by its exact four-tuple. Where the kernel has no such
// connection it answers with the listener of the local port; such an answer is
// ErrNotFound here. A destroy event says only that a full socket was freed: a
// mini-socket in FIN_WAIT_2 or TIME_WAIT may live on under the same four-tuple,
// and its end has no event. For a moment in between, the orphan is a full socket in FIN_WAIT_2.
package probe
