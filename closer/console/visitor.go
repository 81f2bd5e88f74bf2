package console

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Visitor is who looks at a page.
type Visitor struct {
	Name  string    // "": nobody is signed in
	Role  string    // "viewer" or "operator"; "": nobody is signed in
	Until time.Time // when the session ends if nothing is done any more; zero: there is none, since a password or a token was sent by itself
	Known bool      // people can be told from each other; else whoever comes may look, and sees no email
	Ways  Ways      // to sign in
	Clear bool      // there are people, but what they send could be read on the way: nobody signs in so
}

// Ways are those by which one can sign in here.
type Ways struct {
	Token, Password bool

	OIDC string // what its button says; "": not configured
}

// Fault is what a page has to say in place of what was asked for.
type Fault struct {
	Status int // of the answer
	Detail string
}

// VisitorOf is who looks at the page of this context.
func VisitorOf(ctx context.Context) Visitor { return visitOf(ctx).visitor }

// ClientOf speaks to the API in the visitor's name, without leaving the process. It is
// good until the page is answered; nil outside of one.
func ClientOf(ctx context.Context) *Client { return visitOf(ctx).client }

// FaultOf is what is wrong; nil: nothing is.
func FaultOf(ctx context.Context) *Fault { return visitOf(ctx).fault }

// visit is what the context of a page has.
type visit struct {
	visitor Visitor
	client  *Client
	fault   *Fault
}

type visiting struct{} // key of a context

func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visiting{}).(visit)
	return v
}

// isPage says whether a path is for the pages: whatever is neither the API's nor a
// machine's.
func (s *Server) isPage(path string) bool {
	return s.daemon.Pages != nil && !inAPI(path) && path != "/livez" && path != "/readyz" && path != "/metrics"
}

// Pages are made of what people and events have written: no script but our own files
// runs in them, and no form of theirs leads elsewhere.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// seal sets what every page has. What http_server_config of the web config says stands.
func seal(header http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":    contentSecurityPolicy,
		"Cross-Origin-Opener-Policy": "same-origin",
		"Referrer-Policy":            "same-origin", // with none at all, a browser would not say of a form's POST where it comes from
		"Cache-Control":              "no-store",    // the pages' own files say otherwise
	} {
		header.Set(name, cmp.Or(header.Get(name), value))
	}
}

// pages answers a page in the name of whoever asks. What needs nobody's name is open:
// the page to sign in at, and the files that a page is made with.
func (s *Server) pages(w http.ResponseWriter, r *http.Request, api http.Handler) {
	seal(w.Header())
	open := r.URL.Path == signInPath || strings.HasPrefix(r.URL.Path, assetsPath)
	if !s.servesAPI(r) && !strings.HasPrefix(r.URL.Path, assetsPath) {
		s.refuse(w, r, http.StatusNotFound, notServed)
		return
	}
	if door := s.door(r); door != nil {
		door(w, r)
		return
	}
	in := s.web.now()
	if !s.knowsPeople(in) {
		s.page(w, r, visit{client: inside(api, w, r, principal{role: anybody})})
		return
	}
	who, err := s.asking(r, in)
	switch {
	case err == nil:
		s.page(w, r, visit{visitor: who.visitor(), client: inside(api, w, r, who)})
	case open:
		s.page(w, r, visit{client: inside(api, w, r, principal{})})
	case err.status != http.StatusUnauthorized:
		err.setHeader(w)
		s.refuse(w, r, err.status, err.detail)
	case r.Header.Get(liveHeader) != "": // a script asks: it must not take the page to sign in at for its own
		s.refuse(w, r, http.StatusUnauthorized, "nobody is signed in any more")
	default:
		s.toSignIn(w, r)
	}
}

const (
	assetsPath = "/assets/"
	liveHeader = "Signoff-Live" // of what the script of a page asks for by itself
)

// toSignIn sends nobody to where they become somebody, and then back to what they came
// to look at. A form is not sent again: they go back to its page.
func (s *Server) toSignIn(w http.ResponseWriter, r *http.Request) {
	why, next := "", ""
	if cookie(r, sessionCookie) != "" {
		why = whyExpired
		setCookie(w, r, sessionCookie, "", 0)
	}
	switch from, err := url.Parse(r.Referer()); {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		next = localPath(r.URL.RequestURI())
	case err == nil && from.Host == r.Host:
		why, next = whyNotDone, localPath(from.RequestURI())
	default:
		why = whyNotDone
	}
	s.back(w, r, why, next)
}

// page has the pages answer.
func (s *Server) page(w http.ResponseWriter, r *http.Request, v visit) {
	v.visitor.Known, v.visitor.Ways = s.knowsPeople(s.web.now()), s.ways()
	v.visitor.Clear = v.visitor.Known && !keepsCookies(r)
	s.daemon.Pages.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visiting{}, v)))
}

func (s *Server) ways() Ways {
	ways := Ways{Token: s.cfg.TokensFile != "", Password: len(s.web.now().config.Users) > 0}
	if s.oidc != nil {
		ways.OIDC = s.oidc.cfg.Name
	}
	return ways
}

func (p principal) visitor() Visitor {
	return Visitor{Name: p.name, Role: string(p.role), Until: p.until}
}

// refuse answers a problem, which is a page where one was asked for.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	if !s.isPage(r.URL.Path) {
		problem(w, status, detail)
		return
	}
	seal(w.Header())
	v := visit{fault: &Fault{Status: status, Detail: detail}}
	if who, ok, err := s.signedIn(r, s.web.now()); err == nil && ok {
		v.visitor = who.visitor()
	}
	s.page(w, r, v)
}

// inside makes a client that calls the API without leaving the process, in the name of
// who asks for a page: what it may do is decided where it is for all.
func inside(api http.Handler, w http.ResponseWriter, r *http.Request, who principal) *Client {
	const nowhere = "http://signoff.invalid"
	return &Client{base: nowhere, shown: nowhere, inside: true, http: &http.Client{Transport: &insideTransport{api: api, page: w, from: r.RemoteAddr, who: who}}}
}

type inName struct{} // key of a context: the principal in whose name a page asks

type insideTransport struct {
	api  http.Handler
	page http.ResponseWriter
	from string // address of who asks
	who  principal
}

// RoundTrip has the API answer. A panic of its goes through to the page's.
func (t *insideTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	asked := req.WithContext(context.WithValue(req.Context(), inName{}, t.who))
	asked.RemoteAddr = t.from
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	said := &buffered{page: t.page, header: make(http.Header)}
	t.api.ServeHTTP(said, asked)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	status := cmp.Or(said.status, http.StatusOK)
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: said.header, Body: io.NopCloser(&said.body), ContentLength: int64(said.body.Len()), Request: req}, nil
}

// buffered keeps an answer. Deadlines are the page's.
type buffered struct {
	page   http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header { return b.header }

func (b *buffered) WriteHeader(status int) { b.status = cmp.Or(b.status, status) }

func (b *buffered) Write(text []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(text)
}

// Unwrap is for http.ResponseController.
func (b *buffered) Unwrap() http.ResponseWriter { return b.page }

// FlushError does nothing: the page's answer has not begun.
func (*buffered) FlushError() error { return nil }
