package closer_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
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

// What may happen, and how often.

var steps = []struct {
	weight int
	do     func(*history)
}{
	{30, func(h *history) { h.hear(h.leaves(pick(h, h.emails...))) }},
	{3, (*history).manyLeave},
	{9, (*history).isTakenBack},
	{4, (*history).comesAgain},
	{16, (*history).timePasses},
	{22, func(h *history) { h.run(false) }},
	{5, func(h *history) { h.run(true) }},
	{9, (*history).runWithNews},
	{5, (*history).restarts},
	{3, (*history).isConfiguredAnew},
	{3, (*history).isReloaded},
	{16, (*history).somebodyDecides},
	{3, (*history).freezes},
	{2, (*history).freezeEnds},
	{6, (*history).docusignFails},
	{4, (*history).docusignHeals},
	{5, (*history).othersChangeUsers},
}

func (h *history) step() {
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := h.random.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.do(h)
			return
		}
	}
}

// leaves is news that somebody leaves.
func (h *history) leaves(address string) consumer.Event {
	now := time.Now().UTC()
	e := h.event(consumer.Terminated, address, now)
	e.EffectiveAt = pick(h, now, now, now.Add(-h.some(time.Minute, 48*time.Hour)), now.Add(h.some(10*time.Minute, 5*24*time.Hour)))
	if h.oneIn(20) { // old news
		e.OccurredAt, e.EffectiveAt = now.Add(-h.some(6*24*time.Hour, 20*24*time.Hour)), now.Add(-h.some(6*24*time.Hour, 20*24*time.Hour))
	}
	e.Urgent = h.oneIn(5)
	if h.oneIn(4) {
		e.OtherEmails = []string{alias(address)}
	}
	return e
}

// event is one about a person, said now, a while ago or at the time of another.
func (h *history) event(kind consumer.Kind, address string, now time.Time) consumer.Event {
	h.events++
	e := consumer.Event{Key: consumer.Key{Origin: "test", Source: "hr", ID: strconv.Itoa(h.events)}, Kind: kind, Hash: strconv.Itoa(h.events),
		Email: address, ReceivedAt: now, EffectiveAt: now, Payload: []byte("{}")}
	if h.oneIn(8) {
		e.Key.Source = "payroll"
	}
	switch h.random.IntN(6) {
	case 0: // it does not say when
	case 1:
		e.OccurredAt = now.Add(-h.some(time.Minute, 72*time.Hour))
	case 2:
		if p := h.model.people[address]; p != nil && p.last != nil {
			e.OccurredAt = p.last.said
		}
	default:
		e.OccurredAt = now.Add(-h.some(0, 2*time.Minute))
	}
	return e
}

func (h *history) hear(events ...consumer.Event) {
	for _, e := range events {
		h.say("hears from %s: %s %s, said %s, effective %s, urgent %t, also %v (event %s)", e.Key.Source, e.Email, e.Kind,
			e.OccurredAt.Format("Jan _2 15:04:05"), e.EffectiveAt.Format("Jan _2 15:04:05"), e.Urgent, e.OtherEmails, e.Key.ID)
		h.must("record", h.ledger.Record(h.t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}))
		h.model.hear(e)
		h.said = append(h.said, e)
	}
	h.count("events", len(events))
}

func (h *history) manyLeave() {
	for range 3 + h.random.IntN(8) {
		e := h.leaves(pick(h, h.emails...))
		e.EffectiveAt, e.OccurredAt = e.ReceivedAt, e.ReceivedAt
		h.hear(e)
	}
}

// somebody is a person of whom something was said, if there is one.
func (h *history) somebody() string {
	if len(h.said) == 0 || h.oneIn(5) {
		return pick(h, h.emails...)
	}
	return pick(h, h.said...).Email
}

// takenBack is news that somebody does not leave, or comes back.
func (h *history) takenBack() consumer.Event {
	now := time.Now().UTC()
	e := h.event(pick(h, consumer.Rescinded, consumer.Rescinded, consumer.Rehired), h.somebody(), now)
	if p := h.model.people[e.Email]; p != nil && p.last != nil && !h.oneIn(4) {
		e.Key.Source = p.last.source
	}
	if e.Kind == consumer.Rehired {
		e.EffectiveAt = now.Add(h.some(-24*time.Hour, 8*24*time.Hour))
	}
	return e
}

