package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"signoff/consumer"
)

// ByHand is what a person says about one leaver: about each open entry of
// whoever goes by the address.
type ByHand struct {
	Email  string // in lower case
	By     Person
	Reason string
}

// Moved is what a person's word did to an entry.
type Moved struct {
	Entry   int64  // the one that stands now
	Account string // "" until first due
	Before  State
	After   State
	DueAt   time.Time
	Why     string // why it stays as it was; "" if it does not
}

var (
	// ErrNoLeaver says that nobody goes by an address.
	ErrNoLeaver = errors.New("no leaver goes by this address: check how it is spelled; that somebody leaves is told by an event, or by signoff close")

	// ErrManyLeavers refuses to take an address for a person's.
	ErrManyLeavers = errors.New("too many leavers go by this address for it to say who is meant: say one that is theirs alone")

	// ErrUntil refuses to put a leaver off to a time that has passed or is too far away.
	ErrUntil = errors.New("until: not within a year from now")
)

// maxDeferral is how far from now a leaver may be put off: years are mistyped.
const maxDeferral = 366 * 24 * time.Hour

// StandsError says that a person's word has changed nothing.
type StandsError struct{ Entries []Moved }

func (e *StandsError) Error() string {
	var lines []string
	for _, m := range e.Entries {
		account := "in no account yet"
		if m.Account != "" {
			account = "account " + m.Account
		}
		lines = append(lines, fmt.Sprintf("%s: %s: %s", account, m.Before, m.Why))
	}
	return "nothing was changed: " + strings.Join(lines, "; ")
}

// Defer closes a leaver not before a time, whatever events say meanwhile, unless
// that it is urgent. What was approved of them must be approved anew.
func (l *Ledger) Defer(ctx context.Context, w ByHand, until time.Time) ([]Moved, error) {
	if now := time.Now(); !until.After(now) || until.After(now.Add(maxDeferral)) {
		return nil, ErrUntil
	}
	return l.byHand(ctx, w, State.Open, func(t *tx, k knownEntry) (why string, err error) {
		switch why := standsFast(k); {
		case why != "":
			return why, nil
		case k.dueAt.After(until) && k.effected.Add(t.ledger.cfg.Grace).After(until):
			return "it is not due before " + k.dueAt.Format(time.RFC3339) + " anyway", nil
		}
		return "", t.deferEntry(k, w, until)
	})
}

// Urgent closes a leaver at once, also ahead of the leaving day. It ends a
// deferral. Who is held is judged anew, by the limits of urgent ones.
func (l *Ledger) Urgent(ctx context.Context, w ByHand) ([]Moved, error) {
	return l.byHand(ctx, w, State.Open, func(t *tx, k knownEntry) (why string, err error) {
		if why := standsFast(k); why != "" {
			return why, nil
		}
		return "", t.urge(k, w)
	})
}

// Skip leaves a leaver open for good, as far as what was heard until now goes.
func (l *Ledger) Skip(ctx context.Context, w ByHand) (moved []Moved, skipped []Settled, err error) {
	moved, err = l.byHand(ctx, w, State.Open, func(t *tx, k knownEntry) (why string, err error) {
		if why := standsFast(k); why != "" {
			return why, nil
		}
		return "", t.skip(k, w)
	})
	for _, m := range moved {
		if m.Why == "" {
			skipped = append(skipped, Settled{Entry: Entry{ID: m.Entry, Account: m.Account}, Outcome: Skipped, Reason: w.Reason, At: time.Now().UTC()})
		}
	}
	return moved, skipped, err
}

// Retry tries a leaver again at once: who has failed, or waits for another try.
// Who was not found or was skipped gets a new entry of the same leaving, due at
// once or on the leaving day.
func (l *Ledger) Retry(ctx context.Context, w ByHand) ([]Moved, error) {
	concerns := func(s State) bool { return s.Open() || s == NotFound || s == Skipped }
	return l.byHand(ctx, w, concerns, func(t *tx, k knownEntry) (why string, err error) {
		switch k.state {
		case Failed, Due:
			return "", t.tryNow(k, w)
		case NotFound, Skipped:
			return t.tryAnew(k, w)
		case Waiting:
			return "it is due on " + k.dueAt.Format(time.RFC3339) + ", or now by signoff urgent", nil
		case Held:
			return fmt.Sprintf("hold %d waits for a person", k.hold), nil
		case Submitted:
			return whySubmitted, nil
		case WouldClose:
			return "a dry run closes nobody", nil
		}
		return whySettled, nil
	})
}

const (
	whySubmitted = "a close is on its way"
	whySettled   = "it is settled"
)

// standsFast says why a person's word moves an entry no more; "" if it may.
func standsFast(k knownEntry) string {
	switch {
	case !k.state.Open():
		return whySettled
	case k.state == Submitted:
		return whySubmitted
	}
	return ""
}

