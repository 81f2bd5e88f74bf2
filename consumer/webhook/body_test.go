package webhook

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/semaphore"
)

func TestReadBody(t *testing.T) {
	const limit, room = 64 << 10, 256 << 10
	text := strings.Repeat("0123456789abcdef", limit/16)
	for name, c := range map[string]struct {
		body   io.Reader
		taken  int64 // of the room already
		want   int   // bytes
		status int   // 0: it is read
	}{
		"nothing":                      {strings.NewReader(""), 0, 0, 0},
		"a byte":                       {strings.NewReader(text[:1]), 0, 1, 0},
		"as much as there is at first": {strings.NewReader(text[:firstRoom]), 0, firstRoom, 0},
		"a byte more than that":        {strings.NewReader(text[:firstRoom+1]), 0, firstRoom + 1, 0},
		"up to the limit":              {strings.NewReader(text), 0, limit, 0},
		"a byte at a time":             {iotest.OneByteReader(strings.NewReader(text)), 0, limit, 0},
		"with the end in the last":     {iotest.DataErrReader(strings.NewReader(text)), 0, limit, 0},
		"one byte too many":            {io.MultiReader(strings.NewReader(text), strings.NewReader("x")), 0, 0, 413},
		"cut off":                      {io.MultiReader(strings.NewReader(text[:5000]), iotest.ErrReader(io.ErrUnexpectedEOF)), 0, 0, 400},
		"no room":                      {strings.NewReader(text[:1]), room, 0, 429},
		"room for a part":              {strings.NewReader(text), room - 8<<10, 0, 429},
		"room for all":                 {strings.NewReader(text[:8<<10-1]), room - 8<<10, 8<<10 - 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sem := semaphore.NewWeighted(room)
			if !sem.TryAcquire(c.taken) {
				t.Fatal("no room")
			}
			r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(c.body))
			r.ContentLength = -1
			body, done, no := readBody(httptest.NewRecorder(), r, limit, sem)
			if c.status != 0 {
				if no == nil || no.status != c.status || body != nil {
					t.Errorf("got %d bytes, %+v", len(body), no)
				}
			} else {
				if no != nil || string(body) != text[:c.want] {
					t.Fatalf("got %d bytes, %+v", len(body), no)
				}
				if free := room - c.taken - int64(cap(body)); sem.TryAcquire(free + 1) {
					t.Error("more room is left than the body leaves")
				}
				done()
			}
			if !sem.TryAcquire(room - c.taken) {
				t.Error("not all of the room came back")
			}
		})
	}
}

// Whoever sends slowly, without having to be allowed to, must not keep the others
// from being heard.
func TestSlowSendersTakeUpLittle(t *testing.T) {
	f := newSigned(t)
	addr, _ := f.run(t)
	for range 2 * maxInFlight / 4 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "POST /signed HTTP/1.1\r\nHost: x\r\nContent-Type: "+ceBatch+"\r\nContent-Length: 1000000\r\n"+
			"Webhook-Id: m\r\nWebhook-Timestamp: "+sign(inBase64Key, "m", "", "").Header.Get("Webhook-Timestamp")+"\r\nWebhook-Signature: "+stdSigned+"\r\n\r\n["); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for f.unproven.TryAcquire(maxBodies - 2*maxInFlight/4*firstRoom + 1) { // until all of them are being read
		f.unproven.Release(maxBodies - 2*maxInFlight/4*firstRoom + 1)
		if time.Now().After(deadline) {
			t.Fatal("they are not read")
		}
		time.Sleep(time.Millisecond)
	}
	for path, body := range map[string]string{"/open": leaver("1", jane), "/signed": leaver("2", jane)} {
		r := sign(inBase64Key, "n", ceJSON, body)
		r.URL.Path = path
		resp, err := http.DefaultClient.Do(outgoing(t, r, "http://"+addr+path, body))
		if err != nil || resp.StatusCode >= 300 {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
	}
}

func TestUnsignedBodiesLeaveRoomForOthers(t *testing.T) {
	f := newSigned(t)
	if !f.unproven.TryAcquire(maxBodies) {
		t.Fatal("no room")
	}
	if w := f.send(sign(inBase64Key, "m", ceJSON, leaver("1", jane))); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("signed: answered %d", w.Code)
	}
	if got := f.sendAs(token); got != http.StatusAccepted {
		t.Errorf("with a token: answered %d", got)
	}
	f.unproven.Release(maxBodies)
	if w := f.send(sign(inBase64Key, "m", ceJSON, leaver("1", jane))); w.Code != http.StatusAccepted {
		t.Errorf("signed, once there is room: answered %d", w.Code)
	}
	if !f.unproven.TryAcquire(maxBodies) {
		t.Error("not all of the room came back")
	}
}

// outgoing makes a request for a client of one for a handler.
func outgoing(t *testing.T, r *http.Request, url, body string) *http.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), r.Method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	out.Header = r.Header
	return out
}

func TestConnectionsAreBounded(t *testing.T) {
	f := newFixture(t)
	f.open = newConnections(2)
	addr, stop := f.run(t)
	get := func(conn net.Conn) error {
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "OPTIONS /open HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		n, err := conn.Read(make([]byte, 12))
		if n != 12 && err == nil {
			err = errors.New("half an answer")
		}
		return err
	}
	var open []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		open = append(open, conn)
	}
	for _, conn := range open[:2] {
		if err := get(conn); err != nil {
			t.Fatal(err)
		}
	}
	answered := make(chan error, 1)
	go func() { answered <- get(open[2]) }()
	if f.open.room.TryAcquire(1) {
		t.Error("there is room for more than two")
	}
	select {
	case err := <-answered:
		t.Fatalf("the third got through beside the others: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	open[0].Close()
	if err := <-answered; err != nil {
		t.Errorf("the third, once one is gone: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// Many senders look for the answer only once they have sent all.
func TestWhoSendsTooMuchReadsTheAnswer(t *testing.T) {
	addr, _ := newFixture(t).run(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /open HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "+ceJSON+"\r\nContent-Length: 1048576\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		time.Sleep(10 * time.Millisecond) // in which it could be hung up on
		if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d", resp.StatusCode)
	}
}
