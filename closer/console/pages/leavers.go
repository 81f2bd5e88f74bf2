package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// leaversPage is a list of leavers, with the ways to narrow it.
type leaversPage struct {
	console.Leavers
	Filter   console.LeaverFilter
	At       time.Time
	States   []choice
	Marks    []choice
	Accounts []choice // none where all are in one account
	Orders   []choice
	Spans    []span
	Alert    string // why nobody is shown
}

// choice is a link to the list narrowed by one thing more, or less where it is chosen.
type choice struct {
	Text, Means string
	Path        string
	Count       int // of those behind it; -1: not known
	Chosen      bool
}

// span is a part of the filter that no choice stands for, such as a bar of a chart.
type span struct {
	What     string
	From, To time.Time // zero: no end
	Least    float64   // seconds
	Most     float64   // 0: no end
	Account  string
	Drop     string // the list without it
}

func (p *Pages) leavers(w http.ResponseWriter, r *http.Request) error {
	return p.listLeavers(w, r, r.URL.Query(), "")
}

// searchLeavers takes the text out of a form, since an address must not be in a URL.
func (p *Pages) searchLeavers(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	return p.listLeavers(w, r, r.PostForm, strings.TrimSpace(r.PostForm.Get("text")))
}

func (p *Pages) listLeavers(w http.ResponseWriter, r *http.Request, q url.Values, text string) error {
	f, err := console.ReadLeaverFilter(q)
	if err != nil {
		return &inputError{err.Error()}
	}
	f.Text = text
	body := leaversPage{Filter: f, At: time.Now()}
	status := http.StatusOK
	api := console.ClientOf(r.Context())
	if body.Leavers, err = api.Leavers(r.Context(), f); err != nil {
		refused, ok := errors.AsType[*console.AnswerError](err)
		if !ok || text == "" {
			return err
		}
		status, body.Alert = refused.Status, refused.Detail // what was typed is on the page still
	}
	o, err := api.Overview(r.Context(), "5m")
	if err != nil {
		return err
	}
	body.choose(o)
	p.show(w, r, status, view{Template: "leavers", Title: "Leavers", Room: "leavers", Here: body.Here(), Body: body})
	return nil
}

// choose makes the choices. How many there are is known where nothing else narrows them.
func (b *leaversPage) choose(o console.Overview) {
	f := b.first()
	alone := b.alone()
	known := func(n int) int {
		if !alone {
			return -1
		}
		return n
	}
	all := 0
	for _, s := range o.States {
		all += s.Entries
		chosen := slices.Contains(f.States, s.State)
		if s.State == string(ledger.WouldClose) && o.Mode == "close" && s.Entries == 0 && !chosen {
			continue // a word of dry runs
		}
		b.States = append(b.States, b.choice(words(s.State), means[ledger.State(s.State)], known(s.Entries), chosen, func(f *console.LeaverFilter) {
			one := chosen && len(f.States) == 1
			if f.States = []string{s.State}; one {
				f.States = nil
			}
		}))
	}
	b.States = append([]choice{b.choice("all", "in whichever state", known(all), len(f.States) == 0, func(f *console.LeaverFilter) { f.States = nil })}, b.States...)
	for _, mark := range []struct {
		text, means string
		count       int
		of          func(*console.LeaverFilter) *bool
	}{
		{"not settled", "still without an outcome", -1, func(f *console.LeaverFilter) *bool { return &f.Open }},
		{"overdue", "were to be closed by now, and can sign still", known(o.Overdue.Entries), func(f *console.LeaverFilter) *bool { return &f.Overdue }},
		{"ready", "the next runs take them up", known(o.Due), func(f *console.LeaverFilter) *bool { return &f.Ready }},
		{"urgent", "to be closed at once", -1, func(f *console.LeaverFilter) *bool { return &f.Urgent }},
		{"returned", "were closed before, and were open again", -1, func(f *console.LeaverFilter) *bool { return &f.Returned }},
	} {
		b.Marks = append(b.Marks, b.choice(mark.text, mark.means, mark.count, *mark.of(&f), func(f *console.LeaverFilter) { *mark.of(f) = !*mark.of(f) }))
	}
	for _, a := range o.Accounts {
		if len(o.Accounts) < 2 {
			break
		}
		b.Accounts = append(b.Accounts, b.choice(a.ID, "", -1, f.Account == a.ID, func(f *console.LeaverFilter) {
			if was := f.Account == a.ID; was {
				f.Account = ""
			} else {
				f.Account = a.ID
			}
		}))
	}
	for _, order := range []struct{ text, sort string }{{"heard of last", ""}, {"due first", string(ledger.ByDue)}} {
		chosen := order.sort == f.Sort || order.sort == "" && f.Sort == string(ledger.ByNews)
		b.Orders = append(b.Orders, b.choice(order.text, "", -1, chosen, func(f *console.LeaverFilter) { f.Sort = order.sort }))
	}
	b.describe(o)
}

