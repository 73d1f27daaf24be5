// Downloads a file and prints it.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

var client = &http.Client{Timeout: 1600 * time.Millisecond}

func main() {
	log.SetFlags(0)
	resp, err := client.Get("http://server:8080/file")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		log.Fatal(fmt.Errorf("the server says %s", resp.Status))
	}
	os.Stdout.Write(body)
}
