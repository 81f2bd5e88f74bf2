package console_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

const (
	annsPassword = "ann's passw0rd"
	withTLS      = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
)

// ann is a web config with one user.
var ann = "basic_auth_users:\n  ann: " + hashed(annsPassword) + "\n"

func hashed(password string) string {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
}

func basic(name, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}}
}

func (r *room) setWeb(t testing.TB, text string) (file string) {
	t.Helper()
	file = filepath.Join(r.dir, "web.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUsersOnlyLook(t *testing.T) {
	const list = "/api/v1/holds"
	const needsBoth, needsUser = "a token from admin.tokens_file, or a user of admin.web_config_file", "a user of admin.web_config_file with the password is needed"
	for name, c := range map[string]struct {
		setup        setup
		method, path string
		header       http.Header
		status       int
		want         string
	}{
		"the right password":               {setup{}, "GET", list, basic("ann", annsPassword), 200, `"email":"zoe@example.com"`},
		"without tokens":                   {setup{noTokens: true}, "GET", list, basic("ann", annsPassword), 200, `"email":"zoe@example.com"`},
		"on every address":                 {setup{noTokens: true, anywhere: true}, "GET", list, basic("ann", annsPassword), 200, `"email":"zoe@example.com"`},
		"a wrong one":                      {setup{}, "GET", list, basic("ann", "guessed"), 401, needsBoth},
		"no such user":                     {setup{}, "GET", list, basic("eve", annsPassword), 401, needsBoth},
		"nobody":                           {setup{noTokens: true}, "GET", list, http.Header{}, 401, needsUser},
		"nobody, on every address":         {setup{noTokens: true, anywhere: true}, "GET", list, http.Header{}, 401, needsUser},
		"no password":                      {setup{}, "GET", list, basic("ann", ""), 401, needsBoth},
		"neither name nor password":        {setup{}, "GET", list, basic("", ""), 401, needsBoth},
		"what is no name and password":     {setup{}, "GET", list, http.Header{"Authorization": {"Basic !"}}, 401, needsBoth},
		"a token as the password":          {setup{}, "GET", list, basic("alice", operator), 401, needsBoth},
		"a password as a token":            {setup{}, "GET", list, http.Header{"Authorization": {"Bearer " + annsPassword}}, 401, needsBoth},
		"a token beside users":             {setup{}, "GET", list, http.Header{"Authorization": {"Bearer " + viewer}}, 200, `"email":"zoe@example.com"`},
		"a decision":                       {setup{}, "POST", "/api/v1/holds/1/approve", basic("ann", annsPassword), 403, "users of admin.web_config_file only look"},
		"a decision without tokens":        {setup{noTokens: true}, "POST", "/api/v1/holds/1/approve", basic("ann", annsPassword), 403, "needs the token of an operator"},
		"a decision by a token":            {setup{}, "POST", "/api/v1/holds/1/approve", http.Header{"Authorization": {"Bearer " + operator}}, 415, "must be JSON"},
		"liveness":                         {setup{}, "GET", "/livez", http.Header{}, 200, "ok"},
		"readiness":                        {setup{}, "GET", "/readyz", basic("ann", "guessed"), 200, "ok"},
		"a password is not asked for here": {setup{}, "GET", "/api/v1/openapi.yaml", http.Header{}, 200, "openapi"},
	} {
		t.Run(name, func(t *testing.T) {
			c.setup.web = ann
			r := open(t, c.setup)
			r.hold(t, ledger.Limit, "zoe")
			a := r.askAs(t, c.method, c.path, c.header, strings.Repeat("{}", len(c.method)-3))
			if a.status != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, c.status, c.want)
			}
			var ways []string
			if c.status == 401 && !c.setup.noTokens {
				ways = append(ways, "Bearer")
			}
			if c.status == 401 {
				ways = append(ways, `Basic realm="signoff", charset="UTF-8"`)
			}
			if got := a.header.Values("WWW-Authenticate"); fmt.Sprint(got) != fmt.Sprint(ways) {
				t.Errorf("asks for %v, want %v", got, ways)
			}
			if said := fmt.Sprint(r.logs.All()); strings.Contains(said, annsPassword) || strings.Contains(said, "guessed") {
				t.Errorf("the log has a password: %s", said)
			}
		})
	}
}

