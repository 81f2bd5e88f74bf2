package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signoff/consumer"
)

const bidi = "\u202e"

func TestRejectByItsPayload(t *testing.T) {
	r := open(t, true)
	id := r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", Source: "hr", ID: "7"}, Reason: consumer.NoEmail,
		Detail: "email: is missing", Payload: []byte(`{"name":"<script>alert(1)</script>","x":"` + bidi + `gnp"}`)})
	path := "/rejects/" + number(id)
	shown := r.get(t, operator, path).text
	for _, part := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;", `\u202egnp`, "email: is missing", "nothing in it leads to an email"} {
		if !strings.Contains(shown, part) {
			t.Errorf("does not show %q: %s", part, shown)
		}
	}
	if shown := r.get(t, viewer, path).text; strings.Contains(shown, "alert(1)") || strings.Contains(shown, `method="post" action="/rejects`) {
		t.Error("shows a viewer the payload, or offers to settle it")
	}
}

func TestReplayByPage(t *testing.T) {
	r := open(t, true)
	good := r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", ID: "7"}, Reason: consumer.NoEmail, Payload: []byte(`good`)})
	bad := r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", ID: "8"}, Reason: consumer.NoEmail, Payload: []byte(`bad`)})
	for id, done := range map[int64]string{good: "replayed", bad: "open"} {
		path := "/rejects/" + number(id)
		if p := r.post(t, viewer, path+"/replay", url.Values{}); p.status != http.StatusForbidden {
			t.Errorf("a viewer replays: %d", p.status)
		}
		p := r.post(t, operator, path+"/replay", url.Values{})
		if p.status != http.StatusSeeOther || p.header.Get("Location") != path+"?done="+done {
			t.Errorf("%d to %q, want %s: %s", p.status, p.header.Get("Location"), done, p.text)
		}
	}
	if shown := r.get(t, viewer, "/rejects/"+number(good)).text; !strings.Contains(shown, "Understood at the replay: <a href=\"/leavers#q=") {
		t.Errorf("what was understood is shown as if it were not: %s", shown)
	}
	if p := r.post(t, operator, "/rejects/"+number(good)+"/replay", url.Values{}); p.status != http.StatusConflict || !strings.Contains(p.text, `role="alert"`) {
		t.Errorf("replayed twice: %d %s", p.status, p.text)
	}
}

func TestReplayAllByPage(t *testing.T) {
	r := open(t, true)
	for _, payload := range []string{"good", "bad", "good too"} {
		r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", ID: payload}, Reason: consumer.NoEmail, Payload: []byte(payload)})
	}
	p := r.post(t, operator, "/rejects/replay", url.Values{"reason": {"no_email"}})
	for _, part := range []string{"Replayed 3: 2 understood", "still invalid time", "effectiveAt: neither"} {
		if p.status != http.StatusOK || !strings.Contains(p.text, part) {
			t.Errorf("%d, without %q: %s", p.status, part, p.text)
		}
	}
	if p := r.post(t, operator, "/rejects/replay", url.Values{"after": {"x"}}); p.status != http.StatusBadRequest {
		t.Errorf("after what is no number: %d", p.status)
	}
}

func TestDiscardByPage(t *testing.T) {
	r := open(t, true)
	id := r.reject(t, consumer.Reject{Key: consumer.Key{Origin: "/events", ID: "7"}, Reason: consumer.InvalidData, Payload: []byte("\xff\x00")})
	path := "/rejects/" + number(id)
	if p := r.post(t, operator, path+"/discard", url.Values{"reason": {" "}}); p.status != http.StatusBadRequest || !strings.Contains(p.text, "a reason is needed") {
		t.Errorf("without a reason: %d %s", p.status, p.text)
	}
	if p := r.post(t, operator, path+"/discard", url.Values{"reason": {"a test of theirs"}}); p.status != http.StatusSeeOther {
		t.Errorf("%d: %s", p.status, p.text)
	}
	if shown := r.get(t, operator, "/rejects?state=discarded").text; !strings.Contains(shown, `href="`+path+`"`) || !strings.Contains(shown, "by <bdi>alice</bdi>") {
		t.Errorf("is not among the discarded: %s", shown)
	}
	if p := r.post(t, operator, path+"/burn", url.Values{}); p.status != http.StatusNotFound {
		t.Errorf("another word: %d", p.status)
	}
}
