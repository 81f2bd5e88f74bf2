package closer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// importer closes users of several accounts through their organization: by an
// import of a CSV, which Docusign carries out when it comes to it. There is one
// at a time. It is in the ledger before Docusign hears of it, so that a later
// process goes on with it.
type importer struct {
	tools
	org      *docusign.Organization
	accounts map[string]*account
	shared   *directory.Shared // of this visit

	plans   []ready       // in this visit
	checkAt time.Time     // no question about the import under way before
	wait    time.Duration // until the one after that
	busy    bool          // another import runs, as was last logged
}

func newImporter(t tools, accounts []*account) *importer {
	i := &importer{tools: t, org: t.client.Organization(t.cfg.Organization), accounts: make(map[string]*account)}
	for _, a := range accounts {
		i.accounts[a.id] = a
		a.deliver = i.add
	}
	return i
}

const (
	firstCheck = 2 * time.Second // after an import was sent
	lastCheck  = time.Minute     // between two questions about one that takes long

	// importDeadline is how long an import may run. Docusign's word for its state
	// is not documented, so one that we do not know may well be an end.
	importDeadline = 2 * time.Hour

	// findMargin is how far apart two clocks may put the same import.
	findMargin = 2 * time.Minute
)

// ready is a plan that is to be sent.
type ready struct {
	ledger.AccountPlan
	urgent bool
}

// add makes a plan ready.
func (i *importer) add(_ context.Context, a *account, plan []ledger.Resolved, resolvedAt time.Time, urgent bool) error {
	fits := plan[:batchLen(plan, docusign.MaxImportPerAccount)]
	i.plans = append(i.plans, ready{ledger.AccountPlan{Account: a.id, Members: fits, ResolvedAt: resolvedAt}, urgent})
	if len(fits) < len(plan) {
		return &notYetError{"an import holds no more users of the account: the rest follows it"}
	}
	return nil
}

// send sends what was made ready, as far as one import may hold it.
func (i *importer) send(ctx context.Context, now time.Time) error {
	made := i.plans
	i.plans, i.shared = nil, nil
	defer func() {
		for id := range i.accounts {
			i.promises.set(promiser{id, false}, nil)
			i.promises.set(promiser{id, true}, nil)
		}
	}()
	for _, a := range i.accounts {
		a.shared = nil
	}
	if len(made) == 0 || ctx.Err() != nil || now.Before(i.checkAt) {
		return nil
	}
	if running, err := i.othersRun(ctx); err != nil || running {
		i.later(now)
		return i.parkAll(ctx, now, made, err)
	}
	plans, err := i.thawed(ctx, made) // and not before it was asked, which takes its time
	if err != nil || len(plans) == 0 {
		return err
	}
	work, cancel := withGrace(ctx, batchGrace)
	defer cancel()
	var imp ledger.Import
	err = i.policy.while(i.terms, func() (err error) {
		imp, err = i.ledger.SubmitImport(work, i.cfg.Organization, i.fitting(plans), i.fresh())
		return err
	})
	if errors.Is(err, ledger.ErrStalePlan) {
		return nil // the next run resolves it anew
	}
	if errors.Is(err, errOtherTerms) {
		i.anew(plans)
		return nil
	}
	if err != nil || imp.ID == 0 {
		return err
	}
	return i.upload(ctx, work, now, imp, made)
}

// upload sends an import whose intent is written, within work; made is what it is of.
func (i *importer) upload(ctx, work context.Context, now time.Time, imp ledger.Import, made []ready) error {
	sent, err := i.org.CloseUsers(work, docusign.Upload{Rows: rowsOf(imp), Columns: i.cfg.Columns,
		FileName: "signoff-" + now.UTC().Format("20060102T150405Z") + ".csv",
		Sending:  func() error { return i.ledger.ImportSending(work, imp.ID) }})
	i.wait, i.checkAt = firstCheck, now.Add(firstCheck)
	switch docusign.ClassOf(err) {
	case "":
		i.log.Info("import sent", zap.Int64("import", imp.ID), zap.Int("users", imp.Rows), zap.Int("accounts", len(imp.Batches)), zap.String("docusign_id", sent.ID))
		return i.ledger.ImportSent(work, imp.ID, sent.ID)
	case docusign.Unknown: // it may run: it is looked for among the imports
		i.log.Warn("import sent, its answer did not come", zap.Int64("import", imp.ID), zap.Error(err))
		return nil
	}
	i.later(now)
	failed := i.ledger.WithdrawImport(work, imp, docusign.Reason(err))
	return errors.Join(failed, i.parkAll(ctx, now, made, err))
}

// thawed are the plans of accounts for which no freeze has begun since they were
// judged.
func (i *importer) thawed(ctx context.Context, made []ready) (plans []ledger.AccountPlan, err error) {
	for _, p := range made {
		var notYet *notYetError
		err := i.accounts[p.Account].stillThawed(ctx, p.urgent)
		switch {
		case err == nil:
			plans = append(plans, p.AccountPlan)
		case !errors.As(err, &notYet):
			return nil, err
		}
	}
	return plans, nil
}

