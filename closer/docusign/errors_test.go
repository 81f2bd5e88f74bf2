package docusign

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// perform does an operation whose answer fails.
func perform(t *testing.T, a *Account, op Operation) error {
	t.Helper()
	var err error
	switch op {
	case OpUserInfo:
		_, err = a.client.UserInfo(t.Context())
	case OpListUsers:
		_, err = a.CountUsers(t.Context(), Active)
	case OpGetUser:
		_, err = a.User(t.Context(), "6b67a1ee-0000-4000-8000-000000000000")
	case OpCloseUsers:
		_, err = a.CloseUsers(t.Context(), Close{UserIDs: []string{"6b67a1ee-0000-4000-8000-000000000000"}})
	}
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

// inBubble runs a test in which waiting takes no time.
func inBubble(test func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

func TestClassOfAnswers(t *testing.T) {
	const html = "<html>ana@example.com signed out</html>"
	code := func(c string) string { return `{"errorCode":"` + c + `","message":"about ana@example.com"}` }
	type outcome struct {
		class  Class
		reason string
	}
	cases := map[string]struct {
		status      int
		body        string
		read, close outcome // of Users:get and of a close
	}{
		"the user lacks permissions":   {400, code("USER_LACKS_PERMISSIONS"), outcome{Permanent, "permissions"}, outcome{Park, "permissions"}},
		"the account lacks them":       {400, code("ACCOUNT_LACKS_PERMISSIONS"), outcome{Park, "account"}, outcome{Park, "account"}},
		"the account is suspended":     {400, code("Account_Is_Suspended"), outcome{Park, "suspended"}, outcome{Park, "suspended"}},
		"no member":                    {400, code("USER_LACKS_MEMBERSHIP"), outcome{NoMember, "no_member"}, outcome{Split, "no_member"}},
		"no member, mixed case":        {400, code("User_Not_Found"), outcome{NoMember, "no_member"}, outcome{Split, "no_member"}},
		"an id that is none":           {400, code("INVALID_USERID"), outcome{NoMember, "no_member"}, outcome{Split, "no_member"}},
		"no such user in the system":   {404, code("User_Does_Not_Exist_In_System"), outcome{NoMember, "no_member"}, outcome{Split, "no_member"}},
		"a bare 404":                   {404, "", outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"a 404 page":                   {404, html, outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"a code nobody knows":          {400, code("NEW_IN_2027"), outcome{Permanent, "refused"}, outcome{Split, "refused"}},
		"the request is too large":     {413, "", outcome{Passing, "unreadable"}, outcome{Split, "refused"}},
		"the body was lost":            {400, code("INVALID_REQUEST_BODY"), outcome{Permanent, "refused"}, outcome{Unknown, "unreadable"}},
		"a code that is a sentence":    {400, code("ana@example.com is gone"), outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"500 with a code":              {500, code("UNSPECIFIED_ERROR"), outcome{Passing, "server_error"}, outcome{Unknown, "server_error"}},
		"502 page":                     {502, html, outcome{Passing, "server_error"}, outcome{Unknown, "server_error"}},
		"444":                          {444, "", outcome{Passing, "blocked"}, outcome{Unknown, "blocked"}},
		"a redirect":                   {302, "", outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"401 again with a fresh token": {401, code("AUTHORIZATION_INVALID_TOKEN"), outcome{SignIn, "sign_in"}, outcome{SignIn, "sign_in"}},
		"a bare 401":                   {401, "", outcome{SignIn, "sign_in"}, outcome{SignIn, "sign_in"}},
		"HTML on a 200":                {200, html, outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"half JSON on a 200":           {200, `{"users":[{"userId":"6b67`, outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"an empty 200":                 {200, "", outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"other JSON on a 200":          {200, `{}`, outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
		"more than anybody should say": {200, `{"users":[]` + strings.Repeat(" ", maxAnswer) + "}", outcome{Passing, "unreadable"}, outcome{Unknown, "unreadable"}},
	}
	for name, tc := range cases {
		for op, want := range map[Operation]outcome{OpGetUser: tc.read, OpCloseUsers: tc.close} {
			t.Run(name+", "+string(op), inBubble(func(t *testing.T) {
				err := perform(t, newTestAccount(t, always(tc.status, tc.body)), op)
				if got := (outcome{ClassOf(err), Reason(err)}); got != want {
					t.Errorf("%v, want %v (%v)", got, want, err)
				}
				if errors.Is(err, ErrNoMember) != (want.class == NoMember) {
					t.Errorf("errors.Is(ErrNoMember) = %v", errors.Is(err, ErrNoMember))
				}
				if (Advice(err) != "") != (want.class == Park) {
					t.Errorf("advice %q of class %s", Advice(err), want.class)
				}
				if strings.Contains(fmt.Sprintf("%v %+v", err, err), "@") {
					t.Errorf("an email in the error: %v", err)
				}
			}))
		}
	}
}

func TestClassOfNoAnswer(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errors.New("connection refused"))}
	cut := &fake{api: func(int, *http.Request) (*http.Response, error) {
		resp := say(200, "")
		resp.Body = cutBody{strings.NewReader(`{"users":[{"userId":"6b67a1ee-0000-4000-8000-000000000000"}]`)}
		return resp, nil
	}}
	cases := map[string]struct {
		fake   *fake
		reason string
	}{
		"the connection fails":           {failing(refused), "network"},
		"the answer is cut":              {cut, "network"},
		"no answer in time":              {failing(context.DeadlineExceeded), "timeout"},
		"no answer in time, by the net":  {failing(os.ErrDeadlineExceeded), "timeout"},
		"we are interrupted in a flight": {failing(context.Canceled), "interrupted"},
	}
	for name, tc := range cases {
		for op, class := range map[Operation]Class{OpGetUser: Passing, OpListUsers: Passing, OpCloseUsers: Unknown} {
			t.Run(name+", "+string(op), inBubble(func(t *testing.T) {
				err := perform(t, newTestAccount(t, tc.fake), op)
				if ClassOf(err) != class || Reason(err) != tc.reason {
					t.Errorf("%s, %s; want %s, %s (%v)", ClassOf(err), Reason(err), class, tc.reason, err)
				}
				if e, _ := errors.AsType[*Error](err); e.Status != 0 {
					t.Errorf("status %d of no answer", e.Status)
				}
			}))
		}
	}
}

func TestUnsentCloseIsPassing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	c := newTestClient(t, always(200, "{}"))
	c.session = session{token: "t", renewAt: time.Now().Add(time.Hour)}
	c.transport = newTransport()
	a := c.Account(AccountInfo{ID: testAccount, BaseURI: nobody})
	for range 2 { // the second needs the place of the first
		if err := perform(t, a, OpCloseUsers); ClassOf(err) != Passing || Reason(err) != "network" {
			t.Errorf("nobody listens: %s, %s; want passing, network (%v)", ClassOf(err), Reason(err), err)
		}
	}
	if q := a.Quota(); q.Hour.Remaining != q.Hour.Limit {
		t.Errorf("%d calls left of %d, though none was sent", q.Hour.Remaining, q.Hour.Limit)
	}
}

func TestForeignErrors(t *testing.T) {
	if ClassOf(nil) != "" || Reason(nil) != "" || Advice(nil) != "" {
		t.Error("nil has a class, a reason or advice")
	}
	if err := errors.New("x"); ClassOf(err) != Unknown || Reason(err) != "other" {
		t.Errorf("a foreign error: %s, %s", ClassOf(err), Reason(err))
	}
	wrapped := fmt.Errorf("look up: %w", newError(OpGetUser, answer{status: 503}))
	if ClassOf(wrapped) != Passing {
		t.Errorf("a wrapped error: %s", ClassOf(wrapped))
	}
}

func TestReasonsAreComplete(t *testing.T) {
	if !slices.IsSorted(Reasons()) {
		t.Errorf("not sorted: %v", Reasons())
	}
	for _, table := range []map[string]verdict{codeVerdicts, signInVerdicts} {
		for code, v := range table {
			if code != strings.ToUpper(code) {
				t.Errorf("%s is not in upper case", code)
			}
			if !slices.Contains(Reasons(), v.reason) {
				t.Errorf("%s: reason %q is not among Reasons", code, v.reason)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	e := newError(OpCloseUsers, answer{status: 429, body: []byte(`{"errorCode":"HOURLY_APIINVOCATION_LIMIT_EXCEEDED","message":"m"}`), trace: "ab-12"})
	e.RetryAt = time.Date(2026, 11, 22, 13, 0, 2, 0, time.UTC)
	want := "docusign: close users: 429 HOURLY_APIINVOCATION_LIMIT_EXCEEDED, again at 2026-11-22T13:00:02Z (trace token ab-12)"
	if e.Error() != want {
		t.Errorf("%q, want %q", e.Error(), want)
	}
}

func TestRetryAfter(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		header string
		want   time.Duration // about; 0: none
	}{
		"seconds on a 503":        {503, "120", 2 * time.Minute},
		"a date on a 503":         {503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		"seconds on a refusal":    {400, "60", time.Minute},
		"none":                    {503, "", 0},
		"a date long gone":        {503, "Sun, 22 Nov 2020 12:00:00 GMT", 0},
		"more than can be meant":  {503, "99999999", farthestReset},
		"neither number nor date": {503, "soon", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{api: func(int, *http.Request) (*http.Response, error) {
				resp := say(tc.status, `{"errorCode":"SOME_CODE","message":"x"}`)
				resp.Header.Set("Retry-After", tc.header)
				return resp, nil
			}}
			e, _ := errors.AsType[*Error](perform(t, newTestAccount(t, f), OpGetUser))
			switch ahead := time.Until(e.RetryAt); {
			case tc.want == 0 && !e.RetryAt.IsZero():
				t.Errorf("again at %v, want no word on it", e.RetryAt)
			case tc.want != 0 && (ahead > tc.want+time.Minute || ahead < tc.want-time.Minute):
				t.Errorf("again in %v, want %v", ahead, tc.want)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	for code, want := range map[string]string{
		"cannot_close_last_active_admin": "last_administrator",
		"CANNOT_CLOSE_OWN_MEMBERSHIP":    "own_user",
		OwnUser:                          "own_user",
		"user_awaiting_activation":       "awaiting_activation",
		"MEMBERSHIP_NOT_IN_ACCOUNT":      "no_member",
		"USER_IS_MANAGED_BY_SCIM":        "managed_by_scim",
		"NEW_IN_2027":                    "refused",
	} {
		reason, advice := Refusal(code)
		if reason != want || !slices.Contains(Reasons(), reason) {
			t.Errorf("%s: %q, want %q, one of the fixed words", code, reason, want)
		}
		if known := want != "refused" && want != "no_member"; (advice != "") != known {
			t.Errorf("%s: advice %q", code, advice)
		}
	}
}
