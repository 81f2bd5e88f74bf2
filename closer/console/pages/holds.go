package pages

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// holdsPage is what waits for a person, or what was decided.
type holdsPage struct {
	State    string // open or decided
	Kind     string // that alone; "": whichever
	Holds    []console.Hold
	Next     int64 // before of the next page; 0: this is the last
	Freezes  []console.Freeze
	Accounts []string // that may be frozen

	Alert string // what was wrong with a freeze asked for
	Said  freezeForm
}

type freezeForm struct{ Account, Until, Reason string }

func (p *Pages) holds(w http.ResponseWriter, r *http.Request) error {
	return p.listHolds(w, r, http.StatusOK, "", freezeForm{})
}

func (p *Pages) listHolds(w http.ResponseWriter, r *http.Request, status int, alert string, said freezeForm) error {
	ctx, api, q := r.Context(), console.ClientOf(r.Context()), r.URL.Query()
	body := holdsPage{State: "open", Alert: alert, Said: said}
	if q.Get("state") == "decided" {
		body.State = "decided"
	}
	body.Kind = q.Get("kind")
	f := console.HoldFilter{State: body.State, Kind: body.Kind, Brief: true}
	if text := q.Get("before"); text != "" {
		var err error
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil {
			return &inputError{"before: not the number of a hold"}
		}
	}
	page, err := api.ListHolds(ctx, f)
	if err != nil {
		return err
	}
	body.Holds, body.Next = page.Holds, page.Next
	if body.Freezes, err = api.Freezes(ctx); err != nil {
		return err
	}
	o, err := api.Overview(ctx, "5m")
	if err != nil {
		return err
	}
	for _, a := range o.Accounts {
		body.Accounts = append(body.Accounts, a.ID)
	}
	p.show(w, r, status, view{Template: "holds", Title: "Holds", Room: "holds", Here: "/holds", Body: body})
	return nil
}

// usersShown are the users of a hold on one page.
const usersShown = 500

// holdPage is one hold, with the users that it names.
type holdPage struct {
	console.Hold
	Shown  []console.User
	Page   int // of the users, from 1
	Pages  int
	Alert  string   // why the decision asked for was not taken
	Reason string   // of that decision
	Out    []string // userIds that it leaves out, on whichever page
	Rest   int      // users whom the hold that it was taken out of holds still
}

func (p *Pages) hold(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	h, err := console.ClientOf(r.Context()).Hold(r.Context(), id)
	if err != nil {
		return err
	}
	body := newHoldPage(h, r.URL.Query().Get("page"))
	if body.Rest, err = restOf(r, h); err != nil {
		return err
	}
	return p.showHold(w, r, http.StatusOK, body)
}

// restOf is how many users are held still in the hold that this one was taken out of.
func restOf(r *http.Request, h console.Hold) (int, error) {
	if h.Parent == 0 {
		return 0, nil
	}
	page, err := console.ClientOf(r.Context()).ListHolds(r.Context(), console.HoldFilter{State: "open", Before: h.Parent + 1, Limit: 1, Brief: true})
	if err != nil || len(page.Holds) == 0 || page.Holds[0].ID != h.Parent {
		return 0, err
	}
	return page.Holds[0].Count, nil
}

// turnHold shows another page of a hold's users, and keeps what was said on this one.
func (p *Pages) turnHold(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	h, err := console.ClientOf(r.Context()).Hold(r.Context(), id)
	if err != nil {
		return err
	}
	body := newHoldPage(h, r.PostForm.Get("to"))
	body.Reason, body.Out = r.PostForm.Get("reason"), leftOut(r, h)
	return p.showHold(w, r, http.StatusOK, body)
}

func newHoldPage(h console.Hold, page string) holdPage {
	body := holdPage{Hold: h, Pages: max(1, (len(h.Users)+usersShown-1)/usersShown)}
	n, _ := strconv.Atoi(page) // what is no page is the first one
	body.Page = min(max(1, n), body.Pages)
	from := (body.Page - 1) * usersShown
	body.Shown = h.Users[from:min(len(h.Users), from+usersShown)]
	return body
}

func (p *Pages) showHold(w http.ResponseWriter, r *http.Request, status int, body holdPage) error {
	here := fmt.Sprintf("/holds/%d", body.ID)
	if body.Page > 1 {
		here += fmt.Sprintf("?page=%d", body.Page)
	}
	p.show(w, r, status, view{Template: "hold", Title: fmt.Sprintf("Hold %d", body.ID), Room: "holds", Here: here, Body: body})
	return nil
}

// Open says whether it still waits for a person.
func (h holdPage) Open() bool { return h.State == string(ledger.HoldOpen) }

// Self says that it can't be approved: it is about the user that signoff signs in as.
func (h holdPage) Self() bool { return slices.Contains(h.Kinds, string(ledger.Self)) }

// Approvable says whether a yes can be said here.
func (h holdPage) Approvable() bool { return h.Open() && !h.Self() && !h.DryRun }

// Version is another once the hold is another: a page that shows one of before must not
// be decided by.
func (h holdPage) Version() string { return fmt.Sprintf("%s %s %d", h.State, h.Digest, h.Count) }

// Going is how many users an approval is of.
func (h holdPage) Going() int { return h.Count - len(h.Out) }

// Standing is how many of those whose close was approved are in which state by now.
func (h holdPage) Standing() (all []console.InState) {
	if h.State != string(ledger.HoldApproved) || len(h.Reopens) > 0 {
		return nil
	}
	for _, state := range ledger.States() {
		n := 0
		for _, u := range h.Users {
			if u.State == string(state) {
				n++
			}
		}
		if n > 0 {
			all = append(all, console.InState{State: string(state), Entries: n})
		}
	}
	return all
}