func (h *history) isTakenBack() {
	h.hear(h.takenBack())
	h.count("taken back", 1)
}

// changesTheirMind is HR, about somebody who is to be closed now.
func (h *history) changesTheirMind() {
	now := time.Now().UTC()
	for _, address := range slices.Sorted(maps.Keys(h.model.people)) {
		p := h.model.people[address]
		if p.last == nil || now.Before(h.model.due(p)) || h.model.isCancelled(p, now) || h.oneIn(3) {
			continue
		}
		e := h.event(consumer.Rescinded, address, now)
		e.Key.Source, e.OccurredAt = p.last.source, now
		h.hear(e)
		h.count("taken back", 1)
		if h.oneIn(2) {
			return
		}
	}
}

func (h *history) comesAgain() {
	if len(h.said) == 0 {
		return
	}
	e := pick(h, h.said...)
	e.ReceivedAt = time.Now().UTC()
	h.hear(e)
}

func (h *history) timePasses() {
	d := pick(h, h.some(time.Second, time.Minute), h.some(time.Minute, time.Hour), h.some(time.Hour, 12*time.Hour), h.some(12*time.Hour, 48*time.Hour))
	h.say("%v pass", d)
	time.Sleep(d)
}

func (h *history) run(urgentOnly bool) {
	h.say("runs, urgent only: %t", urgentOnly)
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	h.model.runBegan, h.stopRun = time.Now(), cancel
	done, err := h.closer.CloseDue(ctx, time.Now(), urgentOnly)
	if ctx.Err() == nil {
		h.must("run", err)
	}
	h.meanwhile = nil
	if !done && !h.killed {
		h.say("... and says that it is not time for a plan")
	}
	if h.killed {
		h.say("the process was killed")
		h.restart()
	}
	if h.oneIn(4) {
		h.checkHolds()
	}
}

// runWithNews is a run during which something happens.
func (h *history) runWithNews() {
	now := map[string]func(){
		"news":   func() { h.hear(h.leaves(h.somebody())) },
		"urgent": func() { e := h.leaves(pick(h, h.emails...)); e.Urgent, e.EffectiveAt = true, e.ReceivedAt; h.hear(e) },
		"back":   h.changesTheirMind,
		"freeze": h.freezes,
		"reload": h.isReloaded,
		"kill":   func() { h.killed = true; h.must("close", h.ledger.Close()) },
		"stop":   func() { h.say("is told to stop"); h.stopRun() },
	}
	what := pick(h, "news", "urgent", "back", "back", "back", "freeze", "freeze", "reload", "reload", "kill", "stop")
	h.meanwhile = map[string]func(){pick(h, "look-up", "close"): now[what]}
	if what == "kill" {
		h.meanwhile = map[string]func(){"close": now[what]} // the intent is written, the request on its way
	}
	h.run(h.oneIn(6))
}

func (h *history) restarts() {
	h.restart()
	h.count("restarts", 1)
}

func (h *history) restart() {
	_ = h.ledger.Close()
	h.start()
}

func (h *history) isConfiguredAnew() {
	h.model.guard = h.someGuard()
	h.cfg.DryRun = h.cfg.DryRun && h.oneIn(2) || h.oneIn(12)
	h.restarts()
}

// isReloaded gives the guard another config while the closer goes on.
func (h *history) isReloaded() {
	h.model.guard = h.someGuard()
	h.say("is reloaded: %s", guardText(h.model.guard))
	h.must("reload", h.closer.Reconfigure(h.t.Context(), h.cfg, h.model.guard))
	h.count("reloads", 1)
}

