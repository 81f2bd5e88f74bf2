package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

func TestDemoEndsWell(t *testing.T) {
	t.Parallel()
	status, out, errOut := signoff("demo", "--leavers", "20", "--for", "50s")
	if status != 0 || errOut != "" {
		t.Fatalf("status %d: %s\n%s", status, errOut, out)
	}
	for _, part := range []string{"signoff demo: 20 people leave a company of 40", "/metrics", "events in", `leavers +20\n`, `closed +13\n`, `cancelled +2\n`,
		"Docusign calls", "not_found: Docusign has no user with their email.\n", "slowest close, from event", "Every leaver ended as the HR system knows is right"} {
		if !regexp.MustCompile(part).MatchString(out) {
			t.Errorf("does not print %q:\n%s", part, out)
		}
	}
}

// saboteur opens a user again, once the daemon has closed it. What it writes to
// is called by the demo itself, between two looks at its state.
type saboteur struct {
	bytes.Buffer
	demo   *demo
	opened string
}

func (s *saboteur) Write(line []byte) (int, error) {
	for _, p := range s.demo.company.people {
		if s.demo.docusign == nil || s.opened != "" || p.right != ledger.Closed {
			continue
		}
		if u, _ := s.demo.docusign.User(demoAccount, p.user); u.Status == "Closed" {
			u.Status = "Active"
			s.demo.docusign.SetUser(demoAccount, u)
			s.opened = p.employee
		}
	}
	return s.Buffer.Write(line)
}

func TestDemoFindsALostClose(t *testing.T) {
	t.Parallel()
	out := &saboteur{demo: &demo{dir: t.TempDir(), company: newCompany(20), log: zap.NewNop()}}
	out.demo.out = out
	err := out.demo.run(t.Context())
	if err == nil || out.opened == "" || !strings.Contains(err.Error(), " not as they should be, such as "+out.opened) {
		t.Errorf("opened %q again, and the demo says %v\n%s", out.opened, err, &out.Buffer)
	}
}

// visitor decides on what a demo that stays has left to decide, and ends it.
type visitor struct {
	bytes.Buffer
	leave func()
	holds string // as listed by an operator's token
}

func (v *visitor) Write(line []byte) (int, error) {
	if m := regexp.MustCompile(`SIGNOFF_URL=(\S+) SIGNOFF_TOKEN_FILE=(\S+)`).FindSubmatch(line); m != nil {
		_, v.holds, _ = signoff("holds", "list", "--url", string(m[1]), "--token-file", string(m[2]))
		v.leave()
	}
	return v.Buffer.Write(line)
}

func TestDemoStays(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := &visitor{leave: cancel}
	d := &demo{out: out, dir: t.TempDir(), company: newCompany(20), stay: true, log: zap.NewNop()}
	if err := d.run(ctx); err != nil {
		t.Fatalf("%v\n%s", err, &out.Buffer)
	}
	if !strings.Contains(out.holds, "limit") || !strings.Contains(out.String(), "20 people are held, and none of them is closed") {
		t.Errorf("holds:\n%s\n%s", out.holds, &out.Buffer)
	}
}

func TestDemoWithoutTimeFails(t *testing.T) {
	t.Parallel()
	for name, longest := range map[string]string{"hardly any": "1s", "none": "1ns"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			status, out, errOut := signoff("demo", "--leavers", "20", "--for", longest)
			if status != exitFailed || errOut == "" {
				t.Errorf("status %d after %v: %s\n%s", status, time.Since(began), errOut, out)
			}
		})
	}
}

func TestCompanyHasEveryCase(t *testing.T) {
	counts := make(map[ledger.State]int)
	for _, p := range newCompany(200).people {
		counts[p.right]++
	}
	for _, s := range []ledger.State{ledger.Closed, ledger.AlreadyClosed, ledger.NotFound, ledger.Held, ledger.Waiting, ledger.Cancelled} {
		if counts[s] == 0 {
			t.Errorf("nobody ends %s", s)
		}
	}
	if counts[""] != 200 {
		t.Errorf("%d stay, want 200", counts[""])
	}
}
