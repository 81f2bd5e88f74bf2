package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

const (
	annsPassword = "ann's passw0rd"
	annsHash     = "$2a$04$YObY03VidGZgEG6L6bvevu/B/siusHRXOf6AJknfU4JGljXQtH2le"
)

// certificates writes those of a server on loopback and of a client, ca.crt for
// both, and that of a client of nobody whom the server knows.
func (s *site) certificates(t *testing.T) {
	t.Helper()
	serial := int64(0)
	create := func(name string, template, issuer *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		serial++
		template.SerialNumber, template.Subject = big.NewInt(serial), pkix.Name{CommonName: name}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if issuer == nil {
			issuer, by = template, key
			template.IsCA, template.BasicConstraintsValid = true, true
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		s.write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
		return template, key
	}
	ca, key := create("ca", &x509.Certificate{}, nil, nil)
	create("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, ca, key)
	create("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, key)
	create("stranger", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, nil, nil)
}

const (
	serverTLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
	mutualTLS = serverTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
)

// askTLS answers with status 0 if nobody does.
func (s *site) askTLS(t *testing.T, url, cert, user, password string) (status int, body string) {
	t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(s.dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	by := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(s.dir, cert+".crt"), filepath.Join(s.dir, cert+".key"))
		if err != nil {
			t.Fatal(err)
		}
		by.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	transport := &http.Transport{TLSClientConfig: by}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

func TestAdminListenerByAWebConfig(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(1), noBroker: true})
	s.certificates(t)
	web := s.write(t, "web.yml", mutualTLS+"basic_auth_users:\n  ann: "+annsHash+"\n")
	r := s.start(t, s.config(t, map[string]string{"admin.web_config_file": web, "guard.first_run": "hold"}))
	r.post(t, 0)
	r.await(t, ledger.Held, 1)
	for name, c := range map[string]struct {
		path, cert, user, password string
		status                     int
		want                       string
	}{
		"a probe":                               {"/livez", "", "", "", 200, "ok"},
		"a probe of readiness":                  {"/readyz", "", "", "", 200, "ok"},
		"a probe with a wrong certificate":      {"/livez", "stranger", "", "", 0, ""},
		"a scraper":                             {"/metrics", "client", "ann", annsPassword, 200, "signoff_build_info"},
		"a scraper without a password":          {"/metrics", "client", "", "", 401, "is needed"},
		"a scraper without a certificate":       {"/metrics", "", "ann", annsPassword, 403, "a client certificate is needed"},
		"a user who looks":                      {"/api/v1/holds", "client", "ann", annsPassword, 200, email(0)},
		"a user with a wrong password":          {"/api/v1/holds", "client", "ann", "guessed", 401, "is needed"},
		"a user without a certificate":          {"/api/v1/holds", "", "ann", annsPassword, 403, "a client certificate is needed"},
		"a certificate that nobody vouches for": {"/api/v1/holds", "stranger", "ann", annsPassword, 0, ""},
	} {
		if status, body := s.askTLS(t, r.admin()+c.path, c.cert, c.user, c.password); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %.300s, want %d with %q", name, status, body, c.status, c.want)
		}
	}
	s.curl(t, r)
	s.commandsOverTLS(t, r)
	noLeak(t, "the log", r.logs.String())
	if strings.Contains(r.logs.String(), annsPassword) {
		t.Error("the log has a password")
	}
}

// curl is what a person has at hand.
func (s *site) curl(t *testing.T, r *running) {
	t.Helper()
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Log("curl is not installed")
		return
	}
	file := func(name string) string { return filepath.Join(s.dir, name) }
	said, err := exec.CommandContext(t.Context(), program, "--silent", "--show-error", "--fail", "--cacert", file("ca.crt"), "--cert", file("client.crt"), "--key", file("client.key"),
		"--user", "ann:"+annsPassword, r.admin()+"/api/v1/holds").CombinedOutput()
	if err != nil || !strings.Contains(string(said), email(0)) {
		t.Errorf("curl: %v: %s", err, said)
	}
}

