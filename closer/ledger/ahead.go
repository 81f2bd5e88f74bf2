package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// lookAheadBy is how long before they are due leavers are looked for.
	lookAheadBy = 7 * 24 * time.Hour

	// unknownAgain is how long after a look-up that came to nothing another is made.
	unknownAgain = time.Hour
)

// Finding is what a look ahead found of an entry that waits, in one account: what
// would become of it once it is due.
type Finding struct {
	Entry   Entry
	Account string
	Outcome State  // Closed, Held, AlreadyClosed or NotFound; "": it could not be looked up
	Kinds   []Kind // why it would be held
	Detail  string // the same in words, or why it could not be looked up; nothing personal
	Users   []User // the open ones; read again, they have their ids alone
}

// Personal are the kinds that hold this one person.
func (f Finding) Personal() []Kind {
	return slices.DeleteFunc(slices.Clone(f.Kinds), func(k Kind) bool { return slices.Contains(planKinds, k) })
}

// words are the words of the finding in metrics and logs; none, if it is as it
// should be.
func (f Finding) words() []string {
	switch f.Outcome {
	case NotFound:
		return []string{string(NotFound)}
	case "":
		return []string{FindingUnknown}
	}
	var all []string
	for _, k := range f.Kinds {
		all = append(all, string(k))
	}
	return all
}

// FindingUnknown says of a leaver that they could not be looked up.
const FindingUnknown = "unknown"

// FindingWords are the values of the metric label `finding`.
func FindingWords() []string {
	all := []string{string(NotFound), FindingUnknown}
	for _, k := range Kinds() {
		if k != Returned && k != Reopening { // of whom nothing waits
			all = append(all, string(k))
		}
	}
	return all
}

// WordsOf are the words of all that was found of one entry: it is not found where
// no account knows a user.
func WordsOf(findings []Finding) []string {
	words := make(map[string]bool)
	nowhere := true
	for _, f := range findings {
		nowhere = nowhere && f.Outcome == NotFound
		for _, w := range f.words() {
			words[w] = true
		}
	}
	if !nowhere {
		delete(words, string(NotFound))
	}
	return slices.Sorted(maps.Keys(words))
}

// countAhead counts the leavers of whom something was found ahead.
func (l *Ledger) countAhead(ctx context.Context) (map[string]int, error) {
	findings, err := l.Findings(ctx)
	of := make(map[int64][]Finding)
	for _, f := range findings {
		of[f.Entry.ID] = append(of[f.Entry.ID], f)
	}
	counts := make(map[string]int)
	for _, one := range of {
		for _, word := range WordsOf(one) {
			counts[word]++
		}
	}
	return counts, err
}

// aheadIn says of an entry that waits that the account $1 will be looked at for
// it: not where another entry of the leaver is open by then, which will be told of
// it, nor where a person has refused it.
const aheadIn = `state = 'waiting' AND account IN ('', $1)
	AND NOT (account = '' AND EXISTS (SELECT 1 FROM entries o WHERE o.leaver = entries.leaver AND o.account = $1
		AND o.state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed')))
	AND NOT EXISTS (` + refusal + `)`

// refusal finds the entry by which a person has refused ahead that an entry leads
// to anything in the account $1. It counts until the leaving day is moved, or the
// leaver turns out to have another address.
const refusal = `SELECT r.id FROM entries r WHERE r.split_from = CASE entries.split_from WHEN 0 THEN entries.id ELSE entries.split_from END
	AND r.account = $1 AND r.state = 'skipped' AND r.emails = entries.emails AND r.hold > entries.approvals_after`

