package ledger_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/closer/ledger/ledgertest"
)

// BenchmarkPages times what the pages ask of a ledger with 100,000 leavers. A list may
// take 100 ms, an overview 50 ms.
func BenchmarkPages(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ledger.db")
	l, err := ledger.Open(b.Context(), ledger.Config{URL: "sqlite://" + path}, ledger.Observe{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	now := time.Now()
	if err := ledgertest.Fill(b.Context(), path, 100_000, now); err != nil {
		b.Fatal(err)
	}
	b.Logf("filled in %v", time.Since(now).Round(time.Second))
	for name, f := range filters(now) {
		f.Limit = 51
		for _, order := range ledger.Orders() {
			f.Order = order
			b.Run(fmt.Sprintf("list/%s/%s", name, order), func(b *testing.B) {
				total := 0
				for b.Loop() {
					var rows []ledger.Listed
					if rows, total, err = l.List(b.Context(), f); err != nil || len(rows) == 0 {
						b.Fatal(len(rows), err)
					}
				}
				b.ReportMetric(float64(total), "total")
			})
		}
	}
	for _, over := range []time.Duration{5 * time.Minute, 24 * time.Hour, 30 * 24 * time.Hour} {
		b.Run(fmt.Sprint("closes/", over), func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Settled(b.Context(), now.Add(-over), over/30, 30); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint("took/", over), func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Took(b.Context(), now.Add(-over), now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("overview", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Overview(b.Context(), now, now.Add(-24*time.Hour), ledgertest.Accounts); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pulse", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Pulse(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, f := range []ledger.HoldFilter{{States: []ledger.HoldState{ledger.HoldOpen}, Brief: true}, {States: []ledger.HoldState{ledger.HoldApproved}, Limit: 101, Brief: true}} {
		b.Run(fmt.Sprint("holds/", f.States), func(b *testing.B) {
			for b.Loop() {
				if holds, err := l.ListHolds(b.Context(), f); err != nil || len(holds) == 0 {
					b.Fatal(len(holds), err)
				}
			}
		})
	}
}

// filters are what lists are asked for.
func filters(now time.Time) map[string]ledger.LeaverFilter {
	all := map[string]ledger.LeaverFilter{
		"all":            {},
		"page_1000":      {After: ledger.Cursor{Entry: 50_000, DueAt: now.Add(-15 * 24 * time.Hour)}},
		"closed":         {States: []ledger.State{ledger.Closed}},
		"held_and_due":   {States: []ledger.State{ledger.Held, ledger.Due}},
		"account":        {Account: ledgertest.Accounts[1]},
		"account_failed": {Account: ledgertest.Accounts[1], States: []ledger.State{ledger.Failed}},
		"open":           {Open: true},
		"overdue":        {Late: now.Add(-24 * time.Hour)},
		"ready":          {Ready: now},
		"returned":       {Returned: true},
		"urgent":         {Urgent: true},
		"effective":      {EffectiveFrom: now.Add(-90 * 24 * time.Hour), EffectiveTo: now, States: []ledger.State{ledger.Closed}},
		"effective_hour": {EffectiveFrom: now.Add(-20 * 24 * time.Hour), EffectiveTo: now.Add(-20*24*time.Hour + time.Hour)},
		"received":       {ReceivedFrom: now.Add(-20 * 24 * time.Hour), ReceivedTo: now.Add(-20*24*time.Hour + time.Hour)},
		"settled":        {States: []ledger.State{ledger.Closed}, SettledFrom: now.Add(-20 * 24 * time.Hour), SettledTo: now.Add(-20*24*time.Hour + time.Hour)},
		"took":           {States: []ledger.State{ledger.Closed}, SettledFrom: now.Add(-30 * 24 * time.Hour), TookFrom: 2 * 24 * time.Hour},
	}
	for _, text := range []string{"p", "pe", "person77", "person77777@example.com", "si", "silva", "ana silva", "éLOdie", "o'b", "E-4711", "4711", "user-4711", "evt-4711", "li"} {
		all["text_"+text] = ledger.LeaverFilter{Text: text}
	}
	all["text_held"] = ledger.LeaverFilter{Text: "pe", States: []ledger.State{ledger.Failed}}
	return all
}
