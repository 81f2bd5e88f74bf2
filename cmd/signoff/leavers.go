package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

// leavers closes people by name, over a ledger that is open for writing: what
// the admin API and `signoff close --config` have in common.
type leavers struct {
	config func() config // that is in force
	ledger *ledger.Ledger
	client *docusign.Client
	log    *zap.Logger
}

var _ console.Taker = leavers{}

// closer makes a closer of its own: the daemon's is at work. Both share the
// client, and with it the quota.
func (l leavers) closer(change func(*closer.Config)) *closer.Closer {
	inForce := l.config()
	cfg := inForce.closerConfig()
	if change != nil {
		change(&cfg)
	}
	m := metrics.NewCloser(nil, metrics.NewAccounts(nil), nil, nil, nil)
	return closer.New(cfg, inForce.Guard, l.ledger, l.client, m, l.log)
}

// Preview implements console.Taker.
func (l leavers) Preview(ctx context.Context, emails []string) ([]console.Planned, error) {
	previews, err := l.closer(nil).Preview(ctx, emails, time.Now())
	if err != nil {
		return nil, advised(err)
	}
	plan := make([]console.Planned, 0, len(previews))
	for _, p := range previews {
		plan = append(plan, console.Planned{Email: p.Email, Account: p.Account, Outcome: string(p.Outcome),
			Kinds: texts(p.Kinds...), Why: p.Why, Users: console.Users(p.Users)})
	}
	return plan, nil
}

// Take implements console.Taker.
func (l leavers) Take(ctx context.Context, t console.Take) error {
	if l.config().Mode != modeClose {
		return console.ErrMode
	}
	now := time.Now().UTC()
	events := make([]consumer.Event, 0, len(t.Emails))
	for _, email := range t.Emails {
		events = append(events, consumer.LeaverEvent(t.File, email, t.By, now, t.Urgent))
	}
	return l.ledger.Record(ctx, consumer.Intake{Source: consumer.CSV, Events: events})
}

// Follow implements console.Taker.
func (l leavers) Follow(ctx context.Context, file string) (console.Progress, error) {
	var p console.Progress
	followed, err := l.ledger.Follow(ctx, consumer.LeaverOrigin, file)
	if err != nil {
		return p, err
	}
	for _, f := range followed {
		row := console.Row{Email: f.ID, Account: f.Entry.Account, State: string(f.Entry.State), Reason: f.Entry.Reason, Hold: f.Hold}
		for _, u := range f.Users {
			row.Users = append(row.Users, console.RowUser{User: console.Users([]ledger.User{u.User})[0],
				Outcome: u.Outcome, Reason: u.Reason, At: u.SettledAt, TraceToken: u.Trace})
		}
		p.Rows = append(p.Rows, row)
	}
	accounts, err := l.ledger.Accounts(ctx)
	for _, a := range accounts {
		switch {
		case a.Parked != "":
			p.Waiting = append(p.Waiting, fmt.Sprintf("account %s is parked: %s: %s", a.ID, a.Parked, a.Advice))
		case a.ResumeAt.After(time.Now()):
			p.Waiting = append(p.Waiting, fmt.Sprintf("account %s waits until %s for its quota", a.ID, a.ResumeAt.Format(time.TimeOnly)))
		}
	}
	return p, err
}
