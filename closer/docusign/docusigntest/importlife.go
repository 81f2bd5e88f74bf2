package docusigntest

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"time"
)

// importState is how far an import is, in the words that Docusign documents for
// exports: for imports it names none but completed.
type importState string

const (
	queued    importState = "queued"
	inProcess importState = "in_process"
	completed importState = "completed"
	failed    importState = "failed"
)

// userImport is one import of users to close.
type userImport struct {
	id        string
	fileName  string
	requestor string // userId
	deleted   bool   // the record of it, not what it did
	created   time.Time
	modified  time.Time

	columns      []string
	rows         []*importRow
	fileErrors   []string // error types; none: the file is fine
	wrongColumns []string

	state     importState
	processed int // so many of rows
}

type importRow struct {
	cells  []string
	result string // closedByImport or an error type; "" until processed
}

// closedByImport is the result of a row whose user was closed.
const closedByImport = "closed"

// The error types of a user closed before. Only one of them is a warning.
const (
	membershipClosed = "membership_closed"
	closedWarning    = "membership_closed_or_disabled_warning"
)

var closedBefore = []string{membershipClosed, closedWarning, "no_action_taken"}

// errorTypes are those of the error types of the API's description that may be
// the result of closing one user. Which of them apply to closing it does not
// say.
var errorTypes = []string{
	"account_admin_access_denied", "cannot_close_last_active_admin", "cannot_close_own_membership",
	"extra_row_data_found", "insufficient_row_data_found", "invalid_account_id", "invalid_apiusername", "invalid_row_data",
	"invalid_useremail_address", "membership_not_in_account", "user_awaiting_activation", "unspecified_error",
}

func (i *userImport) runs() bool { return i.state == queued || i.state == inProcess }

// cell returns what r has in that column; "" if nothing.
func (i *userImport) cell(r *importRow, column string) string {
	at := slices.Index(i.columns, column)
	if at < 0 || at >= len(r.cells) {
		return ""
	}
	return strings.TrimSpace(r.cells[at])
}

// catchUp carries on the organization's imports.
func (o *org) catchUp(now time.Time) {
	for _, i := range o.imports {
		if i.runs() {
			o.carryOn(i, now)
		}
	}
}

// carryOn brings an import to where it is by now: queued for a fifth of its
// time, then its rows at an even pace.
func (o *org) carryOn(i *userImport, now time.Time) {
	elapsed, whole := now.Sub(i.created), o.cfg.ImportTime
	wait := whole / 5
	done, stuck := elapsed >= whole, o.sim.Quirks.Organization.Stuck
	if elapsed < wait {
		return
	}
	i.state = inProcess
	if len(i.fileErrors) > 0 {
		if done {
			i.state, i.modified = failed, now
		}
		return
	}
	due := len(i.rows)
	if !done {
		due = int(int64(due) * int64(elapsed-wait) / int64(whole-wait))
	}
	if stuck {
		due = min(due, len(i.rows)/2)
	}
	for ; i.processed < due; i.processed++ {
		r := i.rows[i.processed]
		r.result, i.modified = o.process(i, r), now
	}
	if done && !stuck {
		i.state = completed
	}
}

// process closes the user of one row and returns the row's result.
func (o *org) process(i *userImport, r *importRow) string {
	switch {
	case len(r.cells) < len(i.columns):
		return "insufficient_row_data_found"
	case len(r.cells) > len(i.columns):
		return "extra_row_data_found"
	}
	a := o.account(i.cell(r, "AccountID"))
	if a == nil {
		return "invalid_account_id"
	}
	name, email := i.cell(r, "AccountName"), i.cell(r, "UserEmail")
	switch {
	case name != "" && name != a.cfg.Name:
		return "invalid_account_id"
	case a.refuse != "":
		return "account_admin_access_denied"
	case !strings.Contains(email, "@"):
		return "invalid_useremail_address"
	}
	u, wrong := i.member(a, r)
	if wrong != "" {
		return wrong
	}
	count := a.closes[u.ID]
	count.Requested++
	defer func() { a.closes[u.ID] = count }()
	if u.Status == "Closed" && u.CloseError == "" {
		return o.sim.Quirks.Organization.AlreadyClosed
	}
	if code := a.close(u, i.requestor, nil, o.sim.Quirks); code != "" {
		return errorType(u, code)
	}
	count.Closed++
	return closedByImport
}

// member finds the user of a row, or says what is wrong with it.
func (i *userImport) member(a *account, r *importRow) (u *User, wrong string) {
	email := strings.ToLower(i.cell(r, "UserEmail"))
	if !slices.Contains(i.columns, "APIUserName") {
		same := a.byEmail[email]
		if len(same) != 1 {
			return nil, "membership_not_in_account" // nobody, or which of them
		}
		return same[0], ""
	}
	id := i.cell(r, "APIUserName")
	if !isGUID(id) { // an email, as people try
		return nil, "invalid_apiusername"
	}
	u = a.byID[strings.ToLower(id)]
	if u == nil || !strings.EqualFold(u.Email, email) {
		return nil, "membership_not_in_account"
	}
	return u, ""
}

// errorType is the errorCode of an account's close as an import words it.
func errorType(u *User, code string) string {
	word := strings.ToLower(code)
	switch {
	case slices.Contains(errorTypes, word):
		return word
	case u.CloseError == "" && strings.HasPrefix(u.Status, "Activation"):
		return "user_awaiting_activation"
	}
	return "unspecified_error"
}

// results is the file as it came, with a column more.
func (i *userImport) results(q OrganizationQuirks) []byte {
	records := [][]string{append(slices.Clone(i.columns), "ProcessingResults")}
	for n, r := range i.rows {
		if q.ResultsLoseEvery > 0 && (n+1)%q.ResultsLoseEvery == 0 {
			continue
		}
		said := r.result
		switch {
		case said == closedByImport:
			said = q.ClosedResult
		case q.ResultsInWords:
			said = strings.ToUpper(said[:1]) + strings.ReplaceAll(said[1:], "_", " ") + "."
		}
		records = append(records, append(slices.Clone(r.cells), said))
	}
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(records); err != nil {
		panic(err) // a buffer takes everything
	}
	return text.Bytes()
}

// Import is an import that came in.
type Import struct {
	ID        string
	Requestor string // userId
	FileName  string
	State     string // queued, in_process, completed or failed
	Created   time.Time
	Rows      []ImportedRow
}

// ImportedRow is a row of an import, as it came.
type ImportedRow struct {
	AccountID string
	UserID    string
	Email     string
	Result    string // "closed", or the error type; "" until it was processed
}

// Imports returns the organization's imports, the oldest first.
func (s *Server) Imports(organization string) []Import {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Import
	for _, i := range s.mustOrganization(organization).imports {
		shown := Import{ID: i.id, Requestor: i.requestor, FileName: i.fileName, State: string(i.state), Created: i.created}
		for _, r := range i.rows {
			shown.Rows = append(shown.Rows, ImportedRow{
				AccountID: i.cell(r, "AccountID"), UserID: i.cell(r, "APIUserName"), Email: i.cell(r, "UserEmail"), Result: r.result,
			})
		}
		all = append(all, shown)
	}
	return all
}
