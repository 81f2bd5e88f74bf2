package docusign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrNoMember says that the account has no such user, in Docusign's own words:
// a bare 404 or a proxy's page never matches it.
var ErrNoMember = errors.New("no member of the account")

// errUnreadable is an answer that is not the JSON that was asked for. What is
// in it stays out of the text: it may be a page with anything on it.
var errUnreadable = errors.New("unreadable answer")

// Error is a request that did not do what was asked, or may not have. Docusign's
// message is not kept, since it may quote an email.
type Error struct {
	Op         Operation
	Status     int       // HTTP status; 0 if no whole answer came
	Code       string    // errorCode, or `error` of the sign-in; "" if the answer had none that can be shown
	Detail     string    // error_description of the sign-in where it is a code, e.g. "issuer_not_found"
	RetryAt    time.Time // by our clock, when the quota opens again, or what Retry-After asks for; zero: not said
	TraceToken string    // what Docusign's support asks for; "" if there was none

	verdict verdict
	unsent  bool // Docusign has seen nothing of the request
	cause   error
}

// Error is one line without email, userId or secret.
func (e *Error) Error() string {
	text := "docusign: " + strings.ReplaceAll(string(e.Op), "_", " ") + ":"
	if e.Status != 0 {
		text += fmt.Sprintf(" %d", e.Status)
	}
	for _, word := range []string{e.Code, e.Detail} {
		if word != "" {
			text += " " + word
		}
	}
	if e.cause != nil {
		text += " " + e.cause.Error()
	}
	if !e.RetryAt.IsZero() {
		text += ", again at " + e.RetryAt.UTC().Format(time.RFC3339)
	}
	if e.TraceToken != "" {
		text += " (trace token " + e.TraceToken + ")"
	}
	return text
}

// Unwrap gives what kept the answer from coming, if anything did.
func (e *Error) Unwrap() error { return e.cause }

// Is matches ErrNoMember.
func (e *Error) Is(target error) bool {
	return target == ErrNoMember && e.verdict.class == NoMember
}

// ClassOf says what to do about err: "" for nil. An error that is not of this
// package is Unknown, the class that is safe to assume of a close.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.verdict.class
	}
	return Unknown
}

// Reason folds err into one of Reasons, for a metric label: "" for nil.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.verdict.reason
	}
	return reasonOther
}

// Reasons lists every word that Reason answers, sorted.
func Reasons() []string { return slices.Clone(reasons) }

// Advice is what a person has to do about err, in one line; "" where waiting is
// all there is to do.
func Advice(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.verdict.advice
	}
	return ""
}

// newError judges an answer that is not a success.
func newError(op Operation, a answer) *Error {
	e := &Error{Op: op, Status: a.status, TraceToken: a.trace}
	var said struct {
		ErrorCode        string `json:"errorCode"` // the API
		Error            string `json:"error"`     // the sign-in server, and the Admin API
		ErrorDescription string `json:"error_description"`
	}
	if json.Unmarshal(a.body, &said) == nil {
		e.Code = plain(said.ErrorCode)
		if e.Code == "" {
			e.Code, e.Detail = plain(adminCode(said.Error)), plain(said.ErrorDescription)
		}
	}
	e.verdict = judge(op, a.status, e.Code, e.Detail)
	if op == OpReopenUser && e.verdict.class == Park { // what comes before and after it shows whether more than that is refused
		e.verdict.class = Permanent
	}
	return e
}

// noAnswer is the error of a request whose answer did not come whole. An
// unsent one has changed nothing.
func noAnswer(op Operation, unsent bool, cause error) *Error {
	v := verdict{class: Passing, reason: reasonNetwork}
	var timeout net.Error
	switch {
	case errors.Is(cause, context.Canceled):
		v.reason = reasonInterrupted
	case errors.Is(cause, context.DeadlineExceeded), errors.As(cause, &timeout) && timeout.Timeout():
		v.reason = reasonTimeout
	}
	if !unsent {
		v = v.mindful(op)
	}
	if op == OpSignIn && v.reason != reasonInterrupted {
		v = verdict{class: SignIn, reason: reasonSignIn}
	}
	return &Error{Op: op, verdict: v, unsent: unsent, cause: cause}
}

