package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// Replayer reads the payload of a reject anew, as the way in by which it came
// reads what comes now, and records what comes of it, in the name of by. It
// returns the reject as it stands then: replayed, or open with one more attempt.
type Replayer interface {
	Replay(ctx context.Context, id int64, by string) (ledger.Reject, error)
}

var (
	// ErrOrigin refuses to replay what came by a topic or an endpoint that there is
	// no more: how it was to be read is not known.
	ErrOrigin = errors.New("the config does not name it any more: name it again, or discard the reject")

	// ErrLater says that what a replay has to ask does not answer now. Nothing was
	// changed.
	ErrLater = errors.New("nothing was changed, try again later")
)

// Reject is a reject as the API shows it.
type Reject struct {
	ID          int64     `json:"id"`
	State       string    `json:"state"`
	Reason      string    `json:"reason"`
	Detail      string    `json:"detail"`
	Source      string    `json:"source"`      // kafka, webhook or csv
	Origin      string    `json:"origin"`      // topic or endpoint
	Position    string    `json:"position"`    // topic/partition/offset
	EventSource string    `json:"eventSource"` // like eventId "" for those who have not signed in
	EventID     string    `json:"eventId"`
	Size        int       `json:"size"` // of the payload as it came, in bytes
	SHA256      string    `json:"sha256"`
	Attempts    int       `json:"attempts"`
	ReceivedAt  time.Time `json:"receivedAt"`
	LastAt      time.Time `json:"lastAt"`
	Settled     *Decided  `json:"settled,omitempty"`
	Payload     []byte    `json:"payload,omitempty"` // in base64; for operators, its head if it is larger than 64 KiB
}

// Rejects is one page of a list, the newest first.
type Rejects struct {
	Rejects []Reject `json:"rejects"`
	Next    int64    `json:"next,omitempty"` // before of the next page; 0: this is the last
}

// ShowReject is a reject as the API shows it, to those who have signed in or to
// others; with the payload if it has one.
func ShowReject(r ledger.Reject, signedIn bool) Reject {
	shown := Reject{ID: r.ID, State: string(r.State), Reason: string(r.Reason), Detail: r.Detail,
		Source: string(r.Via), Origin: r.Key.Origin, Position: r.Position, EventSource: r.Key.Source, EventID: r.Key.ID,
		Size: r.Size, SHA256: r.Hash, Attempts: r.Attempts, ReceivedAt: r.ReceivedAt, LastAt: r.LastAt, Payload: r.Payload}
	if !r.SettledAt.IsZero() {
		shown.Settled = &Decided{By: r.SettledBy, At: r.SettledAt, Reason: r.SettledReason}
	}
	if !signedIn { // an attribute may be made of an address, a reason may name anybody
		shown.EventSource, shown.EventID, shown.Payload = "", "", nil
		if shown.Settled != nil {
			shown.Settled.By, shown.Settled.Reason = withoutAddress(shown.Settled.By), ""
		}
	}
	return shown
}

const rejectPage = 100 // rejects listed at once, unless asked for more or less

// MostRejects is how many rejects may be listed at once.
const MostRejects = 1000

func (s *Server) listRejects(w http.ResponseWriter, r *http.Request, who principal) {
	q := r.URL.Query()
	f := ledger.RejectFilter{Origin: q.Get("origin"), Limit: rejectPage}
	set(&f.State, q.Get("state"))
	set(&f.Reason, q.Get("reason"))
	set(&f.Via, q.Get("source"))
	err := f.Validate()
	if text := q.Get("before"); err == nil && text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			err = errors.New("before: not the id of a reject")
		}
	}
	if text := q.Get("limit"); err == nil && text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > MostRejects {
			err = fmt.Errorf("limit: not a number from 1 to %d", MostRejects)
		}
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	f.Limit++ // one more tells that there is one
	found, err := s.ledger.Rejects(r.Context(), f)
	if err != nil {
		s.fail(w, err)
		return
	}
	page := Rejects{Rejects: []Reject{}}
	if len(found) == f.Limit {
		found = found[:f.Limit-1]
		page.Next = found[len(found)-1].ID
	}
	for _, one := range found {
		page.Rejects = append(page.Rejects, ShowReject(one, who.name != ""))
	}
	answer(w, page)
}

