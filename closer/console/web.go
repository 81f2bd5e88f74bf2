package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"
)

// lookAtWeb is how often it is looked whether the web config file, or a file that it
// names, has changed. What is found twice in a row is taken: a file is not always
// written at once.
const lookAtWeb = 2 * time.Second

// webFile is a version of admin.web_config_file, in the format of the Prometheus
// exporters, ready for use. The zero value is that of no file: no TLS, no users.
//
// Format and TLS are the exporter toolkit's. Its server is not: it would ask the probes
// for a password and a certificate, and keep Authorization from our tokens.
type webFile struct {
	config    web.Config
	tls       *tls.Config   // nil: what comes in is not encrypted
	needsCert bool          // a client certificate, which the handshake leaves to us: a probe has none
	vouched   bool          // and a certificate authority has to have signed it
	limit     *rate.Limiter // of requests; nil: none
	since     time.Time     // that it is in force
}

// readWeb reads the file and all that it names. An error names the key, and quotes no
// secret.
func readWeb(path string) (*webFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &webFile{since: time.Now()}
	if err := f.decode(path, text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *webFile) decode(path string, text []byte) error {
	var err error
	if f.config, err = decodeWeb(path, text); err != nil {
		return err
	}
	for name, hash := range f.config.Users {
		if err := checkHash(string(hash)); err != nil {
			return fmt.Errorf("basic_auth_users: %s: %w", address.ReplaceAllString(strconv.Quote(name), "a name that is an address"), err)
		}
	}
	// What the toolkit alone knows, such as the values of headers.
	if err := web.Validate(path); err != nil {
		return errors.New(yamlFault(err))
	}
	if err := f.makeTLS(); err != nil {
		return fmt.Errorf("tls_server_config: %w", err)
	}
	switch limit := f.config.RateLimiterConfig; {
	case limit.Interval < 0 || limit.Burst < 0:
		return errors.New("rate_limit: negative")
	case limit.Interval > 0 && limit.Burst == 0:
		return errors.New("rate_limit.burst: not set: nobody would ever be answered")
	case limit.Interval > 0:
		f.limit = rate.NewLimiter(rate.Every(limit.Interval), limit.Burst)
	}
	return nil
}

// decodeWeb is what the toolkit does before it serves, and does not export. Paths are
// relative to the file.
func decodeWeb(path string, text []byte) (web.Config, error) {
	c := web.Config{
		TLSConfig:  web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		HTTPConfig: web.HTTPConfig{HTTP2: true},
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) { // an empty file is one without any key
		return c, errors.New(yamlFault(err))
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	return c, nil
}

var (
	mistyped   = regexp.MustCompile("cannot unmarshal (!!\\w+)(?: `[^`]*`)? into \\S+")
	address    = regexp.MustCompile(`"?\S*@\S*`)
	unknownKey = regexp.MustCompile(`field (\S+) not found in type \S+`)
)

// yamlFault is what the YAML package says without Go's types, and without the value
// that it quotes: it may be a key or a password. Nor are addresses quoted.
func yamlFault(err error) string {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	if all, ok := errors.AsType[*yaml.TypeError](err); ok {
		said = strings.Join(all.Errors, "; ")
	}
	said = unknownKey.ReplaceAllString(mistyped.ReplaceAllString(said, "another kind of value belongs here than $1"), "unknown key $1")
	return address.ReplaceAllString(said, "that is an address")
}

// checkHash refuses what no password can be compared with, and what would take
// seconds: each doubling of the cost doubles the time of a check.
func checkHash(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil || len(hash) != bcryptLength:
		return errors.New("not a password's hash by bcrypt: make one by `htpasswd -nBC 10 NAME`")
	case cost > mostCost:
		return fmt.Errorf("a cost of %d takes too long: %d at most, 10 is usual", cost, mostCost)
	}
	return nil
}

const bcryptLength = 60 // characters of a hash

// makeTLS is the toolkit's TLS with three changes. Certificates are read once, so that
// a broken file does not take the place of one that works. Whether a client has one is
// left to entered, so that probes need none. And sessions are not taken up again:
// whoever is no longer vouched for could go on where they were.
func (f *webFile) makeTLS() error {
	from := &f.config.TLSConfig
	if !from.IsEnabled() {
		if from.ClientAllowedSans != nil {
			return errors.New("client_allowed_sans without cert_file: there is no TLS to check it by")
		}
		return nil
	}
	c, err := web.ConfigToTLSConfig(from)
	if err != nil {
		return err
	}
	pair, err := c.GetCertificate(nil)
	if err != nil {
		return err
	}
	c.Certificates, c.GetCertificate = []tls.Certificate{*pair}, nil
	c.NextProtos = []string{"http/1.1"}
	if f.config.HTTPConfig.HTTP2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	if err := checkClientAuth(from, c); err != nil {
		return err
	}
	f.needsCert = c.ClientAuth == tls.RequireAnyClientCert || c.ClientAuth == tls.RequireAndVerifyClientCert || from.ClientAllowedSans != nil
	switch c.ClientAuth {
	case tls.RequireAnyClientCert:
		c.ClientAuth = tls.RequestClientCert
	case tls.RequireAndVerifyClientCert:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	f.vouched = f.needsCert && c.ClientAuth == tls.VerifyClientCertIfGiven
	c.SessionTicketsDisabled = c.ClientAuth != tls.NoClientCert
	if checkNames := c.VerifyPeerCertificate; checkNames != nil {
		c.VerifyPeerCertificate = nil // which fails without a certificate
		c.VerifyConnection = func(with tls.ConnectionState) error {
			if len(with.PeerCertificates) == 0 || checkNames([][]byte{with.PeerCertificates[0].Raw}, with.VerifiedChains) == nil {
				return nil
			}
			return errors.New("no name of the certificate is in client_allowed_sans") // the toolkit's own words have all of these
		}
	}
	f.tls = c
	return nil
}

// checkClientAuth refuses what looks as if it kept strangers out, and would not.
func checkClientAuth(from *web.TLSConfig, c *tls.Config) error {
	verifies := c.ClientAuth == tls.VerifyClientCertIfGiven || c.ClientAuth == tls.RequireAndVerifyClientCert
	switch {
	case c.ClientCAs != nil && c.ClientCAs.Equal(x509.NewCertPool()):
		return errors.New("client_ca_file: no certificate in it")
	case verifies && c.ClientCAs == nil && from.ClientAllowedSans == nil:
		return fmt.Errorf("client_ca_file: not set: with client_auth_type %s, whoever has a certificate of any public authority would do", from.ClientAuth)
	case from.ClientAllowedSans != nil && c.ClientAuth == tls.NoClientCert:
		return errors.New("client_allowed_sans: no certificate is asked for: set client_auth_type: RequireAndVerifyClientCert")
	case from.ClientAllowedSans != nil && !verifies:
		return fmt.Errorf("client_allowed_sans: with client_auth_type %s anybody may write any name into a certificate: set RequireAndVerifyClientCert", from.ClientAuth)
	}
	return nil
}

// expired is when the certificate ended, if it has; else zero.
func (f *webFile) expired(now time.Time) time.Time {
	if f.tls == nil {
		return time.Time{}
	}
	if leaf := f.tls.Certificates[0].Leaf; leaf != nil && now.After(leaf.NotAfter) {
		return leaf.NotAfter
	}
	return time.Time{}
}

// keptWeb is the web config file as it is by now.
type keptWeb struct {
	path string               // "": there is none
	fits func(*webFile) error // whether the rest of the config goes with it
	log  *zap.Logger

	found, tried [sha256.Size]byte // all that was read, as last found, and as last tried; of follow alone

	mu      sync.Mutex
	inForce *webFile
	refused error // what is wrong with the file; nil: it is in force
}

func keepWeb(cfg Config, log *zap.Logger) (*keptWeb, error) {
	k := &keptWeb{path: cfg.WebConfigFile, fits: cfg.goesWith, log: log, inForce: &webFile{}}
	if k.path == "" {
		return k, nil
	}
	k.found = k.content() // before it is read: what is written meanwhile is another content
	k.tried = k.found
	var err error
	if k.inForce, err = readWeb(k.path); err != nil {
		return nil, fmt.Errorf("admin.web_config_file: %w", err)
	}
	k.warnExpired()
	return k, nil
}

// now is the version in force.
func (k *keptWeb) now() *webFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.inForce
}

// fault is what is wrong with the file as it is; nil if it is in force.
func (k *keptWeb) fault() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused
}

