// Asks the server and prints its answer.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	conn, err := net.DialTimeout("tcp", "server:8080", 1600*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(1600 * time.Millisecond))
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		log.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		// The server has said all.
	case err != nil:
		log.Fatal(err)
	case !bytes.HasSuffix(answer, []byte("end\n")):
		log.Fatal("the answer was cut short")
	}
	os.Stdout.Write(answer)
}
