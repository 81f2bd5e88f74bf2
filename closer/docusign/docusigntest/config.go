package docusigntest

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// DefaultAccountID is the account of a Config that names none. It has no users.
const DefaultAccountID = "d0c00000-0000-4000-8000-000000000001"

// Config is what a simulated Docusign is made of. The zero value lets anybody
// sign in who sends a well-formed assertion, and has one empty account.
type Config struct {
	IntegrationKey string         `yaml:"integration_key"` // who may sign in: iss of the assertion; "": anyone
	UserID         string         `yaml:"user_id"`         // for whom: sub of the assertion; "": any GUID
	PublicKeyFile  string         `yaml:"public_key_file"` // PEM of the key that signs assertions
	PublicKey      *rsa.PublicKey `yaml:"-"`               // the same in Go; neither: a signature by any key will do
	Consent        *bool          `yaml:"consent"`         // false: sign-in answers consent_required; nil: true
	TokenLife      time.Duration  `yaml:"token_life"`      // 0: 1h

	BaseURI  string          `yaml:"base_uri"` // what userinfo says; "": scheme and host of the request
	Accounts []AccountConfig `yaml:"accounts"` // the first is the caller's default; none: DefaultAccountID

	Organizations []OrganizationConfig `yaml:"organizations"` // besides those that only accounts name

	HourLimit   int           `yaml:"hour_limit"`   // calls per account and hour window; 0: 3000
	HourWindow  time.Duration `yaml:"hour_window"`  // starts at its own multiples, as at the top of the hour; 0: 1h
	BurstLimit  int           `yaml:"burst_limit"`  // calls per account and burst window; 0: 500
	BurstWindow time.Duration `yaml:"burst_window"` // starts with the first call after the last one ended; 0: 30s
	OtherCalls  float64       `yaml:"other_calls"`  // calls per second that other apps take from each account's quota; TakeCalls takes many at once
	QuotaStatus int           `yaml:"quota_status"` // HTTP status past a limit: 429, or 400 as before 2026; 0: 429

	Latency       time.Duration `yaml:"latency"`        // how long every answer takes
	LatencyJitter time.Duration `yaml:"latency_jitter"` // up to this much longer, evenly spread
	ClockSkew     time.Duration `yaml:"clock_skew"`     // how far the simulation's clock is ahead of ours

	Churn Churn `yaml:"churn"`
	SSO   SSO   `yaml:"sso"`

	Quirks Quirks `yaml:"quirks"`
	Faults Faults `yaml:"faults"`
}

// AccountConfig is one account and its users.
type AccountConfig struct {
	ID           string `yaml:"id"`
	Name         string `yaml:"name"`
	Organization string `yaml:"organization"` // id of the one it belongs to; "": none
	Refuse       string `yaml:"refuse"`       // errorCode of every call on the account, e.g. ACCOUNT_LACKS_PERMISSIONS
	MembersOnly  bool   `yaml:"members_only"` // a caller who is not among the users is no member; else counts as an administrator
	HourLimit    int    `yaml:"hour_limit"`   // 0: Config's
	Users        []User `yaml:"users"`
	Generate     int    `yaml:"generate"` // so many users more: user000001@Domain and on, always the same
	Domain       string `yaml:"domain"`   // of generated users; "": example.com
}

// User is a user's membership in one account.
type User struct {
	ID            string    `yaml:"id"` // "": made from account, email and position
	Email         string    `yaml:"email"`
	Name          string    `yaml:"name"`
	Status        string    `yaml:"status"` // ActivationRequired, ActivationSent, Active, Closed or Disabled; "": Active
	Administrator bool      `yaml:"administrator"`
	ManagedBySCIM bool      `yaml:"managed_by_scim"`
	Created       time.Time `yaml:"created"`
	Added         time.Time `yaml:"added"` // to the account; zero: not in the record
	LastLogin     time.Time `yaml:"last_login"`

	SigningGroups []string `yaml:"signing_groups"` // which a closed member still signs for, until the close ends that as well

	CloseError  string   `yaml:"close_error"`  // errorCode with which closing this user is refused; "": closes
	SpoilsBatch bool     `yaml:"spoils_batch"` // a close that names this user is refused as a whole, naming nobody
	RemovedFrom []string `yaml:"-"`            // what the close took the user out of, as its `delete` parameter asked
}

// Allow as the value of a quirk lets the close go through.
const Allow = "allow"

