package console

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"signoff/closer/ledger"
)

// Pace is what a story needs to know of the config, to tell what happens next.
type Pace struct {
	DryRun   bool
	Accounts []string      // that leavers are closed in, by the config; none: those that the closer has found
	Interval time.Duration // between runs
	Watch    time.Duration // for how long whoever was closed is looked for; 0: not at all
	LookUp   time.Duration // after which a close without an answer is looked up
	Deadline time.Duration // from due, after which somebody who is open is overdue; 0: none
	People   int           // who must approve a hold
}

// Question asks for the story of a leaver, of an event, or of whoever an entry is of: one
// of the three.
type Question struct {
	Email  string `json:"email,omitempty"`
	Event  string `json:"event,omitempty"`  // CloudEvents id
	Source string `json:"source,omitempty"` // CloudEvents source of the event, where several use the same id
	Entry  int64  `json:"entry,omitempty"`  // number of an entry
}

// Validate returns an error that says what to ask, and folds the address.
func (q *Question) Validate() error {
	switch {
	case flag(q.Email != "")+flag(q.Event != "")+flag(q.Entry != 0) != 1:
		return errors.New("email, event or entry: one of them is needed")
	case q.Entry < 0:
		return errors.New("entry: not the number of one")
	case q.Event == "" && q.Source != "":
		return errors.New("source: goes with event alone")
	case q.Email != "":
		folded, err := fold([]string{q.Email})
		if err != nil {
			return errors.New("email: not an address")
		}
		q.Email = folded[0]
	}
	return nil
}

// flag counts what is true.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Story is what became of one leaver, or of one event, and why, in words.
type Story struct {
	Made        time.Time     `json:"made"`
	DryRun      bool          `json:"dryRun"`
	Events      []StoryEvent  `json:"events"` // that go by the id asked for
	Leavers     []StoryLeaver `json:"leavers"`
	MoreLeavers int           `json:"moreLeavers,omitempty"` // that are left out
}

// StoryEvent is an event that goes by the id asked for.
type StoryEvent struct {
	Origin     string    `json:"origin"`
	Source     string    `json:"source"` // CloudEvents
	ID         string    `json:"id"`
	Kind       string    `json:"kind"` // terminated, rescinded, rehired or reject
	ReceivedAt time.Time `json:"receivedAt"`
	Entry      int64     `json:"entry,omitempty"`
	Reject     int64     `json:"reject,omitempty"`
	Now        string    `json:"now"`
	Next       []string  `json:"next"` // what happens
	Can        []string  `json:"can"`  // what one can do, each with its command
}

// StoryLeaver is one leaver.
type StoryLeaver struct {
	Emails       []string       `json:"emails"`
	Name         string         `json:"name,omitempty"`
	EmployeeID   string         `json:"employeeId,omitempty"` // this, and the next two, of the newest entry
	Department   string         `json:"department,omitempty"`
	LegalEntity  string         `json:"legalEntity,omitempty"`
	Leavings     []StoryLeaving `json:"leavings"`
	MoreLeavings int            `json:"moreLeavings,omitempty"` // older ones that are left out
}

// StoryLeaving is one leaving: what happened, and how it stands in each account.
type StoryLeaving struct {
	Entry       int64        `json:"entry"` // the first one
	EffectiveAt time.Time    `json:"effectiveAt"`
	Steps       []StoryStep  `json:"steps"`
	MoreSteps   int          `json:"moreSteps,omitempty"` // between the oldest and the newest that are left out
	Places      []StoryPlace `json:"places"`
}

// StoryStep is one step of the chain.
type StoryStep struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"` // as the audit has it
	Entry  int64     `json:"entry,omitempty"`
	By     string    `json:"by,omitempty"`
	Words  string    `json:"words"`
}

// StoryPlace is how a leaving stands in one account.
type StoryPlace struct {
	Entry   int64     `json:"entry"`
	Account string    `json:"account"` // "" until first due
	State   string    `json:"state"`
	Now     string    `json:"now"`
	Next    []string  `json:"next"`            // what happens
	Can     []string  `json:"can"`             // what one can do, each with its command
	At      time.Time `json:"at,omitzero"`     // when something happens next, as far as that is known
	Hold    int64     `json:"hold,omitempty"`  // that it waits in
	DueAt   time.Time `json:"dueAt,omitzero"`  //
	NextAt  time.Time `json:"nextAt,omitzero"` // before which it is not tried again
	Urgent  bool      `json:"urgent,omitempty"`
	Frozen  time.Time `json:"frozen,omitzero"` // until when nothing is closed in the account without a person's word
}

