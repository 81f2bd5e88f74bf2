package console

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// slow stands for a daemon whose directory takes its time for each payload.
type slow struct {
	takes time.Duration
	tried []int64
}

func (s *slow) Replay(_ context.Context, id int64, _ string) (ledger.Reject, error) {
	time.Sleep(s.takes)
	s.tried = append(s.tried, id)
	return ledger.Reject{ID: id, State: ledger.RejectReplayed}, nil
}

// With a slow directory the answer comes in time, and says how to go on.
func TestReplayAnswersBeforeItIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []int64
		for id := range int64(replayTogether) {
			ids = append(ids, id+1)
		}
		daemon := &slow{takes: 3 * time.Second}
		s := &Server{daemon: Daemon{Rejects: daemon}, log: zap.NewNop()}
		requests := 0
		for next := (&Replay{IDs: ids}); next != nil; requests++ {
			body, err := json.Marshal(next)
			if err != nil {
				t.Fatal(err)
			}
			w, began := httptest.NewRecorder(), time.Now()
			s.replayRejects(w, httptest.NewRequest("POST", "/api/v1/rejects/replay", strings.NewReader(string(body))), principal{name: "alice"})
			if took := time.Since(began); took > replayFor+daemon.takes {
				t.Fatalf("answered after %v", took)
			}
			var done Replayed
			if err := json.Unmarshal(w.Body.Bytes(), &done); err != nil || len(done.Results) == 0 || done.Stopped != "" {
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
			next = done.Next
		}
		if requests < 2 || !slices.Equal(daemon.tried, ids) {
			t.Errorf("tried %v in %d requests, want each once, in their order", daemon.tried, requests)
		}
	})
}
