package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/guard"
	"signoff/consumer/employees"
	"signoff/consumer/kafka"
	"signoff/consumer/mapping"
)

// whole is the config of the design with what is not supported yet left out.
const whole = `
mode: close                        # dry-run (default) | close
ledger: sqlite:///var/lib/signoff/ledger.db
kafka:
  brokers: [kafka-0:9092]
  topics: [hr.employee, {name: hr.raw, mapping: acme}]
  group: signoff
webhook:
  listen: :8080
  endpoints:
    - path: /events
      auth: {bearer_file: /etc/signoff/webhook-token}
      success: 202
events:
  types: {terminated: [com.example.left], rescinded: [com.example.stays], rehired: ["com.example.back.*"]}
  time_zone: Europe/Lisbon
  max_age: 7d
  mappings:
    - {name: acme, file: /etc/signoff/acme.cel}
    - name: payroll
      expression: |
        body.map(l,
          {"email": l})
  directory: {scim: https://idp.example.com/scim, token_file: /run/secrets/scim, scim_attribute: externalId}
  sources: [{source: /hr, expect_within: 72h, may_rescind: true}, {source: /quiet}]
docusign:
  auth_server: https://account-d.docusign.com
  integration_key: 5a1f0b66
  user_id: 00000000-0000-4000-8000-0000000000aa
  private_key_file: /etc/signoff/key.pem
  accounts: [ACCOUNT-ID]
  close_via: account
  reserve: 0.5
  watch: 30d
batch:
  interval: 5m
  max_users: 100
  grace: 0s
  deadline: 24h
guard:
  protected: {emails: [ceo@example.com], domains: [board.example.com], user_ids: [u-1]}
  administrators: hold
  min_administrators: 2
  ambiguous: hold
  first_run: hold
  limits:
    - {window: 1h, max: 25}
    - {window: 24h, max: 10, max_share: 0.05}
retention: 7y
erase_after: 400d
audit: {signing_key_file: /run/secrets/audit.pem}
admin:
  listen: 127.0.0.1:9090
  session: 12h
  oidc:
    issuer: https://login.example.com
    client_id: signoff
    redirect_url: https://signoff.example.com/sign-in/callback
    name: Sign in with Example
    scopes: [openid, email, groups]
    name_claim: preferred_username
    roles_claim: resource_access.signoff.roles
    viewers: [look]
    operators: [decide]
log: {level: info, format: json}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "signoff.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConfigHasTheValuesWritten(t *testing.T) {
	c, err := loadConfig(writeConfig(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	threeDays := 3 * day
	for key, c := range map[string]struct{ got, want any }{
		"mode":                    {c.Mode, "close"},
		"ledger":                  {c.Ledger, "sqlite:///var/lib/signoff/ledger.db"},
		"kafka.brokers":           {c.Kafka.Brokers, []string{"kafka-0:9092"}},
		"kafka.topics":            {c.Kafka.Topics, []kafka.Topic{{Name: "hr.employee"}, {Name: "hr.raw", Mapping: "acme"}}},
		"kafka.group":             {c.Kafka.Group, "signoff"},
		"webhook.listen":          {c.Webhook.Listen, ":8080"},
		"path":                    {c.Webhook.Endpoints[0].Path, "/events"},
		"bearer_file":             {c.Webhook.Endpoints[0].Auth.BearerFile, "/etc/signoff/webhook-token"},
		"success":                 {c.Webhook.Endpoints[0].Success, 202},
		"events.types.terminated": {c.Events.Types.Terminated, []string{"com.example.left"}},
		"events.types.rescinded":  {c.Events.Types.Rescinded, []string{"com.example.stays"}},
		"events.types.rehired":    {c.Events.Types.Rehired, []string{"com.example.back.*"}},
		"events.time_zone":        {c.Events.TimeZone, "Europe/Lisbon"},
		"events.max_age":          {c.Events.MaxAge, 7 * day},
		"events.mappings": {c.Events.Mappings, []mapping.Config{
			{Name: "acme", File: "/etc/signoff/acme.cel"}, {Name: "payroll", Expression: "body.map(l,\n  {\"email\": l})\n"}}},
		"events.sources": {c.Events.Sources, []sourceConfig{{"/hr", &threeDays, true}, {"/quiet", nil, false}}},
		"events.directory": {c.Events.Directory, employees.Config{
			SCIM: "https://idp.example.com/scim", TokenFile: "/run/secrets/scim", SCIMAttribute: "externalId"}},
		"docusign.auth_server":     {c.Docusign.AuthServer, "https://account-d.docusign.com"},
		"docusign.integration_key": {c.Docusign.IntegrationKey, "5a1f0b66"},
		"docusign.user_id":         {c.Docusign.UserID, "00000000-0000-4000-8000-0000000000aa"},
		"private_key_file":         {c.Docusign.PrivateKeyFile, "/etc/signoff/key.pem"},
		"docusign.accounts":        {c.Docusign.Accounts, accounts{"ACCOUNT-ID"}},
		"docusign.reserve":         {c.Docusign.Reserve, 0.5},
		"docusign.watch":           {c.Docusign.Watch, 30 * day},
		"batch.interval":           {c.Batch.Interval, 5 * time.Minute},
		"batch.max_users":          {c.Batch.MaxUsers, 100},
		"batch.grace":              {c.Batch.Grace, time.Duration(0)},
		"batch.deadline":           {c.Batch.Deadline, day},
		"guard.protected": {c.Guard.Protected,
			guard.People{Emails: []string{"ceo@example.com"}, Domains: []string{"board.example.com"}, UserIDs: []string{"u-1"}}},
		"guard.administrators":     {c.Guard.Administrators, guard.Hold},
		"guard.min_administrators": {c.Guard.MinAdministrators, 2},
		"guard.ambiguous":          {c.Guard.Ambiguous, guard.Hold},
		"guard.first_run":          {c.Guard.FirstRun, guard.Hold},
		"guard.limits":             {c.Guard.Limits, []guard.Limit{{Window: time.Hour, Max: 25}, {Window: day, Max: 10, MaxShare: 0.05}}},
		"retention":                {c.Retention, 7 * 365 * day},
		"erase_after":              {c.EraseAfter, 400 * day},
		"signing_key_file":         {c.Audit.SigningKeyFile, "/run/secrets/audit.pem"},
		"admin.listen":             {c.Admin.Listen, "127.0.0.1:9090"},
		"admin.session":            {c.Admin.Session, 12 * time.Hour},
		"admin.oidc": {c.Admin.OIDC, &console.OIDC{Issuer: "https://login.example.com", ClientID: "signoff",
			RedirectURL: "https://signoff.example.com/sign-in/callback", Name: "Sign in with Example", Scopes: []string{"openid", "email", "groups"},
			NameClaim: "preferred_username", RolesClaim: "resource_access.signoff.roles", Viewers: []string{"look"}, Operators: []string{"decide"}}},
		"log":                   {c.Log, logConfig{"info", "json"}},
		"the closer's accounts": {c.closerConfig().Accounts, []string{"account-id"}},
		"the ledger's watch":    {c.ledgerConfig().Watch, c.Docusign.Watch},
		"the closer's mode":     {c.closerConfig().DryRun, false},
		"the ledger's sources":  {c.ledgerConfig().Sources, []string{"/hr", "/quiet"}},
		"the ledger's max_age":  {c.ledgerConfig().MaxAge, 7 * day},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", key, c.got, c.want)
		}
	}
}

// least is the shortest config that there can be.
const least = `ledger: sqlite:///var/lib/signoff/ledger.db
kafka: {brokers: [kafka-0:9092], topics: [hr.employee], group: signoff}
docusign:
  auth_server: https://account-d.docusign.com
  integration_key: 5a1f0b66
  user_id: 00000000-0000-4000-8000-0000000000aa
  private_key_file: /etc/signoff/key.pem
