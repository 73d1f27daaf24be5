// Looks up what clients ask for, and hears meanwhile whether they are still there.
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
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2500 * time.Millisecond))
	answers := make(chan string)
	questions := bufio.NewScanner(conn)
	if !questions.Scan() {
		return
	}
	question := questions.Text()
	go func() {
		time.Sleep(50 * time.Millisecond) // it is looked up
		answers <- fmt.Sprintf("%s is 42\nend\n", question)
	}()
	gone := make(chan bool, 1)
	go func() {
		questions.Scan()
		gone <- true
	}()
	select {
	case answer := <-answers:
		fmt.Fprint(conn, answer)
	case <-gone:
		go func() { <-answers }()
	}
}
