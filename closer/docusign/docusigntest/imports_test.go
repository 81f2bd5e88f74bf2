package docusigntest_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

const importHeader = "AccountID,APIUserName,UserEmail\r\n"

// rowOf is a row under importHeader.
func rowOf(account, userID, email string) string {
	return account + "," + userID + "," + email + "\r\n"
}

// imported is an import as the calls on imports show it.
type imported struct {
	ID        string
	Status    string
	Created   string
	Requestor struct{ ID, Type string }
	Users     int              `json:"user_count"`
	Processed int              `json:"processed_user_count"`
	Closed    int              `json:"closed_user_count"`
	NoAction  int              `json:"no_action_required_user_count"`
	Errors    int              `json:"error_count"`
	Warnings  int              `json:"warning_count"`
	Columns   string           `json:"invalid_column_headers"`
	File      []rolledUp       `json:"file_level_error_rollups"`
	PerUser   []rolledUp       `json:"user_level_error_rollups"`
	Warned    []map[string]any `json:"user_level_warning_rollups"`
	Results   bool             `json:"has_csv_results"`
	URI       string           `json:"results_uri"`
}

type rolledUp struct {
	Type  string `json:"error_type"`
	Count int
}

// post sends an import's body.
func (c *caller) post(body, contentType, disposition string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+organizationPath("/imports/bulk_users/close"), strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": contentType, "Content-Disposition": disposition} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return c.do(r)
}

// upload sends an import as Docusign's samples do.
func (c *caller) upload(file string) answer {
	c.t.Helper()
	return c.post(file, "text/csv", "filename=close.csv")
}

// uploaded is upload of a file that is taken.
func (c *caller) uploaded(file string) imported {
	c.t.Helper()
	var got imported
	c.decode(c.upload(file), http.StatusOK, &got)
	return got
}

// poll asks how far an import is.
func (c *caller) poll(id string) imported {
	c.t.Helper()
	var got imported
	c.decode(c.ask(http.MethodGet, organizationPath("/imports/bulk_users/"+id), ""), http.StatusOK, &got)
	return got
}

// results returns what ProcessingResults says, by APIUserName.
func (c *caller) results(id string) map[string]string {
	c.t.Helper()
	a := c.ask(http.MethodGet, organizationPath("/imports/bulk_users/"+id+"/results_csv"), "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/csv" {
		c.t.Fatalf("results: status %d, %s: %s", a.status, a.header, a.body)
	}
	r := csv.NewReader(bytes.NewReader(a.body))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		c.t.Fatal(err)
	}
	if want := strings.Split(strings.TrimSpace(importHeader)+",ProcessingResults", ","); !slices.Equal(records[0], want) {
		c.t.Errorf("columns %v, want %v", records[0], want)
	}
	said := make(map[string]string)
	for _, record := range records[1:] {
		said[record[1]] = record[len(record)-1]
	}
	return said
}

// openUsers are the emails of those of account who are not closed.
func (c *caller) openUsers() (open []string) {
	for _, u := range c.server.Users(account) {
		if u.Status != "Closed" {
			open = append(open, strings.TrimSuffix(u.Email, "@example.com"))
		}
	}
	return open
}

