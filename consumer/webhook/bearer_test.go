package webhook

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

// sendAs posts an event with a token and returns the status of the answer.
func (f fixture) sendAs(token string) int {
	r := post("/events", ceJSON, leaver("1", jane))
	r.Header.Set("Authorization", "Bearer "+token)
	return f.send(r).Code
}

func TestTokensRotate(t *testing.T) {
	const next = "fedcba9876543210"
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		if got := f.sendAs(token); got != http.StatusAccepted {
			t.Fatalf("answered %d", got)
		}
		for _, step := range []struct {
			name     string
			change   func()
			old, new int
		}{
			{"both", func() { write(t, f.tokens, token+"\r\n\n  "+next+"\n") }, 202, 202},
			{"the new only", func() { write(t, f.tokens, next) }, 401, 202},
			{"another file of the same size", func() {
				write(t, f.tokens+".tmp", token)
				if err := os.Rename(f.tokens+".tmp", f.tokens); err != nil {
					t.Fatal(err)
				}
			}, 202, 401},
			{"empty: as before", func() { write(t, f.tokens, "") }, 202, 401},
			{"a token too short: as before", func() { write(t, f.tokens, next+"\nshort\n") }, 202, 401},
			{"away: as before", func() {
				if err := os.Remove(f.tokens); err != nil {
					t.Fatal(err)
				}
			}, 202, 401},
			{"back again", func() { write(t, f.tokens, next) }, 401, 202},
		} {
			step.change()
			time.Sleep(consumer.LookAgain)
			if got, gotNext := f.sendAs(token), f.sendAs(next); got != step.old || gotNext != step.new {
				t.Errorf("%s: the old one gets %d, the new one %d", step.name, got, gotNext)
			}
		}
		f.logs.TakeAll()
		if err := os.Remove(f.tokens); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(consumer.LookAgain)
			f.sendAs(next)
		}
		if n := f.logs.FilterMessageSnippet("could not be read").Len(); n != 1 {
			t.Errorf("said %d times that the file is away", n)
		}
	})
}

func TestTokensAreLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		write(t, f.tokens, strings.Repeat("x", minSecret))
		time.Sleep(consumer.LookAgain - time.Nanosecond)
		if got := f.sendAs(token); got != http.StatusAccepted {
			t.Errorf("just before the second: %d", got)
		}
		time.Sleep(time.Nanosecond)
		if got := f.sendAs(token); got != http.StatusUnauthorized {
			t.Errorf("just after it: %d", got)
		}
	})
}

func TestTokenInTheQuery(t *testing.T) {
	f := newFixture(t)
	w := f.send(post("/events?access_token="+token, ceJSON, leaver("1", jane)))
	if w.Code != http.StatusAccepted || w.Header().Get("Cache-Control") != "private" {
		t.Errorf("answered %d, Cache-Control %q", w.Code, w.Header().Get("Cache-Control"))
	}
	r := post("/events?access_token="+token, ceJSON, leaver("1", jane))
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", minSecret))
	if w := f.send(r); w.Code != http.StatusUnauthorized {
		t.Errorf("with a wrong header answered %d", w.Code)
	}
}

func TestTokenFileAtStart(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"only a comment": {"# nothing yet\n", "no secret in it"},
		"a short token":  {"# one\nhunter2\n", "line 2: not one token of at least 16"},
		"two on a line":  {token + " " + token, "line 1: not one token"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tokens")
			write(t, file, c.text)
			_, err := New(Config{Listen: ":0", Endpoints: []Endpoint{{Path: "/a", Auth: Auth{BearerFile: file}}}}, nil, nil, nil, nil, nil, zap.NewNop())
			if err == nil || !strings.HasPrefix(err.Error(), "webhook.endpoints[0].auth.bearer_file: ") ||
				!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := New(Config{Listen: ":0", Endpoints: []Endpoint{{Path: "/a", Auth: Auth{BearerFile: "/no/such"}}}}, nil, nil, nil, nil, nil, zap.NewNop()); err == nil {
		t.Error("a file that is not there is no error")
	}
}
