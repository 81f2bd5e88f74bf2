package console_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

func TestOverviewAndListsAgree(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann", "ben")
	r.hold(t, ledger.Protected, "eve")
	r.reject(t, "x")
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	for _, rng := range append(console.Ranges(), "") {
		o, err := client.Overview(t.Context(), rng)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.States {
			page, err := client.Leavers(t.Context(), console.LeaverFilter{States: []string{s.State}})
			if err != nil || page.Total != s.Entries || len(page.Leavers) != s.Entries {
				t.Errorf("%s: %d in the overview, %d of %d in the list, %v", s.State, s.Entries, len(page.Leavers), page.Total, err)
			}
		}
	}
}

// watchAll takes every place that there is for those who watch, until the test ends.
func (r *room) watchAll(t *testing.T) {
	t.Helper()
	for range 200 {
		r.watch(t, http.Header{})
	}
}

// watcher reads a stream of changes.
type watcher struct {
	body  io.Closer
	lines *bufio.Scanner
}

func (r *room) watch(t *testing.T, header http.Header) *watcher {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("watching is answered with %s", resp.Status)
	}
	return &watcher{resp.Body, bufio.NewScanner(resp.Body)}
}

// next is the next event and its id; "" at the end of the stream.
func (w *watcher) next() (event, id string) {
	for w.lines.Scan() {
		line := w.lines.Text()
		if word, ok := strings.CutPrefix(line, "event: "); ok {
			event = word
		}
		if word, ok := strings.CutPrefix(line, "id: "); ok {
			id = word
		}
		if line == "" {
			return event, id
		}
	}
	return "", ""
}

// until skips events but this one.
func (w *watcher) until(t *testing.T, want string) (id string) {
	t.Helper()
	for {
		event, id := w.next()
		switch event {
		case want:
			return id
		case "":
			t.Fatalf("the stream ended without %q", want)
		}
	}
}
