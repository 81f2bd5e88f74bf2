package closer

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// send has the users of the plan closed; in a dry run it only notes whom it
// would close.
func (a *account) send(ctx context.Context, plan []ledger.Resolved, resolvedAt time.Time, urgent bool) error {
	if len(plan) == 0 {
		return nil
	}
	if a.cfg.DryRun {
		a.log.Info("dry run: would close", zap.Int("leavers", len(plan)))
		a.promises.set(promiser{a.id, urgent}, nil)
		return a.ledger.WouldClose(ctx, plan)
	}
	return a.deliver(ctx, a, plan, resolvedAt, urgent)
}

// sendBatches closes users through their account, batch by batch. It stops
// between batches when ctx ends, and lets urgent leavers go before the next one.
func sendBatches(ctx context.Context, a *account, plan []ledger.Resolved, resolvedAt time.Time, urgent bool) error {
	api := a.api
	if urgent {
		api = a.api.For(docusign.Urgent)
	}
	by := promiser{a.id, urgent}
	defer a.promises.set(by, nil)
	troubles := 0
	for len(plan) > 0 {
		a.promises.set(by, plan)
		if !urgent {
			a.urgentFirst(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n := batchLen(plan, a.maxUsers())
		_, err := a.closeBatch(ctx, api, plan[:n], resolvedAt, urgent)
		switch {
		case err == nil:
			troubles = 0
		case docusign.ClassOf(err) == docusign.Unknown && isAlone(err) && troubles < maxTroubles:
			troubles++ // that one is looked up; the others may fare better
		default:
			return err
		}
		plan = plan[n:]
		a.beat(time.Now())
	}
	return nil
}

// maxTroubles is how many batches in a row may be left with an unknown outcome
// before the rest waits for a later run.
const maxTroubles = 2

// isAlone says whether an error is about one request, not about all that follow.
func isAlone(err error) bool {
	refused := errorOf(err)
	return refused != nil && refused.RetryAt.IsZero()
}

// stillThawed returns a notYetError if a freeze began after the guard has judged.
func (a *account) stillThawed(ctx context.Context, urgent bool) error {
	since, _, err := a.ledger.Frozen(ctx, a.id, time.Now())
	if err == nil && since.After(a.frozen[urgent]) {
		return &notYetError{"a freeze has begun: what is not sent is judged anew"}
	}
	return err
}

// batchLen is how many leavers, at least one, have at most maxUsers users
// together. With each time that nothing came of a leaver's batch the next one
// is half as large, and apart from others: one user whose close is never
// answered comes to stand alone, and keeps nobody else open.
func batchLen(plan []ledger.Resolved, maxUsers int) int {
	users, tries := 0, plan[0].Entry.Tries
	for n, r := range plan {
		users += len(r.Users)
		if n > 0 && (users > maxUsers>>tries || r.Entry.Tries != tries) {
			return n
		}
	}
	return len(plan)
}

// learned is how many users Docusign takes in a request, as its refusals have
// shown: that is not documented. The zero value knows nothing.
type learned struct {
	users int
	until time.Time
}

// relearn is how long that is believed: what was refused may have had another
// reason, and small batches cost calls.
const relearn = 24 * time.Hour

// maxUsers is how many users to close in a request.
func (a *account) maxUsers() int {
	if time.Now().Before(a.most.until) {
		return min(a.cfg.MaxUsers, a.most.users)
	}
	return a.cfg.MaxUsers
}

// closeBatch writes the intent, sends the request and settles each user from
// its own entry in the answer. What Docusign refuses without naming anybody is
// halved, down to the one who is meant; whole says that it took all as it was. A
// shutdown gives the request time to finish, since one that is cut off leaves
// its outcome unknown.
func (a *account) closeBatch(ctx context.Context, api *docusign.Account, members []ledger.Resolved, resolvedAt time.Time, urgent bool) (whole bool, err error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err := a.stillThawed(ctx, urgent); err != nil {
		return false, err
	}
	a.beat(time.Now()) // halving takes many requests
	work, cancel := withGrace(ctx, batchGrace)
	defer cancel()
	var b ledger.Batch
	err = a.policy.while(a.terms, func() (err error) { // nothing is sent by a guard that is none any more
		b, err = a.ledger.Submit(work, a.id, members, resolvedAt, a.fresh())
		return err
	})
	if errors.Is(err, ledger.ErrStalePlan) {
		return false, &notYetError{"the plan has grown old while it was sent: the rest is looked up again"}
	}
	if err != nil || b.ID == 0 {
		return err == nil, err
	}
	began := time.Now()
	answer, err := a.request(work, api, b)
	if err == nil {
		return true, a.settle(work, b, answer, time.Since(began))
	}
	if halve, err := a.notClosed(work, b, err); !halve {
		return false, err
	}
	half := len(b.Members) / 2
	first, err := a.closeBatch(ctx, api, b.Members[:half], resolvedAt, urgent)
	if err != nil {
		return false, err
	}
	second, err := a.closeBatch(ctx, api, b.Members[half:], resolvedAt, urgent)
	if err == nil && first && second { // nobody was to blame but the number
		a.most = learned{users: users(b.Members[half:]), until: time.Now().Add(relearn)}
		a.log.Info("Docusign takes fewer users in a request", zap.Int("refused", users(b.Members)), zap.Int("taken", a.most.users))
	}
	return false, err
}

func users(members []ledger.Resolved) int {
	n := 0
	for _, m := range members {
		n += len(m.Users)
	}
	return n
}

// answered is an answer to the close of a batch.
type answered struct {
	docusign.Answer
	keptGroups map[string]bool // users who were closed without being taken out of their signing groups
}

// request has the users of a batch closed and, where that is asked for, taken
// out of their signing groups. Should Docusign refuse that, in whatever way,
// they are closed without.
func (a *account) request(ctx context.Context, api *docusign.Account, b ledger.Batch) (answered, error) {
	c := docusign.Close{UserIDs: b.UserIDs(), SigningGroups: a.cfg.SigningGroups && time.Now().After(a.keepsGroups),
		Sending: func() error { return a.ledger.Sending(ctx, b.ID) }}
	answer, err := api.CloseUsers(ctx, c)
	result := answered{Answer: answer, keptGroups: make(map[string]bool)}
	if !c.SigningGroups {
		for _, id := range c.UserIDs {
			result.keptGroups[id] = a.cfg.SigningGroups
		}
		return result, err
	}
	all := c.UserIDs
	switch docusign.ClassOf(err) {
	case "":
		c.UserIDs = refusedOf(answer)
	case docusign.Split: // the parameter may be what it refuses
	default:
		return result, err
	}
	if len(c.UserIDs) == 0 {
		return result, nil
	}
	c.SigningGroups = false
	again, failed := api.CloseUsers(ctx, c)
	switch {
	case failed != nil && err != nil: // it is not the parameter
		return result, failed
	case failed != nil: // those who were closed are; of the others nothing new is known, but where it may have taken effect
		a.log.Warn("not closed without leaving the signing groups either", zap.Int64("batch", b.ID), zap.Error(failed))
		if docusign.ClassOf(failed) == docusign.Unknown {
			for _, id := range c.UserIDs {
				delete(result.Results, id)
			}
		}
		return result, nil
	case err != nil:
		a.keepsGroups = time.Now().Add(relearn)
		result.Answer = docusign.Answer{Results: make(map[string]docusign.Result, len(all)), TraceToken: again.TraceToken}
		a.log.Warn("Docusign refuses to take users out of signing groups: they are closed without", zap.Error(err))
	}
	for _, id := range c.UserIDs {
		r, ok := again.Results[id]
		if !ok {
			delete(result.Results, id)
			continue
		}
		result.Results[id] = r
		result.keptGroups[id] = true
	}
	return result, nil
}

// refusedOf are the users whom the answer says were refused.
func refusedOf(answer docusign.Answer) []string {
	var ids []string
	for id, r := range answer.Results {
		if !r.Closed() && r.Code != docusign.OwnUser {
			ids = append(ids, id)
		}
	}
	return ids
}

// noteGroups is what the outcome of a user says who was closed and may still
// sign as a member of a signing group.
const noteGroups = "signing_groups_kept"

// settle takes over what the answer says of each user.
func (a *account) settle(ctx context.Context, b ledger.Batch, answer answered, took time.Duration) error {
	ids := b.UserIDs()
	results := make(map[string]ledger.Result, len(ids))
	closed := 0
	for _, id := range ids {
		r, ok := answer.Results[id]
		switch {
		case !ok:
			a.metrics.Failure(a.id, reasonUnknown)
		case r.Closed():
			closed++
			results[id] = ledger.Result{Closed: true}
			if answer.keptGroups[id] {
				results[id] = ledger.Result{Closed: true, Note: noteGroups}
			}
		default:
			results[id] = a.refused(b, id, r.Code)
		}
	}
	settled, err := a.ledger.SettleBatch(ctx, b.ID, results, answer.TraceToken, true, retries)
	if err != nil {
		return err
	}
	a.metrics.Batch(a.id, len(ids), closed)
	a.count(a.id, settled)
	a.log.Info("batch closed", zap.Int64("batch", b.ID), zap.Int("users", len(ids)), zap.Int("closed", closed),
		zap.Int("refused", len(results)-closed), zap.Int("unknown", len(ids)-len(results)),
		zap.Int("leavers_settled", len(settled)), zap.Duration("took", took), zap.String("trace_token", answer.TraceToken))
	return nil
}

// refused is the result of a user whom Docusign refuses to close: its own code
// and, as a note, what we make of it.
func (t *tools) refused(b ledger.Batch, user, code string) ledger.Result {
	reason, _ := docusign.Refusal(code)
	if reason == reasonRefused && isSCIM(b, user) {
		reason = reasonSCIM
	}
	t.metrics.Failure(b.Account, reason)
	r := ledger.Result{Reason: code}
	if reason != reasonRefused {
		r.Note = reason
	}
	return r
}

// isSCIM says whether an identity provider manages the user.
func isSCIM(b ledger.Batch, user string) bool {
	for _, m := range b.Members {
		for _, u := range m.Users {
			if u.ID == user {
				return u.SCIM
			}
		}
	}
	return false
}

// The reasons of failures that are not those of an error of the client.
const (
	reasonUnknown = "unknown" // the answer does not mention the user

	// Also of the client, which has words for the same.
	reasonHourQuota = "hour_quota"      // too little is left of the hour
	reasonAccount   = "account"         // the config names no account that there is
	reasonRefused   = "refused"         // by a code that we do not know
	reasonSCIM      = "managed_by_scim" // an identity provider manages the user
)

// Reasons lists every reason that a failure can have.
func Reasons() []string { return append(docusign.Reasons(), reasonUnknown) }

// codeOf is the word that the ledger keeps for a refusal: Docusign's own code
// if it gave one.
func codeOf(err error) string {
	var refused *docusign.Error
	if errors.As(err, &refused) && refused.Code != "" {
		return refused.Code
	}
	return docusign.Reason(err)
}

// notClosed deals with a request that was not answered by a list of users. If
// Docusign refused it without naming anybody, it is to be halved.
func (a *account) notClosed(ctx context.Context, b ledger.Batch, cause error) (halve bool, err error) {
	users := len(b.UserIDs())
	a.metrics.Failure(a.id, docusign.Reason(cause))
	a.metrics.Batch(a.id, users, 0)
	class := docusign.ClassOf(cause)
	a.log.Warn("batch not closed", zap.Int64("batch", b.ID), zap.Int("users", users), zap.String("class", string(class)), zap.Error(cause))
	switch class {
	case docusign.Unknown:
		// Stays submitted: it may have taken effect, and is looked up once it no
		// longer can.
		return false, cause
	case docusign.Split:
		if len(b.Members) == 1 {
			results := make(map[string]ledger.Result)
			for _, id := range b.UserIDs() {
				results[id] = a.refused(b, id, codeOf(cause))
			}
			settled, err := a.ledger.SettleBatch(ctx, b.ID, results, "", true, retries)
			a.count(a.id, settled)
			return false, err
		}
		err := a.ledger.Withdraw(ctx, b, codeOf(cause))
		return err == nil, err
	default: // certainly not carried out
		return false, errors.Join(cause, a.ledger.Withdraw(ctx, b, docusign.Reason(cause)))
	}
}

// withGrace returns a context that ends grace after ctx does, not with it.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return work, func() { stop(); cancel() }
}
