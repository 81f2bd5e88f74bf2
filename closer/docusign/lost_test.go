package docusign

import (
	"net/http"
	"testing"
	"testing/synctest"
)

// TestLostAnswersAreAskedForAgain: a read is, a close never.
func TestLostAnswersAreAskedForAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		op    Operation
		lost  int // answers that are a proxy's page
		code  int // its status
		calls int
		works bool
	}{
		"a read, once":         {OpGetUser, 1, 502, 2, true},
		"a read, twice":        {OpGetUser, 2, 502, 3, true},
		"a read, all the time": {OpGetUser, 99, 502, 3, false},
		"a read, on a 200":     {OpGetUser, 1, 200, 2, true},
		"a close":              {OpCloseUsers, 1, 502, 1, false},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			calls := 0
			f := &fake{api: func(int, *http.Request) (*http.Response, error) {
				if calls++; calls <= tc.lost {
					return say(tc.code, "<html>"), nil
				}
				return say(200, `{"userId":"6b67a1ee-0000-4000-8000-000000000000","userStatus":"Active"}`), nil
			}}
			a := newTestAccount(t, f)
			var err error
			if tc.op == OpCloseUsers {
				_, err = a.CloseUsers(t.Context(), Close{UserIDs: []string{"6b67a1ee-0000-4000-8000-000000000000"}})
			} else {
				_, err = a.User(t.Context(), "6b67a1ee-0000-4000-8000-000000000000")
			}
			synctest.Wait()
			if (err == nil) != tc.works || calls != tc.calls {
				t.Errorf("%v after %d calls, want %d", err, calls, tc.calls)
			}
		}))
	}
}