// somebodyDecides lets people look at holds and say something about them.
func (h *history) somebodyDecides() {
	holds := h.holds()
	if len(holds) == 0 {
		return
	}
	for range 1 + h.random.IntN(3) {
		hold := pick(h, holds...)
		d := ledger.Decision{Hold: hold.ID, Digest: hold.Digest, By: h.who(hold), Reason: "because"}
		if h.oneIn(12) {
			d.Digest = pick(h, holds...).Digest // of what they have seen elsewhere
		}
		if h.oneIn(8) {
			h.rejects(hold, d)
			continue
		}
		for range 1 + h.random.IntN(2) {
			h.approves(hold, d, h.oneIn(4))
			d.By = h.who(hold)
		}
	}
}

// who decides: anybody, somebody of the hold now and then.
func (h *history) who(hold ledger.Hold) ledger.Person {
	name := pick(h, "ana", "ben", "eva")
	if h.oneIn(10) && len(hold.Users) > 0 {
		if h.oneIn(2) {
			return ledger.Person{Name: h.spelled(pick(h, hold.Users...).Email)}
		}
		return ledger.Person{Name: name, Email: h.spelled(pick(h, hold.Users...).Email)}
	}
	return ledger.Person{Name: name}
}

func (h *history) approves(hold ledger.Hold, d ledger.Decision, some bool) {
	now, err := h.ledger.Hold(h.t.Context(), hold.ID)
	h.must("hold", err)
	if hold.State = now.State; now.State == ledger.HoldOpen {
		hold.Users = now.Users
	}
	if some && len(hold.Users) > 1 {
		h.decideOnSome(hold, &d)
	}
	named := chosenOf(hold, d)
	terms := ledger.Terms{People: h.model.guard.Approvals, Expires: h.model.guard.ApprovalsExpire}
	after, err := h.ledger.Approve(h.t.Context(), d, terms)
	id := hold.ID
	if err == nil {
		id = after.ID
	}
	counts, enough := h.model.yes(hold, id, named, d, terms, time.Now())
	h.say("%s %s approves hold %d %v, only %v, except %v: %s, %v", d.By.Name, d.By.Email, hold.ID, hold.Kinds, d.Only, d.Except, after.State, err)
	switch {
	case err != nil && counts:
		h.complain("an approval is refused: %v", err)
	case err == nil && !counts:
		h.complain("an approval counts that must not")
	case err == nil && (after.State == ledger.HoldApproved) != enough:
		h.complain("hold %d is %s; by the model it is approved: %t", id, after.State, enough)
	case enough:
		h.count("approved", 1)
	}
}

// decideOnSome makes a decision one about some of the hold.
func (h *history) decideOnSome(hold ledger.Hold, d *ledger.Decision) {
	var names []string
	for range 1 + h.random.IntN(2) {
		names = append(names, h.spelled(pick(h, hold.Users...).Email))
	}
	if h.oneIn(2) {
		d.Only = names
	} else {
		d.Except = names
	}
}

// chosenOf are the users of a hold that a decision is about.
func chosenOf(hold ledger.Hold, d ledger.Decision) []ledger.HeldUser {
	entries := func(names []string) []int64 {
		var ids []int64
		for _, u := range hold.Users {
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, u.Email) }) {
				ids = append(ids, u.Entry)
			}
		}
		return ids
	}
	only, except := entries(d.Only), entries(d.Except)
	return slices.DeleteFunc(slices.Clone(hold.Users), func(u ledger.HeldUser) bool {
		return len(d.Only) > 0 && !slices.Contains(only, u.Entry) || slices.Contains(except, u.Entry)
	})
}

func (h *history) rejects(hold ledger.Hold, d ledger.Decision) {
	now, err := h.ledger.Hold(h.t.Context(), hold.ID)
	h.must("hold", err)
	_, settled, err := h.ledger.Reject(h.t.Context(), d)
	h.say("%s %s rejects hold %d %v: %v", d.By.Name, d.By.Email, hold.ID, hold.Kinds, err)
	may := now.State == ledger.HoldOpen && !now.DryRun && now.Digest == d.Digest && !h.model.standsIn(d.By, now.Users)
	if may != (err == nil) {
		h.complain("a rejection is refused: %v; by the model it counts: %t", err, may)
	}
	if err != nil || slices.Contains(now.Kinds, ledger.Reopening) {
		return
	}
	for _, u := range now.Users {
		if p := h.model.whose(u.Email); p != nil {
			p.skipped[now.Account] = time.Now()
		}
	}
	h.count("rejected", len(settled))
}

