// An issuer of OpenID Connect for the browser tests of the pages, on a free port of this
// machine. Its client is `signoff` with the secret `secret`, and one says who one is by a
// click: ana is an operator, vera a viewer, and nick is in no group.
//
//	go run .ci/pages/issuer/main.go
//
// It prints its URL in a line of its own, and runs until it is stopped.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"signoff/closer/console/oidctest"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	issuer := oidctest.New("signoff", "secret",
		oidctest.Person{Subject: "ana", Email: "ana@example.com", Name: "Ana", Groups: []string{"everybody", "operators"}},
		oidctest.Person{Subject: "vera", Email: "vera@example.com", Name: "Vera", Groups: []string{"everybody", "viewers"}},
		oidctest.Person{Subject: "nick", Email: "nick@example.com", Name: "Nick"})
	issuer.Asks = true
	issuer.URL = "http://" + listener.Addr().String()
	fmt.Println(issuer.URL)
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}
