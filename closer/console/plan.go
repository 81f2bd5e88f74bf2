package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// Planner makes the plan of a time to come.
type Planner interface {
	// PlanAt says what would be closed at a time, in all accounts or in one, and
	// changes nothing. With look everybody is looked up, which costs calls; without,
	// it counts. ErrAccount refuses an account that leavers are not closed in.
	PlanAt(ctx context.Context, at time.Time, account string, look bool) ([]Plan, error)

	// ApprovePlan makes the plan of a time afresh, and is by's yes to it, if it still
	// has the digest that they have seen; else a PlanChangedError.
	ApprovePlan(ctx context.Context, a PlanApproval, by ledger.Person) (ledger.Hold, error)
}

// ErrAccount refuses an account that leavers are not closed in.
var ErrAccount = errors.New("account: none that leavers are closed in")

// PlanChangedError refuses to approve a plan that is another by now than was seen.
type PlanChangedError struct {
	Users int  // of the plan as it is now
	Known bool // that the one that was seen is remembered
	More  int  // users that it has besides those of the one that was seen
	Less  int  // users of that one that it has not
}

func (e *PlanChangedError) Error() string {
	text := fmt.Sprintf("digest: not that of the plan, which has %d users now", e.Users)
	if e.Known {
		text += fmt.Sprintf(": %d more than the one that you have seen, and %d of that are not in it", e.More, e.Less)
	}
	return text + ": look at it again"
}

// Plan is what the plan of a time would do in one account.
type Plan struct {
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	Digest  string    `json:"digest"` // of those who would go, or wait for the whole plan's sake; "": nobody, or nobody was looked up

	Waiting int `json:"waiting"` // leavers who are due by then
	Due     int `json:"due"`     // due already, where it is another time: the next run judges them
	Held    int `json:"held"`    // that wait for a person now

	LookedUp      bool `json:"lookedUp"` // else the following is not known
	Going         int  `json:"going"`
	WouldHold     int  `json:"wouldHold"`
	AlreadyClosed int  `json:"alreadyClosed"`
	NotFound      int  `json:"notFound"`
	Unknown       int  `json:"unknown"` // could not be looked up

	FrozenUntil time.Time      `json:"frozenUntil,omitzero"` // the freeze that is in force then
	Headroom    map[string]int `json:"headroom,omitempty"`   // window -> leavers that it would still let through after those
	People      []PlanPerson   `json:"people"`
}

// PlanPerson is one leaver of a plan of a time to come.
type PlanPerson struct {
	Entry     int64     `json:"entry"`
	Emails    []string  `json:"emails"`
	Effective time.Time `json:"effectiveAt"`
	Due       time.Time `json:"dueAt"`
	Urgent    bool      `json:"urgent,omitempty"`
	Outcome   string    `json:"outcome"` // closed, held, already_closed or not_found; "": could not be looked up
	Kinds     []string  `json:"kinds,omitempty"`
	Why       string    `json:"why,omitempty"`
	Whole     bool      `json:"wholePlan,omitempty"` // it is the whole plan that would be held
	Users     []User    `json:"users,omitempty"`
}

// PlanApproval is a person's yes to a plan of a time to come, as a request has it.
type PlanApproval struct {
	At      time.Time     `json:"at"`
	Account string        `json:"account"`
	Digest  string        `json:"digest"` // of the plan that the person has seen
	For     time.Duration `json:"-"`      // how long the approval is good; 0: as long as any
	Reason  string        `json:"reason"`
}

const (
	// mostAhead is how far ahead a plan may be: years are mistyped.
	mostAhead = 366 * 24 * time.Hour

	// MostGood is how long a plan's approval may be good.
	MostGood = 7 * 24 * time.Hour
)

var wholeDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (s *Server) planAt(w http.ResponseWriter, r *http.Request, who principal) {
	var asked struct {
		At      time.Time `json:"at"`
		Account string    `json:"account"`
	}
	if !readBody(w, r, maxBody, &asked, `{"at": "2026-12-31T09:00:00Z"}`) {
		return
	}
	if asked.At.IsZero() {
		asked.At = time.Now()
	}
	if time.Until(asked.At) > mostAhead {
		problem(w, http.StatusBadRequest, "at: more than a year ahead")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(planAtMost))
	plans, err := s.daemon.Plans.PlanAt(r.Context(), asked.At.UTC(), account(asked.Account), who.name != "") // to look up costs calls
	if err != nil {
		s.planFailed(w, who, err)
		return
	}
	answer(w, map[string]any{"plans": plans})
}

// account is an id of one as the ledger has it.
func account(id string) string { return strings.ToLower(strings.TrimSpace(id)) }

func (s *Server) approvePlan(w http.ResponseWriter, r *http.Request, who principal) {
	var asked struct {
		PlanApproval
		For string `json:"for"`
	}
	const example = `{"at": "2026-12-31T09:00:00Z", "account": "…", "digest": "9f86d08…", "reason": "the office closes"}`
	if !readBody(w, r, maxBody, &asked, example) {
		return
	}
	a := asked.PlanApproval
	a.Account, a.Digest, a.At = account(a.Account), strings.ToLower(strings.TrimSpace(a.Digest)), a.At.UTC()
	reason, err := trimmed(a.Reason)
	if a.Reason = reason; err == nil {
		err = a.check(asked.For)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(planAtMost))
	h, err := s.daemon.Plans.ApprovePlan(r.Context(), a, who.person())
	if err != nil {
		s.planFailed(w, who, err)
		return
	}
	s.log.Info("plan approved ahead", zap.Int64("hold", h.ID), zap.String("state", string(h.State)), zap.String("by", who.said()),
		zap.Time("from", h.ValidFrom), zap.Time("until", h.ExpiresAt), zap.Int("users", len(h.Users)))
	answer(w, s.show(h, who))
}

// check refuses an approval that cannot be meant, and reads how long it is good.
func (a *PlanApproval) check(good string) (err error) {
	switch {
	case a.At.IsZero():
		return errors.New("at: is missing: the time of the plan")
	case time.Until(a.At) > mostAhead:
		return errors.New("at: more than a year ahead")
	case a.Account == "":
		return errors.New("account: is missing")
	case !wholeDigest.MatchString(a.Digest):
		return errors.New("digest: not the whole digest of the plan that you have seen, which is 64 hex digits")
	case a.Reason == "":
		return errors.New("a reason is needed: it says why these people may go without being held")
	case good == "":
		return nil
	}
	if a.For, err = time.ParseDuration(good); err != nil || a.For <= 0 || a.For > MostGood {
		return fmt.Errorf("for: %q: not a length of time, such as 24h, of at most %v", good, MostGood)
	}
	return nil
}

// planFailed answers why a plan could not be made, or approved.
func (s *Server) planFailed(w http.ResponseWriter, who principal, err error) {
	var changed *PlanChangedError
	switch {
	case errors.Is(err, ErrAccount), errors.Is(err, ledger.ErrNotAhead), errors.Is(err, ledger.ErrNobody):
		problem(w, http.StatusBadRequest, err.Error())
	case errors.As(err, &changed), errors.Is(err, ledger.ErrPlanChanged), errors.Is(err, ErrMode):
		problem(w, http.StatusConflict, err.Error())
	case errors.Is(err, ledger.ErrStandsIn), errors.Is(err, ledger.ErrBrought), errors.Is(err, ErrLater):
		s.fail(w, err)
	default:
		s.log.Warn("the plan could not be made", zap.String("by", who.said()), zap.Error(err))
		problem(w, http.StatusBadGateway, err.Error())
	}
}
