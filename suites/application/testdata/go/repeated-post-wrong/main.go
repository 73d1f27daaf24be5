// Posts an order and prints the answer.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = &http.Client{Timeout: 1600 * time.Millisecond}

func post() (*http.Response, error) {
	return client.Post("http://server:8080/orders", "text/plain", strings.NewReader("one pizza\n"))
}

func main() {
	log.SetFlags(0)
	resp, err := post()
	if err != nil {
		resp, err = post() // the network is not reliable
	}
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(body)
}
