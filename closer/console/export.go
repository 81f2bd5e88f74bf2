package console

import (
	"archive/zip"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// The files of an export.
const (
	LeaversCSV   = "leavers.csv"
	LeaversJSONL = "leavers.jsonl"
	AuditJSONL   = "audit.jsonl"
	ManifestFile = "manifest.json"
	SignatureOf  = "manifest.json.sig" // Ed25519 of the manifest, in base64
)

// Export says what is exported, and how.
type Export struct {
	Period  ledger.Period
	Format  string // csv or jsonl; "": both
	Version string // of signoff
	Sign    func([]byte) []byte
}

// Manifest says what an export is made of.
type Manifest struct {
	Ledger    string         `json:"ledger"` // its id
	Version   string         `json:"signoff"`
	Since     time.Time      `json:"since,omitzero"` // when the leavings took effect; left out: without such an end
	Until     time.Time      `json:"until,omitzero"` // before this
	CreatedAt time.Time      `json:"createdAt"`
	Leavings  int            `json:"leavings"`
	Files     []ManifestItem `json:"files"`
	Chain     ManifestChain  `json:"chain"`
}

// ManifestItem is a file of an export.
type ManifestItem struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"` // lines, the head of a CSV aside
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ManifestChain says which rows of the audit are in an export; all is zero where
// there are none.
type ManifestChain struct {
	FirstSeq  int64  `json:"firstSeq"`
	FirstHash string `json:"firstHash"`
	LastSeq   int64  `json:"lastSeq"`
	LastHash  string `json:"lastHash"`
}

// Write writes the export. create opens each file in turn; the one before is
// complete by then. It returns what the manifest says.
func (x Export) Write(ctx context.Context, l *ledger.Ledger, create func(name string) (io.Writer, error)) (Manifest, error) {
	m := Manifest{Version: x.Version, Since: x.Period.Since, Until: x.Period.Until, CreatedAt: time.Now().UTC().Truncate(time.Second), Files: []ManifestItem{}}
	var err error
	if m.Ledger, err = l.ID(ctx); err != nil {
		return m, err
	}
	evidence, err := l.Evidence(ctx, x.Period)
	if err != nil {
		return m, err
	}
	defer func() { _ = evidence.Close() }()
	for _, file := range []struct {
		name  string
		write func(*ledger.Evidence, *exported) error
	}{{LeaversCSV, writeCSV}, {LeaversJSONL, writeJSONL}, {AuditJSONL, m.Chain.write}} {
		if x.Format == "csv" && file.name == LeaversJSONL || x.Format == "jsonl" && file.name == LeaversCSV {
			continue
		}
		w, err := create(file.name)
		if err != nil {
			return m, err
		}
		out := &exported{w: w, sum: sha256.New()}
		if err := file.write(evidence, out); err != nil {
			return m, fmt.Errorf("%s: %w", file.name, err)
		}
		m.Files = append(m.Files, ManifestItem{file.name, out.rows, out.bytes, hex.EncodeToString(out.sum.Sum(nil))})
		if file.name != AuditJSONL {
			m.Leavings = int(out.rows)
		}
	}
	return m, m.write(x.Sign, create)
}

func (m Manifest) write(sign func([]byte) []byte, create func(name string) (io.Writer, error)) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	w, err := create(ManifestFile)
	if err == nil {
		_, err = w.Write(text)
	}
	if err != nil || sign == nil {
		return err
	}
	if w, err = create(SignatureOf); err == nil {
		_, err = fmt.Fprintln(w, base64.StdEncoding.EncodeToString(sign(text)))
	}
	return err
}

// exported is a file on its way, summed up.
type exported struct {
	w     io.Writer
	sum   hash.Hash
	bytes int64
	rows  int64
}

func (e *exported) Write(p []byte) (int, error) {
	n, err := e.w.Write(p)
	_, _ = e.sum.Write(p[:n])
	e.bytes += int64(n)
	return n, err
}

func writeJSONL(from *ledger.Evidence, to *exported) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	return from.Leavings(func(l ledger.EntryEvidence) error {
		to.rows++
		return enc.Encode(l)
	})
}

// write writes the rows of the audit, and keeps the first and the last.
func (c *ManifestChain) write(from *ledger.Evidence, to *exported) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	return from.Rows(func(r ledger.ChainRow) error {
		to.rows++
		if c.FirstSeq == 0 {
			c.FirstSeq, c.FirstHash = r.Seq, r.Hash
		}
		c.LastSeq, c.LastHash = r.Seq, r.Hash
		return enc.Encode(r)
	})
}

