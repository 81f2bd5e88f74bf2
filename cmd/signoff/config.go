package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/consumer/kafka"
	"signoff/consumer/webhook"
)

// config is the config file: each room's own section.
type config struct {
	Mode     string          `yaml:"mode"`
	Ledger   string          `yaml:"ledger"`
	Kafka    kafka.Config    `yaml:"kafka"`
	Webhook  webhook.Config  `yaml:"webhook"`
	Events   consumer.Config `yaml:"events"`
	Docusign docusignConfig  `yaml:"docusign"`
	Batch    closer.Config   `yaml:"batch"`
	Guard    guard.Config    `yaml:"guard"`
	Admin    console.Config  `yaml:"admin"`
	Log      logConfig       `yaml:"log"`
}

type docusignConfig struct {
	docusign.Config `yaml:",inline"`
	Accounts        accounts      `yaml:"accounts"`
	CloseVia        string        `yaml:"close_via"`
	Reserve         float64       `yaml:"reserve"`
	Watch           time.Duration `yaml:"watch"`
}

// accounts are the account ids that leavers are closed in.
type accounts []string

// UnmarshalText takes the scalar form, of which there will be one: all.
func (a *accounts) UnmarshalText(text []byte) error {
	if string(text) == "all" {
		return errors.New("all: not supported yet, name one account")
	}
	return errors.New("not a list")
}

type logConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// notYet lists the keys that are promised and not there yet.
var notYet = []string{
	"kafka.tls", "kafka.sasl", "kafka.outcomes_topic",
	"webhook.tls", "webhook.endpoints[].mapping", "webhook.endpoints[].auth.secret_file",
	"events.mappings", "events.directory", "events.sources",
	"docusign.organization", "docusign.remove_from",
	"guard.approvals", "guard.approvals_expire", "guard.urgent_limits",
	"retention", "erase_after", "audit", "outcomes", "admin.web_config_file",
}

const (
	modeDryRun = "dry-run"
	modeClose  = "close"
)

func modes() []string { return []string{modeDryRun, modeClose} }

// defaults is a config in which nothing is set: it closes nobody.
func defaults() config {
	return config{
		Mode:     modeDryRun,
		Events:   consumer.Config{MaxAge: 7 * 24 * time.Hour},
		Docusign: docusignConfig{CloseVia: "account", Reserve: 0.5, Watch: 30 * 24 * time.Hour},
		Batch:    closer.Defaults(),
		Guard:    guard.Defaults(),
		Admin:    console.Config{Listen: "127.0.0.1:9090"},
		Log:      logConfig{Level: "info", Format: "json"},
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
		return c, usageError{err}
	}
	if err := c.validate(); err != nil {
		return c, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return c, nil
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
	if c.readsKafka() {
		if err := c.Kafka.Validate(); err != nil {
			return err
		}
	}
	for _, check := range []func() error{
		c.Webhook.Validate, c.Events.Validate, c.Docusign.validate, c.Batch.Validate, c.Guard.Validate, c.Admin.Validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c config) readsKafka() bool {
	return len(c.Kafka.Brokers) > 0 || len(c.Kafka.Topics) > 0 || c.Kafka.Group != ""
}

func (d docusignConfig) validate() error {
	if err := d.Config.Validate(); err != nil {
		return err
	}
	switch {
	case slices.Contains(d.Accounts, ""):
		return errors.New(`docusign.accounts: "": not the id of an account`)
	case len(d.Accounts) > 1:
		return errors.New("docusign.accounts: more than one: not supported yet")
	case d.CloseVia == "organization":
		return errors.New("docusign.close_via: organization: not supported yet")
	case d.CloseVia != "account":
		return fmt.Errorf("docusign.close_via: %q: neither account nor organization", d.CloseVia)
	case d.Reserve < 0 || d.Reserve >= 1:
		return fmt.Errorf("docusign.reserve: %v: not in 0..1", d.Reserve)
	case d.Watch < 0:
		return fmt.Errorf("docusign.watch: %v: negative", d.Watch)
	}
	return nil
}

// ids are the accounts as labels and the ledger have them.
func (a accounts) ids() []string {
	ids := make([]string, 0, len(a))
	for _, id := range a {
		ids = append(ids, strings.ToLower(id))
	}
	return ids
}

// account is the account that leavers are closed in; "" for the user's only one.
func (d docusignConfig) account() string {
	if len(d.Accounts) == 0 {
		return ""
	}
	return d.Accounts.ids()[0]
}

func (c config) ledgerConfig() ledger.Config {
	return ledger.Config{URL: c.Ledger, Grace: c.Batch.Grace, MaxAge: c.Events.MaxAge}
}

func (c config) closerConfig() closer.Config {
	b := c.Batch
	b.DryRun, b.Account = c.Mode != modeClose, c.Docusign.account()
	return b
}
