package webhook

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestConfigValidate(t *testing.T) {
	open := Auth{None: true}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no webhook":             {Config{}, ""},
		"every success":          {Config{":8080", []Endpoint{{"/a", open, 0}, {"/b", open, 200}, {"/c", open, 202}, {"/d", Auth{BearerFile: "x"}, 204}}}, ""},
		"nowhere to listen":      {Config{"", []Endpoint{{"/a", open, 0}}}, `webhook.listen: "": not host:port`},
		"a port only":            {Config{"8080", []Endpoint{{"/a", open, 0}}}, `webhook.listen: "8080": not host:port`},
		"no endpoint":            {Config{":8080", nil}, "webhook.endpoints: none"},
		"a relative path":        {Config{":8080", []Endpoint{{"a", open, 0}}}, `webhook.endpoints[0].path: "a": not a path`},
		"a path with a query":    {Config{":8080", []Endpoint{{"/a?b", open, 0}}}, `webhook.endpoints[0].path: "/a?b": not a path`},
		"a path twice":           {Config{":8080", []Endpoint{{"/a", open, 0}, {"/a", open, 0}}}, `webhook.endpoints[1].path: "/a": has an endpoint`},
		"auth not stated":        {Config{":8080", []Endpoint{{"/a", Auth{}, 0}}}, "webhook.endpoints[0].auth: not set"},
		"auth of two kinds":      {Config{":8080", []Endpoint{{"/a", Auth{None: true, BearerFile: "x"}, 0}}}, `webhook.endpoints[0].auth: "x": none and`},
		"a success that is none": {Config{":8080", []Endpoint{{"/a", open, 301}}}, "webhook.endpoints[0].success: 301: not 200"},
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
`), &cfg)
	want := Config{":8080", []Endpoint{
		{"/events", Auth{BearerFile: "/etc/tokens"}, 200},
		{"/open", Auth{None: true}, 0},
	}}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
