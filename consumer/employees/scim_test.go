package employees

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/consumer"
)

// idp is a SCIM server that answers each request by the attribute of its filter.
type idp struct {
	*httptest.Server
	answers map[string]func(w http.ResponseWriter) // "": for all others
	filters []string
	tokens  []string
}

func newIDP(t *testing.T, answers map[string]func(w http.ResponseWriter)) *idp {
	t.Helper()
	s := &idp{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/scim/v2/Users" || strings.Contains(r.URL.RawQuery, "+") {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		filter := r.URL.Query().Get("filter")
		s.filters, s.tokens = append(s.filters, filter), append(s.tokens, r.Header.Get("Authorization"))
		attribute, _, _ := strings.Cut(filter, " ")
		answer, ok := s.answers[attribute[strings.LastIndex(attribute, ":")+1:]]
		if !ok {
			answer = s.answers[""]
		}
		answer(w)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *idp) directory(t *testing.T, attribute string) (consumer.Directory, *observer.ObservedLogs) {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "s3cret\n")
	core, logs := observer.New(zap.InfoLevel)
	d, err := New(Config{SCIM: s.URL + "/scim/v2/", TokenFile: token, SCIMAttribute: attribute}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return d, logs
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"jane@example.com"}`)
	}
}

func body(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { io.WriteString(w, text) }
}

// found answers with users, of a total that is their number if it is below 0.
func found(total int, users ...string) func(http.ResponseWriter) {
	if total < 0 {
		total = len(users)
	}
	return body(fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"startIndex":1,"itemsPerPage":%d,"Resources":[%s]}`,
		total, len(users), strings.Join(users, ",")))
}

