// Package expect is Gomega matchers over a record, and little else: a claim is
// written with them, and with plain Gomega for what they do not know.
//
//	g.Expect(r.Segments).To(Segments("server.FIN", "server.FIN#2"))
//	g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
//	g.Expect(r).To(Failed("client", "write", "EPIPE"))
//
// Segments are asked for by name, in the grammar of matches: client.FIN is any
// copy of the client's FIN on connection 1, client.FIN#2 the second. A name
// that does not parse, and a host that the run does not have, is an error of
// the matcher, under To and NotTo alike; so a typo never makes a claim hold.
//
// The matchers take a *record.Run; those of segments also take a
// []record.Segment, of which hosts are not known and not checked.
package expect
