package webhook

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

// What follows was signed by openssl: `openssl dgst -sha256 -mac HMAC -macopt
// key:… -binary`, then base64 or xxd; Finch's by Finch, for the test of its own
// client.
const (
	signedBody  = `{"type":"employee.left","data":{"employeeId":"1"}}`
	signedAt    = 1676312382
	plainSecret = "correct-horse-battery-staple"
	otherSecret = "another-secret-of-24-bytes"
	inBase64Key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	gustoSigned = "a5652a69d82ea388e07e446e4129f7991dbf8071a56d83321ffe9d42dbc5d9f8"
	stdSigned   = "v1,sdG69kGfN5QYEz8xT2l+KutDr5EkWYNMd6Ni3SPe9LU="
)

// signedCase is a request that was signed as a preset or a config has it.
type signedCase struct {
	hmac   HMAC
	secret string
	header map[string]string
	body   string
}

func preset(name string) HMAC { return HMAC{Preset: name} }

func signedCases() map[string]signedCase {
	return map[string]signedCase{
		"standard-webhooks": {preset("standard-webhooks"), "whsec_" + inBase64Key,
			map[string]string{"webhook-id": "msg_1", "webhook-timestamp": "1676312382", "webhook-signature": stdSigned}, signedBody},
		"finch": {preset("finch"), inBase64Key,
			map[string]string{"Finch-Event-Id": "evt_1", "Finch-Timestamp": "1676312382", "Finch-Signature": "v1,gscff6at4jFTJ2F7rFOg4ac16SMz/lbWTL2kiqh+FPU="}, signedBody},
		"finch, by Finch": {preset("finch"), "5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH",
			map[string]string{"finch-event-id": "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj", "finch-timestamp": "1676312382", "finch-signature": "v1,m7y0TV2C+hlHxU42wCieApTSTaA8/047OAplBqxIV/s="},
			`{"company_id":"720be419-0293-4d32-a707-32179b0827ab"}`},
		"bamboohr": {preset("bamboohr"), plainSecret,
			map[string]string{"X-BambooHR-Timestamp": "1676312382", "X-BambooHR-Signature": "eb1eb785a835535d42cb508ad493717c8dd845d060b0aa753bd9ad7f4612bfd3"}, signedBody},
		"hibob": {preset("hibob"), plainSecret,
			map[string]string{"Bob-Signature": "AA2TdC8iGBvFcDIZCBmyKr3N+DQDIEF4PtdtFX1gud3XgedvI0yBpBX3ZdOWTkw3nllwWfR66GMG+Se0Z0VHuw=="}, signedBody},
		"gusto": {preset("gusto"), plainSecret, map[string]string{"X-Gusto-Signature": gustoSigned}, signedBody},
		"deel": {preset("deel"), plainSecret,
			map[string]string{"X-Deel-Signature": "f217959da502a7dabd7d4e97bf3e48b0e4c366a561a38ee85535acb99e4f22b6"}, signedBody},
		"merge": {preset("merge"), plainSecret,
			map[string]string{"X-Merge-Webhook-Signature": "pWUqadguo4jgfkRuQSn3mR2_gHGlbYMyH_6dQtvF2fg="}, signedBody},
		"by parts, with a prefix": {HMAC{Algorithm: "sha256", Encoding: "hex", Header: "X-Hub-Signature-256", Prefix: "sha256=", Content: "{body}"},
			plainSecret, map[string]string{"X-Hub-Signature-256": "sha256=" + gustoSigned}, signedBody},
		"by parts, with text between": {HMAC{Encoding: "hex", Header: "x-slack-signature", Prefix: "v0=", Content: "v0:{x-slack-request-timestamp}:{body}",
			TimestampHeader: "X-Slack-Request-Timestamp", Tolerance: time.Minute}, plainSecret,
			map[string]string{"X-Slack-Signature": "v0=d5af44336b2ef14593d8500dbcac31266e76db81ec20b93339d9638f1ef6210a", "X-Slack-Request-Timestamp": "1676312382"}, signedBody},
		"by parts, in milliseconds": {HMAC{Encoding: "base64", Header: "svix-signature", Prefix: "v1,", Content: "{svix-id}.{svix-timestamp}.{body}",
			SecretEncoding: "base64", TimestampHeader: "svix-timestamp", IDHeader: "svix-id"}, "whsec_" + inBase64Key,
			map[string]string{"Svix-Id": "msg_1", "Svix-Timestamp": "1676312382000", "Svix-Signature": "v1,xUNIsZxnvZNG66Pcq9/cHKK/2Rdi9N2Q80dCPBCmR0k="}, signedBody},
	}
}

