package employees

import (
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string // of the error; "" if there is none
	}{
		"none":                          {Config{}, ""},
		"a server":                      {Config{SCIM: "https://idp.example.com/scim/v2", TokenFile: "t"}, ""},
		"a server with an attribute":    {Config{SCIM: "https://idp.example.com", TokenFile: "t", SCIMAttribute: "urn:a:2.0:User:x.y"}, ""},
		"one on this machine":           {Config{SCIM: "http://127.0.0.1:8080/scim", TokenFile: "t"}, ""},
		"one on this machine, by name":  {Config{SCIM: "http://localhost:8080/scim", TokenFile: "t"}, ""},
		"both":                          {Config{CSV: "a.csv", SCIM: "https://idp.example.com", TokenFile: "t"}, "events.directory: csv and scim"},
		"a token for a file":            {Config{CSV: "a.csv", TokenFile: "t"}, "events.directory.token_file: only for scim"},
		"an attribute of a file":        {Config{CSV: "a.csv", SCIMAttribute: "id"}, "events.directory.scim_attribute: only for scim"},
		"no token":                      {Config{SCIM: "https://idp.example.com"}, "events.directory.token_file: not set"},
		"in the clear":                  {Config{SCIM: "http://idp.example.com/", TokenFile: "t"}, "events.directory.scim: neither https nor a loopback"},
		"no URL":                        {Config{SCIM: "idp.example.com", TokenFile: "t"}, "events.directory.scim: not a URL"},
		"not even nearly":               {Config{SCIM: "https://user:s3cret@[", TokenFile: "t"}, "events.directory.scim: not a URL"},
		"a password in it":              {Config{SCIM: "https://user:s3cret@idp.example.com", TokenFile: "t"}, "events.directory.scim: has a user in it"},
		"a query":                       {Config{SCIM: "https://idp.example.com/?token=s3cret", TokenFile: "t"}, "events.directory.scim: has a query"},
		"an attribute that is a filter": {Config{SCIM: "https://idp.example.com", TokenFile: "t", SCIMAttribute: "id pr or id"}, `events.directory.scim_attribute: "id pr or id": not the name`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.cfg.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v quotes a secret", err)
			}
		})
	}
	if d, err := New(Config{}, zap.NewNop()); d != nil || err != nil {
		t.Errorf("without a config: %v, %v", d, err)
	}
}