func (h *history) freezes() {
	f := freeze{since: time.Now(), account: pick(h, append([]string{""}, h.accounts...)...), until: time.Now().Add(h.some(time.Minute, 24*time.Hour)).UTC()}
	made, err := h.ledger.Freeze(h.t.Context(), ledger.Freeze{Account: f.account, Until: f.until, Reason: "stop", By: "ana"})
	h.must("freeze", err)
	f.id = made.ID
	h.say("freeze %d of %q until %s", f.id, f.account, f.until.Format("Jan _2 15:04:05"))
	h.model.freezes = append(h.model.freezes, &f)
}

func (h *history) freezeEnds() {
	for i, f := range h.model.freezes {
		if f.until.After(time.Now()) {
			h.must("end freeze", h.ledger.EndFreeze(h.t.Context(), f.id, "ana", "go on"))
			h.say("freeze %d is ended", f.id)
			h.model.freezes = slices.Delete(h.model.freezes, i, i+1)
			return
		}
	}
}

// docusignFails has close requests fail by chance, or all look-ups.
func (h *history) docusignFails() {
	f := docusigntest.Faults{Seed: int64(h.random.IntN(1 << 30)), Operations: []string{"close_users"}}
	chance := pick(h, 0.2, 0.5, 1)
	for range 1 + h.random.IntN(2) {
		*pick(h, &f.CutBefore, &f.Error500, &f.Busy503, &f.Blocked, &f.ProxyPage, &f.ProxyError, &f.CutAfter, &f.HalfAnswer, &f.HTML, &f.PageAfter,
			&f.Hang, &f.DropBody, &f.MissingEntry, &f.MissingEntry, &f.NotClosed, &f.NotClosed) = chance
	}
	if h.oneIn(5) {
		f = docusigntest.Faults{Operations: []string{pick(h, "list_users", "get_user", "sign_in")}, Error500: 1}
	}
	h.say("Docusign fails: %+v", f)
	h.sim.SetFaults(f)
}

func (h *history) docusignHeals() {
	h.say("Docusign works")
	h.sim.SetFaults(docusigntest.Faults{})
}

// othersChangeUsers has a user opened again, made anew, added or closed by others.
func (h *history) othersChangeUsers() {
	in := pick(h, h.accounts...)
	users := slices.DeleteFunc(h.sim.Users(in), func(u docusigntest.User) bool { return u.ID == self || u.ID == "keeper" })
	u := pick(h, users...)
	closed := slices.DeleteFunc(slices.Clone(users), func(u docusigntest.User) bool { return u.Status != "Closed" })
	if len(closed) > 0 && h.oneIn(2) {
		u = pick(h, closed...)
	}
	switch {
	case h.oneIn(4):
		u = h.sim.AddUser(in, docusigntest.User{Email: h.spelled(pick(h, h.emails...)), Name: "new", Created: time.Now()})
		h.say("others add %s (%s)", u.ID, u.Email)
	case u.Status == "Closed" && h.oneIn(2):
		u = h.sim.Recreate(in, u.ID, false)
		h.say("others make %s anew as %s", u.Email, u.ID)
	case u.Status == "Closed":
		u.Status = "Active"
		h.sim.SetUser(in, u)
		h.say("others open %s (%s)", u.ID, u.Email)
	case h.oneIn(3):
		u.Status = "Closed"
		h.sim.SetUser(in, u)
		h.say("others close %s (%s)", u.ID, u.Email)
		return
	default:
		return
	}
	h.opened[membership{in, u.ID}] = time.Now()
}

// Between the closer and Docusign.

