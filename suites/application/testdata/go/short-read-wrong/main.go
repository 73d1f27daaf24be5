// Takes messages of four bytes of length and so many of text.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"time"
)

func main() {
	ln, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			log.Print(err)
			continue
		}
		go handle(conn)
	}
}

func handle(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(1700 * time.Millisecond))
	head, _ := io.ReadAll(io.LimitReader(conn, 4))
	text := make([]byte, binary.BigEndian.Uint32(head)%1024)
	if _, err := io.ReadFull(conn, text); err != nil {
		log.Print(err)
		return
	}
	fmt.Fprintf(conn, "got %d bytes\nend\n", len(text))
}