// set sets a word of one of the ledger's own types.
func set[T ~string](into *T, word string) { *into = T(word) }

func (s *Server) showReject(w http.ResponseWriter, r *http.Request, who principal) {
	id, ok := rejectID(w, r)
	if !ok {
		return
	}
	found, err := s.ledger.FindReject(r.Context(), id)
	if err != nil {
		s.fail(w, err)
		return
	}
	if who.role != operator {
		found.Payload = nil
	}
	answer(w, ShowReject(found, who.name != ""))
}

func (s *Server) discardReject(w http.ResponseWriter, r *http.Request, who principal) {
	id, ok := rejectID(w, r)
	if !ok {
		return
	}
	reason, ok := reasonOf(w, r)
	if !ok {
		return
	}
	if reason == "" {
		problem(w, http.StatusBadRequest, "a reason is needed: somebody may have left, and will stay able to sign")
		return
	}
	discarded, err := s.ledger.DiscardReject(r.Context(), id, who.name, reason)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.log.Info("reject discarded", zap.Int64("reject", id), zap.String("by", who.said()))
	discarded.Payload = nil
	answer(w, ShowReject(discarded, true))
}

func rejectID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		problem(w, http.StatusNotFound, "no such reject")
		return 0, false
	}
	return id, true
}

// Replay says which open rejects are to be replayed: those of the ids, or all that
// have these words in common.
type Replay struct {
	IDs    []int64 `json:"ids,omitempty"`
	All    bool    `json:"all,omitempty"`
	Reason string  `json:"reason,omitempty"`
	Source string  `json:"source,omitempty"`
	Origin string  `json:"origin,omitempty"`

	// From the answer before, if that was not the last.
	After int64 `json:"after,omitempty"`
	Until int64 `json:"until,omitempty"`
}

// Replayed is what became of the rejects of one request, which are not all if Next
// says so.
type Replayed struct {
	Results []ReplayResult `json:"results"`
	Stopped string         `json:"stopped,omitempty"` // why it was not gone on with
	Next    *Replay        `json:"next,omitempty"`    // the request that goes on
}

// ReplayResult is what became of one reject.
type ReplayResult struct {
	ID     int64  `json:"id"`
	State  string `json:"state,omitempty"`  // replayed; open: it failed again
	Reason string `json:"reason,omitempty"` // of an open one
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"` // why it could not be tried at all
}

const (
	replayTogether = 100              // rejects of one request
	replayFor      = 20 * time.Second // after which a request answers with what was done
	replayAtMost   = 2 * time.Minute  // with the last of them, for which a directory may be asked
)

func (s *Server) replayReject(w http.ResponseWriter, r *http.Request, who principal) {
	id, ok := rejectID(w, r)
	if !ok {
		return
	}
	if r.ContentLength != 0 && !readBody(w, r, maxBody, &struct{}{}, `{}, or there is none`) {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(replayAtMost))
	replayed, err := s.daemon.Rejects.Replay(r.Context(), id, who.name)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.log.Info("reject replayed", zap.Int64("reject", id), zap.String("state", string(replayed.State)), zap.String("by", who.said()))
	replayed.Payload = nil
	answer(w, ShowReject(replayed, true))
}

func (s *Server) replayRejects(w http.ResponseWriter, r *http.Request, who principal) {
	asked, ok := readReplay(w, r)
	if !ok {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(replayAtMost))
	ids, more, err := s.toReplay(r.Context(), &asked)
	if err != nil {
		s.fail(w, err)
		return
	}
	done := s.replayThese(r.Context(), ids, who.name)
	done.Next = asked.next(ids, len(done.Results), more)
	s.log.Info("rejects replayed", zap.Int("rejects", len(done.Results)), zap.String("stopped", done.Stopped), zap.String("by", who.said()))
	answer(w, done)
}

