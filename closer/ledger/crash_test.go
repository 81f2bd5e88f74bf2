package ledger

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// recordForever records one leaver after the other, of four at a time, and
// prints each once the ledger says that it is on disk.
func recordForever(path string) {
	l, err := Open(context.Background(), Config{URL: "sqlite://" + path}, Observe{})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "error:", err)
		return
	}
	said := make(chan string)
	for worker := range 4 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("p%d-%d-%d", os.Getpid(), worker, n)
				now := time.Now()
				err := l.Record(context.Background(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{{
					Key: consumer.Key{Source: "hr", ID: name}, Kind: consumer.Terminated, Hash: "h",
					Email: name + "@acme.com", OccurredAt: now, EffectiveAt: now, ReceivedAt: now,
				}}})
				if err != nil {
					said <- "error: " + err.Error()
				}
				said <- name
			}
		}()
	}
	for s := range said {
		_, _ = fmt.Fprintln(os.Stdout, s)
	}
}

func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	acknowledged := make(map[string]bool)
	for range 6 {
		for _, name := range killRecorder(t, path) {
			acknowledged[name] = true
		}
	}
	l := openLedger(t, Config{URL: "sqlite://" + path})
	entries, err := l.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		delete(acknowledged, strings.TrimSuffix(e.Leaver, "@acme.com"))
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged are lost, of %d that are there", len(acknowledged), len(entries))
	}
	if a, err := l.VerifyAudit(t.Context()); err != nil || a.Rows != int64(len(entries)) {
		t.Errorf("the chain has %d rows (%v), want one for each of %d entries", a.Rows, err, len(entries))
	}
	var keys int
	var integrity string
	if err := l.read.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM keys`).Scan(&keys); err != nil || keys != len(entries) {
		t.Errorf("%d keys (%v) for %d entries", keys, err, len(entries))
	}
	if err := l.read.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&integrity); err != nil || integrity != "ok" {
		t.Errorf("integrity: %s (%v)", integrity, err)
	}
}

// killRecorder kills a process that records, at a random moment after its
// first, and returns what was acknowledged by then.
func killRecorder(t *testing.T, path string) []string {
	t.Helper()
	cmd, out := startChild(t, path)
	var names []string
	for out.Scan() {
		if strings.HasPrefix(out.Text(), "error") {
			t.Error(out.Text())
		}
		if names = append(names, out.Text()); len(names) == 1 {
			after := rand.N(150 * time.Millisecond)
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if len(names) == 0 {
		t.Fatal("nothing was recorded")
	}
	_ = cmd.Wait() // it was killed
	return names
}

// startChild starts this test binary as another process, which records.
func startChild(t *testing.T, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// A disk that is full is played by a database that may not grow.
func TestFullDisk(t *testing.T) {
	b := newBook(t)
	b.record(b.left("first"))
	var failed int
	b.observe.Failed = func(error) { failed++ }
	pages := b.limitPages(1)
	var lost string
	for n := range 10_000 {
		name := fmt.Sprint("p", n)
		err := b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka,
			Events: []consumer.Event{b.left(name)}, Spans: []consumer.Span{span(int64(n), int64(n+1))}})
		if err != nil {
			if !strings.Contains(err.Error(), "full") {
				t.Errorf("got %q, want it to say that the disk is full", err)
			}
			lost = name
			break
		}
	}
	if lost == "" || failed == 0 {
		t.Fatalf("a full disk went unnoticed: %q lost, %d failures told", lost, failed)
	}
	if got := b.entries(lost); len(got) != 0 {
		t.Error("half of an intake that was refused is there")
	}
	recorded := b.text(`SELECT COUNT(*) - 1 FROM entries`)
	if got := b.text(`SELECT next FROM watermarks`); got != recorded {
		t.Errorf("the watermark is at %s after %s events", got, recorded)
	}
	b.verify()
	b.limitPages(pages)
	b.record(b.left(lost))
	b.is(lost, Waiting)
	b.verify()
}

// limitPages lets the database have n pages at most, but no fewer than it has,
// and returns the limit of before.
func (b *book) limitPages(n int64) (before int64) {
	b.t.Helper()
	err := b.write(b.t.Context(), func(*tx) error { return nil }) // the writer is idle now, and its connection ours
	if err == nil {
		err = b.conn.QueryRowContext(b.t.Context(), `PRAGMA max_page_count`).Scan(&before)
	}
	if err == nil {
		err = b.conn.QueryRowContext(b.t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(new(sql.NullInt64))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return before
}
