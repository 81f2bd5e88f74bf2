package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer/ledger"
)

// progress is one line on how it goes.
func (d *demo) progress(stats ledger.Stats) string {
	var states []string
	for _, s := range ledger.States() {
		if n := stats.Entries[s]; n > 0 {
			states = append(states, fmt.Sprintf("%s %d", s, n))
		}
	}
	return fmt.Sprintf("events %d  ·  %s  ·  Docusign calls %d", d.company.events.Load(), strings.Join(states, "  "), d.apiCalls())
}

// apiCalls are those that count in the account's quota.
func (d *demo) apiCalls() int {
	n := 0
	for op, calls := range d.docusign.Stats().Operations {
		if op != "sign_in" && op != "userinfo" {
			n += calls
		}
	}
	return n
}

// report prints the table and returns nil only if every leaver came to the end
// that the HR system knows is right, by the ledger's word and by Docusign's.
func (d *demo) report(ctx context.Context, began time.Time, settled bool) error {
	ctx = context.WithoutCancel(ctx) // also when the time is over
	entries, err := d.daemon.ledger.Entries(ctx)
	if err != nil {
		return err
	}
	found := make(map[string]ledger.Entry)
	for _, e := range entries {
		found[e.Leaver] = e
	}
	wrong, replayed, err := d.wrongRejects(ctx)
	if err != nil {
		return err
	}
	tally := make(map[ledger.State]int)
	var slowest time.Duration
	decided := 0
	for p := range d.company.everybody() {
		e := found[p.email]
		if p.leaves {
			tally[e.State]++
			if e.State == ledger.Closed && p.right == ledger.Closed {
				slowest = max(slowest, e.SettledAt.Sub(time.UnixMicro(p.sentAt.Load())))
			}
		}
		faults := d.wrongWith(p, e)
		if len(faults) > 0 && (d.decidedBy(ctx, p) != "" || replayed && p == d.company.newcomer) {
			decided++
			continue
		}
		wrong = append(wrong, faults...)
	}
	fmt.Fprintln(d.out)
	w := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	var notes []string
	line := func(what string, value any) { fmt.Fprintf(w, "%s\t%v\t\n", what, value) }
	line("events in", d.company.events.Load())
	line("leavers", d.company.leavers())
	for _, s := range ledger.States() {
		if tally[s] > 0 {
			line(string(s), tally[s])
			if means[s] != "" {
				notes = append(notes, fmt.Sprintf("%s: %s.", s, means[s]))
			}
		}
	}
	line("events rejected", len(oddReasons))
	if decided > 0 {
		line("decided by people", decided)
	}
	line("Docusign calls", d.apiCalls())
	line("of them refused for the quota", d.docusign.Stats().Exhausted)
	line("slowest close, from event", slowest.Round(time.Millisecond))
	line("all took", time.Since(began).Round(100*time.Millisecond))
	if err := w.Flush(); err != nil {
		return err
	}
	notes = append(notes, "events rejected: they could not be understood, and are kept for a person to replay or to discard.")
	fmt.Fprintf(d.out, "\n%s\n", strings.Join(notes, "\n"))
	switch {
	case len(wrong) > 0:
		slices.Sort(wrong)
		return fmt.Errorf("%d are not as they should be, such as %s", len(wrong), strings.Join(wrong[:min(5, len(wrong))], "; "))
	case !settled:
		return errors.New("the time was over before all was settled: give it more with --for")
	}
	fmt.Fprintf(d.out, "\nEvery leaver ended as the HR system knows is right; nobody else was closed.\n")
	return nil
}

// means is what has to be said of a state to who has never seen one.
var means = map[ledger.State]string{
	ledger.Waiting:       "whose last day is yet to come",
	ledger.Held:          "for a person to decide, since they are administrators or protected by the config",
	ledger.AlreadyClosed: "somebody closed their user before",
	ledger.NotFound:      "Docusign has no user with their email",
	ledger.Cancelled:     "the HR system took their leaving back in time",
}

// wrongWith says what became of a person that should not have.
func (d *demo) wrongWith(p *person, e ledger.Entry) (wrong []string) {
	if e.State != p.right {
		wrong = append(wrong, fmt.Sprintf("%s: %q, right is %q", p.employee, e.State, p.right))
	}
	return append(wrong, d.wrongAtDocusign(p)...)
}

// wrongAtDocusign says what Docusign knows of a person that should not be so.
func (d *demo) wrongAtDocusign(p *person) []string {
	if p.user == "" {
		return nil
	}
	u, ok := d.docusign.User(demoAccount, p.user)
	times := d.docusign.Closes(demoAccount)[p.user]
	isClosed := ok && u.Status == "Closed"
	switch {
	case p.right == ledger.Closed && (!isClosed || times.Requested != 1):
		return []string{fmt.Sprintf("%s: closed by Docusign: %v, asked for %d times", p.employee, isClosed, times.Requested)}
	case p.right != ledger.Closed && (isClosed != p.closed || times.Requested != 0):
		return []string{fmt.Sprintf("%s: closed by Docusign: %v, asked for %d times, and should not have been", p.employee, isClosed, times.Requested)}
	}
	return nil
}
