package closer_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

// Random histories, each judged by the model: nobody is closed whom it forbids to
// close, and nobody who leaves is forgotten. SIGNOFF_HISTORIES says how many there
// are; SIGNOFF_HISTORY=SEED replays one, and prints all of it.
func TestHistories(t *testing.T) {
	if text := os.Getenv("SIGNOFF_HISTORY"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal("SIGNOFF_HISTORY: ", err)
		}
		h := playHistory(t, seed, sharedKey(t), emptyLedger(t), true)
		t.Log(h.text())
		return
	}
	count := 150
	if testing.Short() || underRace {
		count = 20
	}
	if text := os.Getenv("SIGNOFF_HISTORIES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal("SIGNOFF_HISTORIES: ", err)
		}
		count = n
	}
	key, empty := sharedKey(t), emptyLedger(t)
	var next atomic.Uint64
	var failed atomic.Bool
	var mu sync.Mutex
	var all tally
	t.Run("all", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= uint64(count) && !failed.Load(); seed = next.Add(1) {
					h := playHistory(t, seed, key, empty, false)
					if t.Failed() {
						failed.Store(true)
					}
					mu.Lock()
					all.add(h.tally)
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d histories: %v", count, all)
	if short := all.tooFew(count); short != "" && !failed.Load() && count >= enoughToCount {
		t.Errorf("%d histories try too little: %s", count, short)
	}
}

// enoughToCount is how many histories it takes for what is rare to be among them.
const enoughToCount = 100

// tally counts what happened in histories.
type tally map[string]int

func (t tally) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(t)) {
		parts = append(parts, fmt.Sprintf("%d %s", t[what], what))
	}
	return strings.Join(parts, ", ")
}

func (t *tally) add(o tally) {
	if *t == nil {
		*t = make(tally)
	}
	for what, n := range o {
		(*t)[what] += n
	}
}

// tooFew says what hardly happened in so many histories.
func (t tally) tooFew(histories int) string {
	for what, each := range map[string]float64{"users closed": 2, "holds": 4, "approved": 1, "rejected": 0.1, "restarts": 1, "reloads": 0.5, "taken back": 0.5,
		"outcomes unknown": 0.3, "held for limit": 0.5, "held for first_run": 0.2, "held for freeze": 0.1, "held for returned": 0.02,
		"held for ambiguous": 0.1, "held for newer_user": 0.02, "held for stale": 0.05, "held for administrator": 0.05, "held for protected": 0.1} {
		if float64(t[what]) < each*float64(histories) {
			return fmt.Sprintf("%d %s, want %g each", t[what], what, each)
		}
	}
	return ""
}

// sharedKey is a file with the key by which all histories sign in.
func sharedKey(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(signingKey)})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// history is what happens to a small company and its signoff.
type history struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	dir    string
	log    *zap.Logger

	sim      *docusigntest.Server
	docusign docusign.Config
	ledger   *ledger.Ledger
	closer   *closer.Closer
	cfg      closer.Config
	watch    time.Duration
	takes    int // users that Docusign takes in a request; 0: any number
	accounts []string
	emails   []string // of the people there are; some have no user
	stopRun  context.CancelFunc

	mu        sync.Mutex // of what follows, while the closer runs
	model     *model
	said      []consumer.Event
	opened    map[membership]time.Time // users whom others have opened, or added
	reopened  map[membership]bool      // users whom signoff has opened
	lines     []string
	wrong     []string
	events    int
	meanwhile map[string]func() // what happens during the next run: before its first "look-up" or "close"
	killed    bool              // the process, by what happened
	tally     tally
}

// emptyLedger is a ledger without anything in it, of which each history begins
// with a copy.
func emptyLedger(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := ledger.Open(t.Context(), ledger.Config{URL: "sqlite://" + path}, ledger.Observe{})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// memory is a folder where nothing waits for a disk, if there is one.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "signoff-history-")
	if err != nil {
		return t.TempDir()
	}
	return dir
}

