package webhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

// FuzzRequest posts anything to an endpoint with a mapping and to one without.
// Whatever it is, it is answered in one of the ways that we know, and what was
// answered with success is recorded, kept or counted, and reads the same again.
func FuzzRequest(f *testing.F) {
	f.Add("application/json", "", "", []byte(`{"leavers":[{"email":"jane@example.com"},{}]}`))
	f.Add(ceJSON, "", "", []byte(leaver("1", jane)))
	f.Add("application/json", "1.0", "a%20b\"", []byte(leaver("1", jane)))
	f.Add(ceBatch+"; charset=utf-8", "", "", []byte("["+leaver("1", "{}")+","+leaver("2", jane)+"]"))
	f.Add("", "0.3", "1", []byte("Ping test"))
	f.Add(ceJSON, "", "", []byte(`{"specversion":"1.0","data_base64":1,"type":"t","source":"/x","id":"1"}`))
	fix := newMapped(f)
	fix.refusals = zap.NewNop()
	f.Fuzz(func(t *testing.T, contentType, version, id string, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, path := range []string{"/open", "/mapped"} {
			fix.rec.intakes = nil
			fix.ignored.Store(0)
			r := httptest.NewRequest(http.MethodPost, path, io.NopCloser(bytes.NewReader(body)))
			r.Header["Content-Type"] = []string{contentType}
			if version != "" {
				r.Header["Ce-Specversion"], r.Header["Ce-Id"] = []string{version}, []string{id}
				r.Header["Ce-Source"], r.Header["Ce-Type"] = []string{"/hris"}, []string{consumer.TypeTerminated}
			}
			status := fix.send(r).Code
			if !slices.Contains([]int{200, 204, 400, 413, 415}, status) {
				t.Fatalf("answered %d", status)
			}
			events, rejects := fix.rec.events()
			if took := len(events)+len(rejects) > 0 || fix.ignored.Load() > 0; took && status >= 300 {
				t.Fatalf("answered %d, but took %+v, %+v", status, events, rejects)
			}
			for _, e := range events {
				in, err := fix.Reread(ctx, stored(path, string(e.Payload), e.ReceivedAt))
				if err != nil || !slices.ContainsFunc(in.Events, func(n consumer.Event) bool { return n.Key == e.Key && n.Hash == e.Hash }) {
					t.Fatalf("%+v reads as %+v, %v", e, in, err)
				}
			}
			for _, e := range rejects {
				in, err := fix.Reread(ctx, e)
				if err != nil || !slices.ContainsFunc(in.Rejects, func(n consumer.Reject) bool { return n.Key == e.Key && n.Reason == e.Reason }) {
					t.Fatalf("%+v reads as %+v, %v", e, in, err)
				}
			}
		}
	})
}