// column is one of leavers.csv.
type column struct {
	name string
	of   func(ledger.EntryEvidence) string
}

// columns are those of leavers.csv. Where there are several of a thing, they stand
// in the same order, with a semicolon between.
func columns() []column {
	users := func(of func(ledger.UserEvidence) string) func(ledger.EntryEvidence) string {
		return func(l ledger.EntryEvidence) string { return several(l.Users, of) }
	}
	events := func(of func(ledger.EventEvidence) string) func(ledger.EntryEvidence) string {
		return func(l ledger.EntryEvidence) string { return several(l.Events, of) }
	}
	return []column{
		{"entry", func(l ledger.EntryEvidence) string { return strconv.FormatInt(l.Entry, 10) }},
		{"account", func(l ledger.EntryEvidence) string { return l.Account }},
		{"emails", func(l ledger.EntryEvidence) string { return strings.Join(l.Emails, "; ") }},
		{"given_name", func(l ledger.EntryEvidence) string { return l.GivenName }},
		{"family_name", func(l ledger.EntryEvidence) string { return l.FamilyName }},
		{"employee_id", func(l ledger.EntryEvidence) string { return l.EmployeeID }},
		{"termination_id", func(l ledger.EntryEvidence) string { return l.TerminationID }},
		{"legal_entity", func(l ledger.EntryEvidence) string { return l.LegalEntity }},
		{"department", func(l ledger.EntryEvidence) string { return l.Department }},
		{"manager_email", func(l ledger.EntryEvidence) string { return l.ManagerEmail }},
		{"urgent", func(l ledger.EntryEvidence) string { return strconv.FormatBool(l.Urgent) }},
		{"event_sources", events(func(e ledger.EventEvidence) string { return e.Source })},
		{"event_ids", events(func(e ledger.EventEvidence) string { return e.ID })},
		{"events", events(func(e ledger.EventEvidence) string { return e.What })},
		{"occurred_at", events(func(e ledger.EventEvidence) string { return e.OccurredAt })},
		{"brought_by", events(func(e ledger.EventEvidence) string { return e.By })},
		{"received_at", func(l ledger.EntryEvidence) string { return written(l.ReceivedAt) }},
		{"effective_at", func(l ledger.EntryEvidence) string { return written(l.EffectiveAt) }},
		{"due_at", func(l ledger.EntryEvidence) string { return written(l.DueAt) }},
		{"deferred_until", func(l ledger.EntryEvidence) string { return written(l.DeferredUntil) }},
		{"state", func(l ledger.EntryEvidence) string { return string(l.State) }},
		{"reason", func(l ledger.EntryEvidence) string { return l.Reason }},
		{"settled_at", func(l ledger.EntryEvidence) string { return written(l.SettledAt) }},
		{"hours_to_close", func(l ledger.EntryEvidence) string {
			if l.HoursToClose == nil {
				return ""
			}
			return strconv.FormatFloat(*l.HoursToClose, 'f', 2, 64)
		}},
		{"holds", func(l ledger.EntryEvidence) string {
			return several(l.Holds, func(h ledger.HoldEvidence) string {
				return fmt.Sprintf("%d %s %s %s", h.Hold, strings.Join(h.Kinds, ","), h.State, h.Digest)
			})
		}},
		{"decided", func(l ledger.EntryEvidence) string {
			var all []ledger.WordEvidence
			for _, h := range l.Holds {
				all = append(all, h.People...)
			}
			return several(all, said)
		}},
		{"by_hand", func(l ledger.EntryEvidence) string { return several(l.Words, said) }},
		{"user_ids", users(func(u ledger.UserEvidence) string { return u.UserID })},
		{"user_outcomes", users(func(u ledger.UserEvidence) string {
			return strings.TrimSpace(u.Outcome + " " + u.Reason + " " + u.Note)
		})},
		{"batches", users(func(u ledger.UserEvidence) string {
			if u.Batch == 0 {
				return ""
			}
			return strconv.FormatInt(u.Batch, 10)
		})},
		{"sent_at", users(func(u ledger.UserEvidence) string { return written(u.SentAt) })},
		{"answered_at", users(func(u ledger.UserEvidence) string { return written(u.AnsweredAt) })},
		{"trace_tokens", users(func(u ledger.UserEvidence) string { return u.TraceToken })},
		{"last_logins", users(func(u ledger.UserEvidence) string { return written(u.LastLogin) })},
		{"watched_until", watched(func(w ledger.WatchEvidence) time.Time { return w.Until })},
		{"last_look_at", watched(func(w ledger.WatchEvidence) time.Time { return w.LastLook })},
		{"returned_at", watched(func(w ledger.WatchEvidence) time.Time { return w.ReturnedAt })},
		{"previous_entry", func(l ledger.EntryEvidence) string { return numbered(l.Previous) }},
		{"audit_row", func(l ledger.EntryEvidence) string { return numbered(l.AuditRow) }},
		{"erased_at", func(l ledger.EntryEvidence) string { return written(l.ErasedAt) }},
	}
}