func (s *site) commandsOverTLS(t *testing.T, r *running) {
	t.Helper()
	file := func(name string) string { return filepath.Join(s.dir, name) }
	ca, token, cert := []string{"--ca-file", file("ca.crt")}, []string{"--token-file", file("alice")}, []string{"--cert-file", file("client.crt"), "--key-file", file("client.key")}
	for name, c := range map[string]struct {
		flags     [][]string
		status    int
		out, want string
	}{
		"all that is needed":       {[][]string{ca, token, cert}, 0, email(0), ""},
		"no authority":             {[][]string{token, cert}, 1, "", "name who vouches for its certificate by --ca-file FILE (or SIGNOFF_CA_FILE)"},
		"no certificate":           {[][]string{ca, token}, 1, "", "--cert-file and --key-file: none is given: a client certificate is needed"},
		"a stranger's":             {[][]string{ca, token, {"--cert-file", file("stranger.crt"), "--key-file", file("stranger.key")}}, 1, "", "a client certificate is needed"},
		"no token":                 {[][]string{ca, cert}, 1, "", "--token-file: none is given: a token from admin.tokens_file, or a user"},
		"no key":                   {[][]string{ca, token, {"--cert-file", file("client.crt")}}, 2, "", "--cert-file and --key-file (or SIGNOFF_CERT_FILE and SIGNOFF_KEY_FILE): one is of no use without the other"},
		"a key of another":         {[][]string{ca, token, {"--cert-file", file("client.crt"), "--key-file", file("ca.key")}}, 2, "", "private key does not match"},
		"no authority in it":       {[][]string{{"--ca-file", file("tokens")}, token, cert}, 2, "", "--ca-file: " + file("tokens") + ": no certificate in PEM"},
		"an authority's file away": {[][]string{{"--ca-file", "/nowhere/ca.crt"}, token, cert}, 2, "", "--ca-file: open /nowhere/ca.crt"},
	} {
		words := []string{"holds", "list", "--url", r.admin()}
		for _, flags := range c.flags {
			words = append(words, flags...)
		}
		words = append(words, "--output", "json")
		if c.status == 0 {
			words = append([]string{"holds", "show", "1"}, words[2:]...)
		}
		status, out, errOut := signoff(words...)
		if status != c.status || !strings.Contains(out, c.out) || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: %d %s%s, want %d with %q", name, status, out, errOut, c.status, c.want)
		}
	}
}

func TestCommandsTakeTLSFromTheEnvironment(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true})
	s.certificates(t)
	r := s.start(t, s.config(t, map[string]string{"admin.web_config_file": s.write(t, "web.yml", mutualTLS)}))
	for name, value := range map[string]string{"SIGNOFF_URL": r.admin(), "SIGNOFF_TOKEN_FILE": "bob", "SIGNOFF_CA_FILE": "ca.crt",
		"SIGNOFF_CERT_FILE": "client.crt", "SIGNOFF_KEY_FILE": "client.key"} {
		if name != "SIGNOFF_URL" {
			value = filepath.Join(s.dir, value)
		}
		t.Setenv(name, value)
	}
	if status, out, errOut := signoff("holds", "list"); status != 0 {
		t.Errorf("%d %s%s", status, out, errOut)
	}
}

func TestABadWebConfigIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	s.certificates(t)
	web := s.write(t, "web.yml", serverTLS+"basic_auth_users: {ann: "+annsHash+"}\n")
	change := map[string]string{"admin.web_config_file": web}
	file := s.config(t, change)
	if status, out, errOut := signoff("check", "--config", file); status != 0 {
		t.Fatalf("check of a good one: %d %s%s", status, out, errOut)
	}
	r := s.start(t, file)
	s.write(t, "web.yml", serverTLS+"basic_auth_users: {ann: hunter2}\n")
	if status, _, errOut := signoff("check", "--config", file); status != 2 || !strings.Contains(errOut, `admin.web_config_file: `+web+`: basic_auth_users: "ann": not a password's hash`) || strings.Contains(errOut, "hunter2") {
		t.Errorf("check of a bad one: %d %s", status, errOut)
	}
	change["batch.interval"] = "300ms"
	s.config(t, change)
	eventually(t, "the config is refused", func() bool { return strings.Contains(r.logs.String(), "the config is refused") })
	eventually(t, "the web config is refused", func() bool { return strings.Contains(r.logs.String(), "admin.web_config_file is refused") })
	if status, body := s.askTLS(t, r.admin()+"/metrics", "", "ann", annsPassword); status != 200 {
		t.Errorf("with what was in force before: %d %s", status, body)
	}
	s.write(t, "web.yml", serverTLS+"basic_auth_users: {ben: "+annsHash+"}\n")
	eventually(t, "the web config is read anew", func() bool {
		return strings.Contains(r.logs.String(), "admin.web_config_file was read anew and is in force")
	})
	if status, body := s.askTLS(t, r.admin()+"/metrics", "", "ben", annsPassword); status != 200 {
		t.Errorf("the one who is there now: %d %s", status, body)
	}
	if status, _ := s.askTLS(t, r.admin()+"/metrics", "", "ann", annsPassword); status != 401 {
		t.Errorf("the one before: %d", status)
	}
}
