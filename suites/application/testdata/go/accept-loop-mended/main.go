// Answers lines, one client after another.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"time"
)

func main() {
	ln, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	for {
		conn, err := ln.Accept()
		if err == nil {
			err = serve(conn)
		}
		if err != nil {
			log.Print(err)
		}
	}
}

func serve(conn net.Conn) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(1300 * time.Millisecond))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read from %v: %w", conn.RemoteAddr(), err)
	}
	_, err = fmt.Fprintf(conn, "you said %send\n", line)
	return err
}
