package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// description is openapi.yaml, to compare answers with.
type description struct {
	root    map[string]any
	schemas *jsonschema.Compiler
	seen    map[string]bool // operations and statuses that were answered, such as "GET /livez 200"
}

const where = "file:///openapi.json"

func readDescription(t *testing.T) *description {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &description{seen: map[string]bool{}, schemas: jsonschema.NewCompiler()}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		t.Fatal(err)
	}
	// A caller must take further fields; here each must be described.
	for _, schema := range at(d.root, "components", "schemas") {
		if s, _ := schema.(map[string]any); s["type"] == "object" {
			s["additionalProperties"] = false
		}
	}
	if text, err = json.Marshal(d.root); err != nil {
		t.Fatal(err)
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d.schemas.DefaultDraft(jsonschema.Draft2020)
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource(where, root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at is what the document has under these names; nil if nothing.
func at(from map[string]any, names ...string) map[string]any {
	for _, name := range names {
		from, _ = from[name].(map[string]any)
	}
	return from
}

// operation finds what a request is described by: the path without a parameter if
// there is one.
func (d *description) operation(method, asked string) (name string, described map[string]any) {
	asked, _, _ = strings.Cut(asked, "?")
	all := d.operations()
	if o, ok := all[method+" "+asked]; ok {
		return method + " " + asked, o
	}
	for name, o := range all {
		pattern := strings.NewReplacer("{id}", "*", "{file}", "*").Replace(name)
		if ok, _ := path.Match(pattern, method+" "+asked); ok {
			return name, o
		}
	}
	return method + " " + asked, nil
}

// check fails unless the answer is as described.
func (d *description) check(t *testing.T, method, asked string, a answer) {
	t.Helper()
	sealed(t, asked, a)
	name, o := d.operation(method, asked)
	pointer := fmt.Sprintf("/paths/%s/%s/responses/%d", escape(strings.TrimPrefix(name, method+" ")), strings.ToLower(method), a.status)
	response := at(o, "responses", fmt.Sprint(a.status))
	if response == nil {
		t.Errorf("%s answers %d, which is not described: %s", name, a.status, a.body)
		return
	}
	d.seen[fmt.Sprint(name, " ", a.status)] = true
	if ref, ok := response["$ref"].(string); ok {
		pointer = strings.TrimPrefix(ref, "#")
		response = at(d.root, strings.Split(strings.TrimPrefix(pointer, "/"), "/")...)
	}
	for header := range at(response, "headers") {
		if a.header.Get(header) == "" {
			t.Errorf("%s: %d without %s", name, a.status, header)
		}
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || at(response, "content", kind) == nil {
		t.Errorf("%s answers %d as %q, which is not described", name, a.status, a.header.Get("Content-Type"))
		return
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	schema, err := d.schemas.Compile(where + "#" + pointer + "/content/" + escape(kind) + "/schema")
	if err != nil {
		t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil {
		t.Errorf("%s answers %d with %s: %v", name, a.status, a.body, err)
	}
}

// escape writes a name as a part of a JSON pointer in a URL.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(name)
}

func TestAnswersAreAsDescribed(t *testing.T) {
	d := readDescription(t)
	r := open(t, setup{})
	const reason, file = `{"reason": "checked with HR"}`, "/api/v1/leavers/a-file-of-people"
	const listed = `{"people": [{"email": "ana@example.com", "leftAt": "2026-07-01T00:00:00Z"}], "roster": ["ben@example.com"]}`
	const people = `{"file": "a-file-of-people", "emails": ["ana@example.com"], "urgent": true}`
	first := r.hold(t, ledger.Limit, "ann", "ben")
	protected, self := r.hold(t, ledger.Protected, "eve"), r.hold(t, ledger.Self, "sue")
	holds := []string{holdPath(first), holdPath(protected), holdPath(self)}
	word := func(id int64) string { return r.word(t, id) }
	const byHand = `{"email": "ben@example.com", "reason": "checked"}`
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	planned := fmt.Sprintf(`{"at": %q, "account": %q, "digest": %q, "reason": "checked"}`, soon, account, strings.Repeat("0a", 32))
	ids := r.rejectAll(t, "x", "bad", "away", "gone", "broken", "done", "last")
	one := func(i int) string { return fmt.Sprint("/api/v1/rejects/", ids[i]) }
	r.replays.fails = map[int64]error{ids[2]: console.ErrLater, ids[3]: console.ErrOrigin, ids[4]: errors.New("disk I/O error")}
	for _, q := range []struct{ method, path, token, body string }{
		{"GET", "/metrics", "", ""}, {"GET", "/livez", "", ""}, {"GET", "/readyz", "", ""}, {"GET", "/readyz?verbose", "", ""}, {"GET", "/api/v1/openapi.yaml", "", ""},
		{"GET", "/api/v1/holds", viewer, ""}, {"GET", holds[0], viewer, ""}, {"GET", "/api/v1/holds/999", viewer, ""},
		{"POST", holds[0] + "/approve", operator, word(first)}, {"POST", holds[0] + "/approve", operator, word(first)}, {"POST", holds[2] + "/approve", operator, word(self)},
		{"POST", "/api/v1/holds/999/approve", operator, word(first)}, {"POST", holds[1] + "/reject", operator, word(protected)}, {"POST", holds[1] + "/reject", operator, word(protected)},
		{"POST", "/api/v1/holds/999/reject", operator, word(first)}, {"GET", holds[0], operator, ""}, {"GET", holds[1], operator, ""},
		{"POST", "/api/v1/freezes", operator, `{"until": "` + soon + `", "reason": "checked"}`}, {"GET", "/api/v1/freezes", viewer, ""},
		{"POST", "/api/v1/freezes/1/end", operator, reason}, {"POST", "/api/v1/freezes/1/end", operator, reason},
		{"POST", "/api/v1/plan", viewer, `{}`}, {"POST", "/api/v1/plan/approve", operator, planned},
		{"POST", "/api/v1/leavers/urgent", operator, byHand}, {"POST", "/api/v1/leavers/defer", operator, strings.Replace(byHand, "{", `{"until": "`+soon+`", `, 1)},
		{"POST", "/api/v1/leavers/skip", operator, byHand}, {"POST", "/api/v1/leavers/retry", operator, byHand},
		{"POST", "/api/v1/leavers/skip", operator, strings.Replace(byHand, "ben", "eve", 1)}, {"POST", "/api/v1/leavers/urgent", operator, strings.Replace(byHand, "ben", "eve", 1)},
		{"POST", "/api/v1/leavers/defer", operator, strings.Replace(strings.Replace(byHand, "ben", "eve", 1), "{", `{"until": "`+soon+`", `, 1)},
		{"POST", "/api/v1/leavers/retry", operator, strings.Replace(byHand, "ben", "sue", 1)},
		{"POST", "/api/v1/leavers/urgent", operator, strings.Replace(byHand, "ben", "zoe", 1)}, {"POST", "/api/v1/leavers/skip", operator, strings.Replace(byHand, "ben", "zoe", 1)},
		{"POST", "/api/v1/leavers/retry", operator, strings.Replace(byHand, "ben", "zoe", 1)},
		{"POST", "/api/v1/leavers/defer", operator, strings.Replace(strings.Replace(byHand, "ben", "zoe", 1), "{", `{"until": "`+soon+`", `, 1)},
		{"GET", "/api/v1/rejects?limit=2", viewer, ""}, {"GET", "/api/v1/rejects?limit=0", viewer, ""}, {"GET", one(0), operator, ""}, {"GET", "/api/v1/rejects/999", viewer, ""},
		{"POST", one(1) + "/replay", operator, ""}, {"POST", one(2) + "/replay", operator, "{}"}, {"POST", one(3) + "/replay", operator, ""},
		{"POST", one(4) + "/replay", operator, ""}, {"POST", one(5) + "/replay", operator, "{}"}, {"POST", "/api/v1/rejects/999/replay", operator, ""},
		{"POST", one(0) + "/discard", operator, reason}, {"POST", one(0) + "/discard", operator, reason}, {"POST", "/api/v1/rejects/999/discard", operator, reason},
		{"POST", "/api/v1/rejects/replay", operator, fmt.Sprintf(`{"ids": [%d, %d, %d, 999, %d]}`, ids[6], ids[1], ids[3], ids[2])},
		{"POST", "/api/v1/rejects/replay", operator, `{"all": true, "reason": "no_email"}`}, {"GET", "/api/v1/rejects?state=replayed", operator, ""},
		{"POST", "/api/v1/leavers/plan", operator, `{"emails": ["ana@example.com"]}`}, {"POST", "/api/v1/leavers", operator, people},
		{"GET", file, operator, ""}, {"GET", "/api/v1/leavers/another-file", operator, ""},
		{"GET", "/api/v1/audit/export", viewer, ""}, {"GET", "/api/v1/audit/export?since=yesterday", viewer, ""},
		{"GET", "/api/v1/report", viewer, ""}, {"GET", "/api/v1/report?format=csv", viewer, ""}, {"GET", "/api/v1/report?format=html", viewer, ""},
		{"GET", "/api/v1/report?rows=1", viewer, ""},
		{"GET", "/api/v1/report?rows=0", viewer, ""}, {"GET", "/api/v1/report?format=csv&rows=1", viewer, ""}, {"GET", "/api/v1/report?since=x", viewer, ""}, {"POST", "/api/v1/reconcile", viewer, listed},
		{"POST", "/api/v1/explain", viewer, `{"email": "eve@example.com"}`}, {"POST", "/api/v1/explain", viewer, `{"event": "ann@example.com-0"}`},
		{"POST", "/api/v1/explain", viewer, `{"entry": 1}`}, {"POST", "/api/v1/explain", viewer, `{"entry": 999}`}, {"POST", "/api/v1/explain", viewer, `{"email": "zoe@example.com"}`}, {"POST", "/api/v1/explain", viewer, `{}`},
		{"GET", "/api/v1/overview", viewer, ""}, {"GET", "/api/v1/overview?range=7d", operator, ""}, {"GET", "/api/v1/overview?range=1y", viewer, ""},
		{"GET", "/api/v1/holds?state=decided&limit=1", viewer, ""}, {"GET", "/api/v1/holds?state=lost", viewer, ""},
		{"GET", "/api/v1/leavers", viewer, ""}, {"GET", "/api/v1/leavers?limit=1&sort=due", viewer, ""}, {"GET", "/api/v1/leavers?sort=up", viewer, ""},
		{"GET", "/api/v1/leavers?effective_from=2026-01-01T00:00:00Z&effective_to=2100-01-01T00:00:00Z", viewer, ""},
		{"POST", "/api/v1/leavers/search", viewer, `{"text": "ann"}`}, {"POST", "/api/v1/leavers/search", viewer, `{"states": ["lost"]}`},
		{"GET", "/api/v1/live", viewer, ""},
	} {
		d.check(t, q.method, q.path, r.ask(t, q.method, q.path, q.token, q.body))
	}
	r.leavers.refuses = console.ErrMode
	d.ask(t, r, "POST", "/api/v1/leavers", operator, people)
	d.ask(t, r, "POST", "/api/v1/leavers/plan", operator, `{"emails": ["ana@example.com"]}`)
	r.plans.refuses = ledger.ErrPlanChanged
	d.ask(t, r, "POST", "/api/v1/plan/approve", operator, planned)
	r.plans.refuses = errors.New("docusign: list users: 503")
	d.ask(t, r, "POST", "/api/v1/plan", viewer, `{}`)
	d.ask(t, r, "POST", "/api/v1/plan/approve", operator, planned)
	r.lists.err = errors.New("docusign: list users: 503")
	d.ask(t, r, "POST", "/api/v1/reconcile", viewer, listed)
	strangers := open(t, setup{noTokens: true})
	d.ask(t, strangers, "POST", "/api/v1/reconcile", "", listed)
	d.ask(t, strangers, "GET", "/api/v1/report?format=csv", "", "")
	d.ask(t, strangers, "POST", "/api/v1/explain", "", `{"event": "bad"}`)
	d.ask(t, strangers, "GET", "/api/v1/overview", "", "")
	d.ask(t, strangers, "GET", "/api/v1/leavers", "", "")
	d.ask(t, strangers, "POST", "/api/v1/leavers/search", "", `{"text": "ann"}`)
	strangers.watchAll(t)
	d.refused(t, strangers, 503, "too many watch already", "GET", "/api/v1/live", "", "")
	d.reopenings(t)
	d.refusals(t, r)
	d.unwell(t)
	d.doors(t)
	for operation, o := range d.operations() {
		for status := range at(o, "responses") {
			if !d.seen[operation+" "+status] {
				t.Errorf("%s: %s is described, and never answered", operation, status)
			}
		}
	}
}

func holdPath(id int64) string { return fmt.Sprint("/api/v1/holds/", id) }

// operations are all that are described, by names such as "GET /livez".
func (d *description) operations() map[string]map[string]any {
	all := make(map[string]map[string]any)
	for template := range at(d.root, "paths") {
		for method := range at(d.root, "paths", template) {
			if o := at(d.root, "paths", template, method); o["operationId"] != nil {
				all[strings.ToUpper(method)+" "+template] = o
			}
		}
	}
	return all
}

func (d *description) ask(t *testing.T, r *room, method, path, token, body string) answer {
	t.Helper()
	a := r.ask(t, method, path, token, body)
	d.check(t, method, path, a)
	return a
}

func (d *description) reopenings(t *testing.T) {
	t.Helper()
	r := open(t, setup{})
	id := r.reopening(t)
	d.ask(t, r, "GET", "/api/v1/holds", viewer, "")
	d.ask(t, r, "POST", holdPath(id)+"/approve", operator, r.word(t, id))
	r = open(t, setup{noTokens: true})
	id = r.reopening(t)
	r.reject(t, "x")
	for _, path := range []string{"/api/v1/holds", holdPath(id), "/api/v1/rejects", "/api/v1/rejects/1"} {
		if a := d.ask(t, r, "GET", path, "", ""); strings.Contains(a.body, "@") {
			t.Errorf("%s shows an address to everybody: %s", path, a.body)
		}
	}
	d.refused(t, r, 403, "it needs a named person", "GET", "/api/v1/audit/export", "", "")
}

// refusals asks each operation of the API in every way that it must refuse.
func (d *description) refusals(t *testing.T, r *room) {
	t.Helper()
	for name, o := range d.operations() {
		method, path, _ := strings.Cut(name, " ")
		path = strings.NewReplacer("{id}", "1", "{file}", "a-file-of-people").Replace(path)
		security, _ := json.Marshal(o["security"])
		if string(security) == "[]" || path == "/metrics" {
			continue
		}
		d.refused(t, r, 401, "a token from admin.tokens_file", method, path, "", "")
		d.refused(t, r, 401, "a token from admin.tokens_file", method, path, "guessed", "")
		if strings.Contains(string(security), "operator") {
			d.refused(t, r, 403, "this needs the role operator", method, path, viewer, "{}")
		}
		if method != "POST" {
			continue
		}
		d.refused(t, r, 400, "the body must be JSON such as", method, path, operator, "{")
		d.refused(t, r, 400, `unknown field \"resaon\"`, method, path, operator, `{"resaon": "x"}`)
		d.refused(t, r, 400, "unknown field; ", method, path, operator, `{"`+strings.Repeat("x", 200)+`": "x"}`)
		d.refused(t, r, 400, "the body must be JSON such as", method, path, operator, "{} {}")
		d.refused(t, r, 400, "the body must be JSON such as", method, path, operator, "{} x")
		switch large := strings.Repeat(" ", 1<<16); {
		case strings.HasSuffix(path, "/leavers") || strings.HasSuffix(path, "/leavers/plan") || strings.HasSuffix(path, "/reconcile"):
			d.refused(t, r, 413, "larger than 67108864 bytes", method, path, operator, strings.Repeat(large, 1<<10)+"{}")
		case strings.Contains(path, "/holds/"):
			d.refused(t, r, 413, "larger than 4194304 bytes", method, path, operator, strings.Repeat(large, 1<<6)+"{}")
		default:
			d.refused(t, r, 413, "larger than 65536 bytes", method, path, operator, large+"{}")
			d.refused(t, r, 413, "larger than 65536 bytes", method, path, operator, "{}"+large)
		}
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "json"} {
			a := r.askAs(t, method, path, http.Header{"Authorization": {"Bearer " + operator}, "Content-Type": {kind}}, "{}")
			d.check(t, method, path, a)
			if a.status != 415 || a.header.Get("Accept") != "application/json" {
				t.Errorf("%s with a body of %q: %d, want 415", name, kind, a.status)
			}
		}
		if a := r.askAs(t, method, path, http.Header{"Authorization": {"Bearer " + operator}, "Content-Type": {"application/json; charset=utf-8"}}, "{"); a.status != 400 {
			t.Errorf("%s with a character set: %d", name, a.status)
		}
	}
}

func (d *description) refused(t *testing.T, r *room, status int, want, method, path, token, body string) {
	t.Helper()
	if a := d.ask(t, r, method, path, token, body); a.status != status || !strings.Contains(a.body, want) {
		t.Errorf("%s %s with %.40q: %d %s, want %d with %q", method, path, body, a.status, a.body, status, want)
	}
}

// unwell asks a daemon whose tokens file is broken, and one whose ledger and loops are.
func (d *description) unwell(t *testing.T) {
	t.Helper()
	r := open(t, setup{stuck: errors.New("loop closer: no turn for 21m0s")})
	r.setTokens(t, "no line of a tokens file")
	for name, o := range d.operations() {
		method, path, _ := strings.Cut(name, " ")
		if at(o, "responses", "500") != nil {
			d.ask(t, r, method, strings.NewReplacer("{id}", "1", "{file}", "a-file-of-people").Replace(path), operator, "")
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	d.refused(t, r, 503, "no turn", "GET", "/livez", "", "")
	d.refused(t, r, 503, "cannot be written", "GET", "/readyz", "", "")
}

// doors asks every operation but health where a web config lets nobody in: without a
// certificate, and more often than it allows.
func (d *description) doors(t *testing.T) {
	t.Helper()
	closed := open(t, setup{web: withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"})
	busy := open(t, setup{web: "rate_limit: {interval: 1h, burst: 1}"})
	busy.ask(t, "GET", "/metrics", "", "")
	for name := range d.operations() {
		method, path, _ := strings.Cut(name, " ")
		path = strings.NewReplacer("{id}", "1", "{file}", "a-file-of-people").Replace(path)
		if path == "/livez" || path == "/readyz" {
			d.refused(t, closed, 200, "ok", method, path, "", "")
			d.refused(t, busy, 200, "ok", method, path, "", "")
			continue
		}
		d.refused(t, closed, 403, "a client certificate is needed", method, path, operator, "")
		d.refused(t, busy, 429, "rate_limit", method, path, operator, "")
	}
	users := open(t, setup{web: ann})
	d.refused(t, users, 401, "a token from admin.tokens_file, or a user", "GET", "/metrics", "", "")
	d.refused(t, users, 200, "some_metric", "GET", "/metrics", viewer, "")
	users.setTokens(t, "no line of a tokens file")
	d.refused(t, users, 500, "cannot be read", "GET", "/metrics", viewer, "")
}

func TestWhatThereIsNot(t *testing.T) {
	r := open(t, setup{})
	for name, c := range map[string]struct {
		method, path string
		status       int
		allow        string
		want         string
	}{
		"a path of the API":              {"GET", "/api/v1/secrets", 404, "", "no such path: /api/v1/openapi.yaml"},
		"the API itself":                 {"GET", "/api", 404, "", "no such path"},
		"another version":                {"POST", "/api/v2/holds", 404, "", "no such path"},
		"a path too long":                {"GET", "/api/v1/holds/1/approve/twice", 404, "", "no such path"},
		"a page":                         {"GET", "/nothing", 404, "", "there is nothing here"},
		"a method of a list":             {"DELETE", "/api/v1/holds", 405, "GET, HEAD", "there is only GET, HEAD"},
		"a method of a decision":         {"GET", "/api/v1/holds/1/approve", 405, "POST", "there is only POST"},
		"a method of the metrics":        {"POST", "/metrics", 405, "GET, HEAD", "there is only"},
		"a method that nobody knows":     {"BREW", "/api/v1/holds", 405, "GET, HEAD", "there is only"},
		"a method of what isn't there":   {"BREW", "/api/v1/coffee", 404, "", "no such path"},
		"a preflight of another origin":  {"OPTIONS", "/api/v1/holds/1/approve", 405, "POST", "there is only POST"},
		"a path that leads out and back": {"GET", "/api/../api/v1/none", 404, "", "no such path"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.ask(t, c.method, c.path, operator, "")
			if a.status != c.status || a.header.Get("Allow") != c.allow || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %v %s, want %d with %q", a.status, a.header, a.body, c.status, c.want)
			}
			isProblem(t, a)
			sealed(t, c.path, a)
		})
	}
	r = open(t, setup{noTokens: true, anywhere: true})
	for _, path := range []string{"/api/v1/holds", "/api/v1/openapi.yaml"} {
		a := r.ask(t, "GET", path, "", "")
		if a.status != 404 || !strings.Contains(a.body, "it needs admin.tokens_file") {
			t.Errorf("%s where the API is not served: %d %s", path, a.status, a.body)
		}
		isProblem(t, a)
	}
}

// sealed fails unless the answer may be neither stored nor taken for what it is not.
func sealed(t *testing.T, path string, a answer) {
	t.Helper()
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("a browser may take it for something else")
	}
	if strings.HasPrefix(path, "/api") && a.header.Get("Cache-Control") != "no-store" {
		t.Error("may be stored")
	}
}

func TestEveryGetAnswersHead(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann")
	r.reject(t, "x")
	for name := range readDescription(t).operations() {
		path, ok := strings.CutPrefix(name, "GET ")
		if !ok {
			continue
		}
		path = strings.NewReplacer("{id}", "1", "{file}", "a-file-of-people").Replace(path)
		a, head := r.ask(t, "GET", path, operator, ""), r.ask(t, "HEAD", path, operator, "")
		if a.status != 200 || head.status != 200 || head.body != "" || head.header.Get("Content-Type") != a.header.Get("Content-Type") {
			t.Errorf("%s: GET %d, HEAD %d %v %s", path, a.status, head.status, head.header, head.body)
		}
		sealed(t, path, a)
	}
}

func TestPagesOfOtherOriginsDecideNothing(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		want   int
	}{
		"a command":                             {http.Header{}, 200},
		"a page of ours":                        {http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
		"a page of another site":                {http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"a page beside ours":                    {http.Header{"Sec-Fetch-Site": {"same-site"}}, 403},
		"an old browser's page of another site": {http.Header{"Origin": {"https://evil.example.com"}}, 403},
		"a page of no origin":                   {http.Header{"Origin": {"null"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{})
			id := r.hold(t, ledger.Limit, "ann")
			c.header.Set("Authorization", "Bearer "+operator)
			c.header.Set("Content-Type", "application/json")
			a := r.askAs(t, "POST", holdPath(id)+"/approve", c.header, r.word(t, id))
			if a.status != c.want {
				t.Errorf("%d %s, want %d", a.status, a.body, c.want)
			}
			if a.status != 200 {
				isProblem(t, a)
			}
			if h, err := r.ledger.Hold(t.Context(), id); err != nil || (h.State == ledger.HoldOpen) != (c.want == 403) {
				t.Errorf("the hold is %s, %v", h.State, err)
			}
		})
	}
}
