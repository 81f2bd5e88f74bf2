package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// Hold is a hold as the API shows it.
type Hold struct {
	ID      int64     `json:"id"`
	Account string    `json:"account"`
	Kinds   []string  `json:"kinds"`
	State   string    `json:"state"`
	Detail  string    `json:"detail"`
	Digest  string    `json:"digest"`
	DryRun  bool      `json:"dryRun"`
	Since   time.Time `json:"since"`
	Count   int       `json:"userCount"`
	Parent  int64     `json:"parent,omitempty"` // the hold that its people were taken out of

	Ahead     bool      `json:"ahead,omitempty"` // its people are not due yet
	From      time.Time `json:"from,omitzero"`   // an approval is not good before
	ExpiresAt time.Time `json:"expiresAt,omitzero"`

	Needed    int       `json:"approvalsNeeded"`
	Approvals []Decided `json:"approvals"` // so far
	Decided   *Decided  `json:"decided,omitempty"`
	Users     []User    `json:"users"`             // none for those who have not signed in
	Note      string    `json:"note,omitempty"`    // what an approval leads to, where that is not a close
	Reopens   []Reopen  `json:"reopens,omitempty"` // of kind reopen: what became of each user
}

// Decided is a person's word on a hold.
type Decided struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// User is a user that a hold names.
type User struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	SCIM   bool   `json:"managedByScim"` // an identity provider manages the user, and may make them anew

	// By which a hold names the user, and how that stands; nothing elsewhere.
	Entry       int64     `json:"entry,omitempty"`
	Name        string    `json:"name,omitempty"`       // of the leaver; "" if the entry has none, or once it was erased
	EffectiveAt time.Time `json:"effectiveAt,omitzero"` // when they leave
	State       string    `json:"state,omitempty"`
}

// Show is a hold as the API shows it, with its users or with their number alone.
// needed is how many people must approve it.
func Show(h ledger.Hold, needed int, users bool) Hold {
	shown := Hold{ID: h.ID, Account: h.Account, State: string(h.State), Detail: h.Detail, Digest: h.Digest,
		DryRun: h.DryRun, Since: h.CreatedAt, Count: max(len(h.Users), h.Named), Parent: h.Parent, Kinds: []string{}, Users: []User{},
		Ahead: h.Ahead, From: h.ValidFrom, ExpiresAt: h.ExpiresAt, Needed: needed, Approvals: []Decided{}}
	for _, a := range h.Approvals {
		shown.Approvals = append(shown.Approvals, Decided{By: a.By, At: a.At, Reason: a.Reason})
	}
	for _, k := range h.Kinds {
		shown.Kinds = append(shown.Kinds, string(k))
	}
	if !h.DecidedAt.IsZero() {
		shown.Decided = &Decided{By: h.DecidedBy, At: h.DecidedAt, Reason: h.Reason}
	}
	showReopens(&shown, h, users)
	if !users {
		if shown.Decided != nil {
			shown.Decided.By, shown.Decided.Reason = withoutAddress(shown.Decided.By), "" // a person's words may name anybody
		}
		for i := range shown.Approvals {
			shown.Approvals[i].By, shown.Approvals[i].Reason = withoutAddress(shown.Approvals[i].By), ""
		}
		return shown
	}
	for _, u := range h.Users {
		shown.Users = append(shown.Users, User{UserID: u.ID, Email: u.Email, SCIM: u.SCIM, Entry: u.Entry,
			Name: u.Name, EffectiveAt: u.EffectiveAt, State: string(u.State)})
	}
	return shown
}

// HoldFilter says which holds are listed.
type HoldFilter struct {
	State  string // open, approved, rejected, ended, or decided: approved or rejected; "": open
	Kind   string // the gravest of the hold; "": whichever
	Ahead  string // true or false: whether its people are not due yet; "": whichever
	Before int64  // Next of the page before
	Limit  int    // 0: 100, or all that are open
	Brief  bool   // without their users
}

// HoldsPage is a page of holds.
type HoldsPage struct {
	Holds []Hold `json:"holds"`
	Next  int64  `json:"next,omitempty"` // before of the next page; 0: this is the last
}

const holdPage = 100 // holds listed at once, unless asked for more or less

// MostHolds is how many holds may be listed at once.
const MostHolds = 1000

