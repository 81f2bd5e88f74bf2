package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is why a plan, or one person of it, waits for somebody's word; a value
// of the metric label `reason`.
type Kind string

// The kinds of hold. Limit, FirstRun and Frozen hold a whole plan, the others one
// person; an approval covers the kinds that its hold had.
const (
	Limit             Kind = "limit"
	FirstRun          Kind = "first_run"
	Frozen            Kind = "freeze" // a person has said that nothing is closed until a certain time
	Self              Kind = "self"   // the impersonated user: can only be skipped
	Protected         Kind = "protected"
	Administrator     Kind = "administrator"
	FewAdministrators Kind = "few_administrators" // too few would be left
	Ambiguous         Kind = "ambiguous"
	Returned          Kind = "returned" // was closed before, and is open again
	NewerUser         Kind = "newer_user"
	Stale             Kind = "stale"
	Reopening         Kind = "reopen" // names those whom signoff closed: an approval opens them again
)

// Kinds lists every Kind, the gravest first.
func Kinds() []Kind {
	return []Kind{Self, Protected, FewAdministrators, Administrator, Ambiguous, Returned, NewerUser, Stale, FirstRun, Limit, Frozen, Reopening}
}

// HoldState is where a hold stands.
type HoldState string

// The states of a hold.
const (
	HoldOpen     HoldState = "open"
	HoldApproved HoldState = "approved"
	HoldRejected HoldState = "rejected"
	HoldEnded    HoldState = "ended" // judged anew, or overtaken by events
)

// HoldStates lists every HoldState.
func HoldStates() []HoldState {
	return []HoldState{HoldOpen, HoldApproved, HoldRejected, HoldEnded}
}

// Hold is a plan that waits for a person, frozen when it was made.
type Hold struct {
	ID        int64
	Account   string
	Kinds     []Kind // the gravest first
	State     HoldState
	Detail    string // what exactly; nothing personal
	Digest    string // SHA-256 of the account and the users, hex
	DryRun    bool
	CreatedAt time.Time // since when the first of its people is held
	Parent    int64     // the hold that its people were taken out of; 0: none

	Ahead     bool      // its people are not due yet
	ValidFrom time.Time // an approval is not good before; zero: it is at once
	ExpiresAt time.Time // nor from then on; zero while there is none

	Approvals []Approval // so far, the oldest first
	DecidedAt time.Time
	DecidedBy string // the last one whose approval was needed, or who rejected it
	Reason    string // of that person
	Users     []HeldUser
	Named     int      // how many users, where Users is left out
	Reopens   []Reopen // of kind Reopening: what became of each user; their entries have the id alone
}

// Approval is one person's yes to a hold.
type Approval struct {
	By     string
	Reason string
	At     time.Time
}

// HeldUser is one user that a hold names.
type HeldUser struct {
	Entry int64
	User

	// Of the entry, as it is when the hold is read.
	Name        string // "" if it has none, or once it was erased
	EffectiveAt time.Time
	State       State
}

func (h *Hold) names(user string) bool {
	return slices.ContainsFunc(h.Users, func(u HeldUser) bool { return u.ID == user })
}

// MakeHold holds these people for a person to decide. It takes only entries
// that are still due; its ID is 0 if there are none.
func (l *Ledger) MakeHold(ctx context.Context, account string, kinds []Kind, detail string, dryRun bool, plan []Resolved) (Hold, error) {
	h := Hold{Account: account, Kinds: kinds, State: HoldOpen, Detail: detail, DryRun: dryRun}
	err := l.write(ctx, func(t *tx) error {
		id, err := t.nextID("holds")
		if err != nil {
			return err
		}
		h.ID, h.Users, h.CreatedAt = id, nil, t.now
		for _, r := range plan {
			since, err := t.holdEntry(r, h)
			if err != nil {
				return err
			}
			if since.IsZero() {
				continue
			}
			if since.Before(h.CreatedAt) {
				h.CreatedAt = since
			}
			for _, u := range r.Users {
				h.Users = append(h.Users, HeldUser{Entry: r.Entry.ID, User: u})
			}
		}
		if len(h.Users) == 0 {
			h.ID = 0
			return nil
		}
		h.Digest = digest(account, h.Users)
		return t.insertHold(h)
	})
	return h, err
}

