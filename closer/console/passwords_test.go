package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/bcrypt"
)

func usersOf(t *testing.T, passwords map[string]string) *webFile {
	t.Helper()
	text := "basic_auth_users:\n"
	for name, password := range passwords {
		hash, err := bcrypt.GenerateFromPassword([]byte(password[:min(72, len(password))]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("  %s: %s\n", name, hash)
	}
	config, err := decodeWeb("web.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &webFile{config: config}
}

const anAddress = "192.0.2.1:1234"

func TestGuessingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		p, in := newPasswords(newTries(zap.New(core))), usersOf(t, map[string]string{"ann": "right"})
		try := func(from, name, password string) (looked, ok bool) {
			t.Helper()
			ok, err := p.are(t.Context(), in, from, name, password)
			if err != nil && !errors.Is(err, errGuessing) {
				t.Fatal(err)
			}
			return err == nil, ok
		}
		looks := func(from, name string, times int) (n int) {
			for i := range times {
				if looked, _ := try(from, name, fmt.Sprint("guess ", i)); looked {
					n++
				}
			}
			return n
		}
		if _, ok := try("192.0.2.7:1", "ann", "right"); !ok {
			t.Fatal("the right password does not do")
		}
		if n := looks(anAddress, "ann", 50); n != triesAtOnce {
			t.Errorf("%d guesses of one address were looked at, want %d", n, triesAtOnce)
		}
		if n := looks("192.0.2.1:4321", "nobody", 50); n != 0 {
			t.Errorf("%d more from another port, for another name", n)
		}
		if n := looks("[2001:db8::1]:1", "ann", 50) + looks("[2001:db8::2]:1", "nobody", 50); n != triesAtOnce {
			t.Errorf("%d guesses of one network, want %d", n, triesAtOnce)
		}
		if looked, ok := try(anAddress, "ann", "right"); !looked || !ok {
			t.Error("a password that was right before is not any more, while others guess")
		}
		all := 0
		for i := range 100 {
			all += looks(fmt.Sprintf("198.51.100.%d:1", i), "ann", 1)
		}
		if all < checksASecond || all > mostAtOnce {
			t.Errorf("%d guesses of many addresses, want what is left of %d", all, mostAtOnce)
		}
		if logs.Len() != 1 || strings.Contains(fmt.Sprint(logs.All()), "guess 1") {
			t.Errorf("the log says %v, want one line without a password", logs.All())
		}
		time.Sleep(tryAgainAfter)
		if n := looks(anAddress, "ann", 5); n != 1 {
			t.Errorf("%d guesses after a while, want 1", n)
		}
	})
}

func TestAddressesDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := newTries(zap.NewNop())
		for i := range 5 * mostNetworks {
			tries.may(fmt.Sprintf("10.%d.%d.1:1", i/250, i%250), usualCost, time.Now())
		}
		if len(tries.by) != mostNetworks {
			t.Errorf("%d addresses are remembered, want %d", len(tries.by), mostNetworks)
		}
		if time.Sleep(time.Hour); !tries.may("203.0.113.1:1", usualCost, time.Now()) || len(tries.by) != 1 {
			t.Errorf("%d addresses are remembered after an hour, want 1", len(tries.by))
		}
	})
}

func TestCostlyHashesAreCheckedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, n := newTries(zap.NewNop()), 0
		for i := range 60 { // a minute
			if tries.may(fmt.Sprintf("10.0.%d.1:1", i), 15, time.Now()) {
				n++
			}
			time.Sleep(time.Second)
		}
		if n < 7 || n > 9 { // at first, and every 8 s
			t.Errorf("%d checks of two seconds in a minute", n)
		}
	})
}

func TestWhatIsRemembered(t *testing.T) {
	p, in := newPasswords(newTries(zap.NewNop())), usersOf(t, map[string]string{"ann": "right", "ben": strings.Repeat("b", 80)})
	are := func(in *webFile, name, password string) bool {
		t.Helper()
		ok, err := p.are(t.Context(), in, anAddress, name, password)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !are(in, "ann", "right") || are(in, "ann", "wrong") || !are(in, "ann", "right") || are(in, "ben", "right") || are(in, "eve", "right") {
		t.Error("the wrong passwords are right")
	}
	if !are(in, "ben", strings.Repeat("b", 80)) || !are(in, "ben", strings.Repeat("b", 72)) || are(in, "ben", strings.Repeat("b", 71)) {
		t.Error("a long password is not what bcrypt takes it for")
	}
	if len(p.right) != 2 {
		t.Errorf("%d passwords are remembered, want one for each user", len(p.right))
	}
	changed := usersOf(t, map[string]string{"ann": "another"})
	if are(changed, "ann", "right") || !are(changed, "ann", "another") || len(p.right) != 1 {
		t.Errorf("what was right before is, or %d are remembered", len(p.right))
	}
}

// One who is no user takes what one takes who is.
func TestNamesCannotBeToldByTheTime(t *testing.T) {
	p, in := newPasswords(newTries(zap.NewNop())), usersOf(t, map[string]string{"ann": "right", "ben": "right too"})
	stands := make(map[string]bool)
	for i := range 100 {
		name := fmt.Sprint("eve", i)
		stands[p.standIn(in, name)] = true
		if first := p.standIn(in, name); first != p.standIn(in, name) {
			t.Fatalf("%s: one hash, and then another", name)
		}
	}
	if !stands["ann"] || !stands["ben"] {
		t.Errorf("only %v stand in", stands)
	}
	p.one <- struct{}{} // a check is under way
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"ann", "eve"} {
		if _, err := p.are(ctx, in, anAddress, name, "guess"); !errors.Is(err, errGuessing) {
			t.Errorf("%s: %v: no check was to be made", name, err)
		}
	}
}
