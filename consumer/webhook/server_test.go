package webhook

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"signoff/consumer"
)

// run starts the server and returns its address, and a function that ends it
// and waits.
func (f fixture) run(t *testing.T) (addr string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	deadline := time.Now().Add(10 * time.Second)
	for f.Addr() == nil {
		if time.Now().After(deadline) {
			t.Fatal("does not listen")
		}
		time.Sleep(time.Millisecond)
	}
	return f.Addr().String(), stop
}

func TestSDKAsSender(t *testing.T) {
	f := newFixture(t)
	addr, _ := f.run(t)
	sender, err := client.NewHTTP(cehttp.WithTarget("http://"+addr+"/events"), cehttp.WithHeader("Authorization", "Bearer "+token))
	if err != nil {
		t.Fatal(err)
	}
	e := event.New()
	e.SetID("1")
	e.SetSource("/hris")
	e.SetType(consumer.TypeTerminated)
	e.SetSubject("E-1")
	if err := e.SetData("application/vnd.acme+json", []byte(jane)); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{
		binding.WithForceBinary(t.Context()), binding.WithForceStructured(t.Context()),
	} {
		var result *cehttp.Result
		if got := sender.Send(ctx, e); !protocol.IsACK(got) || !protocol.ResultAs(got, &result) || result.StatusCode != http.StatusAccepted {
			t.Fatalf("sent with %v", got)
		}
	}
	events, _ := f.rec.events()
	if len(events) != 2 || events[0].Key != events[1].Key || events[0].Hash != events[1].Hash || events[0].EmployeeID != "E-1" {
		t.Errorf("recorded %+v", events)
	}
	e.SetID("")
	if got := sender.Send(binding.WithForceStructured(t.Context()), e); protocol.IsACK(got) {
		t.Errorf("an event without id: %v", got)
	}
}

// roundTrip writes a request as it is, and returns the status and the body of
// the last answer.
func roundTrip(t *testing.T, addr string, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && !strings.Contains(request, "100-continue") {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestOnTheWire(t *testing.T) {
	f := newFixture(t)
	addr, _ := f.run(t)
	measured := func(head, body string) string {
		return head + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	const open = "POST /open HTTP/1.1\r\nHost: x\r\nContent-Type: " + ceJSON
	const attributes = "POST /open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nce-specversion: 1.0\r\nce-source: /hris\r\nce-type: " +
		consumer.TypeTerminated + "\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"recorded":                        {measured(open, leaver("1", jane)), 204},
		"in chunks":                       {open + "\r\nTransfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(int64(len(leaver("1", jane))), 16) + "\r\n" + leaver("1", jane) + "\r\n0\r\n\r\n", 204},
		"odd case":                        {measured(attributes+"cE-iD: 1", jane), 204},
		"the same header in another case": {measured(attributes+"ce-id: 1\r\nCE-ID: 2", jane), 400},
		"a raw Latin-1 header":            {measured(attributes+"ce-id: jos\xe9", jane), 400},
		"announced too large, not sent":   {open + "\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n\r\n", 413},
		"unauthorized, body not sent":     {"POST /events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n", 401},
		"too large, in chunks":            {open + "\r\nTransfer-Encoding: chunked\r\n\r\n40001\r\n" + strings.Repeat(" ", 0x40001), 413},
		"never a redirect":                {"POST //open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404},
		"headers too large":               {measured(attributes+"ce-id: 1\r\nx: "+strings.Repeat("x", 2*maxHeaders), jane), 431},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := roundTrip(t, addr, c.request); status != c.status {
				t.Errorf("answered %d %s", status, body)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) {
	f := newFixture(t)
	addr, _ := f.run(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	body := leaver("1", jane)
	for _, part := range []struct {
		send string
		want int
	}{
		{"POST /open HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: " + ceJSON + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n", 100},
		{body, 204},
	} {
		if _, err := io.WriteString(conn, part.send); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != part.want {
			t.Fatalf("got %v, %v, want %d", resp, err, part.want)
		}
		resp.Body.Close()
	}
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	f := newFixture(t)
	recording, release := make(chan struct{}), make(chan struct{})
	f.rec.during = func(context.Context) {
		close(recording)
		<-release
	}
	addr, stop := f.run(t)
	status := make(chan int, 1)
	go func() {
		resp, err := http.Post("http://"+addr+"/open", ceJSON, strings.NewReader(leaver("1", jane)))
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-recording
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until nobody new gets in
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		conn.Close()
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a request in flight: %v", err)
	default:
	}
	close(release)
	if got := <-status; got != http.StatusNoContent {
		t.Errorf("the request in flight got %d", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestRunSaysThatThePortIsTaken(t *testing.T) {
	f := newFixture(t)
	addr, _ := f.run(t)
	second := newFixture(t)
	second.config.Listen = addr
	if err := second.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "webhook.listen: ") {
		t.Errorf("got %v", err)
	}
}