// LookAhead returns the entries that are due within a week, and later than soon, and
// are to be looked for in the account now: daily. Who is due first comes first.
// Approvals are those that are good when they are due.
func (l *Ledger) LookAhead(ctx context.Context, account string, now, soon time.Time) ([]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE `+aheadIn+` AND due_at > $2 AND due_at <= $3
		AND NOT EXISTS (SELECT 1 FROM ahead a WHERE a.entry = entries.id AND a.account = $1 AND a.looked_at > $4)
		ORDER BY due_at, id`, account, micros(soon), micros(now.Add(lookAheadBy)), micros(now.Add(-lookAgain)))
	if err != nil {
		return nil, err
	}
	entries, err := scanEntries(rows)
	if err != nil {
		return nil, err
	}
	return entries, l.approvalsAhead(ctx, account, entries, time.Time{})
}

// approvalsAhead gives entries that wait the approved holds that are good when
// they are due or, if that is later, at that time.
func (l *Ledger) approvalsAhead(ctx context.Context, account string, entries []Entry, at time.Time) error {
	return l.giveApprovals(ctx, account, entries, at, `e.state = 'waiting' AND e.account IN ('', $1)
		AND h.valid_from <= MAX(e.due_at, $2) AND h.expires_at > e.due_at`)
}

// Findings returns what was found ahead, in all accounts, of the entries that
// still wait, who is due first before others.
func (l *Ledger) Findings(ctx context.Context) ([]Finding, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT a.entry, a.account, a.outcome, a.kinds, a.detail, a.users, e.due_at FROM ahead a
		JOIN entries e ON e.id = a.entry WHERE e.state = 'waiting' ORDER BY e.due_at, a.entry, a.account`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Finding
	for rows.Next() {
		var f Finding
		var kinds, users string
		var due int64
		if err := rows.Scan(&f.Entry.ID, &f.Account, &f.Outcome, &kinds, &f.Detail, &users, &due); err != nil {
			return nil, err
		}
		var ids []string
		if err := json.Unmarshal([]byte(users), &ids); err != nil {
			return nil, fmt.Errorf("ahead of entry %d: users: %w", f.Entry.ID, err)
		}
		for _, id := range ids {
			f.Users = append(f.Users, User{ID: id})
		}
		f.Kinds, f.Entry.DueAt = splitKinds(kinds), fromMicros(due)
		all = append(all, f)
	}
	return all, rows.Err()
}