// byHand has do move each entry that a person's word concerns, or say why not. A
// StandsError says that none was moved.
func (l *Ledger) byHand(ctx context.Context, w ByHand, concerns func(State) bool, do func(t *tx, k knownEntry) (why string, err error)) ([]Moved, error) {
	var all []Moved
	err := l.write(ctx, func(t *tx) error {
		all = nil
		entries, err := t.meantBy(w)
		if err != nil {
			return err
		}
		if concerned := slices.DeleteFunc(slices.Clone(entries), func(k knownEntry) bool { return !concerns(k.state) }); len(concerned) > 0 {
			entries = concerned
		}
		moved := false
		for _, k := range entries {
			why, err := do(t, k)
			if err != nil {
				return err
			}
			m := Moved{Account: k.account, Before: k.state, Why: why}
			if m.Entry, m.After, m.DueAt, err = t.nowStands(k); err != nil {
				return err
			}
			moved = moved || why == ""
			all = append(all, m)
		}
		if !moved {
			return &StandsError{all}
		}
		return nil
	})
	return all, err
}

// nowStands is the newest entry of a leaver in an account.
func (t *tx) nowStands(k knownEntry) (id int64, state State, dueAt time.Time, err error) {
	var due int64
	err = t.one(`SELECT id, state, due_at FROM entries WHERE leaver = $1 AND account = $2 AND id >= $3
		AND NOT (state = 'cancelled' AND reason = '`+sameAsOpen+`') ORDER BY id DESC LIMIT 1`,
		[]any{k.leaver, k.account, k.id}, &id, &state, &due)
	return id, state, fromMicros(due), err
}

// meantBy returns what stands of the leavers whom a person speaks of: their open
// entries, and the newest one of each account that has none.
func (t *tx) meantBy(w ByHand) ([]knownEntry, error) {
	leavers, err := t.texts(`SELECT leaver FROM identities WHERE value = $1 AND kind IN ('email', 'other') AND origin = '' AND source = '' AND cancel = 0
		UNION SELECT leaver FROM entries WHERE state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed')
			AND EXISTS (SELECT 1 FROM json_each(entries.emails) a WHERE a.value = $1) ORDER BY 1`, w.Email)
	switch {
	case err != nil:
		return nil, err
	case len(leavers) > manyAddresses:
		return nil, ErrManyLeavers
	}
	var open, settled []knownEntry
	for _, leaver := range leavers {
		known, err := t.entriesOf(leaver)
		if err != nil {
			return nil, err
		}
		if self, err := t.isAbout(w.By, leaver, known); err != nil {
			return nil, err
		} else if self {
			return nil, ErrStandsIn
		}
		opened, over := standing(known)
		open, settled = append(open, opened...), append(settled, newest(over)...)
	}
	settled, err = t.withoutFormer(settled, leavers, w.Email)
	if err == nil && len(open)+len(settled) == 0 {
		return nil, ErrNoLeaver
	}
	return append(open, settled...), err
}

// isAbout says whether a person is the leaver.
func (t *tx) isAbout(p Person, leaver string, known []knownEntry) (bool, error) {
	first, _, _ := strings.Cut(leaver, " ")
	addresses := []string{first}
	for _, k := range known {
		addresses = append(addresses, k.emails...)
	}
	signs, err := t.namesOf(leaver)
	for _, s := range signs {
		if s.kind == "email" || s.kind == "other" {
			addresses = append(addresses, s.value)
		}
	}
	return slices.ContainsFunc(addresses, p.Is), err
}

// newest are the newest of these entries in each account.
func newest(entries []knownEntry) []knownEntry {
	of := make(map[string]int)
	var all []knownEntry
	for _, k := range entries { // the oldest first
		if i, ok := of[k.account]; ok {
			all[i] = k
			continue
		}
		of[k.account] = len(all)
		all = append(all, k)
	}
	return all
}

// withoutFormer leaves out the entries of those leavers whose address has gone to
// another of them since.
func (t *tx) withoutFormer(entries []knownEntry, leavers []string, address string) ([]knownEntry, error) {
	going, err := t.namesOfAll(leavers)
	said := make(map[string]int64)
	for leaver, n := range going {
		said[leaver] = n.saidOf("email", address)
	}
	return slices.DeleteFunc(entries, func(k knownEntry) bool { return passedOn(k.leaver, going, said) }), err
}

func (t *tx) deferEntry(k knownEntry, w ByHand, until time.Time) error {
	if err := t.exec(`UPDATE entries SET state = 'waiting', due_at = $2, deferred_until = $2, hold = 0, held_at = 0, reason = '',
		attempts = 0, tries = 0, misses = 0, next_at = 0, approvals_after = (SELECT COALESCE(MAX(id), 0) FROM holds) WHERE id = $1`,
		k.id, micros(until)); err != nil {
		return err
	}
	if err := t.auditByHand("deferred", k, w, map[string]any{"until": stamp(until), "from": stamp(k.dueAt)}); err != nil {
		return err
	}
	if err := t.voidAhead(k.id); err != nil {
		return err
	}
	return t.endEmptyHold(k.hold)
}