const enterprise = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`

// numbered is a user with an employeeNumber.
func numbered(number, email string) string {
	return fmt.Sprintf(`{"id":"u","userName":%q,%s:{"employeeNumber":%q}}`, email, enterprise, number)
}

func external(id, email string) string {
	return fmt.Sprintf(`{"id":"u","externalId":%q,"userName":%q}`, id, email)
}

// Asked for ever for an id that it stumbles over, a server would hold up all
// leavers who come after that one.
func TestServerThatStumblesOverAnID(t *testing.T) {
	for name, stumbles := range map[string]func(http.ResponseWriter){
		"by a failure of its own":  status(500),
		"by a firewall before it":  status(403),
		"by what is no list":       body(`<html>`),
		"by more than is ever due": body(strings.Repeat(" ", maxAnswer+1)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newIDP(t, nil)
			s.answers = map[string]func(http.ResponseWriter){"": func(w http.ResponseWriter) {
				if strings.Contains(s.filters[len(s.filters)-1], "E'1") {
					stumbles(w)
					return
				}
				found(0)(w)
			}}
			d, logs := s.directory(t, "externalId")
			if _, err := d.Find(t.Context(), "E'1"); !errors.Is(err, consumer.ErrNoPerson) {
				t.Errorf("got %v, want that there is nobody", err)
			}
			if n := logs.FilterMessageSnippet("answers, but not").Len(); n != 1 {
				t.Errorf("%d lines say why", n)
			}
		})
	}
}

func TestServerFinds(t *testing.T) {
	for name, c := range map[string]struct {
		attribute string
		answers   map[string]func(http.ResponseWriter)
		want      string // email; "" for nobody
		asked     []string
	}{
		"by the employee number": {"", map[string]func(http.ResponseWriter){"employeeNumber": found(-1, numbered("E-1", "jane@example.com"))}, "jane@example.com", []string{
			`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "E-1"`}},
		"else by the external id": {"", map[string]func(http.ResponseWriter){"employeeNumber": found(0), "externalId": found(-1, external("E-1", "jane@example.com"))}, "jane@example.com", []string{
			`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "E-1"`, `externalId eq "E-1"`}},
		"by the configured one":       {"urn:acme:User:hr.id", map[string]func(http.ResponseWriter){"": found(-1, `{"userName":"jane@example.com","urn:acme:User":{"hr":{"id":"E-1"}}}`)}, "jane@example.com", []string{`urn:acme:User:hr.id eq "E-1"`}},
		"by a core one":               {"urn:ietf:params:scim:schemas:core:2.0:User:userName", map[string]func(http.ResponseWriter){"": found(-1, `{"userName":"E-1","emails":[{"value":"jane@example.com"}]}`)}, "jane@example.com", nil},
		"in other letters":            {"externalID", map[string]func(http.ResponseWriter){"": body(`{"totalresults":1,"resources":[{"EXTERNALID":"E-1","username":"jane@example.com"}]}`)}, "jane@example.com", nil},
		"nobody":                      {"", map[string]func(http.ResponseWriter){"": found(0)}, "", nil},
		"nobody, without a list":      {"", map[string]func(http.ResponseWriter){"": body(`{"totalResults":0}`)}, "", nil},
		"nobody, by 404":              {"", map[string]func(http.ResponseWriter){"": status(404)}, "", nil},
		"a filter that is refused":    {"", map[string]func(http.ResponseWriter){"employeeNumber": status(400), "externalId": found(-1, external("E-1", "jane@example.com"))}, "jane@example.com", nil},
		"both refused":                {"", map[string]func(http.ResponseWriter){"": status(400)}, "", nil},
		"a filter that is unknown":    {"", map[string]func(http.ResponseWriter){"": status(501)}, "", nil},
		"another user":                {"externalId", map[string]func(http.ResponseWriter){"": found(-1, external("E-2", "sam@example.com"))}, "", nil},
		"an id in other letters":      {"externalId", map[string]func(http.ResponseWriter){"": found(-1, external("e-1", "sam@example.com"))}, "", nil},
		"a user without the id":       {"externalId", map[string]func(http.ResponseWriter){"": found(-1, `{"userName":"sam@example.com"}`)}, "", nil},
		"all users, this one as well": {"externalId", map[string]func(http.ResponseWriter){"": found(-1, external("E-2", "sam@example.com"), external("E-1", "jane@example.com"))}, "jane@example.com", nil},
		"all users, on many pages":    {"externalId", map[string]func(http.ResponseWriter){"": found(900, external("E-2", "sam@example.com"), external("E-1", "jane@example.com"))}, "", nil},
		"two users":                   {"externalId", map[string]func(http.ResponseWriter){"": found(-1, external("E-1", "sam@example.com"), external("E-1", "jane@example.com"))}, "", nil},
		"two users, and no more of them elsewhere": {"", map[string]func(http.ResponseWriter){"employeeNumber": found(-1, numbered("E-1", "sam@example.com"), numbered("E-1", "jane@example.com")),
			"externalId": found(-1, external("E-1", "jane@example.com"))}, "", nil},
		"a user without an email, and no other of them elsewhere": {"", map[string]func(http.ResponseWriter){"employeeNumber": found(-1, numbered("E-1", "jane")),
			"externalId": found(-1, external("E-1", "sam@example.com"))}, "", nil},
		"an inactive user": {"externalId", map[string]func(http.ResponseWriter){"": found(-1, `{"active":false,"externalId":"E-1","userName":"jane@example.com"}`)}, "jane@example.com", nil},
		"a number":         {"externalId", map[string]func(http.ResponseWriter){"": found(-1, `{"externalId":9007199254740993,"userName":"sam@example.com"}`)}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newIDP(t, c.answers)
			d, logs := s.directory(t, c.attribute)
			got, err := d.Find(t.Context(), " E-1 ")
			if c.want == "" && !errors.Is(err, consumer.ErrNoPerson) || c.want != "" && err != nil || got.Email != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
			if c.asked != nil && !reflect.DeepEqual(s.filters, c.asked) {
				t.Errorf("asked %q", s.filters)
			}
			if s.tokens[0] != "Bearer s3cret" {
				t.Errorf("authorized by %q", s.tokens[0])
			}
			said := logs.Len()
			if _, err := d.Find(t.Context(), "E-1"); err == nil && c.want == "" || logs.Len() != said {
				t.Errorf("the second time: %v, and %d more lines in the log", err, logs.Len()-said)
			}
			for _, line := range logs.All() {
				if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, "@") || strings.Contains(text, "E-1") {
					t.Errorf("the log says %s", text)
				}
			}
		})
	}
}

func TestServerCannotBeAsked(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		"not signed in":          {status(401), "scim: 401: the token of events.directory.token_file"},
		"not allowed":            {status(403), "scim: 403: the token of events.directory.token_file"},
		"too many requests":      {status(429), "scim: 429"},
		"out of order":           {status(500), "scim: 500"},
		"unavailable":            {status(503), "scim: 503"},
		"moved":                  {status(302, "Location", "https://evil.example.com/"), "scim: 302: redirects are not followed"},
		"a page to sign in":      {body("<html>jane@example.com</html>"), "scim: the answer: not JSON"},
		"no list":                {body(`{"id":"u"}`), "scim: the answer: not a list of users"},
		"an array":               {body(`[]`), "scim: the answer: not a list of users"},
		"users that are none":    {body(`{"Resources":["jane@example.com"]}`), "scim: the answer: one of the users"},
		"a key twice":            {body(`{"Resources":[],"Resources":[]}`), "scim: the answer: a key for the second time"},
		"half an answer":         {body(`{"totalResults":1,"Resources":[{"externalId":"E-1"`), "scim: the answer: not JSON"},
		"more than can be taken": {body(`{"totalResults":0,"x":"` + strings.Repeat("x", maxAnswer) + `"}`), "scim: an answer larger than"},
		"the line breaks": {func(w http.ResponseWriter) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}, "scim: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newIDP(t, map[string]func(http.ResponseWriter){"": c.answer})
			d, _ := s.directory(t, "")
			_, err := d.Find(t.Context(), "E-1")
			if err == nil || errors.Is(err, consumer.ErrNoPerson) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "@") || strings.Contains(err.Error(), "E-1") || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("%v says too much", err)
			}
		})
	}
}

func TestServerDoesNotAnswerInTime(t *testing.T) {
	held := make(chan struct{})
	s := newIDP(t, map[string]func(http.ResponseWriter){"": func(http.ResponseWriter) { <-held }})
	d, _ := s.directory(t, "")
	d.(*server).timeout = time.Millisecond
	_, err := d.Find(t.Context(), "E-1")
	close(held)
	if err == nil || errors.Is(err, consumer.ErrNoPerson) || err.Error() != "scim: context deadline exceeded" {
		t.Errorf("got %v", err)
	}
}

func TestServerIsAway(t *testing.T) {
	s := newIDP(t, nil)
	d, _ := s.directory(t, "")
	s.Close()
	_, err := d.Find(t.Context(), "E-1")
	if err == nil || errors.Is(err, consumer.ErrNoPerson) || strings.Contains(err.Error(), "E-1") {
		t.Errorf("got %v", err)
	}
}

func TestServerIsLeftAloneAsItAsks(t *testing.T) {
	s := newIDP(t, map[string]func(http.ResponseWriter){"": status(429, "Retry-After", "30")})
	d, _ := s.directory(t, "")
	for range 3 {
		if _, err := d.Find(t.Context(), "E-1"); err == nil || errors.Is(err, consumer.ErrNoPerson) {
			t.Errorf("got %v", err)
		}
	}
	if len(s.filters) != 1 {
		t.Errorf("asked %d times", len(s.filters))
	}
	d.(*server).until.Store(time.Now().Add(-time.Second).UnixNano())
	s.answers[""] = found(0)
	if _, err := d.Find(t.Context(), "E-1"); !errors.Is(err, consumer.ErrNoPerson) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "0": 0, "7": 7 * time.Second, "86400": maxWait, "99999999999999999999": 0,
		"Mon, 30 Nov 2026 12:00:20 GMT": 20 * time.Second, "Mon, 30 Nov 2026 11:00:00 GMT": 0, "Tue, 01 Dec 2026 12:00:00 GMT": maxWait,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestTokenIsReadAnew(t *testing.T) {
	s := newIDP(t, map[string]func(http.ResponseWriter){"": found(0)})
	d, _ := s.directory(t, "externalId")
	file := d.(*server).tokenFile
	for _, c := range []struct{ text, want string }{
		{"other", "Bearer other"}, {"", "not one token"}, {"a b", "not one token"}, {"again\n", "Bearer again"},
	} {
		write(t, file, c.text)
		asked := len(s.tokens)
		_, err := d.Find(t.Context(), "E-1")
		if len(s.tokens) > asked {
			if got := s.tokens[asked]; got != c.want {
				t.Errorf("%q: authorized by %q", c.text, got)
			}
			continue
		}
		if err == nil || errors.Is(err, consumer.ErrNoPerson) || !strings.Contains(err.Error(), "events.directory.token_file: "+file+": "+c.want) {
			t.Errorf("%q: got %v", c.text, err)
		}
	}
}

func TestFilterIsEscaped(t *testing.T) {
	for id, want := range map[string]string{
		`E"1\`:                     `externalId eq "E\"1\\"`,
		`x" or userName eq "admin`: `externalId eq "x\" or userName eq \"admin"`,
		`É+1 &count=0#<>`:          `externalId eq "É+1 &count=0#<>"`,
	} {
		s := newIDP(t, map[string]func(http.ResponseWriter){"": found(-1, external(id, "jane@example.com"))})
		d, _ := s.directory(t, "externalId")
		if got, err := d.Find(t.Context(), id); err != nil || got.Email != "jane@example.com" || s.filters[0] != want {
			t.Errorf("%s: got %v, asked %s", id, err, s.filters)
		}
	}
}

func TestPersonOf(t *testing.T) {
	for name, c := range map[string]struct {
		user string
		want consumer.Person
	}{
		"the primary email": {`{"userName":"jdoe@corp.example.com","emails":[{"value":"home@example.org","type":"home"},{"value":"w@example.com","type":"work"},{"value":"p@example.com","primary":true}]}`,
			consumer.Person{Email: "p@example.com", OtherEmails: []string{"w@example.com", "jdoe@corp.example.com", "home@example.org"}}},
		"primary as text":       {`{"emails":[{"value":"w@example.com","type":"work"},{"value":"p@example.com","primary":"True"}]}`, consumer.Person{Email: "p@example.com", OtherEmails: []string{"w@example.com"}}},
		"that of work":          {`{"userName":"u@example.com","emails":[{"value":"o@example.org"},{"value":"w@example.com","type":"Work"}]}`, consumer.Person{Email: "w@example.com", OtherEmails: []string{"u@example.com", "o@example.org"}}},
		"the only one":          {`{"userName":"u@example.com","emails":[{"value":"o@example.com","type":"other"}]}`, consumer.Person{Email: "o@example.com", OtherEmails: []string{"u@example.com"}}},
		"the name":              {`{"userName":"u@example.com","emails":[{"value":"a@example.org"},{"value":"b@example.org"}]}`, consumer.Person{Email: "u@example.com", OtherEmails: []string{"a@example.org", "b@example.org"}}},
		"a name that is none":   {`{"userName":"jdoe","emails":[{"value":"a@example.org"},{"value":"b@example.org"}]}`, consumer.Person{Email: "a@example.org", OtherEmails: []string{"b@example.org"}}},
		"nothing":               {`{"userName":"jdoe","emails":[{"value":""},{},null,"x"]}`, consumer.Person{}},
		"emails that are none":  {`{"userName":"u@example.com","emails":"a@example.com"}`, consumer.Person{Email: "u@example.com"}},
		"names and a time zone": {`{"userName":"u@example.com","name":{"givenName":"Jane","familyName":"Doe"},"timezone":"Asia/Tokyo"}`, consumer.Person{Email: "u@example.com", GivenName: "Jane", FamilyName: "Doe", TimeZone: "Asia/Tokyo"}},
	} {
		t.Run(name, func(t *testing.T) {
			var user map[string]any
			if err := json.Unmarshal([]byte(c.user), &user); err != nil {
				t.Fatal(err)
			}
			if got := personOf(user); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
