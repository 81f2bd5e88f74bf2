package webhook

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection that nothing more comes by is closed, and its room is free again.
func TestIdleConnectionIsClosed(t *testing.T) {
	f := newFixture(t)
	srv, err := f.httpServer()
	if err != nil {
		t.Fatal(err)
	}
	if srv.IdleTimeout != idleTimeout || srv.ReadHeaderTimeout != readHeaderTimeout || srv.ReadTimeout != readTimeout || srv.WriteTimeout != writeTimeout {
		t.Errorf("the server waits for %v, %v, %v and %v", srv.IdleTimeout, srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout)
	}
	srv.IdleTimeout = 10 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(f.open.limit(t.Context(), l)) }()
	defer srv.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	answer, err := http.ReadResponse(from, nil)
	if err != nil || answer.Close {
		t.Fatalf("answered %+v, %v; it should stay open", answer, err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := from.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
	for !f.open.room.TryAcquire(maxConnections - 1) { // the listener waits with one
		time.Sleep(time.Millisecond)
	}
}
