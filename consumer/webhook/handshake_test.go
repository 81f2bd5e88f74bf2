package webhook

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"signoff/consumer"
)

func TestHandshake(t *testing.T) {
	const origin, callback = "hris.example.com", "https://hris.example.com/confirm"
	for name, tc := range map[string]struct {
		path       string
		header     [][2]string
		wantOrigin string
		wantRate   string
	}{
		"an origin of the config":                {"/events", [][2]string{{"Webhook-Request-Origin", origin}}, origin, ""},
		"another one of it":                      {"/events", [][2]string{{"Webhook-Request-Origin", "eventgrid.azure.net"}}, "eventgrid.azure.net", ""},
		"with a rate":                            {"/events", [][2]string{{"Webhook-Request-Origin", origin}, {"Webhook-Request-Rate", "120"}}, origin, "*"},
		"with a callback, which is not called":   {"/events", [][2]string{{"Webhook-Request-Origin", origin}, {"Webhook-Request-Callback", callback}}, origin, ""},
		"an origin that begins like one of ours": {"/events", [][2]string{{"Webhook-Request-Origin", origin + ".evil.io"}, {"Webhook-Request-Rate", "120"}}, "", ""},
		"an origin that ends like one of ours":   {"/events", [][2]string{{"Webhook-Request-Origin", "evil." + origin}}, "", ""},
		"several origins":                        {"/events", [][2]string{{"Webhook-Request-Origin", origin}, {"Webhook-Request-Origin", "evil.io"}}, "", ""},
		"every origin":                           {"/events", [][2]string{{"Webhook-Request-Origin", "*"}}, "", ""},
		"no origin":                              {"/events", [][2]string{{"Webhook-Request-Rate", "120"}}, "", ""},
		"an endpoint whose config names none":    {"/open", [][2]string{{"Webhook-Request-Origin", origin}, {"Webhook-Request-Rate", "120"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodOptions, tc.path, nil)
			for _, h := range tc.header {
				r.Header.Add(h[0], h[1])
			}
			w := newFixture(t).send(r)
			if w.Code != http.StatusNoContent || w.Header().Get("Allow") != "POST, OPTIONS" {
				t.Errorf("answered %d %v", w.Code, w.Header())
			}
			if got := w.Header().Get("WebHook-Allowed-Origin"); got != tc.wantOrigin {
				t.Errorf("allowed origin %q, want %q", got, tc.wantOrigin)
			}
			if got := w.Header().Get("WebHook-Allowed-Rate"); got != tc.wantRate {
				t.Errorf("allowed rate %q, want %q", got, tc.wantRate)
			}
		})
	}
	if w := newFixture(t).send(httptest.NewRequest(http.MethodOptions, "/", nil)); w.Code != http.StatusNotFound {
		t.Errorf("elsewhere answered %d", w.Code)
	}
}

func TestOriginOfAnEvent(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		origins []string
		status  int
	}{
		"one of the config":              {"/events", []string{"hris.example.com"}, http.StatusAccepted},
		"none, as most senders do":       {"/events", nil, http.StatusAccepted},
		"another":                        {"/events", []string{"hris.example.com.evil.io"}, http.StatusForbidden},
		"one of the config and another":  {"/events", []string{"hris.example.com", "evil.io"}, http.StatusForbidden},
		"any, where the config has none": {"/open", []string{"evil.io"}, http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			r := post(c.path, ceJSON, leaver("1", jane))
			r.Header.Set("Authorization", "Bearer "+token)
			for _, o := range c.origins {
				r.Header.Add("WebHook-Request-Origin", o)
			}
			if w := f.send(r); w.Code != c.status {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
		})
	}
}

const authorization = "okta says this 0123456789"

// newOkta is a fixture with the endpoint /okta besides.
func newOkta(t *testing.T) fixture {
	t.Helper()
	f := newFixture(t)
	file := filepath.Join(t.TempDir(), "okta")
	write(t, file, authorization+"\nBasic dGhlIG9sZCBvbmU=\n")
	f.add(t, Endpoint{Path: "/okta", Auth: Auth{OktaFile: file}})
	return f
}

