package closer_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// A word that takes the termination back while the close is on the wire is
// settled by what Docusign then says.
func TestCancelWhileTheCloseIsOnTheWire(t *testing.T) {
	cancels := map[string]func(*consumer.Event){"rescinded": rescinded, "rehired": func(e *consumer.Event) { e.Kind = consumer.Rehired }}
	for name, c := range map[string]struct {
		faults docusigntest.Faults
		refuse string // Docusign's code for the user
		want   ledger.State
		status string // of the user
	}{
		"answered: closed":               {docusigntest.Faults{}, "", ledger.Closed, "Closed"},
		"refused":                        {docusigntest.Faults{}, "SOME_CODE", ledger.Cancelled, "Active"},
		"cut off, looked up: closed":     {docusigntest.Faults{CutAfter: 1}, "", ledger.Closed, "Closed"},
		"cut off, looked up: open":       {docusigntest.Faults{CutBefore: 1}, "", ledger.Cancelled, "Active"},
		"no answer for ever: closed":     {docusigntest.Faults{Hang: 1}, "", ledger.Closed, "Closed"},
		"not mentioned in the answer":    {docusigntest.Faults{MissingEntry: 1}, "", ledger.Closed, "Closed"},
		"mentioned, and open: cancelled": {docusigntest.Faults{NotClosed: 1}, "", ledger.Cancelled, "Active"},
	} {
		for word, cancel := range cancels {
			t.Run(word+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, watched)
					u, _ := r.sim.User(account, userID(0))
					u.CloseError = c.refuse
					r.sim.SetUser(account, u)
					c.faults.Operations, c.faults.Times = []string{"close_users"}, 1
					r.sim.SetFaults(c.faults)
					r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
						if req.Method == http.MethodDelete {
							time.Sleep(time.Second) // on its way
							r.leave(cancel, 0)
						}
						return next.RoundTrip(req)
					})
					r.leave(nil, 0)
					r.closeDue()
					for range 3 {
						time.Sleep(docusign.RequestTimeout + time.Minute)
						r.closeDue()
					}
					r.is(c.want, 0)
					r.userIs(0, c.status)
					if n := r.calls("close_users"); n != 1 {
						t.Errorf("%d closes, want one", n)
					}
					holds, err := r.ledger.OpenHolds(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if c.want == ledger.Cancelled {
						if len(holds) != 0 {
							t.Errorf("holds %+v, want none", holds)
						}
						return
					}
					if len(holds) != 1 || holds[0].Kinds[0] != ledger.Reopening || holds[0].Users[0].ID != userID(0) {
						t.Fatalf("holds %+v, want a reopening proposed", holds)
					}
					r.approve(holds[0])
					r.closeDue()
					r.userIs(0, "ActivationSent")
				})
			})
		}
	}
}

// The rescind that comes between the look-up and the intent keeps the close from
// being sent.
func TestRescindAfterTheLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		once := false
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if req.URL.Query().Get("email") != "" && !once {
				once = true
				r.leave(rescinded, 0)
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1)
		r.closeDue()
		r.is(ledger.Cancelled, 0)
		r.is(ledger.Closed, 1)
		r.closes(0, userID(0))
	})
}
