package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// factAccounts is the fact that has the accounts which leavers are closed in.
const factAccounts = "accounts"

// KeepAccounts keeps which accounts leavers are closed in, as the closer has found
// them. Of others what was known is forgotten, but for their entries.
func (l *Ledger) KeepAccounts(ctx context.Context, ids []string) error {
	value, err := json.Marshal(slices.Sorted(slices.Values(ids)))
	if err != nil {
		return err
	}
	if kept, err := l.fact(ctx, factAccounts); err != nil || kept == string(value) {
		return err
	}
	return l.write(ctx, func(t *tx) error {
		known, err := t.texts(`SELECT account FROM accounts ORDER BY account`)
		if err != nil {
			return err
		}
		for _, id := range known {
			if slices.Contains(ids, id) {
				continue
			}
			if err := t.forgetAccount(id); err != nil {
				return err
			}
		}
		return t.setFact(factAccounts, string(value))
	})
}

// Outside is an account that leavers are not closed in any more, with the open
// entries that it still has.
type Outside struct {
	Account string
	Entries int
}

// Advice is what a person can do about them.
func (o Outside) Advice() string {
	return fmt.Sprintf("account %s: %d open entries wait, since leavers are not closed in it any more: name it in docusign.accounts again, or skip its leavers (signoff skip)",
		o.Account, o.Entries)
}

// OutsideAccounts returns the accounts with open entries that are none of these;
// of none named, those that KeepAccounts has kept. Nothing is sent for such
// entries: they wait until their account is there again.
func (l *Ledger) OutsideAccounts(ctx context.Context, named []string) ([]Outside, error) {
	named, err := l.insideAccounts(ctx, named)
	if err != nil || len(named) == 0 {
		return nil, err
	}
	rows, err := l.read.QueryContext(ctx, `SELECT account, COUNT(*) FROM entries WHERE account <> ''
		AND state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed') GROUP BY account ORDER BY account`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Outside
	for rows.Next() {
		var o Outside
		if err := rows.Scan(&o.Account, &o.Entries); err != nil {
			return nil, err
		}
		if !slices.Contains(named, o.Account) {
			all = append(all, o)
		}
	}
	return all, rows.Err()
}

// insideAccounts are those that leavers are closed in: the named ones or, of none, those
// that KeepAccounts has kept; none if it has not yet.
func (l *Ledger) insideAccounts(ctx context.Context, named []string) ([]string, error) {
	if len(named) > 0 {
		return named, nil
	}
	kept, err := l.fact(ctx, factAccounts)
	if err != nil || kept == "" {
		return nil, err
	}
	if err := json.Unmarshal([]byte(kept), &named); err != nil {
		return nil, fmt.Errorf("fact %s: %w", factAccounts, err)
	}
	return named, nil
}