// first is the filter of the first page.
func (b *leaversPage) first() console.LeaverFilter {
	f := b.Filter
	f.After = ""
	return f
}

// alone says whether nothing but states narrows the list.
func (b *leaversPage) alone() bool {
	f := b.Filter
	f.States, f.Sort, f.After, f.Limit = nil, "", "", 0
	return len(f.Query()) == 0 && f.Text == ""
}

func (b *leaversPage) choice(text, means string, count int, chosen bool, change func(*console.LeaverFilter)) choice {
	f := b.first()
	change(&f)
	return choice{Text: text, Means: means, Path: listPath(f), Count: count, Chosen: chosen}
}

// listPath is the list by a filter.
func listPath(f console.LeaverFilter) string {
	if q := f.Query(); len(q) > 0 {
		return "/leavers?" + q.Encode()
	}
	return "/leavers"
}

// describe says in words what the choices don't.
func (b *leaversPage) describe(o console.Overview) {
	f := b.Filter
	drop := func(s span, change func(*console.LeaverFilter)) {
		without := b.first()
		change(&without)
		s.Drop = listPath(without)
		b.Spans = append(b.Spans, s)
	}
	for _, s := range []struct {
		what     string
		from, to time.Time
		of       func(*console.LeaverFilter) (from, to *time.Time)
	}{
		{"who left", f.EffectiveFrom, f.EffectiveTo, func(f *console.LeaverFilter) (from, to *time.Time) { return &f.EffectiveFrom, &f.EffectiveTo }},
		{"heard of", f.ReceivedFrom, f.ReceivedTo, func(f *console.LeaverFilter) (from, to *time.Time) { return &f.ReceivedFrom, &f.ReceivedTo }},
		{"settled", f.SettledFrom, f.SettledTo, func(f *console.LeaverFilter) (from, to *time.Time) { return &f.SettledFrom, &f.SettledTo }},
	} {
		if s.from.IsZero() && s.to.IsZero() {
			continue
		}
		drop(span{What: s.what, From: s.from, To: s.to}, func(f *console.LeaverFilter) {
			from, to := s.of(f)
			*from, *to = time.Time{}, time.Time{}
		})
	}
	if f.TookFrom > 0 || f.TookTo > 0 {
		drop(span{What: "that took", Least: float64(f.TookFrom), Most: float64(f.TookTo)}, func(f *console.LeaverFilter) { f.TookFrom, f.TookTo = 0, 0 })
	}
	if f.Account != "" && (len(o.Accounts) < 2 || !slices.ContainsFunc(o.Accounts, func(a console.AccountNow) bool { return a.ID == f.Account })) {
		drop(span{What: "in account", Account: f.Account}, func(f *console.LeaverFilter) { f.Account = "" })
	}
}

// Narrowed says whether the list is not of all.
func (b leaversPage) Narrowed() bool { return !b.alone() || len(b.Filter.States) > 0 }

// Here is the address of this list, without what is searched for.
func (b leaversPage) Here() string { return listPath(b.Filter) }

// First is that of its first page.
func (b leaversPage) First() string { return listPath(b.first()) }

// NextPath is that of the page after this.
func (b leaversPage) NextPath() string {
	f := b.Filter
	f.After = b.Next
	return listPath(f)
}

// Fields are those of the form that keep the filter in a search.
func (b leaversPage) Fields() []field {
	var all []field
	q := b.first().Query()
	for name, values := range q {
		for _, v := range values {
			all = append(all, field{name, v})
		}
	}
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.Name+" "+a.Value, b.Name+" "+b.Value) })
	return all
}

// field is one that a form has hidden in it.
type field struct{ Name, Value string }

// Took is how long it took from due until settled, in seconds.
func took(l console.LeaverRow) float64 { return max(0, l.SettledAt.Sub(l.DueAt).Seconds()) }

// later says whether a time has not come yet.
func later(t, now time.Time) bool { return t.After(now) }
