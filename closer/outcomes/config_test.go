package outcomes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		url  string
		want string
	}{
		"https":                  {"https://tickets.example.com/hooks?key=s3cret", ""},
		"http to loopback":       {"http://127.0.0.1:8080/hooks", ""},
		"http to localhost":      {"http://localhost/hooks", ""},
		"http to IPv6 loopback":  {"http://[::1]:8080", ""},
		"http elsewhere":         {"http://tickets.example.com/hooks?key=s3cret", `outcomes.webhook.url: "http://tickets.example.com": https, or http for a loopback address`},
		"a host like a loopback": {"http://127.0.0.1.example.com", "https, or http"},
		"another scheme":         {"ftp://127.0.0.1", "https, or http"},
		"none":                   {"", "outcomes.webhook.url: not set"},
		"no scheme":              {"tickets.example.com/s3cret", "no host in it"},
		"no host":                {"https:///s3cret", "no host in it"},
		"no URL":                 {"https://s3cret\x00", "outcomes.webhook.url: not a URL"},
		"a password":             {"https://signoff:s3cret@tickets.example.com", "outcomes.webhook.url: a user in it"},
		"a fragment":             {"https://tickets.example.com/#s3cret", "a # in it"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Config{Webhook: &Webhook{URL: tt.url, SecretFile: "file"}}.Validate()
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("no webhook: %v", err)
	}
	if err := (Config{Webhook: &Webhook{URL: "https://a.example.com"}}).Validate(); err == nil || err.Error() != "outcomes.webhook.secret_file: not set" {
		t.Errorf("no secret: %v", err)
	}
	if got := (Webhook{URL: "https://tickets.example.com:8443/hooks?key=s3cret"}).Host(); got != "tickets.example.com:8443" {
		t.Errorf("shown as %s", got)
	}
}

func TestSecretFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want string // "": it is taken
	}{
		"one":                    {secret("a"), ""},
		"two, lines of Windows":  {"# both\r\n\r\n" + secret("a") + "\r\n" + secret("b") + "\r\n", ""},
		"empty":                  {"", "no secret in it"},
		"nothing but a remark":   {"# " + secret("a"), "no secret in it"},
		"without whsec_":         {strings.TrimPrefix(secret("a"), "whsec_"), "line 1: not whsec_"},
		"whsec_ alone":           {"whsec_", "line 1: not whsec_"},
		"too short":              {"whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=", "at least 24 bytes"},
		"no base64":              {secret("a") + "\nwhsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "line 2: not whsec_"},
		"a key that is not ours": {"whpk_" + strings.TrimPrefix(secret("a"), "whsec_"), "line 1: not whsec_"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := NewWebhook(Webhook{URL: "https://a.example.com", SecretFile: file}, "")
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "YWFh") || strings.Contains(err.Error(), "!!!")) {
				t.Errorf("quotes the secret: %v", err)
			}
		})
	}
	if _, err := NewWebhook(Webhook{URL: "https://a.example.com", SecretFile: "/nowhere/secret"}, ""); err == nil || !strings.Contains(err.Error(), "outcomes.webhook.secret_file: open /nowhere/secret") {
		t.Errorf("got %v", err)
	}
}