func playHistory(t *testing.T, seed uint64, key string, empty []byte, loud bool) (h *history) {
	dir := memory(t)
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "ledger.db"), empty, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h = &history{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), dir: dir, log: zap.NewNop(), opened: make(map[membership]time.Time), reopened: make(map[membership]bool),
			docusign: docusign.Config{AuthServer: "https://docusign.test", IntegrationKey: "key", UserID: self, PrivateKeyFile: key, Reserve: 0.5}, tally: make(tally)}
		if loud {
			h.log = zaptest.NewLogger(t)
		}
		h.begin()
		defer func() { _ = h.ledger.Close() }()
		for n := 20 + h.random.IntN(61); n > 0 && len(h.wrong) == 0; n-- {
			h.step()
		}
		if len(h.wrong) == 0 {
			h.finish()
		}
		if len(h.wrong) > 0 {
			t.Errorf("history %d: %s\n%s\nreplay: SIGNOFF_HISTORY=%d go test ./closer -run TestHistories",
				seed, strings.Join(h.wrong, "\n"), h.text(), seed)
		}
	})
	return h
}

func (h *history) text() string { return strings.Join(h.lines, "\n") }

func (h *history) say(format string, args ...any) {
	h.lines = append(h.lines, time.Now().UTC().Format("Jan _2 15:04:05  ")+fmt.Sprintf(format, args...))
}

