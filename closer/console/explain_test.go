package console_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// pace is that of a daemon in mode close.
var pace = console.Pace{Accounts: []string{account}, Interval: 5 * time.Minute, Watch: 30 * 24 * time.Hour, LookUp: 30 * time.Second, People: 1}

// past is what a test does to a ledger before it asks for the story.
type past struct {
	*room
	t *testing.T
}

// news records that somebody leaves, or that it is taken back.
func (p past) news(kind consumer.Kind, name string, in time.Duration) {
	p.t.Helper()
	now := time.Now().UTC()
	e := consumer.Event{Key: consumer.Key{Origin: "/events", Source: "https://hr.example.com", ID: string(kind) + "-" + name}, Kind: kind,
		Hash: hashOf(name), Email: name + "@example.com", OccurredAt: now, ReceivedAt: now, EffectiveAt: now.Add(in)}
	if err := p.ledger.Record(p.t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}); err != nil {
		p.t.Fatal(err)
	}
}

// due makes due who has left, and returns it resolved.
func (p past) due(in string, names ...string) []ledger.Resolved {
	p.t.Helper()
	for _, name := range names {
		p.news(consumer.Terminated, name, 0)
	}
	now := time.Now().Add(time.Second)
	if err := p.ledger.BecomeDue(p.t.Context(), []string{in}, now); err != nil {
		p.t.Fatal(err)
	}
	due, err := p.ledger.Due(p.t.Context(), in, now.Add(48*time.Hour), false)
	if err != nil {
		p.t.Fatal(err)
	}
	var plan []ledger.Resolved
	for _, e := range due {
		plan = append(plan, ledger.Resolved{Entry: e, Users: []ledger.User{{ID: "id-of-" + e.Leaver[:3], Email: e.Leaver}}})
	}
	return plan
}

func (p past) submitted() ledger.Batch {
	p.t.Helper()
	plan := p.due(account, "ann")
	b, err := p.ledger.Submit(p.t.Context(), account, plan, time.Now(), time.Hour)
	if err != nil || b.ID == 0 {
		p.t.Fatal(b, err)
	}
	return b
}

// answered settles a batch by what Docusign says of its user.
func (p past) answered(result ledger.Result, attempts int) {
	p.t.Helper()
	b := p.submitted()
	retry := ledger.Retry{Attempts: attempts, Wait: func(int) time.Duration { return time.Hour }, Daily: 24 * time.Hour}
	if _, err := p.ledger.SettleBatch(p.t.Context(), b.ID, map[string]ledger.Result{"id-of-ann": result}, "a-trace", true, retry); err != nil {
		p.t.Fatal(err)
	}
}

func (p past) byHand(say func(ledger.ByHand) error) {
	p.t.Helper()
	if err := say(ledger.ByHand{Email: "ann@example.com", By: ledger.Person{Name: "alice"}, Reason: "hands over"}); err != nil {
		p.t.Fatal(err)
	}
}

