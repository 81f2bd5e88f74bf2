package console

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

const annsToken = "ann:viewer:2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90" // alice

func TestWatchingNeedsToBeAllowedStill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{TokensFile: file}
	web, err := keepWeb(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	tries := newTries(zap.NewNop())
	s := &Server{cfg: cfg, web: web, log: zap.NewNop(), tries: tries, passwords: newPasswords(tries), sessions: newSessions(time.Hour)}
	r := httptest.NewRequest("GET", "/api/v1/live", nil)
	r.Header.Set("Authorization", "Bearer alice")
	ann := principal{name: "ann", role: viewer}
	for _, c := range []struct {
		tokens string
		want   bool
	}{
		{annsToken, true}, {strings.Replace(annsToken, "viewer", "operator", 1), true},
		{strings.Replace(annsToken, "ann", "ben", 1), false}, {strings.Replace(annsToken, ":2b", ":00", 1), false}, {"", false}, {"broken", false}, {annsToken, true},
	} {
		write(c.tokens)
		if may := s.mayStill(r, ann); may != c.want {
			t.Errorf("with %q ann may watch: %t", c.tokens, may)
		}
	}
}

// pulses is what one looks at who looks whether something has changed.
type pulses struct {
	mu     sync.Mutex
	now    string
	err    error
	looked int
}

func (p *pulses) look(context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked++
	return p.now, p.err
}

func (p *pulses) set(now string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.err = now, err
}

func (p *pulses) looks() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looked
}

func TestOneLooksForAllAndWhileAnybodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulses{now: "a"}
		l := newLive(p.look)
		join := func() (<-chan string, func()) {
			news, leave, err := l.join("")
			if err != nil {
				t.Fatal(err)
			}
			return news, leave
		}
		is := func(news <-chan string, want string) {
			t.Helper()
			synctest.Wait()
			got := ""
			select {
			case got = <-news:
			default:
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		first, leaveFirst := join()
		is(first, "a")
		second, leaveSecond := join()
		is(second, "a")
		time.Sleep(lookEvery)
		is(first, "")
		p.set("b", nil)
		time.Sleep(lookEvery)
		is(first, "b")
		p.set("c", nil)
		time.Sleep(lookEvery) // who is slow hears of the last one alone
		is(second, "c")
		is(second, "")
		is(first, "c")
		p.set("d", errors.New("disk I/O error"))
		time.Sleep(lookEvery)
		is(first, unknownPulse) // so that they look, and find out
		time.Sleep(lookEvery)
		is(first, "")
		leaveFirst()
		leaveFirst()
		p.set("d", nil)
		time.Sleep(lookEvery)
		is(second, "d")
		leaveSecond()
		synctest.Wait()
		looked := p.looks()
		time.Sleep(time.Hour)
		synctest.Wait()
		if again := p.looks(); again > looked {
			t.Errorf("looked %d times for nobody", again-looked)
		}
		third, _ := join()
		is(third, "d")
		l.end()
		if _, more := <-third; more {
			t.Error("the end is not told")
		}
		if _, _, err := l.join(""); err == nil {
			t.Error("watching goes on after the end")
		}
	})
}

func TestTheEndWaitsForWhoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answered := make(chan struct{}, 9), false
		l := newLive(func(ctx context.Context) (string, error) {
			asked <- struct{}{}
			<-ctx.Done()
			time.Sleep(time.Second) // a ledger that is slow to notice
			answered = true
			return "", ctx.Err()
		})
		if _, _, err := l.join(""); err != nil {
			t.Fatal(err)
		}
		<-asked
		if l.wait(); !answered {
			t.Error("somebody asks the ledger still")
		}
	})
}

func TestNotMoreWatchThanMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive((&pulses{now: "a"}).look)
		var leaves []func()
		for range mostLive {
			_, leave, err := l.join("")
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		if _, _, err := l.join(""); !errors.Is(err, errTooMany) {
			t.Errorf("one more: %v", err)
		}
		leaves[7]()
		if _, _, err := l.join(""); err != nil {
			t.Errorf("once one has left: %v", err)
		}
		l.end()
	})
}

func TestNobodyWatchesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive((&pulses{now: "a"}).look)
		for range mostOfOne {
			if _, _, err := l.join("ann"); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := l.join("ann"); !errors.Is(err, errTooMany) {
			t.Errorf("one more of ann's: %v", err)
		}
		if _, _, err := l.join("ben"); err != nil {
			t.Errorf("ben cannot watch: %v", err)
		}
		l.end()
	})
}
