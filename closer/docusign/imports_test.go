package docusign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const importID = "1d1d1d1d-0000-4000-8000-000000000000"

var oneRow = []ImportRow{{AccountID: testAccount, UserID: annID, Email: "ana@example.com"}}

func TestUploadOnTheWire(t *testing.T) {
	rows := []ImportRow{
		{AccountID: testAccount, UserID: annID, Email: "ana@example.com", Name: "Ana Maria Paz"},
		{AccountID: testAccount, UserID: benID, Email: `"b,o"@example.com`, Name: "Oko"},
	}
	const a, b = testAccount + ",", testAccount + ","
	cases := map[string]struct {
		columns []string
		rows    []ImportRow
		want    string
	}{
		"by default": {nil, rows, "AccountID,APIUserName,UserEmail\n" +
			a + annID + ",ana@example.com\n" + b + benID + `,"""b,o""@example.com"` + "\n"},
		"in another order": {[]string{"UserEmail", "AccountID"}, rows[:1], "UserEmail,AccountID\nana@example.com," + testAccount + "\n"},
		"all columns": {KnownColumns(), rows, "AccountID,AccountName,APIUserName,FullName,FirstName,LastName,UserEmail\n" +
			a + "," + annID + ",Ana Maria Paz,Ana Maria,Paz,ana@example.com\n" + b + "," + benID + `,Oko,Oko,,"""b,o""@example.com"` + "\n"},
		"names that a spreadsheet would calculate": {
			[]string{"FullName", "FirstName", "LastName"},
			[]ImportRow{{AccountID: "1", UserID: "1", Name: "=HYPERLINK(1) @SUM(2)"}, {AccountID: "1", UserID: "2", Name: "+\t-Ana\r\n=1+1"}},
			"FullName,FirstName,LastName\nHYPERLINK(1) @SUM(2),HYPERLINK(1),SUM(2)\nAna =1+1,Ana,1+1\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var header http.Header
			f := &fake{api: func(_ int, req *http.Request) (*http.Response, error) {
				header = req.Header
				return say(200, `{"id":"`+importID+`","status":"queued"}`), nil
			}}
			imp, err := newTestOrganization(t, f).CloseUsers(t.Context(), Upload{Rows: tc.rows, Columns: tc.columns, FileName: "signoff-1.csv"})
			if err != nil || imp.ID != importID || imp.State != Running {
				t.Fatalf("%+v, %v", imp, err)
			}
			if want := "POST https://api-d.docusign.net/Management/v2/organizations/" + testOrganization + "/imports/bulk_users/close"; f.calls[0] != want {
				t.Errorf("sent %s", f.calls[0])
			}
			if f.bodies[0] != tc.want {
				t.Errorf("sent\n%s\nwant\n%s", f.bodies[0], tc.want)
			}
			for name, want := range map[string]string{"Content-Type": "text/csv", "Content-Disposition": "filename=signoff-1.csv", "Accept": "application/json"} {
				if got := header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestUploadThatIsNotSent(t *testing.T) {
	many := func(n, perAccount int) []ImportRow {
		var rows []ImportRow
		for i := range n {
			rows = append(rows, ImportRow{AccountID: fmt.Sprint("account-", i/perAccount), UserID: fmt.Sprint("user-", i)})
		}
		return rows
	}
	mixed := many(MaxImportPerAccount+1, MaxImportPerAccount+1)
	mixed[0].AccountID = strings.ToUpper(mixed[0].AccountID)
	cases := map[string]struct {
		upload Upload
		sent   bool
		says   string
	}{
		"as many as it may hold":               {Upload{Rows: many(MaxImportUsers, MaxImportPerAccount)}, true, ""},
		"as many accounts as it may hold":      {Upload{Rows: many(MaxImportAccounts, 1)}, true, ""},
		"too many users":                       {Upload{Rows: many(MaxImportUsers+1, MaxImportPerAccount)}, false, "8001 users"},
		"too many accounts":                    {Upload{Rows: many(MaxImportAccounts+1, 1)}, false, "51 accounts"},
		"too many of an account in two spells": {Upload{Rows: mixed}, false, "more than 2000"},
		"nobody":                               {Upload{}, false, "0 users"},
		"a column that nobody knows":           {Upload{Rows: oneRow, Columns: []string{"AccountID", "Email"}}, false, `"Email"`},
		"a column twice":                       {Upload{Rows: oneRow, Columns: []string{"AccountID", "AccountID"}}, false, "twice"},
		"no userId":                            {Upload{Rows: []ImportRow{{AccountID: testAccount}}}, false, "row 1"},
		"no account":                           {Upload{Rows: []ImportRow{oneRow[0], {UserID: annID}}}, false, "row 2"},
		"our own user":                         {Upload{Rows: []ImportRow{{AccountID: testAccount, UserID: strings.ToUpper(testUser)}}}, false, "never closed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := always(200, `{"id":"`+importID+`"}`)
			_, err := newTestOrganization(t, f).CloseUsers(t.Context(), tc.upload)
			if (len(f.calls) == 1) != tc.sent || (err == nil) != tc.sent {
				t.Fatalf("%d calls, %v", len(f.calls), err)
			}
			if !tc.sent && (ClassOf(err) != Permanent || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%s: %v", ClassOf(err), err)
			}
		})
	}
}

func TestUploadWaitsForTheClockAndTheLastWord(t *testing.T) {
	f := always(200, `{"imports":[]}`, "Date", time.Now().Add(3*time.Minute).UTC().Format(http.TimeFormat))
	o := newTestOrganization(t, f)
	if _, err := o.Imports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.CloseUsers(t.Context(), Upload{Rows: oneRow}); ClassOf(err) != Park || Reason(err) != "clock" || len(f.calls) != 1 {
		t.Errorf("with a clock that is off: %v", err)
	}

	f = always(200, `{"id":"`+importID+`"}`)
	no := errors.New("not now")
	_, err := newTestOrganization(t, f).CloseUsers(t.Context(), Upload{Rows: oneRow, Sending: func() error { return no }})
	if !errors.Is(err, no) || ClassOf(err) != Passing || len(f.calls) != 0 {
		t.Errorf("not allowed out: %v", err)
	}

	calls := 0
	f.api = func(n int, _ *http.Request) (*http.Response, error) {
		if n == 1 {
			return say(401, ""), nil
		}
		return say(200, `{"id":"`+importID+`"}`), nil
	}
	_, err = newTestOrganization(t, f).CloseUsers(t.Context(), Upload{Rows: oneRow, Sending: func() error { calls++; return nil }})
	if err != nil || calls != 2 {
		t.Errorf("after an ended token: told %d times, %v", calls, err)
	}
}

func TestUploadWithoutAnAnswer(t *testing.T) {
	for name, cause := range map[string]error{"the connection ends": errors.New("reset"), "too late": context.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			o := newTestOrganization(t, failing(cause))
			if _, err := o.CloseUsers(t.Context(), Upload{Rows: oneRow}); ClassOf(err) != Unknown {
				t.Errorf("%s: %v", ClassOf(err), err)
			}
			if _, err := o.Imports(t.Context()); ClassOf(err) != Passing {
				t.Errorf("a list: %s: %v", ClassOf(err), err)
			}
		})
	}
}

func TestImportState(t *testing.T) {
	for status, want := range map[string]ImportState{
		"completed": Completed, "Completed": Completed, " COMPLETED ": Completed,
		"failed": ImportFailed, "Error": ImportFailed, "cancelled": ImportFailed, "canceled": ImportFailed,
		"queued": Running, "in_process": Running, "In Process": Running, "done": Running, "completed_with_errors": Running, "": Running,
	} {
		t.Run(status, func(t *testing.T) {
			imp, err := newTestOrganization(t, always(200, `{"id":"`+importID+`","status":"`+status+`"}`)).Import(t.Context(), strings.ToUpper(importID))
			if err != nil || imp.State != want {
				t.Errorf("%s, %v; want %s", imp.State, err, want)
			}
		})
	}
}

func TestImportsOfTheOrganization(t *testing.T) {
	const whole = `{"id":"` + importID + `","type":"bulk_users_close","requestor":{"name":"Ana Paz","id":"` + annID + `","type":"user","email":"ana@example.com"},` +
		`"created":"2026-11-21T23:00:00.5","status":"In Process","user_count":3,"processed_user_count":"2","closed_user_count":1,` +
		`"user_level_error_rollups":[{"error_type":"invalid_apiusername","count":1}],"has_csv_results":true}`
	want := Import{
		ID: importID, Type: "bulk_users_close", Status: "In_Process", State: Running, Created: time.Date(2026, 11, 21, 23, 0, 0, 5e8, time.UTC),
		Requestor: annID, Users: 3, Processed: 2, Closed: 1, HasResults: true,
	}
	cases := map[string]struct {
		body string
		want []Import
		err  Class
	}{
		"one as the documentation has it": {`{"imports":[` + whole + `]}`, []Import{want}, ""},
		"one with next to nothing":        {`{"imports":[{"id":"7","created":null,"user_count":null}]}`, []Import{{ID: "7", State: Running}}, ""},
		"a zone in its time": {`{"imports":[{"id":"7","created":"2026-11-21T23:00:00+01:00"}]}`,
			[]Import{{ID: "7", State: Running, Created: time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)}}, ""},
		"none":                {`{"imports":[]}`, nil, ""},
		"none, and no list":   {`{}`, nil, ""},
		"one without an id":   {`{"imports":[{"status":"queued"}]}`, nil, Passing},
		"an error on a 200":   {`{"error":"sorry"}`, nil, Passing},
		"a page instead":      {`<html>`, nil, Passing},
		"an id with an email": {`{"imports":[{"id":"ana@example.com"}]}`, nil, Passing},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := newTestOrganization(t, always(200, tc.body)).Imports(t.Context())
			if ClassOf(err) != tc.err || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestImportIsAnother(t *testing.T) {
	_, err := newTestOrganization(t, always(200, `{"id":"2"}`)).Import(t.Context(), "1")
	if ClassOf(err) != Passing || Reason(err) != "unreadable" {
		t.Errorf("%v", err)
	}
}

func TestResultsAreNotThereYet(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"404 in Docusign's words": {404, `{"error":"results_not_found"}`},
		"a bare 404":              {404, ""},
		"a redirect":              {302, ""},
		"nothing":                 {204, ""},
		"a page":                  {200, "<html>\nAccountID,APIUserName,ProcessingResults\n</html>"},
		"JSON":                    {200, `{"error":"later"}`},
		"the file as we sent it":  {200, "AccountID,APIUserName,UserEmail\n" + testAccount + "," + annID + ",ana@example.com\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := newTestOrganization(t, always(answer.status, answer.body)).Results(t.Context(), importID)
			if rows != nil || ClassOf(err) != Passing {
				t.Errorf("%v, %v", rows, err)
			}
		})
	}
}