// toReplay finds what a request is about, and bounds one about all by what there is now:
// what comes meanwhile is not waited for. more says that there are others.
func (s *Server) toReplay(ctx context.Context, asked *Replay) (ids []int64, more bool, err error) {
	if !asked.All {
		return asked.IDs, false, nil
	}
	if asked.Until == 0 {
		if asked.Until, err = s.ledger.LastReject(ctx); err != nil {
			return nil, false, err
		}
	}
	f := asked.filter()
	f.Limit = replayTogether + 1
	ids, err = s.ledger.OpenRejects(ctx, f, asked.After, asked.Until)
	if len(ids) > replayTogether {
		return ids[:replayTogether], true, err
	}
	return ids, false, err
}

// next is the request that goes on after so many of these ids were tried; nil if
// there is nothing left. more says that there are others after them.
func (r Replay) next(ids []int64, tried int, more bool) *Replay {
	switch {
	case tried == len(ids) && !more:
		return nil
	case !r.All:
		r.IDs = ids[tried:]
	case tried > 0:
		r.After = ids[tried-1]
	}
	return &r
}

func (r Replay) filter() ledger.RejectFilter {
	f := ledger.RejectFilter{Origin: r.Origin}
	set(&f.Reason, r.Reason)
	set(&f.Via, r.Source)
	return f
}

// replayThese replays one after the other, in their order, until one finds that
// what it needs is away, or the time of a request is over: somebody waits for the
// answer. Each has a result, as far as it came.
func (s *Server) replayThese(ctx context.Context, ids []int64, by string) Replayed {
	done := Replayed{Results: []ReplayResult{}}
	began := time.Now()
	for _, id := range ids {
		if time.Since(began) > replayFor {
			return done
		}
		r, err := s.daemon.Rejects.Replay(ctx, id, by)
		switch {
		case err == nil && r.State == ledger.RejectOpen:
			done.Results = append(done.Results, ReplayResult{ID: id, State: string(r.State), Reason: string(r.Reason), Detail: r.Detail})
		case err == nil:
			done.Results = append(done.Results, ReplayResult{ID: id, State: string(r.State)})
		case refusedAlone(err):
			done.Results = append(done.Results, ReplayResult{ID: id, Error: err.Error()})
		case errors.Is(err, ErrLater):
			done.Stopped = err.Error()
			return done
		case ctx.Err() != nil: // nobody waits for the answer
			return done
		default:
			s.log.Error("reject could not be replayed", zap.Int64("reject", id), zap.Error(err))
			done.Stopped = noAnswer
			return done
		}
	}
	return done
}

// refusedAlone says that an error is about one reject, and not about all.
func refusedAlone(err error) bool {
	for _, refusal := range []error{ledger.ErrNoReject, ledger.ErrSettled, ledger.ErrCut, ledger.ErrGone, ErrOrigin} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// readReplay reads which rejects are to be replayed; false if it has answered
// already.
func readReplay(w http.ResponseWriter, r *http.Request) (asked Replay, ok bool) {
	if !readBody(w, r, maxBody, &asked, `{"ids": [17]} or {"all": true, "reason": "no_email"}`) {
		return asked, false
	}
	err := asked.filter().Validate()
	switch narrowed := asked.Reason+asked.Source+asked.Origin != ""; {
	case err != nil:
	case asked.All == (len(asked.IDs) > 0):
		err = errors.New("either ids or all is needed")
	case len(asked.IDs) > 0 && (narrowed || asked.After != 0 || asked.Until != 0):
		err = errors.New("ids: goes with no other word")
	case len(asked.IDs) > replayTogether:
		err = fmt.Errorf("ids: more than %d", replayTogether)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
	}
	return asked, err == nil
}
