package docusigntest

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
)

// reopenUsers answers Users:update as far as it opens closed users again; s.mu
// is held. An update of anything else is not simulated.
func (s *Server) reopenUsers(c *call, a *account) answer {
	asked, refused := parseReopen(c)
	if refused != nil {
		return *refused
	}
	q := s.cfg.Quirks
	if q.Reopen != Allow && !strings.HasPrefix(q.Reopen, perUser) {
		return refusal(http.StatusBadRequest, q.Reopen, "Users cannot be updated.")
	}
	response := usersResponse{Users: make([]userInfo, 0, len(asked)), paging: newPaging(0, len(asked), len(asked))}
	for _, one := range asked {
		response.Users = append(response.Users, a.reopen(one.UserID, q))
	}
	return jsonAnswer(http.StatusOK, response)
}

// reopen opens one user and returns the entry that says so.
func (a *account) reopen(id string, q Quirks) userInfo {
	u := a.byID[strings.ToLower(id)]
	code, ofUser := strings.CutPrefix(q.Reopen, perUser)
	switch {
	case u == nil:
		code = q.UnknownID
	case ofUser:
	case u.Status != "Closed":
		code = q.ReopenOpen
	default:
		code = Allow
		if q.ReopensAs != "Closed" {
			u.Status = q.ReopensAs
			a.listed.good = false
		}
	}
	if code != Allow {
		return userInfo{UserID: id, ErrorDetails: &errorDetails{ErrorCode: code, Message: "The user could not be updated."}}
	}
	entry := userInfo{UserID: u.ID, UserName: u.Name, Email: u.Email, UserStatus: u.Status, URI: "/users/" + u.ID}
	if q.NoUserStatus {
		entry.UserStatus = ""
	}
	return entry
}

// parseReopen reads whom an update opens again, or says how it is refused.
func parseReopen(c *call) ([]userUpdate, *answer) {
	malformed := refusal(http.StatusBadRequest, "INVALID_REQUEST_BODY", "The request body is missing or improperly formatted.")
	if media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		wrong := refusal(http.StatusBadRequest, "INVALID_CONTENT_TYPE", "Content Type specified is not supported.")
		return nil, &wrong
	}
	var body struct {
		Users []userUpdate `json:"users"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil || len(body.Users) == 0 {
		return nil, &malformed
	}
	for _, u := range body.Users {
		if u.SendActivationEmail != "send" {
			wrong := badParameter(errors.New("an update of anything but sendActivationEmail: not simulated"))
			return nil, &wrong
		}
		c.userIDs = append(c.userIDs, u.UserID)
	}
	return body.Users, nil
}
