package console_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
)

func TestWebConfigIsRefused(t *testing.T) {
	dir := t.TempDir()
	makeCertificates(t, dir)
	for file, text := range map[string]string{"empty.crt": "", "web.yml": ""} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const secret = "hunter2"
	mutual := "  client_auth_type: RequireAndVerifyClientCert\n"
	for name, c := range map[string]struct{ web, want string }{
		"no YAML":                         {"a: b: " + secret, "mapping values are not allowed"},
		"a list":                          {"- " + secret, "another kind of value belongs here"},
		"a word":                          {secret, "another kind of value belongs here"},
		"an unknown section":              {"tls_config: {}", "unknown key tls_config"},
		"an unknown key":                  {withTLS + "  cert_fil: x", "unknown key cert_fil"},
		"a key given twice":               {"basic_auth_users: {}\nbasic_auth_users: {}", "already defined"},
		"a user's list":                   {"basic_auth_users: [" + secret + "]", "another kind of value"},
		"users as a word":                 {"basic_auth_users: " + secret, "another kind of value"},
		"a password that is not a hash":   {"basic_auth_users: {ann: " + secret + "}", `basic_auth_users: "ann": not a password's hash by bcrypt`},
		"an address's password":           {"basic_auth_users: {ann@example.com: " + secret + "}", "basic_auth_users: a name that is an address: not a password's hash"},
		"an address as a key":             {"ann@example.com: " + secret, "unknown key that is an address"},
		"an address given twice":          {"basic_auth_users: {ann@example.com: a, ann@example.com: b}", "that is an address"},
		"a hash cut short":                {"basic_auth_users: {ann: " + hashed(secret)[:50] + "}", "not a password's hash"},
		"a hash of another kind":          {"basic_auth_users: {ann: '{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs='}", "not a password's hash"},
		"a hash that takes minutes":       {"basic_auth_users: {ann: " + strings.Replace(hashed(secret), "$04$", "$20$", 1) + "}", "a cost of 20 takes too long: 15 at most"},
		"no certificate":                  {"tls_server_config: {key_file: server.key}", "missing one of cert or cert_file"},
		"no key":                          {"tls_server_config: {cert_file: server.crt}", "missing one of key or key_file"},
		"a certificate there is not":      {"tls_server_config: {cert_file: none.crt, key_file: server.key}", "none.crt: no such file"},
		"a key of another":                {"tls_server_config: {cert_file: server.crt, key_file: ca.key}", "private key does not match"},
		"a key that is none":              {"tls_server_config: {cert_file: server.crt, key: " + secret + "}", "failed to find any PEM data in key"},
		"an unknown version":              {withTLS + "  min_version: TLS9", "unknown TLS version: TLS9"},
		"an unknown cipher":               {withTLS + "  cipher_suites: [ROT13]", "unknown cipher: ROT13"},
		"an unknown curve":                {withTLS + "  curve_preferences: [Bezier]", "unknown curve: Bezier"},
		"an unknown client_auth_type":     {withTLS + "  client_auth_type: Always", "invalid ClientAuth: Always"},
		"an authority without effect":     {withTLS + "  client_ca_file: ca.crt", "without a Client Auth Policy"},
		"an authority there is not":       {withTLS + mutual + "  client_ca_file: none.crt", "none.crt: no such file"},
		"an authority that is none":       {withTLS + mutual + "  client_ca_file: empty.crt", "client_ca_file: no certificate in it"},
		"anybody's authority":             {withTLS + mutual, "client_ca_file: not set"},
		"names without a certificate":     {withTLS + "  client_allowed_sans: [a]", "client_allowed_sans: no certificate is asked for"},
		"names that anybody may write":    {withTLS + "  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a]", "anybody may write any name"},
		"names without TLS":               {"tls_server_config: {client_allowed_sans: [a]}", "there is no TLS"},
		"a header that is not for this":   {"http_server_config: {headers: {Set-Cookie: x}}", `HTTP header "Set-Cookie" can not be configured`},
		"a header's value":                {"http_server_config: {headers: {X-Frame-Options: never}}", "invalid value for X-Frame-Options"},
		"a limit that nobody passes":      {"rate_limit: {interval: 1s}", "rate_limit.burst: not set"},
		"a negative limit":                {"rate_limit: {interval: -1s, burst: 1}", "rate_limit: negative"},
		"a limit in no time that we know": {"rate_limit: {interval: soon, burst: 1}", "another kind of value belongs here"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "web.yml")
			if err := os.WriteFile(file, []byte(c.web), 0o600); err != nil {
				t.Fatal(err)
			}
			err := console.Config{Session: time.Hour, Listen: "127.0.0.1:0", WebConfigFile: file}.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), "admin.web_config_file: "+file+": ") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "@") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q shows a secret, or has several lines", err)
			}
		})
	}
	err := console.Config{Session: time.Hour, Listen: "127.0.0.1:0", WebConfigFile: filepath.Join(dir, "nothing.yml")}.Validate()
	if err == nil || !strings.Contains(err.Error(), "nothing.yml: no such file") {
		t.Errorf("a file there is not: %v", err)
	}
	err = console.Config{Session: time.Hour, Listen: "127.0.0.1:0", OpenMetrics: new(false)}.Validate()
	if err == nil || !strings.Contains(err.Error(), "admin.open_metrics: false: nobody can be told from strangers") {
		t.Errorf("metrics for nobody: %v", err)
	}
}

// The toolkit's own example, with each key there is.
func TestEveryKeyOfTheFormat(t *testing.T) {
	dir := t.TempDir()
	makeCertificates(t, dir)
	text := withTLS + `  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example.com]
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: 1; mode=block
    Content-Security-Policy: default-src 'none'
rate_limit: {interval: 1ms, burst: 100}
` + ann
	r := open(t, setup{web: text})
	for _, with := range []func(*tls.Config){
		func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256} },
		func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} },
	} {
		c := r.client(t, "prometheus")
		with(c.Transport.(*http.Transport).TLSClientConfig)
		if status := statusOf(c, r.url+"/livez"); status != 0 {
			t.Errorf("what the file does not allow is answered with %d", status)
		}
	}
	r.http = r.client(t, "prometheus")
	for path, header := range map[string]http.Header{"/livez": {}, "/metrics": basic("ann", annsPassword), "/api/v1/holds": {}} {
		a := r.askAs(t, "GET", path, header, "")
		for name, want := range map[string]string{"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "deny", "X-Content-Type-Options": "nosniff",
			"X-XSS-Protection": "1; mode=block", "Content-Security-Policy": "default-src 'none'"} {
			if a.header.Get(name) != want {
				t.Errorf("%s: %s: %q, want %q", path, name, a.header.Get(name), want)
			}
		}
	}
}