// holdEntry returns since when the entry is held, zero if it was not due.
func (t *tx) holdEntry(r Resolved, h Hold) (time.Time, error) {
	n, err := t.changed(`UPDATE entries SET state = 'held', hold = $2, reason = $3,
		held_at = CASE WHEN held_at = 0 THEN $4 ELSE held_at END WHERE id = $1 AND state = 'due' AND emails = $5`,
		r.Entry.ID, h.ID, string(h.Kinds[0]), micros(t.now), r.Entry.emails)
	if err != nil || n == 0 {
		return time.Time{}, err
	}
	var since int64
	if err := t.one(`SELECT held_at FROM entries WHERE id = $1`, []any{r.Entry.ID}, &since); err != nil {
		return time.Time{}, err
	}
	return fromMicros(since), t.audit(row{action: "held", entry: r.Entry.ID,
		facts: withLogins(map[string]any{"hold": h.ID, "kinds": h.Kinds, "users": userIDs(r.Users), "dry_run": h.DryRun}, r.Users)})
}

func (t *tx) insertHold(h Hold) error {
	if err := t.exec(`INSERT INTO holds (id, account, kinds, state, detail, digest, dry_run, created_at, parent, ahead, valid_from, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		h.ID, h.Account, joinKinds(h.Kinds), string(h.State), h.Detail, h.Digest, flag(h.DryRun), micros(h.CreatedAt),
		h.Parent, flag(h.Ahead), micros(h.ValidFrom), micros(h.ExpiresAt)); err != nil {
		return err
	}
	for _, u := range h.Users {
		if err := t.exec(`INSERT INTO hold_users (hold, entry, user_id, email, scim, last_login) VALUES ($1, $2, $3, $4, $5, $6)`,
			h.ID, u.Entry, u.ID, u.Email, flag(u.SCIM), micros(u.LastLogin)); err != nil {
			return err
		}
	}
	return nil
}

// digest is SHA-256 over a line for each user: account, userId, email.
func digest(account string, users []HeldUser) string {
	var lines []string
	for _, u := range users {
		lines = append(lines, account+"\t"+u.ID+"\t"+u.Email+"\n")
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(lines), "")))
	return hex.EncodeToString(sum[:])
}

// endEmptyHold ends a hold that holds nobody any more: there is nothing left
// to decide.
func (t *tx) endEmptyHold(id int64) error {
	return t.exec(`UPDATE holds SET state = 'ended', decided_at = $2 WHERE id = $1 AND state = 'open'
		AND NOT EXISTS (SELECT 1 FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = $1 AND `+stillHeld+`)`, id, micros(t.now))
}

// Renew has every open hold judged anew if policy, by which the guard judges, is
// another than it was last time: its people are due again. A proposed reopen stays.
// Unless dryRun, what a dry run would have closed becomes due as well, and what
// was approved in it must be approved anew.
func (l *Ledger) Renew(ctx context.Context, dryRun bool, policy string) error {
	const fact = "policy"
	policy = fmt.Sprintf("dry_run=%t %s", dryRun, policy)
	last, err := l.fact(ctx, fact)
	if err != nil {
		return err
	}
	return l.write(ctx, func(t *tx) error {
		if last != policy {
			if err := t.judgeAnew(`kinds <> 'reopen' AND ahead = 0`); err != nil {
				return err
			}
			if err := t.exec(`UPDATE ahead SET looked_at = 0`); err != nil {
				return err
			}
		}
		if !dryRun {
			if err := t.endDryRun(); err != nil {
				return err
			}
		}
		return t.setFact(fact, policy)
	})
}

// judgeAnew ends these of the open holds, and makes their people due again.
func (t *tx) judgeAnew(which string, args ...any) error {
	holds, err := t.ids(`SELECT id FROM holds WHERE state = 'open' AND `+which+` ORDER BY id`, args...)
	if err != nil {
		return err
	}
	for _, hold := range holds {
		entries, err := t.ids(`SELECT id FROM entries WHERE hold = $1 AND state = 'held' ORDER BY id`, hold)
		if err != nil {
			return err
		}
		for _, id := range entries {
			if err := t.exec(`UPDATE entries SET state = 'due', hold = 0, reason = '' WHERE id = $1`, id); err != nil {
				return err
			}
			if err := t.audit(row{action: "renewed", entry: id, facts: map[string]any{"from": string(Held), "hold": hold}}); err != nil {
				return err
			}
		}
		if err := t.exec(`UPDATE holds SET state = 'ended', decided_at = $2 WHERE id = $1`, hold, micros(t.now)); err != nil {
			return err
		}
	}
	return nil
}

// endDryRun makes due what a dry run would have closed.
func (t *tx) endDryRun() error {
	entries, err := t.ids(`SELECT id FROM entries WHERE state = 'would_close' ORDER BY id`)
	if err != nil {
		return err
	}
	for _, id := range entries {
		if err := t.exec(`UPDATE entries SET state = 'due', dry_run = 1,
			approvals_after = (SELECT COALESCE(MAX(id), 0) FROM holds) WHERE id = $1`, id); err != nil {
			return err
		}
		if err := t.audit(row{action: "renewed", entry: id, facts: map[string]any{"from": string(WouldClose)}}); err != nil {
			return err
		}
	}
	return nil
}

// RunBefore says whether a plan of the account was ever sent or approved, as far as
// the approval is good by now.
func (l *Ledger) RunBefore(ctx context.Context, account string) (bool, error) {
	var before bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM batches WHERE account = $1 AND result <> 'withdrawn')
		OR EXISTS (SELECT 1 FROM holds WHERE account = $1 AND state = 'approved' AND kinds LIKE '%first_run%' AND valid_from <= $2)`,
		account, micros(time.Now())).Scan(&before)
	return before, err
}

