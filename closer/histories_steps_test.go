package closer_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// What may happen, and how often.

var steps = []struct {
	weight int
	do     func(*history)
}{
	{30, func(h *history) { h.hear(h.leaves(pick(h, h.emails...))) }},
	{3, (*history).manyLeave},
	{9, (*history).isTakenBack},
	{4, (*history).comesAgain},
	{16, (*history).timePasses},
	{22, func(h *history) { h.run(false) }},
	{5, func(h *history) { h.run(true) }},
	{9, (*history).runWithNews},
	{5, (*history).restarts},
	{3, (*history).isConfiguredAnew},
	{3, (*history).isReloaded},
	{16, (*history).somebodyDecides},
	{3, (*history).freezes},
	{2, (*history).freezeEnds},
	{6, (*history).docusignFails},
	{4, (*history).docusignHeals},
	{5, (*history).othersChangeUsers},
}

func (h *history) step() {
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := h.random.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.do(h)
			return
		}
	}
}

// leaves is news that somebody leaves.
func (h *history) leaves(address string) consumer.Event {
	now := time.Now().UTC()
	e := h.event(consumer.Terminated, address, now)
	e.EffectiveAt = pick(h, now, now, now.Add(-h.some(time.Minute, 48*time.Hour)), now.Add(h.some(10*time.Minute, 5*24*time.Hour)))
	if h.oneIn(20) { // old news
		e.OccurredAt, e.EffectiveAt = now.Add(-h.some(6*24*time.Hour, 20*24*time.Hour)), now.Add(-h.some(6*24*time.Hour, 20*24*time.Hour))
	}
	e.Urgent = h.oneIn(5)
	if h.oneIn(4) {
		e.OtherEmails = []string{alias(address)}
	}
	return e
}

// event is one about a person, said now, a while ago or at the time of another.
func (h *history) event(kind consumer.Kind, address string, now time.Time) consumer.Event {
	h.events++
	e := consumer.Event{Key: consumer.Key{Origin: "test", Source: "hr", ID: strconv.Itoa(h.events)}, Kind: kind, Hash: strconv.Itoa(h.events),
		Email: address, ReceivedAt: now, EffectiveAt: now, Payload: []byte("{}")}
	if h.oneIn(8) {
		e.Key.Source = "payroll"
	}
	switch h.random.IntN(6) {
	case 0: // it does not say when
	case 1:
		e.OccurredAt = now.Add(-h.some(time.Minute, 72*time.Hour))
	case 2:
		if p := h.model.people[address]; p != nil && p.last != nil {
			e.OccurredAt = p.last.said
		}
	default:
		e.OccurredAt = now.Add(-h.some(0, 2*time.Minute))
	}
	return e
}

func (h *history) hear(events ...consumer.Event) {
	for _, e := range events {
		h.say("hears from %s: %s %s, said %s, effective %s, urgent %t, also %v (event %s)", e.Key.Source, e.Email, e.Kind,
			e.OccurredAt.Format("Jan _2 15:04:05"), e.EffectiveAt.Format("Jan _2 15:04:05"), e.Urgent, e.OtherEmails, e.Key.ID)
		h.must("record", h.ledger.Record(h.t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}))
		h.model.hear(e)
		h.said = append(h.said, e)
	}
	h.count("events", len(events))
}

func (h *history) manyLeave() {
	for range 3 + h.random.IntN(8) {
		e := h.leaves(pick(h, h.emails...))
		e.EffectiveAt, e.OccurredAt = e.ReceivedAt, e.ReceivedAt
		h.hear(e)
	}
}

// somebody is a person of whom something was said, if there is one.
func (h *history) somebody() string {
	if len(h.said) == 0 || h.oneIn(5) {
		return pick(h, h.emails...)
	}
	return pick(h, h.said...).Email
}

