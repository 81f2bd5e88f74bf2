package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is why a plan, or one person of it, waits for somebody's word; a value
// of the metric label `reason`.
type Kind string

// The kinds of hold. Limit and FirstRun hold a whole plan, the others one
// person; an approval covers the kinds that its hold had.
const (
	Limit             Kind = "limit"
	FirstRun          Kind = "first_run"
	Self              Kind = "self" // the impersonated user: can only be skipped
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
	return []Kind{Self, Protected, FewAdministrators, Administrator, Ambiguous, Returned, NewerUser, Stale, FirstRun, Limit, Reopening}
}

// HoldState is where a hold stands.
type HoldState string

// The states of a hold.
const (
	HoldOpen     HoldState = "open"
	HoldApproved HoldState = "approved"
	HoldRejected HoldState = "rejected"
	HoldEnded    HoldState = "ended" // made anew at a start, or overtaken by events
)

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
	DecidedAt time.Time
	DecidedBy string
	Reason    string // of the person who decided
	Users     []HeldUser
	Reopens   []Reopen // of kind Reopening: what became of each user; their entries have the id alone
}

// HeldUser is one user that a hold names.
type HeldUser struct {
	Entry int64
	User
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
				h.Users = append(h.Users, HeldUser{r.Entry.ID, u})
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
		facts: map[string]any{"hold": h.ID, "kinds": h.Kinds, "users": userIDs(r.Users), "dry_run": h.DryRun}})
}

func (t *tx) insertHold(h Hold) error {
	if err := t.exec(`INSERT INTO holds (id, account, kinds, state, detail, digest, dry_run, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		h.ID, h.Account, joinKinds(h.Kinds), string(h.State), h.Detail, h.Digest, flag(h.DryRun), micros(h.CreatedAt)); err != nil {
		return err
	}
	for _, u := range h.Users {
		if err := t.exec(`INSERT INTO hold_users (hold, entry, user_id, email, scim) VALUES ($1, $2, $3, $4, $5)`,
			h.ID, u.Entry, u.ID, u.Email, flag(u.SCIM)); err != nil {
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
		AND NOT EXISTS (SELECT 1 FROM entries WHERE hold = $1 AND state = 'held')
		AND NOT EXISTS (SELECT 1 FROM reopens WHERE hold = $1 AND state = 'proposed')`, id, micros(t.now))
}

var (
	// ErrNoHold says that there is no hold of that id.
	ErrNoHold = errors.New("no such hold")

	// ErrDecided refuses a decision on a hold that is not open any more.
	ErrDecided = errors.New("the hold is not open any more")

	// ErrDryRun refuses a decision on a hold of a dry run, which ends with it.
	ErrDryRun = errors.New("the hold was made in a dry run, in which there is nothing to decide: it is made anew once the mode is close")

	// ErrSelf refuses to approve the close of the user that signoff signs in as.
	ErrSelf = errors.New("the user that signoff signs in as is never closed by it: reject the hold, and give the integration another user")
)

// Approve lets the people of a hold be closed, or opened again if it proposes
// that. by is the name of the person who
// says so.
func (l *Ledger) Approve(ctx context.Context, id int64, by, reason string) (Hold, error) {
	h, _, err := l.decide(ctx, id, HoldApproved, by, reason)
	return h, err
}

// Reject leaves the people of a hold open, for a reason: they are skipped. Of a
// proposed reopen it leaves them closed.
func (l *Ledger) Reject(ctx context.Context, id int64, by, reason string) (Hold, []Settled, error) {
	h, entries, err := l.decide(ctx, id, HoldRejected, by, reason)
	if err != nil {
		return h, nil, err
	}
	var settled []Settled
	for _, e := range entries {
		settled = append(settled, Settled{Entry: Entry{ID: e, Account: h.Account}, Outcome: Skipped, Reason: reason, At: h.DecidedAt})
	}
	return h, settled, nil
}

// decide returns the entries that the decision moved.
func (l *Ledger) decide(ctx context.Context, id int64, state HoldState, by, reason string) (h Hold, moved []int64, err error) {
	if h, err = l.Hold(ctx, id); err != nil {
		return h, nil, err
	}
	if h.DryRun {
		return h, nil, ErrDryRun
	}
	if state == HoldApproved && slices.Contains(h.Kinds, Self) {
		return h, nil, ErrSelf
	}
	err = l.write(ctx, func(t *tx) error {
		n, err := t.changed(`UPDATE holds SET state = $2, decided_at = $3, decided_by = $4, reason = $5 WHERE id = $1 AND state = 'open'`,
			id, string(state), micros(t.now), by, reason)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrDecided
		}
		h.State, h.DecidedAt, h.DecidedBy, h.Reason = state, t.now, by, reason
		if err := t.audit(row{action: "hold_" + string(state), actor: by,
			facts: map[string]any{"hold": id, "digest": h.Digest}, personal: map[string]string{"reason": reason}}); err != nil {
			return err
		}
		if moved, err = t.releaseEntries(h); err != nil {
			return err
		}
		return t.decideReopens(h)
	})
	if err != nil || len(h.Reopens) == 0 {
		return h, moved, err
	}
	h.Reopens, err = l.reopensOf(ctx, id)
	return h, moved, err
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