func TestRowsOfAnImport(t *testing.T) {
	for name, test := range map[string]struct {
		quirks quirks
		before func(*docusigntest.Server)
		row    string
		want   string // in the results
	}{
		"an active user":                  {row: rowOf(account, ana, "ana@example.com"), want: "Closed"},
		"in capitals":                     {row: rowOf(strings.ToUpper(account), strings.ToUpper(ana), "ANA@example.com"), want: "Closed"},
		"one not active yet":              {row: rowOf(account, cy, "cy@example.com"), want: "Closed"},
		"one not active yet, refused":     {quirks: quirks{ActivationSent: "X"}, row: rowOf(account, cy, "cy@example.com"), want: "user_awaiting_activation"},
		"one managed by SCIM, refused":    {quirks: quirks{SCIM: "X"}, row: rowOf(account, di, "di@example.com"), want: "unspecified_error"},
		"one closed before":               {row: rowOf(account, bo, "bo@example.com"), want: "membership_closed"},
		"one closed before, by a warning": {quirks: quirks{Organization: organizationQuirks{AlreadyClosed: "membership_closed_or_disabled_warning"}}, row: rowOf(account, bo, "bo@example.com"), want: "membership_closed_or_disabled_warning"},
		"one closed before, as nothing":   {quirks: quirks{Organization: organizationQuirks{AlreadyClosed: "no_action_taken"}}, row: rowOf(account, bo, "bo@example.com"), want: "no_action_taken"},
		"the caller":                      {row: rowOf(account, serviceUser, "service@example.com"), want: "cannot_close_own_membership"},
		"the last administrator":          {row: rowOf(second, ed, "ed@example.com"), want: "cannot_close_last_active_admin"},
		"an email for a userId":           {row: rowOf(account, "ana@example.com", "ana@example.com"), want: "invalid_apiusername"},
		"a user of another account":       {row: rowOf(account, ed, "ed@example.com"), want: "membership_not_in_account"},
		"somebody else's email":           {row: rowOf(account, ana, "bo@example.com"), want: "membership_not_in_account"},
		"no email":                        {row: rowOf(account, ana, ""), want: "invalid_useremail_address"},
		"somebody else's account":         {row: rowOf(outside, ana, "ana@example.com"), want: "invalid_account_id"},
		"an account that may not": {
			before: func(s *docusigntest.Server) { s.SetRefuse(account, "ACCOUNT_LACKS_PERMISSIONS") },
			row:    rowOf(account, ana, "ana@example.com"), want: "account_admin_access_denied",
		},
		"a cell too few":                    {row: account + "," + ana + "\r\n", want: "insufficient_row_data_found"},
		"a cell too many":                   {row: account + "," + ana + ",ana@example.com,x\r\n", want: "extra_row_data_found"},
		"a user whom nobody can close":      {before: spoil("X"), row: rowOf(account, ana, "ana@example.com"), want: "unspecified_error"},
		"one refused in the imports' words": {before: spoil("INVALID_ROW_DATA"), row: rowOf(account, ana, "ana@example.com"), want: "invalid_row_data"},
		"another word for closed":           {quirks: quirks{Organization: organizationQuirks{ClosedResult: "User closed successfully"}}, row: rowOf(account, ana, "ana@example.com"), want: "User closed successfully"},
		"an error type in words":            {quirks: quirks{Organization: organizationQuirks{ResultsInWords: true}}, row: rowOf(account, serviceUser, "service@example.com"), want: "Cannot close own membership."},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: test.quirks}, func(t *testing.T, c *caller) {
				if test.before != nil {
					test.before(c.server)
				}
				i := c.uploaded(importHeader + test.row)
				time.Sleep(10 * time.Second)
				said := slices.Collect(maps.Values(c.results(i.ID)))
				if !slices.Equal(said, []string{test.want}) {
					t.Errorf("result %q, want %q", said, test.want)
				}
				i = c.poll(i.ID)
				closed := test.want == "Closed" || strings.Contains(test.want, "successfully")
				if sum := i.Closed + i.NoAction + i.Errors + i.Warnings; sum != 1 || (i.Closed == 1) != closed || len(i.PerUser) != i.Errors || len(i.Warned) != i.Warnings {
					t.Errorf("counts %+v", i)
				}
			})
		})
	}
}

// spoil refuses to close ana.
func spoil(code string) func(*docusigntest.Server) {
	return func(s *docusigntest.Server) {
		u, _ := s.User(account, ana)
		u.CloseError = code
		s.SetUser(account, u)
	}
}

