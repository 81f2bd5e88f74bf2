package docusign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	good := Config{AuthServer: "https://account.docusign.com", IntegrationKey: "k", UserID: "u", PrivateKeyFile: "f"}
	cases := map[string]struct {
		change func(*Config)
		want   string // part of the error; "": valid
	}{
		"production":              {change: func(*Config) {}},
		"a slash at the end":      {change: func(c *Config) { c.AuthServer = "https://account.docusign.com/" }},
		"http to this machine":    {change: func(c *Config) { c.AuthServer = "http://127.0.0.1:8081" }},
		"http to localhost":       {change: func(c *Config) { c.AuthServer = "http://localhost:8081" }},
		"http to IPv6 loopback":   {change: func(c *Config) { c.AuthServer = "http://[::1]:8081" }},
		"http elsewhere":          {func(c *Config) { c.AuthServer = "http://x" }, `docusign.auth_server: "http://x": https, or http for a loopback address`},
		"a host like a loopback":  {func(c *Config) { c.AuthServer = "http://127.0.0.1.example.com" }, "https, or http"},
		"no scheme":               {func(c *Config) { c.AuthServer = "account.docusign.com" }, `"account.docusign.com": https`},
		"no host":                 {func(c *Config) { c.AuthServer = "https://" }, "no host"},
		"a path":                  {func(c *Config) { c.AuthServer = "https://account.docusign.com/oauth" }, "scheme and host only"},
		"a user":                  {func(c *Config) { c.AuthServer = "https://me:hunter2@h" }, `"…@h": scheme and host only`},
		"nothing set":             {func(c *Config) { *c = Config{} }, `docusign.private_key_file: "": must be set`},
		"no integration key":      {func(c *Config) { c.IntegrationKey = " " }, `docusign.integration_key: " ": must be set`},
		"an email for the userId": {func(c *Config) { c.UserID = "ana@example.com" }, "docusign.user_id: an email"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := good
			tc.change(&c)
			err := c.Validate()
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q in it", err, tc.want)
			case err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ana@")):
				t.Errorf("the error quotes what it must not: %v", err)
			}
		})
	}
}

func TestPrivateKey(t *testing.T) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elliptic, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&testKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	withPublic := writePEM(t, "PUBLIC KEY", public)
	appendFile(t, withPublic, writePEM(t, "PRIVATE KEY", pkcs8))
	const secret = "not-to-be-quoted"
	text := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(text, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}

	cases := map[string]struct{ file, want string }{
		"PKCS #1":                 {file: writePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey()))},
		"PKCS #8":                 {file: writePEM(t, "PRIVATE KEY", pkcs8)},
		"the public key before":   {file: withPublic},
		"only the public key":     {writePEM(t, "PUBLIC KEY", public), "no private key in PEM"},
		"an elliptic key":         {writePEM(t, "PRIVATE KEY", elliptic), "not an RSA key"},
		"a key with a passphrase": {writePEM(t, "ENCRYPTED PRIVATE KEY", []byte(secret)), "passphrase"},
		"a broken key":            {writePEM(t, "PRIVATE KEY", []byte(secret)), "cannot be read"},
		"no PEM":                  {text, "no private key in PEM"},
		"no file":                 {filepath.Join(t.TempDir(), "absent.pem"), "no such file"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.PrivateKeyFile = tc.file
			_, err := New(cfg, nil, Observe{})
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.file)):
				t.Errorf("error %v, want the file and %q in it", err, tc.want)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func appendFile(t *testing.T, to, from string) {
	t.Helper()
	head, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	tail, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, append(head, tail...), 0o600); err != nil {
		t.Fatal(err)
	}
}
