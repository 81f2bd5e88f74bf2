package console_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func TestAnswers(t *testing.T) {
	r := open(t, setup{})
	id := r.hold(t, ledger.FirstRun, "ann", "ben")
	self := r.hold(t, ledger.Self, "sue")
	dry := r.makeHold(t, ledger.Limit, true, "dan")
	one := fmt.Sprintf("/api/v1/holds/%d", id)
	body := func(id int64, reason string) string {
		return fmt.Sprintf(`{"digest": %q, "reason": %q}`, r.verdict(t, id, "").Digest, reason)
	}
	reason := body(id, "checked with HR")
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		want                      string // a part of the body
	}{
		"metrics":                        {"GET", "/metrics", "", "", 200, "some_metric 1"},
		"head of metrics":                {"HEAD", "/metrics", "", "", 200, ""},
		"post to metrics":                {"POST", "/metrics", "", "", 405, ""},
		"live":                           {"GET", "/livez", "", "", 200, "ok\n"},
		"ready":                          {"GET", "/readyz", "", "", 200, "ok\n"},
		"head of ready":                  {"HEAD", "/readyz", "", "", 200, ""},
		"ready, verbose":                 {"GET", "/readyz?verbose", "", "", 200, "ledger: ok\n"},
		"delete of ready":                {"DELETE", "/readyz", operator, "", 405, ""},
		"no such page":                   {"GET", "/api/v1/secrets", operator, "", 404, ""},
		"list by a viewer":               {"GET", "/api/v1/holds", viewer, "", 200, `"email":"ann@example.com"`},
		"list by an operator":            {"GET", "/api/v1/holds", operator, "", 200, `"kinds":["first_run"]`},
		"list by nobody":                 {"GET", "/api/v1/holds", "", "", 401, "a token from admin.tokens_file is needed"},
		"list by somebody else":          {"GET", "/api/v1/holds", "guessed", "", 401, "a token from admin.tokens_file is needed"},
		"show by a viewer":               {"GET", one, viewer, "", 200, `"userId":"id-of-ben"`},
		"show by nobody":                 {"GET", one, "", "", 401, `"title":"Unauthorized"`},
		"show of none":                   {"GET", "/api/v1/holds/999", viewer, "", 404, "no such hold"},
		"show of a word":                 {"GET", "/api/v1/holds/seven", viewer, "", 404, "no such hold"},
		"show of a negative id":          {"GET", "/api/v1/holds/-1", viewer, "", 404, "no such hold"},
		"put to a hold":                  {"PUT", one, operator, "", 405, ""},
		"get of an approval":             {"GET", one + "/approve", operator, "", 405, ""},
		"approve by nobody":              {"POST", one + "/approve", "", reason, 401, ""},
		"approve by a viewer":            {"POST", one + "/approve", viewer, reason, 403, "needs the role operator"},
		"approve of none":                {"POST", "/api/v1/holds/999/approve", operator, reason, 404, "no such hold"},
		"approve of a word":              {"POST", "/api/v1/holds/seven/approve", operator, reason, 404, "no such hold"},
		"approve of the user of signoff": {"POST", fmt.Sprintf("/api/v1/holds/%d/approve", self), operator, body(self, ""), 409, "never closed by it"},
		"show of a dry run's":            {"GET", fmt.Sprintf("/api/v1/holds/%d", dry), viewer, "", 200, `"dryRun":true`},
		"approve of a dry run's":         {"POST", fmt.Sprintf("/api/v1/holds/%d/approve", dry), operator, body(dry, ""), 409, "made in a dry run"},
		"approve without a body":         {"POST", one + "/approve", operator, "", 400, "the body must be JSON"},
		"approve with a wrong type":      {"POST", one + "/approve", operator, `{"reason": 7}`, 400, "the body must be JSON"},
		"reject without a reason":        {"POST", one + "/reject", operator, body(id, ""), 400, "a reason is needed"},
		"reject with a blank reason":     {"POST", one + "/reject", operator, body(id, " \t"), 400, "a reason is needed"},
		"approve without a digest":       {"POST", one + "/approve", operator, `{"reason": "checked"}`, 400, "digest: is missing"},
		"approve of another plan":        {"POST", one + "/approve", operator, body(self, ""), 409, "the digest is not that of the hold"},
		"approve of somebody else alone": {"POST", one + "/approve", operator, strings.Replace(reason, "{", `{"only": ["id-of-ann", "zoe@example.com"], `, 1), 400, "only[1]: nobody whom the hold holds"},
		"reject of one alone":            {"POST", one + "/reject", operator, strings.Replace(reason, "{", `{"only": ["id-of-ann"], `, 1), 400, "for approvals"},
		"reject with a long reason":      {"POST", one + "/reject", operator, body(id, strings.Repeat("é", 1001)), 400, "longer than 1000 characters"},
		"reject with too large a body":   {"POST", one + "/reject", operator, `{"reason": "` + strings.Repeat("x", 5<<20) + `"}`, 413, "larger than 4194304 bytes"},
		"reject by a viewer":             {"POST", one + "/reject", viewer, reason, 403, "needs the role operator"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.ask(t, c.method, c.path, c.token, c.body)
			if a.status != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, c.status, c.want)
			}
			switch {
			case a.status == 405:
				if a.header.Get("Allow") == "" {
					t.Error("405 without Allow")
				}
			case a.status >= 400 && strings.HasPrefix(c.path, "/api/v1/holds"):
				isProblem(t, a)
			case strings.HasPrefix(c.path, "/api/"):
				if a.status == 200 && a.header.Get("Cache-Control") != "no-store" {
					t.Error("may be stored by a proxy")
				}
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
	if h, err := r.ledger.Hold(t.Context(), id); err != nil || h.State != ledger.HoldOpen {
		t.Errorf("hold %+v, %v; want it as it was", h, err)
	}
}

