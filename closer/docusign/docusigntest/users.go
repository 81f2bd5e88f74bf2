package docusigntest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const pageSize = 100 // both the default and the most that `count` may ask for

// listUsers answers Users:list; s.mu is held.
func (s *Server) listUsers(c *call, a *account) answer {
	query := c.r.URL.Query()
	f, err := parseFilter(query)
	if err != nil {
		return badParameter(err)
	}
	start, count, err := parsePaging(query)
	if err != nil {
		return badParameter(err)
	}
	users, known := a.find(f, s.cfg.Quirks)
	if f.email != "" && (!known || len(users) == 0 && s.cfg.Quirks.FilteredIsUnknown) {
		return noMember(s.cfg.Quirks.UnknownEmail)
	}
	page := users[min(start, len(users)):min(start+count, len(users))]
	list := userInformationList{Users: make([]userInformation, 0, len(page)), paging: newPaging(start, len(page), len(users))}
	for _, u := range page {
		list.Users = append(list.Users, newUserInformation(*u))
	}
	if s.cfg.Quirks.NullURIs {
		list.NextURI, list.PreviousURI = json.RawMessage("null"), json.RawMessage("null")
	}
	if start+count < len(users) {
		list.NextURI = pageURI(query, start+count, count)
	}
	if start > 0 {
		list.PreviousURI = pageURI(query, max(start-count, 0), count)
	}
	return jsonAnswer(http.StatusOK, list)
}

// listParameters are those simulated, and those that only add fields which
// nobody here reads. The real ones not among them would change who is listed.
var listParameters = []string{
	"email", "email_substring", "user_name_substring", "status", "count", "start_position",
	"additional_info", "login_status", "include_license", "include_usersettings_for_csv",
}

func parseFilter(query url.Values) (filter, error) {
	for name := range query {
		if !slices.Contains(listParameters, name) {
			return filter{}, fmt.Errorf("%s: not simulated", name)
		}
	}
	f := filter{
		email:     strings.ToLower(query.Get("email")),
		emailPart: strings.ToLower(query.Get("email_substring")),
		namePart:  strings.ToLower(query.Get("user_name_substring")),
	}
	if f.email != "" && f.emailPart != "" {
		return f, fmt.Errorf("email and email_substring exclude each other")
	}
	if !query.Has("status") {
		return f, nil
	}
	for _, asked := range strings.Split(query.Get("status"), ",") {
		i := slices.IndexFunc(statuses, func(s string) bool { return strings.EqualFold(s, strings.TrimSpace(asked)) })
		if i < 0 {
			return f, fmt.Errorf("status: %q: not one of %q", asked, statuses)
		}
		f.statuses = append(f.statuses, statuses[i])
	}
	return f, nil
}

func parsePaging(query url.Values) (start, count int, err error) {
	count = pageSize
	if query.Has("count") {
		if count, err = strconv.Atoi(query.Get("count")); err != nil || count < 1 || count > pageSize {
			return 0, 0, fmt.Errorf("count: %q: not in 1..%d", query.Get("count"), pageSize)
		}
	}
	if query.Has("start_position") {
		if start, err = strconv.Atoi(query.Get("start_position")); err != nil || start < 0 {
			return 0, 0, fmt.Errorf("start_position: %q: not a number from 0", query.Get("start_position"))
		}
	}
	return start, count, nil
}

// pageURI is relative to the account, as all URIs in Docusign's answers are.
func pageURI(query url.Values, start, count int) json.RawMessage {
	query.Set("start_position", strconv.Itoa(start))
	query.Set("count", strconv.Itoa(count))
	return json.RawMessage(strconv.Quote("/users?" + query.Encode()))
}

// getUser answers Users:get; s.mu is held.
func (s *Server) getUser(c *call, a *account) answer {
	if s.cfg.Quirks.OwnRecordOnly && !strings.EqualFold(c.userID, c.caller) {
		return lacksPermissions()
	}
	u := a.byID[strings.ToLower(c.userID)]
	if u == nil {
		return noMember(s.cfg.Quirks.UnknownID)
	}
	return jsonAnswer(http.StatusOK, newUserInformation(*u))
}

// closeUsers answers Users:delete; s.mu is held.
func (s *Server) closeUsers(c *call, a *account) answer {
	remove, err := parseRemove(c.r.URL.Query())
	if err != nil {
		return badParameter(err)
	}
	asked, refused := parseClose(c)
	if refused != nil {
		return *refused
	}
	if most := s.cfg.Quirks.MaxUsersPerClose; most > 0 && len(asked) > most {
		return badParameter(fmt.Errorf("users: more than %d", most))
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

const lacksMembership = "The UserID does not have a valid membership in this Account."

func noMember(code string) answer {
	return refusal(http.StatusBadRequest, code, lacksMembership)
}

func lacksPermissions() answer {
	return refusal(http.StatusBadRequest, "USER_LACKS_PERMISSIONS", "This user lacks sufficient permissions to access this resource.")
}

func badParameter(err error) answer {
	return refusal(http.StatusBadRequest, "INVALID_REQUEST_PARAMETER", "The request contained at least one invalid parameter. "+err.Error())
}
