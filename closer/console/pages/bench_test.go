package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/closer/ledger/ledgertest"
)

// BenchmarkPages times whole pages over HTTP, with 100,000 leavers in the ledger. of_limit
// is how much of its limit a page takes: of 50 ms for the Overview, of 100 ms for a list.
// The limits are for the charts of a day; those of weeks are counted anew every 20 s.
func BenchmarkPages(b *testing.B) {
	r := open(b, true)
	if err := ledgertest.Fill(b.Context(), r.file, 100_000, time.Now()); err != nil {
		b.Fatal(err)
	}
	next := regexp.MustCompile(`href="(/leavers\?[^"]*after=[^"]*)"`)
	deep := "/leavers"
	for range 100 {
		deep = next.FindStringSubmatch(r.get(b, operator, deep).text)[1]
	}
	hour := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, page := range []struct {
		name, path, sought string
		limit              time.Duration
	}{
		{"overview", "/", "", 50 * time.Millisecond},
		{overviewAnew, "/", "", 50 * time.Millisecond},
		{"overview of 5 minutes", "/?range=5m", "", 50 * time.Millisecond},
		{"leavers", "/leavers", "", 100 * time.Millisecond},
		{"leavers, page 101", deep, "", 100 * time.Millisecond},
		{"leavers held", "/leavers?state=held", "", 100 * time.Millisecond},
		{"leavers overdue", "/leavers?overdue=true&sort=due", "", 100 * time.Millisecond},
		{"leavers settled in an hour", "/leavers?settled_from=" + hour, "", 100 * time.Millisecond},
		{"leavers by a name", "/leavers", "silva", 100 * time.Millisecond},
		{"holds", "/holds", "", 100 * time.Millisecond},
	} {
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				if page.name == overviewAnew {
					if err := r.ledger.SetAccount(b.Context(), ledger.Account{ID: ledgertest.Accounts[0], PassedAt: time.Now()}); err != nil {
						b.Fatal(err)
					}
				}
				shown := shownAt(b, r, page.path, page.sought)
				if shown.status != http.StatusOK {
					b.Fatal(shown.status, shown.text)
				}
				b.SetBytes(int64(len(shown.text)))
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(page.limit), "of_limit")
		})
	}
}

// overviewAnew is the Overview after something has changed: else all who ask share what was
// read. Its time has that of a small write in it.
const overviewAnew = "overview after a change"

// shownAt is a page, or what is found where something is sought.
func shownAt(b *testing.B, r *rig, path, sought string) page {
	b.Helper()
	if sought == "" {
		return r.get(b, operator, path)
	}
	return r.post(b, operator, path, url.Values{"text": {sought}})
}
