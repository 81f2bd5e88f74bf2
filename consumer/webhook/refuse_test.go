package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"signoff/consumer"
)

func TestRefuses(t *testing.T) {
	head := func(r *http.Request, pairs ...string) *http.Request {
		for i := 0; i < len(pairs); i += 2 {
			r.Header[pairs[i]] = append(r.Header[pairs[i]], pairs[i+1])
		}
		return r
	}
	unmeasured := func(r *http.Request) *http.Request {
		r.ContentLength = -1
		return r
	}
	binary := func(pairs ...string) *http.Request {
		return head(head(post("/open", "application/json", jane), "Ce-Specversion", "1.0", "Ce-Id", "1",
			"Ce-Source", "/hris", "Ce-Type", consumer.TypeTerminated), pairs...)
	}
	batch := func(items ...string) *http.Request {
		return post("/open", ceBatch, "["+strings.Join(items, ",")+"]")
	}
	good := leaver("1", jane)
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		detail  string            // a part of it
		header  map[string]string // as it must be
	}{
		"another path":                 {post("/", ceJSON, good), 404, "no endpoint", nil},
		"a longer path":                {post("/open/", ceJSON, good), 404, "no endpoint", nil},
		"GET":                          {httptest.NewRequest("GET", "/open", nil), 405, "posted", map[string]string{"Allow": "POST, OPTIONS"}},
		"PUT":                          {httptest.NewRequest("PUT", "/open", strings.NewReader(good)), 405, "posted", map[string]string{"Allow": "POST, OPTIONS"}},
		"no token":                     {post("/events", ceJSON, good), 401, "bearer", map[string]string{"Www-Authenticate": "Bearer"}},
		"a wrong token":                {head(post("/events", ceJSON, good), "Authorization", "Bearer "+token+"0"), 401, "bearer", map[string]string{"Www-Authenticate": "Bearer"}},
		"another scheme":               {head(post("/events", ceJSON, good), "Authorization", "Basic "+token), 401, "bearer", nil},
		"a comment":                    {head(post("/events", ceJSON, good), "Authorization", "Bearer # hris"), 401, "bearer", nil},
		"a wrong query":                {post("/events?access_token=x", ceJSON, good), 401, "bearer", map[string]string{"Cache-Control": "private"}},
		"plain JSON":                   {post("/open", "application/json", jane), 415, "application/cloudevents+json", nil},
		"nothing said":                 {post("/open", "", good), 415, "application/cloudevents+json", nil},
		"another format":               {post("/open", "application/cloudevents+xml", "<event/>"), 415, "application/cloudevents+json", nil},
		"another batch":                {post("/open", "application/cloudevents-batch+avro", "x"), 415, "application/cloudevents+json", nil},
		"gzip":                         {head(post("/open", ceJSON, good), "Content-Encoding", "gzip"), 415, "encoding", nil},
		"a body too large":             {post("/open", ceJSON, strings.Repeat(" ", maxBody+1)), 413, "262144", nil},
		"too large, of unknown length": {unmeasured(post("/open", ceJSON, strings.Repeat(" ", maxBody+1))), 413, "262144", nil},
		"a batch too large":            {post("/open", ceBatch, strings.Repeat(" ", maxBatch+1)), 413, "1048576", nil},

		"not JSON":                     {post("/open", ceJSON, "jane@example.com"), 400, "not JSON", nil},
		"an event without id":          {post("/open", ceJSON, `{"specversion":"1.0","source":"/hris","type":"t"}`), 400, "id: missing", nil},
		"a key twice in the data":      {post("/open", ceJSON, leaver("1", `{"email":"jane@example.com","email":"a@example.com"}`)), 400, "second time", nil},
		"Latin-1":                      {post("/open", ceJSON+"; charset=iso-8859-1", leaver("1", "{\"email\":\"jos\xe9@example.com\"}")), 400, "not UTF-8", nil},
		"an id that a key can't have":  {post("/open", ceJSON, leaver(strings.Repeat("x", 2000), jane)), 400, "id: longer", nil},
		"panic: base64 of a number":    {post("/open", ceJSON, `{"specversion":"1.0","data_base64":1,"type":"t","source":"/x","id":"1"}`), 400, "data_base64", nil},
		"panic: 0.3 base64, a number":  {post("/open", ceJSON, `{"specversion":"0.3","datacontentencoding":"base64","data":1,"type":"t","source":"/x","id":"1"}`), 400, "", nil},
		"panic: 0.3 without encoding":  {post("/open", ceJSON, `{"datacontentencoding":"","specversion":"0.3","type":"t","source":"/x","id":"1"}`), 400, "", nil},
		"panic: in a batch":            {batch(good, `{"specversion":"1.0","data_base64":1,"type":"t","source":"/x","id":"1"}`), 400, "event 1: data_base64", nil},
		"panic: a header without name": {binary("Ce-", "x"), 400, "ce- header", nil},

		"a batch that is an object":     {post("/open", ceBatch, good), 400, "not a JSON array", nil},
		"a batch that is null":          {post("/open", ceBatch, "null"), 400, "not a JSON array", nil},
		"a batch cut short":             {post("/open", ceBatch, "["+good), 400, "not a JSON array", nil},
		"a batch with a number":         {batch(good, "1"), 400, "event 1: not a JSON object", nil},
		"a batch with one bad":          {batch(good, good, `{"specversion":"1.0","id":"2","source":"/hris"}`), 400, "event 2: type: missing", nil},
		"a batch with an id too long":   {batch(good, leaver(strings.Repeat("x", 2000), jane)), 400, "event 1: id: longer", nil},
		"binary of a version to come":   {head(post("/open", "", jane), "Ce-Specversion", "2.0"), 400, "ce-specversion", nil},
		"binary without version":        {head(post("/open", "", jane), "Ce-Id", "1"), 400, "ce-specversion", nil},
		"binary without source":         {head(post("/open", "", jane), "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Type", "t"), 400, "source: missing", nil},
		"binary with an id twice":       {binary("Ce-Id", "2"), 400, "second time", nil},
		"binary with two content types": {binary("Content-Type", "text/plain"), 400, "second time", nil},
		"binary in Latin-1":             {binary("Ce-Subject", "jos\xe9"), 400, "UTF-8", nil},
		"binary, overlong encoding":     {binary("Ce-Subject", "%C0%A0"), 400, "UTF-8", nil},
		"binary with a new line":        {binary("Ce-Subject", "a%0Ab"), 400, "control", nil},
		"binary with a time of none":    {binary("Ce-Time", "jane@example.com"), 400, "ce-time", nil},
		"binary with an extension_name": {binary("Ce-My-Ext", "x"), 400, "ce- header", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			w := f.send(c.request)
			if w.Code != c.status {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			var problem struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != c.status ||
				!strings.Contains(problem.Detail, c.detail) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("answered %s, want …%s…", w.Body, c.detail)
			}
			for name, want := range c.header {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if len(f.rec.intakes) > 0 || f.ignored.Load() > 0 {
				t.Errorf("recorded %+v, ignored %d", f.rec.intakes, f.ignored.Load())
			}
			said := w.Body.String()
			for _, line := range f.logs.All() {
				text, _ := json.Marshal(line.ContextMap())
				said += line.Message + string(text)
			}
			if strings.Contains(said, "@") || strings.Contains(said, token) {
				t.Errorf("quotes the request: %s", said)
			}
		})
	}
}
