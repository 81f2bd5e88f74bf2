package pages

import (
	"net/http"
	"slices"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// overviewPage is the whole path at a glance.
type overviewPage struct {
	console.Overview
	Ranges []string
	Closes chart
	Took   chart
}

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) error {
	o, err := console.ClientOf(r.Context()).Overview(r.Context(), r.URL.Query().Get("range"))
	if err != nil {
		return err
	}
	body := overviewPage{Overview: o, Ranges: console.Ranges(), Closes: closesChart(o.Closes), Took: tookChart(o)}
	p.show(w, r, http.StatusOK, view{Template: "overview", Title: "Overview", Room: "overview", Body: body})
	return nil
}

// In is how many entries are in a state.
func (o overviewPage) In(state string) int {
	for _, s := range o.States {
		if s.State == state {
			return s.Entries
		}
	}
	return 0
}

// Unheard says that no event was ever recorded, nor rejected.
func (o overviewPage) Unheard() bool {
	return o.Rejects == 0 && o.Recorded() == 0 && !slices.ContainsFunc(o.States, func(c console.InState) bool { return c.Entries > 0 })
}

// Ends are the states that end an entry, but for closed, which stands in the path.
func (overviewPage) Ends() []ledger.State {
	return slices.DeleteFunc(ledger.Outcomes(), func(s ledger.State) bool { return s == ledger.Closed })
}

// Recorded are the events of all sources since the daemon began.
func (o overviewPage) Recorded() (n int64) {
	for _, r := range o.Received {
		n += r.Recorded
	}
	return n
}

// left is the share of the hour's calls that are left, in percent.
func left(a console.AccountNow) float64 {
	if a.HourLimit <= 0 {
		return 0
	}
	return min(100, max(0, 100*float64(a.HourRemaining)/float64(a.HourLimit)))
}
