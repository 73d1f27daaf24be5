// Streams news to its clients until they have had enough; a client says "more" for each.
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
		go handle(conn)
	}
}

func handle(conn net.Conn) {
	news := make(chan string)
	go func() {
		defer conn.Close()
		for item := range news {
			fmt.Fprint(conn, item)
		}
	}()
	defer close(news)
	lines := bufio.NewScanner(conn)
	conn.SetReadDeadline(time.Now().Add(1700 * time.Millisecond))
	for lines.Scan() {
		news <- "news\n"
		if lines.Text() == "last" {
			news <- "end\n"
			break
		}
	}
	if err := lines.Err(); err != nil {
		log.Print(err)
		return
	}
}