// verifier reads the secrets, a line each.
func (c signedCase) verifier(t testing.TB, secrets string) *verifier {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secrets")
	write(t, file, secrets)
	v, err := Auth{HMAC: c.hmac, SecretFile: file}.verifier(zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (c signedCase) headers() http.Header {
	h := http.Header{}
	for name, value := range c.header {
		h.Set(name, value)
	}
	return h
}

// check is what the handler does with a request, now being so many seconds after
// it was signed.
func (v *verifier) check(h http.Header, method, body string, later time.Duration) error {
	c, err := v.scheme.claim(h, time.Unix(signedAt, 0).Add(later))
	if err != nil {
		return err
	}
	return v.holds(c, method, []byte(body))
}

func TestSignatures(t *testing.T) {
	for name, c := range signedCases() {
		t.Run(name, func(t *testing.T) {
			v := c.verifier(t, c.secret+"\n")
			for what, fault := range map[string]struct {
				err  error
				want string // "": it is good
			}{
				"as it came":            {v.check(c.headers(), "POST", c.body, 0), ""},
				"a byte changed":        {v.check(c.headers(), "POST", strings.Replace(c.body, "e", "E", 1), 0), "no signature that"},
				"a byte more":           {v.check(c.headers(), "POST", c.body+"\n", 0), "no signature that"},
				"a byte less":           {v.check(c.headers(), "POST", c.body[1:], 0), "no signature that"},
				"nothing":               {v.check(c.headers(), "POST", "", 0), "no signature that"},
				"under another secret":  {c.verifier(t, "QW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM=").check(c.headers(), "POST", c.body, 0), "no signature that"},
				"the secret is the new": {c.verifier(t, "QW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM=\n"+c.secret).check(c.headers(), "POST", c.body, 0), ""},
				"the secret is the old": {c.verifier(t, c.secret+"\nQW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM=").check(c.headers(), "POST", c.body, 0), ""},
			} {
				if fault.want == "" && fault.err != nil || fault.want != "" && (fault.err == nil || !strings.Contains(fault.err.Error(), fault.want)) {
					t.Errorf("%s: got %v, want %q", what, fault.err, fault.want)
				}
			}
			for name := range c.header {
				for what, change := range map[string]func(h http.Header){
					"missing": func(h http.Header) { h.Del(name) },
					"empty":   func(h http.Header) { h.Set(name, "") },
					"twice":   func(h http.Header) { h.Add(name, h.Get(name)) },
					"changed": func(h http.Header) { h.Set(name, h.Get(name)[1:]+"x") },
				} {
					h := c.headers()
					change(h)
					if err := v.check(h, "POST", c.body, 0); err == nil {
						t.Errorf("%s %s: good", name, what)
					} else if value := c.header[name]; strings.Contains(err.Error(), value) {
						t.Errorf("%s %s: quoted in %v", name, what, err)
					}
				}
			}
		})
	}
}

func TestSignatureOfAnotherMethod(t *testing.T) {
	c := signedCases()["deel"]
	if err := c.verifier(t, c.secret).check(c.headers(), "PUT", c.body, 0); err == nil {
		t.Error("Deel's signature of a POST is good for a PUT")
	}
}

func TestTimestamps(t *testing.T) {
	for name, c := range signedCases() {
		v := c.verifier(t, c.secret)
		tolerance := 5 * time.Minute
		if c.hmac.Tolerance > 0 {
			tolerance = c.hmac.Tolerance
		}
		for later, want := range map[time.Duration]bool{
			0: true, tolerance: true, -tolerance: true, tolerance + time.Second: false, -tolerance - time.Second: false, 365 * 24 * time.Hour: false,
		} {
			if v.scheme.timestamp == "" {
				want = true
			}
			if err := v.check(c.headers(), "POST", c.body, later); (err == nil) != want {
				t.Errorf("%s, %v later: %v", name, later, err)
			}
		}
	}
	c := signedCases()["standard-webhooks"]
	v := c.verifier(t, c.secret)
	for _, wrong := range []string{"0", "-1676312382", "+1676312382", "1676312382.0", "1_676_312_382", "0x63ea7f7e", "2023-02-13T18:19:42Z",
		"99999999999999", "9223372036854775808", strings.Repeat("0", 20) + "1676312382"} {
		h := c.headers()
		h.Set("Webhook-Timestamp", wrong)
		if err := v.check(h, "POST", c.body, 0); err == nil || !strings.Contains(err.Error(), "Webhook-Timestamp") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestSignatureHeader(t *testing.T) {
	raw := strings.TrimPrefix(stdSigned, "v1,")
	wrong := "v1," + strings.Replace(raw, "s", "t", 1)
	for name, c := range map[string]struct {
		signature string
		good      bool
	}{
		"behind another":             {wrong + " " + stdSigned, true},
		"before another":             {stdSigned + "  " + wrong, true},
		"next to an asymmetric one":  {"v1a,bm90IGFuIEhNQUM= " + stdSigned, true},
		"next to what is no base64":  {"v1,*** " + stdSigned, true},
		"next to a shorter one":      {"v1,AAAA " + stdSigned, true},
		"without its padding":        {strings.TrimRight(stdSigned, "="), true},
		"in the other alphabet":      {strings.NewReplacer("+", "-", "/", "_").Replace(stdSigned), true},
		"the last of many":           {strings.Repeat(wrong+" ", maxSignatures-1) + stdSigned, true},
		"one too many":               {strings.Repeat(wrong+" ", maxSignatures) + stdSigned, false},
		"wrong ones only":            {wrong + " " + wrong, false},
		"asymmetric only":            {"v1a," + raw, false},
		"without the prefix":         {raw, false},
		"the prefix only":            {"v1,", false},
		"half of it":                 {stdSigned[:24], false},
		"with a comma for the space": {wrong + "," + stdSigned, false},
		"only spaces":                {"   ", false},
		"longer by a byte":           {"v1,sdG69kGfN5QYEz8xT2l+KutDr5EkWYNMd6Ni3SPe9LUA", false},
	} {
		of := signedCases()["standard-webhooks"]
		h := of.headers()
		h.Set("Webhook-Signature", c.signature)
		if err := of.verifier(t, of.secret).check(h, "POST", of.body, 0); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	of := signedCases()["gusto"]
	h := of.headers()
	h.Set("X-Gusto-Signature", strings.ToUpper(gustoSigned))
	if err := of.verifier(t, of.secret).check(h, "POST", of.body, 0); err != nil {
		t.Errorf("hex in upper case: %v", err)
	}
}

func TestTheSameBodyUnderTwoSecrets(t *testing.T) {
	of := signedCases()["gusto"]
	h := of.headers()
	h.Set("X-Gusto-Signature", "6e957b561eed14f680b44dd007e7589e07b37e730f2aebfab81cdd0431c3b398") // under otherSecret
	for name, c := range map[string]struct {
		secrets string
		good    bool
	}{
		"the first of two":  {otherSecret + "\n" + plainSecret, true},
		"the second of two": {plainSecret + "\n# new\n" + otherSecret, true},
		"not among them":    {plainSecret + "\n" + plainSecret + "2", false},
	} {
		if err := of.verifier(t, c.secrets).check(h, "POST", of.body, 0); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLongID(t *testing.T) {
	c := signedCases()["standard-webhooks"]
	h := c.headers()
	h.Set("Webhook-Id", strings.Repeat("x", maxSignedID+1))
	if err := c.verifier(t, c.secret).check(h, "POST", c.body, 0); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

// FuzzClaim gives the verifier headers of anybody's making: nobody gets through
// without the secret, and nothing of theirs is quoted.
func FuzzClaim(f *testing.F) {
	for _, c := range signedCases() {
		h := c.headers()
		for name := range h {
			f.Add(h.Get(name), "1676312382", "msg_1", c.body)
		}
	}
	f.Add("v1, v1,= v1,==== \t v1a,", "1676312382000", "", "")
	secrets, err := consumer.Keep("secrets", zap.NewNop(), func() ([][]byte, error) { return [][]byte{[]byte("only the test knows this secret")}, nil })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signature, timestamp, id, body string) {
		for _, preset := range []string{"standard-webhooks", "bamboohr", "hibob"} {
			s, err := HMAC{Preset: preset}.scheme("hmac")
			if err != nil {
				t.Fatal(err)
			}
			v := &verifier{scheme: s, secrets: secrets}
			h := http.Header{}
			for _, name := range s.headers() {
				h[name] = []string{id}
			}
			if s.timestamp != "" {
				h[s.timestamp] = []string{timestamp}
			}
			h[s.header] = []string{signature}
			if err := v.check(h, "POST", body, 0); err == nil {
				t.Fatalf("%s: %q is good", preset, signature)
			}
			if c, err := s.claim(h, time.Unix(signedAt, 0)); err == nil && (len(c.signatures) == 0 || len(c.signatures) > maxSignatures) {
				t.Fatalf("%s: %d signatures", preset, len(c.signatures))
			}
		}
	})
}