// follow looks until ctx ends.
func (k *keptWeb) follow(ctx context.Context) {
	if k.path == "" {
		return
	}
	tick := time.NewTicker(lookAtWeb)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look()
		}
	}
}

// look takes the file over if it has changed, and was the same when it was last looked
// at.
func (k *keptWeb) look() {
	before := k.found
	if k.found = k.content(); k.found != before || k.found == k.tried {
		return
	}
	k.tried = k.found
	next, err := k.read()
	k.mu.Lock()
	if k.refused = err; err == nil {
		next.since = time.Now()
		k.inForce = next
	}
	k.mu.Unlock()
	if err != nil {
		k.log.Error("admin.web_config_file is refused: what was in force before stays in force", zap.Error(err))
		return
	}
	k.log.Info("admin.web_config_file was read anew and is in force", zap.String("file", k.path), zap.Int("users", len(next.config.Users)), zap.Bool("tls", next.tls != nil))
	k.warnExpired()
}

func (k *keptWeb) read() (*webFile, error) {
	next, err := readWeb(k.path)
	if err != nil {
		return nil, err
	}
	if before := k.now(); (next.tls == nil) != (before.tls == nil) {
		return nil, fmt.Errorf("%s: tls_server_config: that TLS begins or ends takes a restart: probes, Prometheus and commands must know of it", k.path)
	}
	return next, k.fits(next)
}