// takenBack is news that somebody does not leave, or comes back.
func (h *history) takenBack() consumer.Event {
	now := time.Now().UTC()
	e := h.event(pick(h, consumer.Rescinded, consumer.Rescinded, consumer.Rehired), h.somebody(), now)
	if p := h.model.people[e.Email]; p != nil && p.last != nil && !h.oneIn(4) {
		e.Key.Source = p.last.source
	}
	if e.Kind == consumer.Rehired {
		e.EffectiveAt = now.Add(h.some(-24*time.Hour, 8*24*time.Hour))
	}
	return e
}

func (h *history) isTakenBack() {
	h.hear(h.takenBack())
	h.count("taken back", 1)
}

// changesTheirMind is HR, about somebody who is to be closed now.
func (h *history) changesTheirMind() {
	now := time.Now().UTC()
	for _, address := range slices.Sorted(maps.Keys(h.model.people)) {
		p := h.model.people[address]
		if p.last == nil || now.Before(h.model.due(p)) || h.model.isCancelled(p, now) || h.oneIn(3) {
			continue
		}
		e := h.event(consumer.Rescinded, address, now)
		e.Key.Source, e.OccurredAt = p.last.source, now
		h.hear(e)
		h.count("taken back", 1)
		if h.oneIn(2) {
			return
		}
	}
}

func (h *history) comesAgain() {
	if len(h.said) == 0 {
		return
	}
	e := pick(h, h.said...)
	e.ReceivedAt = time.Now().UTC()
	h.hear(e)
}

func (h *history) timePasses() {
	d := pick(h, h.some(time.Second, time.Minute), h.some(time.Minute, time.Hour), h.some(time.Hour, 12*time.Hour), h.some(12*time.Hour, 48*time.Hour))
	h.say("%v pass", d)
	time.Sleep(d)
}

func (h *history) run(urgentOnly bool) {
	h.say("runs, urgent only: %t", urgentOnly)
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	h.model.runBegan, h.stopRun = time.Now(), cancel
	done, err := h.closer.CloseDue(ctx, time.Now(), urgentOnly)
	if ctx.Err() == nil {
		h.must("run", err)
	}
	h.meanwhile = nil
	if !done && !h.killed {
		h.say("... and says that it is not time for a plan")
	}
	if h.killed {
		h.say("the process was killed")
		h.restart()
	}
	if h.oneIn(4) {
		h.checkHolds()
	}
}

// runWithNews is a run during which something happens.
func (h *history) runWithNews() {
	now := map[string]func(){
		"news":   func() { h.hear(h.leaves(h.somebody())) },
		"urgent": func() { e := h.leaves(pick(h, h.emails...)); e.Urgent, e.EffectiveAt = true, e.ReceivedAt; h.hear(e) },
		"back":   h.changesTheirMind,
		"freeze": h.freezes,
		"reload": h.isReloaded,
		"kill":   func() { h.killed = true; h.must("close", h.ledger.Close()) },
		"stop":   func() { h.say("is told to stop"); h.stopRun() },
	}
	what := pick(h, "news", "urgent", "back", "back", "back", "freeze", "freeze", "reload", "reload", "kill", "stop")
	h.meanwhile = map[string]func(){pick(h, "look-up", "close"): now[what]}
	if what == "kill" {
		h.meanwhile = map[string]func(){"close": now[what]} // the intent is written, the request on its way
	}
	h.run(h.oneIn(6))
}

func (h *history) restarts() {
	h.restart()
	h.count("restarts", 1)
}

func (h *history) restart() {
	_ = h.ledger.Close()
	h.start()
}

func (h *history) isConfiguredAnew() {
	h.model.guard = h.someGuard()
	h.cfg.DryRun = h.cfg.DryRun && h.oneIn(2) || h.oneIn(12)
	h.restarts()
}

// isReloaded gives the guard another config while the closer goes on.
func (h *history) isReloaded() {
	h.model.guard = h.someGuard()
	h.say("is reloaded: %s", guardText(h.model.guard))
	h.must("reload", h.closer.Reconfigure(h.t.Context(), h.cfg, h.model.guard))
	h.count("reloads", 1)
}