func TestColumnsOfAnImport(t *testing.T) {
	every := "AccountID,AccountName,APIUserName,FullName,FirstName,LastName,UserEmail\n" +
		account + ",One," + ana + ",Ana Paz,Ana,Paz,ana@example.com\n"
	for name, test := range map[string]struct {
		columns string
		file    string
		want    []rolledUp // file errors; none: ana is closed
		invalid string
	}{
		"the three":            {file: importHeader + rowOf(account, ana, "ana@example.com")},
		"all that there are":   {file: every},
		"in another order":     {file: "UserEmail,AccountID,APIUserName\nana@example.com," + account + "," + ana + "\n"},
		"three where all must": {columns: "all", file: importHeader + rowOf(account, ana, "ana@example.com"), want: []rolledUp{{"column_headers_missing", 1}, {"username_column_header_missing", 3}}},
		"all where all must":   {columns: "all", file: every},
		"APIUserName where it must not be": {
			columns: "no_api_user_name", file: every, want: []rolledUp{{"invalid_column_header", 1}}, invalid: "APIUserName",
		},
		"by email": {
			columns: "no_api_user_name", file: "AccountID,FirstName,LastName,UserEmail\n" + account + ",Ana,Paz,ANA@example.com\n",
		},
		"no account":        {file: "APIUserName,UserEmail\n" + ana + ",ana@example.com\n", want: []rolledUp{{"column_headers_missing", 1}}},
		"no userId":         {file: "AccountID,UserEmail\n" + account + ",ana@example.com\n", want: []rolledUp{{"apiusername_column_header_missing", 1}}},
		"no email":          {file: "AccountID,APIUserName\n" + account + "," + ana + "\n", want: []rolledUp{{"useremail_column_header_missing", 1}}},
		"one of no name":    {file: "AccountID,APIUserName,UserEmail,Shoe,Size\n" + account + "," + ana + ",ana@example.com,x,y\n", want: []rolledUp{{"invalid_column_header", 2}}, invalid: "Shoe,Size"},
		"one twice":         {file: "AccountID,APIUserName,UserEmail,UserEmail\n" + account + "," + ana + ",ana@example.com,x\n", want: []rolledUp{{"invalid_column_header", 1}}, invalid: "UserEmail"},
		"a byte order mark": {file: "\ufeff" + importHeader + rowOf(account, ana, "ana@example.com"), want: []rolledUp{{"column_headers_missing", 1}, {"invalid_column_header", 1}}, invalid: "\ufeffAccountID"},
		"no rows":           {file: importHeader, want: []rolledUp{{"insufficient_row_data_found", 1}}},
		"no CSV":            {file: "AccountID,\"APIUserName\nx", want: []rolledUp{{"invalid_csv_data_or_syntax", 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{Columns: test.columns}}}, func(t *testing.T, c *caller) {
				id := c.uploaded(test.file).ID
				if i := c.poll(id); len(i.File) > 0 || i.Status != "queued" {
					t.Errorf("at once: %+v", i)
				}
				time.Sleep(10 * time.Second)
				i := c.poll(id)
				if u, _ := c.server.User(account, ana); (u.Status == "Closed") != (test.want == nil) || i.Results != (test.want == nil) {
					t.Errorf("%s, results: %v", u.Status, i.Results)
				}
				if test.want == nil {
					return
				}
				if i.Status != "failed" || !slices.Equal(i.File, test.want) || i.Columns != test.invalid {
					t.Errorf("%s with %v, wrong columns %q; want failed, %v, %q", i.Status, i.File, i.Columns, test.want, test.invalid)
				}
				c.wantAdminRefusal(c.ask(http.MethodGet, organizationPath("/imports/bulk_users/"+id+"/results_csv"), ""), http.StatusNotFound, "results_not_found")
			})
		})
	}
}

func TestRowsOfOtherColumns(t *testing.T) {
	for name, test := range map[string]struct {
		columns, file, want string
	}{
		"another account's name": {"", "AccountName," + importHeader + "Two," + rowOf(account, ana, "ana@example.com"), "invalid_account_id"},
		"an email of two users":  {"no_api_user_name", "AccountID,FirstName,LastName,UserEmail\n" + account + ",,,two@example.com\n", "membership_not_in_account"},
		"an email of nobody":     {"no_api_user_name", "AccountID,FirstName,LastName,UserEmail\n" + account + ",,,nobody@example.com\n", "membership_not_in_account"},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{Columns: test.columns}}}, func(t *testing.T, c *caller) {
				c.server.AddUser(account, user{Email: "two@example.com"})
				c.server.AddUser(account, user{Email: "two@example.com"})
				id := c.uploaded(test.file).ID
				time.Sleep(10 * time.Second)
				if i := c.poll(id); !slices.Equal(i.PerUser, []rolledUp{{test.want, 1}}) {
					t.Errorf("errors %v, want %s", i.PerUser, test.want)
				}
			})
		})
	}
}