// Renew makes every open hold anew, but for those that propose a reopen: its people are due again and judged by the
// guard as it is configured now. Unless dryRun, what a dry run would have
// closed becomes due as well, and what was approved in it must be approved anew.
func (l *Ledger) Renew(ctx context.Context, dryRun bool) error {
	return l.write(ctx, func(t *tx) error {
		if err := t.exec(`UPDATE holds SET state = 'ended', decided_at = $1 WHERE state = 'open' AND kinds <> 'reopen'`, micros(t.now)); err != nil {
			return err
		}
		for state, due := range map[State]string{
			Held: `UPDATE entries SET state = 'due', hold = 0, reason = '' WHERE id = $1`,
			WouldClose: `UPDATE entries SET state = 'due', dry_run = 1,
				approvals_after = (SELECT COALESCE(MAX(id), 0) FROM holds) WHERE id = $1`,
		} {
			if state == WouldClose && dryRun {
				continue
			}
			ids, err := t.ids(`SELECT id FROM entries WHERE state = $1 ORDER BY id`, string(state))
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := t.exec(due, id); err != nil {
					return err
				}
				if err := t.audit(row{action: "renewed", entry: id, facts: map[string]any{"from": string(state)}}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// RunBefore says whether a plan of the account was ever sent or approved.
func (l *Ledger) RunBefore(ctx context.Context, account string) (bool, error) {
	var before bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM batches WHERE account = $1 AND result <> 'withdrawn')
		OR EXISTS (SELECT 1 FROM holds WHERE account = $1 AND state = 'approved' AND kinds LIKE '%first_run%')`, account).Scan(&before)
	return before, err
}

// Hold returns a hold with its users; ErrNoHold if there is none.
func (l *Ledger) Hold(ctx context.Context, id int64) (Hold, error) {
	all, err := l.holds(ctx, `WHERE id = $1`, id)
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
	return l.holds(ctx, `WHERE state = 'open' ORDER BY created_at, id`)
}

func (l *Ledger) holds(ctx context.Context, where string, args ...any) ([]Hold, error) {
	query := `SELECT id, account, kinds, state, detail, digest, dry_run, created_at, decided_at, decided_by, reason FROM holds ` + where //nolint:gosec // a constant of ours
	rows, err := l.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Hold
	for rows.Next() {
		var h Hold
		var kinds string
		var created, decided int64
		if err := rows.Scan(&h.ID, &h.Account, &kinds, &h.State, &h.Detail, &h.Digest, &h.DryRun,
			&created, &decided, &h.DecidedBy, &h.Reason); err != nil {
			return nil, err
		}
		for k := range strings.SplitSeq(kinds, ",") {
			h.Kinds = append(h.Kinds, Kind(k))
		}
		h.CreatedAt, h.DecidedAt = fromMicros(created), fromMicros(decided)
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Users, err = l.heldUsers(ctx, all[i]); err != nil {
			return nil, err
		}
		if !slices.Contains(all[i].Kinds, Reopening) {
			continue
		}
		if all[i].Reopens, err = l.reopensOf(ctx, all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// heldUsers returns the users that the hold names and, while it is open, still
// holds.
func (l *Ledger) heldUsers(ctx context.Context, h Hold) ([]HeldUser, error) {
	query := `SELECT u.entry, u.user_id, u.email, u.scim FROM hold_users u WHERE u.hold = $1 ORDER BY u.entry, u.user_id`
	if h.State == HoldOpen {
		query = `SELECT u.entry, u.user_id, u.email, u.scim FROM hold_users u JOIN entries e ON e.id = u.entry
			WHERE u.hold = $1 AND (e.hold = $1 AND e.state = 'held' OR EXISTS (SELECT 1 FROM reopens r
				WHERE r.hold = $1 AND r.entry = u.entry AND r.user_id = u.user_id AND r.state = 'proposed'))
			ORDER BY u.entry, u.user_id`
	}
	rows, err := l.read.QueryContext(ctx, query, h.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []HeldUser
	for rows.Next() {
		var u HeldUser
		if err := rows.Scan(&u.Entry, &u.ID, &u.Email, &u.SCIM); err != nil {
			return nil, err
		}
		all = append(all, u)
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
