package docusigntest_test

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

func TestLifeOfAnImport(t *testing.T) {
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		i := c.uploaded(importHeader + rowOf(account, ana, "ana@example.com") + rowOf(account, serviceUser, "service@example.com") +
			rowOf(strings.ReplaceAll(account, "-", ""), strings.ToUpper(cy), "CY@example.com") + rowOf(second, ed, "ed@example.com"))
		if i.Status != "queued" || i.Users != 4 || i.Processed != 0 || i.Results || i.Requestor.ID != serviceUser || i.Requestor.Type != "user" {
			t.Errorf("at once: %+v", i)
		}
		c.wantAdminRefusal(c.ask(http.MethodGet, organizationPath("/imports/bulk_users/"+i.ID+"/results_csv"), ""), http.StatusNotFound, "results_not_found")
		time.Sleep(1900 * time.Millisecond)
		if now := c.poll(i.ID); now.Status != "queued" || now.Processed != 0 {
			t.Errorf("soon: %+v", now)
		}
		time.Sleep(3100 * time.Millisecond)
		if now, open := c.poll(i.ID), c.openUsers(); now.Status != "in_process" || now.Processed != 1 || now.Closed != 1 || now.Results || slices.Contains(open, "ana") || !slices.Contains(open, "cy") {
			t.Errorf("half-way: %+v, open %v", now, open)
		}
		c.wantAdminRefusal(c.ask(http.MethodDelete, organizationPath("/imports/bulk_users/"+i.ID), ""), http.StatusBadRequest, "invalid_request")
		time.Sleep(5 * time.Second)
		if open, want := c.openUsers(), []string{"service", "di"}; !slices.Equal(open, want) { // asked before anybody calls
			t.Errorf("at the end: open %v, want %v", open, want)
		}
		now := c.poll(i.ID)
		if now.Status != "completed" || now.Processed != 4 || now.Closed != 2 || now.Errors != 2 || !now.Results || !strings.HasSuffix(now.URI, "/"+i.ID+"/results_csv") {
			t.Errorf("at the end: %+v", now)
		}
		if want := []rolledUp{{"cannot_close_own_membership", 1}, {"cannot_close_last_active_admin", 1}}; !slices.Equal(now.PerUser, want) {
			t.Errorf("errors %v, want %v", now.PerUser, want)
		}
		want := map[string]string{
			ana: "Closed", serviceUser: "cannot_close_own_membership", strings.ToUpper(cy): "Closed", ed: "cannot_close_last_active_admin",
		}
		if said := c.results(i.ID); !maps.Equal(said, want) {
			t.Errorf("results %v, want %v", said, want)
		}
		if got, want := c.server.Closes(account)[ana], (docusigntest.CloseCount{Requested: 1, Closed: 1}); got != want {
			t.Errorf("closes of ana: %+v, want %+v", got, want)
		}
	})
}

func TestImportsAreKnownToTheSimulationsUser(t *testing.T) {
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		began := time.Now()
		i := c.uploaded(importHeader + rowOf(account, ana, "ana@example.com"))
		row := docusigntest.ImportedRow{AccountID: account, UserID: ana, Email: "ana@example.com"}
		want := []docusigntest.Import{{
			ID: i.ID, Requestor: serviceUser, FileName: "close.csv", State: "queued", Created: began, Rows: []docusigntest.ImportedRow{row},
		}}
		if got := c.server.Imports(orgID); !reflect.DeepEqual(got, want) {
			t.Errorf("imports %+v, want %+v", got, want)
		}
		time.Sleep(10 * time.Second)
		want[0].State, want[0].Rows[0].Result = "completed", "closed"
		if a := c.ask(http.MethodDelete, organizationPath("/imports/bulk_users/"+i.ID), ""); a.status != http.StatusOK {
			t.Errorf("delete: %d %s", a.status, a.body)
		}
		c.wantAdminRefusal(c.ask(http.MethodGet, organizationPath("/imports/bulk_users/"+i.ID), ""), http.StatusNotFound, "import_not_found")
		if a := c.ask(http.MethodGet, organizationPath("/imports/bulk_users"), ""); string(a.body) != `{"imports":[]}` {
			t.Errorf("still listed: %s", a.body)
		}
		if got := c.server.Imports(orgID); !reflect.DeepEqual(got, want) {
			t.Errorf("imports %+v, want %+v, for it did come in", got, want)
		}
		last := c.server.Requests()
		post := last[slices.IndexFunc(last, func(r docusigntest.Request) bool { return r.Operation == "import_users" })]
		if !slices.Equal(post.UserIDs, []string{ana}) || post.Header["Content-Disposition"] != "filename=close.csv" {
			t.Errorf("request %+v", post)
		}
	})
}

func TestOneImportAtATime(t *testing.T) {
	anas, cys := importHeader+rowOf(account, ana, "ana@example.com"), importHeader+rowOf(account, cy, "cy@example.com")
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		first := c.uploaded(anas)
		time.Sleep(9 * time.Second)
		c.wantAdminRefusal(c.upload(cys), http.StatusConflict, "import_in_progress")
		time.Sleep(time.Second)
		later := c.uploaded(cys)
		var got struct{ Imports []imported }
		c.decode(c.ask(http.MethodGet, organizationPath("/imports/bulk_users"), ""), http.StatusOK, &got)
		if len(got.Imports) != 2 || got.Imports[0].ID != later.ID || got.Imports[1].ID != first.ID || got.Imports[1].Status != "completed" {
			t.Errorf("imports %+v", got.Imports)
		}
	})
	inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{SeveralImports: true}}}, func(t *testing.T, c *caller) {
		c.uploaded(anas)
		c.uploaded(cys)
		time.Sleep(10 * time.Second)
		if open, want := c.openUsers(), []string{"service", "di"}; !slices.Equal(open, want) {
			t.Errorf("open %v, want %v", open, want)
		}
	})
}

func TestOddImports(t *testing.T) {
	good := importHeader + rowOf(account, ana, "ana@example.com") + rowOf(account, bo, "bo@example.com") +
		rowOf(account, cy, "cy@example.com") + rowOf(account, di, "di@example.com")
	for name, test := range map[string]struct {
		quirks    organizationQuirks
		file      string
		status    string
		processed int
		results   []string // for whom, in order; nil: there are none
	}{
		"an ordinary one":            {file: good, status: "completed", processed: 4, results: []string{ana, bo, cy, di}},
		"another word for completed": {quirks: organizationQuirks{CompletedStatus: "Done"}, file: good, status: "Done", processed: 4, results: []string{ana, bo, cy, di}},
		"another word for failed":    {quirks: organizationQuirks{FailedStatus: "Error"}, file: importHeader, status: "Error"},
		"one that is stuck":          {quirks: organizationQuirks{Stuck: true}, file: good, status: "in_process", processed: 2},
		"one that loses rows":        {quirks: organizationQuirks{ResultsLoseEvery: 2}, file: good, status: "completed", processed: 4, results: []string{ana, cy}},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: test.quirks}}, func(t *testing.T, c *caller) {
				id := c.uploaded(test.file).ID
				time.Sleep(24 * time.Minute)
				if i := c.poll(id); i.Status != test.status || i.Processed != test.processed || i.Results != (test.results != nil) {
					t.Errorf("%+v, want %s after %d", i, test.status, test.processed)
				}
				if test.results == nil {
					return
				}
				if who := slices.Sorted(maps.Keys(c.results(id))); !slices.Equal(who, test.results) {
					t.Errorf("results for %v, want %v", who, test.results)
				}
			})
		})
	}
}
