package docusigntest

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOldRequestsAreForgotten(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.requests = make([]Request, keepRequests)
	s.requests[keepRequests-1].Path = "/last"
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/new", nil))
	got := s.Requests()
	if len(got) != keepRequests/2+1 || got[len(got)-2].Path != "/last" || got[len(got)-1].Path != "/new" {
		t.Errorf("%d requests are kept", len(got))
	}
}

func TestOldBodiesAreForgotten(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.requests = make([]Request, keepBodies)
	s.requests[0].Body, s.requests[1].Body = "a", "b"
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/new", strings.NewReader("c")))
	got := s.Requests()
	if got[0].Body != "" || got[1].Body != "b" || got[keepBodies].Body != "c" {
		t.Errorf("bodies %q, %q and %q", got[0].Body, got[1].Body, got[keepBodies].Body)
	}
}
