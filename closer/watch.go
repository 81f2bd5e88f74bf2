package closer

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// watch looks again for those who were closed: a single sign-on may have made
// them anew, or an administrator opened them. Whoever is open is a new entry,
// which the guard holds. It takes only what plans leave of the quota, and what
// it cannot do now it does in a later run.
func (a *account) watch(ctx context.Context, now time.Time) error {
	entries, err := a.ledger.Watched(ctx, a.id, now)
	if err != nil || len(entries) == 0 {
		return err
	}
	api := a.api.For(docusign.Watching)
	asked := addresses(entries)
	found, cut := a.directory.Resolve(ctx, directory.Ask{
		Account: api, AccountID: a.id, Shared: a.sharedFor(len(asked)), Addresses: asked, Room: api.Room(), OpenOnly: true,
		Before: func(directory.Via) error {
			a.beat(time.Now())
			a.urgentFirst(ctx)
			return nil
		},
	})
	var looked []ledger.Entry
	returned := 0
	for _, e := range entries {
		a.beat(time.Now())
		open, known := openUsers(e, found)
		switch {
		case len(open) > 0:
			made, err := a.ledger.Returned(ctx, e, open)
			if err != nil {
				return err
			}
			if made {
				returned++
			}
		case known:
			looked = append(looked, e)
		}
		if err := a.ledger.SawLogins(ctx, e, closedUsers(e, found)); err != nil {
			return err
		}
	}
	if err := a.ledger.Looked(ctx, looked, now); err != nil {
		return err
	}
	if returned > 0 {
		a.log.Error("leavers who were closed are open again: held for a person, who should find out what opens them", zap.Int("leavers", returned))
	}
	if cut != nil && ctx.Err() == nil {
		a.metrics.Failure(a.id, docusign.Reason(cut))
		a.log.Info("the watch goes on in a later run", zap.Int("leavers", len(entries)-len(looked)-returned), zap.Error(cut))
	}
	var refused *docusign.Error
	if cut != nil && !errors.As(cut, &refused) {
		return cut
	}
	return nil
}

// openUsers are the open users of a leaver; known says that every address was
// asked for.
func openUsers(e ledger.Entry, found directory.Resolution) (open []ledger.User, known bool) {
	known = true
	seen := make(map[string]bool)
	for _, address := range e.Emails {
		users, ok := found.Users[address]
		known = known && ok
		for _, u := range users {
			if u.Open() && !seen[u.ID] {
				seen[u.ID] = true
				open = append(open, ledgerUser(u))
			}
		}
	}
	return open, known
}

// closedUsers are the closed users of a leaver, as far as they were seen: a
// reading of all open users shows none.
func closedUsers(e ledger.Entry, found directory.Resolution) (closed []ledger.User) {
	for _, address := range e.Emails {
		for _, u := range found.Users[address] {
			if !u.Open() {
				closed = append(closed, ledgerUser(u))
			}
		}
	}
	return closed
}