// unreadable is the error of a success whose answer makes no sense.
func unreadable(op Operation, a answer) *Error {
	v := verdict{class: Passing, reason: reasonUnreadable}.mindful(op)
	if op == OpSignIn {
		v = verdict{class: SignIn, reason: reasonSignIn}
	}
	return &Error{Op: op, Status: a.status, TraceToken: a.trace, verdict: v, cause: errUnreadable}
}

// refuse is the error of a request that we do not send.
func refuse(op Operation, v verdict, cause error) *Error {
	return &Error{Op: op, verdict: v, unsent: true, cause: cause}
}

// plain passes a word that can be shown: codes and trace tokens are, an
// address or a sentence is not.
func plain(word string) string {
	unplain := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if len(word) > 80 || strings.ContainsFunc(word, unplain) {
		return ""
	}
	return word
}

// judge looks code, or else status, up in the tables of verdicts.
func judge(op Operation, status int, code, detail string) verdict {
	code, detail = strings.ToUpper(code), strings.ToUpper(detail)
	if op == OpSignIn {
		if v, ok := signInVerdicts[code+" "+detail]; ok {
			return v
		}
		if v, ok := signInVerdicts[code]; ok {
			return v
		}
		if code != "" && status < 500 && status != http.StatusTooManyRequests {
			return verdict{Park, reasonGrant, "sign-in is refused: check docusign.auth_server, integration_key, user_id and private_key_file"}
		}
		return verdict{class: SignIn, reason: reasonSignIn}
	}
	if v, ok := judgeOrganization(op, status, code); ok {
		return v
	}
	v, known := codeVerdicts[code]
	switch {
	case code == "INVALID_REQUEST_BODY" && op == OpCloseUsers: // not the one that was sent: a proxy has dropped it
		return verdict{class: Unknown, reason: reasonUnreadable}
	case known && v.class == NoMember && op == OpCloseUsers:
		// Of a close as a whole it does not say who, so it is no word about anybody.
		return verdict{class: Split, reason: reasonNoMember}
	case known && v.class == NoMember && op != OpListUsers && op != OpGetUser:
		return verdict{class: Permanent, reason: reasonNoMember}
	case known && v.reason == reasonPermissions && op == OpGetUser:
		// The documentation has it that Users:get is for one's own record only, so
		// this may be no word about what else we may do.
		return verdict{class: Permanent, reason: reasonPermissions}
	case known:
		return v
	case strings.Contains(code, "SUSPENDED"): // by no list; but the word leaves no doubt
		return verdict{Park, reasonSuspended, adviceSuspended}
	}
	return judgeStatus(op, status, code)
}

// judgeStatus judges an answer without a code that we know.
func judgeStatus(op Operation, status int, code string) verdict {
	switch {
	case status == http.StatusUnauthorized: // though signed in afresh a moment ago
		return verdict{class: SignIn, reason: reasonSignIn}
	case status == http.StatusTooManyRequests && op == OpUserInfo: // the sign-in server's limit, not an account's
		return verdict{class: SignIn, reason: reasonSignIn}
	case status == http.StatusTooManyRequests:
		return verdict{class: Exhausted, reason: reasonBurstQuota}
	case status == statusBlocked:
		return verdict{class: Passing, reason: reasonBlocked}.mindful(op)
	case status == http.StatusRequestEntityTooLarge && op == OpCloseUsers: // a proxy may say so as well
		return verdict{class: Split, reason: reasonRefused}
	case status >= 500:
		return verdict{class: Passing, reason: reasonServer}.mindful(op)
	case code == "": // a proxy's page, a login form: not Docusign's word
		return verdict{class: Passing, reason: reasonUnreadable}.mindful(op)
	}
	if status == http.StatusForbidden { // whatever the code, it is not about one user
		return verdict{Park, reasonPermissions, adviceAdmin}
	}
	if op == OpCloseUsers {
		return verdict{class: Split, reason: reasonRefused}
	}
	return verdict{class: Permanent, reason: reasonRefused}
}

// mindful turns what would be passing for a read into Unknown for a change, which
// may have taken effect.
func (v verdict) mindful(op Operation) verdict {
	if op.changes() {
		v.class = Unknown
	}
	return v
}
