package docusign

import (
	"errors"
	"net/http"
	"testing"
)

func TestReopenUserAnswers(t *testing.T) {
	sent, refused, unclear := Reopened{Sent: true}, Reopened{Code: "CANNOT_REOPEN"}, Reopened{}
	for name, tc := range map[string]struct {
		body string // to a reopening of a1
		want Reopened
	}{
		"an email was sent":          {`{"users":[{"userId":"a1","userStatus":"ActivationSent"}]}`, sent},
		"active at once":             {`{"users":[{"userId":"a1","userStatus":"Active"}]}`, sent},
		"spelled otherwise":          {`{"users":[{"userId":"A1","userStatus":"activationsent"}]}`, sent},
		"without userStatus":         {`{"users":[{"userId":"a1"}]}`, unclear},
		"closed still":               {`{"users":[{"userId":"a1","userStatus":"Closed"}]}`, unclear},
		"not in it":                  {`{"users":[{"userId":"b2","userStatus":"Active"}]}`, unclear},
		"nobody in it":               {`{"users":[]}`, unclear},
		"refused":                    {`{"users":[{"userId":"a1","errorDetails":{"errorCode":"CANNOT_REOPEN","message":"x@y"}}]}`, refused},
		"refused, and said open":     {`{"users":[{"userId":"a1","userStatus":"Active","errorDetails":{"errorCode":"CANNOT_REOPEN"}}]}`, refused},
		"an error that says nothing": {`{"users":[{"userId":"a1","userStatus":"Active","errorDetails":{}}]}`, unclear},
		"a code that is a sentence":  {`{"users":[{"userId":"a1","errorDetails":{"errorCode":"no x@y"}}]}`, Reopened{Code: OtherCode}},
		"twice, and not the same":    {`{"users":[{"userId":"a1","userStatus":"Active"},{"userId":"a1","userStatus":"Closed"}]}`, unclear},
		"errorDetails null":          {`{"users":[{"userId":"a1","userStatus":"Active","errorDetails":null}]}`, sent},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.TraceToken = "trace-1"
			got, err := newTestAccount(t, always(200, tc.body)).ReopenUser(t.Context(), "a1", nil)
			if err != nil || got != tc.want {
				t.Errorf("%+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestReopenUserRequest(t *testing.T) {
	f := always(200, `{"users":[{"userId":"u1","userStatus":"ActivationSent"}]}`)
	sending := 0
	if _, err := newTestAccount(t, f).ReopenUser(t.Context(), "u1", func() error { sending++; return nil }); err != nil || sending != 1 {
		t.Errorf("%v, told %d times that it goes out", err, sending)
	}
	want := `{"users":[{"userId":"u1","sendActivationEmail":"send"}]}`
	if f.bodies[0] != want || f.calls[0] != "PUT https://demo.docusign.net/restapi/v2.1/accounts/"+testAccount+"/users" {
		t.Errorf("sent %s with %s, want %s", f.calls[0], f.bodies[0], want)
	}
	for name, tc := range map[string]struct {
		id      string
		sending func() error
		class   Class
	}{
		"an id that is none":       {" ", nil, Permanent},
		"kept from going out":      {"u1", func() error { return errors.New("disk full") }, Passing},
		"and nothing else is sent": {"", nil, Permanent},
	} {
		if _, err := newTestAccount(t, f).ReopenUser(t.Context(), tc.id, tc.sending); ClassOf(err) != tc.class || len(f.calls) != 1 {
			t.Errorf("%s: %v of class %s, %d calls", name, err, ClassOf(err), len(f.calls))
		}
	}
}

// What Docusign refuses about reopening says nothing of closing: it parks no account.
func TestClassOfReopenings(t *testing.T) {
	code := func(c string) string { return `{"errorCode":"` + c + `","message":"m"}` }
	for name, tc := range map[string]struct {
		status int
		body   string
		class  Class
		reason string
	}{
		"the user lacks permissions": {400, code("USER_LACKS_PERMISSIONS"), Permanent, "permissions"},
		"a 403 with a new code":      {403, code("NEW_IN_2027"), Permanent, "permissions"},
		"the account lacks them":     {400, code("ACCOUNT_LACKS_PERMISSIONS"), Permanent, "account"},
		"no member":                  {400, code("USER_LACKS_MEMBERSHIP"), Permanent, "no_member"},
		"a code nobody knows":        {400, code("NEW_IN_2027"), Permanent, "refused"},
		"500":                        {500, code("UNSPECIFIED_ERROR"), Unknown, "server_error"},
		"a proxy's 502":              {502, "<html>", Unknown, "server_error"},
		"a proxy's 200":              {200, "<html>", Unknown, "unreadable"},
		"a bare 404":                 {404, "", Unknown, "unreadable"},
		"the hour is used up":        {429, code("HOURLY_APIINVOCATION_LIMIT_EXCEEDED"), Exhausted, "hour_quota"},
		"the token is not taken":     {401, code("AUTHORIZATION_INVALID_TOKEN"), SignIn, "sign_in"},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			_, err := newTestAccount(t, always(tc.status, tc.body)).ReopenUser(t.Context(), "u1", nil)
			if ClassOf(err) != tc.class || Reason(err) != tc.reason {
				t.Errorf("%s, %s (%v); want %s, %s", ClassOf(err), Reason(err), err, tc.class, tc.reason)
			}
		}))
	}
	f := failing(errors.New("cut"))
	if _, err := newTestAccount(t, f).ReopenUser(t.Context(), "u1", nil); ClassOf(err) != Unknown || len(f.calls) != 1 {
		t.Errorf("without an answer: %v after %d calls, want it unknown after one", err, len(f.calls))
	}
	late := &fake{api: func(int, *http.Request) (*http.Response, error) {
		return say(200, `{"users":[{"userId":"u1","userStatus":"Active"}]}`, "Date", "Mon, 02 Jan 2006 15:04:05 GMT"), nil
	}}
	a := newTestAccount(t, late)
	_, _ = a.CountUsers(t.Context(), Active) // shows the time
	if _, err := a.ReopenUser(t.Context(), "u1", nil); ClassOf(err) != Park || Reason(err) != "clock" || len(late.calls) != 1 {
		t.Errorf("by a wrong clock: %v after %d calls", err, len(late.calls))
	}
}
