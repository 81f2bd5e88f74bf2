package docusign

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Result is what Docusign did about one user of a close. The zero value is
// "closed".
type Result struct {
	Code string // errorCode with which the user was refused; "" if closed
}

// Closed reports whether Docusign said that the user is closed now.
func (r Result) Closed() bool { return r.Code == "" }

// OwnUser is the code of a Result for the user whom we are signed in as. It is
// ours: Docusign is not asked.
const OwnUser = "SIGNOFF_OWN_USER"

// OtherCode stands for an errorCode that is not a plain word.
const OtherCode = "OTHER"

// Answer is Docusign's answer to a close.
type Answer struct {
	// Results by userId, as it was asked for. The outcome of a user who is not in
	// it is unknown.
	Results    map[string]Result
	TraceToken string // "" if there was none
}

// Close is whom to close.
type Close struct {
	UserIDs       []string
	SigningGroups bool         // take them out of their signing groups as well; groups and permissions stay, for a reopening
	Sending       func() error // called before the request goes out, each time; nil for none
}

// CloseUsers closes users of the account in one request. With a nil error, each
// user has a Result or an unknown outcome. An error of class Unknown leaves all
// outcomes unknown; after one of another class none was closed by this call.
//
// It may wait for a burst of the quota to be over before it sends, and sends
// again what was refused for a burst or an ended token: so Sending is called
// each time just before the request goes out, which from then on takes
// RequestTimeout at most. An error of Sending keeps it from going out. How many
// users a request may hold is not documented; 100, the page size of a list, is
// known to be sane.
func (a *Account) CloseUsers(ctx context.Context, c Close) (Answer, error) {
	answered := Answer{Results: map[string]Result{}}
	asked := map[string][]string{} // spellings by userId in lower case
	type user struct {
		ID string `json:"userId"`
	}
	var body struct {
		Users []user `json:"users"`
	}
	for _, id := range c.UserIDs {
		folded := strings.ToLower(id)
		switch {
		case strings.TrimSpace(id) == "":
			return Answer{}, refuse(OpCloseUsers, verdict{class: Permanent, reason: reasonOther}, errors.New("a userId is empty"))
		case strings.EqualFold(id, a.client.cfg.UserID): // all that follows would fail
			answered.Results[id] = Result{Code: OwnUser}
			continue
		case asked[folded] == nil:
			body.Users = append(body.Users, user{ID: id})
		}
		asked[folded] = append(asked[folded], id)
	}
	if len(body.Users) == 0 {
		return answered, nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	url := a.users
	if c.SigningGroups {
		url += "?delete=SigningGroupsEmail"
	}
	ans, err := a.client.do(ctx, request{op: OpCloseUsers, method: http.MethodDelete, url: url, body: text, account: a, sending: c.Sending})
	if err != nil {
		return Answer{}, err
	}
	results, err := readResults(ans)
	if err != nil {
		return Answer{}, err
	}
	answered.TraceToken = ans.trace
	for folded, r := range results { // whoever was not asked for is none of ours
		for _, id := range asked[folded] {
			answered.Results[id] = r
		}
	}
	return answered, nil
}

// readResults gives the outcomes that an answer is clear about, by userId in
// lower case.
func readResults(a answer) (map[string]Result, error) {
	var said struct {
		Users []wireUser `json:"users"`
	}
	if json.Unmarshal(a.body, &said) != nil || said.Users == nil {
		return nil, unreadable(OpCloseUsers, a)
	}
	results := map[string]Result{}
	unclear := map[string]bool{}
	for _, w := range said.Users {
		id := strings.ToLower(w.ID)
		r, sure := w.result()
		if other, twice := results[id]; twice && other != r || !sure {
			unclear[id] = true
		}
		results[id] = r
	}
	for id := range unclear {
		delete(results, id)
	}
	return results, nil
}

// result reads one user's part of the answer. Whether userStatus is always
// there is not documented, so only one that contradicts is held against it.
func (w wireUser) result() (r Result, sure bool) {
	switch {
	case w.Error != nil && (w.Error.Code == "" || strings.EqualFold(w.Error.Code, "SUCCESS")): // an error that names none
		return Result{}, false
	case w.Error != nil:
		code := plain(w.Error.Code)
		if code == "" {
			code = OtherCode
		}
		return Result{Code: code}, true
	case w.Status != "" && w.user().Open():
		return Result{}, false
	}
	return Result{}, true
}
