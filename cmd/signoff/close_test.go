package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

// people is a CSV file of leavers 0 to n-1, and more lines.
func (s *site) people(t *testing.T, n int, more ...string) string {
	t.Helper()
	text := "Name;Work Email;Department\r\n"
	for i := range n {
		text += fmt.Sprintf("\"Paz; Ana\"; %s ;Sales\r\n", strings.ToUpper(email(i)))
	}
	return s.write(t, "leavers.csv", text+strings.Join(more, "\r\n"))
}

// outcomesIn reads a results file: by email, the outcome of each line.
func outcomesIn(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines[0], ","); got != "email,account,userId,outcome,reason,time,traceToken" {
		t.Errorf("columns %s", got)
	}
	found := make(map[string]string)
	for _, l := range lines[1:] {
		found[l[0]] = l[3]
	}
	return found
}

func (s *site) open(t *testing.T) int {
	t.Helper()
	n := 0
	for _, u := range s.docusign.Users(demoAccount) {
		if u.Status != "Closed" {
			n++
		}
	}
	return n
}

func TestCloseShowsThePlanAndCarriesItOut(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
	file := s.config(t, nil)
	people, results := s.people(t, 3, "x;nobody@example.com;y", ""), filepath.Join(s.dir, "results.csv")

	status, out, errOut := signoff("close", people, "--config", file, "--results", results)
	if status != 0 || !strings.Contains(out, userID(1)) || !strings.Contains(out, "3 closed, 1 not_found") || !strings.Contains(out, "nothing was sent") {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
	if s.open(t) != 6 {
		t.Fatalf("%d open users: somebody was closed without --yes", s.open(t))
	}
	if n := len(s.configRows(t)); n != 0 {
		t.Errorf("%d configs are on record of a plan that was only shown", n)
	}
	status, out, errOut = signoff("close", people, "--config", file, "--results", results, "--yes")
	if n := len(s.configRows(t)); n != 1 {
		t.Errorf("%d configs are on record, want that by which they were closed", n)
	}
	if status != 0 || s.open(t) != 3 {
		t.Errorf("status %d, %d open users, want 3\n%s%s", status, s.open(t), out, errOut)
	}
	got := outcomesIn(t, results)
	if got[email(0)] != "closed" || got["nobody@example.com"] != "not_found" || len(got) != 4 {
		t.Errorf("results %v", got)
	}
	requests := len(s.docusign.Requests())
	status, out, errOut = signoff("close", people, "--config", file, "--results", results, "--yes")
	if status != 0 || !strings.Contains(out, "begun before") || len(s.docusign.Closes(demoAccount)) != 3 {
		t.Errorf("the same file again: status %d, %d requests more\n%s%s", status, len(s.docusign.Requests())-requests, out, errOut)
	}
	for id, c := range s.docusign.Closes(demoAccount) {
		if c.Requested != 1 {
			t.Errorf("%s was to be closed %d times", id, c.Requested)
		}
	}
	status, out, errOut = signoff("close", people, "--config", file, "--results", results, "--yes", "--again")
	if got := outcomesIn(t, results); status != 0 || got[email(0)] != "already_closed" {
		t.Errorf("--again: status %d, %v\n%s%s", status, got, out, errOut)
	}
}

func TestCloseIsRefused(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(2)})
	people := s.people(t, 2)
	bad := s.write(t, "bad.csv", "email\n"+email(0)+"\nnot an address\n")
	empty := s.write(t, "empty.csv", "email\n")
	noColumn := s.write(t, "nocolumn.csv", "a,b\n1,2\n")
	for name, c := range map[string]struct {
		keys map[string]string
		args []string
		want int
		says string
	}{
		"a dry run":                 {map[string]string{"mode": "dry-run"}, []string{people, "--yes"}, 2, "mode: dry-run"},
		"a bad line":                {nil, []string{bad, "--yes"}, 1, "line 3"},
		"nobody in it":              {nil, []string{empty, "--yes"}, 1, "nobody"},
		"no column of emails":       {nil, []string{noColumn, "--yes"}, 1, "--column"},
		"no such column":            {nil, []string{people, "--column", "Login", "--yes"}, 1, "Work Email"},
		"no file":                   {nil, []string{"--yes"}, 2, "FILE"},
		"a file that is not there":  {nil, []string{"/not/there.csv", "--yes"}, 2, "/not/there.csv"},
		"two ways at the same time": {nil, []string{people, "--url", "http://127.0.0.1:1", "--yes"}, 2, "one of the two"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"close", "--config", s.config(t, c.keys), "--results", filepath.Join(s.dir, "results.csv")}, c.args...)
			status, out, errOut := signoff(args...)
			if status != c.want || !strings.Contains(errOut, c.says) {
				t.Errorf("status %d, want %d\n%s%s", status, c.want, out, errOut)
			}
			if s.open(t) != 5 {
				t.Fatalf("%d open users: somebody was closed", s.open(t))
			}
		})
	}
}