// Hold returns a hold with its users; ErrNoHold if there is none.
func (l *Ledger) Hold(ctx context.Context, id int64) (Hold, error) {
	return findHold(ctx, l.read, id)
}

func findHold(ctx context.Context, q querier, id int64) (Hold, error) {
	all, err := holdsOf(ctx, q, `WHERE id = $1`, id)
	if err != nil {
		return Hold{}, err
	}
	if len(all) == 0 {
		return Hold{}, fmt.Errorf("hold %d: %w", id, ErrNoHold)
	}
	return all[0], nil
}

// OpenHolds returns the holds that wait for a decision, the oldest first.
func (l *Ledger) OpenHolds(ctx context.Context) ([]Hold, error) {
	return holdsOf(ctx, l.read, `WHERE state = 'open' ORDER BY created_at, id`)
}

// HoldFilter says which holds to list; the zero value is about all of them.
type HoldFilter struct {
	States []HoldState // any of these; none: whichever
	Kind   Kind        // the gravest of the hold; "": whichever
	Ahead  *bool       // whether its people are not due yet; nil: whichever
	Before int64       // only those made before the hold of this id; 0: from the newest on
	Limit  int         // 0: all of them
	Brief  bool        // how many users each has, not who they are
}

// Validate refuses words that no hold can have: by them a list would be empty, which
// looks as if nobody waited.
func (f HoldFilter) Validate() error {
	for _, s := range f.States {
		if !slices.Contains(HoldStates(), s) {
			return fmt.Errorf("state: %q: none of %v, nor decided", string(s), HoldStates())
		}
	}
	if f.Kind != "" && !slices.Contains(Kinds(), f.Kind) {
		return fmt.Errorf("kind: %q: none of %v", string(f.Kind), Kinds())
	}
	return nil
}