// somebodyDecides lets people look at holds and say something about them.
func (h *history) somebodyDecides() {
	holds := h.holds()
	if len(holds) == 0 {
		return
	}
	for range 1 + h.random.IntN(3) {
		hold := pick(h, holds...)
		d := ledger.Decision{Hold: hold.ID, Digest: hold.Digest, By: h.who(hold), Reason: "because"}
		if h.oneIn(12) {
			d.Digest = pick(h, holds...).Digest // of what they have seen elsewhere
		}
		if h.oneIn(8) {
			h.rejects(hold, d)
			continue
		}
		for range 1 + h.random.IntN(2) {
			h.approves(hold, d, h.oneIn(4))
			d.By = h.who(hold)
		}
	}
}

// who decides: anybody, somebody of the hold now and then.
func (h *history) who(hold ledger.Hold) ledger.Person {
	name := pick(h, "ana", "ben", "eva")
	if h.oneIn(10) && len(hold.Users) > 0 {
		if h.oneIn(2) {
			return ledger.Person{Name: h.spelled(pick(h, hold.Users...).Email)}
		}
		return ledger.Person{Name: name, Email: h.spelled(pick(h, hold.Users...).Email)}
	}
	return ledger.Person{Name: name}
}

func (h *history) approves(hold ledger.Hold, d ledger.Decision, some bool) {
	now, err := h.ledger.Hold(h.t.Context(), hold.ID)
	h.must("hold", err)
	if hold.State = now.State; now.State == ledger.HoldOpen {
		hold.Users = now.Users
	}
	if some && len(hold.Users) > 1 {
		h.decideOnSome(hold, &d)
	}
	named := chosenOf(hold, d)
	terms := ledger.Terms{People: h.model.guard.Approvals, Expires: h.model.guard.ApprovalsExpire}
	after, err := h.ledger.Approve(h.t.Context(), d, terms)
	id := hold.ID
	if err == nil {
		id = after.ID
	}
	counts, enough := h.model.yes(hold, id, named, d, terms, time.Now())
	h.say("%s %s approves hold %d %v, only %v, except %v: %s, %v", d.By.Name, d.By.Email, hold.ID, hold.Kinds, d.Only, d.Except, after.State, err)
	switch {
	case err != nil && counts:
		h.complain("an approval is refused: %v", err)
	case err == nil && !counts:
		h.complain("an approval counts that must not")
	case err == nil && (after.State == ledger.HoldApproved) != enough:
		h.complain("hold %d is %s; by the model it is approved: %t", id, after.State, enough)
	case enough:
		h.count("approved", 1)
	}
}

// decideOnSome makes a decision one about some of the hold.
func (h *history) decideOnSome(hold ledger.Hold, d *ledger.Decision) {
	var names []string
	for range 1 + h.random.IntN(2) {
		names = append(names, h.spelled(pick(h, hold.Users...).Email))
	}
	if h.oneIn(2) {
		d.Only = names
	} else {
		d.Except = names
	}
}

// chosenOf are the users of a hold that a decision is about.
func chosenOf(hold ledger.Hold, d ledger.Decision) []ledger.HeldUser {
	entries := func(names []string) []int64 {
		var ids []int64
		for _, u := range hold.Users {
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, u.Email) }) {
				ids = append(ids, u.Entry)
			}
		}
		return ids
	}
	only, except := entries(d.Only), entries(d.Except)
	return slices.DeleteFunc(slices.Clone(hold.Users), func(u ledger.HeldUser) bool {
		return len(d.Only) > 0 && !slices.Contains(only, u.Entry) || slices.Contains(except, u.Entry)
	})
}

