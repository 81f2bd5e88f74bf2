package docusign

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

// What one import may hold. It is documented for adding and updating users;
// of closing, nothing is said.
const (
	MaxImportUsers      = 8000
	MaxImportAccounts   = 50
	MaxImportPerAccount = 2000
)

// Upload is an import: whom to close, in which account.
type Upload struct {
	Rows     []ImportRow
	Columns  []string     // nil: DefaultColumns
	FileName string       // as Docusign shows it
	Sending  func() error // called before it goes out, each time; nil for none
}

// ImportRow is one user to be closed.
type ImportRow struct {
	AccountID string
	UserID    string
	Email     string
	Name      string // "" where no column needs it
}

// DefaultColumns are those of the template on Docusign's own page. The API's
// description has others, which it shares with the import that updates users.
var DefaultColumns = []string{"AccountID", "APIUserName", "UserEmail"}

// columns are the cells that a row can fill. A cell that we have nothing for
// stays empty.
var columns = map[string]func(ImportRow) string{
	"AccountID":   func(r ImportRow) string { return r.AccountID },
	"AccountName": func(ImportRow) string { return "" },
	"APIUserName": func(r ImportRow) string { return r.UserID },
	"FullName":    func(r ImportRow) string { return harmless(r.Name) },
	"FirstName":   func(r ImportRow) string { first, _ := splitName(r.Name); return first },
	"LastName":    func(r ImportRow) string { _, last := splitName(r.Name); return last },
	"UserEmail":   func(r ImportRow) string { return r.Email },
}

// KnownColumns are those that Upload.Columns may name.
func KnownColumns() []string {
	return []string{"AccountID", "AccountName", "APIUserName", "FullName", "FirstName", "LastName", "UserEmail"}
}

// splitName takes the last word for the last name.
func splitName(name string) (first, last string) {
	name = harmless(name)
	cut := strings.LastIndexByte(name, ' ')
	if cut < 0 {
		return name, ""
	}
	return name[:cut], harmless(name[cut+1:])
}

// harmless is a name on one line that no spreadsheet takes for a formula: the
// file may end up in one.
func harmless(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	return strings.TrimLeft(strings.Join(words, " "), "=+-@ ")
}

// CloseUsers has Docusign close the users of u, in one request that only says
// so: the import that it returns is carried out later, and asked for by its id.
// After an error of class Unknown there may be such an import; after one of
// another class there is none. What is said of Account.CloseUsers about sending
// goes for Upload.Sending.
func (o *Organization) CloseUsers(ctx context.Context, u Upload) (Import, error) {
	if err := u.check(o.account.client.cfg.UserID); err != nil {
		return Import{}, refuse(OpImportUsers, verdict{class: Permanent, reason: reasonOther}, err)
	}
	file, err := u.File()
	if err != nil {
		return Import{}, refuse(OpImportUsers, verdict{class: Permanent, reason: reasonOther}, err)
	}
	// The specification says multipart/form-data. Docusign's samples, its clients
	// and its text on updating users all send the file as it is.
	header := http.Header{
		"Content-Type":        {"text/csv"},
		"Content-Disposition": {"filename=" + cmp.Or(u.FileName, "close.csv")},
	}
	ans, err := o.account.client.do(ctx, request{
		op: OpImportUsers, method: http.MethodPost, url: o.url + "/imports/bulk_users/close",
		body: file, header: header, account: o.account, sending: u.Sending,
	})
	if err != nil {
		return Import{}, err
	}
	return readImport(OpImportUsers, ans)
}

// check finds what Docusign would refuse, and what must not be asked of it.
func (u Upload) check(ownUser string) error {
	if len(u.Rows) == 0 || len(u.Rows) > MaxImportUsers {
		return fmt.Errorf("%d users: an import holds 1 to %d", len(u.Rows), MaxImportUsers)
	}
	perAccount := make(map[string]int)
	for i, r := range u.Rows {
		switch account := strings.ToLower(r.AccountID); {
		case strings.TrimSpace(account) == "" || strings.TrimSpace(r.UserID) == "":
			return fmt.Errorf("row %d: an account id or a userId is empty", i+1)
		case strings.EqualFold(r.UserID, ownUser): // all that follows would fail
			return fmt.Errorf("row %d: the user of docusign.user_id, who is never closed", i+1)
		default:
			perAccount[account]++
			if perAccount[account] > MaxImportPerAccount {
				return fmt.Errorf("account %s: more than %d users in an import", account, MaxImportPerAccount)
			}
		}
	}
	if len(perAccount) > MaxImportAccounts {
		return fmt.Errorf("%d accounts: an import holds %d", len(perAccount), MaxImportAccounts)
	}
	return nil
}

