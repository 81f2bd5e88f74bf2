package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Decision is a named person's word on a hold.
type Decision struct {
	Hold   int64
	Digest string // of the plan that the person has seen
	By     Person
	Reason string

	// Whom an approval is about, by address or userId, where it is not about all:
	// these alone, or all but these. They become a hold of their own.
	Only, Except []string
}

// Terms are what an approval has to be.
type Terms struct {
	People  int           // who must say yes, at least 1
	Expires time.Duration // how long a yes is good
}

var (
	// ErrNoHold says that there is no hold of that id.
	ErrNoHold = errors.New("no such hold")

	// ErrDecided refuses a decision on a hold that is not open any more.
	ErrDecided = errors.New("the hold is not open any more")

	// ErrDigest refuses a decision on another plan than the person has seen.
	ErrDigest = errors.New("the digest is not that of the hold, of which a part may have been decided meanwhile: look at what it holds, and name that digest")

	// ErrDryRun refuses a decision on a hold of a dry run, which ends with it.
	ErrDryRun = errors.New("the hold was made in a dry run, in which there is nothing to decide: it is made anew once the mode is close")

	// ErrSelf refuses to approve the close of the user that signoff signs in as.
	ErrSelf = errors.New("the user that signoff signs in as is never closed by it: reject the hold, and give the integration another user")

	// ErrStandsIn refuses a decision of somebody about themselves.
	ErrStandsIn = errors.New("nobody decides about themselves: another operator must; of a hold, --except approves the others")

	// ErrBrought refuses an approval by the person who brought the terminations.
	ErrBrought = errors.New("nobody approves what they have brought themselves: somebody else must")

	// ErrNobody refuses an approval of nobody.
	ErrNobody = errors.New("that leaves nobody of the hold to approve")
)

// WhomError refuses an approval that names somebody who is not in the hold.
type WhomError struct {
	List string // only or except
	At   int    // in the list, from 0
	Part bool   // a userId that is one of several of its person
}

func (e *WhomError) Error() string {
	if e.Part {
		return fmt.Sprintf("%s[%d]: one of several users of a person: name all of them, or the address", e.List, e.At)
	}
	return fmt.Sprintf("%s[%d]: nobody whom the hold holds", e.List, e.At)
}

// Approve is one person's yes to a hold. With as many as the terms ask for, its
// people may be closed or, if it proposes that, opened again; until then it is
// open still. What of it is about some of its people only is returned as the hold
// of their own that it has become.
func (l *Ledger) Approve(ctx context.Context, d Decision, terms Terms) (h Hold, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		if h, err = t.decidable(d); err != nil {
			return err
		}
		if slices.Contains(h.Kinds, Self) {
			return ErrSelf
		}
		if len(d.Only)+len(d.Except) > 0 {
			if h, err = t.takeOut(h, d); err != nil {
				return err
			}
		}
		if len(h.Users) == 0 {
			return ErrNobody
		}
		if err := t.refuseOwn(h, d.By, true); err != nil {
			return err
		}
		h, err = t.approve(h, d, terms)
		return err
	})
	if err != nil {
		return Hold{}, err
	}
	return l.Hold(ctx, h.ID)
}

// Reject leaves the people of a hold open, for a reason: they are skipped. Of a
// proposed reopen it leaves them closed. One person is enough.
func (l *Ledger) Reject(ctx context.Context, d Decision) (h Hold, settled []Settled, err error) {
	var entries []int64
	err = l.write(ctx, func(t *tx) (err error) {
		if h, err = t.decidable(d); err != nil {
			return err
		}
		if err := t.refuseOwn(h, d.By, false); err != nil {
			return err
		}
		entries, err = t.decide(h, HoldRejected, d, time.Time{})
		return err
	})
	if err != nil {
		return Hold{}, nil, err
	}
	if h, err = l.Hold(ctx, h.ID); err != nil {
		return h, nil, err
	}
	for _, e := range entries {
		settled = append(settled, Settled{Entry: Entry{ID: e, Account: h.Account}, Outcome: Skipped, Reason: d.Reason, At: h.DecidedAt})
	}
	return h, settled, nil
}

// decidable is the hold, if it is open and what the person has seen.
func (t *tx) decidable(d Decision) (Hold, error) {
	h, err := findHold(t.ctx, t.conn, d.Hold)
	switch {
	case err != nil:
		return h, err
	case h.DryRun:
		return h, ErrDryRun
	case h.State != HoldOpen:
		return h, ErrDecided
	case !strings.EqualFold(h.Digest, d.Digest):
		return h, ErrDigest
	}
	return h, nil
}

