package docusigntest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// maxUpload is the most that an import's request body may have.
const maxUpload = 8 << 20

// What one import may hold, as documented for those that add and update users.
const (
	importUsers           = 8000
	importAccounts        = 50
	importUsersPerAccount = 2000
)

// The values of OrganizationQuirks.Columns and Body.
const (
	allColumns    = "all"
	noAPIUserName = "no_api_user_name"
	rawBody       = "raw"
	multipartBody = "multipart"
)

// importColumns are those that an import may have, in no order: what a template
// of Docusign's own pages is reported to have, and the table of the API's
// description.
var importColumns = []string{
	"AccountID", "AccountName", "APIUserName", "FullName", "FirstName", "LastName", "UserEmail", "PermissionSet",
}

// needed are the columns that an import must have.
func (q OrganizationQuirks) needed() []string {
	switch q.Columns {
	case allColumns:
		return []string{"AccountID", "AccountName", "APIUserName", "FullName", "FirstName", "LastName", "UserEmail"}
	case noAPIUserName:
		return []string{"AccountID", "FirstName", "LastName", "UserEmail"}
	}
	return []string{"AccountID", "APIUserName", "UserEmail"}
}

// missingColumn is the error type of a file without that column.
func missingColumn(name string) string {
	switch name {
	case "APIUserName":
		return "apiusername_column_header_missing"
	case "UserEmail":
		return "useremail_column_header_missing"
	case "FullName", "FirstName", "LastName":
		return "username_column_header_missing"
	}
	return "column_headers_missing"
}

// closeByImport answers UserImport:closeBulkUserImportRequest; s.mu is held.
// What is wrong with the request is refused; what is wrong with the file makes
// an import that fails.
func (s *Server) closeByImport(c *call, o *org) answer {
	file, name, refused := s.readUpload(c)
	if refused != nil {
		return *refused
	}
	imp := &userImport{id: newGUID(), fileName: name, requestor: c.caller, created: s.now(), state: queued}
	imp.modified = imp.created
	imp.read(file, s.cfg.Quirks.Organization)
	for _, r := range imp.rows {
		c.userIDs = append(c.userIDs, imp.cell(r, "APIUserName"))
	}
	if err := imp.checkSize(); err != nil {
		return badRequest(err)
	}
	if !s.cfg.Quirks.Organization.SeveralImports && slices.ContainsFunc(o.imports, (*userImport).runs) {
		return refusal(http.StatusConflict, "import_in_progress", "Another import of the organization is not done yet.")
	}
	o.imports = append(o.imports, imp)
	return jsonAnswer(http.StatusOK, s.describeImport(c, o, imp))
}

// readUpload returns the file of an import and its name. The description has
// it in a form; Docusign's own samples and clients send it as it is, its name
// in a header of the request.
func (s *Server) readUpload(c *call) (file []byte, name string, refused *answer) {
	refuse := func(status int, code, text string) (_ []byte, _ string, refused *answer) {
		a := refusal(status, code, text)
		return nil, "", &a
	}
	form := s.cfg.Quirks.Organization.Body
	media, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case err == nil && (media == "text/csv" || media == "application/octet-stream") && form != multipartBody:
		_, name, found := strings.Cut(c.r.Header.Get("Content-Disposition"), "filename=")
		name, _, _ = strings.Cut(name, ";")
		if name = strings.Trim(name, `" `); !found || name == "" {
			return refuse(http.StatusBadRequest, "invalid_request", "Content-Disposition: no filename.")
		}
		if len(c.body) == 0 {
			return refuse(http.StatusBadRequest, "invalid_request", "There is no file.")
		}
		return c.body, name, nil
	case err == nil && media == "multipart/form-data" && form != rawBody:
		parts := multipart.NewReader(bytes.NewReader(c.body), params["boundary"])
		for {
			part, err := parts.NextPart()
			if err != nil {
				return refuse(http.StatusBadRequest, "invalid_request", "There is no file in the form.")
			}
			if part.FileName() == "" {
				continue
			}
			if file, err = io.ReadAll(part); err == nil {
				return file, part.FileName(), nil
			}
		}
	}
	return refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "The Content-Type is not supported.")
}

// read takes up the file, or notes what is wrong with it.
func (i *userImport) read(file []byte, q OrganizationQuirks) {
	r := csv.NewReader(bytes.NewReader(file))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil || len(records) == 0 {
		i.fileErrors = []string{"invalid_csv_data_or_syntax"}
		return
	}
	i.columns = records[0]
	for _, record := range records[1:] {
		i.rows = append(i.rows, &importRow{cells: record})
	}
	for _, name := range q.needed() {
		if !slices.Contains(i.columns, name) {
			i.fileErrors = append(i.fileErrors, missingColumn(name))
		}
	}
	for n, name := range i.columns {
		unknown := !slices.Contains(importColumns, name) || name == "APIUserName" && q.Columns == noAPIUserName
		if unknown || slices.Contains(i.columns[:n], name) {
			i.fileErrors = append(i.fileErrors, "invalid_column_header")
			i.wrongColumns = append(i.wrongColumns, name)
		}
	}
	if len(i.rows) == 0 {
		i.fileErrors = append(i.fileErrors, "insufficient_row_data_found")
	}
}

