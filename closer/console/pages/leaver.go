package pages

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// leaverPage is what became of one leaver, and why.
type leaverPage struct {
	Entry  int64 // that was asked for
	DryRun bool
	console.StoryLeaver
	Now    console.StoryLeaving   // the newest leaving
	Older  []console.StoryLeaving // the newest first
	Others []console.StoryLeaver  // who go by the same
	Says   []say
	Said   string // the word that a person has just said; "": none
	Alert  string // why it was not heeded
	Moved  []console.MovedEntry
}

// say is a word of a person about a leaver, and its form.
type say struct {
	Word, Title, Does string
	Dated, Danger     bool
	Open              bool // it was said just now, and not heeded
	Reason, Until     string
}

func (p *Pages) leaver(w http.ResponseWriter, r *http.Request) error {
	body, err := p.readLeaver(r)
	if err != nil {
		return err
	}
	return p.showLeaver(w, r, http.StatusOK, body)
}

func (p *Pages) showLeaver(w http.ResponseWriter, r *http.Request, status int, body leaverPage) error {
	p.show(w, r, status, view{Template: "leaver", Title: body.Title(), Room: "leavers", Here: fmt.Sprintf("/leavers/%d", body.Entry), Body: body})
	return nil
}

func (p *Pages) readLeaver(r *http.Request) (leaverPage, error) {
	id, err := number(r, "entry")
	if err != nil {
		return leaverPage{}, err
	}
	story, err := console.ClientOf(r.Context()).Explain(r.Context(), console.Question{Entry: id})
	if err != nil {
		return leaverPage{}, err
	}
	body := leaverPage{Entry: id, DryRun: story.DryRun}
	for _, l := range story.Leavers {
		if len(l.Leavings) > 0 && (len(body.Leavings) == 0 || has(l, id)) {
			body.StoryLeaver = l
		}
	}
	n := len(body.Leavings)
	if n == 0 {
		return leaverPage{}, errNoPage
	}
	body.Others = slices.DeleteFunc(story.Leavers, func(l console.StoryLeaver) bool {
		return len(l.Leavings) == 0 || l.Leavings[0].Entry == body.Leavings[0].Entry
	})
	body.Now, body.Older = body.Leavings[n-1], slices.Clone(body.Leavings[:n-1])
	slices.Reverse(body.Older)
	body.Says = body.says()
	return body, nil
}

// has says whether an entry is among those that a leaver's story tells of.
func has(l console.StoryLeaver, entry int64) bool {
	return slices.ContainsFunc(l.Leavings, func(one console.StoryLeaving) bool { return in(one, entry) })
}

func in(l console.StoryLeaving, entry int64) bool {
	return l.Entry == entry || slices.ContainsFunc(l.Places, func(p console.StoryPlace) bool { return p.Entry == entry }) ||
		slices.ContainsFunc(l.Steps, func(s console.StoryStep) bool { return s.Entry == entry })
}

// Asked says whether a leaving is the one that was asked for.
func (b leaverPage) Asked(l console.StoryLeaving) bool { return in(l, b.Entry) }

// Closed says whether the newest leaving has closed somebody.
func (b leaverPage) Closed() bool {
	return slices.ContainsFunc(b.Now.Places, func(p console.StoryPlace) bool { return p.State == string(ledger.Closed) })
}

// Title names the leaver as far as may be.
func (b leaverPage) Title() string {
	if len(b.Emails) == 0 {
		return fmt.Sprintf("A leaver whose address was erased (entry %d)", b.Entry)
	}
	return b.Emails[0]
}

