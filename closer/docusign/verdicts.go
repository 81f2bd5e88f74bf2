package docusign

import "strings"

// Class is what to do about an error.
type Class string

// The classes of errors.
const (
	Passing   Class = "passing"   // try again later: it changed nothing
	Unknown   Class = "unknown"   // a change that may have taken effect: look the users up before anything else
	Exhausted Class = "exhausted" // the quota is used up: try again at RetryAt
	SignIn    Class = "sign_in"   // the sign-in does not work for now: nothing was done, try again later
	Park      Class = "park"      // nothing will work in this account until a person acts, see Advice
	NoMember  Class = "no_member" // the account has no such user
	Split     Class = "split"     // a close refused as a whole, for one of its users or for their number: halve it
	Permanent Class = "permanent" // Docusign refuses this request, and will again
)

// The reasons, as metric labels have them.
const (
	reasonNetwork     = "network"
	reasonTimeout     = "timeout"
	reasonInterrupted = "interrupted" // our own context ended
	reasonServer      = "server_error"
	reasonBlocked     = "blocked"
	reasonUnreadable  = "unreadable"
	reasonHourQuota   = "hour_quota"
	reasonBurstQuota  = "burst_quota"
	reasonSignIn      = "sign_in" // sign-in out of order, for whatever passing reason
	reasonConsent     = "consent"
	reasonGrant       = "grant"
	reasonPrivateKey  = "private_key"
	reasonPermissions = "permissions"
	reasonAccount     = "account"
	reasonClock       = "clock"
	reasonNoMember    = "no_member"
	reasonSuspended   = "suspended"
	reasonRefused     = "refused" // by a code that we do not know
	reasonOther       = "other"   // not an error of this package

	// Of one user alone.
	reasonLastAdmin = "last_administrator"
	reasonOwnUser   = "own_user"
	reasonAwaiting  = "awaiting_activation"
	reasonSCIM      = "managed_by_scim"
)

var reasons = []string{
	reasonAccount, reasonAwaiting, reasonBlocked, reasonBurstQuota, reasonClock, reasonConsent, reasonGrant, reasonHourQuota,
	reasonInterrupted, reasonLastAdmin, reasonSCIM, reasonNetwork, reasonNoMember, reasonOther, reasonOwnUser,
	reasonPermissions, reasonPrivateKey, reasonRefused, reasonServer, reasonSignIn, reasonSuspended, reasonTimeout,
	reasonUnreadable,
}

// statusBlocked is sent by Docusign's security layer, which wants to be left
// alone for a while (developers.docusign.com, error codes).
const statusBlocked = 444

// verdict is what we make of an answer.
type verdict struct {
	class  Class
	reason string
	advice string // what a person has to do
}

const (
	adviceAdmin     = "make the user of docusign.user_id an account administrator of this account"
	adviceAccount   = "ask Docusign to allow this account the use of the API"
	adviceMember    = "the user of docusign.user_id is not an active member of this account: check docusign.accounts and user_id"
	adviceSuspended = "Docusign has suspended the account: ask Docusign's support, or whoever pays for it"
	adviceClock     = "set this machine's clock: it is more than 2 minutes off Docusign's"
)

// codeVerdicts judges by Docusign's errorCode, in upper case: codes come in
// mixed case, and quota codes with 400 or, since 2026, with 429.
var codeVerdicts = map[string]verdict{
	// Users:list by an unknown email is answered by 400 and one of the first two
	// (official samples, eg043). The others are the SOAP API's words for the same,
	// in case Users:get speaks them.
	"USER_LACKS_MEMBERSHIP":         {class: NoMember, reason: reasonNoMember},
	"USER_NOT_FOUND":                {class: NoMember, reason: reasonNoMember},
	"INVALID_USERID":                {class: NoMember, reason: reasonNoMember},
	"INVALID_USER_ID":               {class: NoMember, reason: reasonNoMember},
	"USER_DOES_NOT_EXIST_IN_SYSTEM": {class: NoMember, reason: reasonNoMember},

	// developers.docusign.com, resource limits, and Docusign's list of the codes
	// whose status changed in 2026.
	"HOURLY_APIINVOCATION_LIMIT_EXCEEDED": {class: Exhausted, reason: reasonHourQuota},
	"BURST_APIINVOCATION_LIMIT_EXCEEDED":  {class: Exhausted, reason: reasonBurstQuota},

	// developers.docusign.com, troubleshooting.
	"AUTHORIZATION_INVALID_TOKEN": {class: SignIn, reason: reasonSignIn},
	"ACCOUNT_LACKS_PERMISSIONS":   {Park, reasonAccount, adviceAccount},

	// Public reports and other clients; no official page lists them.
	"USER_LACKS_PERMISSIONS":                    {Park, reasonPermissions, adviceAdmin},
	"USER_NOT_ACCOUNT_ADMIN":                    {Park, reasonPermissions, adviceAdmin},
	"USER_DOES_NOT_BELONG_TO_SPECIFIED_ACCOUNT": {Park, reasonPermissions, adviceMember},
	"USER_AUTHENTICATION_FAILED":                {Park, reasonGrant, adviceMember},
	"PARTNER_AUTHENTICATION_FAILED":             {Park, reasonGrant, adviceIssuer},
}

