package pages_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// everyPage are the paths of a rig with one hold and one reject.
func everyPage(hold, reject, entry string) []string {
	return []string{"/", "/?range=5m", "/leavers", "/leavers?state=held", "/leavers/" + entry, "/holds", "/holds?state=decided", "/holds/" + hold,
		"/rejects", "/rejects?state=discarded&source=kafka", "/rejects/" + reject, "/report"}
}

// inline finds what the content security policy forbids, and what runs in its place.
var inline = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script(>| [^s])`)

func TestEveryPage(t *testing.T) {
	r := open(t, true)
	h := r.hold(t, ledger.Limit, consumer.Event{Email: "ann@example.com", GivenName: "Ann", FamilyName: "Lee"}, consumer.Event{Email: "ben@example.com"})
	reject := r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", ID: "7"}, Reason: consumer.NoEmail, Detail: "email: is missing", Payload: []byte(`{"a":1}`)})
	for who, token := range map[string]string{"an operator": operator, "a viewer": viewer} {
		for _, path := range everyPage(number(h.ID), number(reject), number(h.Users[0].Entry)) {
			t.Run(who+path, func(t *testing.T) {
				p := r.get(t, token, path)
				if p.status != http.StatusOK {
					t.Fatalf("%d: %s", p.status, p.text)
				}
				if found := inline.FindString(p.text); found != "" {
					t.Errorf("has %q in it", found)
				}
				for _, part := range []string{"<!DOCTYPE html>", `<html lang="en">`, "<h1", `<main id="main"`, `data-follow="/api/v1/live"`} {
					if strings.Count(p.text, part) != 1 {
						t.Errorf("%d times %s", strings.Count(p.text, part), part)
					}
				}
				if ids := repeated(p.text); ids != "" {
					t.Errorf("several elements have the id %s", ids)
				}
				for name, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
					if got := p.header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if token == viewer && strings.Contains(p.text, `method="post" action="/holds`) {
					t.Error("offers a viewer to decide")
				}
			})
		}
	}
}

// repeated is an id that several elements have; "" if each has its own.
func repeated(text string) string {
	seen := make(map[string]bool)
	for _, id := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if seen[id[1]] {
			return id[1]
		}
		seen[id[1]] = true
	}
	return ""
}

func TestNobodySignedIn(t *testing.T) {
	r := open(t, true)
	for path, to := range map[string]string{"/": "/sign-in", "/holds/3": "/sign-in?next=%2Fholds%2F3"} {
		if p := r.get(t, "", path); p.status != http.StatusSeeOther || p.header.Get("Location") != to {
			t.Errorf("%s: %d to %q, want to %q", path, p.status, p.header.Get("Location"), to)
		}
	}
	if p := r.get(t, "", "/sign-in?next=%2Fholds%2F3&why=wrong"); p.status != http.StatusOK ||
		!strings.Contains(p.text, `name="token"`) || !strings.Contains(p.text, `value="/holds/3"`) || !strings.Contains(p.text, "That did not match") {
		t.Errorf("%d: %s", p.status, p.text)
	}
	if p := r.get(t, "", "/assets/signoff.css"); p.status != http.StatusOK || p.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("the look: %d %q", p.status, p.header.Get("Content-Type"))
	}
}

// Before a token goes over the wire in the clear, not after.
func TestNothingIsAskedForInTheClear(t *testing.T) {
	r := open(t, true)
	const needs = "Signing in needs https, or an address of this machine such as localhost."
	for name, c := range map[string]struct {
		host   string
		header http.Header
		asks   bool
	}{
		"here":                          {"localhost:9090", nil, true},
		"another name":                  {"signoff.example.com", nil, false},
		"a proxy that names us":         {"127.0.0.1:9090", http.Header{"X-Forwarded-For": {"10.0.0.7"}}, false},
		"a proxy that is spoken TLS to": {"signoff.example.com", http.Header{"X-Forwarded-Proto": {"https"}}, true},
	} {
		for _, path := range []string{"/sign-in", "/sign-in?why=expired&next=%2Fholds"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = c.host
			if c.header != nil {
				req.Header = c.header
			}
			p := r.do(t, req)
			if p.status != http.StatusOK || strings.Contains(p.text, "<form") != c.asks || strings.Contains(p.text, "<input") != c.asks || strings.Contains(p.text, needs) == c.asks {
				t.Errorf("%s, %s: %d, want a form %t: %s", name, path, p.status, c.asks, p.text)
			}
		}
	}
}

