package webhook

import (
	"bytes"
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
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"go.uber.org/zap/zaptest/observer"
	"signoff/consumer"
)

// authority vouches for servers and for senders.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	cert := a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.file, filepath.Join(t.TempDir(), "ca.key"))
	a.cert, a.key = cert.Leaf, cert.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

var serial int64

// sign makes a certificate and its key, and writes them as PEM. It is good in the
// year in which a bubble's clock begins, too.
func (a *authority) sign(t *testing.T, template *x509.Certificate, certFile, keyFile string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template.SerialNumber, template.Subject = big.NewInt(serial), pkix.Name{CommonName: "test"}
	template.NotBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
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
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// server writes a certificate of a server on loopback to the files of c.
func (a *authority) server(t *testing.T, c TLS) int64 {
	t.Helper()
	pair := a.sign(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, c.CertFile, c.KeyFile)
	return pair.Leaf.SerialNumber.Int64()
}

func (a *authority) client(t *testing.T, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	dir := t.TempDir()
	return a.sign(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{usage}}, filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func newTLS(t *testing.T) TLS {
	t.Helper()
	dir := t.TempDir()
	return TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
}

func TestTLSOnTheWire(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	ours, theirs := a.client(t, x509.ExtKeyUsageClientAuth), other.client(t, x509.ExtKeyUsageClientAuth)
	aServer := a.client(t, x509.ExtKeyUsageServerAuth)
	for name, c := range map[string]struct {
		mutual bool
		client *tls.Config
		want   string // protocol, or a part of what the server says of it
	}{
		"HTTP/2":                      {false, &tls.Config{}, "HTTP/2.0"},
		"HTTP/1.1":                    {false, &tls.Config{NextProtos: []string{"http/1.1"}}, "HTTP/1.1"},
		"TLS 1.2":                     {false, &tls.Config{MaxVersion: tls.VersionTLS12}, "HTTP/2.0"},
		"TLS 1.1":                     {false, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "unsupported versions"},
		"a certificate of the client": {true, &tls.Config{Certificates: []tls.Certificate{ours}}, "HTTP/2.0"},
		"none":                        {true, &tls.Config{}, "didn't provide a certificate"},
		"one of another authority":    {true, &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &theirs, nil }}, "unknown authority"},
		"one of a server":             {true, &tls.Config{Certificates: []tls.Certificate{aServer}}, "incompatible key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			files := newTLS(t)
			a.server(t, files)
			if c.mutual {
				files.ClientCAFile = a.file
			}
			var err error
			if f.tls, err = files.config(zap.NewNop()); err != nil {
				t.Fatal(err)
			}
			addr, stop := f.run(t)
			c.client.RootCAs = a.pool()
			h1 := len(c.client.NextProtos) > 0
			client := http.Client{Transport: &http.Transport{TLSClientConfig: c.client, ForceAttemptHTTP2: !h1}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			resp, err := client.Post("https://"+addr+"/open", ceJSON, strings.NewReader(leaver("1", jane)))
			if err == nil && (resp.Proto != c.want || resp.StatusCode != http.StatusNoContent) {
				t.Errorf("got %s %s, want %s", resp.Proto, resp.Status, c.want)
			}
			if err != nil {
				client.CloseIdleConnections()
				if stop() != nil || f.logs.FilterMessageSnippet(c.want).Len() == 0 {
					t.Errorf("got %v; said %v", err, f.logs.All())
				}
			}
		})
	}
}

// The server's first frame says how many requests at a time it takes.
func TestRequestsOfAConnectionAreBounded(t *testing.T) {
	a := newAuthority(t)
	f := newFixture(t)
	files := newTLS(t)
	a.server(t, files)
	var err error
	if f.tls, err = files.config(zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	addr, _ := f.run(t)
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: a.pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(conn, head); err != nil || head[3] != 4 {
		t.Fatalf("not SETTINGS: %x, %v", head, err)
	}
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(conn, settings); err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 3, 0, 0, 0, maxStreams}; !bytes.Contains(settings, want) {
		t.Errorf("settings %x lack %x", settings, want)
	}
}

func TestPlainHTTPOnATLSPort(t *testing.T) {
	f := newFixture(t)
	files := newTLS(t)
	newAuthority(t).server(t, files)
	var err error
	if f.tls, err = files.config(zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	addr, _ := f.run(t)
	resp, err := http.Post("http://"+addr+"/open", ceJSON, strings.NewReader(leaver("1", jane)))
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %v, %v", resp, err)
	}
}

