// Refuses what is too large, by its first line.
package main

import (
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
		go handle(conn.(*net.TCPConn))
	}
}

func handle(conn *net.TCPConn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(1700 * time.Millisecond))
	head := make([]byte, 16)
	if _, err := io.ReadFull(conn, head); err != nil {
		log.Print(err)
		return
	}
	fmt.Fprint(conn, "413 too large\nend\n")
}