// anew has these plans made and judged again at once.
func (i *importer) anew(plans []ledger.AccountPlan) {
	for _, p := range plans {
		i.accounts[p.Account].next = time.Time{}
	}
}

// later puts the next question off, each time for longer.
func (i *importer) later(now time.Time) {
	i.wait = min(max(i.wait*3/2, firstCheck), lastCheck)
	i.checkAt = now.Add(i.wait)
}

// fitting is those of the plans, the small ones first, that one import may
// hold. The others are made anew as soon as it has ended.
func (i *importer) fitting(plans []ledger.AccountPlan) []ledger.AccountPlan {
	slices.SortStableFunc(plans, func(a, b ledger.AccountPlan) int { return cmp.Compare(len(a.Members), len(b.Members)) })
	var fits []ledger.AccountPlan
	room := docusign.MaxImportUsers
	for _, p := range plans {
		if n := users(p.Members); n <= room && len(fits) < docusign.MaxImportAccounts {
			fits = append(fits, p)
			room -= n
		} else {
			i.accounts[p.Account].next = time.Time{}
		}
	}
	return fits
}

func rowsOf(imp ledger.Import) []docusign.ImportRow {
	var rows []docusign.ImportRow
	for _, b := range imp.Batches {
		seen := make(map[string]bool)
		for _, m := range b.Members {
			for _, u := range m.Users {
				if !seen[u.ID] {
					seen[u.ID] = true
					rows = append(rows, docusign.ImportRow{AccountID: b.Account, UserID: u.ID, Email: u.Email})
				}
			}
		}
	}
	return rows
}

// parkAll parks the accounts of the plans, or has them wait, if the
// organization refuses what they wanted.
func (i *importer) parkAll(ctx context.Context, now time.Time, plans []ready, cause error) error {
	if cause == nil {
		return nil
	}
	i.log.Warn("no import sent", zap.Error(cause))
	var errs []error
	for _, p := range plans {
		a := i.accounts[p.Account]
		switch refused := errorOf(cause); {
		case refused != nil && !refused.RetryAt.IsZero():
			errs = append(errs, a.pause(ctx, docusign.Reason(refused), refused.RetryAt))
		case isPassing(cause):
			a.metrics.Failure(a.id, docusign.Reason(cause))
		default:
			errs = append(errs, a.parkHere(ctx, now, cause))
		}
	}
	return errors.Join(errs...)
}

// othersRun says whether the organization has an import under way that is none
// of ours: what two of them do to the same users nobody can tell apart.
func (i *importer) othersRun(ctx context.Context) (bool, error) {
	all, err := i.org.Imports(ctx)
	if err != nil {
		return false, err
	}
	running := slices.IndexFunc(all, func(imp docusign.Import) bool {
		return imp.State == docusign.Running && time.Since(imp.Created) < importDeadline
	})
	if running >= 0 && !i.busy {
		i.log.Info("another import of the organization is under way: waiting for its end", zap.String("docusign_id", all[running].ID))
	}
	i.busy = running >= 0
	return i.busy, nil
}

// goOn asks how the import under way fares, and takes its results over when it
// has ended. busy says that it runs still, or that there is no telling.
func (i *importer) goOn(ctx context.Context, now time.Time) (busy bool, err error) {
	imp, open, err := i.ledger.OpenImport(ctx, i.cfg.Organization)
	if err != nil {
		return true, err
	}
	if !open {
		i.share()
		return false, nil
	}
	if now.Before(i.checkAt) {
		return true, nil
	}
	i.later(now)
	if imp.DocusignID == "" {
		return i.find(ctx, now, imp)
	}
	at, err := i.org.Import(ctx, imp.DocusignID)
	switch {
	case errors.Is(err, docusign.ErrNoMember), docusign.ClassOf(err) == docusign.Permanent:
		return false, i.end(ctx, imp, "lost")
	case err != nil:
		i.log.Warn("the import under way could not be asked for", zap.Int64("import", imp.ID), zap.Error(err))
		return true, i.overdue(ctx, now, imp)
	case at.State == docusign.Running:
		return true, i.overdue(ctx, now, imp)
	case at.State == docusign.ImportFailed && !at.HasResults:
		i.log.Error("Docusign refuses the import as a whole: its users are looked up and tried again; see docusign.import_columns",
			zap.Int64("import", imp.ID), zap.String("status", at.Status), zap.String("docusign_id", imp.DocusignID))
		return false, i.end(ctx, imp, "failed")
	}
	results, err := i.org.Results(ctx, imp.DocusignID)
	if err != nil {
		i.log.Warn("the results of an import could not be read", zap.Int64("import", imp.ID), zap.Error(err))
		return true, i.overdue(ctx, now, imp)
	}
	return false, i.settle(ctx, imp, results)
}

