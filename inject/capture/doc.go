// Package capture writes packets to pcapng files
// (draft-ietf-opsawg-pcapng), with what plain packet writers leave out: a
// comment and a direction for every packet.
//
// A file is readable up to the last packet at every moment, because each
// block goes out in one write; nothing waits for a Close.
package capture
