//go:build ignore

// Server answers by net/http, and leaves the body of a POST unread.
//
//	go build -o server server.go
//	./server -status 413
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
)

func main() {
	status := flag.Int("status", 200, "answer a POST with this status")
	size := flag.Int("size", 0, "and with so many bytes")
	flag.Parse()
	http.HandleFunc("GET /", func(http.ResponseWriter, *http.Request) { fmt.Println("GET done") })
	http.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) {
		if *status < 400 {
			fmt.Println("POST done")
		} else {
			fmt.Println("POST refused")
		}
		w.WriteHeader(*status)
		w.Write(make([]byte, *size))
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
