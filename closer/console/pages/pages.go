// Package pages is what people open in a browser: where the path from event to closed
// user stands, who leaves, what waits for a person, and the decisions on it. All that
// is shown and done here goes through the admin API in the visitor's name, so that
// nothing can be done by a page that the API would refuse.
//
// The pages are whole without their script. With it they follow the daemon, show times
// in the reader's zone and keep addresses out of URLs. No page has a script or a style
// within itself, nor an address in its own URL. What a page may load is console.Server's
// to say.
package pages

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"signoff/closer/console"
)

// Pages serves them. It needs a request with a visitor in its context, as
// console.Server makes it.
type Pages struct {
	about console.About
	mux   *http.ServeMux
}

// New makes the pages of a daemon.
func New(about console.About) *Pages {
	p := &Pages{about: about, mux: http.NewServeMux()}
	for _, r := range []struct {
		pattern string
		serve   func(http.ResponseWriter, *http.Request) error
	}{
		{"GET /{$}", p.overview},
		{"GET /leavers", p.leavers},
		{"POST /leavers", p.searchLeavers},
		{"GET /leavers/{entry}", p.leaver},
		{"POST /leavers/{entry}/{word}", p.sayOfLeaver},
		{"GET /holds", p.holds},
		{"GET /holds/{id}", p.hold},
		{"POST /holds/{id}/users", p.turnHold},
		{"POST /holds/{id}/{verdict}", p.decide},
		{"POST /freezes", p.freeze},
		{"POST /freezes/{id}/end", p.endFreeze},
		{"GET /rejects", p.rejects},
		{"GET /rejects/{id}", p.reject},
		{"POST /rejects/replay", p.replayRejects},
		{"POST /rejects/{id}/{word}", p.settleReject},
		{"GET /report", p.report},
		{"GET /sign-in", p.signIn},
		{"GET /assets/{file}", p.asset},
	} {
		p.mux.HandleFunc(r.pattern, p.served(r.serve))
	}
	return p
}

// ServeHTTP serves a page, or says in one what is wrong.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fault := console.FaultOf(r.Context()); fault != nil {
		p.refuse(w, r, fault.Status, fault.Detail)
		return
	}
	if !p.has(r, r.Method) {
		p.refuseUnknown(w, r)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// has says whether there is a page of this path that takes the method.
func (p *Pages) has(r *http.Request, method string) bool {
	asked := *r
	asked.Method = method
	_, pattern := p.mux.Handler(&asked)
	return pattern != ""
}

// refuseUnknown says that there is no such page, or that it does not take what was sent.
func (p *Pages) refuseUnknown(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if p.has(r, method) {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		p.refuse(w, r, errNoPage.Status, errNoPage.Detail)
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	p.refuse(w, r, http.StatusMethodNotAllowed, "There is only "+strings.Join(allow, " and ")+".")
}

// served turns the error of a handler, that has answered nothing then, into a page.
func (p *Pages) served(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		status, detail := refusal(err)
		p.refuse(w, r, status, detail)
	}
}

// refusal is an error as a page says it.
func refusal(err error) (status int, detail string) {
	if refused, ok := errors.AsType[*console.AnswerError](err); ok {
		return refused.Status, refused.Detail
	}
	if wrong, ok := errors.AsType[*inputError](err); ok {
		return http.StatusBadRequest, wrong.Error()
	}
	return http.StatusInternalServerError, "The page could not be made: see the daemon's log, or look again."
}

// inputError says what is wrong with what a person, or a link, has asked for.
type inputError struct{ text string }

func (e *inputError) Error() string { return e.text }

func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	p.show(w, r, status, view{Template: "fault", Title: http.StatusText(status), Body: console.Fault{Status: status, Detail: detail}})
}

// view is one page to be shown.
type view struct {
	Template string // its name
	Title    string
	Room     string // of the menu, that it belongs to; "": to none
	Here     string // the link to what it shows, if it answers a form that was sent elsewhere
	Body     any    // what its template shows
}

// frame is what every page has around it.
type frame struct {
	view
	About   console.About
	Visitor console.Visitor
	Done    string // what was done by the request before, in words
	Freezes []console.Freeze
}

// DryRun says whether nobody is closed.
func (f frame) DryRun() bool { return f.About.Mode != "close" }

// Operator says whether the visitor may decide.
func (f frame) Operator() bool { return f.Visitor.Role == "operator" }

// SignsIn says whether there is a way to sign in.
func (f frame) SignsIn() bool { return f.Visitor.Ways != console.Ways{} }

// show writes a page whole or, where its template fails, not at all.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	f := frame{view: v, About: p.about, Visitor: console.VisitorOf(r.Context()), Done: done(r)}
	f.Title = console.Printable([]byte(f.Title)) // it may be an address
	if v.Room != "" {
		f.Freezes, _ = console.ClientOf(r.Context()).Freezes(r.Context()) // a page is shown without, too
	}
	if r.Method != http.MethodPost {
		f.Here = "" // it stands in the address bar
	}
	var text bytes.Buffer
	if err := templates[v.Template].ExecuteTemplate(&text, "layout", f); err != nil {
		panic(err) // a defect: the server's own guard says so in the log, without what was to be shown
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = text.WriteTo(w)
}

// number reads an id of a path.
func number(r *http.Request, name string) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || id < 1 {
		return 0, errNoPage
	}
	return id, nil
}

// errNoPage says that nothing is where a link leads to.
var errNoPage = &console.AnswerError{Status: http.StatusNotFound, Detail: "There is no such page."}

//go:embed templates
var templateFiles embed.FS

// templates has one for each page, each with the layout and the parts.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	common := template.Must(template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	all := make(map[string]*template.Template)
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		own := template.Must(common.Clone())
		if name == "report" {
			template.Must(own.Funcs(reportFunctions).New("body").Parse(console.ReportBody))
		}
		all[name] = template.Must(own.ParseFS(templateFiles, file))
	}
	return all
}
