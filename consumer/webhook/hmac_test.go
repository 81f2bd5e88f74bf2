package webhook

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestAuthValidate(t *testing.T) {
	parts := HMAC{Encoding: "hex", Header: "X-Signature", Content: "{body}"}
	with := func(change func(*HMAC)) Auth {
		h := parts
		change(&h)
		return Auth{HMAC: h, SecretFile: "s"}
	}
	for name, c := range map[string]struct {
		auth Auth
		want string // "": it is valid
	}{
		"none":                      {Auth{None: true}, ""},
		"bearer":                    {Auth{BearerFile: "b"}, ""},
		"okta":                      {Auth{OktaFile: "o"}, ""},
		"a preset":                  {Auth{HMAC: preset("gusto"), SecretFile: "s"}, ""},
		"by parts":                  {Auth{HMAC: parts, SecretFile: "s"}, ""},
		"by all parts":              {Auth{HMAC: HMAC{"", "sha512", "base64", "X-S", "v1=", "{method} {X-T}{x-i}{body}!", "hex", "x-t", time.Minute, "x-i"}, SecretFile: "s"}, ""},
		"nothing":                   {Auth{}, "a.auth: not set: give it"},
		"none and a bearer":         {Auth{None: true, BearerFile: "b"}, "a.auth: of several kinds"},
		"a bearer and okta":         {Auth{BearerFile: "b", OktaFile: "o"}, "a.auth: of several kinds"},
		"a bearer and an hmac":      {Auth{BearerFile: "b", HMAC: preset("gusto"), SecretFile: "s"}, "a.auth: of several kinds"},
		"a bearer and a secret":     {Auth{BearerFile: "b", SecretFile: "s"}, "a.auth: of several kinds"},
		"a secret only":             {Auth{SecretFile: "s"}, "a.auth.hmac: not set"},
		"an hmac without secret":    {Auth{HMAC: preset("gusto")}, "a.auth.secret_file: not set"},
		"a preset that is none":     {Auth{HMAC: preset("workday"), SecretFile: "s"}, `a.auth.hmac: none of bamboohr, deel, finch, gusto, hibob, merge, standard-webhooks`},
		"an algorithm that is none": {with(func(h *HMAC) { h.Algorithm = "md5" }), `a.auth.hmac.algorithm: "md5"`},
		"no encoding":               {with(func(h *HMAC) { h.Encoding = "" }), `a.auth.hmac.encoding: "": none of hex, base64`},
		"a plain signature":         {with(func(h *HMAC) { h.Encoding = "plain" }), `a.auth.hmac.encoding: "plain"`},
		"no header":                 {with(func(h *HMAC) { h.Header = "" }), "a.auth.hmac.header: not set"},
		"a header that is none":     {with(func(h *HMAC) { h.Header = "X Signature" }), `a.auth.hmac.header: "X Signature"`},
		"a prefix with a space":     {with(func(h *HMAC) { h.Prefix = "HMAC " }), `a.auth.hmac.prefix: "HMAC "`},
		"no content":                {with(func(h *HMAC) { h.Content = "" }), `a.auth.hmac.content: "": must have {body}`},
		"content without the body":  {with(func(h *HMAC) { h.Content = "{method}{x-a}" }), `a.auth.hmac.content: "{method}{x-a}": must have {body}`},
		"the body twice":            {with(func(h *HMAC) { h.Content = "{body}{body}" }), `a.auth.hmac.content: "{body}{body}": must have {body}, once`},
		"a placeholder of nothing":  {with(func(h *HMAC) { h.Content = "{}{body}" }), `a.auth.hmac.content: "{}{body}": {} is neither`},
		"a time that is not signed": {with(func(h *HMAC) { h.TimestampHeader = "X-T" }), `a.auth.hmac.content: "{body}": lacks {x-t}, the timestamp_header`},
		"an id that is not signed":  {with(func(h *HMAC) { h.TimestampHeader, h.IDHeader, h.Content = "X-T", "X-I", "{x-t}{body}" }), "a.auth.hmac.content: "},
		"an id without a time":      {with(func(h *HMAC) { h.IDHeader, h.Content = "X-I", "{x-i}{body}" }), "a.auth.hmac.timestamp_header: not set"},
		"a tolerance of no time":    {with(func(h *HMAC) { h.Tolerance = time.Minute }), "a.auth.hmac.tolerance: 1m0s: of no timestamp_header"},
		"a tolerance of a day":      {with(func(h *HMAC) { h.TimestampHeader, h.Content, h.Tolerance = "X-T", "{x-t}{body}", 24*time.Hour }), "a.auth.hmac.tolerance: 24h0m0s"},
		"a negative tolerance":      {with(func(h *HMAC) { h.TimestampHeader, h.Content, h.Tolerance = "X-T", "{x-t}{body}", -1 }), "a.auth.hmac.tolerance: -1ns"},
		"a secret in no encoding":   {with(func(h *HMAC) { h.SecretEncoding = "base32" }), `a.auth.hmac.secret_encoding: "base32": none of plain, base64, hex`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.auth.validate("a.auth")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEveryPresetIsTested(t *testing.T) {
	var tested []string
	for _, c := range signedCases() {
		tested = append(tested, c.hmac.Preset)
	}
	for _, name := range slices.Sorted(maps.Keys(presets)) {
		if !slices.Contains(tested, name) {
			t.Errorf("%s is not among the signed cases", name)
		}
	}
}

func TestSecretFileAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		hmac HMAC
		text string
		want string // "": it is good
	}{
		"plain":                             {preset("gusto"), plainSecret, ""},
		"16 bytes":                          {preset("gusto"), "0123456789abcdef", ""},
		"15 bytes":                          {preset("gusto"), "0123456789abcde", "line 1: not a secret of at least 16 bytes"},
		"base64, with a prefix":             {preset("standard-webhooks"), "whsec_" + inBase64Key, ""},
		"base64, without":                   {preset("standard-webhooks"), inBase64Key, ""},
		"base64 without padding":            {preset("standard-webhooks"), "QW5vdGhlciBzZWNyZXQgb2YgMjYgYnl0ZXM", ""},
		"a prefix and nothing":              {preset("standard-webhooks"), "whsec_", "line 1: not a secret of at least 24 bytes"},
		"padding and nothing":               {preset("standard-webhooks"), "whsec_====", "line 1: not a secret of at least 24 bytes"},
		"23 bytes":                          {preset("finch"), "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaQ", "line 1: not a secret of at least 24 bytes"},
		"24 characters that are 18 bytes":   {preset("finch"), inBase64Key[:24], "line 1: not a secret of at least 24 bytes"},
		"a public key":                      {preset("standard-webhooks"), "whpk_" + inBase64Key, "line 1: not in the encoding"},
		"no base64":                         {preset("standard-webhooks"), plainSecret + "!", "line 1: not in the encoding"},
		"hex":                               {HMAC{Encoding: "hex", Header: "X", Content: "{body}", SecretEncoding: "hex"}, strings.Repeat("0f", 16), ""},
		"hex of 15 bytes":                   {HMAC{Encoding: "hex", Header: "X", Content: "{body}", SecretEncoding: "hex"}, strings.Repeat("0f", 15), "line 1: not a secret of at least 16 bytes"},
		"an empty file":                     {preset("gusto"), "", "no secret in it"},
		"blank lines":                       {preset("gusto"), "\n \r\n", "no secret in it"},
		"one of them short":                 {preset("gusto"), plainSecret + "\nhunter2", "line 2: not a secret"},
		"whsec_ counts where it is no code": {preset("gusto"), "whsec_0123456789", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secrets")
			write(t, file, c.text)
			_, err := New(Config{Listen: ":0", Endpoints: []Endpoint{{Path: "/a", Auth: Auth{HMAC: c.hmac, SecretFile: file}}}}, nil, nil, nil, nil, nil, zap.NewNop())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) ||
				!strings.HasPrefix(err.Error(), "webhook.endpoints[0].auth.secret_file: ")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), plainSecret)) {
				t.Errorf("quotes the secret: %v", err)
			}
		})
	}
}