// share has the accounts of this visit ask the organization together.
func (i *importer) share() {
	i.shared = directory.Share(i.org)
	for _, a := range i.accounts {
		a.shared = i.shared
	}
}

// find looks for an import whose answer did not come among those that the
// organization has: by its time and its number of users.
func (i *importer) find(ctx context.Context, now time.Time, imp ledger.Import) (busy bool, err error) {
	if now.Sub(imp.SentAt) < docusign.RequestTimeout { // it may still come in
		return true, nil
	}
	all, err := i.org.Imports(ctx)
	if err != nil {
		i.log.Warn("the imports of the organization could not be listed", zap.Int64("import", imp.ID), zap.Error(err))
		return true, i.overdue(ctx, now, imp)
	}
	var found []docusign.Import
	for _, other := range all {
		after := other.Created.Sub(imp.SentAt)
		if after >= -findMargin && after <= docusign.RequestTimeout+findMargin && other.Users == imp.Rows {
			found = append(found, other)
		}
	}
	if len(found) != 1 { // none: it never came in; several: no telling which
		return false, i.end(ctx, imp, "lost")
	}
	i.checkAt = now
	return true, i.ledger.ImportSent(ctx, imp.ID, found[0].ID)
}

// overdue gives an import up that has run for too long.
func (i *importer) overdue(ctx context.Context, now time.Time, imp ledger.Import) error {
	if now.Sub(imp.SentAt) < importDeadline {
		return nil
	}
	return i.end(ctx, imp, "given_up")
}

func (i *importer) end(ctx context.Context, imp ledger.Import, how string) error {
	i.checkAt, i.wait = time.Time{}, 0
	i.log.Warn("import ended without results: its users are looked up", zap.Int64("import", imp.ID), zap.String("how", how), zap.Int("users", imp.Rows))
	return i.ledger.EndImport(ctx, imp.ID, how)
}

// settle takes over what the results say of each user, row by row. Who has no
// clear row in them stays unknown, and is looked up.
func (i *importer) settle(ctx context.Context, imp ledger.Import, results []docusign.RowResult) error {
	type key struct{ account, user string }
	said := make(map[key]docusign.RowResult)
	for _, r := range results {
		said[key{r.AccountID, r.UserID}] = r
	}
	for _, b := range imp.Batches {
		found := make(map[string]ledger.Result)
		ids := b.UserIDs()
		var closed []string
		for _, id := range ids {
			switch r := said[key{b.Account, strings.ToLower(id)}]; {
			case r.Closed:
				closed = append(closed, id)
				found[id] = ledger.Result{Closed: true}
			case r.Code != "":
				found[id] = i.refused(b, id, r.Code)
			default:
				i.metrics.Failure(b.Account, reasonUnknown)
			}
		}
		for _, id := range i.leaveGroups(ctx, b.Account, closed) {
			found[id] = ledger.Result{Closed: true, Note: noteGroups}
		}
		settled, err := i.ledger.SettleBatch(ctx, b.ID, found, imp.DocusignID, true, retries)
		if err != nil {
			return err
		}
		i.metrics.Batch(b.Account, len(ids), len(closed))
		i.count(b.Account, settled)
		i.log.Info("import taken over", zap.Int64("import", imp.ID), zap.String("account", b.Account), zap.Int("users", len(ids)),
			zap.Int("closed", len(closed)), zap.Int("refused", len(found)-len(closed)), zap.Int("unknown", len(ids)-len(found)))
	}
	i.checkAt, i.wait = time.Time{}, 0 // what has become due meanwhile need not wait
	return i.ledger.EndImport(ctx, imp.ID, "completed")
}

// leaveGroups takes users whom an import has closed out of their signing
// groups, by a call of its own, and returns those who stay in them.
func (i *importer) leaveGroups(ctx context.Context, account string, closed []string) (kept []string) {
	if !i.cfg.SigningGroups {
		return nil
	}
	a, ok := i.accounts[account]
	if !ok { // the config no longer names it
		return closed
	}
	for part := range slices.Chunk(closed, i.cfg.MaxUsers) {
		a.beat(time.Now())
		answer, err := a.leaveGroups(ctx, part)
		if err != nil {
			i.log.Warn("closed users were not taken out of their signing groups", zap.String("account", account), zap.Int("users", len(part)), zap.Error(err))
		}
		for _, id := range part {
			if r, ok := answer.Results[id]; err != nil || !ok || !r.Closed() {
				kept = append(kept, id)
			}
		}
	}
	return kept
}

// leaveGroups takes users who are closed out of their signing groups: Docusign
// has no call for that alone, but closes them once more.
func (a *account) leaveGroups(ctx context.Context, closed []string) (docusign.Answer, error) {
	if err := a.open(ctx); err != nil {
		return docusign.Answer{}, err
	}
	return a.api.CloseUsers(ctx, docusign.Close{UserIDs: closed, SigningGroups: true})
}