func (h *history) complain(format string, args ...any) {
	h.say("WRONG: "+format, args...)
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

func (h *history) count(what string, n int) { h.tally[what] += n }

// must complains of an error that nothing in the history accounts for.
func (h *history) must(what string, err error) {
	if err != nil && !h.killed {
		h.complain("%s: %v", what, err)
	}
}

// Chance.

func (h *history) oneIn(n int) bool { return h.random.IntN(n) == 0 }

func pick[T any](h *history, of ...T) T { return of[h.random.IntN(len(of))] }

// some is a length of time, whole seconds, in least..most.
func (h *history) some(least, most time.Duration) time.Duration {
	return least + time.Duration(h.random.Int64N(int64((most-least)/time.Second)+1))*time.Second
}

// The company.

func (h *history) begin() {
	h.accounts = []string{account}
	if h.oneIn(3) {
		h.accounts = append(h.accounts, second)
	}
	h.cfg = closer.Defaults()
	h.cfg.Accounts = h.accounts
	h.cfg.MaxUsers = pick(h, 1, 2, 3, 100)
	h.cfg.DryRun = h.oneIn(6)
	h.watch = pick(h, 0, 30*24*time.Hour)
	for i := range 10 + h.random.IntN(31) {
		h.emails = append(h.emails, email(i))
	}
	sim := docusigntest.Config{UserID: self, PublicKey: &signingKey.PublicKey}
	for _, id := range h.accounts {
		sim.Accounts = append(sim.Accounts, docusigntest.AccountConfig{ID: id, Users: h.users(id)})
	}
	if h.oneIn(6) {
		h.takes = 2
		sim.Quirks.MaxUsersPerClose = h.takes
	}
	var err error
	if h.sim, err = docusigntest.New(sim); err != nil {
		h.t.Fatal(err)
	}
	h.model = newModel(h.sim)
	h.model.grace, h.model.maxAge = pick(h, 0, 0, time.Hour), 7*24*time.Hour
	h.model.guard = h.someGuard()
	h.say("%d people, accounts %d, batches of %d, grace %v, watch %v", len(h.emails), len(h.accounts), h.cfg.MaxUsers, h.model.grace, h.watch)
	h.emails = append(h.emails, "signoff@example.com")
	h.start()
}

// users are those of an account: most people have one, some two.
func (h *history) users(in string) []docusigntest.User {
	old := time.Now().AddDate(-1, 0, 0)
	users := []docusigntest.User{
		{ID: self, Email: "signoff@example.com", Administrator: true, Created: old},
		{ID: "keeper", Email: "it@example.com", Administrator: true, Created: old},
	}
	for i, address := range h.emails {
		if h.oneIn(10) {
			continue
		}
		u := docusigntest.User{ID: userID(i), Email: h.spelled(address), Created: old, Administrator: h.oneIn(10)}
		switch h.random.IntN(40) {
		case 0:
			u.Status = "Closed"
		case 1:
			u.Status = "ActivationSent"
		case 2:
			u.CloseError = "USER_BUSY"
		case 3:
			u.SpoilsBatch = true
		case 4:
			u.Email = h.spelled(alias(address))
		}
		users = append(users, u)
		if h.oneIn(12) {
			users = append(users, docusigntest.User{ID: "twin-" + u.ID, Email: h.spelled(address), Name: "twin", Created: old})
		}
		if h.oneIn(20) {
			users = append(users, docusigntest.User{ID: "alias-" + u.ID, Email: alias(address), Name: "alias", Created: old})
		}
	}
	h.say("account %s: %d users", in, len(users))
	return users
}

// alias is another address of the same person.
func alias(address string) string { return "a." + address }

func (h *history) spelled(address string) string {
	return pick(h, address, strings.ToUpper(address), strings.ToUpper(address[:1])+address[1:])
}

func (h *history) someGuard() guard.Config {
	g := guard.Defaults()
	g.Administrators, g.Ambiguous = pick(h, guard.Hold, guard.Close), pick(h, guard.Hold, guard.Hold, guard.Close)
	g.FirstRun = pick(h, guard.Hold, guard.Close)
	g.MinAdministrators = h.random.IntN(5)
	g.Approvals, g.ApprovalsExpire = 1+h.random.IntN(2), pick(h, 2*time.Hour, 24*time.Hour, 72*time.Hour)
	g.Limits, g.UrgentLimits = h.someLimits(), h.someLimits()
	for range h.random.IntN(4) {
		g.Protected.Emails = append(g.Protected.Emails, h.spelled(pick(h, h.emails...)))
	}
	for range h.random.IntN(2) {
		g.Protected.UserIDs = append(g.Protected.UserIDs, userID(h.random.IntN(len(h.emails))))
	}
	return g
}

func (h *history) someLimits() (limits []guard.Limit) {
	for range h.random.IntN(3) {
		limits = append(limits, guard.Limit{Window: pick(h, time.Hour, 6*time.Hour, 24*time.Hour), Max: 1 + h.random.IntN(6),
			Scope: pick(h, "", "", "all"), By: pick(h, "", "", "source")})
	}
	return limits
}

// start opens the ledger and makes a closer, as a process does that starts.
func (h *history) start() {
	h.model.dryRun = h.cfg.DryRun
	g := h.model.guard
	h.say("starts: dry run %t, %s", h.cfg.DryRun, guardText(g))
	if err := errors.Join(h.cfg.Validate(), g.Validate()); err != nil {
		h.t.Fatal(err)
	}
	var err error
	h.ledger, err = ledger.Open(h.t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(h.dir, "ledger.db"),
		MaxAge: h.model.maxAge, Grace: h.model.grace, Watch: h.watch}, ledger.Observe{})
	if err != nil {
		h.t.Fatal(err)
	}
	client, err := docusign.New(h.docusign, roundTrip(h.roundTrip), docusign.Observe{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.killed = false
	h.closer = closer.New(h.cfg, g, h.ledger, client, metrics.NewCloser(nil, metrics.NewAccounts(h.accounts), nil, nil, nil), h.log)
	if !h.cfg.DryRun {
		h.noteFirstPlan()
	}
	h.must("start", h.closer.Renew(h.t.Context()))
}

func guardText(g guard.Config) string {
	return fmt.Sprintf("first run %s, administrators %s at least %d, ambiguous %s, approvals %d good for %v, limits %+v urgent %+v, protected %v %v",
		g.FirstRun, g.Administrators, g.MinAdministrators, g.Ambiguous, g.Approvals, g.ApprovalsExpire, g.Limits, g.UrgentLimits, g.Protected.Emails, g.Protected.UserIDs)
}

// noteFirstPlan tells the model whom a dry run would have closed: they are one
// first plan now, which nobody has approved yet.
func (h *history) noteFirstPlan() {
	for _, e := range h.entries() {
		if e.State == ledger.WouldClose {
			h.model.firstPlan[leaverIn{e.Account, e.Leaver}] = len(h.model.whose(e.Leaver).terms)
		}
	}
}

func (h *history) entries() []ledger.Entry {
	entries, err := h.ledger.Entries(h.t.Context())
	h.must("entries", err)
	return entries
}

func (h *history) holds() []ledger.Hold {
	holds, err := h.ledger.OpenHolds(h.t.Context())
	h.must("holds", err)
	return holds
}