// Waiting returns the entries that wait and whom a look ahead in the account has
// found, with the approvals that are good when they are due.
func (l *Ledger) Waiting(ctx context.Context, account string) (map[int64]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE state = 'waiting' AND id IN (SELECT entry FROM ahead WHERE account = $1)`, account)
	if err != nil {
		return nil, err
	}
	entries, err := scanEntries(rows)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]Entry, len(entries))
	if err := l.approvalsAhead(ctx, account, entries, time.Time{}); err != nil {
		return nil, err
	}
	for _, e := range entries {
		byID[e.ID] = e
	}
	return byID, nil
}

// Foresee writes what was found ahead in an account, and returns what is not as it
// was. Looked are the entries that were looked for now; of the others only the plan
// that they will be in was judged anew. Who would be held for what they are waits
// for a person from now on, in a hold that can be decided for as long as good after
// they are due; good 0 makes no holds.
func (l *Ledger) Foresee(ctx context.Context, findings []Finding, looked map[int64]bool, good time.Duration) (changed []Finding, err error) {
	for together := range slices.Chunk(findings, dueTogether) {
		var part []Finding
		err := l.write(ctx, func(t *tx) error {
			part = nil
			for _, f := range together {
				differs, err := t.foresee(f, looked[f.Entry.ID], good)
				if err != nil {
					return err
				}
				if differs {
					part = append(part, f)
				}
			}
			return nil
		})
		if err != nil {
			return changed, err
		}
		changed = append(changed, part...)
	}
	return changed, nil
}

// foresee says whether a finding is news. One of an entry that has changed since it
// was read is dropped.
func (t *tx) foresee(f Finding, looked bool, good time.Duration) (changed bool, err error) {
	var same bool
	if err := t.one(`SELECT EXISTS (SELECT 1 FROM entries WHERE id = $1 AND state = 'waiting' AND emails = $2 AND due_at = $3)`,
		[]any{f.Entry.ID, f.Entry.emails, micros(f.Entry.DueAt)}, &same); err != nil || !same {
		return false, err
	}
	facts := map[string]any{"account": f.Account, "outcome": string(f.Outcome), "kinds": f.Kinds}
	var hold int64
	if looked && good > 0 && f.Outcome != "" {
		if hold, err = t.holdAhead(f, good); err != nil {
			return false, err
		}
		if hold != 0 {
			facts["hold"], facts["users"] = hold, userIDs(f.Users)
		}
	}
	var outcome, kinds string
	var at int64
	err = t.one(`SELECT outcome, kinds, looked_at FROM ahead WHERE entry = $1 AND account = $2`, []any{f.Entry.ID, f.Account}, &outcome, &kinds, &at)
	first := errors.Is(err, sql.ErrNoRows)
	if err != nil && !first {
		return false, err
	}
	changed = first || outcome != string(f.Outcome) || kinds != joinKinds(f.Kinds)
	switch {
	case !looked && !changed:
		return false, nil
	case looked && f.Outcome == "":
		at = micros(t.now.Add(unknownAgain - lookAgain))
	case looked:
		at = micros(t.now)
	}
	users, err := json.Marshal(userIDs(f.Users))
	if err != nil {
		return false, err
	}
	if err := t.exec(`INSERT INTO ahead (entry, account, outcome, kinds, detail, users, looked_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (entry, account) DO UPDATE SET outcome = $3, kinds = $4, detail = $5, users = $6, looked_at = $7`,
		f.Entry.ID, f.Account, string(f.Outcome), joinKinds(f.Kinds), f.Detail, string(users), at); err != nil {
		return false, err
	}
	if !changed && hold == 0 {
		return false, nil
	}
	return changed, t.audit(row{action: "ahead", entry: f.Entry.ID, facts: facts})
}

// holdAhead has a person asked about an entry before it is due, if what was found
// of it is not asked about already, and returns the new hold. What was asked of
// other users, or is no question any more, ends.
func (t *tx) holdAhead(f Finding, good time.Duration) (int64, error) {
	open, err := t.openAhead(f.Entry.ID, f.Account)
	if err != nil {
		return 0, err
	}
	kinds := f.Personal()
	for _, h := range open {
		switch {
		case len(kinds) > 0 && sameUsers(h, f.Users) && !slices.ContainsFunc(kinds, func(k Kind) bool { return !slices.Contains(h.Kinds, k) }):
			return 0, nil
		case len(kinds) == 0 && slices.Contains(h.Kinds, Self): // by their address; the account may know them by another
			continue
		}
		if err := t.expire(h.ID); err != nil {
			return 0, err
		}
	}
	if len(kinds) == 0 {
		return 0, nil
	}
	return t.makeAhead(f, kinds, good)
}

func (t *tx) makeAhead(f Finding, kinds []Kind, good time.Duration) (int64, error) {
	id, err := t.nextID("holds")
	if err != nil {
		return 0, err
	}
	h := Hold{ID: id, Account: f.Account, Kinds: kinds, State: HoldOpen, Detail: f.Detail, CreatedAt: t.now,
		Ahead: true, ValidFrom: f.Entry.DueAt, ExpiresAt: f.Entry.DueAt.Add(good)}
	for _, u := range f.Users {
		h.Users = append(h.Users, HeldUser{Entry: f.Entry.ID, User: u})
	}
	h.Digest = digest(h.Account, h.Users)
	return id, t.insertHold(h)
}

// openAhead are the open holds in which a person is asked, ahead, about this entry
// for what they are.
func (t *tx) openAhead(entry int64, account string) ([]Hold, error) {
	return holdsOf(t.ctx, t.conn, `WHERE state = 'open' AND ahead = 1 AND account = $2 AND kinds <> '`+joinKinds(planKinds)+`'
		AND id > (SELECT approvals_after FROM entries WHERE id = $1)
		AND EXISTS (SELECT 1 FROM hold_users u WHERE u.hold = holds.id AND u.entry = $1)`, entry, account)
}

func sameUsers(h Hold, users []User) bool {
	return len(h.Users) == len(users) && !slices.ContainsFunc(users, func(u User) bool { return !h.names(u.ID) })
}

// expire ends an open hold that has nothing left to decide.
func (t *tx) expire(hold int64) error {
	if err := t.exec(`UPDATE holds SET state = 'ended', decided_at = $2 WHERE id = $1 AND state = 'open'`, hold, micros(t.now)); err != nil {
		return err
	}
	return t.audit(row{action: "hold_expired", facts: map[string]any{"hold": hold}})
}

// ExpireAhead ends the open holds ahead whose people are due by now, or leave on
// another day or not at all, and forgets what was found of those who do not wait
// any more, or not in these accounts.
func (l *Ledger) ExpireAhead(ctx context.Context, accounts []string, now time.Time) error {
	ids, err := json.Marshal(accounts)
	if err != nil {
		return err
	}
	const (
		over = `SELECT h.id FROM holds h WHERE h.ahead = 1 AND h.state = 'open' AND NOT EXISTS (
			SELECT 1 FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = h.id AND ` + stillHeld + `)`
		gone = `FROM ahead WHERE account NOT IN (SELECT value FROM json_each($1))
			OR NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = ahead.entry AND e.state = 'waiting' AND e.due_at <= $2)`
	)
	horizon := micros(now.Add(lookAheadBy))
	var some bool
	if err := l.read.QueryRowContext(ctx, `SELECT EXISTS (`+over+`) OR EXISTS (SELECT 1 `+gone+`)`, string(ids), horizon).Scan(&some); err != nil {
		return err
	}
	if !some {
		return nil
	}
	return l.write(ctx, func(t *tx) error {
		holds, err := t.ids(over + ` ORDER BY h.id`)
		if err != nil {
			return err
		}
		for _, id := range holds {
			if err := t.expire(id); err != nil {
				return err
			}
		}
		return t.exec(`DELETE `+gone, string(ids), horizon)
	})
}

// voidAhead lets nothing that was found or said of an entry ahead count any more:
// its leaving day is another.
func (t *tx) voidAhead(entry int64) error {
	if err := t.exec(`UPDATE entries SET approvals_after = (SELECT COALESCE(MAX(id), 0) FROM holds) WHERE id = $1`, entry); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM ahead WHERE entry = $1`, entry); err != nil {
		return err
	}
	return t.endAhead(entry)
}