// isProblem fails unless a is a problem as RFC 9457 has it.
func isProblem(t *testing.T, a answer) {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
	}
	err := json.Unmarshal([]byte(a.body), &p)
	if err != nil || a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status || p.Title == "" || p.Detail == "" {
		t.Errorf("%v %q is no problem: %v", a.header, a.body, err)
	}
}

func TestApproveAndReject(t *testing.T) {
	r := open(t, setup{})
	approved, rejected := r.hold(t, ledger.Limit, "ann", "ben"), r.hold(t, ledger.Protected, "eve")
	client, err := console.NewClient(r.url+"/", operator)
	if err != nil {
		t.Fatal(err)
	}
	h, err := client.Approve(t.Context(), approved, r.verdict(t, approved, "  checked with HR "))
	if err != nil || h.State != "approved" || h.Decided == nil || h.Decided.By != "alice" || h.Decided.Reason != "checked with HR" {
		t.Errorf("approved: %+v, %v", h, err)
	}
	if r.skipped.Load() != 0 {
		t.Error("an approval skips nobody")
	}
	h, err = client.Reject(t.Context(), rejected, r.verdict(t, rejected, "still with us"))
	if err != nil || h.State != "rejected" || h.Decided == nil || h.Decided.By != "alice" || len(h.Users) != 1 {
		t.Errorf("rejected: %+v, %v", h, err)
	}
	if n := r.skipped.Load(); n != 1 {
		t.Errorf("%d skipped were counted, want 1", n)
	}
	for _, again := range []func(context.Context, int64, console.Verdict) (console.Hold, error){client.Approve, client.Reject} {
		if _, err := again(t.Context(), approved, r.verdict(t, approved, "again")); err == nil || !strings.Contains(err.Error(), "not open any more") {
			t.Errorf("decided twice: %v", err)
		}
	}
	if list, err := client.Holds(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d holds are open, %v", len(list), err)
	}
	if h, err := client.Hold(t.Context(), rejected); err != nil || h.Decided == nil || h.Decided.Reason != "still with us" {
		t.Errorf("shown: %+v, %v", h, err)
	}
	stats, err := r.ledger.Stats(t.Context())
	if err != nil || stats.Entries[ledger.Due] != 2 || stats.Entries[ledger.Skipped] != 1 {
		t.Errorf("entries %v, %v", stats.Entries, err)
	}
	for _, line := range r.logs.All() {
		if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, "@") || strings.Contains(text, operator) {
			t.Errorf("the log shows %s", text)
		}
	}
}

func TestOnlyOneDecisionWins(t *testing.T) {
	r := open(t, setup{})
	id := r.hold(t, ledger.Limit, "ann", "ben")
	client, err := console.NewClient(r.url, operator)
	if err != nil {
		t.Fatal(err)
	}
	said := r.verdict(t, id, "mine")
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			decide := client.Approve
			if i%2 == 1 {
				decide = client.Reject
			}
			if _, err := decide(t.Context(), id, said); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d decisions were taken", n)
	}
	stats, err := r.ledger.Stats(t.Context())
	if err != nil || stats.Entries[ledger.Due]+stats.Entries[ledger.Skipped] != 2 || stats.Entries[ledger.Due] == 1 {
		t.Errorf("entries %v, %v; want both due or both skipped", stats.Entries, err)
	}
}

