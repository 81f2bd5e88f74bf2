package console_test

import (
	"path/filepath"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger/ledgertest"
)

// BenchmarkPages times what pages ask of the API, with 100,000 leavers. A list may take 100 ms,
// an overview 50 ms.
func BenchmarkPages(b *testing.B) {
	r := open(b, setup{deadline: 24 * time.Hour})
	if err := ledgertest.Fill(b.Context(), filepath.Join(r.dir, "ledger.db"), 100_000, time.Now()); err != nil {
		b.Fatal(err)
	}
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		b.Fatal(err)
	}
	for _, rng := range console.Ranges() {
		b.Run("overview/"+rng, func(b *testing.B) {
			for b.Loop() {
				if _, err := client.Overview(b.Context(), rng); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, f := range map[string]console.LeaverFilter{"all": {}, "search": {Text: "silva"}, "overdue": {Overdue: true}, "settled": {SettledFrom: time.Now().Add(-time.Hour)}} {
		b.Run("leavers/"+name, func(b *testing.B) {
			for b.Loop() {
				if page, err := client.Leavers(b.Context(), f); err != nil || page.Total == 0 {
					b.Fatal(page.Total, err)
				}
			}
		})
	}
	b.Run("holds", func(b *testing.B) {
		for b.Loop() {
			if _, err := client.ListHolds(b.Context(), console.HoldFilter{Brief: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
