package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"signoff/consumer"
)

const password = "correct horse, battery=staple"

// authority vouches for brokers and for us.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert, a.key = a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.file)
	return a
}

// sign makes a certificate and its key, and writes them as PEM to the files, as
// far as there are any.
func (a *authority) sign(t *testing.T, template *x509.Certificate, files ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	issuer, issuerKey := a.cert, a.key
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}}[:len(files)] {
		write(t, files[i], string(pem.EncodeToMemory(b)))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// broker is the TLS of a broker on loopback; it asks for our certificate if we
// are to have one.
func (a *authority) broker(t *testing.T, client tls.ClientAuthType) *tls.Config {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	ours := x509.NewCertPool()
	ours.AddCert(a.cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: client, ClientCAs: ours,
	}
}

// client writes a certificate of ours.
func (a *authority) client(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.sign(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, certFile, keyFile)
	return certFile, keyFile
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signingIn is the configuration of a user whose password is in a file.
func signingIn(t *testing.T, m Mechanism, text string) *SASL {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, text)
	return &SASL{Mechanism: m, Username: "signoff,=", PasswordFile: file}
}

// newSecured is a broker that wants cfg's TLS and SASL, under the right password.
func newSecured(t *testing.T, cfg Config, server *tls.Config) *cluster {
	t.Helper()
	var opts []kfake.Opt
	if server != nil {
		opts = append(opts, kfake.TLS(server))
	}
	if cfg.SASL != nil {
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(string(cfg.SASL.Mechanism)), cfg.SASL.Username, password))
	}
	return newFakeFor(t, cfg, 1, opts...)
}

func TestReadsSecured(t *testing.T) {
	parallel(t)
	a := newAuthority(t)
	certFile, keyFile := a.client(t)
	anyBroker, onlyUs := a.broker(t, tls.NoClientCert), a.broker(t, tls.RequireAndVerifyClientCert)
	for name, c := range map[string]struct {
		cfg    Config
		server *tls.Config
		warned int
	}{
		"TLS":                        {cfg: Config{TLS: &TLS{CAFile: a.file}}, server: anyBroker},
		"TLS on both sides":          {cfg: Config{TLS: &TLS{CAFile: a.file, CertFile: certFile, KeyFile: keyFile}}, server: onlyUs},
		"PLAIN":                      {cfg: Config{SASL: signingIn(t, Plain, password)}, warned: 1},
		"PLAIN over TLS":             {cfg: Config{TLS: &TLS{CAFile: a.file}, SASL: signingIn(t, Plain, password+"\r\n")}, server: anyBroker},
		"SCRAM-SHA-256":              {cfg: Config{SASL: signingIn(t, ScramSHA256, password+"\n")}},
		"SCRAM-SHA-512":              {cfg: Config{SASL: signingIn(t, ScramSHA512, password)}},
		"SCRAM-SHA-512 over all TLS": {cfg: Config{TLS: &TLS{CAFile: a.file, CertFile: certFile, KeyFile: keyFile}, SASL: signingIn(t, ScramSHA512, password)}, server: onlyUs},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			c2 := newSecured(t, c.cfg, c.server)
			produce(t, newProducer(t, c2), leavers(0, "a", 5)...)
			m := newMemory()
			r := start(t, c2, m, setup{})
			awaitEvents(t, m, 5)
			awaitState(t, m, consumer.UpToDate)
			eventually(t, "committed", func() bool { return committed(t, c2, 0) == 5 })
			if n := r.logs.FilterMessageSnippet("sees the password").Len(); n != c.warned {
				t.Errorf("%d warnings that the password is readable, want %d", n, c.warned)
			}
			c2.deleteTopic(t, testTopic) // asking for topics makes none, whatever the connection is wrapped in
			eventually(t, "it says what is missing", func() bool { return m.reading() == outlook{consumer.Joining, "no such topic: " + testTopic} })
			if c2.hasTopic(t, testTopic) {
				t.Error("the topic came back")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	parallel(t)
	a, stranger := newAuthority(t), newAuthority(t)
	server := func(t *testing.T) *tls.Config { return a.broker(t, tls.RequireAndVerifyClientCert) }
	certFile, keyFile := a.client(t)
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, "\n")
	good := func(t *testing.T) Config {
		return Config{TLS: &TLS{CAFile: a.file, CertFile: certFile, KeyFile: keyFile}, SASL: signingIn(t, ScramSHA512, password)}
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *Config)
		says   string
	}{
		"a wrong password":            {func(t *testing.T, c *Config) { c.SASL = signingIn(t, ScramSHA512, "wrong secret") }, "SASL Authentication Failed"},
		"an unknown user":             {func(_ *testing.T, c *Config) { c.SASL.Username = "somebody" }, "SASL Authentication Failed"},
		"no password":                 {func(_ *testing.T, c *Config) { c.SASL.PasswordFile = empty }, "kafka.sasl.password_file: " + empty + ": empty"},
		"no password file":            {func(_ *testing.T, c *Config) { c.SASL.PasswordFile = "/not/there" }, "kafka.sasl.password_file: open /not/there"},
		"a broker that is a stranger": {func(_ *testing.T, c *Config) { c.TLS.CAFile = stranger.file }, "certificate signed by unknown authority"},
		"a CA file without one":       {func(_ *testing.T, c *Config) { c.TLS.CAFile = keyFile }, "kafka.tls.ca_file: " + keyFile + ": no certificate in it"},
		"no CA file":                  {func(_ *testing.T, c *Config) { c.TLS.CAFile = "/not/there" }, "kafka.tls.ca_file: open /not/there"},
		"no certificate of ours":      {func(_ *testing.T, c *Config) { c.TLS.CertFile, c.TLS.KeyFile = "", "" }, "required: the broker refuses us: it may want a certificate"},
		"a key of another":            {func(t *testing.T, c *Config) { _, c.TLS.KeyFile = stranger.client(t) }, "kafka.tls.cert_file and key_file: tls: private key does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			cluster := newSecured(t, good(t), server(t))
			cluster.cfg.TLS = &TLS{CAFile: a.file, CertFile: certFile, KeyFile: keyFile}
			c.change(t, &cluster.cfg)
			m := newMemory()
			start(t, cluster, m, setup{})
			awaitState(t, m, consumer.Away)
			detail := m.reading().detail
			if !strings.Contains(detail, c.says) || strings.Contains(detail, password) || strings.Contains(detail, "wrong secret") {
				t.Errorf("it is away because of %q, want %q", detail, c.says)
			}
			// What the group is told by its own way of connecting.
			if _, err := newDialer(cluster.cfg).dialToLook(t.Context(), "tcp", cluster.cfg.Brokers[0]); name != "no certificate of ours" && !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("the group: %v, want %q", err, c.says)
			}
		})
	}
}

