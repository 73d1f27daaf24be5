//go:build ignore

// Client sends one request after another by net/http, as most Go programs do.
// It prints METHOD STATUS for each answer, and exits with 1 if one failed.
//
//	go build -o client client.go
//	./client POST http://server:8080/ POST http://server:8080/
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

var (
	gap     = flag.Duration("gap", 0, "wait so long between two requests")
	body    = flag.Int("body", 0, "send so many bytes with each request")
	key     = flag.Bool("key", false, "send an Idempotency-Key, another with each request")
	last    = flag.Bool("close", false, "ask the server to close the connection")
	timeout = flag.Duration("timeout", 0, "http.Client.Timeout")
	output  = flag.String("o", "", "write the answer to this file")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	client := &http.Client{Timeout: *timeout}
	status := 0
	for i := 0; i+1 < flag.NArg(); i += 2 {
		if i > 0 {
			time.Sleep(*gap) // as a user between two clicks: the connection is idle
		}
		method := flag.Arg(i)
		if err := send(client, method, flag.Arg(i+1), i/2+1); err != nil {
			log.Printf("%s: %v", method, err)
			status = 1
		}
	}
	os.Exit(status)
}

func send(client *http.Client, method, url string, n int) error {
	request, err := http.NewRequest(method, url, bytes.NewReader(make([]byte, *body)))
	if err != nil {
		return err
	}
	request.Close = *last
	if *key {
		request.Header.Set("Idempotency-Key", strconv.Itoa(n))
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	to := io.Discard
	if *output != "" {
		file, err := os.Create(*output)
		if err != nil {
			return err
		}
		defer file.Close()
		to = file
	}
	if _, err := io.Copy(to, answer.Body); err != nil {
		return err
	}
	fmt.Println(method, answer.StatusCode)
	return nil
}