// endAhead ends the open holds ahead of an entry that ask about nobody else.
func (t *tx) endAhead(entry int64) error {
	holds, err := t.ids(`SELECT h.id FROM holds h WHERE h.ahead = 1 AND h.state = 'open' AND h.id IN (SELECT hold FROM hold_users WHERE entry = $1)
		AND NOT EXISTS (SELECT 1 FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = h.id AND `+stillHeld+`) ORDER BY h.id`, entry)
	if err != nil {
		return err
	}
	for _, id := range holds {
		if err := t.expire(id); err != nil {
			return err
		}
	}
	return nil
}

// skipAhead skips the people of a hold whom a person refused before they are due,
// and returns their entries. Where a leaver waits for several accounts, the refusal
// is an entry of its own: the others still look.
func (t *tx) skipAhead(h Hold) (skipped []int64, err error) {
	entries, err := t.ids(`SELECT DISTINCT e.id FROM hold_users u JOIN entries e ON e.id = u.entry
		WHERE u.hold = $1 AND e.state = 'waiting' AND e.approvals_after < $1 ORDER BY e.id`, h.ID)
	if err != nil {
		return nil, err
	}
	for _, id := range entries {
		alone, err := t.waitsForAlone(id, h.Account)
		if err != nil {
			return nil, err
		}
		if !alone {
			if id, err = t.splitSkipped(id, h.Account); err != nil {
				return nil, err
			}
		}
		if err := t.exec(`UPDATE entries SET state = 'skipped', account = $2, hold = $3, reason = $4, settled_at = $5 WHERE id = $1`,
			id, h.Account, h.ID, h.Reason, micros(t.now)); err != nil {
			return nil, err
		}
		if err := t.audit(row{action: string(HoldRejected), entry: id, actor: h.DecidedBy, facts: map[string]any{"hold": h.ID, "ahead": true}}); err != nil {
			return nil, err
		}
		if err := t.endAhead(id); err != nil {
			return nil, err
		}
		skipped = append(skipped, id)
	}
	return skipped, nil
}