// checkSize finds an import that holds too much.
func (i *userImport) checkSize() error {
	perAccount := make(map[string]int)
	for _, r := range i.rows {
		perAccount[strings.ToLower(i.cell(r, "AccountID"))]++
	}
	for _, n := range perAccount {
		if n > importUsersPerAccount {
			return fmt.Errorf("more than %d users of one account", importUsersPerAccount)
		}
	}
	if len(i.rows) > importUsers {
		return fmt.Errorf("more than %d users", importUsers)
	}
	if len(perAccount) > importAccounts {
		return fmt.Errorf("more than %d accounts", importAccounts)
	}
	return nil
}

// listImports answers UserImport:getBulkUserImportRequests, the latest first;
// s.mu is held.
func (s *Server) listImports(c *call, o *org) answer {
	list := importsResponse{Imports: []importResponse{}}
	for _, i := range slices.Backward(o.imports) {
		if i.deleted {
			continue
		}
		list.Imports = append(list.Imports, s.describeImport(c, o, i))
	}
	return jsonAnswer(http.StatusOK, list)
}

// oneImport answers the calls on one import; s.mu is held.
func (s *Server) oneImport(c *call, o *org) answer {
	at := slices.IndexFunc(o.imports, func(i *userImport) bool { return !i.deleted && strings.EqualFold(i.id, c.importID) })
	if at < 0 {
		return refusal(http.StatusNotFound, "import_not_found", "There is no such import.")
	}
	imp := o.imports[at]
	switch c.operation {
	case opGetImport:
		return jsonAnswer(http.StatusOK, s.describeImport(c, o, imp))
	case opDeleteImport:
		if imp.runs() {
			return badRequest(errors.New("the import is not done yet"))
		}
		imp.deleted = true
		return jsonAnswer(http.StatusOK, struct{}{})
	}
	if imp.state != completed {
		return refusal(http.StatusNotFound, "results_not_found", "The import has no results.")
	}
	return answer{
		status: http.StatusOK,
		header: http.Header{
			"Content-Type":        {"text/csv"},
			"Content-Disposition": {`attachment; filename="results.csv"`},
		},
		body: imp.results(s.cfg.Quirks.Organization),
	}
}

// describeImport is an import as the calls on imports show it.
func (s *Server) describeImport(c *call, o *org, i *userImport) importResponse {
	q := s.cfg.Quirks.Organization
	w := importResponse{
		ID: i.id, Type: "organization_user_close_import",
		Requestor: s.person(i.requestor),
		Created:   q.time(i.created), LastModified: q.time(i.modified),
		Status: q.importStatus(i.state), Users: len(i.rows), Processed: i.processed,
		FileErrors: []errorRollup{}, UserWarnings: []warningRollup{},
	}
	if i.state == failed {
		w.FileErrors, w.InvalidColumns = rollUp(i.fileErrors), strings.Join(i.wrongColumns, ",")
	}
	var wrong []string
	for _, r := range i.rows[:i.processed] {
		switch {
		case r.result == closedByImport:
			w.Closed++
		case r.result == "no_action_taken":
			w.NoAction++
		case strings.HasSuffix(r.result, "_warning"):
			w.Warnings++
		default:
			wrong = append(wrong, r.result)
		}
	}
	w.UserErrors = rollUp(wrong)
	w.Errors = len(wrong)
	if i.state == failed {
		w.Errors = len(i.fileErrors)
	}
	if w.Warnings > 0 { // there is only one kind
		w.UserWarnings = append(w.UserWarnings, warningRollup{Type: closedWarning, Count: w.Warnings})
	}
	if i.state == completed {
		w.HasResults = true
		w.ResultsURI = baseOf(c.r) + managementPrefix + "v2/organizations/" + o.cfg.ID + "/imports/bulk_users/" + i.id + "/results_csv"
	}
	return w
}

// person is a caller by name.
func (s *Server) person(userID string) requestor {
	w := requestor{Name: "Service User", ID: userID, Type: "user", Email: "service@example.com"}
	for _, a := range s.accounts {
		if u := a.byID[strings.ToLower(userID)]; u != nil {
			w.Name, w.Email = u.Name, u.Email
			break
		}
	}
	return w
}

func (q OrganizationQuirks) importStatus(s importState) string {
	switch s {
	case completed:
		return q.CompletedStatus
	case failed:
		return q.FailedStatus
	}
	return string(s)
}
