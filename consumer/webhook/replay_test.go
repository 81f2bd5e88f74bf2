package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/consumer"
)

// signedFixture is a fixture with the endpoint /signed besides, whose senders
// sign as Standard Webhooks has it.
type signedFixture struct {
	fixture
	secrets string // file
}

func newSigned(t testing.TB) signedFixture {
	t.Helper()
	f := signedFixture{newFixture(t), filepath.Join(t.TempDir(), "secrets")}
	write(t, f.secrets, "whsec_"+inBase64Key)
	f.add(t, Endpoint{Path: "/signed", Auth: Auth{HMAC: preset("standard-webhooks"), SecretFile: f.secrets}})
	return f
}

// sign is a request such as a sender makes now.
func sign(secret, id, contentType, body string) *http.Request {
	return signAt(time.Now(), secret, id, contentType, body)
}

// signAt is one by a sender's clock.
func signAt(clock time.Time, secret, id, contentType, body string) *http.Request {
	key, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		panic(err)
	}
	at := strconv.FormatInt(clock.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + body))
	r := post("/signed", contentType, body)
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r
}

// again is the same request, to be sent once more.
func again(r *http.Request, body string) *http.Request {
	copied := post("/signed", "", body)
	copied.Header = r.Header
	return copied
}

func TestSignedRequests(t *testing.T) {
	body := leaver("1", jane)
	for name, c := range map[string]struct {
		request func() *http.Request
		status  int
		detail  string
	}{
		"structured": {func() *http.Request { return sign(inBase64Key, "m", ceJSON, body) }, 202, ""},
		"a batch":    {func() *http.Request { return sign(inBase64Key, "m", ceBatch, "["+body+"]") }, 202, ""},
		"another body": {func() *http.Request {
			return again(sign(inBase64Key, "m", ceJSON, body), leaver("2", jane))
		}, 401, "no signature that"},
		"another secret": {func() *http.Request { return sign("QW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXMh", "m", ceJSON, body) }, 401, "no signature that"},
		"unsigned":       {func() *http.Request { return post("/signed", ceJSON, body) }, 401, "Webhook-Signature is missing"},
		"too large, unsigned": {func() *http.Request {
			return post("/signed", ceJSON, strings.Repeat(" ", maxBody+1))
		}, 401, "is missing"},
		"binary, whose headers are not signed": {func() *http.Request {
			r := sign(inBase64Key, "m", "application/json", jane)
			for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/hris", "Ce-Type": "t"} {
				r.Header.Set(name, value)
			}
			return r
		}, 415, "does not cover ce- headers"},
		"no CloudEvent": {func() *http.Request { return sign(inBase64Key, "m", ceJSON, "{}") }, 400, "specversion"},
		"a token":       {func() *http.Request { return post("/signed?access_token="+inBase64Key, ceJSON, body) }, 401, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newSigned(t)
			w := f.send(c.request())
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.detail) || w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
			}
			if events, _ := f.rec.events(); (len(events) == 1) != (c.status == 202) {
				t.Errorf("recorded %+v", events)
			}
			for _, line := range f.logs.All() {
				for _, field := range line.ContextMap() {
					if text, ok := field.(string); ok && (strings.Contains(text, "v1,") || strings.Contains(text, inBase64Key)) {
						t.Errorf("logged %q", text)
					}
				}
			}
		})
	}
}

func TestSecretsRotate(t *testing.T) {
	const next = "QW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXMh"
	synctest.Test(t, func(t *testing.T) {
		f := newSigned(t)
		n := 0
		status := func(secret string) int {
			n++
			return f.send(sign(secret, strconv.Itoa(n), ceJSON, leaver("1", jane))).Code
		}
		for _, step := range []struct {
			name, text string
			old, new   int
		}{
			{"at first", "whsec_" + inBase64Key, 202, 401},
			{"both", next + "\n" + inBase64Key, 202, 202},
			{"the new only", next, 401, 202},
			{"one too short: as before", inBase64Key + "\nAAAA", 401, 202},
			{"empty: as before", "", 401, 202},
			{"the old again", inBase64Key, 202, 401},
		} {
			write(t, f.secrets, step.text)
			time.Sleep(consumer.LookAgain)
			if got, gotNext := status(inBase64Key), status(next); got != step.old || gotNext != step.new {
				t.Errorf("%s: the old one gets %d, the new one %d", step.name, got, gotNext)
			}
		}
	})
}