// add opens one more endpoint.
func (f fixture) add(t testing.TB, e Endpoint) *endpoint {
	t.Helper()
	if err := e.validate("webhook.endpoints[0]"); err != nil {
		t.Fatal(err)
	}
	ep, err := e.open("webhook.endpoints[0]", f.log)
	if err != nil {
		t.Fatal(err)
	}
	f.endpoints[e.Path] = ep
	return ep
}

func TestOktaAuthorization(t *testing.T) {
	for name, c := range map[string]struct {
		said   string
		status int
	}{
		"the value":           {authorization, http.StatusAccepted},
		"the old one":         {"Basic dGhlIG9sZCBvbmU=", http.StatusAccepted},
		"none":                {"", http.StatusUnauthorized},
		"another":             {authorization + "0", http.StatusUnauthorized},
		"with a scheme to it": {"Bearer " + authorization, http.StatusUnauthorized},
		"both":                {authorization + "\nBasic dGhlIG9sZCBvbmU=", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOkta(t)
			r := post("/okta", ceJSON, leaver("1", jane))
			if c.said != "" {
				r.Header.Set("Authorization", c.said)
			}
			w := f.send(r)
			if w.Code != c.status || w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("answered %d %v", w.Code, w.Header())
			}
		})
	}
	f := newOkta(t)
	if w := f.send(post("/okta?access_token="+url.QueryEscape(authorization), ceJSON, leaver("1", jane))); w.Code != http.StatusUnauthorized {
		t.Errorf("in the query it gets %d", w.Code)
	}
}

func TestOktaChallenge(t *testing.T) {
	for name, c := range map[string]struct {
		method, path string
		said         []string
		status       int
		want         string // body, a part of it
	}{
		"Okta's":                       {"GET", "/okta", []string{"LbqGe2H_kzFx-7.~+/="}, 200, `{"verification":"LbqGe2H_kzFx-7.~+/="}` + "\n"},
		"the longest":                  {"GET", "/okta", []string{strings.Repeat("x", 512)}, 200, "xxx"},
		"too long":                     {"GET", "/okta", []string{strings.Repeat("x", 513)}, 400, "challenge"},
		"markup":                       {"GET", "/okta", []string{"<script>"}, 400, "challenge"},
		"a new line":                   {"GET", "/okta", []string{"a\nb"}, 400, "challenge"},
		"empty":                        {"GET", "/okta", []string{""}, 400, "challenge"},
		"two":                          {"GET", "/okta", []string{"a", "b"}, 400, "challenge"},
		"none":                         {"GET", "/okta", nil, 405, "posted"},
		"by another method":            {"PUT", "/okta", []string{"abc"}, 405, "posted"},
		"at another endpoint":          {"GET", "/events", []string{"abc"}, 405, "posted"},
		"where there is none":          {"GET", "/", []string{"abc"}, 404, "no endpoint"},
		"with a post it means nothing": {"POST", "/okta", []string{"abc"}, 401, "authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOkta(t)
			r := httptest.NewRequest(c.method, c.path, nil)
			for _, said := range c.said {
				r.Header.Add("x-okta-verification-challenge", said)
			}
			w := f.send(r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "<") {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			if allow := w.Header().Get("Allow"); c.status == 405 && c.path == "/okta" && allow != "GET, POST, OPTIONS" {
				t.Errorf("allows %q", allow)
			}
			if media := w.Header().Get("Content-Type"); c.status == 200 && media != "application/json" {
				t.Errorf("answered as %q", media)
			}
		})
	}
}

func TestOktaFileAtStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "okta")
	write(t, file, "hunter2")
	_, err := New(Config{Listen: ":0", Endpoints: []Endpoint{{Path: "/a", Auth: Auth{OktaFile: file}}}}, nil, (*consumer.Decoder)(nil), nil, nil, nil, zap.NewNop())
	if err == nil || !strings.HasPrefix(err.Error(), "webhook.endpoints[0].auth.okta_file: ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
