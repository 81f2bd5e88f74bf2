package console_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// folder takes the files of an export.
type folder struct {
	t    *testing.T
	path string
}

func (f folder) create(name string) (io.Writer, error) {
	file, err := os.Create(filepath.Join(f.path, name))
	f.t.Cleanup(func() { _ = file.Close() })
	return file, err
}

func (f folder) read(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.path, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// left records that this person has left, under an odd name.
func (r *room) left(t *testing.T, name string) {
	t.Helper()
	now := time.Now().UTC()
	if err := r.ledger.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{{
		Key:  consumer.Key{Origin: "/events", Source: "https://hr.example.com", ID: "odd"},
		Kind: consumer.Terminated, Hash: "h", Email: "odd@example.com", GivenName: name, EmployeeID: "+1", Department: "@home",
		OccurredAt: now, ReceivedAt: now, EffectiveAt: now}}}); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T) (ed25519.PublicKey, func([]byte) []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, func(text []byte) []byte { return ed25519.Sign(private, text) }
}

// exported has a room's evidence exported by the API, by a viewer.
func exported(t *testing.T, r *room, format string) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.Create(filepath.Join(t.TempDir(), "packed"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if err := client.Export(t.Context(), "", "", format, packed, f.create); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExportIsWholeAndSigned(t *testing.T) {
	public, sign := keys(t)
	r := open(t, setup{sign: sign})
	id := r.hold(t, ledger.Protected, "ann", "bob")
	client, err := console.NewClient(r.url, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Approve(t.Context(), id, r.verdict(t, id, "both have left")); err != nil {
		t.Fatal(err)
	}
	r.left(t, `=HYPERLINK("https://evil.example.com")`)
	f := exported(t, r, "")
	c, err := console.CheckExport(os.DirFS(f.path), public, nil)
	if err != nil || len(c.Texts) > 0 || !c.Signed || c.Leavings != 3 || c.Version != "0.0.1" || len(c.Files) != 3 {
		t.Fatalf("got %+v, %v", c, err)
	}
	rows, err := csv.NewReader(strings.NewReader(f.read("leavers.csv"))).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	cell := func(row int, column string) string { return rows[row][slices.Index(rows[0], column)] }
	for column, want := range map[string]string{"emails": "ann@example.com", "state": "due", "event_ids": "ann",
		"event_sources": "https://hr.example.com", "account": account} {
		if got := cell(1, column); got != want {
			t.Errorf("%s is %q, want %q", column, got, want)
		}
	}
	if got := cell(1, "decided"); !strings.HasPrefix(got, "approved by alice 20") || !strings.HasSuffix(got, ": both have left") {
		t.Errorf("decided is %q", got)
	}
	for column, want := range map[string]string{"given_name": `'=HYPERLINK("https://evil.example.com")`, "employee_id": "'+1", "department": "'@home"} {
		if got := cell(3, column); got != want {
			t.Errorf("%s is %q, want %q", column, got, want)
		}
	}
	if text := f.read("leavers.jsonl"); strings.Count(text, "\n") != 3 || !strings.Contains(text, `"by":"alice"`) {
		t.Errorf("leavers.jsonl is %s", text)
	}
	if text := f.read("audit.jsonl"); strings.Count(text, "\n") != int(c.Chain.LastSeq) || !strings.Contains(text, `"value":"ann@example.com"`) {
		t.Errorf("audit.jsonl is %s", text)
	}
	if other, _ := keys(t); len(must(console.CheckExport(os.DirFS(f.path), other, nil)).Texts) != 1 {
		t.Error("another key has signed it as well")
	}
}

func must(c console.Checked, err error) console.Checked {
	if err != nil {
		panic(err)
	}
	return c
}

func TestExportInOneFormat(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann")
	for format, absent := range map[string]string{"csv": "leavers.jsonl", "jsonl": "leavers.csv"} {
		f := exported(t, r, format)
		c := must(console.CheckExport(os.DirFS(f.path), nil, nil))
		if _, err := os.Stat(filepath.Join(f.path, absent)); err == nil || c.Leavings != 1 || len(c.Files) != 2 || c.Signed || len(c.Texts) > 0 {
			t.Errorf("%s: %+v", format, c)
		}
	}
}

func TestChangedExportIsFound(t *testing.T) {
	public, sign := keys(t)
	r := open(t, setup{sign: sign})
	r.hold(t, ledger.Limit, "ann", "bob")
	whole := exported(t, r, "")
	last := must(console.CheckExport(os.DirFS(whole.path), public, nil)).Chain
	for name, tt := range map[string]struct {
		file, old, new string
		want           string
	}{
		"a leaver edited":           {"leavers.csv", "ann@", "eve@", "leavers.csv was changed"},
		"a row of the audit edited": {"audit.jsonl", `"action":"due"`, `"action":"dun"`, "audit.jsonl was changed"},
		"a personal field edited":   {"audit.jsonl", `"value":"ann@`, `"value":"eve@`, "audit.jsonl was changed"},
		"the manifest edited":       {"manifest.json", `"leavings": 2`, `"leavings": 3`, "manifest.json.sig: the key has not signed this manifest.json"},
		"the signature removed":     {"manifest.json.sig", "", "", "manifest.json.sig is missing"},
		"a file removed":            {"leavers.jsonl", "", "", "leavers.jsonl is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			f := folder{t, t.TempDir()}
			if err := os.CopyFS(f.path, os.DirFS(whole.path)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(f.path, tt.file)
			err := os.Remove(path)
			if tt.old != "" {
				text := strings.Replace(whole.read(tt.file), tt.old, tt.new, 1)
				err = os.WriteFile(path, []byte(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			c := must(console.CheckExport(os.DirFS(f.path), public, nil))
			if len(c.Texts) == 0 || !strings.HasPrefix(c.Texts[0], tt.want) {
				t.Errorf("got %q, want %q", c.Texts, tt.want)
			}
			if tt.file == "audit.jsonl" && (len(c.Texts) < 2 || !strings.HasPrefix(c.Texts[1], "audit row ")) {
				t.Errorf("got %q, want the row named as well", c.Texts)
			}
		})
	}
	head := ledger.Checkpoint{Head: ledger.Head{Seq: last.LastSeq, Hash: strings.Repeat("0", 64)}}
	if c := must(console.CheckExport(os.DirFS(whole.path), public, []ledger.Checkpoint{head})); len(c.Texts) != 1 || c.Heads != 1 {
		t.Errorf("a head that went out and is another: %q", c.Texts)
	}
}

func TestWhoMayExport(t *testing.T) {
	for name, tt := range map[string]struct {
		noTokens bool
		query    string
		token    string
		status   int
		want     string
	}{
		"a viewer":                  {false, "", viewer, 200, ""},
		"nobody":                    {false, "", "", 401, "a token from"},
		"where there are no tokens": {true, "", "", 403, "it needs a named person"},
		"since when nobody knows":   {false, "?since=yesterday", viewer, 400, `since: \"yesterday\": neither a date`},
		"until before since":        {false, "?since=2026-07-02&until=2026-07-02", viewer, 400, "not after since"},
		"as what there is not":      {false, "?format=xlsx", viewer, 400, "neither csv nor jsonl"},
		"of a day":                  {false, "?since=2026-07-01&until=2026-07-02", viewer, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{noTokens: tt.noTokens})
			a := r.ask(t, http.MethodGet, "/api/v1/audit/export"+tt.query, tt.token, "")
			if a.status != tt.status || !strings.Contains(a.body, tt.want) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a.status == 200 && a.header.Get("Content-Type") != "application/zip" {
				t.Errorf("header %v", a.header)
			}
			if a.status != 200 {
				isProblem(t, a)
			}
		})
	}
}

func TestReadPeriod(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 7, d, 0, 0, 0, 0, time.UTC) }
	for name, tt := range map[string]struct {
		since, until string
		want         ledger.Period
	}{
		"nothing":  {"", "", ledger.Period{}},
		"two days": {"2026-07-01", "2026-07-03", ledger.Period{Since: day(1), Until: day(3)}},
		"times":    {"2026-07-01T02:00:00+02:00", "2026-07-02T00:00:00Z", ledger.Period{Since: day(1), Until: day(2)}},
	} {
		if got, err := console.ReadPeriod(tt.since, tt.until); err != nil || got != tt.want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// What breaks off is no export.
func TestExportThatFailsIsNoExport(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann")
	full := errors.New("the disk is full")
	_, err := console.Export{}.Write(t.Context(), r.ledger, func(string) (io.Writer, error) { return failing{full}, nil })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (console.Export{}).Write(ended, r.ledger, func(string) (io.Writer, error) { return io.Discard, nil }); err == nil {
		t.Error("an export without an error")
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// openssl checks the signature as the README says.
func TestOpenSSLChecksTheSignature(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	if version, err := exec.Command(openssl, "version").Output(); err != nil || !bytes.HasPrefix(version, []byte("OpenSSL 3")) {
		t.Skipf("%s, not OpenSSL 3", version)
	}
	public, sign := keys(t)
	r := open(t, setup{sign: sign})
	r.hold(t, ledger.Limit, "ann")
	f := exported(t, r, "")
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(f.read("manifest.json.sig")))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"sig": signature, "audit.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		if err := os.WriteFile(filepath.Join(f.path, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "audit.pub", "-rawin", "-in", "manifest.json", "-sigfile", "sig")
		cmd.Dir = f.path
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := verify(); err != nil || !strings.Contains(out, "Success") {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(f.path, "manifest.json"), []byte(f.read("manifest.json")+" "), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(); err == nil {
		t.Error("a changed manifest is signed: ", out)
	}
}

// An export goes out row by row, however many leavers there are.
func TestExportStreams(t *testing.T) {
	r := open(t, setup{})
	now := time.Now().UTC()
	for batch := range 4 {
		var in consumer.Intake
		for i := range 1000 {
			id := fmt.Sprintf("many%d-%d", batch, i)
			in.Events = append(in.Events, consumer.Event{Key: consumer.Key{Origin: "/events", Source: "hr", ID: id}, Kind: consumer.Terminated,
				Hash: "h", Email: id + "@example.com", OccurredAt: now, ReceivedAt: now, EffectiveAt: now})
		}
		if err := r.ledger.Record(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	most := 0
	m, err := console.Export{}.Write(t.Context(), r.ledger, func(string) (io.Writer, error) { return largest{&most}, nil })
	if err != nil || m.Leavings != 4000 || m.Chain.LastSeq != 4000 {
		t.Errorf("got %+v, %v", m, err)
	}
	if most > 16<<10 {
		t.Errorf("%d bytes came at once", most)
	}
}

type largest struct{ most *int }

func (l largest) Write(p []byte) (int, error) {
	*l.most = max(*l.most, len(p))
	return len(p), nil
}