// refusals are the codes with which one user is refused, in upper case. Nobody
// lists those of an account's close; these are the error types of the
// organization's imports (Admin API, OrganizationImportResponseErrorRollup), which
// may well be spoken by both, and what accounts say of any user.
var refusals = map[string]verdict{
	"CANNOT_CLOSE_LAST_ACTIVE_ADMIN": {Permanent, reasonLastAdmin, "make somebody else an administrator of the account, who is active"},
	"CANNOT_CLOSE_OWN_MEMBERSHIP":    {Permanent, reasonOwnUser, "signoff signs in as this user: give docusign.user_id another one"},
	OwnUser:                          {Permanent, reasonOwnUser, "signoff signs in as this user: give docusign.user_id another one"},
	"ACCOUNT_ADMIN_ACCESS_DENIED":    {Permanent, reasonPermissions, adviceAdmin},
	"USER_LACKS_PERMISSIONS":         {Permanent, reasonPermissions, adviceAdmin},
	"USER_AWAITING_ACTIVATION":       {Permanent, reasonAwaiting, "the user never activated: take the invitation back, or close the user, on Docusign's own pages"},
	"MEMBERSHIP_NOT_IN_ACCOUNT":      {NoMember, reasonNoMember, ""},
	"INVALID_MEMBERSHIP_ID":          {NoMember, reasonNoMember, ""},
	"INVALID_APIUSERNAME":            {NoMember, reasonNoMember, ""},
	"USER_LACKS_MEMBERSHIP":          {NoMember, reasonNoMember, ""},
	"USER_NOT_FOUND":                 {NoMember, reasonNoMember, ""},
}

// Refusal says what a code means with which one user was refused: one of
// Reasons, "refused" if we do not know it, and what a person has to do about it,
// "" where trying again is all that can be done. The case of code does not matter.
func Refusal(code string) (reason, advice string) {
	if v, ok := refusals[strings.ToUpper(code)]; ok {
		return v.reason, v.advice
	}
	if strings.Contains(strings.ToUpper(code), "SCIM") {
		return reasonSCIM, adviceSCIM
	}
	return reasonRefused, ""
}

const adviceSCIM = "an identity provider manages the user: close them there"

const (
	adviceIssuer  = "docusign.integration_key is not known to this server: developer and production environments have keys of their own"
	adviceUser    = "docusign.user_id is not known to this server: take the API Username (a GUID) of an active user, from the environment that auth_server belongs to"
	adviceKey     = "add the public half of docusign.private_key_file to the integration key, under Apps and Keys, RSA Keypairs"
	adviceKeyFile = "docusign.private_key_file must be readable and hold the RSA private key in PEM"
)

// signInVerdicts judges by `error`, or `error` and `error_description`, of the
// sign-in server, in upper case (Docusign's developer FAQ on JWT errors). The
// advice on consent is completed by the sign-in, which knows the address.
var signInVerdicts = map[string]verdict{
	"CONSENT_REQUIRED":                          {class: Park, reason: reasonConsent},
	"INVALID_GRANT USER_NOT_FOUND":              {Park, reasonGrant, adviceUser},
	"INVALID_GRANT ISSUER_NOT_FOUND":            {Park, reasonGrant, adviceIssuer},
	"INVALID_GRANT NO_VALID_KEYS_OR_SIGNATURES": {Park, reasonGrant, adviceKey},
	"TEMPORARILY_UNAVAILABLE":                   {class: SignIn, reason: reasonSignIn}, // RFC 6749
	"SERVER_ERROR":                              {class: SignIn, reason: reasonSignIn}, // RFC 6749
}
