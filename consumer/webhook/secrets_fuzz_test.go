package webhook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzSecrets reads any file as one of secrets: each that it takes is long enough,
// and what it refuses is not quoted.
func FuzzSecrets(f *testing.F) {
	f.Add([]byte("# old\n0123456789abcdef\r\n\n  0123456789abcdef0123  \n"))
	f.Add([]byte("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n"))
	f.Add([]byte("30313233343536373839616263646566\nshort\n"))
	f.Add([]byte("\x00\xff = =\n"))
	file := filepath.Join(f.TempDir(), "secrets")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, tokenErr := readLines(file, readToken)
		_, valueErr := readLines(file, readValue)
		errs := []error{tokenErr, valueErr}
		for _, h := range []HMAC{{Preset: "standard-webhooks"}, {Preset: "gusto"}, {Header: "x", Encoding: inHex, Content: "{body}", SecretEncoding: inHex}} {
			s, err := h.scheme("hmac")
			if err != nil {
				t.Fatal(err)
			}
			secrets, err := readLines(file, s.secret)
			for _, secret := range secrets {
				if len(secret) < minSecret {
					t.Errorf("a secret of %d bytes", len(secret))
				}
			}
			errs = append(errs, err)
		}
		for _, err := range errs {
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); err != nil && len(line) >= minSecret && strings.Contains(err.Error(), line) {
					t.Errorf("%v quotes the file", err)
				}
			}
		}
	})
}
