package docusigntest

import (
	"net/http/httptest"
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