func TestWithoutTokens(t *testing.T) {
	t.Run("loopback may look, and sees nobody", func(t *testing.T) {
		r := open(t, setup{noTokens: true})
		id := r.hold(t, ledger.Limit, "ann")
		for _, path := range []string{"/api/v1/holds", fmt.Sprintf("/api/v1/holds/%d", id)} {
			a := r.ask(t, "GET", path, "", "")
			if a.status != 200 || !strings.Contains(a.body, `"userCount":1`) || strings.Contains(a.body, "id-of-ann") || strings.Contains(a.body, "@") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		a := r.ask(t, "POST", fmt.Sprintf("/api/v1/holds/%d/approve", id), operator, `{"reason": "x"}`)
		if a.status != 403 || !strings.Contains(a.body, "read-only") {
			t.Errorf("approve: %d %s", a.status, a.body)
		}
		isProblem(t, a)
	})
	t.Run("elsewhere nobody sees more than health and metrics", func(t *testing.T) {
		r := open(t, setup{noTokens: true, anywhere: true})
		r.hold(t, ledger.Limit, "ann")
		for path, status := range map[string]int{"/metrics": 200, "/livez": 200, "/readyz": 200, "/api/v1/holds": 404, "/api/v1/holds/1": 404} {
			if a := r.ask(t, "GET", path, "", ""); a.status != status {
				t.Errorf("%s: %d, want %d", path, a.status, status)
			}
		}
		if a := r.ask(t, "POST", "/api/v1/holds/1/approve", operator, `{}`); a.status != 404 {
			t.Errorf("approve: %d, want 404", a.status)
		}
	})
	t.Run("elsewhere with tokens", func(t *testing.T) {
		r := open(t, setup{anywhere: true})
		if a := r.ask(t, "GET", "/api/v1/holds", viewer, ""); a.status != 200 {
			t.Errorf("list: %d", a.status)
		}
	})
}

func TestTokensAreReadAnew(t *testing.T) {
	r := open(t, setup{})
	status := func(token string) int { return r.ask(t, "GET", "/api/v1/holds", token, "").status }
	r.setTokens(t, "carol:viewer:"+hashOf("new")+":carol@example.com", "carol:viewer:"+hashOf("old"))
	if status("new") != 200 || status("old") != 200 || status(operator) != 401 {
		t.Error("the tokens that hold are not those of the file")
	}
	r.setTokens(t, "# nobody")
	if status("new") != 401 {
		t.Error("a token that was taken out still holds")
	}
	r.setTokens(t, "carol:viewer:"+hashOf(""))
	if status("") != 401 || status(" ") != 401 {
		t.Error("no token at all is taken for one")
	}
	r.setTokens(t, "carol:s3cret:viewer")
	a := r.ask(t, "GET", "/api/v1/holds", "new", "")
	if a.status != 500 || !strings.Contains(a.body, "admin.tokens_file cannot be read") {
		t.Errorf("a broken file: %d %s", a.status, a.body)
	}
	for _, line := range r.logs.All() {
		if text := fmt.Sprint(line.ContextMap()); strings.Contains(text, "s3cret") {
			t.Errorf("the log shows a token: %s", text)
		}
	}
	if r.logs.FilterMessageSnippet("tokens file").Len() == 0 {
		t.Error("the log does not say what is wrong with the file")
	}
}

func TestSchemeOfTheToken(t *testing.T) {
	r := open(t, setup{})
	for header, want := range map[string]int{
		"Bearer " + viewer: 200, "bearer " + viewer: 200, "Bearer  " + viewer: 200,
		"Basic " + viewer: 401, viewer: 401, "Bearer": 401, "Bearer ": 401, "Bearer " + hashOf(viewer): 401,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/api/v1/holds", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", header, resp.StatusCode, want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	write := func(text string) console.Config {
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return console.Config{Session: time.Hour, Listen: "127.0.0.1:0", TokensFile: file}
	}
	for name, c := range map[string]struct {
		cfg  console.Config
		want string
	}{
		"no port":              {console.Config{Listen: "localhost"}, `admin.listen: "localhost": not host:port`},
		"nothing":              {console.Config{}, `admin.listen: "": not host:port`},
		"no such file":         {console.Config{Session: time.Hour, Listen: ":0", TokensFile: "/nowhere/tokens"}, "admin.tokens_file: open /nowhere/tokens"},
		"a bare token":         {write("s3cret"), "tokens:1: not name:role:hash"},
		"nobody's":             {write("# one\n:operator:" + hashOf("x")), "tokens:2: not name:role:hash"},
		"a role there is not":  {write("alice:s3cret:" + hashOf("x")), "tokens:1: role: neither viewer nor operator"},
		"a token for its hash": {write("alice:operator:s3cret"), "tokens:1: hash: not a SHA-256 in hex"},
		"half a hash":          {write("alice:operator:" + hashOf("x")[:32]), "tokens:1: hash: not a SHA-256 in hex"},
		"an empty email":       {write("# one\nalice:operator:" + hashOf("x") + ":"), "tokens:2: email: not an address"},
		"an email of no form":  {write("alice:operator:" + hashOf("x") + ":s3cret"), "tokens:1: email: not an address"},
		"a name and an email":  {write("alice:operator:" + hashOf("x") + ":Alice <alice@example.com>"), "tokens:1: email: not an address"},
		"more than an email":   {write("alice:operator:" + hashOf("x") + ":alice@example.com:s3cret"), "tokens:1: not name:role:hash"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q shows a token", err)
			}
		})
	}
}