func TestBodiesOfAnImport(t *testing.T) {
	file := importHeader + rowOf(account, ana, "ana@example.com")
	var form strings.Builder
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file.csv", "form.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(file))
	_ = w.Close()
	const ofSDK = `form-data; name="file"; filename="file.csv"`
	for name, test := range map[string]struct {
		accepts                 string // the quirk
		body, kind, disposition string
		status                  int
		want                    string // the file's name, or the refusal's word
	}{
		"as samples send it":          {"", file, "text/csv", "filename=close.csv", 200, "close.csv"},
		"as the official clients do":  {"", file, "application/octet-stream", ofSDK, 200, "file.csv"},
		"as a form":                   {"", form.String(), w.FormDataContentType(), "", 200, "form.csv"},
		"raw where only raw is":       {"raw", file, "text/csv; charset=utf-8", "filename=close.csv", 200, "close.csv"},
		"a form where only raw is":    {"raw", form.String(), w.FormDataContentType(), "", 415, "unsupported_media_type"},
		"raw where only forms are":    {"multipart", file, "text/csv", "filename=close.csv", 415, "unsupported_media_type"},
		"a form where only forms are": {"multipart", form.String(), w.FormDataContentType(), "", 200, "form.csv"},
		"raw without a file name":     {"", file, "text/csv", "", 400, "invalid_request"},
		"raw without a file":          {"", "", "text/csv", "filename=close.csv", 400, "invalid_request"},
		"a form without a file":       {"", "--x--\r\n", "multipart/form-data; boundary=x", "", 400, "invalid_request"},
		"JSON":                        {"", "{}", "application/json", "filename=close.csv", 415, "unsupported_media_type"},
		"no Content-Type":             {"", file, "", "filename=close.csv", 415, "unsupported_media_type"},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{Body: test.accepts}}}, func(t *testing.T, c *caller) {
				a := c.post(test.body, test.kind, test.disposition)
				came := c.server.Imports(orgID)
				if test.status != http.StatusOK {
					c.wantAdminRefusal(a, test.status, test.want)
					if len(came) > 0 {
						t.Errorf("imports %v", came)
					}
					return
				}
				if len(came) != 1 || came[0].FileName != test.want || len(came[0].Rows) != 1 || came[0].Rows[0].UserID != ana {
					t.Errorf("status %d, imports %+v", a.status, came)
				}
			})
		})
	}
}

func TestSizeOfAnImport(t *testing.T) {
	rows := func(accounts, each int) string {
		var file strings.Builder
		file.WriteString(importHeader)
		for a := range accounts {
			for range each {
				file.WriteString(rowOf(fmt.Sprintf("d0c00000-0000-4000-8000-%012d", a), ana, "somebody.with.a.name.as.long.as.names.may.well.be@example.com"))
			}
		}
		return file.String()
	}
	for name, test := range map[string]struct {
		accounts, each int
		refused        bool
	}{
		"2,000 of an account": {1, 2000, false},
		"more of an account":  {1, 2001, true},
		"50 accounts":         {50, 1, false},
		"more accounts":       {51, 1, true},
		"8,000 users":         {4, 2000, false},
		"more users in all":   {7, 1143, true},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
				a := c.upload(rows(test.accounts, test.each))
				if test.refused {
					c.wantAdminRefusal(a, http.StatusBadRequest, "invalid_request")
				} else if a.status != http.StatusOK {
					t.Errorf("status %d: %s", a.status, a.body)
				}
			})
		})
	}
}

func TestTimesOfTheAdminAPI(t *testing.T) {
	for zoneless, want := range map[bool][2]string{
		false: {"2000-01-01T00:00:00.0000000Z", "1999-04-01T22:11:56.4570000Z"},
		true:  {"2000-01-01T00:00:00", "1999-04-01T22:11:56.457"},
	} {
		inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{ZonelessTimes: zoneless}}}, func(t *testing.T, c *caller) {
			if got := c.uploaded(importHeader + rowOf(account, ana, "ana@example.com")).Created; got != want[0] {
				t.Errorf("an import of %s, want %s", got, want[0])
			}
			var got profiles
			c.decode(c.profile("ana@example.com"), http.StatusOK, &got)
			if got.Users[0].CreatedOn != want[1] {
				t.Errorf("a user of %s, want %s", got.Users[0].CreatedOn, want[1])
			}
		})
	}
}

func TestFaultsStrikeImports(t *testing.T) {
	file := importHeader + rowOf(account, ana, "ana@example.com")
	for name, test := range map[string]struct {
		faults faults
		status int // 0: no answer, or half of one
		came   int
	}{
		"cut before it was taken": {faults{CutBefore: 1}, 0, 0},
		"cut after it was taken":  {faults{CutAfter: 1}, 0, 1},
		"half an answer":          {faults{HalfAnswer: 1}, 0, 1},
		"a page of HTML":          {faults{PageAfter: 1}, 200, 1},
		"of other operations":     {faults{CutAfter: 1, Operations: []string{"get_import", "import_results", "org_users", "get_profile", "organizations", "delete_import"}}, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
				c.server.SetFaults(test.faults)
				a := c.upload(file)
				if (a.err != nil) != (test.status == 0) || a.err == nil && a.status != test.status {
					t.Errorf("status %d, error %v, want %d", a.status, a.err, test.status)
				}
				if got := len(c.server.Imports(orgID)); got != test.came {
					t.Errorf("%d imports came in, want %d", got, test.came)
				}
			})
		})
	}
}