func (h *history) rejects(hold ledger.Hold, d ledger.Decision) {
	now, err := h.ledger.Hold(h.t.Context(), hold.ID)
	h.must("hold", err)
	_, settled, err := h.ledger.Reject(h.t.Context(), d)
	h.say("%s %s rejects hold %d %v: %v", d.By.Name, d.By.Email, hold.ID, hold.Kinds, err)
	may := now.State == ledger.HoldOpen && !now.DryRun && now.Digest == d.Digest && !h.model.standsIn(d.By, now.Users)
	if may != (err == nil) {
		h.complain("a rejection is refused: %v; by the model it counts: %t", err, may)
	}
	if err != nil || slices.Contains(now.Kinds, ledger.Reopening) {
		return
	}
	for _, u := range now.Users {
		if p := h.model.whose(u.Email); p != nil {
			p.skipped[now.Account] = time.Now()
		}
	}
	h.count("rejected", len(settled))
}

func (h *history) freezes() {
	f := freeze{since: time.Now(), account: pick(h, append([]string{""}, h.accounts...)...), until: time.Now().Add(h.some(time.Minute, 24*time.Hour)).UTC()}
	made, err := h.ledger.Freeze(h.t.Context(), ledger.Freeze{Account: f.account, Until: f.until, Reason: "stop", By: "ana"})
	h.must("freeze", err)
	f.id = made.ID
	h.say("freeze %d of %q until %s", f.id, f.account, f.until.Format("Jan _2 15:04:05"))
	h.model.freezes = append(h.model.freezes, &f)
}

func (h *history) freezeEnds() {
	for i, f := range h.model.freezes {
		if f.until.After(time.Now()) {
			h.must("end freeze", h.ledger.EndFreeze(h.t.Context(), f.id, "ana", "go on"))
			h.say("freeze %d is ended", f.id)
			h.model.freezes = slices.Delete(h.model.freezes, i, i+1)
			return
		}
	}
}

// docusignFails has close requests fail by chance, or all look-ups.
func (h *history) docusignFails() {
	f := docusigntest.Faults{Seed: int64(h.random.IntN(1 << 30)), Operations: []string{"close_users"}}
	chance := pick(h, 0.2, 0.5, 1)
	for range 1 + h.random.IntN(2) {
		*pick(h, &f.CutBefore, &f.Error500, &f.Busy503, &f.Blocked, &f.ProxyPage, &f.ProxyError, &f.CutAfter, &f.HalfAnswer, &f.HTML, &f.PageAfter,
			&f.Hang, &f.DropBody, &f.MissingEntry, &f.MissingEntry, &f.NotClosed, &f.NotClosed) = chance
	}
	if h.oneIn(5) {
		f = docusigntest.Faults{Operations: []string{pick(h, "list_users", "get_user", "sign_in")}, Error500: 1}
	}
	h.say("Docusign fails: %+v", f)
	h.sim.SetFaults(f)
}

func (h *history) docusignHeals() {
	h.say("Docusign works")
	h.sim.SetFaults(docusigntest.Faults{})
}

// othersChangeUsers has a user opened again, made anew, added or closed by others.
func (h *history) othersChangeUsers() {
	in := pick(h, h.accounts...)
	users := slices.DeleteFunc(h.sim.Users(in), func(u docusigntest.User) bool { return u.ID == self || u.ID == "keeper" })
	u := pick(h, users...)
	closed := slices.DeleteFunc(slices.Clone(users), func(u docusigntest.User) bool { return u.Status != "Closed" })
	if len(closed) > 0 && h.oneIn(2) {
		u = pick(h, closed...)
	}
	switch {
	case h.oneIn(4):
		u = h.sim.AddUser(in, docusigntest.User{Email: h.spelled(pick(h, h.emails...)), Name: "new", Created: time.Now()})
		h.say("others add %s (%s)", u.ID, u.Email)
	case u.Status == "Closed" && h.oneIn(2):
		u = h.sim.Recreate(in, u.ID, false)
		h.say("others make %s anew as %s", u.Email, u.ID)
	case u.Status == "Closed":
		u.Status = "Active"
		h.sim.SetUser(in, u)
		h.say("others open %s (%s)", u.ID, u.Email)
	case h.oneIn(3):
		u.Status = "Closed"
		h.sim.SetUser(in, u)
		h.say("others close %s (%s)", u.ID, u.Email)
		return
	default:
		return
	}
	h.opened[membership{in, u.ID}] = time.Now()
}