func TestReplays(t *testing.T) {
	body := leaver("1", jane)
	synctest.Test(t, func(t *testing.T) {
		f := newSigned(t)
		first := sign(inBase64Key, "m", ceJSON, body)
		send := func(r *http.Request, wantStatus, wantIntakes int, what string) {
			t.Helper()
			if w := f.send(r); w.Code != wantStatus || len(f.rec.intakes) != wantIntakes {
				t.Errorf("%s: answered %d %s, %d intakes", what, w.Code, w.Body, len(f.rec.intakes))
			}
		}
		f.rec.err = errors.New("disk full")
		send(first, 503, 0, "not recorded")
		f.rec.err = nil
		send(again(first, body), 202, 1, "once more, since it was not recorded")
		send(again(first, body), 202, 1, "a replay")
		time.Sleep(4 * time.Minute)
		send(again(first, body), 202, 1, "a replay just in time")
		send(sign(inBase64Key, "m", ceJSON, body), 202, 1, "the sender's own retry, signed anew")
		send(sign(inBase64Key, "n", ceJSON, body), 202, 2, "another message")
		send(sign(inBase64Key, "m", ceJSON, leaver("2", jane)), 202, 3, "another body under the same id")
		time.Sleep(2 * time.Minute)
		send(again(first, body), 401, 3, "a replay too late")
		time.Sleep(time.Hour)
		send(sign(inBase64Key, "m", ceJSON, body), 202, 4, "long after")
		send(sign(inBase64Key, "o", ceJSON, leaver("3", "{}")), 202, 5, "a reject")
		send(sign(inBase64Key, "o", ceJSON, leaver("3", "{}")), 202, 5, "which is on record, too")
		send(sign(inBase64Key, "p", ceJSON, "{}"), 400, 5, "refused")
		send(sign(inBase64Key, "p", ceJSON, "{}"), 400, 5, "and refused again")
	})
}

// The clock of a sender that is ahead makes its signatures good for longer.
func TestReplayOfASenderWhoseClockIsAhead(t *testing.T) {
	body := leaver("1", jane)
	synctest.Test(t, func(t *testing.T) {
		f := newSigned(t)
		send := func(r *http.Request) {
			t.Helper()
			if w := f.send(r); w.Code != http.StatusAccepted {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
		}
		first := signAt(time.Now().Add(5*time.Minute), inBase64Key, "m", ceJSON, body)
		send(first)
		for i := range 10 {
			send(sign(inBase64Key, strconv.Itoa(i), ceJSON, body))
			time.Sleep(time.Minute)
		}
		send(again(first, body))
		if n := len(f.rec.intakes); n != 11 {
			t.Errorf("%d intakes: the first was taken for a new one", n)
		}
	})
}

// As long as a timestamp is good, ahead of our clock or behind, the message must
// be remembered.
func TestReplaysAreRememberedForTheWholeWindow(t *testing.T) {
	start := time.Unix(signedAt, 0)
	for _, before := range []time.Duration{0, time.Second, 9 * time.Minute, 10*time.Minute - 1, 10 * time.Minute, 15 * time.Minute} {
		r := newReplays(10 * time.Minute)
		r.add(digest{9}, start)
		at := start.Add(before)
		r.add(digest{1}, at)
		for later := range 10 { // others go on
			r.add(digest{2, byte(later)}, at.Add(time.Duration(later)*time.Minute))
		}
		if !r.has(digest{1}, at.Add(10*time.Minute-1)) {
			t.Errorf("added %v after another: forgotten too early", before)
		}
		if r.has(digest{1}, at.Add(30*time.Minute)) {
			t.Errorf("added %v after another: remembered for ever", before)
		}
		if r.has(digest{2}, at) {
			t.Error("knows what was never added")
		}
	}
}

func TestReplaysAreBounded(t *testing.T) {
	r := newReplays(10 * time.Minute)
	now := time.Unix(signedAt, 0)
	for i := range 5 * maxRemembered {
		d := sha256.Sum256([]byte(strconv.Itoa(i)))
		r.add(d, now)
		if !r.has(d, now) {
			t.Fatalf("does not remember the %dth", i)
		}
	}
	if n := len(r.young) + len(r.old); n > 2*maxRemembered {
		t.Errorf("remembers %d", n)
	}
}

// Of a message that comes twice at the same time, both may be recorded: the ledger
// tells that they are one. Neither may get an answer that is not true.
func TestTheSameMessageTwiceAtOnce(t *testing.T) {
	f := newSigned(t)
	body := leaver("1", jane)
	first := sign(inBase64Key, "m", ceJSON, body)
	status := 0
	f.rec.during = func(context.Context) {
		f.rec.during = nil
		status = f.send(again(first, body)).Code
		f.rec.err = errors.New("disk full")
	}
	if w := f.send(first); w.Code != 503 || status != 202 || len(f.rec.intakes) != 1 {
		t.Errorf("answered %d and %d, %d intakes", w.Code, status, len(f.rec.intakes))
	}
}
