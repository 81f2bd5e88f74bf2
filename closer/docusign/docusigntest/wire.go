package docusigntest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// The types of this file are spelled as Docusign's API description spells them:
// numbers and booleans are strings.

type errorDetails struct {
	ErrorCode string `json:"errorCode"`
	Message   string `json:"message"`
}

// oauthError is how the sign-in server refuses.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	ReferenceID string `json:"reference_id,omitempty"`
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

type userInfoAnswer struct {
	Sub        string            `json:"sub"`
	Name       string            `json:"name"`
	GivenName  string            `json:"given_name"`
	FamilyName string            `json:"family_name"`
	Created    string            `json:"created"`
	Email      string            `json:"email"`
	Accounts   []userInfoAccount `json:"accounts"`
}

type userInfoAccount struct {
	AccountID    string        `json:"account_id"`
	IsDefault    any           `json:"is_default"` // bool, or string by quirk
	AccountName  string        `json:"account_name"`
	BaseURI      string        `json:"base_uri"`
	Organization *organization `json:"organization,omitempty"`
}

type organization struct {
	ID    string             `json:"organization_id"`
	Links []organizationLink `json:"links"`
}

type organizationLink struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

type userInformation struct {
	UserName        string `json:"userName"`
	UserID          string `json:"userId"`
	UserType        string `json:"userType"`
	IsAdmin         string `json:"isAdmin"`
	UserStatus      string `json:"userStatus"`
	URI             string `json:"uri"`
	Email           string `json:"email"`
	CreatedDateTime string `json:"createdDateTime,omitempty"`
	Added           string `json:"userAddedToAccountDateTime,omitempty"`
	LastLogin       string `json:"lastLogin,omitempty"`
	IsManagedBySCIM string `json:"isManagedByScim,omitempty"` // newer than the published description
}

// userUpdate is an entry of the request of an update.
type userUpdate struct {
	UserID              string `json:"userId"`
	SendActivationEmail string `json:"sendActivationEmail"`
}

type userInformationList struct {
	Users []userInformation `json:"users"`
	paging
}

// userInfo is an entry of a close: of the request (its userId only) and of the
// answer. The answer to an update has them as well, as far as we fill them.
type userInfo struct {
	UserID       string        `json:"userId"`
	UserName     string        `json:"userName,omitempty"`
	Email        string        `json:"email,omitempty"`
	UserStatus   string        `json:"userStatus,omitempty"`
	URI          string        `json:"uri,omitempty"`
	ErrorDetails *errorDetails `json:"errorDetails,omitempty"`
}

type usersResponse struct {
	Users []userInfo `json:"users"`
	paging
}

type paging struct {
	ResultSetSize string          `json:"resultSetSize"`
	TotalSetSize  string          `json:"totalSetSize,omitempty"`
	StartPosition string          `json:"startPosition"`
	EndPosition   string          `json:"endPosition"` // index of the last entry, not of the one after it
	NextURI       json.RawMessage `json:"nextUri,omitempty"`
	PreviousURI   json.RawMessage `json:"previousUri,omitempty"`
}

func newPaging(start, size, total int) paging {
	return paging{
		ResultSetSize: strconv.Itoa(size),
		TotalSetSize:  strconv.Itoa(total),
		StartPosition: strconv.Itoa(start),
		EndPosition:   strconv.Itoa(max(start+size-1, start)),
	}
}

func newUserInformation(u User) userInformation {
	w := userInformation{
		UserName:        u.Name,
		UserID:          u.ID,
		UserType:        "CompanyUser",
		IsAdmin:         wireBool(u.Administrator),
		UserStatus:      u.Status,
		URI:             "/users/" + u.ID,
		Email:           u.Email,
		CreatedDateTime: wireTime(u.Created),
		LastLogin:       wireTime(u.LastLogin),
	}
	if !u.Added.IsZero() {
		w.Added = wireTime(u.Added)
	}
	if u.ManagedBySCIM {
		w.IsManagedBySCIM = wireBool(true)
	}
	return w
}

func wireBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func wireTime(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T08:00:00.0000000Z" // Docusign's "no date"
	}
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// answer is a response that is not on the wire yet, so that a fault can still
// spoil it.
type answer struct {
	status    int
	errorCode string // for the log
	header    http.Header
	body      []byte
}

func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types above always marshal
	}
	return answer{
		status: status,
		header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		body:   body,
	}
}

// refusal is an error as the API words it.
func refusal(status int, code, message string) answer {
	a := jsonAnswer(status, errorDetails{ErrorCode: code, Message: message})
	a.errorCode = code
	return a
}

// refusedSignIn is an error as the sign-in server words it.
func refusedSignIn(status int, e oauthError) answer {
	a := jsonAnswer(status, e)
	a.errorCode = e.Error
	return a
}

// pageOfHTML is what a proxy says in Docusign's place.
func pageOfHTML(status int) answer {
	return answer{
		status: status,
		header: http.Header{"Content-Type": {"text/html"}},
		body:   []byte("<html><head><title>Proxy</title></head><body><h1>" + strconv.Itoa(status) + "</h1></body></html>\n"),
	}
}
