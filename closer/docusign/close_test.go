package docusign

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
)

func TestCloseUsersAnswers(t *testing.T) {
	closed, refused := Result{}, Result{Code: "CANNOT_CLOSE"}
	cases := map[string]struct {
		body string // to a close of a1 and B2
		want map[string]Result
	}{
		"both closed":                  {`{"users":[{"userId":"a1","userStatus":"Closed"},{"userId":"B2","userStatus":"closed"}]}`, map[string]Result{"a1": closed, "B2": closed}},
		"without userStatus":           {`{"users":[{"userId":"a1"},{"userId":"B2"}]}`, map[string]Result{"a1": closed, "B2": closed}},
		"spelled otherwise":            {`{"users":[{"userId":"A1"},{"userId":"b2"}]}`, map[string]Result{"a1": closed, "B2": closed}},
		"one refused":                  {`{"users":[{"userId":"a1"},{"userId":"B2","errorDetails":{"errorCode":"CANNOT_CLOSE","message":"x@y"}}]}`, map[string]Result{"a1": closed, "B2": refused}},
		"refused, and said closed":     {`{"users":[{"userId":"a1","userStatus":"Closed","errorDetails":{"errorCode":"CANNOT_CLOSE"}}]}`, map[string]Result{"a1": refused}},
		"one missing":                  {`{"users":[{"userId":"a1"}]}`, map[string]Result{"a1": closed}},
		"all missing":                  {`{"users":[]}`, map[string]Result{}},
		"one still open":               {`{"users":[{"userId":"a1","userStatus":"Active"},{"userId":"B2"}]}`, map[string]Result{"B2": closed}},
		"somebody else in it":          {`{"users":[{"userId":"c3"},{"userId":""},{"userId":"B2"}]}`, map[string]Result{"B2": closed}},
		"errorDetails null":            {`{"users":[{"userId":"a1","errorDetails":null}]}`, map[string]Result{"a1": closed}},
		"an error that says nothing":   {`{"users":[{"userId":"a1","errorDetails":{}},{"userId":"B2","errorDetails":{"errorCode":"SUCCESS"}}]}`, map[string]Result{}},
		"a code that is a sentence":    {`{"users":[{"userId":"a1","errorDetails":{"errorCode":"no x@y"}}]}`, map[string]Result{"a1": {Code: OtherCode}}},
		"twice, and not the same":      {`{"users":[{"userId":"a1"},{"userId":"A1","errorDetails":{"errorCode":"CANNOT_CLOSE"}}]}`, map[string]Result{}},
		"twice, the same":              {`{"users":[{"userId":"a1"},{"userId":"A1"}]}`, map[string]Result{"a1": closed}},
		"thrice, and one is different": {`{"users":[{"userId":"a1"},{"userId":"a1","userStatus":"Active"},{"userId":"a1"}]}`, map[string]Result{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := newTestAccount(t, always(200, tc.body)).CloseUsers(t.Context(), Close{UserIDs: []string{"a1", "B2"}})
			if err != nil || !maps.Equal(got.Results, tc.want) {
				t.Errorf("%v, %v; want %v", got.Results, err, tc.want)
			}
			if got.TraceToken != "trace-1" {
				t.Errorf("trace token %q", got.TraceToken)
			}
		})
	}
}

func TestCloseUsersRequest(t *testing.T) {
	cases := map[string]struct {
		ids  []string
		body string // "": nothing is sent
		want map[string]Result
	}{
		"two":                {[]string{"u1", "u2"}, `{"users":[{"userId":"u1"},{"userId":"u2"}]}`, map[string]Result{"u1": {}, "u2": {}}},
		"one in two ways":    {[]string{"u1", "U1"}, `{"users":[{"userId":"u1"}]}`, map[string]Result{"u1": {}, "U1": {}}},
		"ourselves":          {[]string{strings.ToUpper(testUser), "u1"}, `{"users":[{"userId":"u1"}]}`, map[string]Result{strings.ToUpper(testUser): {Code: OwnUser}, "u1": {}}},
		"only ourselves":     {[]string{testUser}, "", map[string]Result{testUser: {Code: OwnUser}}},
		"nobody":             {nil, "", map[string]Result{}},
		"an id that is none": {[]string{"u1", ""}, "", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var sent *http.Request
			f := &fake{api: func(_ int, req *http.Request) (*http.Response, error) {
				sent = req
				return say(200, `{"users":[{"userId":"u1"},{"userId":"u2"}]}`), nil
			}}
			got, err := newTestAccount(t, f).CloseUsers(t.Context(), Close{UserIDs: tc.ids})
			if (err != nil) != (tc.want == nil) || !maps.Equal(got.Results, tc.want) {
				t.Errorf("%v, %v; want %v", got.Results, err, tc.want)
			}
			if tc.body == "" {
				if sent != nil {
					t.Error("a request was sent")
				}
				return
			}
			if f.bodies[0] != tc.body || f.calls[0] != "DELETE https://demo.docusign.net/restapi/v2.1/accounts/"+testAccount+"/users" {
				t.Errorf("sent %s with %s, want %s", f.calls[0], f.bodies[0], tc.body)
			}
			for header, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "signoff", "Authorization": "Bearer token-1"} {
				if got := sent.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
		})
	}
}

func TestSendingCanKeepTheCloseFromGoingOut(t *testing.T) {
	f := always(200, `{"users":[{"userId":"u1"}]}`)
	_, err := newTestAccount(t, f).CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}, Sending: func() error { return errors.New("disk full") }})
	if ClassOf(err) != Passing || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v of class %s", err, ClassOf(err))
	}
}
