package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"signoff/consumer"
)

func TestWhetherTheDirectoryAnswersIsTold(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var a askedDirectory
	for _, step := range []struct {
		what string
		ctx  context.Context //nolint:containedctx // each question has one of its own
		away error
		id   string
		want string
	}{
		{"nobody has asked", nil, nil, "", "directory: ok"},
		{"it answers", t.Context(), nil, "E-1", "directory: ok"},
		{"the asker has gone", gone, context.Canceled, "E-1", "directory: ok"},
		{"it is away", t.Context(), errors.New("scim: 401"), "E-1", ": scim: 401"},
		{"the asker has gone meanwhile", gone, context.Canceled, "E-1", ": scim: 401"},
		{"it is slow", t.Context(), context.DeadlineExceeded, "E-1", ": context deadline exceeded"},
		{"it knows nobody by the id", t.Context(), nil, "E-9", "directory: ok"},
	} {
		if step.ctx != nil {
			a.Directory = people{away: step.away}
			if _, err := a.Find(step.ctx, step.id); step.away != nil && !errors.Is(err, step.away) {
				t.Errorf("%s: the asker hears %v", step.what, err)
			}
		}
		got := a.report()
		if ok := strings.HasPrefix(got, "directory: does not answer since 20") || step.want == got; !ok || !strings.HasSuffix(got, step.want) {
			t.Errorf("%s: %q, want %q", step.what, got, step.want)
		}
	}
}

// TestADirectoryThatIsAwayIsFound has a thin event come while nobody can say whom it is about.
func TestADirectoryThatIsAwayIsFound(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(1)})
	r := s.start(t, s.config(t, map[string]string{
		"events.directory": fmt.Sprintf("{scim: 'http://127.0.0.1:%d', token_file: %s}", freePort(t), s.write(t, "scim", "token"))}))
	ready := r.admin() + "/readyz?verbose"
	shows(t, ready, "directory: ok\n")
	thin := fmt.Appendf(nil, `{"specversion":"1.0","id":"1","source":"hr","type":"%s","data":{"employeeId":"E-1"}}`, consumer.TypeTerminated)
	if status := postAs(t, "http://"+r.webhook.Addr().String()+"/events", "application/cloudevents+json", thin); status != http.StatusServiceUnavailable {
		t.Errorf("answered %d", status)
	}
	shows(t, ready, "directory: does not answer since 20")
}
