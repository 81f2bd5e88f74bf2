package webhook

import (
	"bytes"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// TestSignIsAdmitted has each kind of endpoint take what Sign makes, and nothing that
// was changed after.
func TestSignIsAdmitted(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "secrets")
		write(t, path, text)
		return path
	}
	cases := map[string]Auth{
		"none":   {None: true},
		"bearer": {BearerFile: file("# hris\n" + token + "\n" + token + "-old\n")},
		"okta":   {OktaFile: file(authorization + "\n")},
		"by parts, with other headers": {SecretFile: file(plainSecret), HMAC: HMAC{Algorithm: "sha512", Encoding: "base64", Header: "X-S", Prefix: "v1=",
			Content: "{method} {x-t}{x-i} {content-type} {x-other}{body}!", TimestampHeader: "X-T", IDHeader: "X-I"}},
	}
	for name, c := range signedCases() {
		cases[name] = Auth{HMAC: c.hmac, SecretFile: file(c.secret + "\n")}
	}
	for name, auth := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			e := Endpoint{Path: "/signed", Auth: auth, Origins: []string{"hris.example.com"}}
			f.add(t, e)
			send := func(id string, change func(body []byte) []byte) int {
				body := []byte(leaver(id, jane))
				r := httptest.NewRequest("POST", "/signed", nil)
				r.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
				if err := e.Sign(r, body, id, time.Now()); err != nil {
					t.Fatal(err)
				}
				r.Body = httptest.NewRequest("POST", "/", bytes.NewReader(change(body))).Body
				w := httptest.NewRecorder()
				f.Handler().ServeHTTP(w, r)
				return w.Code
			}
			same := func(body []byte) []byte { return body }
			for _, id := range []string{"1", "2"} {
				if got := send(id, same); got != 202 {
					t.Errorf("%s: %d, want 202", id, got)
				}
			}
			if auth.SecretFile == "" {
				return
			}
			if got := send("3", func(body []byte) []byte { return append(body, ' ') }); got != 401 {
				t.Errorf("of another body: %d, want 401", got)
			}
		})
	}
}

func TestSignNamesTheFile(t *testing.T) {
	for name, auth := range map[string]Auth{
		"bearer_file": {BearerFile: "/nowhere/secrets"},
		"okta_file":   {OktaFile: "/nowhere/secrets"},
		"secret_file": {SecretFile: "/nowhere/secrets", HMAC: preset("gusto")},
	} {
		err := Endpoint{Path: "/events", Auth: auth}.Sign(httptest.NewRequest("POST", "/events", nil), nil, "1", time.Now())
		if err == nil || !strings.HasPrefix(err.Error(), "auth."+name+": open /nowhere/secrets") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