// Everything that can expire is replaced while the process runs. The broker is
// restarted as well, since connections that stand are not asked again.
func TestSecretsAreReadAnew(t *testing.T) {
	parallel(t)
	dir := t.TempDir()
	cfg := Config{
		TLS:  &TLS{CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")},
		SASL: signingIn(t, ScramSHA256, password),
	}
	deploy := func(a *authority) {
		text, err := os.ReadFile(a.file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, cfg.TLS.CAFile, string(text))
		a.sign(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, cfg.TLS.CertFile, cfg.TLS.KeyFile)
	}
	first := newAuthority(t)
	deploy(first)
	c := newSecured(t, cfg, first.broker(t, tls.RequireAndVerifyClientCert))
	produce(t, newProducer(t, c), leavers(0, "a", 5)...)
	m := newMemory()
	start(t, c, m, setup{})
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)

	if _, err := c.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{
		User: cfg.SASL.Username, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "next",
	}}); err != nil {
		t.Fatal(err)
	}
	c.stop(t, "stop")
	second := newAuthority(t)
	c.again = append(c.again, kfake.TLS(second.broker(t, tls.RequireAndVerifyClientCert)))
	c.start(t)
	awaitState(t, m, consumer.Away)
	deploy(second)
	write(t, cfg.SASL.PasswordFile, "next")
	produce(t, newProducer(t, c), leavers(0, "b", 5)...)
	awaitEvents(t, m, 10)
	awaitState(t, m, consumer.UpToDate)
}

// A broker that accepts connections and then is silent must not be waited for
// without end.
func TestSilentBrokerWhileSigningIn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, d := range map[string]dialer{
		"TLS":  {tls: &TLS{}},
		"SASL": {sasl: signingIn(t, Plain, password)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if conn, err := d.dial(ctx, "tcp", l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, %v", conn, err)
			}
		})
	}
}

func TestMechanismThatTheBrokerDoesNotTake(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		version, id, _, _, err := protocol.ReadRequest(there)
		if err == nil {
			err = protocol.WriteResponse(there, version, id, &saslhandshake.Response{
				ErrorCode: int16(kafka.UnsupportedSASLMechanism), Mechanisms: []string{"PLAIN", "GSSAPI"}})
		}
		if err != nil {
			t.Error(err)
		}
		there.Close()
	}()
	err := signingIn(t, ScramSHA512, password).signIn(t.Context(), here, "kafka-0:9092", "signoff")
	if want := "sign in to kafka-0:9092: kafka.sasl.mechanism: the broker does not take SCRAM-SHA-512, only PLAIN, GSSAPI"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %q", err, want)
	}
}
