package console_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority vouches for a server and its clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

// sign writes NAME.crt and NAME.key.
func (a *authority) sign(t testing.TB, dir, name string, template *x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template.SerialNumber, template.Subject = big.NewInt(serial), pkix.Name{CommonName: name}
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	issuer, issuerKey := template, key
	if a != nil {
		issuer, issuerKey = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func newAuthority(t testing.TB, dir, name string) *authority {
	t.Helper()
	return (*authority)(nil).sign(t, dir, name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

// makeCertificates writes those of a server on loopback and of two clients of its
// authority, and that of a client of another.
func makeCertificates(t testing.TB, dir string) {
	t.Helper()
	ca := newAuthority(t, dir, "ca")
	asClient := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	ca.sign(t, dir, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"signoff.example.com"}})
	ca.sign(t, dir, "prometheus", &x509.Certificate{ExtKeyUsage: asClient, DNSNames: []string{"prometheus.example.com"}})
	ca.sign(t, dir, "grafana", &x509.Certificate{ExtKeyUsage: asClient, DNSNames: []string{"grafana.example.com"}})
	newAuthority(t, dir, "another").sign(t, dir, "stranger", &x509.Certificate{ExtKeyUsage: asClient, DNSNames: []string{"prometheus.example.com"}})
}

// clientTLS trusts the server, and shows the certificate of this name; "": none.
func clientTLS(t testing.TB, dir, name string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	c.RootCAs.AppendCertsFromPEM(text)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		// Not Certificates: of those, none is shown that the server does not seem to want.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c
}

func (r *room) client(t testing.TB, name string) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: clientTLS(t, r.dir, name), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