func TestResults(t *testing.T) {
	const (
		head = "AccountID,APIUserName,UserEmail,ProcessingResults\n"
		ann  = testAccount + "," + annID + ",ana@example.com,"
		ben  = testAccount + "," + benID + ",ben@example.com,"
	)
	row := func(user string, closed bool, code string) RowResult {
		return RowResult{AccountID: testAccount, UserID: user, Closed: closed, Code: code}
	}
	both := []RowResult{row(annID, true, ""), row(benID, false, "invalid_apiusername")}
	text := head + ann + "Closed\n" + ben + "invalid_apiusername\n"
	cases := map[string]struct {
		text string
		want []RowResult
	}{
		"closed and refused":       {text, both},
		"a byte order mark, CRLF":  {"\ufeff" + strings.ReplaceAll(text, "\n", "\r\n"), both},
		"semicolons":               {strings.ReplaceAll(text, ",", ";"), both},
		"all in quotes":            {`"` + strings.NewReplacer(",", `","`, "\n", "\"\n\"").Replace(strings.TrimSpace(text)) + `"`, both},
		"the header in other case": {strings.Replace(text, head, "accountid,ApiUsername,useremail,Processing Results\n", 1), both},
		"upper-case ids":           {strings.ToUpper(text), both},
		"other columns, reordered": {"ProcessingResults,Line,APIUserName,AccountID\nClosed,1," + annID + "," + testAccount + "\n", both[:1]},
		"empty lines":              {strings.ReplaceAll(text, "\n", "\n\n"), both},
		"a row that is a comment":  {head + "# done\n" + ann + "Closed\n", both[:1]},
		"an email for the userId":  {head + testAccount + ",ana@example.com,ana@example.com,Closed\n", nil},
		"no row":                   {head, nil},
		"no column of ours":        {"UserEmail,ProcessingResults\nana@example.com,Closed\n", nil},
		"twice the same":           {head + ann + "Closed\n" + ann + "success\n", both[:1]},
		"twice, in contradiction":  {head + ann + "Closed\n" + ben + "invalid_apiusername\n" + ann + "invalid_apiusername\n", []RowResult{row(annID, false, ""), both[1]}},
		"a comma in the text":      {head + ann + "Closed, though not for long\n", []RowResult{row(annID, false, "")}},
		"a field too few":          {head + testAccount + "," + annID + ",Closed\n", []RowResult{row(annID, false, "")}},
		"one row runs into another": {
			"AccountID,APIUserName,FullName,ProcessingResults\n" + testAccount + "," + annID + ",\"Ana,invalid_apiusername\n" + testAccount + "," + benID + ",Ben\",Closed\n",
			[]RowResult{row(annID, false, "")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var accept string
			f := &fake{api: func(_ int, req *http.Request) (*http.Response, error) {
				accept = req.Header.Get("Accept")
				return say(200, tc.text), nil
			}}
			got, err := newTestOrganization(t, f).Results(t.Context(), importID)
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%v, %v; want %v", got, err, tc.want)
			}
			if !strings.HasSuffix(f.calls[0], "/imports/bulk_users/"+importID+"/results_csv") || accept != "text/csv" {
				t.Errorf("asked %s for %s", f.calls[0], accept)
			}
		})
	}
}