// Explain puts a story of the ledger into words.
func Explain(told ledger.Story, pace Pace) Story {
	story := Story{Made: told.At, DryRun: pace.DryRun, Events: []StoryEvent{}, Leavers: []StoryLeaver{}, MoreLeavers: told.More}
	for _, e := range told.Events {
		story.Events = append(story.Events, showEvent(e))
	}
	for _, l := range told.Leavers {
		w := narrator{told: told, pace: pace, whom: "EMAIL", several: len(l.Emails) > 1}
		if len(l.Emails) > 0 && plain(l.Emails[0]) {
			w.whom = l.Emails[0]
		}
		leaver := StoryLeaver{Emails: append([]string{}, l.Emails...), Name: l.Name, EmployeeID: l.EmployeeID, Department: l.Department, LegalEntity: l.LegalEntity,
			Leavings: []StoryLeaving{}, MoreLeavings: l.More}
		for _, leaving := range l.Leavings {
			leaver.Leavings = append(leaver.Leavings, w.leaving(leaving))
		}
		story.Leavers = append(story.Leavers, leaver)
	}
	return story
}

// plain says whether an address may be pasted into a shell as it is.
func plain(address string) bool {
	return !strings.HasPrefix(address, "-") && !strings.ContainsFunc(address, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("@.-_+%", r)
	})
}

func showEvent(e ledger.StoryEvent) StoryEvent {
	shown := StoryEvent{Origin: e.Key.Origin, Source: e.Key.Source, ID: e.Key.ID, Kind: string(e.Kind), ReceivedAt: e.ReceivedAt, Entry: e.Entry, Next: []string{}, Can: []string{}}
	switch r := e.Reject; {
	case r != nil:
		shown.Kind, shown.Reject = "reject", r.ID
		shown.Now, shown.Next, shown.Can = rejectNow(*r)
	case e.Entry == 0 && e.Kind != terminated:
		shown.Now = "kept: it speaks of nobody who is known"
		shown.Next = []string{"it is heeded once the termination that it takes back comes"}
	case e.Entry == 0:
		shown.Now = "recorded; it has led to nothing that is still known"
	default:
		shown.Now = fmt.Sprintf("recorded; it led to entry %d", e.Entry)
	}
	return shown
}

// rejectNow is how a reject stands, and what one can do about it.
func rejectNow(r ledger.Reject) (now string, next, can []string) {
	why := fmt.Sprintf("%s (%s)", r.Reason, r.Detail)
	if r.Detail == "" {
		why = string(r.Reason)
	}
	switch r.State {
	case ledger.RejectReplayed:
		return fmt.Sprintf("was not understood at first: %s; replayed %s by %s as reject %d", why, stamp(r.SettledAt), cmp.Or(r.SettledBy, "signoff"), r.ID), []string{}, []string{}
	case ledger.RejectDiscarded:
		now = fmt.Sprintf("reject %d: not understood: %s; discarded %s by %s", r.ID, why, stamp(r.SettledAt), r.SettledBy)
		if r.SettledReason != "" {
			now += ": " + r.SettledReason
		}
		return now, []string{"nothing more: have it sent again under a new id if somebody did leave"}, []string{}
	}
	return fmt.Sprintf("reject %d: not understood: %s; nobody is closed by it (tried %d times, last %s)", r.ID, why, r.Attempts, stamp(r.LastAt)),
		[]string{"a person mends the mapping, or what it lacks, and replays it; or discards it, if nobody left"},
		[]string{fmt.Sprintf("look at it: signoff rejects show %d", r.ID), fmt.Sprintf("to replay it: signoff rejects replay %d", r.ID),
			fmt.Sprintf("to discard it: signoff rejects discard %d --reason …", r.ID)}
}

// stamp is a time as people read it, to the second.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// narrator tells of one leaver.
type narrator struct {
	told ledger.Story
	pace Pace
	whom string // in commands: an address of the leaver, or the word EMAIL

	several bool // addresses that the leaver goes by
}

func (n narrator) leaving(l ledger.StoryLeaving) StoryLeaving {
	shown := StoryLeaving{Entry: l.Entries[0].ID, EffectiveAt: l.Entries[0].EffectiveAt, Steps: []StoryStep{}, MoreSteps: l.More, Places: []StoryPlace{}}
	newest := make(map[string]int)
	for _, e := range l.Entries {
		if e.GaveWay {
			continue
		}
		shown.EffectiveAt = e.EffectiveAt
		place := n.place(l, e)
		if i, ok := newest[e.Account]; ok {
			shown.Places[i] = place
			continue
		}
		newest[e.Account] = len(shown.Places)
		shown.Places = append(shown.Places, place)
	}
	shown.Steps = n.steps(l)
	return shown
}

// leftOut stands in the place of an action where steps are left out.
const leftOut = "left_out"