// says are the words that would change something as the leaver stands now. All of them
// go by an address.
func (b leaverPage) says() (all []say) {
	if len(b.Emails) == 0 {
		return nil
	}
	var movable, hasty, lost bool
	for _, l := range b.Leavings { // older ones may be open still
		for _, p := range l.Places {
			state := ledger.State(p.State)
			moves := state.Open() && state != ledger.Submitted
			movable = movable || moves
			hasty = hasty || moves && state != ledger.WouldClose && (!p.Urgent || state != ledger.Due)
			lost = lost || state == ledger.Failed || !p.NextAt.IsZero()
		}
	}
	for _, p := range b.Now.Places {
		lost = lost || !movable && (p.State == string(ledger.NotFound) || p.State == string(ledger.Skipped))
	}
	for _, one := range []struct {
		fits bool
		say
	}{
		{hasty, say{Word: "urgent", Title: "Close at once",
			Does: "Goes with the next run, also ahead of the leaving day. It ends a deferral. If they are held, they are judged anew, by the limits for urgent leavers."}},
		{lost, say{Word: "retry", Title: "Try again",
			Does: "Is looked up and judged anew at the next run: once what was amiss is mended, or if they are to be closed after all."}},
		{movable, say{Word: "defer", Title: "Defer", Dated: true,
			Does: "They are not closed before the time you say, whatever events say meanwhile. What was approved must be approved anew."}},
		{movable, say{Word: "skip", Title: "Skip", Danger: true,
			Does: "Leaves their user open: they can go on signing, until a later termination comes or somebody has it tried again."}},
	} {
		if one.fits {
			all = append(all, one.say)
		}
	}
	return all
}

// sayOfLeaver says a person's word about whoever the entry is of, in all accounts.
func (p *Pages) sayOfLeaver(w http.ResponseWriter, r *http.Request) error {
	said, ok := sayings[r.PathValue("word")]
	if !ok {
		return errNoPage
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	body, err := p.readLeaver(r)
	if err != nil {
		return err
	}
	moved, err := p.speak(r, said, body)
	if err != nil {
		return p.sayAgain(w, r, body, err)
	}
	if slices.ContainsFunc(moved.Entries, func(m console.MovedEntry) bool { return m.Why != "" }) {
		if body, err = p.readLeaver(r); err != nil { // as it stands now
			return err
		}
		body.Said, body.Moved = said.done, moved.Entries
		return p.showLeaver(w, r, http.StatusOK, body)
	}
	http.Redirect(w, r, fmt.Sprintf("/leavers/%d?done=%s", body.Entry, said.done), http.StatusSeeOther)
	return nil
}

// sayings are what is asked of the API by the word in a form's path, and what is said of
// it once that is done.
var sayings = map[string]saying{
	"defer":  {(*console.Client).Defer, "deferred"},
	"urgent": {(*console.Client).Urgent, "urgent"},
	"skip":   {(*console.Client).Skip, "skipped"},
	"retry":  {(*console.Client).Retry, "retried"},
}

type saying struct {
	ask  func(*console.Client, context.Context, console.ByHand) (console.Moved, error)
	done string // of doneWords
}

func (p *Pages) speak(r *http.Request, said saying, body leaverPage) (console.Moved, error) {
	if len(body.Emails) == 0 {
		return console.Moved{}, &inputError{"Their addresses were erased: nobody can be meant by them any more."}
	}
	by := console.ByHand{Email: body.Emails[0], Reason: strings.TrimSpace(r.PostForm.Get("reason"))}
	if r.PathValue("word") == "defer" {
		var err error
		if by.Until, err = formTime(r.PostForm.Get("until_utc"), r.PostForm.Get("until")); err != nil {
			return console.Moved{}, err
		}
	}
	return said.ask(console.ClientOf(r.Context()), r.Context(), by)
}

// sayAgain shows the leaver, why nothing was done, and what was said.
func (p *Pages) sayAgain(w http.ResponseWriter, r *http.Request, body leaverPage, why error) error {
	status, detail := refusal(why)
	if status >= http.StatusInternalServerError {
		return why
	}
	body.Alert = detail
	for i, s := range body.Says {
		if s.Word == r.PathValue("word") {
			body.Says[i].Open, body.Says[i].Reason, body.Says[i].Until = true, r.PostForm.Get("reason"), r.PostForm.Get("until")
		}
	}
	return p.showLeaver(w, r, status, body)
}

// stepClass is the look of a step in a story.
func stepClass(action string) string {
	switch action {
	case "closed", "already_closed", "approved", "approved_ahead", "hold_approved", "reopen_approved", "reopen_sent", "account_resumed":
		return "good"
	case "failed", "account_parked", "reopen_failed", "reject", "reject_failed_again", "reject_open_again":
		return "bad"
	case "held", "returned", "freeze", "login_seen", "may_not_rescind", "rejected", "refused_ahead", "reopen_proposed":
		return "warn"
	case "due", "submitted", "retry", "withdrawn", "urgent", "retry_asked", "reopen_submitted":
		return "busy"
	}
	return ""
}
