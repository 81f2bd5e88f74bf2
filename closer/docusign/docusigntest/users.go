package docusigntest

import (
	"encoding/json"
	"fmt"
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
		list.Users = append(list.Users, s.record(*u, query))
	}
	if s.cfg.Quirks.NoTotals {
		list.TotalSetSize = ""
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
	if f.email == "" && f.emailPart == "" && f.namePart == "" {
		a.turnPage()
	}
	return jsonAnswer(http.StatusOK, list)
}

// record is a user as asked for: without additional_info=true it may lack some
// of what is known.
func (s *Server) record(u User, query url.Values) userInformation {
	w := newUserInformation(u)
	if s.cfg.Quirks.LeanRecords && !isTrue(query, "additional_info") {
		w.CreatedDateTime, w.LastLogin = "", ""
	}
	return w
}

func isTrue(query url.Values, name string) bool { return strings.EqualFold(query.Get(name), "true") }

// notSimulated would change who is listed. Of the others those that are not
// simulated add fields which nobody here reads, or are none that Docusign
// knows, such as the `_` by which its own client gets past caches: it ignores
// them.
var notSimulated = []string{"group_id", "not_group_id", "domain_users_only", "alternate_admins_only"}

func parseFilter(query url.Values) (filter, error) {
	for _, name := range notSimulated {
		if value := query.Get(name); value != "" && !strings.EqualFold(value, "false") {
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
	return jsonAnswer(http.StatusOK, s.record(*u, c.r.URL.Query()))
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
