package console

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"signoff/closer/ledger"
)

const (
	watchDaily = 24 * time.Hour   // how often whoever was closed is looked for again
	awayAtMost = 15 * time.Minute // how long plans wait for a Kafka that cannot be read
)

// place says how an entry stands, and what happens next.
func (n narrator) place(l ledger.StoryLeaving, e ledger.StoryEntry) StoryPlace {
	p := StoryPlace{Entry: e.ID, Account: e.Account, State: string(e.State), Next: []string{}, Can: []string{}, DueAt: e.DueAt, Hold: e.Hold, Urgent: e.Urgent, Frozen: n.frozenUntil(e.Account)}
	switch e.State {
	case ledger.Waiting:
		n.waits(l, e, &p)
	case ledger.Due:
		n.isDue(e, &p)
	case ledger.Held:
		n.isHeld(l, e, &p)
	case ledger.Submitted:
		n.isSubmitted(e, &p)
	case ledger.WouldClose:
		p.Now = "a dry run: would be closed"
		p.Next = []string{"once the config says mode: close, it is held for a person as part of a first plan"}
	case ledger.Failed:
		p.Now, p.At = "failed: Docusign refuses: "+inWords(e.Reason), e.NextAt
		p.Next = []string{fmt.Sprintf("tried again about %s, then daily, until it works or a person says otherwise", stamp(e.NextAt))}
		p.Can = []string{n.command("once the cause is mended", "retry"), n.command("to leave the user open", "skip")}
	default:
		n.isSettled(l, e, &p)
	}
	if e.State == ledger.Due && e.NextAt.After(n.told.At) || e.State == ledger.Failed {
		p.NextAt = e.NextAt
	}
	if e.State.Open() {
		n.obstacles(e, &p)
		n.ends(e, &p)
	}
	return p
}

// command is what one can do by a word on this leaver.
func (n narrator) command(when, name string) string {
	return fmt.Sprintf("%s: signoff %s %s --reason …", when, name, n.whom)
}

func (n narrator) waits(l ledger.StoryLeaving, e ledger.StoryEntry, p *StoryPlace) {
	p.Now, p.At = "waits: not due before "+stamp(e.DueAt), e.DueAt
	if e.Deferred.After(n.told.At) {
		p.Now += ", put off by " + cmp.Or(lastActor(l, "deferred"), "a person")
	}
	then := "due at " + stamp(e.DueAt) + ": in the run after that the user is looked up, judged and closed"
	if n.pace.DryRun {
		then = "due at " + stamp(e.DueAt) + ": in the run after that the user is looked up and judged, but not closed: it is a dry run"
	}
	p.Next = append(p.Next, then)
	if p.Frozen.After(e.DueAt) {
		p.Next = append(p.Next, fmt.Sprintf("nothing is closed without a person's word until %s: it will be held", stamp(p.Frozen)))
	}
	if !e.DueAt.After(n.told.At) {
		p.Now, p.Next[0] = "waits: due since "+stamp(e.DueAt), "the next run takes it up, within "+n.pace.Interval.String()
	}
	for _, h := range sorted(l.Holds) {
		if h.Ahead && h.State == ledger.HoldOpen {
			n.askedOf(h, p)
		}
	}
	p.Can = append(p.Can, n.command("to close at once", "urgent"), n.command("to leave the user open", "skip"))
}

func lastActor(l ledger.StoryLeaving, action string) (actor string) {
	for _, s := range l.Steps {
		if s.Action == action {
			actor = s.Actor
		}
	}
	return actor
}

func (n narrator) isDue(e ledger.StoryEntry, p *StoryPlace) {
	p.Now = "due since " + stamp(e.DueAt)
	if e.Reason != "" {
		p.Now += "; tried before: " + inWords(e.Reason)
	}
	what := "the user is looked up, judged and closed"
	if n.pace.DryRun {
		what = "the user is looked up and judged, but not closed: it is a dry run"
	}
	run := n.nextRun(e.Account)
	switch {
	case n.told.Accounts[e.Account].Parked != "":
		p.Next = append(p.Next, "once the account goes on, "+what)
	case e.NextAt.After(n.told.At):
		p.At = e.NextAt
		p.Next = append(p.Next, fmt.Sprintf("not tried again before %s; then %s", stamp(e.NextAt), what))
		p.Can = append(p.Can, n.command("to try at once", "retry"))
	case e.Urgent:
		p.At = n.told.At
		p.Next = append(p.Next, "urgent: within seconds "+what)
	case run.IsZero():
		p.Next = append(p.Next, "at the next run "+what+"; no run of this account has been completed yet")
	default:
		p.At = run
		p.Next = append(p.Next, fmt.Sprintf("about %s, at the next run, %s", stamp(run), what))
	}
	if !p.Frozen.IsZero() {
		p.Next = append(p.Next, fmt.Sprintf("nothing is closed without a person's word until %s: it will be held", stamp(p.Frozen)))
	}
}

