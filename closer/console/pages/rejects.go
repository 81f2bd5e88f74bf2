package pages

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// rejectsPage is what could not be understood.
type rejectsPage struct {
	State, Reason, Source, Origin string
	console.Rejects
	States, Reasons, Sources []string
	Replayed                 *console.Replayed // what became of those that were replayed just now; nil: none were
}

// Linked is a link to the same list with one word of the filter changed.
func (b rejectsPage) Linked(name, value string) string {
	q := url.Values{}
	for n, v := range map[string]string{"state": b.State, "reason": b.Reason, "source": b.Source, "origin": b.Origin} {
		if n == name {
			v = value
		}
		if v != "" && (n != "state" || v != string(ledger.RejectOpen)) {
			q.Set(n, v)
		}
	}
	if name == "before" {
		q.Set("before", value)
	}
	return "/rejects?" + q.Encode()
}

// Narrowed says whether the list is only of some of those in its state.
func (b rejectsPage) Narrowed() bool { return b.Reason+b.Source+b.Origin != "" }

func (p *Pages) rejects(w http.ResponseWriter, r *http.Request) error {
	return p.listRejects(w, r, r.URL.Query(), nil)
}

func (p *Pages) listRejects(w http.ResponseWriter, r *http.Request, q url.Values, replayed *console.Replayed) error {
	body := rejectsPage{State: cmp.Or(q.Get("state"), string(ledger.RejectOpen)), Reason: q.Get("reason"), Source: q.Get("source"), Origin: q.Get("origin"),
		States:  []string{string(ledger.RejectOpen), string(ledger.RejectReplayed), string(ledger.RejectDiscarded)},
		Sources: []string{string(consumer.Kafka), string(consumer.Webhook), string(consumer.CSV)}, Replayed: replayed}
	for _, reason := range consumer.Reasons() {
		body.Reasons = append(body.Reasons, string(reason))
	}
	f := ledger.RejectFilter{State: ledger.RejectState(body.State), Reason: consumer.Reason(body.Reason), Via: consumer.Source(body.Source), Origin: body.Origin}
	if text := q.Get("before"); text != "" {
		var err error
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil {
			return &inputError{"before: not the number of a reject"}
		}
	}
	var err error
	if body.Rejects, err = console.ClientOf(r.Context()).Rejects(r.Context(), f); err != nil {
		return err
	}
	p.show(w, r, http.StatusOK, view{Template: "rejects", Title: "Rejects", Room: "rejects", Here: body.Linked("state", body.State), Body: body})
	return nil
}

// rejectPage is one event that could not be understood, with what came.
type rejectPage struct {
	console.Reject
	Text  string // the payload, as far as it is kept and may be seen
	Alert string // why it was not settled
	Said  string // the reason given with that
}

// Open says whether it still waits.
func (b rejectPage) Open() bool { return b.State == string(ledger.RejectOpen) }

// Cut says whether only the head of the payload is kept.
func (b rejectPage) Cut() bool { return len(b.Payload) > 0 && len(b.Payload) < b.Size }

func (p *Pages) reject(w http.ResponseWriter, r *http.Request) error {
	return p.showReject(w, r, http.StatusOK, "", "")
}

func (p *Pages) showReject(w http.ResponseWriter, r *http.Request, status int, alert, said string) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	found, err := console.ClientOf(r.Context()).ShowReject(r.Context(), id)
	if err != nil {
		return err
	}
	body := rejectPage{Reject: found, Text: readable(found.Payload), Alert: alert, Said: said}
	p.show(w, r, status, view{Template: "reject", Title: fmt.Sprintf("Reject %d", id), Room: "rejects", Here: fmt.Sprintf("/rejects/%d", id), Body: body})
	return nil
}

// readable is a payload as people read it: JSON in lines, whatever else as it came, and
// nothing in it that turns round or hides what is beside it.
func readable(payload []byte) string {
	var lines bytes.Buffer
	if utf8.Valid(payload) && json.Indent(&lines, bytes.TrimSpace(payload), "", "  ") == nil {
		payload = lines.Bytes()
	}
	return console.Printable(payload)
}

func (p *Pages) settleReject(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	api, reason := console.ClientOf(r.Context()), strings.TrimSpace(r.PostForm.Get("reason"))
	var settled console.Reject
	switch r.PathValue("word") {
	case "replay":
		settled, err = api.ReplayReject(r.Context(), id)
	case "discard":
		settled, err = api.DiscardReject(r.Context(), id, reason)
	default:
		return errNoPage
	}
	if err == nil {
		http.Redirect(w, r, fmt.Sprintf("/rejects/%d?done=%s", id, settled.State), http.StatusSeeOther) //nolint:gosec // to a path of ours, always
		return nil
	}
	status, detail := refusal(err)
	if status == http.StatusNotFound || status == http.StatusInternalServerError {
		return err
	}
	return p.showReject(w, r, status, detail, reason)
}

// replayRejects replays the open rejects of a filter: as many as one request may, and
// the page says how to go on.
func (p *Pages) replayRejects(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	asked := console.Replay{All: true, Reason: r.PostForm.Get("reason"), Source: r.PostForm.Get("source"), Origin: r.PostForm.Get("origin")}
	for name, into := range map[string]*int64{"after": &asked.After, "until": &asked.Until} {
		if text := r.PostForm.Get(name); text != "" {
			var err error
			if *into, err = strconv.ParseInt(text, 10, 64); err != nil {
				return &inputError{name + ": not the number of a reject"}
			}
		}
	}
	replayed, err := console.ClientOf(r.Context()).ReplayRejects(r.Context(), asked)
	if err != nil {
		return err
	}
	return p.listRejects(w, r, r.PostForm, &replayed)
}

// Understood is how many of the replayed were understood this time.
func (b rejectsPage) Understood() int {
	return len(slices.DeleteFunc(slices.Clone(b.Replayed.Results), func(one console.ReplayResult) bool {
		return one.State != string(ledger.RejectReplayed)
	}))
}