func writeCSV(from *ledger.Evidence, to *exported) error {
	w := csv.NewWriter(to)
	all := columns()
	cells := make([]string, len(all))
	for i, c := range all {
		cells[i] = c.name
	}
	if err := w.Write(cells); err != nil {
		return err
	}
	if err := from.Leavings(func(l ledger.EntryEvidence) error {
		to.rows++
		for i, c := range all {
			cells[i] = harmless(c.of(l))
		}
		return w.Write(cells)
	}); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// several joins what there is; nothing, if all of it is empty.
func several[T any](all []T, of func(T) string) string {
	texts := make([]string, 0, len(all))
	for _, one := range all {
		texts = append(texts, of(one))
	}
	if strings.Join(texts, "") == "" {
		return ""
	}
	return strings.Join(texts, "; ")
}

func watched(of func(ledger.WatchEvidence) time.Time) func(ledger.EntryEvidence) string {
	return func(l ledger.EntryEvidence) string {
		if l.Watch == nil {
			return ""
		}
		return written(of(*l.Watch))
	}
}

// said is a person's word in one cell.
func said(w ledger.WordEvidence) string {
	text := w.What + " by " + w.By + " " + written(w.At)
	if w.Until != "" {
		text += " until " + w.Until
	}
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return text
}

func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func numbered(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// ReadPeriod reads the bounds of a period: each an RFC 3339 date-time, or a date,
// which begins at midnight UTC; "": without that end.
func ReadPeriod(since, until string) (p ledger.Period, err error) {
	for _, end := range []struct {
		name, text string
		into       *time.Time
	}{{"since", since, &p.Since}, {"until", until, &p.Until}} {
		if end.text == "" {
			continue
		}
		if *end.into, err = moment(end.name, end.text); err != nil {
			return p, err
		}
	}
	if !p.Until.IsZero() && !p.Since.Before(p.Until) {
		return p, errors.New("until: is not after since")
	}
	return p, nil
}

// CheckFormat refuses a format of leavers that there is not.
func CheckFormat(format string) error {
	if format != "" && format != "csv" && format != "jsonl" {
		return fmt.Errorf("format: %q: neither csv nor jsonl; left out, it is both", format)
	}
	return nil
}

// exportAtMost is how long an export may take: for as long the ledger keeps what
// was there when it began.
const exportAtMost = 10 * time.Minute

// exportAudit answers a zip, one after the other. Where it fails underway the
// connection breaks off, so that nobody takes half of it for the whole.
func (s *Server) exportAudit(w http.ResponseWriter, r *http.Request, who principal) {
	if who.name == "" {
		problem(w, http.StatusForbidden, "evidence names people: it needs a named person, see admin.tokens_file")
		return
	}
	q := r.URL.Query()
	period, err := ReadPeriod(q.Get("since"), q.Get("until"))
	if err = errors.Join(err, CheckFormat(q.Get("format"))); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), exportAtMost)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportAtMost))
	s.exporting.Lock()
	defer s.exporting.Unlock()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="signoff-evidence.zip"`)
	sent := &exported{w: w, sum: sha256.New()}
	packed := zip.NewWriter(sent)
	x := Export{Period: period, Format: q.Get("format"), Version: s.daemon.About.Version, Sign: s.daemon.Sign}
	m, err := x.Write(ctx, s.ledger, packed.Create)
	if err == nil {
		err = packed.Close()
	}
	switch {
	case err != nil && sent.bytes == 0:
		w.Header().Del("Content-Disposition")
		s.fail(w, err)
		return
	case err != nil:
		s.log.Warn("evidence could not be exported", zap.String("by", who.said()), zap.Error(err))
		panic(http.ErrAbortHandler)
	}
	s.log.Info("evidence exported", zap.String("by", who.said()), zap.Int("leavings", m.Leavings),
		zap.Int64("audit_rows", m.Chain.LastSeq-m.Chain.FirstSeq+1), zap.Bool("signed", s.daemon.Sign != nil))
}

// CheckSignature says whether the key has signed a manifest.
func CheckSignature(key ed25519.PublicKey, manifest, signature []byte) bool {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(signature)))
	return err == nil && ed25519.Verify(key, manifest, sig)
}