// refuseOwn refuses whoever stands in the hold or, if that counts, has brought
// one of its terminations.
func (t *tx) refuseOwn(h Hold, by Person, brought bool) error {
	for _, u := range h.Users {
		if by.Is(u.Email) {
			return ErrStandsIn
		}
		var e struct{ emails, broughtBy string }
		if err := t.one(`SELECT emails, brought_by FROM entries WHERE id = $1`, []any{u.Entry}, &e.emails, &e.broughtBy); err != nil {
			return err
		}
		emails, err := addressesIn(e.emails)
		switch {
		case err != nil:
			return fmt.Errorf("entry %d: emails: %w", u.Entry, err)
		case slices.ContainsFunc(emails, by.Is):
			return ErrStandsIn
		case brought && by.Is(e.broughtBy):
			return ErrBrought
		}
	}
	return nil
}

// approve counts a yes, and carries it out if it is the last that was needed.
func (t *tx) approve(h Hold, d Decision, terms Terms) (Hold, error) {
	if err := t.exec(`INSERT INTO approvals (hold, address, person, reason, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (hold, address) DO UPDATE SET person = $3, reason = $4, at = $5`, h.ID, d.By.address(), d.By.Name, d.Reason, micros(t.now)); err != nil {
		return h, err
	}
	since := t.now.Add(-terms.Expires)
	if h.Ahead { // a yes is good until the plan's time is over
		since = time.Time{}
	}
	var people int
	if err := t.one(`SELECT COUNT(*) FROM approvals WHERE hold = $1 AND at > $2`, []any{h.ID, micros(since)}, &people); err != nil {
		return h, err
	}
	if people < terms.People {
		return h, t.audit(row{action: "hold_approval", actor: d.By.Name,
			facts:    map[string]any{"hold": h.ID, "digest": h.Digest, "approvals": people, "needed": terms.People},
			personal: map[string]string{"reason": d.Reason}})
	}
	expires := h.ExpiresAt // of a plan approved ahead: the end of its time
	if expires.IsZero() {
		expires = t.now.Add(terms.Expires)
	}
	_, err := t.decide(h, HoldApproved, d, expires)
	return h, err
}

// decide returns the entries that the decision moved.
func (t *tx) decide(h Hold, state HoldState, d Decision, expires time.Time) (moved []int64, err error) {
	if err := t.exec(`UPDATE holds SET state = $2, decided_at = $3, decided_by = $4, reason = $5, expires_at = $6 WHERE id = $1`,
		h.ID, string(state), micros(t.now), d.By.Name, d.Reason, micros(expires)); err != nil {
		return nil, err
	}
	if err := t.exec(`UPDATE hold_users AS u SET decided = 1 WHERE u.hold = $1
		AND EXISTS (SELECT 1 FROM entries e WHERE e.id = u.entry AND `+stillHeld+`)`, h.ID); err != nil {
		return nil, err
	}
	h.State, h.DecidedAt, h.DecidedBy, h.Reason, h.ExpiresAt = state, t.now, d.By.Name, d.Reason, expires
	facts := map[string]any{"hold": h.ID, "digest": h.Digest, "expires_at": stamp(expires)}
	if h.Ahead {
		facts["from"] = stamp(h.ValidFrom)
	}
	if err := t.audit(row{action: "hold_" + string(state), actor: d.By.Name, facts: facts, personal: map[string]string{"reason": d.Reason}}); err != nil {
		return nil, err
	}
	if h.Ahead {
		return t.decideAhead(h)
	}
	if moved, err = t.releaseEntries(h); err != nil {
		return nil, err
	}
	return moved, t.decideReopens(h)
}

