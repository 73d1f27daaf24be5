// Answers lines, a goroutine for each client.
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
	for {
		conn, err := ln.Accept()
		if err != nil {
			log.Print(err)
			continue
		}
		go handleConnection(conn)
	}
}

// open are the connections that are being served.
var open = make(chan net.Conn, 1024)

func handleConnection(conn net.Conn) {
	open <- conn
	conn.SetDeadline(time.Now().Add(1700 * time.Millisecond))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && err.Error() == "EOF" {
		return
	}
	if err == nil {
		fmt.Fprintf(conn, "you said %send\n", line)
	}
	<-open
	conn.Close()
}
