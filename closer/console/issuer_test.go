package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/console/oidctest"
)

// served answers requests without a socket.
type servedBy struct {
	http.Handler
	asked atomic.Int64
	slow  atomic.Bool // it never answers
}

func (s *servedBy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	if s.slow.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func issuerOf(by http.Handler) (*issuer, *servedBy) {
	i, err := newIssuer(&OIDC{Issuer: "https://login.example.com", ClientID: "x", Operators: []string{"x"}})
	if err != nil {
		panic(err)
	}
	served := &servedBy{Handler: by}
	i.client.Transport = shortAnswers{served}
	return i, served
}

func TestASlowIssuerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := oidctest.New("x", "")
		answers.URL = "https://login.example.com"
		i, served := issuerOf(answers)
		served.slow.Store(true)
		begun, done := time.Now(), make(chan error)
		ask := func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, issuerAnswers)
			defer cancel()
			_, err := i.discover(ctx)
			done <- err
		}
		gone, leave := context.WithCancel(t.Context())
		go ask(gone)
		synctest.Wait()
		for range 10 {
			go ask(t.Context())
		}
		leave() // who asks first goes away; it is asked for all of them
		for range 11 {
			if err := <-done; err == nil {
				t.Error("it has answered")
			}
		}
		if d := time.Since(begun); d > issuerAnswers+time.Second {
			t.Errorf("they waited for %v", d)
		}
		if n := served.asked.Load(); n != 1 {
			t.Errorf("it was asked %d times at once", n)
		}
		served.slow.Store(false)
		time.Sleep(issuerRests)
		if _, err := i.discover(t.Context()); err != nil {
			t.Errorf("it answers, and is not heard: %v", err)
		}
		if _, err := i.discover(t.Context()); err != nil || served.asked.Load() != 2 {
			t.Errorf("asked %d times, %v", served.asked.Load(), err)
		}
		time.Sleep(issuerAnew)
		served.slow.Store(true)
		if p, err := i.discover(t.Context()); err != nil || p == nil || served.asked.Load() != 3 {
			t.Errorf("what it said an hour ago does not hold while it is away: %v", err)
		}
		begun = time.Now()
		if _, err := i.discover(t.Context()); err != nil || time.Since(begun) > 0 {
			t.Errorf("whoever comes then waits for %v, %v", time.Since(begun), err)
		}
	})
}

func TestAnswersOfTheIssuerAreShort(t *testing.T) {
	var written atomic.Int64
	i, _ := issuerOf(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, _ := fmt.Fprint(w, `{"issuer": "https://login.example.com", "x": "`+strings.Repeat("x", 2*mostOfIssuer)+`"}`)
		written.Store(int64(n))
	}))
	if _, err := i.discover(t.Context()); err == nil || written.Load() < mostOfIssuer {
		t.Errorf("all of it was read: %v", err)
	}
	i, _ = issuerOf(http.RedirectHandler("https://evil.example.com", http.StatusFound))
	if _, err := i.discover(t.Context()); err == nil || !strings.Contains(toldBy(err), "302") {
		t.Errorf("a redirect was followed: %v", err)
	}
}

func TestSignInsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := issuerOf(nil)
		for n := range mostPending + 10 {
			i.keep(fmt.Sprint(n), pending{browser: sha256.Sum256(nil), began: time.Now(), nonce: fmt.Sprint(n)})
			if n < 20 {
				time.Sleep(time.Second)
			}
		}
		if len(i.pending) != mostPending {
			t.Errorf("%d are kept, want %d", len(i.pending), mostPending)
		}
		of := func(n int) bool {
			p, ok := i.take(fmt.Sprint(n), "", time.Now())
			return ok && p.nonce == fmt.Sprint(n)
		}
		if of(9) || !of(10) || of(10) {
			t.Error("it is not the oldest that have gone, or one is good twice")
		}
		time.Sleep(pendingAtMost - time.Second)
		if !of(500) {
			t.Error("one is not good for ten minutes")
		}
		if time.Sleep(time.Second); of(501) {
			t.Error("one is good for longer")
		}
		for n := range mostPending {
			i.keep(fmt.Sprint("later", n), pending{began: time.Now()})
		}
		if len(i.pending) > mostPending {
			t.Errorf("%d are kept", len(i.pending))
		}
	})
}

func TestWhatTheLogHasOfAnIssuer(t *testing.T) {
	for text, want := range map[string]string{
		"503: away\nana@example.com": "503: away",
		"of ana@example.com":         "of an address",
		strings.Repeat("x", 1000):    strings.Repeat("x", longestTold),
	} {
		if got := toldBy(errors.New(text)); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	if got := code("ana@example.com"); strings.Contains(got, "@") {
		t.Error(got)
	}
}