func TestStuckLoop(t *testing.T) {
	r := open(t, setup{stuck: errors.New("the loop closer is stuck")})
	if a := r.ask(t, "GET", "/livez", "", ""); a.status != 503 || !strings.Contains(a.body, "closer is stuck") {
		t.Errorf("/livez: %d %s", a.status, a.body)
	}
	if a := r.ask(t, "GET", "/readyz", "", ""); a.status != 200 {
		t.Errorf("/readyz: %d: that is another matter", a.status)
	}
}

func TestReadyzVerboseTellsOfTheOthers(t *testing.T) {
	r := open(t, setup{})
	now := time.Now().UTC()
	if err := errors.Join(
		r.ledger.SetReading(t.Context(), consumer.Away, "kafka-0:9092: refused"),
		r.ledger.SetAccount(t.Context(), ledger.Account{ID: "a-parked", Parked: "sign_in", Advice: "give consent", ParkedAt: now}),
		r.ledger.SetAccount(t.Context(), ledger.Account{ID: "b-waits", ResumeAt: now.Add(time.Hour)}),
		r.ledger.SetAccount(t.Context(), ledger.Account{ID: "c-works", PassedAt: now}),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ledger.Subscribe(t.Context(), "kafka"); err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.SetAccount(t.Context(), ledger.Account{ID: "d-parked", Parked: "sign_in"}); err != nil {
		t.Fatal(err)
	}
	a := r.ask(t, "GET", "/readyz?verbose", "", "")
	for _, part := range []string{"ledger: ok", "kafka: away since", "kafka-0:9092: refused", "account a-parked: parked since",
		"sign_in: give consent", "account b-waits: waits until", "account c-works: ok, last run", "source hr: ok\n",
		"outcomes: kafka: 1 not published yet, the oldest of 20", "outcomes: webhook: ok"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("does not say %q: %s", part, a.body)
		}
	}
	if a.status != 200 {
		t.Errorf("%d: an outage of others must not take the webhook away", a.status)
	}
}

func TestReadyzWhereNothingIsKnownOfTheSources(t *testing.T) {
	r := open(t, setup{noSources: errors.New("the disk is slow")})
	a := r.ask(t, "GET", "/readyz?verbose", "", "")
	if a.status != 200 || !strings.Contains(a.body, "sources: cannot be read: the disk is slow\n") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestReadyzOfALedgerThatCannotBeWritten(t *testing.T) {
	r := open(t, setup{})
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	if a := r.ask(t, "GET", "/readyz", "", ""); a.status != 503 || !strings.Contains(a.body, "cannot be written") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.ask(t, "GET", "/api/v1/holds", viewer, ""); a.status != 500 || strings.Contains(a.body, "sql") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Whoever has the ledger locked keeps all else from being written: the probe says so in
// time, and so does the Overview, where nothing else would show.
func TestALedgerThatAnotherHasLocked(t *testing.T) {
	r := open(t, setup{})
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	one, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if a := r.ask(t, "GET", "/readyz", "", ""); a.status != 503 || !strings.Contains(a.body, "has not answered for ") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.ask(t, "GET", "/api/v1/overview", viewer, ""); !strings.Contains(a.body, `"needs":[{"what":"ledger","grave":true`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if _, err := one.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for r.ask(t, "GET", "/readyz", "", "").status != 200 { // within the test's time
		time.Sleep(50 * time.Millisecond)
	}
	if a := r.ask(t, "GET", "/api/v1/overview", viewer, ""); strings.Contains(a.body, `"what":"ledger"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestProbeThatGivesUpIsNotTheLedgersFault(t *testing.T) {
	r := open(t, setup{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		req, err := http.NewRequestWithContext(gone, "GET", r.url+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
		}
		if a := r.ask(t, "GET", "/readyz", "", ""); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

func TestListenerThatIsTaken(t *testing.T) {
	r := open(t, setup{})
	_, err := console.New(console.Config{Listen: strings.TrimPrefix(r.url, "http://")}, r.ledger, console.Daemon{}, zap.NewNop())
	if err == nil || !strings.HasPrefix(err.Error(), "admin.listen: ") {
		t.Errorf("got %v", err)
	}
}