// Quirks are answers that Docusign's documentation leaves open. The strings are
// errorCodes of a single user in the answer to a close.
type Quirks struct {
	ListsClosed       bool   `yaml:"lists_closed"`        // a list without `status` includes closed users; the web console's does not
	HidesClosedEmail  bool   `yaml:"hides_closed_email"`  // `email=` of a closed member is answered as an unknown address
	FilteredIsUnknown bool   `yaml:"filtered_is_unknown"` // so is that of a member whom `status` leaves out; else an empty list
	UnknownEmail      string `yaml:"unknown_email"`       // errorCode of `email=` nobody; "": USER_LACKS_MEMBERSHIP
	InexactEmail      bool   `yaml:"inexact_email"`       // `email=` also finds addresses that contain it or add a +tag
	NullURIs          bool   `yaml:"null_uris"`           // nextUri and previousUri are null at the ends, not left out
	NoTotals          bool   `yaml:"no_totals"`           // a list leaves totalSetSize out
	LeanRecords       bool   `yaml:"lean_records"`        // without additional_info=true, records leave out createdDateTime and lastLogin
	OwnRecordOnly     bool   `yaml:"own_record_only"`     // Users:get refuses everyone but the caller
	DefaultAsString   bool   `yaml:"default_as_string"`   // userinfo's is_default is "true", not true
	NotAMember        string `yaml:"not_a_member"`        // errorCode for a caller who is no member of the account; "": USER_LACKS_PERMISSIONS

	MaxUsersPerClose  int    `yaml:"max_users_per_close"` // more are refused as a whole; 0: no limit
	EmptyCloseIsOK    bool   `yaml:"empty_close_is_ok"`   // a close without a body closes nobody and is answered 200, not refused
	RemoveFrom        string `yaml:"remove_from"`         // a close with `delete`: "": Allow; else the errorCode of the call, or after "user:" of each user
	NoUserStatus      bool   `yaml:"no_user_status"`      // the answer to a close or a reopening leaves userStatus out
	UnknownID         string `yaml:"unknown_id"`          // also of Users:get; "": USER_LACKS_MEMBERSHIP
	AlreadyClosed     string `yaml:"already_closed"`      // "": Allow
	ActivationSent    string `yaml:"activation_sent"`     // also ActivationRequired; "": Allow
	SCIM              string `yaml:"scim"`                // of users managed by SCIM; "": Allow
	OwnMembership     string `yaml:"own_membership"`      // "": CANNOT_CLOSE_OWN_MEMBERSHIP
	LastAdministrator string `yaml:"last_administrator"`  // "": CANNOT_CLOSE_LAST_ACTIVE_ADMIN

	Reopen     string `yaml:"reopen"`      // of an update that opens users: "": Allow; else the errorCode of the call, or after "user:" of each user
	ReopenOpen string `yaml:"reopen_open"` // the same for a user who is not closed; "": Allow, which sends the email again
	ReopensAs  string `yaml:"reopens_as"`  // status of who was opened: "": ActivationSent; Closed: the update is answered, and does nothing

	Organization OrganizationQuirks `yaml:"organization"` // of the Admin API

	NoRateHeaders  bool   `yaml:"no_rate_headers"`  // the five rate-limit headers are left out
	RetryAfter     string `yaml:"retry_after"`      // past a limit, say Retry-After as "seconds" or as a "date"; "": don't
	MixedCaseQuota bool   `yaml:"mixed_case_quota"` // Hourly_APIInvocation_Limit_Exceeded instead of capitals
}

