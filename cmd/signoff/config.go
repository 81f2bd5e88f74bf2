package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/closer/outcomes"
	"signoff/consumer"
	"signoff/consumer/employees"
	"signoff/consumer/kafka"
	"signoff/consumer/mapping"
	"signoff/consumer/webhook"
)

// config is the config file: each room's own section.
type config struct {
	Mode     string          `yaml:"mode"`
	Ledger   string          `yaml:"ledger"`
	Kafka    kafka.Config    `yaml:"kafka"`
	Webhook  webhook.Config  `yaml:"webhook"`
	Events   eventsConfig    `yaml:"events"`
	Docusign docusignConfig  `yaml:"docusign"`
	Batch    closer.Config   `yaml:"batch"`
	Guard    guard.Config    `yaml:"guard"`
	Outcomes outcomes.Config `yaml:"outcomes"`

	Retention  time.Duration `yaml:"retention"`   // rows are kept so long after they were settled; 0: for ever
	EraseAfter time.Duration `yaml:"erase_after"` // emails and names are; 0: as long as their rows
	Audit      auditConfig   `yaml:"audit"`

	Admin console.Config `yaml:"admin"`
	Log   logConfig      `yaml:"log"`
}

type eventsConfig struct {
	consumer.Config `yaml:",inline"`
	Mappings        []mapping.Config `yaml:"mappings"`
	Directory       employees.Config `yaml:"directory"`
	Sources         []sourceConfig   `yaml:"sources"`
}

type docusignConfig struct {
	docusign.Config `yaml:",inline"`
	Accounts        accounts      `yaml:"accounts"`
	CloseVia        string        `yaml:"close_via"`
	ImportColumns   []string      `yaml:"import_columns"`
	RemoveFrom      []string      `yaml:"remove_from"`
	Watch           time.Duration `yaml:"watch"`
}

// The values of docusign.close_via and docusign.remove_from.
const (
	viaAccount      = "account"
	viaOrganization = "organization"
	signingGroups   = "signing_groups"
)

// accounts are the account ids that leavers are closed in, or the word all.
type accounts []string

const allAccounts = "all"

// UnmarshalText takes the scalar form, of which there is one: all.
func (a *accounts) UnmarshalText(text []byte) error {
	if string(text) != allAccounts {
		return errors.New("neither a list nor the word all")
	}
	*a = accounts{allAccounts}
	return nil
}

func (a accounts) all() bool { return slices.Equal(a, accounts{allAccounts}) }

// ids are the accounts as labels and the ledger have them; none where the config
// names none.
func (a accounts) ids() []string {
	if a.all() {
		return nil
	}
	ids := make([]string, 0, len(a))
	for _, id := range a {
		ids = append(ids, strings.ToLower(id))
	}
	return ids
}

type logConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// notYet lists the keys that are promised and not there yet; none at the moment.
var notYet []string

const (
	modeDryRun = "dry-run"
	modeClose  = "close"
)

func modes() []string { return []string{modeDryRun, modeClose} }

// defaults is a config in which nothing is set: it closes nobody.
func defaults() config {
	return config{
		Mode:   modeDryRun,
		Events: eventsConfig{Config: consumer.Config{MaxAge: 7 * 24 * time.Hour}},
		Docusign: docusignConfig{Config: docusign.Config{Reserve: 0.5}, CloseVia: viaAccount,
			ImportColumns: docusign.DefaultColumns, Watch: 30 * 24 * time.Hour},
		Batch: closer.Defaults(),
		Guard: guard.Defaults(),

		Retention: 7 * 365 * 24 * time.Hour, EraseAfter: 400 * 24 * time.Hour,

		Admin: console.Defaults(),
		Log:   logConfig{Level: "info", Format: "json"},
	}
}

// usageError is a mistake in the command line or the config: exit status 2.
type usageError struct{ error }

// loadConfig reads and checks a config file.
func loadConfig(file string) (config, error) {
	c := defaults()
	if file == "" {
		return c, usageError{errors.New("--config FILE is needed")}
	}
	if err := decodeYAML(file, &c, notYet); err != nil {
		return c, usageError{withoutAddresses(file, err)}
	}
	if err := c.validate(); err != nil {
		return c, usageError{withoutAddresses(file, fmt.Errorf("%s: %w", file, err))}
	}
	if c.Docusign.CloseVia == viaAccount {
		c.Docusign.Organization = "" // or the sign-in would ask for scopes that nothing needs
	}
	return c, nil
}

var quotedAddress = regexp.MustCompile(`"?[^\s"]*@[^\s":]*"?`)

// withoutAddresses is an error about a file, as a log may have it: a value that it quotes
// may be somebody's address.
func withoutAddresses(file string, err error) error {
	said, ok := strings.CutPrefix(err.Error(), file)
	if !ok || !strings.Contains(said, "@") {
		return err
	}
	return errors.New(file + quotedAddress.ReplaceAllString(said, "an address"))
}

