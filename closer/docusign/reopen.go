package docusign

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Reopened is Docusign's answer to a reopening. The zero value is an answer that
// says neither yes nor no: whether the user is open is to be looked up.
type Reopened struct {
	Sent       bool   // the user is not closed any more; the person must still click
	Code       string // errorCode with which it was refused
	TraceToken string // "" if there was none
}

// ReopenUser opens a closed user of the account again, by Users:update, which
// sends an activation email: the user is active only once the person has clicked
// in it. An error of class Unknown may have taken effect; after one of another
// class nothing was changed by this call. A refusal for want of permissions is
// Permanent, not Park: it is no word about closing. sending is called just before
// each time the request goes out, and its error keeps it from going out; nil for none.
//
// The documentation says that Users:update can open a closed user, and not by
// which field: the one that is sent is what users of the API report to work. What
// status the user has in the answer, and whether there is one, is not documented.
func (a *Account) ReopenUser(ctx context.Context, userID string, sending func() error) (Reopened, error) {
	if strings.TrimSpace(userID) == "" {
		return Reopened{}, refuse(OpReopenUser, verdict{class: Permanent, reason: reasonOther}, errors.New("a userId is empty"))
	}
	type user struct {
		ID    string `json:"userId"`
		Email string `json:"sendActivationEmail"`
	}
	text, err := json.Marshal(map[string][]user{"users": {{ID: userID, Email: "send"}}})
	if err != nil {
		return Reopened{}, err
	}
	ans, err := a.client.do(ctx, request{op: OpReopenUser, method: http.MethodPut, url: a.users, body: text, account: a, sending: sending})
	if err != nil {
		return Reopened{}, err
	}
	var said struct {
		Users []wireUser `json:"users"`
	}
	if json.Unmarshal(ans.body, &said) != nil || said.Users == nil {
		return Reopened{}, unreadable(OpReopenUser, ans)
	}
	return readReopened(said.Users, userID, ans.trace), nil
}

// readReopened reads what an answer says of the user; of two entries that do
// not say the same it believes neither.
func readReopened(users []wireUser, userID, trace string) Reopened {
	unclear := Reopened{TraceToken: trace}
	var found *Reopened
	for _, w := range users {
		if !strings.EqualFold(w.ID, userID) {
			continue
		}
		r := unclear
		switch {
		case w.Error != nil && (w.Error.Code == "" || strings.EqualFold(w.Error.Code, "SUCCESS")): // an error that names none
		case w.Error != nil:
			if r.Code = plain(w.Error.Code); r.Code == "" {
				r.Code = OtherCode
			}
		default:
			r.Sent = w.Status != "" && w.user().Open()
		}
		if found != nil && *found != r {
			return unclear
		}
		found = &r
	}
	if found == nil {
		return unclear
	}
	return *found
}