// withDefaults returns c with every zero value that stands for something else
// replaced by it.
func (c Config) withDefaults() Config {
	setDefault(&c.TokenLife, time.Hour)
	setDefault(&c.HourLimit, 3000)
	setDefault(&c.HourWindow, time.Hour)
	setDefault(&c.BurstLimit, 500)
	setDefault(&c.BurstWindow, 30*time.Second)
	setDefault(&c.QuotaStatus, http.StatusTooManyRequests)
	if len(c.Accounts) == 0 {
		c.Accounts = []AccountConfig{{ID: DefaultAccountID, Name: "Simulated account"}}
	}
	c.Accounts = slices.Clone(c.Accounts)
	for i := range c.Accounts {
		setDefault(&c.Accounts[i].Domain, "example.com")
	}
	c.Organizations = c.withOrganizations()
	q := &c.Quirks
	q.Organization = q.Organization.withDefaults()
	setDefault(&q.UnknownEmail, "USER_LACKS_MEMBERSHIP")
	setDefault(&q.UnknownID, "USER_LACKS_MEMBERSHIP")
	setDefault(&q.NotAMember, "USER_LACKS_PERMISSIONS")
	setDefault(&q.RemoveFrom, Allow)
	setDefault(&q.AlreadyClosed, Allow)
	setDefault(&q.ActivationSent, Allow)
	setDefault(&q.SCIM, Allow)
	// Named after the error types of the organization's CSV close; nothing says
	// what the single account's close calls them.
	setDefault(&q.OwnMembership, "CANNOT_CLOSE_OWN_MEMBERSHIP")
	setDefault(&q.LastAdministrator, "CANNOT_CLOSE_LAST_ACTIVE_ADMIN")
	setDefault(&q.Reopen, Allow)
	setDefault(&q.ReopenOpen, Allow)
	setDefault(&q.ReopensAs, "ActivationSent")
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks what withDefaults has completed; users are checked as they
// are added.
func (c Config) validate() error {
	for _, n := range []struct {
		key   string
		value any
		below bool
	}{
		{"token_life", c.TokenLife, c.TokenLife < 0},
		{"hour_limit", c.HourLimit, c.HourLimit < 0},
		{"hour_window", c.HourWindow, c.HourWindow < 0},
		{"burst_limit", c.BurstLimit, c.BurstLimit < 0},
		{"burst_window", c.BurstWindow, c.BurstWindow < 0},
		{"other_calls", c.OtherCalls, c.OtherCalls < 0},
		{"latency", c.Latency, c.Latency < 0},
		{"latency_jitter", c.LatencyJitter, c.LatencyJitter < 0},
		{"sso.after", c.SSO.After, c.SSO.After < 0},
		{"sso.times", c.SSO.Times, c.SSO.Times < 0},
		{"quirks.max_users_per_close", c.Quirks.MaxUsersPerClose, c.Quirks.MaxUsersPerClose < 0},
	} {
		if n.below {
			return fmt.Errorf("%s: %v: below 0", n.key, n.value)
		}
	}
	if c.QuotaStatus != http.StatusTooManyRequests && c.QuotaStatus != http.StatusBadRequest {
		return fmt.Errorf("quota_status: %d: neither 429 nor 400", c.QuotaStatus)
	}
	if u, err := url.Parse(c.BaseURI); c.BaseURI != "" && (err != nil || u.Host == "") {
		return fmt.Errorf("base_uri: %q: not a URL", c.BaseURI)
	}
	if c.PublicKey != nil && c.PublicKeyFile != "" {
		return fmt.Errorf("public_key_file: %q: a key was given as well", c.PublicKeyFile)
	}
	for i, a := range c.Accounts {
		if a.ID == "" {
			return fmt.Errorf("accounts[%d].id: missing", i)
		}
		if a.Generate < 0 {
			return fmt.Errorf("accounts[%d].generate: %d: below 0", i, a.Generate)
		}
		if a.HourLimit < 0 {
			return fmt.Errorf("accounts[%d].hour_limit: %d: below 0", i, a.HourLimit)
		}
	}
	if !slices.Contains([]string{"", inSeconds, asDate}, c.Quirks.RetryAfter) {
		return fmt.Errorf("quirks.retry_after: %q: neither %q nor %q", c.Quirks.RetryAfter, inSeconds, asDate)
	}
	if !slices.Contains(statuses, c.Quirks.ReopensAs) {
		return fmt.Errorf("quirks.reopens_as: %q: not one of %q", c.Quirks.ReopensAs, statuses)
	}
	if err := validateOrganizations(c.Organizations); err != nil {
		return err
	}
	if err := c.Quirks.Organization.validate(); err != nil {
		return err
	}
	if err := c.Churn.validate(); err != nil {
		return err
	}
	return c.Faults.validate()
}

// publicKey returns the key that assertions are verified with, or nil for none.
func (c Config) publicKey() (*rsa.PublicKey, error) {
	if c.PublicKeyFile == "" {
		return c.PublicKey, nil
	}
	pem, err := os.ReadFile(c.PublicKeyFile)
	if err != nil {
		return nil, fmt.Errorf("public_key_file: %w", err)
	}
	key, err := jwt.ParseRSAPublicKeyFromPEM(pem)
	if err != nil {
		return nil, fmt.Errorf("public_key_file: %q: %w", c.PublicKeyFile, err)
	}
	return key, nil
}