// decideAhead puts on record for whom was decided before they are due. Whom a
// person refuses for what they are is skipped; a whole plan that is refused is
// judged when it is due.
func (t *tx) decideAhead(h Hold) (skipped []int64, err error) {
	action := "approved_ahead"
	if h.State == HoldRejected {
		if !slices.Equal(h.Kinds, planKinds) {
			return t.skipAhead(h)
		}
		action = "refused_ahead"
	}
	last := int64(0)
	for _, u := range h.Users {
		if u.Entry == last { // the users of an entry stand together
			continue
		}
		last = u.Entry
		if err := t.audit(row{action: action, entry: u.Entry, actor: h.DecidedBy, facts: map[string]any{
			"hold": h.ID, "account": h.Account, "from": stamp(h.ValidFrom), "until": stamp(h.ExpiresAt)}}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// releaseEntries moves what a decided hold still holds, and returns it.
func (t *tx) releaseEntries(h Hold) ([]int64, error) {
	ids, err := t.ids(`SELECT id FROM entries WHERE hold = $1 AND state = 'held' ORDER BY id`, h.ID)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		facts := map[string]any{"hold": h.ID}
		if h.State == HoldApproved {
			err = t.exec(`UPDATE entries SET state = 'due', hold = 0, reason = '' WHERE id = $1`, id)
		} else if err = t.exec(`UPDATE entries SET state = 'skipped', reason = $2, settled_at = $3 WHERE id = $1`,
			id, h.Reason, micros(t.now)); err == nil {
			facts, err = t.withMemberships(facts, id, Skipped)
		}
		if err != nil {
			return nil, err
		}
		if err := t.audit(row{action: string(h.State), entry: id, actor: h.DecidedBy, facts: facts}); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// takeOut makes a hold of their own of those whom a decision is about. The others
// are held as before, by another digest: whoever has seen all of them has not seen that
// these were left out, and must not approve them by what they saw before.
func (t *tx) takeOut(h Hold, d Decision) (Hold, error) {
	chosen, err := t.chosen(h, d)
	if err != nil {
		return h, err
	}
	part := h
	part.Parent, part.Approvals, part.Reopens = h.ID, nil, nil
	part.Users = slices.DeleteFunc(slices.Clone(h.Users), func(u HeldUser) bool { return !chosen[u.Entry] })
	rest := digest(h.Account, slices.DeleteFunc(slices.Clone(h.Users), func(u HeldUser) bool { return chosen[u.Entry] }))
	if len(part.Users) == 0 {
		return h, ErrNobody
	}
	if len(part.Users) == len(h.Users) && part.Digest == digest(h.Account, part.Users) {
		return h, nil // it is all of them
	}
	if part.ID, err = t.nextID("holds"); err != nil {
		return h, err
	}
	part.Digest = digest(h.Account, part.Users)
	if err := t.insertHold(part); err != nil {
		return h, err
	}
	for id := range chosen {
		for _, move := range []string{
			`UPDATE entries SET hold = $3 WHERE id = $1 AND hold = $2 AND state = 'held'`,
			`UPDATE reopens SET hold = $3 WHERE entry = $1 AND hold = $2 AND state = 'proposed'`,
		} {
			if err := t.exec(move, id, h.ID, part.ID); err != nil {
				return h, err
			}
		}
		if h.Ahead { // where nothing else tells by which of the two an entry is held
			if err := t.exec(`DELETE FROM hold_users WHERE hold = $1 AND entry = $2`, h.ID, id); err != nil {
				return h, err
			}
		}
	}
	if err := t.exec(`UPDATE holds SET digest = $2 WHERE id = $1`, h.ID, rest); err != nil {
		return h, err
	}
	if err := t.endEmptyHold(h.ID); err != nil {
		return h, err
	}
	return part, t.audit(row{action: "hold_split", actor: d.By.Name, facts: map[string]any{"hold": part.ID, "parent": h.ID, "digest": part.Digest, "rest": rest}})
}

// chosen are the entries of those whom a decision is about.
func (t *tx) chosen(h Hold, d Decision) (map[int64]bool, error) {
	only, err := t.named(h, "only", d.Only)
	if err != nil {
		return nil, err
	}
	except, err := t.named(h, "except", d.Except)
	if err != nil {
		return nil, err
	}
	chosen := make(map[int64]bool)
	for _, u := range h.Users {
		if (len(d.Only) == 0 || only[u.Entry]) && !except[u.Entry] {
			chosen[u.Entry] = true
		}
	}
	return chosen, nil
}

// named are the entries of the hold whose people the list names: by any of their
// addresses or by their userIds.
func (t *tx) named(h Hold, list string, names []string) (map[int64]bool, error) {
	of := make(map[string][]int64) // what somebody is called -> entries
	users := make(map[int64]int)   // entry -> how many users it has
	for _, u := range h.Users {
		if users[u.Entry]++; users[u.Entry] == 1 {
			var text string
			if err := t.one(`SELECT emails FROM entries WHERE id = $1`, []any{u.Entry}, &text); err != nil {
				return nil, err
			}
			emails, err := addressesIn(text)
			if err != nil {
				return nil, fmt.Errorf("entry %d: emails: %w", u.Entry, err)
			}
			for _, e := range emails {
				of[e] = append(of[e], u.Entry)
			}
		}
		of[strings.ToLower(u.ID)] = append(of[strings.ToLower(u.ID)], u.Entry)
		of[strings.ToLower(u.Email)] = append(of[strings.ToLower(u.Email)], u.Entry)
	}
	found := make(map[int64]bool)
	byID := make(map[int64]map[string]int) // entry -> its userIds in the list, and where
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if len(of[name]) == 0 {
			return nil, &WhomError{List: list, At: i}
		}
		for _, entry := range of[name] {
			if strings.Contains(name, "@") {
				found[entry] = true
				continue
			}
			if byID[entry] == nil {
				byID[entry] = make(map[string]int)
			}
			byID[entry][name] = i
		}
	}
	for entry, ids := range byID {
		if len(ids) < users[entry] && !found[entry] && list == "only" {
			for _, at := range ids {
				return nil, &WhomError{List: list, At: at, Part: true}
			}
		}
		found[entry] = true
	}
	return found, nil
}