// nextRun is about when the account is looked at next; zero if that is not known.
func (n narrator) nextRun(account string) time.Time {
	a := n.told.Accounts[account]
	if a.PassedAt.IsZero() {
		return time.Time{}
	}
	run := a.PassedAt.Add(n.pace.Interval)
	if run.Before(n.told.At) {
		run = n.told.At
	}
	return run
}

func (n narrator) isHeld(l ledger.StoryLeaving, e ledger.StoryEntry, p *StoryPlace) {
	h, known := l.Holds[e.Hold]
	if !known {
		p.Now = fmt.Sprintf("held for a person: %s", KindInWords(e.Reason))
		p.Can = []string{showHold(e.Hold)}
		return
	}
	p.Now = fmt.Sprintf("held for a person since %s, hold %d: %s", stamp(h.CreatedAt), h.ID, heldFor(h.Detail, kindNames(h.Kinds)))
	n.askedOf(h, p)
	if slices.Contains(h.Kinds, ledger.Frozen) && !p.Frozen.IsZero() {
		p.At = p.Frozen
		p.Next = append(p.Next, fmt.Sprintf("else it is judged anew once the freeze is over, at %s", stamp(p.Frozen)))
	}
}

func showHold(id int64) string { return fmt.Sprintf("look at it: signoff holds show %d", id) }

// askedOf says what a person has to do about a hold, and by which commands.
func (n narrator) askedOf(h ledger.Hold, p *StoryPlace) {
	p.Can = append(p.Can, showHold(h.ID))
	if h.DryRun {
		p.Next = append(p.Next, "made in a dry run: nothing is decided in it; it is made anew once the config says mode: close")
		return
	}
	command := func(word string) string {
		return fmt.Sprintf("signoff holds %s %d --digest %.8s --reason …", word, h.ID, h.Digest)
	}
	if slices.Contains(h.Kinds, ledger.Self) {
		p.Next = append(p.Next, "it cannot be approved: reject it, and give docusign.user_id another user")
		p.Can = append(p.Can, "to reject it: "+command("reject"))
		return
	}
	decides := "a person decides"
	if missing := n.pace.People - len(h.Approvals); n.pace.People > 1 && missing > 0 {
		decides = fmt.Sprintf("people decide (%d of %d are still needed)", missing, n.pace.People)
	}
	if len(h.Users) == 1 || slices.Contains(h.Kinds, ledger.Reopening) {
		p.Next = append(p.Next, decides)
		p.Can = append(p.Can, "to approve: "+command("approve"), "to leave the user as it is: "+command("reject"))
		return
	}
	p.Next = append(p.Next, fmt.Sprintf("%s about all %d users of the hold, or about some", decides, len(h.Users))) // whoever asks about one must not decide about all without knowing
	p.Can = append(p.Can, "to approve all of them: "+command("approve")+", or with --only FILE some", "to leave all of them as they are: "+command("reject"),
		n.command("to leave only this leaver open", "skip"))
}

func (n narrator) isSubmitted(e ledger.StoryEntry, p *StoryPlace) {
	p.Now = fmt.Sprintf("sent to Docusign %s, and not answered for yet", stamp(e.SentAt))
	if e.Importing {
		p.Next = []string{"the results of the organization's import say what became of it"}
		return
	}
	p.At = e.SentAt.Add(n.pace.LookUp)
	p.Next = []string{fmt.Sprintf("if no answer comes, the user is looked up after %s, and never blindly sent again", stamp(p.At))}
}

func (n narrator) isSettled(l ledger.StoryLeaving, e ledger.StoryEntry, p *StoryPlace) {
	at := stamp(e.SettledAt)
	switch e.State {
	case ledger.Closed:
		p.Now = "closed " + at
	case ledger.AlreadyClosed:
		p.Now = "was closed already when it was looked for, " + at
	case ledger.NotFound:
		p.Now = "not found " + at + ": no user of the account has any of the addresses"
		p.Next = append(p.Next, "nothing more")
		p.Can = append(p.Can, n.command("to look once more", "retry"))
	case ledger.Cancelled:
		p.Now = "cancelled " + at + ": the termination was taken back"
		if e.Reason == rehired {
			p.Now = "cancelled " + at + ": the person is hired again"
		}
		p.Next = append(p.Next, "nothing more, unless a later termination comes")
	case ledger.Skipped:
		p.Now = "left open by a person, " + at
		p.Next = append(p.Next, "nothing more, unless a later termination comes")
		p.Can = append(p.Can, n.command("to close after all", "retry"))
	}
	if !e.ErasedAt.IsZero() {
		p.Now += "; emails and names were erased " + stamp(e.ErasedAt)
	}
	if e.State == ledger.Closed || e.State == ledger.AlreadyClosed {
		n.isWatched(e, p)
	}
	n.reopens(l, e, p)
}