func (c config) validate() error {
	switch {
	case !slices.Contains(modes(), c.Mode):
		return fmt.Errorf("mode: %q: neither dry-run nor close", c.Mode)
	case c.Ledger == "":
		return errors.New("ledger: not set: sqlite:///path/to/ledger.db")
	case !strings.HasPrefix(c.Ledger, "sqlite://"): // not quoted: a database's URL may hold a password
		return errors.New("ledger: not supported yet, only sqlite:///path/to/ledger.db")
	case !c.readsKafka() && c.Webhook.Listen == "":
		return errors.New("neither kafka nor webhook is set: no termination would ever be heard of")
	case !slices.Contains([]string{"json", "console"}, c.Log.Format):
		return fmt.Errorf("log.format: %q: neither json nor console", c.Log.Format)
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level):
		return fmt.Errorf("log.level: %q: none of debug, info, warn, error", c.Log.Level)
	}
	if c.readsKafka() || c.Kafka.OutcomesTopic != "" {
		if err := c.Kafka.Validate(); err != nil {
			return err
		}
	}
	for _, check := range []func() error{
		c.Webhook.Validate, c.Events.validate, c.Docusign.validate, c.Batch.Validate, c.Guard.Validate, c.Outcomes.Validate, c.Admin.Validate,
		c.validateKeeping,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c config) readsKafka() bool { return c.Kafka.Reads() }

// sinks are the names of those that outcomes are published to.
func (c config) sinks() []string {
	var sinks []string
	if c.Kafka.OutcomesTopic != "" {
		sinks = append(sinks, outcomes.SinkKafka)
	}
	if c.Outcomes.Webhook != nil {
		sinks = append(sinks, outcomes.SinkWebhook)
	}
	return sinks
}

func (d docusignConfig) validate() error {
	if err := d.Config.Validate(); err != nil {
		return err
	}
	if err := d.Accounts.validate(); err != nil {
		return err
	}
	switch {
	case d.CloseVia != viaAccount && d.CloseVia != viaOrganization:
		return fmt.Errorf("docusign.close_via: %q: neither account nor organization", d.CloseVia)
	case d.CloseVia == viaOrganization && d.Organization == "":
		return errors.New("docusign.organization: not set, and close_via: organization needs its id")
	case d.Watch < 0:
		return fmt.Errorf("docusign.watch: %v: negative", d.Watch)
	}
	for _, from := range d.RemoveFrom {
		if from != signingGroups {
			return fmt.Errorf("docusign.remove_from: %q: only signing_groups", from)
		}
	}
	return d.validateColumns()
}

// validateColumns asks for what an import cannot do without.
func (d docusignConfig) validateColumns() error {
	for _, column := range d.ImportColumns {
		if !slices.Contains(docusign.KnownColumns(), column) {
			return fmt.Errorf("docusign.import_columns: %q: none of %s", column, strings.Join(docusign.KnownColumns(), ", "))
		}
	}
	for _, column := range []string{"AccountID", "UserEmail"} {
		if !slices.Contains(d.ImportColumns, column) {
			return fmt.Errorf("docusign.import_columns: %s is missing", column)
		}
	}
	return nil
}

func (a accounts) validate() error {
	seen := make(map[string]bool)
	for _, id := range a {
		folded := strings.ToLower(id)
		switch {
		case strings.TrimSpace(id) == "":
			return fmt.Errorf("docusign.accounts: %q: not the id of an account", id)
		case folded == allAccounts && len(a) > 1:
			return errors.New("docusign.accounts: all, or a list of ids")
		case seen[folded]:
			return fmt.Errorf("docusign.accounts: %q: named twice", id)
		}
		seen[folded] = true
	}
	return nil
}

// itself is c, for those to whom it may be another at each time.
func (c config) itself() config { return c }

func (c config) ledgerConfig() ledger.Config {
	return ledger.Config{URL: c.Ledger, Grace: c.Batch.Grace, MaxAge: c.Events.MaxAge, Watch: c.Docusign.Watch,
		Rescinders: rescinders(c.Events.Sources), Sources: sourceNames(c.Events.Sources)}
}

// terms are what an approval has to be.
func (c config) terms() ledger.Terms {
	return ledger.Terms{People: c.Guard.Approvals, Expires: c.Guard.ApprovalsExpire}
}

func (c config) closerConfig() closer.Config {
	b := c.Batch
	b.DryRun = c.Mode != modeClose
	b.Accounts, b.AllAccounts = c.Docusign.Accounts.ids(), c.Docusign.Accounts.all()
	b.Organization, b.Columns = c.Docusign.Organization, c.Docusign.ImportColumns
	b.SigningGroups = slices.Contains(c.Docusign.RemoveFrom, signingGroups)
	return b
}