func TestWhoReadsMetrics(t *testing.T) {
	mutual := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
	for name, c := range map[string]struct {
		web      string
		open     *bool
		noTokens bool
		nobody   int // the status for who brings nothing
		user     int
		token    int
	}{
		"tokens alone":                            {"", nil, false, 200, 200, 200},
		"tokens alone, closed":                    {"", new(false), false, 401, 401, 200},
		"users":                                   {ann, nil, true, 401, 200, 401},
		"users and tokens":                        {ann, nil, false, 401, 200, 200},
		"users, left open":                        {ann, new(true), true, 200, 200, 200},
		"users, closed":                           {ann, new(false), true, 401, 200, 401},
		"TLS alone":                               {withTLS, nil, true, 200, 200, 200},
		"certificates, and there is none":         {mutual, nil, true, 403, 403, 403},
		"certificates, left open":                 {mutual, new(true), true, 200, 200, 200},
		"certificates and users, and there is no": {mutual + ann, nil, false, 403, 403, 403},
		"both, left open":                         {mutual + ann, new(true), false, 200, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{web: c.web, openMetrics: c.open, noTokens: c.noTokens})
			for who, q := range map[string]struct {
				header http.Header
				status int
			}{"nobody": {http.Header{}, c.nobody}, "user": {basic("ann", annsPassword), c.user}, "token": {http.Header{"Authorization": {"Bearer " + viewer}}, c.token}} {
				if a := r.askAs(t, "GET", "/metrics", q.header, ""); a.status != q.status || (a.status == 200) != strings.Contains(a.body, "some_metric") {
					t.Errorf("%s: %d %s, want %d", who, a.status, a.body, q.status)
				}
				if a := r.askAs(t, "GET", "/readyz", q.header, ""); a.status != 200 {
					t.Errorf("%s: readiness answers %d", who, a.status)
				}
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	const cut = 0 // the handshake fails
	by := func(kind string, more ...string) string {
		return withTLS + "  client_auth_type: " + kind + "\n  " + strings.Join(more, "\n  ") + "\n"
	}
	const ca, names = "client_ca_file: ca.crt", "client_allowed_sans: [prometheus.example.com]"
	for name, c := range map[string]struct {
		web                                     string
		none, prometheus, grafana, strangersOwn int // status of /metrics
	}{
		"none is asked for":                   {withTLS, 200, 200, 200, 200},
		"none is asked for, in words":         {by("NoClientCert"), 200, 200, 200, 200},
		"one is asked for":                    {by("RequestClientCert"), 200, 200, 200, 200},
		"any is needed":                       {by("RequireAnyClientCert"), 403, 200, 200, 200},
		"any is needed, by the old name":      {by("RequireClientCert"), 403, 200, 200, 200},
		"none, or one that is vouched for":    {by("VerifyClientCertIfGiven", ca), 200, 200, 200, cut},
		"one that is vouched for":             {by("RequireAndVerifyClientCert", ca), 403, 200, 200, cut},
		"with a name that is allowed":         {by("RequireAndVerifyClientCert", ca, names), 403, 200, cut, cut},
		"a name is allowed, and one is asked": {by("VerifyClientCertIfGiven", ca, names), 403, 200, cut, cut},
		"a list of no name":                   {by("RequireAndVerifyClientCert", ca, "client_allowed_sans: []"), 403, cut, cut, cut},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{web: c.web, noTokens: true})
			for cert, status := range map[string]int{"": c.none, "prometheus": c.prometheus, "grafana": c.grafana, "stranger": c.strangersOwn} {
				client := r.client(t, cert)
				got, probed := statusOf(client, r.url+"/metrics"), statusOf(client, r.url+"/livez")
				if got != status {
					t.Errorf("with the certificate of %q: %d, want %d", cert, got, status)
				}
				if want := min(status, 1) * 200; probed != want {
					t.Errorf("a probe with the certificate of %q: %d, want %d", cert, probed, want)
				}
			}
			if said := fmt.Sprint(r.logs.All()); strings.Contains(said, "prometheus.example.com") {
				t.Errorf("the log has the names that are allowed: %s", said)
			}
		})
	}
}

