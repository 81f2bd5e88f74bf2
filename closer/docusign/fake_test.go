package docusign

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testUser    = "0a0a0a0a-0000-4000-8000-000000000000"
	testAccount = "acc0acc0-0000-4000-8000-000000000000"
)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func writePEM(t *testing.T, blockType string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func testConfig(t *testing.T) Config {
	t.Helper()
	return Config{
		AuthServer:     "https://account-d.docusign.com",
		IntegrationKey: "1a1a1a1a-0000-4000-8000-000000000000",
		UserID:         testUser,
		PrivateKeyFile: writePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey())),
	}
}

// fake answers in place of Docusign: sign-ins by signIn, the rest by api. Both
// get the n-th request of theirs, from 1.
type fake struct {
	signIn func(n int, req *http.Request) (*http.Response, error) // nil: a token for an hour
	api    func(n int, req *http.Request) (*http.Response, error)

	mu      sync.Mutex
	signIns int
	calls   []string // method and URL of each call of the API
	bodies  []string
	tokens  []string // that they came with
}

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	f.mu.Lock()
	if req.URL.Path == "/oauth/token" {
		f.signIns++
		n := f.signIns
		f.mu.Unlock()
		if f.signIn != nil {
			req.Body = io.NopCloser(strings.NewReader(string(body)))
			return f.signIn(n, req)
		}
		return say(200, `{"access_token":"token-`+string(rune('0'+n))+`","token_type":"Bearer","expires_in":3600}`), nil
	}
	f.calls = append(f.calls, req.Method+" "+req.URL.String())
	f.bodies = append(f.bodies, string(body))
	f.tokens = append(f.tokens, req.Header.Get("Authorization"))
	n := len(f.calls)
	f.mu.Unlock()
	return f.api(n, req)
}

// say is an answer of Docusign's, dated now; headers are name and value in turn.
func say(status int, body string, headers ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}, "X-Docusign-Tracetoken": {"trace-1"}}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// always answers every call of the API the same way.
func always(status int, body string, headers ...string) *fake {
	return &fake{api: func(int, *http.Request) (*http.Response, error) { return say(status, body, headers...), nil }}
}

// failing never answers.
func failing(err error) *fake {
	return &fake{api: func(int, *http.Request) (*http.Response, error) { return nil, err }}
}

func newTestClient(t *testing.T, f *fake) *Client {
	t.Helper()
	c, err := New(testConfig(t), f, Observe{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newTestAccount(t *testing.T, f *fake) *Account {
	t.Helper()
	return newTestClient(t, f).Account(AccountInfo{ID: testAccount, BaseURI: "https://demo.docusign.net"})
}

// cutBody is an answer whose connection ends in the middle.
type cutBody struct{ io.Reader }

func (c cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (cutBody) Close() error { return nil }

// hang answers nothing until the caller gives up.
func hang(_ int, req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}
