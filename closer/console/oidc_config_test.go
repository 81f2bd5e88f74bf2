package console_test

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/closer/console"
	"signoff/closer/console/oidctest"
)

func TestOIDCConfigMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*console.OIDC)
		want   string
	}{
		"fine": {func(*console.OIDC) {}, ""},
		"on this machine": {func(o *console.OIDC) {
			o.Issuer, o.RedirectURL = "http://127.0.0.1:81", "http://localhost:9090/sign-in/callback"
		}, ""},
		"no issuer":               {func(o *console.OIDC) { o.Issuer = "" }, "admin.oidc.issuer: not set"},
		"an issuer in the clear":  {func(o *console.OIDC) { o.Issuer = "http://login.example.com" }, "admin.oidc.issuer: http is for this machine alone"},
		"no URL":                  {func(o *console.OIDC) { o.Issuer = "login.example.com" }, "admin.oidc.issuer: not a URL"},
		"a password":              {func(o *console.OIDC) { o.Issuer = "https://me:s3cret@login.example.com" }, "admin.oidc.issuer: a user"},
		"its description":         {func(o *console.OIDC) { o.Issuer = "https://login.example.com/?x=s3cret" }, "admin.oidc.issuer: a user, a query"},
		"no client":               {func(o *console.OIDC) { o.ClientID = "" }, "admin.oidc.client_id: not set"},
		"no such authority":       {func(o *console.OIDC) { o.CAFile = "/nowhere/ca.pem" }, "admin.oidc.ca_file: open /nowhere/ca.pem"},
		"no authority":            {func(o *console.OIDC) { o.CAFile = "oidc_config_test.go" }, "admin.oidc.ca_file: oidc_config_test.go: no certificate in it"},
		"no such file":            {func(o *console.OIDC) { o.ClientSecretFile = "/nowhere/secret" }, "admin.oidc.client_secret_file: open /nowhere/secret"},
		"no way back":             {func(o *console.OIDC) { o.RedirectURL = "" }, "admin.oidc.redirect_url: not set"},
		"a way to somewhere else": {func(o *console.OIDC) { o.RedirectURL = "https://signoff.example.com/" }, "admin.oidc.redirect_url: its path is not /sign-in/callback"},
		"a way in the clear":      {func(o *console.OIDC) { o.RedirectURL = "http://signoff.example.com/sign-in/callback" }, "admin.oidc.redirect_url: http is"},
		"no roles":                {func(o *console.OIDC) { o.Viewers, o.Operators = nil, nil }, "admin.oidc.operators: neither these nor viewers"},
		"an empty role":           {func(o *console.OIDC) { o.Viewers = []string{"a", ""} }, "admin.oidc.viewers: one is empty"},
		"scopes without openid":   {func(o *console.OIDC) { o.Scopes = []string{"email"} }, "admin.oidc.scopes: openid"},
		"a button of many words":  {func(o *console.OIDC) { o.Name = strings.Repeat("x", 61) }, "admin.oidc.name: longer than 60"},
	} {
		o := console.OIDC{Issuer: "https://login.example.com", ClientID: "x", RedirectURL: "https://signoff.example.com/sign-in/callback", Operators: []string{"x"}}
		c.change(&o)
		err := console.Config{Listen: ":0", Session: time.Hour, OIDC: &o}.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, session := range []time.Duration{0, -time.Hour, time.Second, 31 * 24 * time.Hour} {
		if err := (console.Config{Listen: ":0", Session: session}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "admin.session: "+session.String()) {
			t.Errorf("a session of %v: %v", session, err)
		}
	}
}

// An issuer of a company's own authority is trusted by its file alone.
func TestWhoVouchesForTheIssuer(t *testing.T) {
	answers := oidctest.New("x", "")
	server := httptest.NewUnstartedServer(answers)
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	server.StartTLS()
	defer server.Close()
	answers.URL = server.URL
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	o := console.OIDC{Issuer: server.URL, ClientID: "x", Operators: []string{"x"}}
	if err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "admin.oidc.ca_file must hold who vouches") {
		t.Errorf("whom nobody vouches for: %v", err)
	}
	o.CAFile = file
	if err := o.Check(t.Context()); err != nil {
		t.Errorf("whom the file vouches for: %v", err)
	}
	o.CAFile = "/nowhere/ca.pem"
	if err := o.Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "ca_file: open /nowhere/ca.pem") {
		t.Errorf("no file: %v", err)
	}
}