// statusOf is 0 where there is no answer.
func statusOf(client *http.Client, url string) int {
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A certificate lets people in and names nobody.
func TestWhoHasACertificateLooksWithoutNames(t *testing.T) {
	vouched := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
	for name, c := range map[string]struct {
		web    string
		status int
	}{
		"one that is vouched for": {vouched, 200},
		"TLS alone":               {withTLS, 404},
		"any certificate":         {withTLS + "  client_auth_type: RequireAnyClientCert\n", 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{web: c.web, noTokens: true, anywhere: true})
			r.hold(t, ledger.Limit, "zoe")
			r.http = r.client(t, "prometheus")
			if a := r.ask(t, "GET", "/api/v1/holds", "", ""); a.status != c.status || strings.Contains(a.body, "@") {
				t.Errorf("%d %s, want %d without an address", a.status, a.body, c.status)
			}
		})
	}
}

func TestHTTP2(t *testing.T) {
	for name, c := range map[string]struct {
		web  string
		want int
	}{"by default": {withTLS, 2}, "not": {withTLS + "http_server_config: {http2: false}", 1}} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{web: c.web})
			resp, err := r.http.Get(r.url + "/livez")
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.ProtoMajor != c.want {
				t.Errorf("%s", resp.Proto)
			}
		})
	}
}

// What changes is in force within seconds, for a connection that is open as well.
func TestWebConfigIsReadAnew(t *testing.T) {
	r := open(t, setup{web: withTLS + ann, noTokens: true})
	status := func(password string) int {
		return r.askAs(t, "GET", "/api/v1/holds", basic("ann", password), "").status
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	if status(annsPassword) != 200 {
		t.Fatal("the first password does not do")
	}
	before := served(t, r)
	newAuthority(t, r.dir, "ca").sign(t, r.dir, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	r.setWeb(t, withTLS+strings.Replace(ann, ann[len(ann)-61:], hashed("another")+"\n", 1))
	until("another certificate", func() bool { return served(t, r) != before })
	until("the old connection is closed", func() bool {
		_, err := r.http.Get(r.url + "/livez") // the client does not know the new authority
		return err != nil
	})
	r.http = r.client(t, "")
	if status(annsPassword) != 401 || status("another") != 200 {
		t.Error("the passwords that do are not those of the file")
	}
	r.setWeb(t, withTLS+"basic_auth_users: {ann: hunter2}")
	until("the file is refused", func() bool { return r.logs.FilterMessageSnippet("admin.web_config_file is refused").Len() == 1 })
	if status("another") != 200 {
		t.Error("what was in force before is not any more")
	}
	r.setWeb(t, ann)
	until("TLS does not end", func() bool {
		return r.logs.FilterMessageSnippet("admin.web_config_file is refused").Len() == 2 && strings.Contains(fmt.Sprint(r.logs.All()), "that TLS begins or ends takes a restart")
	})
	if a := r.ask(t, "GET", "/readyz?verbose", "", ""); !strings.Contains(a.body, "admin: the web config file is refused") || strings.Contains(a.body, "hunter2") {
		t.Errorf("readiness says %s", a.body)
	}
}

// served is the serial number of the certificate of a new connection.
func served(t *testing.T, r *room) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestClientsOverTLS(t *testing.T) {
	mutual := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
	for name, c := range map[string]struct {
		web, cert, host string
		trusts          bool
		want            string // "": it works
	}{
		"all is well":          {withTLS, "", "127.0.0.1", true, ""},
		"a certificate too":    {mutual, "prometheus", "127.0.0.1", true, ""},
		"an unknown authority": {withTLS, "", "127.0.0.1", false, "name who vouches for its certificate by --ca-file FILE (or SIGNOFF_CA_FILE)"},
		"another name":         {withTLS, "", "localhost", true, "call it by a name that is in its certificate: signoff.example.com, 127.0.0.1"},
		"no certificate":       {mutual, "", "127.0.0.1", true, "--cert-file and --key-file: none is given: a client certificate is needed"},
		"somebody else's":      {mutual, "stranger", "127.0.0.1", true, "does the daemon trust who signed --cert-file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{web: c.web})
			by := clientTLS(t, r.dir, "")
			if c.cert != "" {
				pair, err := tls.LoadX509KeyPair(filepath.Join(r.dir, c.cert+".crt"), filepath.Join(r.dir, c.cert+".key"))
				if err != nil {
					t.Fatal(err)
				}
				by.Certificates = []tls.Certificate{pair}
				by.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			if !c.trusts {
				by.RootCAs = x509.NewCertPool()
			}
			client, err := console.NewTLSClient(strings.Replace(r.url, "127.0.0.1", c.host, 1), viewer, by)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Holds(t.Context())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
