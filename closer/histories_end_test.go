package closer_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

// How a history ends: all grows quiet, and nobody may be forgotten.

// finish lets Docusign work and time pass until all is quiet, and looks whether
// anybody was forgotten.
func (h *history) finish() {
	h.docusignHeals()
	if h.cfg.DryRun && h.oneIn(2) {
		h.cfg.DryRun = false
		h.restart()
	}
	eager := h.oneIn(2)
	h.say("the end begins, all is approved: %t", eager)
	for _, wait := range []time.Duration{10, 20, 60, 25 * 60, 60 * 60, 110 * 60, 60, 40, 0} {
		h.run(false)
		for n := 0; n < 4 && eager && h.approveAll(); n++ {
			h.run(false)
		}
		if len(h.wrong) > 0 {
			return
		}
		time.Sleep(wait * time.Minute)
	}
	h.checkHolds()
	h.checkEnd(eager)
	if _, err := h.ledger.VerifyAudit(h.t.Context()); err != nil {
		h.complain("audit: %v", err)
	}
}

func (h *history) approveAll() (some bool) {
	for _, hold := range h.holds() {
		if slices.Contains(hold.Kinds, ledger.Self) || hold.DryRun {
			continue
		}
		for _, name := range []string{"xia", "yan"} {
			now, err := h.ledger.Hold(h.t.Context(), hold.ID)
			h.must("hold", err)
			if now.State == ledger.HoldOpen {
				some = true
				h.approves(now, ledger.Decision{Hold: now.ID, Digest: now.Digest, By: ledger.Person{Name: name}, Reason: "because"}, false)
			}
		}
	}
	return some
}

// checkHolds looks whether each hold holds somebody, and everybody who is held is
// in one.
func (h *history) checkHolds() {
	in := make(map[int64]int)
	for _, hold := range h.holds() {
		if len(hold.Users) == 0 {
			h.complain("hold %d holds nobody", hold.ID)
		}
		entries := make(map[int64]bool)
		for _, u := range hold.Users {
			entries[u.Entry] = true
		}
		for e := range entries {
			in[e]++
		}
	}
	for _, e := range h.entries() {
		if e.State == ledger.Held && in[e.ID] != 1 {
			h.complain("entry %d is held by %d holds", e.ID, in[e.ID])
		}
	}
}

func (h *history) checkEnd(eager bool) {
	entries := h.entries()
	for _, hold := range h.holds() {
		h.checkReasons(hold)
	}
	for _, e := range entries {
		switch {
		case e.State == ledger.Waiting || e.State == ledger.Due && !h.isRefused(e) || e.State == ledger.Submitted || e.State == ledger.WouldClose && !h.cfg.DryRun:
			h.complain("entry %d of %s is %s for ever", e.ID, e.Leaver, e.State)
		case e.State == ledger.Failed && !h.isRefused(e):
			h.complain("entry %d of %s has failed, and Docusign refuses nobody of theirs", e.ID, e.Leaver)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(h.model.people)) {
		if p := h.model.people[address]; p.last != nil {
			for _, in := range h.accounts {
				h.checkLeaver(p, in, entries, eager)
			}
		}
	}
	h.countHolds()
}

// checkReasons looks whether the model agrees with the reasons of a hold.
func (h *history) checkReasons(hold ledger.Hold) {
	for _, u := range hold.Users {
		p := h.model.whose(u.Email)
		if p == nil {
			h.complain("hold %d holds %s, of whom nobody said that they leave", hold.ID, u.Email)
			continue
		}
		for _, kind := range hold.Kinds {
			if kind != ledger.Reopening && !h.model.agrees(kind, hold.Account, p, time.Now()) {
				h.complain("hold %d holds %s as %s, for no reason", hold.ID, u.Email, kind)
			}
		}
	}
}

// isRefused says whether Docusign refuses to close somebody of the entry, or has
// more users of theirs than it takes in a request.
func (h *history) isRefused(e ledger.Entry) bool {
	users := 0
	for _, u := range h.sim.Users(e.Account) {
		if u.Status != "Closed" && slices.Contains(e.Emails, strings.ToLower(u.Email)) {
			users++
		}
	}
	return h.takes > 0 && users > h.takes || slices.ContainsFunc(h.sim.Users(e.Account), func(u docusigntest.User) bool {
		return slices.Contains(e.Emails, strings.ToLower(u.Email)) && (u.CloseError != "" || u.SpoilsBatch)
	})
}

// checkLeaver looks whether a person is where they belong in an account.
func (h *history) checkLeaver(p *person, in string, entries []ledger.Entry, eager bool) {
	own := slices.DeleteFunc(slices.Clone(entries), func(e ledger.Entry) bool { return e.Leaver != p.email || e.Account != in })
	open := slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.State.Open() })
	if h.model.isCancelled(p, time.Now()) {
		returned := slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.State.Open() && e.Returned }) // people said that they have left after all
		if open && !returned && !h.model.isTie(p) {
			h.complain("%s waits in account %s, though that was taken back", p.email, in)
		}
		return
	}
	if len(own) == 0 {
		h.complain("%s was not looked for in account %s", p.email, in)
		return
	}
	held := slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.State == ledger.Held })
	if held && eager && !h.cfg.DryRun && !h.model.agrees(ledger.Self, in, p, time.Now()) {
		h.complain("%s is held in account %s, though all was approved", p.email, in)
	}
	if open { // each such state was looked at before
		return
	}
	for _, u := range h.sim.Users(in) {
		if u.Status != "Closed" && slices.Contains(p.last.addresses, strings.ToLower(u.Email)) && !h.mayBeOpen(p, in, u, own) {
			h.complain("%s (%s) is open in account %s, and nobody knows; the last of them: %s", u.ID, u.Email, in, own[len(own)-1].State)
		}
	}
}

// mayBeOpen says whether there is a reason why a leaver's user is open in the end.
func (h *history) mayBeOpen(p *person, in string, u docusigntest.User, own []ledger.Entry) bool {
	if skipped := p.skipped[in]; !skipped.IsZero() && !skipped.Before(p.last.received) || h.reopened[membership{in, u.ID}] {
		return true
	}
	own = slices.DeleteFunc(slices.Clone(own), func(e ledger.Entry) bool { return !slices.Contains(e.Emails, strings.ToLower(u.Email)) }) // by which they were looked for
	if len(own) == 0 {
		return false
	}
	last := slices.MaxFunc(own, func(a, b ledger.Entry) int { return cmp.Or(a.SettledAt.Compare(b.SettledAt), cmp.Compare(a.ID, b.ID)) })
	opened, byOthers := h.opened[membership{in, u.ID}]
	looked := last.SettledAt
	if !last.SentAt.IsZero() && last.SentAt.Before(looked) { // its outcome was unknown, and found out by the userId
		looked = last.SentAt
	}
	if !byOthers || opened.Before(looked) {
		return false
	}
	watched := h.watch > 0 && (last.State == ledger.Closed || last.State == ledger.AlreadyClosed) && opened.Sub(last.SettledAt) < h.watch-24*time.Hour
	return !watched
}

// countHolds counts the kinds of all holds that there were.
func (h *history) countHolds() {
	for id := int64(1); ; id++ {
		hold, err := h.ledger.Hold(h.t.Context(), id)
		if err != nil {
			break
		}
		h.count("holds", 1)
		for _, k := range hold.Kinds {
			h.count("held for "+string(k), 1)
		}
	}
}
