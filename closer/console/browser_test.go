package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signoff/closer/console"
	"signoff/closer/console/oidctest"
)

// issued is a room into which one comes by an issuer.
type issued struct {
	*room
	issuer *oidctest.Issuer
	cfg    *console.OIDC
}

func ana() oidctest.Person {
	return oidctest.Person{Subject: "1", Email: "ana@example.com", Name: "Ana Silva", Groups: []string{"all", "leads"}}
}

// issue opens a room whose config of OIDC is changed so.
func issue(t *testing.T, person oidctest.Person, s setup, change func(*console.OIDC)) issued {
	t.Helper()
	i := oidctest.New("a-client", "s3cret-of-ours", person)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.URL = server.URL
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret-of-ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.oidc = &console.OIDC{Issuer: i.URL, ClientID: "a-client", ClientSecretFile: file, RedirectURL: home + "/sign-in/callback",
		Operators: []string{"leads"}, Viewers: []string{"all"}}
	if change != nil {
		change(s.oidc)
	}
	return issued{open(t, withPages(s)), i, s.oidc}
}

// browser is one of somebody who comes to the room.
type browser struct {
	*http.Client
	jar http.CookieJar
}

func (r issued) browser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		if to == strings.TrimPrefix(home, "http://")+":80" {
			to = strings.TrimPrefix(r.url, "http://")
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return browser{&http.Client{Jar: jar, Transport: transport}, jar}
}

// visit goes to a page, and to wherever it is sent from there.
func (b browser) visit(t *testing.T, to string) (at *url.URL, s seen) {
	t.Helper()
	if strings.HasPrefix(to, "/") {
		to = home + to
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", to, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") == "text/x-mirror" {
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
	}
	return resp.Request.URL, s
}

// until visits, and stops before it goes on to a path that begins so.
func (b browser) until(t *testing.T, to, before string) (stopped string) {
	t.Helper()
	b.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.Path, before) {
			stopped = req.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	client := *b.Client
	(browser{&client, b.jar}).visit(t, to)
	return stopped
}

func (r issued) said() string { return fmt.Sprint(r.logs.All()) }
