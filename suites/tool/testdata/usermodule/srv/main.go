// The command srv answers every HTTP request with a body of two thousand bytes.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	port := flag.String("port", "8080", "where to listen")
	flag.Parse()
	body := strings.Repeat("0123456789", 200)
	err := http.ListenAndServe(net.JoinHostPort("", *port), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, body)
	}))
	fmt.Fprintln(os.Stderr, "srv:", err)
	os.Exit(1)
}
