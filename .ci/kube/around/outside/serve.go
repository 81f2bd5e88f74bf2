package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// serveCommand is a Kafka broker at port 9092 and Docusign at port 8443, until it
// is told to stop.
func serveCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	address := flags.String("address", "127.0.0.1", "`IP` to listen on")
	docusign := flags.String("docusign", "http://127.0.0.1:8081", "`URL` of the simulated Docusign")
	cert := flags.String("cert", "", "`FILE` with the certificate")
	key := flags.String("key", "", "`FILE` with its key")
	closed := flags.String("closed", "", "`FILE` that is told whom closes name")
	if err := parse(flags, args); err != nil {
		return err
	}
	listen := func(network, at string) (net.Listener, error) {
		return new(net.ListenConfig).Listen(ctx, network, strings.Replace(at, "127.0.0.1", *address, 1))
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(listen), kfake.SeedTopics(3, topic))
	if err != nil {
		return err
	}
	defer broker.Close()

	target, err := url.Parse(*docusign)
	if err != nil {
		return err
	}
	to, err := noteTo(*closed)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: net.JoinHostPort(*address, "8443"), Handler: watched(target, to), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Println("Kafka and Docusign are served at", *address)
	if err := server.ListenAndServeTLS(*cert, *key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// watched hands requests on to Docusign, and notes whom a close names. What has come
// here is carried out, whatever becomes of the one who asked: so each line is a close
// that was done.
func watched(target *url.URL, to notes) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which the assertion of a sign-in names
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/users") {
			body, err := io.ReadAll(r.Body)
			if err != nil { // cut off on its way: it never reached Docusign
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if err := noteCloses(body, to); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	})
}

func noteCloses(body []byte, to notes) error {
	var asked struct {
		Users []struct {
			UserID string `json:"userId"`
		} `json:"users"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	for _, user := range asked.Users {
		if err := to.add(user.UserID); err != nil {
			return err
		}
	}
	return nil
}