func TestCloseWithoutTheBadLines(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(2)})
	bad := s.write(t, "bad.csv", "email\n"+email(0)+"\nnot an address\n"+email(1)+"\n")
	status, out, errOut := signoff("close", bad, "--config", s.config(t, nil), "--results", filepath.Join(s.dir, "results.csv"), "--yes", "--skip-bad")
	if status != 0 || s.open(t) != 3 {
		t.Errorf("status %d, %d open users, want 3\n%s%s", status, s.open(t), out, errOut)
	}
}

// TestCloseBesideADaemon: the ledger is the daemon's, which does the work.
func TestCloseBesideADaemon(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
	file := s.config(t, map[string]string{"guard.protected": "{emails: [" + email(2) + "]}"})
	r := s.start(t, file)
	people, results := s.people(t, 3), filepath.Join(s.dir, "results.csv")

	status, out, errOut := signoff("close", people, "--config", file, "--yes")
	if status != 1 || !strings.Contains(errOut, "--url") {
		t.Errorf("over the ledger that the daemon holds: status %d\n%s%s", status, out, errOut)
	}
	daemon := []string{"--url", "http://" + r.console.Addr().String(), "--token-file", filepath.Join(s.dir, "alice")}
	status, out, errOut = signoff(append([]string{"close", people, "--results", results}, daemon...)...)
	if status != 0 || s.open(t) != 6 || !strings.Contains(out, "2 closed, 1 held") {
		t.Errorf("the plan: status %d\n%s%s", status, out, errOut)
	}
	status, out, errOut = signoff(append([]string{"close", people, "--results", results, "--yes"}, daemon...)...)
	if status != 3 || s.open(t) != 4 || !strings.Contains(out, "held: "+email(2)+" in hold ") {
		t.Errorf("status %d, want 3 since one is held; %d open users\n%s%s", status, s.open(t), out, errOut)
	}
	if got := outcomesIn(t, results); got[email(0)] != "closed" || got[email(2)] != "held" {
		t.Errorf("results %v", got)
	}
}

func TestCloseWithAViewersToken(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	r := s.start(t, s.config(t, nil))
	status, out, errOut := signoff("close", s.people(t, 1), "--yes", "--url", "http://"+r.console.Addr().String(), "--token-file", filepath.Join(s.dir, "bob"))
	if status != 1 || !strings.Contains(errOut, "operator") || s.open(t) != 4 {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
}

// TestCloseStopsBetweenBatches ends the command while Docusign is slow, and
// goes on with the same file.
func TestCloseStopsBetweenBatches(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(40), docusign: docusigntest.Config{Latency: 100 * time.Millisecond}})
	file := s.config(t, map[string]string{"batch.max_users": "2"})
	people, results := s.people(t, 40), filepath.Join(s.dir, "results.csv")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil && s.open(t) > 38 {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	var out, errOut bytes.Buffer
	if status := dispatch(ctx, []string{"close", people, "--config", file, "--results", results, "--yes"}, &out, &errOut); status != 3 ||
		!strings.Contains(out.String(), "goes on where this one stopped") {
		t.Errorf("status %d\n%s%s", status, out.String(), errOut.String())
	}
	if left := s.open(t); left <= 3 {
		t.Fatalf("%d open users: it did not stop", left)
	}
	if status, out, errOut := signoff("close", people, "--config", file, "--results", results, "--yes"); status != 0 || s.open(t) != 3 {
		t.Errorf("status %d, %d open users, want 3\n%s%s", status, s.open(t), out, errOut)
	}
	for id, c := range s.docusign.Closes(demoAccount) {
		if c.Requested != 1 {
			t.Errorf("%s was to be closed %d times", id, c.Requested)
		}
	}
}

func TestTemplate(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
	file := s.config(t, map[string]string{"guard.protected": "{emails: [" + email(2) + "]}"})
	people, path := s.people(t, 3, "x;nobody@example.com;y"), filepath.Join(s.dir, "close.csv")
	status, out, errOut := signoff("template", people, "--config", file, "--out", path)
	if status != 3 { // since not all are in it
		t.Fatalf("status %d\n%s%s", status, out, errOut)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "AccountID,APIUserName,UserEmail\n" +
		demoAccount + "," + userID(0) + "," + email(0) + "\n" +
		demoAccount + "," + userID(1) + "," + email(1) + "\n"
	if got := strings.ReplaceAll(string(text), "\r\n", "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, says := range []string{"nobody@example.com: no open user", email(2) + ": left out"} {
		if !strings.Contains(errOut, says) {
			t.Errorf("stderr does not say %q:\n%s", says, errOut)
		}
	}
	if s.open(t) != 6 {
		t.Errorf("%d open users: somebody was closed", s.open(t))
	}
}

var errNeverWritten = errors.New("the disk is full")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errNeverWritten }

func TestTemplateThatCannotBeWritten(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	var errOut bytes.Buffer
	status := dispatch(t.Context(), []string{"template", s.people(t, 1), "--config", s.config(t, nil)}, brokenWriter{}, &errOut)
	if status != 1 || !strings.Contains(errOut.String(), errNeverWritten.Error()) {
		t.Errorf("status %d: %s", status, errOut.String())
	}
}
