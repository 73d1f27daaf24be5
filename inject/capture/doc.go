// Package capture reads and writes the packets of capture files.
//
// A Writer writes pcapng (draft-ietf-opsawg-pcapng), with what plain packet
// writers leave out: a comment and a direction for every packet. A file is
// readable up to the last packet at every moment, because each block goes out
// in one write; nothing waits for a Close.
//
// A Reader reads pcapng and pcap, compressed by gzip or not, as fast as memory
// allows and without an allocation for a packet. A Decoder finds the TCP
// segment in a packet of any of the common link types.
package capture
