package closer_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"signoff/closer/docusign"
)

// What is seen between the closer and Docusign.

// roundTrip shows the model what reaches Docusign, and what comes back.
func (h *history) roundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	in, user, isUser := h.usersPath(req)
	closes := isUser && req.Method == http.MethodDelete
	var asked *closeRequest
	h.mu.Lock()
	if closes {
		asked = h.seeClose(in, body)
		h.happens("close")
	} else if isUser {
		h.happens("look-up")
	}
	h.mu.Unlock()
	resp, err := h.sim.Transport().RoundTrip(req)
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		if err != nil { // it broke off: what came is no answer
			resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(answer), failingReader{err}))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case isUser && req.Method == http.MethodPut:
		h.seeReopen(in, body)
	case closes:
		h.seeOutcome(asked, resp, answer, err)
	case isUser && user != "" && req.Method == http.MethodGet && err == nil:
		h.seeLookUp(membership{in, user}, resp.StatusCode, answer)
	}
	if resp == nil {
		return nil, err
	}
	return resp, nil
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// usersPath says whether a request is about the users of an account, or one of them.
func (h *history) usersPath(req *http.Request) (in, user string, ok bool) {
	_, rest, ok := strings.Cut(req.URL.Path, "/accounts/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 2 || parts[1] != "users" {
		return "", "", false
	}
	if len(parts) > 2 {
		user = parts[2]
	}
	return parts[0], user, true
}

// happens lets what was to happen in the run happen now.
func (h *history) happens(at string) {
	if do := h.meanwhile[at]; do != nil {
		h.meanwhile = nil
		h.say("meanwhile, at a %s:", at)
		do()
	}
}

func (h *history) seeClose(in string, body []byte) *closeRequest {
	var said struct {
		Users []struct {
			ID string `json:"userId"`
		} `json:"users"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		h.complain("a close with a body that is none: %v", err)
	}
	var ids, names []string
	for _, u := range said.Users {
		ids = append(ids, u.ID)
		known, _ := h.sim.User(in, u.ID)
		names = append(names, known.Email+" "+u.ID)
	}
	h.say("account %.8s is asked to close %s", in, strings.Join(names, ", "))
	request, wrong := h.model.closes(in, ids, time.Now())
	for _, w := range wrong {
		h.complain("%s", w)
	}
	h.count("users to close", len(ids))
	return request
}

// seeOutcome takes in what signoff can know of a close by its answer.
func (h *history) seeOutcome(r *closeRequest, resp *http.Response, body []byte, err error) {
	requests := h.sim.Requests()
	last := requests[len(requests)-1]
	r.done = last.UserIDs != nil && (last.Status == http.StatusOK || last.Fault != "")
	var said struct {
		Code  string `json:"errorCode"`
		Users []struct {
			ID     string `json:"userId"`
			Status string `json:"userStatus"`
			Error  *struct {
				Code string `json:"errorCode"`
			} `json:"errorDetails"`
		} `json:"users"`
	}
	status := 0
	if err == nil {
		status = resp.StatusCode
	}
	readable := err == nil && json.Unmarshal(body, &said) == nil
	h.say("... answered %d %s, fault %q", status, said.Code, last.Fault)
	if h.killed { // before it could be written down
		h.count("outcomes unknown", len(r.users))
		return
	}
	refused := readable && said.Code != "" && said.Code != "INVALID_REQUEST_BODY" && status < 500
	known := 0
	for _, id := range r.users {
		a := h.model.attempts[membership{r.account, id}]
		if refused {
			a.known = "open"
			known++
		}
		for _, u := range said.Users {
			switch {
			case !readable || status != http.StatusOK || !strings.EqualFold(u.ID, id):
			case u.Error != nil:
				a.known = "open"
				known++
			case u.Status == "Closed":
				h.model.isClosed(r.account, a)
				known++
				h.count("users closed", 1)
			}
		}
	}
	h.count("outcomes unknown", len(r.users)-known)
}

// seeReopen takes in that a user is opened again, as people have approved.
func (h *history) seeReopen(in string, body []byte) {
	var said struct {
		Users []struct {
			ID string `json:"userId"`
		} `json:"users"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		h.complain("a reopening with a body that is none: %v", err)
	}
	for _, u := range said.Users {
		h.say("account %.8s is asked to open %s", in, u.ID)
		h.reopened[membership{in, u.ID}] = true
	}
}

// seeLookUp takes in what a look-up says of a user, if it came when the request
// could no longer take effect.
func (h *history) seeLookUp(of membership, status int, body []byte) {
	a := h.model.attempts[of]
	if a == nil || a.known != "" || time.Since(a.at) < docusign.RequestTimeout {
		return
	}
	var said struct {
		Status string `json:"userStatus"`
	}
	switch {
	case status == http.StatusOK && json.Unmarshal(body, &said) == nil && said.Status != "":
		a.known = "open"
		if said.Status == "Closed" {
			h.model.isClosed(of.account, a)
		}
	case status == http.StatusBadRequest: // no member
		h.model.isClosed(of.account, a)
	}
}