// roundTrip shows the model what reaches Docusign, and what comes back.
func (h *history) roundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	in, user, isUser := h.usersPath(req)
	closes := isUser && req.Method == http.MethodDelete
	var asked *closeRequest
	h.mu.Lock()
	if closes {
		asked = h.seeClose(in, body)
		h.happens("close")
	} else if isUser {
		h.happens("look-up")
	}
	h.mu.Unlock()
	resp, err := h.sim.Transport().RoundTrip(req)
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		if err != nil { // it broke off: what came is no answer
			resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(answer), failingReader{err}))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case isUser && req.Method == http.MethodPut:
		h.seeReopen(in, body)
	case closes:
		h.seeOutcome(asked, resp, answer, err)
	case isUser && user != "" && req.Method == http.MethodGet && err == nil:
		h.seeLookUp(membership{in, user}, resp.StatusCode, answer)
	}
	if resp == nil {
		return nil, err
	}
	return resp, nil
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// usersPath says whether a request is about the users of an account, or one of them.
func (h *history) usersPath(req *http.Request) (in, user string, ok bool) {
	_, rest, ok := strings.Cut(req.URL.Path, "/accounts/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 2 || parts[1] != "users" {
		return "", "", false
	}
	if len(parts) > 2 {
		user = parts[2]
	}
	return parts[0], user, true
}

// happens lets what was to happen in the run happen now.
func (h *history) happens(at string) {
	if do := h.meanwhile[at]; do != nil {
		h.meanwhile = nil
		h.say("meanwhile, at a %s:", at)
		do()
	}
}

func (h *history) seeClose(in string, body []byte) *closeRequest {
	var said struct {
		Users []struct {
			ID string `json:"userId"`
		} `json:"users"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		h.complain("a close with a body that is none: %v", err)
	}
	var ids, names []string
	for _, u := range said.Users {
		ids = append(ids, u.ID)
		known, _ := h.sim.User(in, u.ID)
		names = append(names, known.Email+" "+u.ID)
	}
	h.say("account %.8s is asked to close %s", in, strings.Join(names, ", "))
	request, wrong := h.model.closes(in, ids, time.Now())
	for _, w := range wrong {
		h.complain("%s", w)
	}
	h.count("users to close", len(ids))
	return request
}

// seeOutcome takes in what signoff can know of a close by its answer.
func (h *history) seeOutcome(r *closeRequest, resp *http.Response, body []byte, err error) {
	requests := h.sim.Requests()
	last := requests[len(requests)-1]
	r.done = last.UserIDs != nil && (last.Status == http.StatusOK || last.Fault != "")
	var said struct {
		Code  string `json:"errorCode"`
		Users []struct {
			ID     string `json:"userId"`
			Status string `json:"userStatus"`
			Error  *struct {
				Code string `json:"errorCode"`
			} `json:"errorDetails"`
		} `json:"users"`
	}
	status := 0
	if err == nil {
		status = resp.StatusCode
	}
	readable := err == nil && json.Unmarshal(body, &said) == nil
	h.say("... answered %d %s, fault %q", status, said.Code, last.Fault)
	if h.killed { // before it could be written down
		h.count("outcomes unknown", len(r.users))
		return
	}
	refused := readable && said.Code != "" && said.Code != "INVALID_REQUEST_BODY" && status < 500
	known := 0
	for _, id := range r.users {
		a := h.model.attempts[membership{r.account, id}]
		if refused {
			a.known = "open"
			known++
		}
		for _, u := range said.Users {
			switch {
			case !readable || status != http.StatusOK || !strings.EqualFold(u.ID, id):
			case u.Error != nil:
				a.known = "open"
				known++
			case u.Status == "Closed":
				h.model.isClosed(r.account, a)
				known++
				h.count("users closed", 1)
			}
		}
	}
	h.count("outcomes unknown", len(r.users)-known)
}

// seeReopen takes in that a user is opened again, as people have approved.
func (h *history) seeReopen(in string, body []byte) {
	var said struct {
		Users []struct {
			ID string `json:"userId"`
		} `json:"users"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		h.complain("a reopening with a body that is none: %v", err)
	}
	for _, u := range said.Users {
		h.say("account %.8s is asked to open %s", in, u.ID)
		h.reopened[membership{in, u.ID}] = true
	}
}