// Missing is how many people must still approve.
func (h holdPage) Missing() int { return max(0, h.Needed-len(h.Approvals)) }

// Ticked says whether a user is to go with an approval.
func (h holdPage) Ticked(user string) bool { return !slices.Contains(h.Out, user) }

// Elsewhere are those that are left out on other pages.
func (h holdPage) Elsewhere() []string {
	return slices.DeleteFunc(slices.Clone(h.Out), func(user string) bool {
		return slices.ContainsFunc(h.Shown, func(u console.User) bool { return u.UserID == user })
	})
}

func (p *Pages) decide(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	api := console.ClientOf(r.Context())
	said := console.Verdict{Digest: r.PostForm.Get("digest"), Reason: strings.TrimSpace(r.PostForm.Get("reason"))}
	what := r.PathValue("verdict")
	var decided console.Hold
	switch what {
	case "approve":
		if said.Except, err = p.except(r, id); err == nil && said.Reason == "" { // the API lets programs approve without one
			err = &inputError{"A reason is needed: it says for the audit why these people may be closed."}
		}
		if err == nil {
			decided, err = api.Approve(r.Context(), id, said)
		}
	case "reject":
		decided, err = api.Reject(r.Context(), id, said)
	default:
		return errNoPage
	}
	if err != nil {
		return p.decideAgain(w, r, id, said, err)
	}
	done := "rejected"
	if what == "approve" {
		done = "approved"
		if decided.State == string(ledger.HoldOpen) {
			done = "one_of"
		}
	}
	http.Redirect(w, r, fmt.Sprintf("/holds/%d?done=%s", decided.ID, done), http.StatusSeeOther)
	return nil
}

// except are those whom an approval leaves out. It is of the plan that was seen,
// whatever is left out of it: the digest says so.
func (p *Pages) except(r *http.Request, id int64) ([]string, error) {
	if r.PostForm.Get("boxes") == "" {
		return nil, nil
	}
	h, err := console.ClientOf(r.Context()).Hold(r.Context(), id)
	if err != nil {
		return nil, err
	}
	out := leftOut(r, h)
	if len(out) == len(h.Users) {
		return out, &inputError{"Nobody is ticked: tick those who may go, or reject the hold."}
	}
	return out, nil
}

// leftOut are the users whose boxes are not ticked: those of the form's page, and those
// that the form has of other pages.
func leftOut(r *http.Request, h console.Hold) (out []string) {
	seen, ticked, elsewhere := make(map[string]bool), set(r.PostForm["user"]), set(r.PostForm["out"])
	for _, u := range newHoldPage(h, r.PostForm.Get("page")).Shown {
		seen[u.UserID] = true
	}
	for _, u := range h.Users {
		if seen[u.UserID] && !ticked[u.UserID] || !seen[u.UserID] && elsewhere[u.UserID] {
			out = append(out, u.UserID)
		}
	}
	return out
}

func set(all []string) map[string]bool {
	made := make(map[string]bool)
	for _, one := range all {
		made[one] = true
	}
	return made
}

// decideAgain shows the hold as it is by now, and why nothing was decided.
func (p *Pages) decideAgain(w http.ResponseWriter, r *http.Request, id int64, said console.Verdict, why error) error {
	status, detail := refusal(why)
	if status == http.StatusNotFound || status >= http.StatusInternalServerError {
		return why
	}
	h, err := console.ClientOf(r.Context()).Hold(r.Context(), id)
	if err != nil {
		return err
	}
	switch {
	case h.Decided != nil:
		detail = fmt.Sprintf("The hold was %s by %s meanwhile: nothing was done now.", h.State, cmp.Or(console.Printable([]byte(h.Decided.By)), "somebody"))
	case h.Digest != said.Digest:
		detail = "A part of this hold was decided since you opened it: nothing was done now. See below who is held still."
	}
	body := newHoldPage(h, r.PostForm.Get("page"))
	body.Alert, body.Reason, body.Out = detail, said.Reason, said.Except
	return p.showHold(w, r, status, body)
}

func (p *Pages) freeze(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	said := freezeForm{Account: r.PostForm.Get("account"), Until: r.PostForm.Get("until"), Reason: strings.TrimSpace(r.PostForm.Get("reason"))}
	until, err := formTime(r.PostForm.Get("until_utc"), said.Until)
	if err == nil {
		_, err = console.ClientOf(r.Context()).Freeze(r.Context(), console.NewFreeze{Account: said.Account, Until: until, Reason: said.Reason})
	}
	if err == nil {
		http.Redirect(w, r, "/holds?done=frozen", http.StatusSeeOther)
		return nil
	}
	status, detail := refusal(err)
	if status >= http.StatusInternalServerError {
		return err
	}
	return p.listHolds(w, r, status, detail, said)
}

func (p *Pages) endFreeze(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	if err := console.ClientOf(r.Context()).EndFreeze(r.Context(), id, strings.TrimSpace(r.PostForm.Get("reason"))); err != nil {
		return err
	}
	http.Redirect(w, r, "/holds?done=unfrozen", http.StatusSeeOther)
	return nil
}

// mostForm is how large a form may be, in bytes: that of a hold has a box for each
// user of a page, and names those that other pages leave out.
const mostForm = 1 << 20

func readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return &console.AnswerError{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("The form is larger than %d bytes.", large.Limit)}
		}
		return &inputError{"The form can't be read."}
	}
	return nil
}

// formTime is the time that a form names: that which the script has worked out from the
// reader's clock or, without it, what was typed, as UTC.
func formTime(exact, typed string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, exact); err == nil {
		return t.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, typed); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &inputError{"That is no time: such as 2026-12-24T09:00."}
}
