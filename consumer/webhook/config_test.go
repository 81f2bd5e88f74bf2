package webhook

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestConfigValidate(t *testing.T) {
	open := Auth{None: true}
	at := func(all ...Endpoint) Config { return Config{Listen: ":8080", Endpoints: all} }
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no webhook":             {Config{}, ""},
		"every success":          {at(Endpoint{Path: "/a", Auth: open}, Endpoint{Path: "/b", Auth: open, Success: 200}, Endpoint{Path: "/c", Auth: open, Success: 202}, Endpoint{Path: "/d", Auth: open, Success: 204}), ""},
		"nowhere to listen":      {Config{Endpoints: []Endpoint{{Path: "/a", Auth: open}}}, `webhook.listen: "": not host:port`},
		"a port only":            {Config{Listen: "8080", Endpoints: []Endpoint{{Path: "/a", Auth: open}}}, `webhook.listen: "8080": not host:port`},
		"no endpoint":            {Config{Listen: ":8080"}, "webhook.endpoints: none"},
		"a relative path":        {at(Endpoint{Path: "a", Auth: open}), `webhook.endpoints[0].path: "a": not a path`},
		"a path with a query":    {at(Endpoint{Path: "/a?b", Auth: open}), `webhook.endpoints[0].path: "/a?b": not a path`},
		"a path twice":           {at(Endpoint{Path: "/a", Auth: open}, Endpoint{Path: "/a", Auth: open}), `webhook.endpoints[1].path: "/a": has an endpoint`},
		"a success that is none": {at(Endpoint{Path: "/a", Auth: open, Success: 301}), "webhook.endpoints[0].success: 301: not 200"},
		"origins":                {at(Endpoint{Path: "/a", Auth: open, Origins: []string{"eventgrid.azure.net", "hris.example.com"}}), ""},
		"any origin":             {at(Endpoint{Path: "/a", Auth: open, Origins: []string{"*"}}), `webhook.endpoints[0].origins: "*": not the name`},
		"an origin with a path":  {at(Endpoint{Path: "/a", Auth: open, Origins: []string{"https://hris.example.com"}}), "webhook.endpoints[0].origins:"},
		"an empty origin":        {at(Endpoint{Path: "/a", Auth: open, Origins: []string{""}}), `webhook.endpoints[0].origins: ""`},
		"an origin twice":        {at(Endpoint{Path: "/a", Auth: open, Origins: []string{"a", "a"}}), `webhook.endpoints[0].origins: "a"`},
		"TLS":                    {Config{Listen: ":1", TLS: &TLS{CertFile: "c", KeyFile: "k"}, Endpoints: []Endpoint{{Path: "/a", Auth: open}}}, ""},
		"TLS without a key":      {Config{Listen: ":1", TLS: &TLS{CertFile: "c"}, Endpoints: []Endpoint{{Path: "/a", Auth: open}}}, "webhook.tls.key_file: not set"},
		"TLS of clients only":    {Config{Listen: ":1", TLS: &TLS{ClientCAFile: "c"}, Endpoints: []Endpoint{{Path: "/a", Auth: open}}}, "webhook.tls.cert_file: not set"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAuthScalar(t *testing.T) {
	var a Auth
	if err := a.UnmarshalText([]byte("none")); err != nil || a != (Auth{None: true}) {
		t.Errorf("none is %+v, %v", a, err)
	}
	if err := a.UnmarshalText([]byte(token)); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("a token gives %v", err)
	}
}

func TestConfigYAML(t *testing.T) {
	var cfg Config
	err := yaml.Unmarshal([]byte(`
listen: :8080
endpoints:
  - path: /events
    auth: {bearer_file: /etc/tokens}
    success: 200
  - path: /open
    auth: none
    origins: [hris.example.com]
  - path: /hibob
    auth: {hmac: hibob, secret_file: /etc/hibob}
    mapping: hibob
`), &cfg)
	want := Config{Listen: ":8080", Endpoints: []Endpoint{
		{Path: "/events", Auth: Auth{BearerFile: "/etc/tokens"}, Success: 200},
		{Path: "/open", Auth: Auth{None: true}, Origins: []string{"hris.example.com"}},
		{Path: "/hibob", Auth: Auth{HMAC: HMAC{Preset: "hibob"}, SecretFile: "/etc/hibob"}, Mapping: "hibob"},
	}}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