// isWatched says until when, and when next, whoever was closed is looked for.
func (n narrator) isWatched(e ledger.StoryEntry, p *StoryPlace) {
	until := e.SettledAt.Add(n.pace.Watch)
	switch {
	case n.pace.Watch == 0:
		p.Next = append(p.Next, "nothing more (docusign.watch is off: nobody looks whether the user is opened again)")
	case e.WatchOver:
		p.Next = append(p.Next, "nothing more: it is not looked for any more, since the person is back, leaves by another entry, or was taken back")
	case !until.After(n.told.At):
		p.Next = append(p.Next, "nothing more: it was looked for until "+stamp(until))
	default:
		next, looked := n.nextRun(e.Account), "not yet"
		if !e.WatchedAt.IsZero() {
			next, looked = e.WatchedAt.Add(watchDaily), stamp(e.WatchedAt)
		}
		if next.Before(until) {
			p.At = next
		}
		text := fmt.Sprintf("looked for daily until %s, whether the user is opened again; last look: %s", stamp(until), looked)
		if !p.At.IsZero() {
			text += ", next about " + stamp(p.At)
		}
		p.Next = append(p.Next, text)
	}
}

// reopens says what is proposed or under way to open the users of an entry again.
func (n narrator) reopens(l ledger.StoryLeaving, e ledger.StoryEntry, p *StoryPlace) {
	proposed := make(map[int64]bool)
	for _, r := range e.Reopens {
		switch r.State {
		case ledger.ReopenProposed:
			if h, ok := l.Holds[r.Hold]; ok && !proposed[r.Hold] {
				proposed[r.Hold], p.Hold = true, r.Hold
				p.Next = append(p.Next, fmt.Sprintf("hold %d waits for a person: may the user be opened again, from %s?", r.Hold, stamp(r.DueAt)))
				n.askedOf(h, p)
			}
		case ledger.ReopenApproved:
			p.At = r.DueAt
			p.Next = append(p.Next, "the user is opened again in the run after "+stamp(r.DueAt))
		case ledger.ReopenSubmitted:
			p.Next = append(p.Next, "opening again was sent, and is not answered for yet: the user is looked up")
		case ledger.ReopenSent:
			p.Next = append(p.Next, "opened again: the person must click in Docusign's activation email")
		case ledger.ReopenFailed:
			p.Next = append(p.Next, "opening again has failed: open the user on Docusign's own pages")
		}
	}
}

// ends says what ends an open entry otherwise, and whether it is late.
func (n narrator) ends(e ledger.StoryEntry, p *StoryPlace) {
	if !e.TakenBack.IsZero() {
		p.Next = append(p.Next, fmt.Sprintf("the termination is taken back from %s on: what is not closed by then is cancelled", stamp(e.TakenBack)))
	}
	if by := e.DueAt.Add(n.pace.Deadline); n.pace.Deadline > 0 && e.State != ledger.WouldClose && n.told.At.After(by) {
		p.Now += "; overdue: it was to be closed by " + stamp(by)
	}
}

// obstacles says what keeps anything from happening in the account.
func (n narrator) obstacles(e ledger.StoryEntry, p *StoryPlace) {
	inside := n.pace.Accounts
	if len(inside) == 0 {
		inside = n.told.Kept
	}
	if e.Account != "" && len(inside) > 0 && !slices.Contains(inside, e.Account) {
		p.At = time.Time{}
		p.Next = []string{"nothing is ever sent in this account: leavers are not closed in it by the config; name it in docusign.accounts again"}
		p.Can = []string{n.command("to leave the user open", "skip")}
		return
	}
	a := n.told.Accounts[e.Account]
	ready := e.State == ledger.Due || e.State == ledger.Waiting && !e.DueAt.After(n.told.At)
	if r := n.told.Reading; ready && !r.UpToDate() && (r.Away.IsZero() || n.told.At.Sub(r.Away) < awayAtMost) {
		p.Next = append([]string{fmt.Sprintf("no plan is made before what waits in Kafka is read (it is %s since %s) or could not be read for 15 minutes", r.State, stamp(r.Since))}, p.Next...)
	}
	switch {
	case a.Parked != "":
		p.At = time.Time{}
		p.Next = append([]string{fmt.Sprintf("nothing is sent: the account is parked since %s: %s: %s; it goes on by itself once that is mended", stamp(a.ParkedAt), a.Parked, a.Advice)}, p.Next...)
	case ready && !e.Urgent && a.ResumeAt.After(n.told.At):
		if p.At.Before(a.ResumeAt) {
			p.At = a.ResumeAt
		}
		p.Next = append([]string{"the account waits until " + stamp(a.ResumeAt) + ": the quota is used up, or Docusign asked for it"}, p.Next...)
	}
}

// frozenUntil is until when nothing is closed in the account without a person's
// word; zero if it is not frozen.
func (n narrator) frozenUntil(account string) (until time.Time) {
	for _, f := range n.told.Freezes {
		if (f.Account == "" || f.Account == account) && f.Until.After(until) {
			until = f.Until
		}
	}
	return until
}

func sorted(holds map[int64]ledger.Hold) []ledger.Hold {
	var all []ledger.Hold
	for _, h := range holds {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b ledger.Hold) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func kindNames(kinds []ledger.Kind) []string {
	all := make([]string, 0, len(kinds))
	for _, k := range kinds {
		all = append(all, string(k))
	}
	return all
}