// seeLookUp takes in what a look-up says of a user, if it came when the request
// could no longer take effect.
func (h *history) seeLookUp(of membership, status int, body []byte) {
	a := h.model.attempts[of]
	if a == nil || a.known != "" || time.Since(a.at) < docusign.RequestTimeout {
		return
	}
	var said struct {
		Status string `json:"userStatus"`
	}
	switch {
	case status == http.StatusOK && json.Unmarshal(body, &said) == nil && said.Status != "":
		a.known = "open"
		if said.Status == "Closed" {
			h.model.isClosed(of.account, a)
		}
	case status == http.StatusBadRequest: // no member
		h.model.isClosed(of.account, a)
	}
}

// The end.

// finish lets Docusign work and time pass until all is quiet, and looks whether
// anybody was forgotten.
func (h *history) finish() {
	h.docusignHeals()
	if h.cfg.DryRun && h.oneIn(2) {
		h.cfg.DryRun = false
		h.restart()
	}
	eager := h.oneIn(2)
	h.say("the end begins, all is approved: %t", eager)
	for _, wait := range []time.Duration{10, 20, 60, 25 * 60, 60 * 60, 110 * 60, 60, 40, 0} {
		h.run(false)
		for n := 0; n < 4 && eager && h.approveAll(); n++ {
			h.run(false)
		}
		if len(h.wrong) > 0 {
			return
		}
		time.Sleep(wait * time.Minute)
	}
	h.checkHolds()
	h.checkEnd(eager)
	if _, err := h.ledger.VerifyAudit(h.t.Context()); err != nil {
		h.complain("audit: %v", err)
	}
}

func (h *history) approveAll() (some bool) {
	for _, hold := range h.holds() {
		if slices.Contains(hold.Kinds, ledger.Self) || hold.DryRun {
			continue
		}
		for _, name := range []string{"xia", "yan"} {
			now, err := h.ledger.Hold(h.t.Context(), hold.ID)
			h.must("hold", err)
			if now.State == ledger.HoldOpen {
				some = true
				h.approves(now, ledger.Decision{Hold: now.ID, Digest: now.Digest, By: ledger.Person{Name: name}, Reason: "because"}, false)
			}
		}
	}
	return some
}

// checkHolds looks whether each hold holds somebody, and everybody who is held is
// in one.
func (h *history) checkHolds() {
	in := make(map[int64]int)
	for _, hold := range h.holds() {
		if len(hold.Users) == 0 {
			h.complain("hold %d holds nobody", hold.ID)
		}
		entries := make(map[int64]bool)
		for _, u := range hold.Users {
			entries[u.Entry] = true
		}
		for e := range entries {
			in[e]++
		}
	}
	for _, e := range h.entries() {
		if e.State == ledger.Held && in[e.ID] != 1 {
			h.complain("entry %d is held by %d holds", e.ID, in[e.ID])
		}
	}
}