// text is all words of a story.
func text(s console.Story) string {
	var lines []string
	for _, e := range s.Events {
		lines = append(append(lines, e.Kind+" "+e.ID, "now: "+e.Now), append(e.Next, e.Can...)...)
	}
	for _, l := range s.Leavers {
		lines = append(lines, strings.Join(l.Emails, " "))
		for _, leaving := range l.Leavings {
			for _, step := range leaving.Steps {
				lines = append(lines, step.Words)
			}
			for _, p := range leaving.Places {
				lines = append(append(lines, p.State, "now: "+p.Now), append(p.Next, p.Can...)...)
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestStoriesInWords(t *testing.T) {
	for name, tt := range map[string]struct {
		history func(past)
		pace    func(*console.Pace)
		want    []string
	}{
		"waits": {func(p past) { p.news(consumer.Terminated, "ann", 48*time.Hour) }, nil,
			[]string{"heard that the person leaves, by event terminated-ann of https://hr.example.com (/events); takes effect 2", "now: waits: not due before 2", "signoff urgent ann@example.com --reason …"}},
		"put off by a person": {func(p past) {
			p.news(consumer.Terminated, "ann", 48*time.Hour)
			p.byHand(func(w ledger.ByHand) error {
				_, err := p.ledger.Defer(p.t.Context(), w, time.Now().Add(100*time.Hour))
				return err
			})
		}, nil, []string{"put off by a person: not before 2", ", by alice: “hands over”", "put off by alice"}},
		"due before any run": {func(p past) { p.due(account, "ann") }, nil,
			[]string{"due in account " + account, "now: due since 2", "at the next run the user is looked up, judged and closed; no run of this account has been completed yet"}},
		"due after a run": {func(p past) {
			p.due(account, "ann")
			p.set(ledger.Account{ID: account, PassedAt: time.Now()})
		}, nil, []string{", at the next run, the user is looked up, judged and closed"}},
		"due in a dry run": {func(p past) { p.due(account, "ann") }, func(p *console.Pace) { p.DryRun = true },
			[]string{"looked up and judged, but not closed: it is a dry run"}},
		"made urgent": {func(p past) {
			p.due(account, "ann")
			p.byHand(func(w ledger.ByHand) error { _, err := p.ledger.Urgent(p.t.Context(), w); return err })
		}, nil, []string{"made urgent by a person: to be closed at once, by alice", "urgent: within seconds the user is looked up"}},
		"parked": {func(p past) {
			p.due(account, "ann")
			p.set(ledger.Account{ID: account, Parked: "consent", Advice: "give consent", ParkedAt: time.Now()})
		}, nil, []string{"account an-account was parked, nothing is sent in it: consent: give consent", "nothing is sent: the account is parked since 2",
			"once the account goes on, the user is looked up, judged and closed"}},
		"out of quota": {func(p past) {
			p.due(account, "ann")
			p.set(ledger.Account{ID: account, ResumeAt: time.Now().Add(time.Hour)})
		}, nil, []string{"the account waits until 2", "the quota is used up"}},
		"Kafka is behind": {func(p past) {
			p.due(account, "ann")
			if err := p.ledger.SetReading(p.t.Context(), consumer.CatchingUp, ""); err != nil {
				p.t.Fatal(err)
			}
		}, nil, []string{"no plan is made before what waits in Kafka is read (it is catching_up since 2"}},
		"frozen": {func(p past) {
			p.due(account, "ann")
			if _, err := p.ledger.Freeze(p.t.Context(), ledger.Freeze{Until: time.Now().Add(time.Hour), By: "alice", Reason: "year end"}); err != nil {
				p.t.Fatal(err)
			}
		}, nil, []string{"a freeze of all accounts until 2", "by alice: “year end”", "nothing is closed without a person's word until 2"}},
		"overdue": {func(p past) { p.due(account, "ann") }, func(p *console.Pace) { p.Deadline = time.Microsecond },
			[]string{"; overdue: it was to be closed by 2"}},
		"rehired on a later day": {func(p past) {
			p.news(consumer.Terminated, "ann", 48*time.Hour)
			p.news(consumer.Rehired, "ann", 200*time.Hour)
		}, nil, []string{"the rehire of 2", "is borne in mind", "the termination is taken back from 2"}},
		"in two accounts": {func(p past) {
			p.news(consumer.Terminated, "ann", 0)
			if err := p.ledger.BecomeDue(p.t.Context(), []string{account, "another"}, time.Now()); err != nil {
				p.t.Fatal(err)
			}
			if err := p.ledger.WouldClose(p.t.Context(), p.due(account)); err != nil {
				p.t.Fatal(err)
			}
		}, func(p *console.Pace) { p.Accounts = nil }, []string{"due in account another as well", "account an-account: would have been closed", "now: a dry run: would be closed", "now: due since 2"}},
		"in an account outside the config": {func(p past) { p.due("another", "ann") }, nil,
			[]string{"nothing is ever sent in this account", "to leave the user open: signoff skip ann@example.com"}},
		"held": {func(p past) { p.hold(p.t, ledger.Protected, "ann") }, nil,
			[]string{"held for a person, hold 1: protected by the config (why it is held)", "signoff holds show 1", "signoff holds approve 1 --digest ", "signoff holds reject 1 --digest "}},
		"held with others": {func(p past) { p.hold(p.t, ledger.Limit, "ann", "ben") }, nil,
			[]string{"a person decides about all 2 users of the hold", "to approve all of them: signoff holds approve 1", "to leave only this leaver open: signoff skip ann@example.com"}},
		"held for two people": {func(p past) { p.hold(p.t, ledger.Limit, "ann") }, func(p *console.Pace) { p.People = 2 },
			[]string{"people decide (2 of 2 are still needed)"}},
		"held, the user we sign in as": {func(p past) { p.hold(p.t, ledger.Self, "ann") }, nil, []string{"it cannot be approved"}},
		"held in a dry run": {func(p past) { p.makeHold(p.t, ledger.Limit, true, "ann") }, func(p *console.Pace) { p.DryRun = true },
			[]string{"made in a dry run: nothing is decided in it"}},
		"approved": {func(p past) { p.decides(p.ledger.Approve) }, nil,
			[]string{"approved, hold 1, by alice: “checked with HR”"}},
		"submitted": {func(p past) { p.submitted() }, nil,
			[]string{"sent to Docusign in batch 1: close 1 user (id-of-ann)", "if no answer comes, the user is looked up after 2"}},
		"closed": {func(p past) { p.answered(ledger.Result{Closed: true}, 2) }, nil,
			[]string{"closed (Docusign's trace token a-trace)", "now: closed 2", "looked for daily until 2", "last look: not yet"}},
		"closed, and not watched": {func(p past) { p.answered(ledger.Result{Closed: true}, 2) }, func(p *console.Pace) { p.Watch = 0 },
			[]string{"docusign.watch is off"}},
		"closed, then taken back": {func(p past) {
			p.answered(ledger.Result{Closed: true}, 2)
			p.news(consumer.Rescinded, "ann", 0)
		}, nil, []string{"the termination is taken back (rescinded), by event rescinded-ann", "hold 1 proposes to open 1 user again", "hold 1 waits for a person: may the user be opened again", "signoff holds approve 1"}},
		"refused once": {func(p past) { p.answered(ledger.Result{Reason: "managed_by_scim"}, 2) }, nil,
			[]string{"not closed yet, to be tried again: an identity provider manages the user", "refused once so far", "not tried again before 2", "signoff retry ann@example.com"}},
		"refused for good": {func(p past) { p.answered(ledger.Result{Reason: "SOME_CODE"}, 1) }, nil,
			[]string{"failed, Docusign refuses: SOME_CODE (Docusign's trace token a-trace)", "tried again about 2", "once the cause is mended: signoff retry"}},
		"a dry run would close": {func(p past) {
			if err := p.ledger.WouldClose(p.t.Context(), p.due(account, "ann")); err != nil {
				p.t.Fatal(err)
			}
		}, func(p *console.Pace) { p.DryRun = true }, []string{"would have been closed (1 user), but for the dry run", "once the config says mode: close, it is held for a person"}},
		"nobody known to Docusign": {func(p past) {
			if _, err := p.ledger.Settle(p.t.Context(), []ledger.Settlement{{Entry: p.due(account, "ann")[0].Entry, Outcome: ledger.NotFound}}); err != nil {
				p.t.Fatal(err)
			}
		}, nil, []string{"now: not found 2", "to look once more: signoff retry"}},
		"taken back": {func(p past) {
			p.news(consumer.Terminated, "ann", 48*time.Hour)
			p.news(consumer.Rescinded, "ann", 0)
		}, nil, []string{"cancelled: the termination was taken back, by event rescinded-ann", "now: cancelled 2", "nothing more, unless a later termination comes"}},
		"hired again before it came to it": {func(p past) {
			p.news(consumer.Terminated, "ann", 48*time.Hour)
			p.news(consumer.Rehired, "ann", 0)
		}, nil, []string{": the person is hired again", "nothing more, unless a later termination comes"}},
		"skipped": {func(p past) {
			p.due(account, "ann")
			p.byHand(func(w ledger.ByHand) error { _, _, err := p.ledger.Skip(p.t.Context(), w); return err })
		}, nil, []string{"left open by a person (skip), by alice: “hands over”", "to close after all: signoff retry ann@example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{})
			tt.history(past{r, t})
			found, err := r.ledger.Explain(t.Context(), ledger.Question{Email: "ann@example.com"})
			if err != nil {
				t.Fatal(err)
			}
			p := pace
			if tt.pace != nil {
				tt.pace(&p)
			}
			got := text(console.Explain(found, p))
			for _, part := range tt.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q is not told:\n%s", part, got)
				}
			}
		})
	}
}

func (p past) set(a ledger.Account) {
	p.t.Helper()
	if err := p.ledger.SetAccount(p.t.Context(), a); err != nil {
		p.t.Fatal(err)
	}
}

// decides has alice approve a hold of ann.
func (p past) decides(do func(context.Context, ledger.Decision, ledger.Terms) (ledger.Hold, error)) {
	p.t.Helper()
	id := p.hold(p.t, ledger.Limit, "ann")
	v := p.verdict(p.t, id, "checked with HR")
	d := ledger.Decision{Hold: id, Digest: v.Digest, By: ledger.Person{Name: "alice"}, Reason: v.Reason}
	if _, err := do(p.t.Context(), d, ledger.Terms{People: 1, Expires: time.Hour}); err != nil {
		p.t.Fatal(err)
	}
}

// Whom a hold has let go is not told of what is said to it later.
func TestWhatIsSaidToAHoldIsToldOfWhomItHolds(t *testing.T) {
	r := open(t, setup{})
	p := past{r, t}
	id := r.hold(t, ledger.Limit, "ann", "ben")
	say := func(by string, only ...string) {
		t.Helper()
		d := ledger.Decision{Hold: id, Digest: r.verdict(t, id, "").Digest, By: ledger.Person{Name: by}, Only: only}
		if _, err := r.ledger.Approve(t.Context(), d, ledger.Terms{People: 3, Expires: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	story := func(name string) string {
		t.Helper()
		found, err := r.ledger.Explain(t.Context(), ledger.Question{Email: name + "@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		return text(console.Explain(found, pace))
	}
	say("alice")
	p.byHand(func(w ledger.ByHand) error { _, _, err := r.ledger.Skip(t.Context(), w); return err })
	say("carol")
	if got := story("ann"); !strings.Contains(got, "hold 1: one yes, 1 of 3, by alice") || strings.Contains(got, "carol") {
		t.Errorf("of whom was skipped: %s", got)
	}
	if got := story("ben"); !strings.Contains(got, "hold 1: one yes, 1 of 3, by alice") || !strings.Contains(got, "hold 1: one yes, 2 of 3, by carol") {
		t.Errorf("of whom is held: %s", got)
	}
}

func TestRejectsInWords(t *testing.T) {
	r := open(t, setup{})
	id := r.rejectAll(t, "{}")[0]
	story := func() string {
		t.Helper()
		found, err := r.ledger.Explain(t.Context(), ledger.Question{Event: "ann@example.com-0"})
		if err != nil {
			t.Fatal(err)
		}
		return text(console.Explain(found, pace))
	}
	if got := story(); !strings.Contains(got, "nobody is closed by it") || !strings.Contains(got, fmt.Sprint("signoff rejects replay ", id)) {
		t.Errorf("open: %s", got)
	}
	if _, err := r.ledger.DiscardReject(t.Context(), id, "alice", "a test"); err != nil {
		t.Fatal(err)
	}
	if got := story(); !strings.Contains(got, "discarded 2") || !strings.Contains(got, "by alice: a test") {
		t.Errorf("discarded: %s", got)
	}
}

func TestAStoryNamesTheLeaver(t *testing.T) {
	p := past{room: open(t, setup{}), t: t}
	p.answered(ledger.Result{Reason: "SOME_CODE"}, 1)
	told, err := p.ledger.Explain(t.Context(), ledger.Question{Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	told.Leavers[0].Name = "Ann Lee"
	l := console.Explain(told, console.Pace{}).Leavers[0]
	if place := l.Leavings[0].Places[0]; l.Name != "Ann Lee" || place.Urgent || time.Until(place.NextAt) < 23*time.Hour {
		t.Errorf("%+v", l)
	}
}

func TestWhoMayAskForAStory(t *testing.T) {
	r, strangers := open(t, setup{}), open(t, setup{noTokens: true})
	r.hold(t, ledger.Protected, "ann")
	const ann = `{"email": " Ann@Example.com"}`
	for name, c := range map[string]struct {
		of          *room
		token, body string
		status      int
		want        string
	}{
		"a viewer":               {r, viewer, ann, 200, "protected by the config"},
		"nobody":                 {r, "", ann, 401, "a token from admin.tokens_file is needed"},
		"a stranger":             {strangers, "", ann, 403, "a story names people"},
		"about nobody":           {r, viewer, `{"email": "zoe@example.com"}`, 404, "signoff rejects list"},
		"about no event":         {r, viewer, `{"event": "never"}`, 404, "no event of this id was ever received"},
		"about nothing":          {r, viewer, `{}`, 400, "one of them is needed"},
		"about both":             {r, viewer, `{"email": "ann@example.com", "event": "ann"}`, 400, "one of them is needed"},
		"an address of a source": {r, viewer, `{"email": "ann@example.com", "source": "x"}`, 400, "source: goes with event alone"},
		"no address":             {r, viewer, `{"email": "ann"}`, 400, "email: not an address"},
		"a word there is not":    {r, viewer, `{"mail": "ann"}`, 400, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.of.ask(t, "POST", "/api/v1/explain", c.token, c.body)
			if a.status != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, c.status, c.want)
			}
		})
	}
}

// What is pasted into a shell must be what it looks like.
func TestAddressesThatAShellWouldTakeApartAreNotInCommands(t *testing.T) {
	r := open(t, setup{})
	past{r, t}.news(consumer.Terminated, "ann;rm -rf", 48*time.Hour)
	found, err := r.ledger.Explain(t.Context(), ledger.Question{Email: "ann;rm -rf@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(console.Explain(found, pace)); !strings.Contains(got, "signoff skip EMAIL --reason …") {
		t.Errorf("got %s", got)
	}
}