`

func TestDefaultsCloseNobody(t *testing.T) {
	c, err := loadConfig(writeConfig(t, least))
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != modeDryRun || !c.closerConfig().DryRun {
		t.Errorf("mode %q closes", c.Mode)
	}
	if c.Guard.FirstRun != guard.Hold || c.Guard.Administrators != guard.Hold || c.Guard.Ambiguous != guard.Hold {
		t.Errorf("guard %+v holds too little", c.Guard)
	}
	if len(c.Guard.Limits) == 0 {
		t.Error("no limits")
	}
	if c.Retention != 7*365*24*time.Hour || c.EraseAfter != 400*24*time.Hour {
		t.Errorf("retention %v, erase_after %v", c.Retention, c.EraseAfter)
	}
	if c.Admin.Listen != "127.0.0.1:9090" {
		t.Errorf("admin.listen %q: not loopback", c.Admin.Listen)
	}
	if c.Admin.Session != 8*time.Hour || c.Admin.OIDC != nil {
		t.Errorf("admin.session %v, admin.oidc %+v", c.Admin.Session, c.Admin.OIDC)
	}
	if b := c.closerConfig(); len(b.Accounts) > 0 || b.AllAccounts || b.Organization != "" || b.SigningGroups {
		t.Errorf("accounts %q, all of them %v, organization %q, signing groups %v: out of nowhere", b.Accounts, b.AllAccounts, b.Organization, b.SigningGroups)
	}
}

// with is the least config with a line more; a section it names is replaced.
func with(text string) string {
	section, _, _ := strings.Cut(text, ":")
	var kept []string
	skip := false
	for line := range strings.SplitSeq(least, "\n") {
		if line != "" && line[0] != ' ' {
			skip = strings.HasPrefix(line, section+":")
		}
		if !skip {
			kept = append(kept, line)
		}
	}
	return strings.TrimSpace(strings.Join(kept, "\n")) + "\n" + text + "\n"
}

func TestConfigMistakes(t *testing.T) {
	const docusign = "docusign: {auth_server: https://a.example.com, integration_key: k, user_id: u, private_key_file: f"
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"an empty file":               {"", "ledger: not set"},
		"a mode there is not":         {with("mode: closed"), `mode: "closed": neither dry-run nor close`},
		"a ledger of later":           {with("ledger: postgres://signoff:hunter2@db/x"), "ledger: not supported yet, only sqlite:///"},
		"nothing to hear by":          {with("kafka:"), "neither kafka nor webhook is set"},
		"kafka without a group":       {with("kafka: {brokers: [a:1], topics: [t]}"), "kafka.group: not given"},
		"a broker without a port":     {with("kafka: {brokers: [a], topics: [t], group: g}"), `kafka.brokers: "a": not host:port`},
		"an empty broker":             {with("kafka: {brokers: [~], topics: [t], group: g}"), `kafka.brokers: "": not host:port`},
		"a webhook without a port":    {with("webhook: {listen: localhost}"), `webhook.listen: "localhost": not host:port`},
		"an endpoint open to all":     {with("webhook: {listen: ':1', endpoints: [{path: /e}]}"), "webhook.endpoints[0].auth: not set"},
		"a sender of no preset":       {with("webhook: {listen: ':1', endpoints: [{path: /e, auth: {hmac: hunter2, secret_file: s}}]}"), "webhook.endpoints[0].auth.hmac: none of bamboohr, deel"},
		"a signature of no body":      {with("webhook: {listen: ':1', endpoints: [{path: /e, auth: {hmac: {header: x, encoding: hex, content: a}, secret_file: s}}]}"), "webhook.endpoints[0].auth.hmac.content: \"a\": must have {body}"},
		"a certificate without key":   {with("webhook: {listen: ':1', tls: {cert_file: c}, endpoints: [{path: /e, auth: none}]}"), "webhook.tls.key_file: not set"},
		"a token in the config":       {with("webhook: {listen: ':1', endpoints: [{path: /e, auth: hunter2}]}"), ":8: webhook.endpoints[0].auth: neither none nor a mapping"},
		"a time zone there is not":    {with("events: {time_zone: Lisbon}"), "events.time_zone: Lisbon"},
		"a source without a name":     {with("events: {sources: [{expect_within: 1h}]}"), "events.sources[0].source: not set"},
		"a source with a space":       {with("events: {sources: [{source: 'hr '}]}"), `events.sources[0].source: "hr ": begins or ends`},
		"a source twice":              {with("events: {sources: [{source: hr}, {source: hr}]}"), `events.sources[1].source: "hr": named twice`},
		"a source expected at once":   {with("events: {sources: [{source: hr, expect_within: 0s}]}"), "events.sources[0].expect_within: 0s: not a length of time"},
		"a source expected before":    {with("events: {sources: [{source: hr, expect_within: -1h}]}"), "events.sources[0].expect_within: -1h0m0s"},
		"a negative age":              {with("events: {max_age: -1h}"), "events.max_age: -1h0m0s: negative"},
		"a mapping without a name":    {with("events: {mappings: [{file: a.cel}]}"), "events.mappings[0].name: not set"},
		"a mapping of nothing":        {with("events: {mappings: [{name: a}]}"), "events.mappings[0] (a): one of file and expression"},
		"a directory in the clear":    {with("events: {directory: {scim: 'http://idp.example.com', token_file: t}}"), "events.directory.scim: neither https nor a loopback"},
		"a password of a directory":   {with("events: {directory: {scim: 'https://x:hunter2@idp.example.com', token_file: t}}"), "events.directory.scim: has a user in it"},
		"an account twice":            {with(docusign + ", accounts: [a, A]}"), `docusign.accounts: "A": named twice`},
		"an account without an id":    {with(docusign + ", accounts: ['']}"), `docusign.accounts: "": not the id`},
		"all accounts and one":        {with(docusign + ", accounts: [a, all]}"), "docusign.accounts: all, or a list of ids"},
		"an account as a text":        {with(docusign + ", accounts: a}"), "docusign.accounts: neither a list nor the word all"},
		"a close by no organization":  {with(docusign + ", close_via: organization}"), "docusign.organization: not set"},
		"a column that is none":       {with(docusign + ", import_columns: [AccountID, UserEmail, x]}"), `docusign.import_columns: "x": none of`},
		"a column left out":           {with(docusign + ", import_columns: [AccountID]}"), "docusign.import_columns: UserEmail is missing"},
		"groups of another kind":      {with(docusign + ", remove_from: [groups]}"), `docusign.remove_from: "groups": only signing_groups`},
		"a close by nothing known":    {with(docusign + ", close_via: x}"), `docusign.close_via: "x": neither account nor organization`},
		"all of the quota":            {with(docusign + ", reserve: 1.5}"), "docusign.reserve: 1.5: not in 0..1"},
		"a negative watch":            {with(docusign + ", watch: -1h}"), "docusign.watch: -1h0m0s: negative"},
		"http to elsewhere":           {with("docusign: {auth_server: http://a.example.com}"), `docusign.auth_server: "http://a.example.com": https`},
		"a password in a URL":         {with("docusign: {auth_server: 'https://x:hunter2@a.example.com'}"), "docusign.auth_server:"},
		"no integration key":          {with("docusign: {auth_server: https://a.example.com}"), "docusign.integration_key"},
		"no interval":                 {with("batch: {interval: 0s}"), "batch.interval: 0s: not a length of time"},
		"batches of nobody":           {with("batch: {max_users: 0}"), "batch.max_users: 0: at least 1"},
		"a guard that does neither":   {with("guard: {first_run: ask}"), `guard.first_run: "ask": neither hold nor close`},
		"more than all":               {with("guard: {limits: [{window: 1h, max_share: 1.5}]}"), "guard.limits[0].max_share: 1.5: not in 0..1"},
		"a limit without a window":    {with("guard: {limits: [{max: 1}]}"), "guard.limits[0].window: 0s"},
		"erased before it was lost":   {with("erase_after: -1h"), "erase_after: -1h0m0s: negative"},
		"erased while it is watched":  {with("erase_after: 29d"), "erase_after: 696h0m0s: shorter than docusign.watch (720h0m0s)"},
		"erased within a window":      {with("erase_after: 60d\nguard: {limits: [{window: 61d, max: 1}]}"), "erase_after: 1440h0m0s: shorter than the longest window of guard.limits"},
		"erased within the week":      {"erase_after: 6d\n" + with(docusign+", watch: 0s}"), "erase_after: 144h0m0s: shorter than 7d"},
		"deleted before it is erased": {with("retention: 1y"), "retention: 8760h0m0s: shorter than erase_after (9600h0m0s)"},
		"deleted while it is watched": {with("retention: 1d\nerase_after: 0s"), "retention: 24h0m0s: shorter than docusign.watch"},
		"an admin without a port":     {with("admin: {listen: localhost}"), `admin.listen: "localhost": not host:port`},
		"a session without end":       {with("admin: {listen: ':0', session: 0s}"), "admin.session: 0s: not from 1m to 30d"},
		"an issuer in the clear":      {with("admin: {listen: ':0', oidc: {issuer: 'http://login.example.com'}}"), "admin.oidc.issuer: http is for this machine alone"},
		"an issuer of nothing":        {with("admin: {listen: ':0', oidc: {}}"), "admin.oidc.issuer: not set"},
		"tokens there are not":        {with("admin: {listen: ':0', tokens_file: /nowhere/tokens}"), "admin.tokens_file: open /nowhere/tokens"},
		"a log of an unknown format":  {with("log: {format: xml}"), `log.format: "xml": neither json nor console`},
		"a log of an unknown level":   {with("log: {level: loud}"), `log.level: "loud": none of debug`},
		"an unknown key":              {with("log: {levels: info}"), ":8: log.levels: unknown key, is level meant?"},
		"an address for a list":       {with("guard: {protected: {emails: ana@example.com}}"), ":8: guard.protected.emails: an address: not a list"},
		"a pasted private key": {strings.Replace(least, "/etc/signoff/key.pem", "|\n    -----BEGIN RSA PRIVATE KEY-----\n    hunter2", 1),
			":7: docusign.private_key_file: more than one line"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeConfig(t, c.text)
			_, err := loadConfig(file)
			var usage usageError
			if !errors.As(err, &usage) {
				t.Fatalf("%v is no mistake of usage", err)
			}
			if !strings.HasPrefix(err.Error(), file+":") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "@") {
				t.Errorf("%q shows a secret, or an address", err)
			}
		})
	}
}

func TestEveryKeyOfLaterSaysSo(t *testing.T) {
	for _, key := range notYet {
		t.Run(key, func(t *testing.T) {
			text := "x"
			parts := strings.Split(key, ".")
			for i := len(parts) - 1; i >= 0; i-- {
				name, list := strings.CutSuffix(parts[i], "[]")
				if list {
					text = "[" + text + "]"
				}
				if i == 0 {
					text = name + ": " + text
				} else {
					text = "{" + name + ": " + text + "}"
				}
			}
			_, err := loadConfig(writeConfig(t, with(text)))
			path := strings.ReplaceAll(key, "[]", "[0]")
			if err == nil || !strings.Contains(err.Error(), ": "+path+": not supported yet") {
				t.Errorf("%s: %v", text, err)
			}
		})
	}
}
