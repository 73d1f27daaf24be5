// Keeps what clients put: "put N", to be answered with "go", and then N bytes.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	store []byte
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
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	r := bufio.NewReader(conn)
	var n int
	if _, err := fmt.Fscanf(r, "put %d\n", &n); err != nil || n < 0 || n > 1<<20 {
		return
	}
	fmt.Fprint(conn, "go\n")
	item := make([]byte, n)
	if _, err := io.ReadFull(r, item); err != nil {
		return
	}
	mu.Lock()
	store = item
	mu.Unlock()
	fmt.Fprint(conn, "end\n")
}