// waitsForAlone says whether an entry waits for this account and no other.
func (t *tx) waitsForAlone(entry int64, account string) (bool, error) {
	var of, accounts string
	if err := t.one(`SELECT account, COALESCE((SELECT value FROM facts WHERE name = $2), '') FROM entries WHERE id = $1`,
		[]any{entry, factAccounts}, &of, &accounts); err != nil {
		return false, err
	}
	sole, err := json.Marshal([]string{account})
	return of == account || accounts == string(sole), err
}

// splitSkipped makes an entry of the same leaving in an account, that is settled
// already.
func (t *tx) splitSkipped(from int64, account string) (int64, error) {
	id, err := t.nextID("entries")
	if err != nil {
		return 0, err
	}
	return id, t.exec(`INSERT INTO entries (id, account, state, split_from, stale, due_at, received_at, `+person+`)
		SELECT $2, $3, 'skipped', CASE split_from WHEN 0 THEN id ELSE split_from END, stale, due_at, received_at, `+person+`
		FROM entries WHERE id = $1`, from, id, account)
}

// refusedAhead returns the entry by which a person has refused ahead that this one
// leads to anything in the account; 0 if nobody has.
func (t *tx) refusedAhead(entry int64, account string) (int64, error) {
	ids, err := t.ids(`SELECT COALESCE((`+refusal+` LIMIT 1), 0) FROM entries WHERE id = $2`, account, entry)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return ids[0], nil
}

// factSelf is whom signoff signs in as, as JSON.
const factSelf = "self"

// SetSelf keeps whom signoff signs in as, by address.
func (l *Ledger) SetSelf(ctx context.Context, u User) error {
	value, err := json.Marshal(User{ID: u.ID, Email: strings.ToLower(strings.TrimSpace(u.Email))})
	if err != nil {
		return err
	}
	if known, err := l.fact(ctx, factSelf); err != nil || known == string(value) {
		return err
	}
	return l.setFact(ctx, factSelf, string(value))
}

// SelfLeaving returns the open entries in the account, and those that wait for it,
// by which the user leaves that signoff signs in as, however far ahead.
func (l *Ledger) SelfLeaving(ctx context.Context, account string) (self User, entries []Entry, err error) {
	value, err := l.fact(ctx, factSelf)
	if err != nil || value == "" {
		return self, nil, err
	}
	if err := json.Unmarshal([]byte(value), &self); err != nil || self.Email == "" {
		return self, nil, err
	}
	quoted, err := json.Marshal(self.Email)
	if err != nil {
		return self, nil, err
	}
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries WHERE instr(emails, $2) > 0
		AND (`+aheadIn+` OR account = $1 AND state IN ('due', 'held', 'submitted', 'would_close', 'failed')) ORDER BY due_at, id`, account, string(quoted))
	if err != nil {
		return self, nil, err
	}
	entries, err = scanEntries(rows)
	return self, entries, err
}

// HoldSelf has a person told, by a hold that can only be rejected, that the user
// will leave whom signoff signs in as. It makes one, and says so, unless there is
// one or the entry does not wait any more.
func (l *Ledger) HoldSelf(ctx context.Context, account string, e Entry, self User, detail string, good time.Duration) (made bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		made = false
		open, err := t.openAhead(e.ID, account)
		if err != nil || slices.ContainsFunc(open, func(h Hold) bool { return slices.Contains(h.Kinds, Self) }) {
			return err
		}
		var waits bool
		if err := t.one(`SELECT EXISTS (SELECT 1 FROM entries WHERE id = $1 AND state = 'waiting')`, []any{e.ID}, &waits); err != nil || !waits {
			return err
		}
		id, err := t.makeAhead(Finding{Entry: e, Account: account, Detail: detail, Users: []User{self}}, []Kind{Self}, good)
		if err != nil {
			return err
		}
		made = true
		return t.audit(row{action: "ahead", entry: e.ID, facts: map[string]any{"account": account, "outcome": string(Held),
			"kinds": []Kind{Self}, "hold": id, "users": []string{self.ID}}})
	})
	return made, err
}

// splitKinds is what joinKinds joined.
func splitKinds(text string) []Kind {
	var kinds []Kind
	for k := range strings.SplitSeq(text, ",") {
		if k != "" {
			kinds = append(kinds, Kind(k))
		}
	}
	return kinds
}