func (k *keptWeb) warnExpired() {
	if until := k.now().expired(time.Now()); !until.IsZero() {
		k.log.Error("the certificate of the admin listener has expired: Prometheus and commands will refuse it", zap.Time("expired", until))
	}
}

// content is a digest of the file and of those that it names.
func (k *keptWeb) content() (sum [sha256.Size]byte) {
	hash := sha256.New()
	add := func(file string) []byte {
		text, err := os.ReadFile(file)
		fmt.Fprintf(hash, "%s %t %d\n", file, err == nil, len(text))
		_, _ = hash.Write(text)
		return text
	}
	if c, err := decodeWeb(k.path, add(k.path)); err == nil {
		for _, file := range []string{c.TLSConfig.TLSCertPath, c.TLSConfig.TLSKeyPath, c.TLSConfig.ClientCAs} {
			add(file)
		}
	}
	copy(sum[:], hash.Sum(nil))
	return sum
}

// entered lets in whom the web config lets in, and sets its headers. Probes come in
// always.
func (s *Server) entered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := s.web.now()
		for name, value := range in.config.HTTPConfig.Header {
			w.Header().Set(name, value)
		}
		if at, ok := r.Context().Value(connectedAt{}).(time.Time); ok && at.Before(in.since) {
			w.Header().Set("Connection", "close") // it was opened by another version, maybe by whom this one would refuse
		}
		switch path := r.URL.Path; {
		case path == "/livez" || path == "/readyz":
		case in.limit != nil && !in.limit.Allow():
			w.Header().Set("Retry-After", "1")
			s.refuse(w, r, http.StatusTooManyRequests, "more requests than rate_limit of admin.web_config_file allows")
			return
		case path == "/metrics" && s.cfg.OpenMetrics != nil && *s.cfg.OpenMetrics:
		case in.needsCert && !hasCert(r):
			s.refuse(w, r, http.StatusForbidden, needsCertificate)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const needsCertificate = "a client certificate is needed, see tls_server_config of admin.web_config_file"

func hasCert(r *http.Request) bool { return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 }

// connectedAt is the key of a request's context for when its connection was opened.
type connectedAt struct{}