func (s *Server) listHolds(w http.ResponseWriter, r *http.Request, who principal) {
	f, err := holdFilterOf(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	page := HoldsPage{Holds: []Hold{}}
	limit := f.Limit
	if limit > 0 {
		f.Limit++ // one more tells that there is one
	}
	holds, err := s.ledger.ListHolds(r.Context(), f)
	if err != nil {
		s.fail(w, err)
		return
	}
	switch {
	case limit == 0: // all of them: those first that have waited the longest
		slices.SortFunc(holds, func(a, b ledger.Hold) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	case len(holds) > limit:
		holds = holds[:limit]
		page.Next = holds[limit-1].ID
	}
	for _, h := range holds {
		page.Holds = append(page.Holds, s.show(h, who))
	}
	answer(w, page)
}

// holdFilterOf reads a filter from a query. Those that are open come all together,
// unless a page of them is asked for.
func holdFilterOf(q url.Values) (f ledger.HoldFilter, err error) {
	set(&f.Kind, q.Get("kind"))
	switch state := q.Get("state"); state {
	case "":
		f.States = []ledger.HoldState{ledger.HoldOpen}
	case "decided":
		f.States = []ledger.HoldState{ledger.HoldApproved, ledger.HoldRejected}
	default:
		f.States = []ledger.HoldState{ledger.HoldState(state)}
	}
	if q.Get("before") != "" || !slices.Contains(f.States, ledger.HoldOpen) {
		f.Limit = holdPage
	}
	ahead := false
	err = cmp.Or(f.Validate(),
		read(q, "brief", &f.Brief, strconv.ParseBool, "neither true nor false"), read(q, "ahead", &ahead, strconv.ParseBool, "neither true nor false"),
		read(q, "before", &f.Before, func(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }, "not the id of a hold"),
		read(q, "limit", &f.Limit, positive, fmt.Sprintf("not a number from 1 to %d", MostHolds)))
	if q.Get("ahead") != "" {
		f.Ahead = &ahead
	}
	switch {
	case err != nil:
	case f.Limit > MostHolds:
		err = fmt.Errorf("limit: not a number from 1 to %d", MostHolds)
	case f.Before < 0 || q.Get("before") != "" && f.Before == 0:
		err = errors.New("before: not the id of a hold")
	}
	return f, err
}

func (s *Server) showHold(w http.ResponseWriter, r *http.Request, who principal) {
	id, ok := holdID(w, r)
	if !ok {
		return
	}
	h, err := s.ledger.Hold(r.Context(), id)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, s.show(h, who))
}

func (s *Server) show(h ledger.Hold, who principal) Hold {
	return Show(h, s.daemon.Terms().People, who.name != "")
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request, who principal) {
	d, ok := decision(w, r, who)
	if !ok {
		return
	}
	h, err := s.ledger.Approve(r.Context(), d, s.daemon.Terms())
	s.decided(w, h, who, err)
}

func (s *Server) reject(w http.ResponseWriter, r *http.Request, who principal) {
	d, ok := decision(w, r, who)
	if !ok {
		return
	}
	switch {
	case d.Reason == "":
		problem(w, http.StatusBadRequest, "a reason is needed: it says why these people are left as they are")
		return
	case len(d.Only)+len(d.Except) > 0:
		problem(w, http.StatusBadRequest, "only and except are for approvals: approve the others, and reject what is left")
		return
	}
	h, settled, err := s.ledger.Reject(r.Context(), d)
	if err == nil {
		s.daemon.Skipped(settled)
	}
	s.decided(w, h, who, err)
}

// Verdict is a person's word on a hold, as a request has it.
type Verdict struct {
	Digest string   `json:"digest"` // of the plan that the person has seen
	Reason string   `json:"reason"`
	Only   []string `json:"only,omitempty"`   // addresses or userIds: approves these alone
	Except []string `json:"except,omitempty"` // approves all but these
}

// maxVerdict is how large a verdict may be that names many people, in bytes.
const maxVerdict = 4 << 20

// decision reads which hold is decided on, and how; not ok if it has answered
// already.
func decision(w http.ResponseWriter, r *http.Request, who principal) (d ledger.Decision, ok bool) {
	id, ok := holdID(w, r)
	if !ok {
		return d, false
	}
	var said Verdict
	if !readBody(w, r, maxVerdict, &said, `{"digest": "9f86d08…", "reason": "checked with HR"}`) {
		return d, false
	}
	if said.Digest == "" {
		problem(w, http.StatusBadRequest, "digest: is missing: it says which plan you have seen")
		return d, false
	}
	reason, err := trimmed(said.Reason)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return d, false
	}
	return ledger.Decision{Hold: id, Digest: said.Digest, By: who.person(), Reason: reason, Only: said.Only, Except: said.Except}, true
}

func (s *Server) decided(w http.ResponseWriter, h ledger.Hold, who principal, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	s.log.Info("hold decided", zap.Int64("hold", h.ID), zap.String("state", string(h.State)), zap.String("by", who.said()),
		zap.Int("approvals", len(h.Approvals)))
	answer(w, s.show(h, who))
}