func TestOutcomeOfARow(t *testing.T) {
	type outcome struct {
		closed bool
		code   string
	}
	closed, unclear := outcome{closed: true}, outcome{}
	for text, want := range map[string]outcome{
		"Closed":                                            closed,
		"user_closed":                                       closed,
		"Success":                                           closed,
		"User closed successfully.":                         closed,
		"The user has been closed":                          closed,
		"cannot_close_own_membership":                       {code: "cannot_close_own_membership"},
		"Error: Cannot close own membership (1)":            {code: "cannot_close_own_membership"},
		"closed; user_awaiting_activation":                  {code: "user_awaiting_activation"},
		"unspecified_error":                                 {code: "unspecified_error"},
		"membership_closed":                                 unclear,
		"Membership closed":                                 unclear,
		"membership_closed_or_disabled_warning":             unclear,
		"membership_closed, cannot_close_last_active_admin": unclear,
		"no_action_taken":                                   unclear,
		"No action taken: closed":                           unclear,
		"":                                                  unclear,
		"-":                                                 unclear,
		"Completed":                                         unclear,
		"The user":                                          unclear,
		"Not closed":                                        unclear,
		"Already closed":                                    unclear,
		"unsuccessful":                                      unclear,
		"could not be closed":                               unclear,
		"0 users closed":                                    unclear,
		"Closed with warnings":                              unclear,
		"Nicht erfolgreich":                                 unclear,
		"username_language_changes_ignored_warning": unclear,
		"user_added": unclear,
	} {
		t.Run(text, func(t *testing.T) {
			c, code := outcomeOf(text)
			if got := (outcome{c, code}); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}
