package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// AccountPlan is what an import is to close in one account.
type AccountPlan struct {
	Account    string
	Members    []Resolved
	ResolvedAt time.Time
}

// Import is one close request of an organization, with a batch for each of its
// accounts. It is open until its results are in the ledger or it was given up.
type Import struct {
	ID           int64
	Organization string
	DocusignID   string // "" until Docusign's answer came
	Rows         int    // users, each once for an account
	SentAt       time.Time
	Batches      []Batch
}

// importAtMost is how long the results of an import are waited for, far longer
// than whoever follows it would. One that nobody follows any more, since the
// config names another organization or none, must not hide its users.
const importAtMost = 6 * time.Hour

// SubmitImport writes the intent to close the users of several accounts by one
// import, by the rules of Submit. A plan resolved longer than fresh ago is left
// out, with ErrStalePlan if all of them are. The ID of the import is 0 if there
// is nobody to close. It is refused while the organization has an open import.
func (l *Ledger) SubmitImport(ctx context.Context, organization string, plans []AccountPlan, fresh time.Duration) (Import, error) {
	var imp Import
	err := l.write(ctx, func(t *tx) (err error) {
		imp, err = t.submitImport(organization, plans, fresh)
		return err
	})
	if err != nil {
		return Import{}, err
	}
	return imp, nil
}

func (t *tx) submitImport(organization string, plans []AccountPlan, fresh time.Duration) (Import, error) {
	var open int64
	err := t.one(`SELECT id FROM imports WHERE organization = $1 AND ended_at = 0`, []any{organization}, &open)
	if err == nil {
		return Import{}, fmt.Errorf("import %d of the organization is not ended: wait for its results", open)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Import{}, err
	}
	id, err := t.nextID("imports")
	if err != nil {
		return Import{}, err
	}
	imp := Import{ID: id, Organization: organization, SentAt: t.now}
	stale := 0
	for _, p := range plans {
		if t.now.Sub(p.ResolvedAt) > fresh {
			stale++
			continue
		}
		b, err := t.submitBatch(p.Account, p.Members, id)
		if err != nil {
			return Import{}, err
		}
		if b.ID != 0 {
			imp.Batches = append(imp.Batches, b)
			imp.Rows += len(b.UserIDs())
		}
	}
	switch {
	case stale > 0 && stale == len(plans):
		return Import{}, ErrStalePlan
	case len(imp.Batches) == 0:
		return Import{}, nil
	}
	return imp, t.exec(`INSERT INTO imports (id, organization, users, sent_at) VALUES ($1, $2, $3, $4)`,
		id, organization, imp.Rows, micros(t.now))
}

// ImportSending notes that the request of an import is sent now.
func (l *Ledger) ImportSending(ctx context.Context, id int64) error {
	return l.write(ctx, func(t *tx) error {
		if err := t.exec(`UPDATE batches SET sent_at = $2 WHERE import = $1`, id, micros(t.now)); err != nil {
			return err
		}
		return t.exec(`UPDATE imports SET sent_at = $2 WHERE id = $1`, id, micros(t.now))
	})
}

// ImportSent keeps Docusign's id of an import, by which it is asked for.
func (l *Ledger) ImportSent(ctx context.Context, id int64, docusignID string) error {
	return l.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE imports SET docusign_id = $2 WHERE id = $1`, id, docusignID)
	})
}

// OpenImport returns the import of the organization that is not ended, if there
// is one, with those users whose outcome is not known yet.
func (l *Ledger) OpenImport(ctx context.Context, organization string) (imp Import, open bool, err error) {
	imp.Organization = organization
	var sent int64
	err = l.read.QueryRowContext(ctx, `SELECT id, docusign_id, users, sent_at FROM imports WHERE organization = $1 AND ended_at = 0`,
		organization).Scan(&imp.ID, &imp.DocusignID, &imp.Rows, &sent)
	if errors.Is(err, sql.ErrNoRows) {
		return Import{}, false, nil
	}
	if err != nil {
		return Import{}, false, err
	}
	imp.SentAt = fromMicros(sent)
	rows, err := l.read.QueryContext(ctx, `SELECT id, account FROM batches b WHERE import = $1
		AND EXISTS (SELECT 1 FROM memberships WHERE batch = b.id AND outcome = '') ORDER BY id`, imp.ID)
	if err != nil {
		return Import{}, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var b Batch
		if err := rows.Scan(&b.ID, &b.Account); err != nil {
			return Import{}, false, err
		}
		imp.Batches = append(imp.Batches, b)
	}
	for i := range imp.Batches {
		if imp.Batches[i].Members, err = l.unsettled(ctx, imp.Batches[i].ID); err != nil {
			return Import{}, false, err
		}
	}
	return imp, true, rows.Err()
}

// unsettled returns the entries of a batch that have users of unknown outcome,
// with these users.
func (l *Ledger) unsettled(ctx context.Context, batch int64) ([]Resolved, error) {
	users, err := l.users(ctx, `batch = $1 AND outcome = ''`, batch)
	if err != nil {
		return nil, err
	}
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE id IN (SELECT entry FROM memberships WHERE batch = $1 AND outcome = '') ORDER BY id`, batch)
	if err != nil {
		return nil, err
	}
	entries, err := scanEntries(rows)
	if err != nil {
		return nil, err
	}
	members := make([]Resolved, 0, len(entries))
	for _, e := range entries {
		r := Resolved{Entry: e}
		for _, u := range users[e.ID] {
			r.Users = append(r.Users, u.User)
		}
		members = append(members, r)
	}
	return members, nil
}

// EndImport ends an import. What is not settled by then is unknown from now on,
// and looked up.
func (l *Ledger) EndImport(ctx context.Context, id int64, how string) error {
	return l.write(ctx, func(t *tx) error { return t.endImport(id, how) })
}

func (t *tx) endImport(id int64, how string) error {
	n, err := t.changed(`UPDATE imports SET ended_at = $2, how = $3 WHERE id = $1 AND ended_at = 0`, id, micros(t.now), how)
	if err != nil || n == 0 {
		return err
	}
	var organization, docusignID string
	if err := t.one(`SELECT organization, docusign_id FROM imports WHERE id = $1`, []any{id}, &organization, &docusignID); err != nil {
		return err
	}
	return t.audit(row{action: "import_ended", facts: map[string]any{
		"import": id, "organization": organization, "docusign_id": docusignID, "how": how}})
}

// WithdrawImport takes back the intent of an import that was certainly not
// carried out, as SubmitImport returned it.
func (l *Ledger) WithdrawImport(ctx context.Context, imp Import, why string) error {
	return l.write(ctx, func(t *tx) error {
		for _, b := range imp.Batches {
			if err := t.withdraw(b, why); err != nil {
				return err
			}
		}
		return t.endImport(imp.ID, "withdrawn")
	})
}