// steps are those of a leaving in the order of time: what the audit has, and around
// it what stands elsewhere.
func (n narrator) steps(l ledger.StoryLeaving) []StoryStep {
	var all []StoryStep
	several, whole, in := len(accountsOf(l)) > 1, l.More == 0, make(asked)
	for _, s := range l.Steps {
		if !whole && s.Seq >= l.Gap {
			whole = true
			all = append(all, StoryStep{At: s.At, Action: leftOut,
				Words: fmt.Sprintf("(%d steps before this are left out: signoff audit export has them all)", l.More)})
		}
		f := factsOf(s)
		if !in.concerned(l, s, f) {
			continue
		}
		words := n.words(l, s, f)
		if account := accountOf(l, s.Entry); several && account != "" && f.ReceivedAt == "" && !strings.Contains(words, account) {
			words = "account " + account + ": " + words
		}
		all = append(all, StoryStep{At: s.At, Action: s.Action, Entry: s.Entry, By: s.Actor, Words: words})
	}
	all = append(all, besides(l)...)
	slices.SortStableFunc(all, func(a, b StoryStep) int { return a.At.Compare(b.At) })
	return all
}

// asked are the holds that ask about an entry, by the entry, as of one step.
type asked map[int64]int64

// concerned says whether a step is about the leaver, and not about a hold that has
// let them go before, or that a step of the entry itself tells of as well.
func (a asked) concerned(l ledger.StoryLeaving, s ledger.Step, f storyFacts) bool {
	switch s.Action {
	case "held", "ahead", "reopen_proposed":
		if f.Hold != 0 {
			a[s.Entry] = f.Hold
		}
	case "approved", "rejected", "approved_ahead", "refused_ahead", "reopen_approved", "reopen_dropped", "renewed", "skipped", "deferred", "urgent", "cancelled":
		delete(a, s.Entry)
	case "hold_approved", "hold_rejected":
		return false
	case "hold_approval", "hold_expired":
		return slices.Contains(slices.Collect(maps.Values(a)), f.Hold)
	case "hold_split":
		_, named := l.Holds[f.Hold]
		for entry, hold := range a {
			if hold == f.Parent && named {
				a[entry] = f.Hold
				return true
			}
		}
		return false
	}
	return true
}

// besides are steps that the audit does not have of the leaver: of rescinds and
// rehires that came first, of rejects, and of freezes.
func besides(l ledger.StoryLeaving) (all []StoryStep) {
	add := func(at time.Time, action, by, words string) {
		all = append(all, StoryStep{At: at, Action: action, By: by, Words: words})
	}
	for _, c := range unsaid(l) {
		add(c.ReceivedAt, string(c.Kind), "", fmt.Sprintf("%s came%s; it spoke of nobody who was known then, and was kept",
			eventKind(string(c.Kind)), from(c.Key.Origin, c.Key.Source, c.Key.ID)))
	}
	for _, r := range l.Rejects {
		now, _, _ := rejectNow(r)
		add(r.ReceivedAt, "reject", "", now)
	}
	for _, f := range l.Freezes {
		where := "account " + f.Account
		if f.Account == "" {
			where = "all accounts"
		}
		add(f.At, "freeze", f.By, fmt.Sprintf("a freeze of %s until %s, by %s", where, stamp(f.Until), f.By)+because(f.Reason))
		if !f.EndedAt.IsZero() {
			add(f.EndedAt, "freeze_ended", f.EndedBy, "the freeze was ended by "+f.EndedBy)
		}
	}
	return all
}

// unsaid are the rescinds and rehires that the steps name without having told of
// them: they came before the termination.
func unsaid(l ledger.StoryLeaving) []ledger.StoryEvent {
	told := make(map[string]bool)
	for _, s := range l.Steps {
		if f := factsOf(s); f.ReceivedAt != "" {
			told[f.Source+" "+idOf(s, f)] = true
		}
	}
	var all []ledger.StoryEvent
	for _, c := range l.Cancels {
		if !told[c.Key.Source+" "+c.Key.ID] {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b ledger.StoryEvent) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return all
}

func accountsOf(l ledger.StoryLeaving) (all []string) {
	for _, e := range l.Entries {
		if e.Account != "" && !slices.Contains(all, e.Account) {
			all = append(all, e.Account)
		}
	}
	return all
}

func accountOf(l ledger.StoryLeaving, entry int64) string {
	for _, e := range l.Entries {
		if e.ID == entry {
			return e.Account
		}
	}
	return ""
}

// explain answers what became of a leaver or an event.
func (s *Server) explain(w http.ResponseWriter, r *http.Request, who principal) {
	if who.name == "" {
		problem(w, http.StatusForbidden, "a story names people: it needs a named person, see admin.tokens_file, or signoff explain --config on this machine")
		return
	}
	var ask Question
	if !readBody(w, r, maxBody, &ask, `{"email": "ana@example.com"} or {"event": "the event's id"} or {"entry": 17}`) {
		return
	}
	if err := ask.Validate(); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	told, err := s.ledger.Explain(r.Context(), ledger.Question(ask))
	switch {
	case errors.Is(err, ledger.ErrNeverHeard), errors.Is(err, ledger.ErrNobodyBy), errors.Is(err, ledger.ErrNoEntry):
		problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		s.fail(w, err)
	default:
		answer(w, Explain(told, s.daemon.Pace()))
	}
}