// shake does a handshake within a bubble and returns the serial number of the
// server's certificate, 0 if the server would not have us.
func shake(t *testing.T, server *tls.Config, client *tls.Config) int64 {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	accepted := make(chan error, 1)
	go func() {
		err := tls.Server(a, server).Handshake()
		accepted <- err
		a.Close()
	}()
	over := tls.Client(b, client)
	if err := over.Handshake(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = over.Read(make([]byte, 1)) }() // what the server has to say to it
	if <-accepted != nil {
		return 0
	}
	return over.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificatesRotate(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	files, next := newTLS(t), newTLS(t)
	first := a.server(t, files)
	second := a.server(t, next)
	files.ClientCAFile = filepath.Join(t.TempDir(), "clients.pem")
	place := func(from, to string) func() {
		return func() {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			write(t, to+".tmp", string(text))
			if err := os.Rename(to+".tmp", to); err != nil {
				t.Fatal(err)
			}
		}
	}
	place(a.file, files.ClientCAFile)()
	ours, theirs := a.client(t, x509.ExtKeyUsageClientAuth), other.client(t, x509.ExtKeyUsageClientAuth)
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		cfg, err := files.config(zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		as := func(cert *tls.Certificate) *tls.Config {
			return &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(1),
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }}
		}
		us, them := as(&ours), as(&theirs)
		for _, step := range []struct {
			name     string
			change   func()
			us, them int64 // the certificate that they see, 0: they are turned away
			errors   int
		}{
			{"at first", func() {}, first, 0, 0},
			{"the certificate without its key", place(next.CertFile, files.CertFile), first, 0, 1},
			{"the key as well", place(next.KeyFile, files.KeyFile), second, 0, 0},
			{"another authority for senders", place(other.file, files.ClientCAFile), 0, second, 0},
			{"an authority that is none", func() { write(t, files.ClientCAFile, "not yet") }, 0, second, 1},
			{"which stays so", func() {}, 0, second, 0},
			{"away", func() { os.Remove(files.ClientCAFile) }, 0, second, 1},
			{"the first again", place(a.file, files.ClientCAFile), second, 0, 0},
		} {
			logs.TakeAll()
			step.change()
			time.Sleep(consumer.LookAgain)
			if gotUs, gotThem := shake(t, cfg, us), shake(t, cfg, them); gotUs != step.us || gotThem != step.them {
				t.Errorf("%s: we see %d, want %d; they see %d, want %d", step.name, gotUs, step.us, gotThem, step.them)
			}
			if n := logs.FilterMessageSnippet("could not be read again").Len(); n != step.errors {
				t.Errorf("%s: %d errors", step.name, n)
			}
		}
	})
}

func TestTLSAtStart(t *testing.T) {
	a := newAuthority(t)
	good := newTLS(t)
	a.server(t, good)
	other := newTLS(t)
	a.server(t, other)
	for name, c := range map[string]struct {
		tls  TLS
		want string
	}{
		"no certificate":                    {TLS{CertFile: "/no/such", KeyFile: good.KeyFile}, "webhook.tls.cert_file and key_file: open /no/such"},
		"the key of another":                {TLS{CertFile: good.CertFile, KeyFile: other.KeyFile}, "webhook.tls.cert_file and key_file: "},
		"the key for a certificate":         {TLS{CertFile: good.KeyFile, KeyFile: good.KeyFile}, "webhook.tls.cert_file and key_file: "},
		"no authority":                      {TLS{good.CertFile, good.KeyFile, "/no/such"}, "webhook.tls.client_ca_file: open /no/such"},
		"an authority without certificates": {TLS{good.CertFile, good.KeyFile, good.KeyFile}, "webhook.tls.client_ca_file: " + good.KeyFile + ": no certificate"},
	} {
		_, err := New(Config{Listen: ":0", TLS: &c.tls, Endpoints: []Endpoint{{Path: "/a", Auth: Auth{None: true}}}}, nil, nil, nil, nil, nil, zap.NewNop())
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestExpiredCertificateIsSaid(t *testing.T) {
	files := newTLS(t)
	newAuthority(t).sign(t, &x509.Certificate{NotAfter: time.Now().Add(-time.Hour)}, files.CertFile, files.KeyFile)
	core, logs := observer.New(zap.InfoLevel)
	if _, err := files.config(zap.New(core)); err != nil {
		t.Fatal(err)
	}
	if logs.FilterMessageSnippet("expired").Len() != 1 {
		t.Errorf("said %v", logs.All())
	}
}