func (t *tx) urge(k knownEntry, w ByHand) error {
	if err := t.exec(`UPDATE entries SET urgent = 1, due_at = MIN(due_at, $2), deferred_until = 0, next_at = 0, hold = 0,
		state = CASE WHEN state IN ('held', 'failed') THEN 'due' ELSE state END, reason = CASE state WHEN 'held' THEN '' ELSE reason END
		WHERE id = $1`, k.id, micros(t.now)); err != nil {
		return err
	}
	if err := t.auditByHand("urgent", k, w, map[string]any{"from": stamp(k.dueAt)}); err != nil {
		return err
	}
	if k.state == Waiting && k.account != "" {
		if err := t.makeDue(readyEntry{id: k.id, leaver: k.leaver}, k.account); err != nil {
			return err
		}
	}
	return t.endEmptyHold(k.hold)
}

func (t *tx) skip(k knownEntry, w ByHand) error {
	if err := t.exec(`UPDATE entries SET state = 'skipped', reason = $2, settled_at = $3, hold = 0, held_at = 0 WHERE id = $1`,
		k.id, w.Reason, micros(t.now)); err != nil {
		return err
	}
	facts, err := t.withMemberships(make(map[string]any), k.id, Skipped)
	if err != nil {
		return err
	}
	if err := t.auditByHand(string(Skipped), k, w, facts); err != nil {
		return err
	}
	if err := t.settledCancel(k.id); err != nil {
		return err
	}
	return t.endEmptyHold(k.hold)
}

// tryNow lets an entry be tried at the next run. Who has failed has all tries
// again.
func (t *tx) tryNow(k knownEntry, w ByHand) error {
	if err := t.exec(`UPDATE entries SET next_at = 0, attempts = CASE state WHEN 'failed' THEN 0 ELSE attempts END, state = 'due' WHERE id = $1`, k.id); err != nil {
		return err
	}
	return t.auditByHand("retry_asked", k, w, map[string]any{"from": k.id})
}

// tryAnew makes a new entry of the same leaving, in the place of one that was
// settled without a close. What was approved of that one does not count any more.
// It says why not if the termination was taken back since.
func (t *tx) tryAnew(k knownEntry, w ByHand) (why string, err error) {
	if back, err := t.takenBack(k.leaver); err != nil || back {
		return "the termination was taken back since", err
	}
	id, err := t.nextID("entries")
	if err != nil {
		return "", err
	}
	due := k.effected.Add(t.ledger.cfg.Grace) // who was skipped ahead of the leaving day may still be at work
	if due.Before(t.now) {
		due = t.now
	}
	if err := t.exec(`INSERT INTO entries (id, account, state, split_from, stale, returned, due_at, received_at, approvals_after, `+person+`)
		SELECT $2, account, 'waiting', $4, stale, returned, $3, received_at, (SELECT COALESCE(MAX(id), 0) FROM holds), `+person+` FROM entries WHERE id = $1`,
		k.id, id, micros(due), k.root()); err != nil {
		return "", err
	}
	anew := k
	anew.id = id
	if err := t.auditByHand("retry_asked", anew, w, map[string]any{"from": k.id}); err != nil {
		return "", err
	}
	if k.account != "" && !due.After(t.now) {
		if err := t.makeDue(readyEntry{id: id, leaver: k.leaver}, k.account); err != nil {
			return "", err
		}
	}
	return "", t.heedEarlier(k.leaver, &intake{}) // a rehire of a later day is borne in mind
}

// takenBack says whether what was last said of a leaver takes the termination
// back.
func (t *tx) takenBack(leaver string) (bool, error) {
	ids, err := t.calling(leaver)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		c, err := t.cancelByID(id)
		if err != nil {
			return false, err
		}
		of, _, err := t.spokenOf(c)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(of, func(l leaving) bool { return l.last.leaver == leaver })
		if i < 0 || c.wordAt.Before(of[i].last.wordAt) || !t.ledger.mayTakeBack(of[i].last.announced, c.key) {
			continue
		}
		if c.inForce(of[i].last.effected, of[i].last.dueAt, t.now) {
			return true, nil
		}
	}
	return false, nil
}

// auditByHand puts a person's word on an entry on record.
func (t *tx) auditByHand(action string, k knownEntry, w ByHand, facts map[string]any) error {
	facts["account"], facts["state"] = k.account, string(k.state)
	return t.audit(row{action: action, entry: k.id, actor: w.By.Name, facts: facts, personal: map[string]string{"reason": w.Reason}})
}

// putOff is until when a termination leaves its leaver's due time put off by a
// person's word; the zero time if it does not.
func (t *tx) putOff(e consumer.Event, open ...knownEntry) time.Time {
	var latest time.Time
	for _, k := range open {
		if k.deferredUntil.After(latest) {
			latest = k.deferredUntil
		}
	}
	if e.Urgent || !latest.After(t.now) {
		return time.Time{}
	}
	return latest
}
