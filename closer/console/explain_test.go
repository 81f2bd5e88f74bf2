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

// news records that somebody leaves, or that it is taken back.
func (r *room) news(t *testing.T, kind consumer.Kind, name string, in time.Duration) {
	t.Helper()
	now := time.Now().UTC()
	e := consumer.Event{Key: consumer.Key{Origin: "/events", Source: "https://hr.example.com", ID: string(kind) + "-" + name}, Kind: kind,
		Hash: hashOf(name), Email: name + "@example.com", OccurredAt: now, ReceivedAt: now, EffectiveAt: now.Add(in)}
	if err := r.ledger.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

// due makes due who has left, and returns it resolved.
func (r *room) due(t *testing.T, in string, names ...string) []ledger.Resolved {
	t.Helper()
	for _, name := range names {
		r.news(t, consumer.Terminated, name, 0)
	}
	now := time.Now().Add(time.Second)
	if err := r.ledger.BecomeDue(t.Context(), []string{in}, now); err != nil {
		t.Fatal(err)
	}
	due, err := r.ledger.Due(t.Context(), in, now.Add(48*time.Hour), false)
	if err != nil {
		t.Fatal(err)
	}
	var plan []ledger.Resolved
	for _, e := range due {
		plan = append(plan, ledger.Resolved{Entry: e, Users: []ledger.User{{ID: "id-of-" + e.Leaver[:3], Email: e.Leaver}}})
	}
	return plan
}

func (r *room) submitted(t *testing.T) ledger.Batch {
	t.Helper()
	plan := r.due(t, account, "ann")
	b, err := r.ledger.Submit(t.Context(), account, plan, time.Now(), time.Hour)
	if err != nil || b.ID == 0 {
		t.Fatal(b, err)
	}
	return b
}

// answered settles a batch by what Docusign says of its user.
func (r *room) answered(t *testing.T, result ledger.Result, attempts int) {
	t.Helper()
	b := r.submitted(t)
	retry := ledger.Retry{Attempts: attempts, Wait: func(int) time.Duration { return time.Hour }, Daily: 24 * time.Hour}
	if _, err := r.ledger.SettleBatch(t.Context(), b.ID, map[string]ledger.Result{"id-of-ann": result}, "a-trace", true, retry); err != nil {
		t.Fatal(err)
	}
}

func (r *room) byHand(t *testing.T, say func(ledger.ByHand) error) {
	t.Helper()
	if err := say(ledger.ByHand{Email: "ann@example.com", By: ledger.Person{Name: "alice"}, Reason: "hands over"}); err != nil {
		t.Fatal(err)
	}
}

// text is all words of a story.
func text(s console.Story) string {
	var lines []string
	for _, e := range s.Events {
		lines = append(append(lines, e.Kind+" "+e.ID, "now: "+e.Now), e.Next...)
	}
	for _, l := range s.Leavers {
		lines = append(lines, strings.Join(l.Emails, " "))
		for _, leaving := range l.Leavings {
			for _, step := range leaving.Steps {
				lines = append(lines, step.Words)
			}
			for _, p := range leaving.Places {
				lines = append(append(lines, p.State, "now: "+p.Now), p.Next...)
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestStoriesInWords(t *testing.T) {
	byAnn := func(what func(r *room, t *testing.T, w ledger.ByHand) error) func(*room, *testing.T) {
		return func(r *room, t *testing.T) {
			t.Helper()
			r.byHand(t, func(w ledger.ByHand) error { return what(r, t, w) })
		}
	}
	for name, tt := range map[string]struct {
		history func(*room, *testing.T)
		pace    func(*console.Pace)
		want    []string
	}{
		"waits": {func(r *room, t *testing.T) { r.news(t, consumer.Terminated, "ann", 48*time.Hour) }, nil,
			[]string{"heard that the person leaves, by event terminated-ann of https://hr.example.com (/events); takes effect 2", "now: waits: not due before 2", "signoff urgent ann@example.com --reason …"}},
		"put off by a person": {func(r *room, t *testing.T) {
			r.news(t, consumer.Terminated, "ann", 48*time.Hour)
			r.byHand(t, func(w ledger.ByHand) error {
				_, err := r.ledger.Defer(t.Context(), w, time.Now().Add(100*time.Hour))
				return err
			})
		}, nil, []string{"put off by a person: not before 2", ", by alice: “hands over”", "put off by alice"}},
		"due before any run": {func(r *room, t *testing.T) { r.due(t, account, "ann") }, nil,
			[]string{"due in account " + account, "now: due since 2", "at the next run the user is looked up, judged and closed; no run of this account has been completed yet"}},
		"due after a run": {func(r *room, t *testing.T) {
			r.due(t, account, "ann")
			r.set(t, ledger.Account{ID: account, PassedAt: time.Now()})
		}, nil, []string{", at the next run, the user is looked up, judged and closed"}},
		"due in a dry run": {func(r *room, t *testing.T) { r.due(t, account, "ann") }, func(p *console.Pace) { p.DryRun = true },
			[]string{"looked up and judged, but not closed: it is a dry run"}},
		"made urgent": {func(r *room, t *testing.T) {
			r.due(t, account, "ann")
			r.byHand(t, func(w ledger.ByHand) error { _, err := r.ledger.Urgent(t.Context(), w); return err })
		}, nil, []string{"made urgent by a person: to be closed at once, by alice", "urgent: within seconds the user is looked up"}},
		"parked": {func(r *room, t *testing.T) {
			r.due(t, account, "ann")
			r.set(t, ledger.Account{ID: account, Parked: "consent", Advice: "give consent", ParkedAt: time.Now()})
		}, nil, []string{"account an-account was parked, nothing is sent in it: consent: give consent", "nothing is sent: the account is parked since 2"}},
		"out of quota": {func(r *room, t *testing.T) {
			r.due(t, account, "ann")
			r.set(t, ledger.Account{ID: account, ResumeAt: time.Now().Add(time.Hour)})
		}, nil, []string{"the account waits until 2", "the quota is used up"}},
		"Kafka is behind": {func(r *room, t *testing.T) {
			r.due(t, account, "ann")
			if err := r.ledger.SetReading(t.Context(), consumer.CatchingUp, ""); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"no plan is made before what waits in Kafka is read (it is catching_up since 2"}},
		"frozen": {func(r *room, t *testing.T) {
			r.due(t, account, "ann")
			if _, err := r.ledger.Freeze(t.Context(), ledger.Freeze{Until: time.Now().Add(time.Hour), By: "alice", Reason: "year end"}); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"a freeze of all accounts until 2", "by alice: “year end”", "nothing is closed without a person's word until 2"}},
		"overdue": {func(r *room, t *testing.T) { r.due(t, account, "ann") }, func(p *console.Pace) { p.Deadline = time.Microsecond },
			[]string{"; overdue: it was to be closed by 2"}},
		"rehired on a later day": {func(r *room, t *testing.T) {
			r.news(t, consumer.Terminated, "ann", 48*time.Hour)
			r.news(t, consumer.Rehired, "ann", 200*time.Hour)
		}, nil, []string{"the rehire of 2", "is borne in mind", "the termination is taken back from 2"}},
		"in two accounts": {func(r *room, t *testing.T) {
			r.news(t, consumer.Terminated, "ann", 0)
			if err := r.ledger.BecomeDue(t.Context(), []string{account, "another"}, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := r.ledger.WouldClose(t.Context(), r.due(t, account)); err != nil {
				t.Fatal(err)
			}
		}, func(p *console.Pace) { p.Accounts = nil }, []string{"due in account another as well", "account an-account: would have been closed", "now: a dry run: would be closed", "now: due since 2"}},
		"in an account outside the config": {func(r *room, t *testing.T) { r.due(t, "another", "ann") }, nil,
			[]string{"nothing is ever sent in this account", "or leave the user open: signoff skip ann@example.com"}},
		"held": {func(r *room, t *testing.T) { r.hold(t, ledger.Protected, "ann") }, nil,
			[]string{"held for a person, hold 1: protected by the config (why it is held)", "signoff holds show 1", "signoff holds approve 1 --digest ", "signoff holds reject 1 --digest "}},
		"held with others": {func(r *room, t *testing.T) { r.hold(t, ledger.Limit, "ann", "ben") }, nil,
			[]string{"a person decides about all 2 users of the hold: signoff holds approve 1", "or this leaver alone: signoff skip ann@example.com"}},
		"held for two people": {func(r *room, t *testing.T) { r.hold(t, ledger.Limit, "ann") }, func(p *console.Pace) { p.People = 2 },
			[]string{"(2 of 2 people are still needed)"}},
		"held, the user we sign in as": {func(r *room, t *testing.T) { r.hold(t, ledger.Self, "ann") }, nil, []string{"it cannot be approved"}},
		"held in a dry run": {func(r *room, t *testing.T) { r.makeHold(t, ledger.Limit, true, "ann") }, func(p *console.Pace) { p.DryRun = true },
			[]string{"made in a dry run: nothing is decided in it"}},
		"approved": {func(r *room, t *testing.T) { r.decides(t, r.ledger.Approve) }, nil,
			[]string{"approved, hold 1, by alice: “checked with HR”"}},
		"submitted": {func(r *room, t *testing.T) { r.submitted(t) }, nil,
			[]string{"sent to Docusign in batch 1: close 1 user (id-of-ann)", "if no answer comes, the user is looked up after 2"}},
		"closed": {func(r *room, t *testing.T) { r.answered(t, ledger.Result{Closed: true}, 2) }, nil,
			[]string{"closed (Docusign's trace token a-trace)", "now: closed 2", "looked for daily until 2", "last look: not yet"}},
		"closed, and not watched": {func(r *room, t *testing.T) { r.answered(t, ledger.Result{Closed: true}, 2) }, func(p *console.Pace) { p.Watch = 0 },
			[]string{"docusign.watch is off"}},
		"closed, then taken back": {func(r *room, t *testing.T) {
			r.answered(t, ledger.Result{Closed: true}, 2)
			r.news(t, consumer.Rescinded, "ann", 0)
		}, nil, []string{"the termination is taken back (rescinded), by event rescinded-ann", "hold 1 proposes to open 1 user again", "hold 1 waits for a person: may the user be opened again", "signoff holds approve 1"}},
		"refused once": {func(r *room, t *testing.T) { r.answered(t, ledger.Result{Reason: "managed_by_scim"}, 2) }, nil,
			[]string{"not closed yet, to be tried again: an identity provider manages the user", "refused once so far", "not tried again before 2", "signoff retry ann@example.com"}},
		"refused for good": {func(r *room, t *testing.T) { r.answered(t, ledger.Result{Reason: "SOME_CODE"}, 1) }, nil,
			[]string{"failed, Docusign refuses: SOME_CODE (Docusign's trace token a-trace)", "tried again about 2", "once the cause is mended: signoff retry"}},
		"a dry run would close": {func(r *room, t *testing.T) {
			if err := r.ledger.WouldClose(t.Context(), r.due(t, account, "ann")); err != nil {
				t.Fatal(err)
			}
		}, func(p *console.Pace) { p.DryRun = true }, []string{"would have been closed (1 user), but for the dry run", "once the config says mode: close, it is held for a person"}},
		"nobody known to Docusign": {func(r *room, t *testing.T) {
			if _, err := r.ledger.Settle(t.Context(), []ledger.Settlement{{Entry: r.due(t, account, "ann")[0].Entry, Outcome: ledger.NotFound}}); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"now: not found 2", "to look once more: signoff retry"}},
		"taken back": {func(r *room, t *testing.T) {
			r.news(t, consumer.Terminated, "ann", 48*time.Hour)
			r.news(t, consumer.Rescinded, "ann", 0)
		}, nil, []string{"cancelled: the termination was taken back, by event rescinded-ann", "now: cancelled 2", "nothing more, unless a later termination comes"}},
		"skipped": {byAnn(func(r *room, t *testing.T, w ledger.ByHand) error {
			r.due(t, account, "ann")
			_, _, err := r.ledger.Skip(t.Context(), w)
			return err
		}), nil, []string{"left open by a person (skip), by alice: “hands over”", "to close after all: signoff retry ann@example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{})
			tt.history(r, t)
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

func (r *room) set(t *testing.T, a ledger.Account) {
	t.Helper()
	if err := r.ledger.SetAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// decides has alice approve a hold of ann.
func (r *room) decides(t *testing.T, do func(context.Context, ledger.Decision, ledger.Terms) (ledger.Hold, error)) {
	t.Helper()
	id := r.hold(t, ledger.Limit, "ann")
	v := r.verdict(t, id, "checked with HR")
	d := ledger.Decision{Hold: id, Digest: v.Digest, By: ledger.Person{Name: "alice"}, Reason: v.Reason}
	if _, err := do(t.Context(), d, ledger.Terms{People: 1, Expires: time.Hour}); err != nil {
		t.Fatal(err)
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
		"about nothing":          {r, viewer, `{}`, 400, "one of the two is needed"},
		"about both":             {r, viewer, `{"email": "ann@example.com", "event": "ann"}`, 400, "one of the two is needed"},
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
	r.news(t, consumer.Terminated, "ann;rm -rf", 48*time.Hour)
	found, err := r.ledger.Explain(t.Context(), ledger.Question{Email: "ann;rm -rf@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(console.Explain(found, pace)); !strings.Contains(got, "signoff skip EMAIL --reason …") {
		t.Errorf("got %s", got)
	}
}
