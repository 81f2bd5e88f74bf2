package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime"
	"strings"

	"go.uber.org/zap"
)

// route is a path of the listener, and who may ask for it. The description
// (openapi.yaml) has each of them; a test compares the two.
type route struct {
	method, path string
	role         role
	serve        func(http.ResponseWriter, *http.Request, principal)
}

// handler serves the routes.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.method+" "+r.path, s.may(r.role, onlyJSON(r.serve)))
	}
	var origins http.CrossOriginProtection
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		detail := "a page of another origin asks: decisions come from commands, or from this daemon's own pages"
		if r.Header.Get("Sec-Fetch-Site") == "" { // over plain http browsers send none, and Origin is compared with Host
			detail += ". If this was signoff's own page, the proxy before it must pass on Host, and set X-Forwarded-Proto."
		}
		s.refuse(w, r, http.StatusForbidden, detail)
	}))
	return s.guarded(s.entered(origins.Handler(s.withPages(s.found(mux)))))
}

// servesAPI says whether somebody can be told from strangers: by a token, a password or
// a certificate, or by being on this machine. A site anywhere may give its name our
// address, and a browser here then takes us for that site: it says so by the name that it
// asks for.
func (s *Server) servesAPI(r *http.Request) bool {
	in := s.web.now()
	if s.knowsPeople(in) || in.vouched {
		return true
	}
	_, inside := r.Context().Value(inName{}).(principal) // a page's, which was asked for by a name
	return s.onLoopback() && (inside || toLoopback(r.Host))
}

func inAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// guarded sets what every answer has, and answers for a handler that panics.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if inAPI(r.URL.Path) {
			w.Header().Set("Cache-Control", "no-store")
		}
		begun := &answering{ResponseWriter: w}
		defer func() {
			if why := recover(); why != nil {
				s.panicked(begun, r, why)
			}
		}()
		next.ServeHTTP(begun, r)
	})
}

// panicked logs where a handler stopped, not with what it stopped: that may name
// anybody. An answer already begun is cut off, so that nobody takes it for whole.
func (s *Server) panicked(w *answering, r *http.Request, why any) {
	if why == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it so
		panic(why)
	}
	kind := fmt.Sprintf("%T", why)
	if err, ok := why.(runtime.Error); ok {
		kind = err.Error() // Go's own words
	}
	s.log.Error("a request made its handler panic", zap.String("route", r.Pattern), zap.String("panic", kind), zap.Stack("stack"))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	defer func() {
		if recover() != nil && !w.begun { // the page that was to say it
			problem(w, http.StatusInternalServerError, defect)
		}
	}()
	s.refuse(w, r, http.StatusInternalServerError, defect)
}

const defect = "a defect of signoff, see the log"

// answering knows whether the answer has begun.
type answering struct {
	http.ResponseWriter
	begun bool
}

func (a *answering) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(text []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(text)
}

// Unwrap is for http.ResponseController.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

const notServed = "the API is not served here: it needs admin.tokens_file, admin.oidc, users or client certificates by admin.web_config_file, or an address of loopback in admin.listen that is called by a name of this machine, such as localhost"

// withPages answers with a page where it is neither the API nor a machine that is asked
// for.
func (s *Server) withPages(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isPage(r.URL.Path) {
			s.pages(w, r, api)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// found answers what no route is for, which the mux would answer with plain text, and
// the API where it is not served.
func (s *Server) found(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inAPI(r.URL.Path) && !s.servesAPI(r) {
			problem(w, http.StatusNotFound, notServed)
			return
		}
		refuse, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		said := &onlyHeader{header: http.Header{}}
		refuse.ServeHTTP(said, r)
		switch allow := said.header.Get("Allow"); {
		case allow != "":
			w.Header().Set("Allow", allow)
			problem(w, http.StatusMethodNotAllowed, "there is only "+allow)
		case !inAPI(r.URL.Path):
			problem(w, http.StatusNotFound, "there is nothing here")
		default:
			problem(w, http.StatusNotFound, "no such path: "+descriptionPath+" has those that there are")
		}
	})
}

// onlyHeader keeps the header of the mux's own answer, and drops the rest.
type onlyHeader struct{ header http.Header }

func (h *onlyHeader) Header() http.Header            { return h.header }
func (h *onlyHeader) Write(text []byte) (int, error) { return len(text), nil }
func (h *onlyHeader) WriteHeader(int)                {}

// onlyJSON refuses a body that says it is something else.
func onlyJSON(next func(http.ResponseWriter, *http.Request, principal)) func(http.ResponseWriter, *http.Request, principal) {
	return func(w http.ResponseWriter, r *http.Request, who principal) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if r.Method == http.MethodPost && r.ContentLength != 0 && (err != nil || kind != "application/json") {
			w.Header().Set("Accept", "application/json")
			problem(w, http.StatusUnsupportedMediaType, "the body must be JSON, with Content-Type: application/json")
			return
		}
		next(w, r, who)
	}
}

// readBody reads a request of at most limit bytes that is JSON such as the example;
// false if it has answered already. A word that it does not know might be one that
// was to change what is decided.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, into any, example string) bool {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	body.DisallowUnknownFields()
	err := body.Decode(into)
	if err == nil {
		if _, err = body.Token(); err == nil {
			err = errors.New("more than one value")
		} else if errors.Is(err, io.EOF) {
			return true
		}
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("larger than %d bytes", large.Limit))
		return false
	}
	problem(w, http.StatusBadRequest, wrongIn(err)+"the body must be JSON such as "+example)
	return false
}

const maxWord = 100 // bytes of a field's name that are told back

// wrongIn names what a body has that it must not, as far as it can be told. The
// names go back to who sent them, and nowhere else.
func wrongIn(err error) string {
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && mistyped.Field != "" {
		return mistyped.Field + ": of another type; "
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if len(name) > maxWord {
			return "unknown field; "
		}
		return "unknown field " + name + "; "
	}
	return ""
}