// File is the CSV that is uploaded, by CloseUsers or by a person on Docusign's
// own page. Its only errors are those of Columns.
func (u Upload) File() ([]byte, error) {
	header := u.Columns
	if len(header) == 0 {
		header = DefaultColumns
	}
	for i, c := range header {
		switch {
		case columns[c] == nil:
			return nil, fmt.Errorf("column %q: none of %s", c, strings.Join(KnownColumns(), ", "))
		case slices.Contains(header[:i], c):
			return nil, fmt.Errorf("column %q: named twice", c)
		}
	}
	records := [][]string{header}
	for _, r := range u.Rows {
		record := make([]string, len(header))
		for i, c := range header {
			record[i] = columns[c](r)
		}
		records = append(records, record)
	}
	var text bytes.Buffer
	err := csv.NewWriter(&text).WriteAll(records)
	return text.Bytes(), err
}

// ImportState is how far an import is.
type ImportState string

// The states of an import.
const (
	Running      ImportState = "running" // or a word that we don't know: Docusign documents none but "completed"
	Completed    ImportState = "completed"
	ImportFailed ImportState = "failed"
)

// Import is an import as Docusign shows it, of whatever type and whoever's.
type Import struct {
	ID         string
	Type       string
	Status     string // Docusign's word for State
	State      ImportState
	Created    time.Time // UTC; zero if not said
	Requestor  string    // id of the user or app that asked for it
	Users      int       // in its file
	Processed  int
	Closed     int
	HasResults bool
}

// wireImport is an OrganizationImportResponse, as far as we read it.
type wireImport struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Created   stamp  `json:"created"`
	Requestor struct {
		ID string `json:"id"`
	} `json:"requestor"`
	Users      number `json:"user_count"`
	Processed  number `json:"processed_user_count"`
	Closed     number `json:"closed_user_count"`
	HasResults flag   `json:"has_csv_results"`
}

func (w wireImport) imported() Import {
	status := strings.ReplaceAll(strings.TrimSpace(w.Status), " ", "_")
	return Import{
		ID: w.ID, Type: plain(w.Type), Status: plain(status), State: stateOf(status), Created: w.Created.Time,
		Requestor: plain(w.Requestor.ID), Users: int(w.Users), Processed: int(w.Processed), Closed: int(w.Closed),
		HasResults: bool(w.HasResults),
	}
}

func stateOf(status string) ImportState {
	switch strings.ToLower(status) {
	case "completed":
		return Completed
	case "failed", "error", "cancelled", "canceled":
		return ImportFailed
	}
	return Running
}

// readImport reads an answer that is one import.
func readImport(op Operation, ans answer) (Import, error) {
	var w wireImport
	if json.Unmarshal(ans.body, &w) != nil || plain(w.ID) == "" {
		return Import{}, unreadable(op, ans)
	}
	return w.imported(), nil
}

// Imports lists the organization's imports, of every type and state.
func (o *Organization) Imports(ctx context.Context) ([]Import, error) {
	ans, err := o.get(ctx, OpListImports, "/imports/bulk_users", nil)
	if err != nil {
		return nil, err
	}
	var said struct {
		Imports []wireImport `json:"imports"` // may be left out where there is none
		Error   string       `json:"error"`
	}
	if json.Unmarshal(ans.body, &said) != nil || said.Error != "" {
		return nil, unreadable(OpListImports, ans)
	}
	var all []Import
	for _, w := range said.Imports {
		if plain(w.ID) == "" {
			return nil, unreadable(OpListImports, ans)
		}
		all = append(all, w.imported())
	}
	return all, nil
}

// Import asks how far the import of that id is.
func (o *Organization) Import(ctx context.Context, id string) (Import, error) {
	ans, err := o.get(ctx, OpGetImport, "/imports/bulk_users/"+url.PathEscape(id), nil)
	if err != nil {
		return Import{}, err
	}
	imp, err := readImport(OpGetImport, ans)
	if err == nil && !strings.EqualFold(imp.ID, id) {
		return Import{}, unreadable(OpGetImport, ans)
	}
	return imp, err
}

// Results reads what became of each row of a completed import. Until it is
// there, the error is of class Passing.
func (o *Organization) Results(ctx context.Context, id string) ([]RowResult, error) {
	ans, err := o.get(ctx, OpImportResults, "/imports/bulk_users/"+url.PathEscape(id)+"/results_csv", http.Header{"Accept": {"text/csv"}})
	if e, ok := errors.AsType[*Error](err); ok && (e.Status == http.StatusNotFound || e.Status >= 300 && e.Status < 400) {
		e.verdict.class = Passing
	}
	if err != nil {
		return nil, err
	}
	rows, ok := readRows(ans.body)
	if !ok {
		return nil, unreadable(OpImportResults, ans)
	}
	return rows, nil
}

// changes reports whether op may close users or open them.
func (op Operation) changes() bool {
	return op == OpCloseUsers || op == OpImportUsers || op == OpReopenUser
}
