// Asks two questions, over one connection if the server keeps it open.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"
)

// end is when the user has had enough.
var end = time.Now().Add(1700 * time.Millisecond)

// pool keeps the connection that was used last.
type pool struct{ idle net.Conn }

// get takes the idle connection where the server has not closed it, else a new one.
func (p *pool) get() (conn net.Conn, reused bool, err error) {
	if conn = p.idle; conn != nil {
		p.idle = nil
		if alive(conn) {
			return conn, true, nil
		}
		conn.Close()
	}
	conn, err = (&net.Dialer{Deadline: end}).Dial("tcp", "server:8080")
	return conn, false, err
}

// alive looks for an end of file, without waiting for it.
func alive(conn net.Conn) bool {
	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func (p *pool) ask(question string) (string, error) {
	conn, reused, err := p.get()
	if err != nil {
		return "", err
	}
	answer, err := p.exchange(conn, question)
	if err != nil && reused { // the server may have closed it meanwhile; a question may be asked again
		if conn, _, err = p.get(); err == nil {
			answer, err = p.exchange(conn, question)
		}
	}
	return answer, err
}

func (p *pool) exchange(conn net.Conn, question string) (string, error) {
	conn.SetDeadline(end)
	if _, err := fmt.Fprintln(conn, question); err != nil {
		return "", err
	}
	var answer strings.Builder
	for lines := bufio.NewReader(conn); !strings.HasSuffix(answer.String(), "end\n"); {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		answer.WriteString(line)
	}
	p.idle = conn
	return answer.String(), nil
}

func main() {
	log.SetFlags(0)
	var p pool
	for _, question := range []string{"one", "two"} {
		answer, err := p.ask(question)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(answer)
		time.Sleep(60 * time.Millisecond) // and think about it
	}
}
