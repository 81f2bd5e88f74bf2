package docusigntest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The operations by which calls are told apart.
const (
	opSignIn     = "sign_in"
	opUserInfo   = "userinfo"
	opListUsers  = "list_users"
	opGetUser    = "get_user"
	opCloseUsers = "close_users"
	opReopenUser = "reopen_user"
)

var operations = []string{
	opSignIn, opUserInfo, opListUsers, opGetUser, opCloseUsers, opReopenUser,
	opOrganizations, opOrgUsers, opGetProfile, opImportUsers, opListImports, opGetImport, opDeleteImport, opImportResults,
}

// maxBody is the most that the body of a request may have, but for maxUpload.
const maxBody = 1 << 20

// Server is a simulated Docusign, sign-in server and API on one base. It is
// safe for concurrent use. Make one with New.
type Server struct {
	cfg  Config
	key  *rsa.PublicKey // nil: any
	dice dice
	skew atomic.Int64 // how far our clock is ahead, in nanoseconds

	mu        sync.Mutex
	accounts  []*account
	tokens    map[string]token
	consent   bool
	down      bool
	requests  []Request
	calls     map[string]int // by operation
	exhausted int

	organizations []*org
}

// New returns a Docusign with the accounts of cfg. An error names the key and
// the value that is wrong.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	key, err := cfg.publicKey()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:     cfg,
		key:     key,
		tokens:  make(map[string]token),
		calls:   make(map[string]int),
		consent: cfg.Consent == nil || *cfg.Consent,
	}
	s.skew.Store(int64(cfg.ClockSkew))
	s.dice.set(cfg.Faults)
	for i, a := range cfg.Accounts {
		if s.account(a.ID) != nil {
			return nil, fmt.Errorf("accounts[%d].id: %q: given twice", i, a.ID)
		}
		acc, err := newAccount(&s.cfg, a, s.now)
		if err != nil {
			return nil, fmt.Errorf("accounts[%d].%w", i, err)
		}
		s.accounts = append(s.accounts, acc)
	}
	s.newOrganizations()
	return s, nil
}

// now is the simulation's clock.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

// account returns the account with that id, or nil; s.mu is held.
func (s *Server) account(id string) *account {
	i := slices.IndexFunc(s.accounts, func(a *account) bool { return strings.EqualFold(a.cfg.ID, id) })
	if i < 0 {
		return nil
	}
	return s.accounts[i]
}

// call is one request on its way through the server.
type call struct {
	r         *http.Request
	operation string // "" for a path that is none
	accountID string
	userID    string
	body      []byte // as it arrived
	sent      []byte // before a fault spoiled it

	organizationID string
	importID       string

	caller  string   // userId, once the token is known
	userIDs []string // of a close or a reopening
	fault   fault
}

// ServeHTTP answers as Docusign would, unless a fault strikes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(r)
	most := int64(maxBody)
	if c.operation == opImportUsers {
		most = maxUpload
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	c.body, c.sent = body, body
	s.wait(r.Context())
	if err != nil {
		s.write(w, c, c.word(refusal(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "The request body is too large.")))
		return
	}
	s.write(w, c, c.word(s.answer(c)))
}

