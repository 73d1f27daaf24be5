// The command my-client fetches a page, and fails where it did not get the whole of it within a time.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := fetch(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "my-client:", err)
		os.Exit(1)
	}
}

func fetch(url, within string) error {
	limit, err := time.ParseDuration(within)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: limit}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		return err
	}
	fmt.Println(n, "bytes")
	return nil
}