// What is behind the # of a link, the server never sees: it must not send a browser on.
func TestSignInAsSomebodyElse(t *testing.T) {
	r := open(t, true)
	if p := r.get(t, operator, "/sign-in?next=%2F"); p.status != http.StatusOK || !strings.Contains(p.text, "data-sign-in") || !strings.Contains(p.text, "You are signed in as") {
		t.Errorf("%d: %s", p.status, p.text)
	}
}

func TestNobodyIsKnown(t *testing.T) {
	r := open(t, false)
	h := r.hold(t, ledger.Limit, consumer.Event{Email: "ann@example.com", GivenName: "Anneliese"})
	reject := r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", ID: "of-ann@example.com"}, Reason: consumer.NoEmail, Payload: []byte(`"ann@example.com"`)})
	for _, path := range everyPage(number(h.ID), number(reject), number(h.Users[0].Entry)) {
		p := r.get(t, "", path)
		if strings.Contains(p.text, "ann@") || strings.Contains(p.text, "Anneliese") {
			t.Errorf("%s names people to strangers", path)
		}
		if strings.Contains(p.text, `method="post" action="/holds`) {
			t.Errorf("%s offers strangers to decide", path)
		}
	}
}

func TestNoSuchPage(t *testing.T) {
	r := open(t, true)
	for path, status := range map[string]int{"/nowhere": 404, "/holds/99": 404, "/holds/x": 404, "/holds/-1": 404, "/rejects/99": 404, "/leavers/99": 404,
		"/assets/other.css": 404, "/?range=2y": 400, "/rejects?before=x": 400, "/rejects?state=x": 400, "/holds?before=x": 400, "/holds?kind=x": 400} {
		if p := r.get(t, operator, path); p.status != status || !strings.Contains(p.text, "<h1>") {
			t.Errorf("%s: %d, want %d as a page: %.200s", path, p.status, status, p.text)
		}
	}
}

func TestWrongMethod(t *testing.T) {
	r := open(t, true)
	for path, allow := range map[string]string{"/holds": "GET, HEAD", "/leavers": "GET, HEAD, POST", "/holds/1/approve": "POST", "/nowhere": ""} {
		p := r.ask(t, http.MethodPut, operator, path, nil)
		if want := map[bool]int{true: http.StatusNotFound, false: http.StatusMethodNotAllowed}[allow == ""]; p.status != want || p.header.Get("Allow") != allow {
			t.Errorf("PUT %s: %d, allows %q, want %d, %q", path, p.status, p.header.Get("Allow"), want, allow)
		}
	}
}

// A link that somebody sends must not say that something was done.
func TestWhatWasDone(t *testing.T) {
	r := open(t, true)
	for from, says := range map[string]bool{"": true, "same-origin": true, "cross-site": false, "none": false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/holds?done=approved", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+operator)
		if from != "" {
			req.Header.Set("Sec-Fetch-Site", from)
		}
		if p := r.do(t, req); strings.Contains(p.text, "Approved. What follows") != says {
			t.Errorf("from %q: says that it is approved: %t", from, !says)
		}
	}
}

func TestAssetsAreKept(t *testing.T) {
	r := open(t, true)
	css := regexp.MustCompile(`/assets/signoff\.css\?v=[0-9a-f]+`).FindString(r.get(t, operator, "/").text)
	if p := r.get(t, "", css); p.status != http.StatusOK || !strings.Contains(p.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %q", css, p.status, p.header.Get("Cache-Control"))
	}
	if p := r.get(t, "", "/assets/signoff.css?v=0"); p.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("another version: %q", p.header.Get("Cache-Control"))
	}
}