func newCall(r *http.Request) *call {
	c := &call{r: r}
	switch r.Method + " " + r.URL.Path {
	case "POST /oauth/token":
		c.operation = opSignIn
		return c
	case "GET /oauth/userinfo":
		c.operation = opUserInfo
		return c
	}
	if path, ok := strings.CutPrefix(r.URL.Path, managementPrefix); ok {
		c.routeAdmin(path)
		return c
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/restapi/v2.1/accounts/")
	if !ok {
		return c
	}
	parts := strings.Split(rest, "/")
	switch {
	case len(parts) == 2 && parts[1] == "users" && r.Method == http.MethodGet:
		c.operation = opListUsers
	case len(parts) == 2 && parts[1] == "users" && r.Method == http.MethodDelete:
		c.operation = opCloseUsers
	case len(parts) == 2 && parts[1] == "users" && r.Method == http.MethodPut:
		c.operation = opReopenUser
	case len(parts) == 3 && parts[1] == "users" && parts[2] != "" && r.Method == http.MethodGet:
		c.operation, c.userID = opGetUser, parts[2]
	default:
		return c
	}
	c.accountID = parts[0]
	return c
}

// wait lets the configured latency pass. A caller who gives up meanwhile cuts
// it short, but is served: Docusign would not notice either.
func (s *Server) wait(ctx context.Context) {
	d := s.cfg.Latency + s.dice.jitter(s.cfg.LatencyJitter)
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// answer does what c asks, unless a fault keeps it from being done.
func (s *Server) answer(c *call) answer {
	if s.isDown() {
		c.fault = down
	} else {
		c.fault = s.dice.forCall(c.operation)
	}
	if a, ok := s.instead(c.fault); ok {
		return a
	}
	s.catchUp()
	if c.fault == dropBody {
		c.body = nil
	}
	switch c.operation {
	case opSignIn:
		return s.signIn(c)
	case opUserInfo:
		return s.userInfo(c)
	case opListUsers:
		return s.api(c, s.listUsers)
	case opGetUser:
		return s.api(c, s.getUser)
	case opCloseUsers:
		return s.api(c, s.closeUsers)
	case opReopenUser:
		return s.api(c, s.reopenUsers)
	case opOrganizations:
		return s.listOrganizations(c)
	case opOrgUsers:
		return s.adminAPI(c, s.listOrganizationUsers)
	case opGetProfile:
		return s.adminAPI(c, s.getProfile)
	case opImportUsers:
		return s.adminAPI(c, s.closeByImport)
	case opListImports:
		return s.adminAPI(c, s.listImports)
	case opGetImport, opDeleteImport, opImportResults:
		return s.adminAPI(c, s.oneImport)
	}
	return refusal(http.StatusNotFound, "RESOURCE_NOT_FOUND", "The URL provided does not resolve to a resource.")
}

// catchUp lets time take its course everywhere.
func (s *Server) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letTimePass()
}

// letTimePass is catchUp; s.mu is held.
func (s *Server) letTimePass() {
	now := s.now()
	for _, o := range s.organizations {
		o.catchUp(now)
	}
	for _, a := range s.accounts {
		a.catchUp()
	}
}

// api answers a call on an account: who calls, whether the quota allows it,
// whether the caller may, and then what is asked.
func (s *Server) api(c *call, handle func(*call, *account) answer) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.bearer(c.r)
	if !ok {
		return refusal(http.StatusUnauthorized, "AUTHORIZATION_INVALID_TOKEN", "The access token provided is expired, revoked or malformed.")
	}
	c.caller = t.user
	a := s.account(c.accountID)
	if a == nil {
		return noMember(s.cfg.Quirks.NotAMember)
	}
	now := s.now()
	var result answer
	if code := a.quota.take(now); code != "" {
		s.exhausted++
		result = a.quota.refuse(code, now)
	} else {
		result = s.authorized(c, a, handle)
	}
	if !s.cfg.Quirks.NoRateHeaders {
		a.quota.describe(result.header, now)
	}
	return result
}

// authorized answers a call that the quota allows; s.mu is held.
func (s *Server) authorized(c *call, a *account, handle func(*call, *account) answer) answer {
	if a.refuse != "" {
		return refusal(http.StatusBadRequest, a.refuse, "This account may not do that.")
	}
	u := a.byID[strings.ToLower(c.caller)]
	switch {
	case u == nil && a.cfg.MembersOnly:
		return noMember(s.cfg.Quirks.NotAMember)
	case u != nil && (!u.Administrator || u.Status != "Active"):
		return lacksPermissions()
	}
	return handle(c, a)
}

// write logs the answer, so that whoever has it finds it logged, and sends it
// as far as the fault lets it.
func (s *Server) write(w http.ResponseWriter, c *call, a answer) {
	switch c.fault {
	case htmlPage:
		a = pageOfHTML(http.StatusBadGateway)
	case pageAfter:
		a = pageOfHTML(http.StatusOK)
	}
	cut := c.fault == cutBefore || c.fault == cutAfter || c.fault == hang || c.fault == down
	if cut {
		a.status = 0
	}
	trace := newGUID()
	if slices.Contains(ofProxies, c.fault) {
		trace = "" // not Docusign's answer
	}
	s.log(c, a, trace)
	if c.fault == hang {
		<-c.r.Context().Done()
	}
	if cut {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	if trace != "" {
		h.Set("X-DocuSign-TraceToken", trace)
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if c.fault == halfAnswer {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush() // a recorder has nothing to flush
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body) // a caller who is gone misses it, as at Docusign
}

func newGUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return guid(b)
}
