package main

import (
	"bytes"
	"context"
	"path/filepath"
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
	for _, part := range []string{"signoff demo: 20 people leave a company of 41", "/metrics", "events in", `leavers +20\n`, `closed +13\n`, `cancelled +2\n`, `events rejected +3\n`,
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
	out := &saboteur{demo: &demo{dir: t.TempDir(), company: newCompany(20, time.Second), log: zap.NewNop()}}
	out.demo.out = out
	err := out.demo.run(t.Context())
	if err == nil || out.opened == "" || !strings.Contains(err.Error(), " not as they should be, such as "+out.opened) {
		t.Errorf("opened %q again, and the demo says %v\n%s", out.opened, err, &out.Buffer)
	}
}

// visitor decides on what a demo that stays has left to decide, and ends it.
type visitor struct {
	bytes.Buffer
	leave   func()
	demo    *demo
	holds   string // as listed by an operator's token
	rejects string // as replayed by it
	closed  bool   // the newcomer was, by a replay
}

func (v *visitor) Write(line []byte) (int, error) {
	if m := regexp.MustCompile(`SIGNOFF_URL=(\S+) SIGNOFF_TOKEN_FILE=(\S+)`).FindSubmatch(line); m != nil {
		way := []string{"--url", string(m[1]), "--token-file", string(m[2])}
		_, v.holds, _ = signoff(append([]string{"holds", "list"}, way...)...)
		_, v.rejects, _ = signoff(append([]string{"rejects", "replay", "--all"}, way...)...)
		for end := time.Now().Add(20 * time.Second); !v.closed && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			u, _ := v.demo.docusign.User(demoAccount, v.demo.company.newcomer.user)
			v.closed = u.Status == "Closed"
		}
		v.leave()
	}
	return v.Buffer.Write(line)
}

func TestDemoStays(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := &visitor{leave: cancel}
	d := &demo{out: out, dir: t.TempDir(), company: newCompany(20, time.Second), stay: true, log: zap.NewNop()}
	out.demo = d
	if err := d.run(ctx); err != nil {
		t.Fatalf("%v\n%s", err, &out.Buffer)
	}
	if !strings.Contains(out.holds, "limit") || !strings.Contains(out.String(), "20 people are held, and none of them is closed") {
		t.Errorf("holds:\n%s\n%s", out.holds, &out.Buffer)
	}
	if !out.closed {
		t.Errorf("who was unknown to the directory is not closed by a replay:\n%s", out.rejects)
	}
	link := regexp.MustCompile(`http://[\d.:]+/sign-in\?next=%2F%3Frange%3D5m#token=(\w+)`).FindAllStringSubmatch(out.String(), -1)
	if len(link) != 3 || link[0][1] != d.tokens["ana"] || link[1][1] != d.tokens["vera"] || link[2][1] != d.tokens["ana"] {
		t.Errorf("links to sign in: %q", link)
	}
}

// hasty skips somebody while the demo is still under way.
type hasty struct {
	bytes.Buffer
	demo *demo
	done bool
}

func (h *hasty) Write(line []byte) (int, error) {
	if protected := h.demo.company.people[3]; !h.done && h.demo.daemon != nil && h.demo.tokens != nil {
		status, _, _ := signoff("skip", protected.email, "--reason", "stays", "--url", "http://"+h.demo.daemon.console.Addr().String(),
			"--token-file", filepath.Join(h.demo.dir, "ana"))
		h.done = status == 0
	}
	return h.Buffer.Write(line)
}

func TestDemoLeavesJudgementToWhoDecided(t *testing.T) {
	t.Parallel()
	out := &hasty{demo: &demo{dir: t.TempDir(), company: newCompany(20, 3*time.Second), log: zap.NewNop()}}
	out.demo.out = out
	err := out.demo.run(t.Context())
	if err != nil || !out.done || !regexp.MustCompile(`decided by people +1\n`).MatchString(out.String()) {
		t.Errorf("skipped: %v, %v\n%s", out.done, err, &out.Buffer)
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
	for _, p := range newCompany(200, 0).people {
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