func (h *history) checkEnd(eager bool) {
	entries := h.entries()
	for _, hold := range h.holds() {
		h.checkReasons(hold)
	}
	for _, e := range entries {
		switch {
		case e.State == ledger.Waiting || e.State == ledger.Due && !h.isRefused(e) || e.State == ledger.Submitted || e.State == ledger.WouldClose && !h.cfg.DryRun:
			h.complain("entry %d of %s is %s for ever", e.ID, e.Leaver, e.State)
		case e.State == ledger.Failed && !h.isRefused(e):
			h.complain("entry %d of %s has failed, and Docusign refuses nobody of theirs", e.ID, e.Leaver)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(h.model.people)) {
		if p := h.model.people[address]; p.last != nil {
			for _, in := range h.accounts {
				h.checkLeaver(p, in, entries, eager)
			}
		}
	}
	h.countHolds()
}

// checkReasons looks whether the model agrees with the reasons of a hold.
func (h *history) checkReasons(hold ledger.Hold) {
	for _, u := range hold.Users {
		p := h.model.whose(u.Email)
		if p == nil {
			h.complain("hold %d holds %s, of whom nobody said that they leave", hold.ID, u.Email)
			continue
		}
		for _, kind := range hold.Kinds {
			if kind != ledger.Reopening && !h.model.agrees(kind, hold.Account, p, time.Now()) {
				h.complain("hold %d holds %s as %s, for no reason", hold.ID, u.Email, kind)
			}
		}
	}
}

// isRefused says whether Docusign refuses to close somebody of the entry, or has
// more users of theirs than it takes in a request.
func (h *history) isRefused(e ledger.Entry) bool {
	users := 0
	for _, u := range h.sim.Users(e.Account) {
		if u.Status != "Closed" && slices.Contains(e.Emails, strings.ToLower(u.Email)) {
			users++
		}
	}
	return h.takes > 0 && users > h.takes || slices.ContainsFunc(h.sim.Users(e.Account), func(u docusigntest.User) bool {
		return slices.Contains(e.Emails, strings.ToLower(u.Email)) && (u.CloseError != "" || u.SpoilsBatch)
	})
}

// checkLeaver looks whether a person is where they belong in an account.
func (h *history) checkLeaver(p *person, in string, entries []ledger.Entry, eager bool) {
	own := slices.DeleteFunc(slices.Clone(entries), func(e ledger.Entry) bool { return e.Leaver != p.email || e.Account != in })
	open := slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.State.Open() })
	if h.model.isCancelled(p, time.Now()) {
		returned := slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.State.Open() && e.Returned }) // people said that they have left after all
		if open && !returned && !h.model.isTie(p) {
			h.complain("%s waits in account %s, though that was taken back", p.email, in)
		}
		return
	}
	if len(own) == 0 {
		h.complain("%s was not looked for in account %s", p.email, in)
		return
	}
	held := slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.State == ledger.Held })
	if held && eager && !h.cfg.DryRun && !h.model.agrees(ledger.Self, in, p, time.Now()) {
		h.complain("%s is held in account %s, though all was approved", p.email, in)
	}
	if open { // each such state was looked at before
		return
	}
	for _, u := range h.sim.Users(in) {
		if u.Status != "Closed" && slices.Contains(p.last.addresses, strings.ToLower(u.Email)) && !h.mayBeOpen(p, in, u, own) {
			h.complain("%s (%s) is open in account %s, and nobody knows; the last of them: %s", u.ID, u.Email, in, own[len(own)-1].State)
		}
	}
}

// mayBeOpen says whether there is a reason why a leaver's user is open in the end.
func (h *history) mayBeOpen(p *person, in string, u docusigntest.User, own []ledger.Entry) bool {
	if skipped := p.skipped[in]; !skipped.IsZero() && !skipped.Before(p.last.received) || h.reopened[membership{in, u.ID}] {
		return true
	}
	own = slices.DeleteFunc(slices.Clone(own), func(e ledger.Entry) bool { return !slices.Contains(e.Emails, strings.ToLower(u.Email)) }) // by which they were looked for
	if len(own) == 0 {
		return false
	}
	last := slices.MaxFunc(own, func(a, b ledger.Entry) int { return cmp.Or(a.SettledAt.Compare(b.SettledAt), cmp.Compare(a.ID, b.ID)) })
	opened, byOthers := h.opened[membership{in, u.ID}]
	looked := last.SettledAt
	if !last.SentAt.IsZero() && last.SentAt.Before(looked) { // its outcome was unknown, and found out by the userId
		looked = last.SentAt
	}
	if !byOthers || opened.Before(looked) {
		return false
	}
	watched := h.watch > 0 && (last.State == ledger.Closed || last.State == ledger.AlreadyClosed) && opened.Sub(last.SettledAt) < h.watch-24*time.Hour
	return !watched
}

// countHolds counts the kinds of all holds that there were.
func (h *history) countHolds() {
	for id := int64(1); ; id++ {
		hold, err := h.ledger.Hold(h.t.Context(), id)
		if err != nil {
			break
		}
		h.count("holds", 1)
		for _, k := range hold.Kinds {
			h.count("held for "+string(k), 1)
		}
	}
}
