package docusigntest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// closeUsers answers Users:delete; s.mu is held.
func (s *Server) closeUsers(c *call, a *account) answer {
	remove, err := parseRemove(c.r.URL.Query())
	if err != nil {
		return badParameter(err)
	}
	if len(c.body) == 0 && s.cfg.Quirks.EmptyCloseIsOK {
		return jsonAnswer(http.StatusOK, usersResponse{Users: []userInfo{}, paging: newPaging(0, 0, 0)})
	}
	asked, refused := parseClose(c)
	if refused != nil {
		return *refused
	}
	if refused := s.refuseWhole(a, asked, remove); refused != nil {
		return *refused
	}
	response := usersResponse{Users: make([]userInfo, 0, len(asked))}
	struckAlready := c.fault != noFault
	for _, one := range asked {
		strike := noFault
		if !struckAlready {
			strike = s.dice.forUser()
		}
		entry := s.closeUser(c, a, one.UserID, remove, strike)
		if strike != noFault {
			c.fault = strike
		}
		if strike == missingEntry && entry.ErrorDetails == nil {
			continue
		}
		response.Users = append(response.Users, entry)
	}
	response.paging = newPaging(0, len(response.Users), len(response.Users))
	return jsonAnswer(http.StatusOK, response)
}

// refuseWhole says how a well-formed close is refused for all whom it names;
// nil: it is not.
func (s *Server) refuseWhole(a *account, asked []userInfo, remove []string) *answer {
	var refused answer
	q := s.cfg.Quirks
	switch {
	case q.MaxUsersPerClose > 0 && len(asked) > q.MaxUsersPerClose:
		refused = badParameter(fmt.Errorf("users: more than %d", q.MaxUsersPerClose))
	case len(remove) > 0 && q.RemoveFrom != Allow && !strings.HasPrefix(q.RemoveFrom, perUser):
		refused = refusal(http.StatusBadRequest, q.RemoveFrom, "Users cannot be removed from groups by this call.")
	case slices.ContainsFunc(asked, func(one userInfo) bool {
		u := a.byID[strings.ToLower(one.UserID)]
		return u != nil && u.SpoilsBatch
	}):
		refused = refusal(http.StatusBadRequest, "UNSPECIFIED_ERROR", "The request could not be carried out.")
	default:
		return nil
	}
	return &refused
}

// closeUser closes one user and returns the entry that says so.
func (s *Server) closeUser(c *call, a *account, id string, remove []string, strike fault) userInfo {
	u := a.byID[strings.ToLower(id)]
	if u == nil {
		return userInfo{UserID: id, ErrorDetails: details(s.cfg.Quirks.UnknownID)}
	}
	count := a.closes[u.ID]
	count.Requested++
	defer func() { a.closes[u.ID] = count }()
	if strike != notClosed {
		open := u.Status != "Closed"
		if code := a.close(u, c.caller, remove, s.cfg.Quirks); code != "" {
			return userInfo{UserID: u.ID, ErrorDetails: details(code)}
		}
		if open {
			count.Closed++
		}
	}
	entry := userInfo{UserID: u.ID, UserName: u.Name, Email: u.Email, UserStatus: u.Status, URI: "/users/" + u.ID}
	if s.cfg.Quirks.NoUserStatus {
		entry.UserStatus = ""
	}
	return entry
}

func parseRemove(query url.Values) ([]string, error) {
	if !query.Has("delete") {
		return nil, nil
	}
	remove := strings.Split(query.Get("delete"), ",")
	for _, r := range remove {
		if !slices.Contains([]string{"Groups", "PermissionSet", "SigningGroupsEmail"}, r) {
			return nil, fmt.Errorf("delete: %q: not Groups, PermissionSet or SigningGroupsEmail", r)
		}
	}
	return remove, nil
}

// parseClose reads the users of a close, or says how the whole call is refused.
func parseClose(c *call) ([]userInfo, *answer) {
	malformed := refusal(http.StatusBadRequest, "INVALID_REQUEST_BODY", "The request body is missing or improperly formatted.")
	if len(c.body) == 0 {
		return nil, &malformed
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		wrong := refusal(http.StatusBadRequest, "INVALID_CONTENT_TYPE", "Content Type specified is not supported.")
		return nil, &wrong
	}
	var body struct {
		Users []userInfo `json:"users"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil || len(body.Users) == 0 {
		return nil, &malformed
	}
	for _, u := range body.Users {
		c.userIDs = append(c.userIDs, u.UserID)
	}
	return body.Users, nil
}

func details(code string) *errorDetails {
	message := "The user could not be closed."
	if code == "USER_LACKS_MEMBERSHIP" {
		message = lacksMembership
	}
	return &errorDetails{ErrorCode: code, Message: message}
}
