// Asks the server and prints its answer; where the connection breaks it asks again.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	ctx := context.Background()
	for ctx.Err() == nil {
		answer, err := ask(ctx)
		if err == nil {
			os.Stdout.Write(answer)
			return
		}
		log.Print(err)
		time.Sleep(50 * time.Millisecond) // the server may be starting
	}
	os.Exit(1)
}

func ask(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", "server:8080")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	conn.SetDeadline(end)
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && !bytes.HasSuffix(answer, []byte("end\n")) {
		err = errors.New("the answer was cut short")
	}
	return answer, err
}