// ListHolds lists holds, the newest first.
func (l *Ledger) ListHolds(ctx context.Context, f HoldFilter) ([]Hold, error) {
	where, args := `WHERE ($1 = 0 OR id < $1) AND ($2 = '' OR kinds = $2 OR kinds LIKE $2 || ',%') AND ($3 < 0 OR ahead = $3)`, []any{f.Before, string(f.Kind), -1}
	if f.Ahead != nil {
		args[2] = flag(*f.Ahead)
	}
	var in []string
	for _, s := range f.States {
		args = append(args, string(s))
		in = append(in, fmt.Sprint("$", len(args)))
	}
	if len(in) > 0 {
		where += ` AND state IN (` + strings.Join(in, `, `) + `)`
	}
	where += ` ORDER BY id DESC`
	if f.Limit > 0 {
		where += fmt.Sprintf(` LIMIT $%d`, len(args)+1)
		args = append(args, f.Limit)
	}
	if !f.Brief {
		return holdsOf(ctx, l.read, where, args...)
	}
	all, err := scanHolds(ctx, l.read, where, args...)
	for i := range all {
		if all[i].Named, err = countHeld(ctx, l.read, all[i]); err != nil {
			return nil, err
		}
		if all[i].Approvals, err = approvalsOf(ctx, l.read, all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, err
}

func holdsOf(ctx context.Context, q querier, where string, args ...any) ([]Hold, error) {
	all, err := scanHolds(ctx, q, where, args...)
	for i := range all {
		h := &all[i]
		if h.Users, err = heldUsers(ctx, q, *h); err != nil {
			return nil, err
		}
		if h.Approvals, err = approvalsOf(ctx, q, h.ID); err != nil {
			return nil, err
		}
		if !slices.Contains(h.Kinds, Reopening) {
			continue
		}
		if h.Reopens, err = reopensOf(ctx, q, h.ID); err != nil {
			return nil, err
		}
	}
	return all, err
}

func scanHolds(ctx context.Context, q querier, where string, args ...any) ([]Hold, error) {
	const columns = `id, account, kinds, state, detail, digest, dry_run, created_at, decided_at, decided_by, reason, parent, ahead, valid_from, expires_at`
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM holds `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Hold
	for rows.Next() {
		var h Hold
		var kinds string
		var created, decided, from, expires int64
		if err := rows.Scan(&h.ID, &h.Account, &kinds, &h.State, &h.Detail, &h.Digest, &h.DryRun,
			&created, &decided, &h.DecidedBy, &h.Reason, &h.Parent, &h.Ahead, &from, &expires); err != nil {
			return nil, err
		}
		for k := range strings.SplitSeq(kinds, ",") {
			h.Kinds = append(h.Kinds, Kind(k))
		}
		h.CreatedAt, h.DecidedAt, h.ValidFrom, h.ExpiresAt = fromMicros(created), fromMicros(decided), fromMicros(from), fromMicros(expires)
		all = append(all, h)
	}
	return all, rows.Err()
}

// countHeld counts those whom heldUsers returns.
func countHeld(ctx context.Context, q querier, h Hold) (n int, err error) {
	err = q.QueryRowContext(ctx, `SELECT COUNT(*) `+namedBy(h), h.ID).Scan(&n)
	return n, err
}

// namedBy finds whom a hold names.
func namedBy(h Hold) string {
	which := `true`
	switch h.State {
	case HoldOpen:
		which = stillHeld
	case HoldApproved, HoldRejected:
		which = `u.decided = 1`
	}
	return `FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = $1 AND ` + which
}

// heldUsers returns the users that the hold names: while it is open, those that it
// still holds; once it is decided, those that it held then.
func heldUsers(ctx context.Context, q querier, h Hold) ([]HeldUser, error) {
	query := `SELECT u.entry, u.user_id, u.email, u.scim, u.last_login, e.given_name, e.family_name, e.effective_at, e.state ` + namedBy(h) + ` ORDER BY u.entry, u.user_id`
	rows, err := q.QueryContext(ctx, query, h.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []HeldUser
	for rows.Next() {
		var u HeldUser
		var last, leaves int64
		var given, family string
		if err := rows.Scan(&u.Entry, &u.ID, &u.Email, &u.SCIM, &last, &given, &family, &leaves, &u.State); err != nil {
			return nil, err
		}
		u.LastLogin, u.Name, u.EffectiveAt = fromMicros(last), strings.TrimSpace(given+" "+family), fromMicros(leaves)
		all = append(all, u)
	}
	return all, rows.Err()
}

// stillHeld says of a user u of an open hold, and of its entry e, that there is
// something left to decide about them.
const stillHeld = `(e.hold = u.hold AND e.state = 'held'
	OR EXISTS (SELECT 1 FROM reopens r WHERE r.hold = u.hold AND r.entry = u.entry AND r.user_id = u.user_id AND r.state = 'proposed')
	OR e.state = 'waiting' AND u.hold > e.approvals_after AND EXISTS (SELECT 1 FROM holds h WHERE h.id = u.hold AND h.ahead = 1))`

func approvalsOf(ctx context.Context, q querier, hold int64) ([]Approval, error) {
	rows, err := q.QueryContext(ctx, `SELECT person, reason, at FROM approvals WHERE hold = $1 ORDER BY at, person`, hold)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Approval
	for rows.Next() {
		var a Approval
		var at int64
		if err := rows.Scan(&a.By, &a.Reason, &at); err != nil {
			return nil, err
		}
		a.At = fromMicros(at)
		all = append(all, a)
	}
	return all, rows.Err()
}

func joinKinds(kinds []Kind) string {
	words := make([]string, 0, len(kinds))
	for _, k := range kinds {
		words = append(words, string(k))
	}
	return strings.Join(words, ",")
}
