package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
	"signoff/closer/outcomes"
	"signoff/consumer/mapping"
	"signoff/consumer/webhook"
)

// checkTimeout bounds each thing that is asked of somebody else.
const checkTimeout = 15 * time.Second

func checkCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	file := flags.String("config", "", "`FILE` to be checked")
	sendTest := flags.String("send-test", "", "`URL` of a daemon's webhook: sends it a termination of nobody and its rescind, in mode dry-run only; the ledger, which is the daemon's, is not looked at then")
	caFile := flags.String("ca-file", "", "`FILE` with who vouches for the certificate at --send-test; left out: whom the system trusts")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	cfg, err := loadConfig(*file)
	if err != nil {
		return err
	}
	checks := []check{
		{"config", checkMode}, {"events", checkEvents}, {"ledger", checkLedger}, {"kafka", checkKafka}, {"webhook", checkWebhook},
		{"docusign", checkDocusign}, {"outcomes", checkOutcomes}, {"admin", checkAdmin}, {"audit", checkSigning},
	}
	switch {
	case *sendTest != "":
		send, err := newTestSend(cfg, *sendTest, *caFile)
		if err != nil {
			return err
		}
		checks = slices.DeleteFunc(checks, func(c check) bool { return c.what == "ledger" })
		checks = append(checks, check{"send-test", send.check})
	case *caFile != "":
		return usageError{errors.New("--ca-file: is about --send-test")}
	}
	return runChecks(ctx, cfg, checks, out)
}

// check is one thing that is looked at, and what it says that is well.
type check struct {
	what  string
	check func(context.Context, config) (string, error)
}

func runChecks(ctx context.Context, cfg config, checks []check, out io.Writer) error {
	failed := 0
	for _, c := range checks {
		limited, cancel := context.WithTimeout(ctx, checkTimeout)
		found, err := c.check(limited, cfg)
		cancel()
		if err != nil {
			failed++
			fmt.Fprintf(out, "%-9s FAILED  %v\n", c.what, err)
			continue
		}
		fmt.Fprintf(out, "%-9s ok      %s\n", c.what, found)
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed", failed)
	}
	return nil
}

// nextLine begins a further line of what a check has found.
const nextLine = "\n                  "

func checkMode(_ context.Context, cfg config) (string, error) {
	if cfg.Mode == modeDryRun {
		return "mode dry-run: nobody will be closed", nil
	}
	return "mode close", nil
}

// checkLedger looks into a ledger that is there, also while a daemon writes it,
// and otherwise whether one could be made.
func checkLedger(ctx context.Context, cfg config) (string, error) {
	path := strings.TrimPrefix(cfg.Ledger, "sqlite://")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		probe, err := os.CreateTemp(filepath.Dir(path), ".signoff-check-*")
		if err != nil {
			return "", fmt.Errorf("%s cannot be made: %w", path, err)
		}
		return "not there yet, can be made", errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	l, err := ledger.OpenReadOnly(ctx, cfg.ledgerConfig())
	if errors.Is(err, ledger.ErrOlder) { // no fault before an upgrade
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	audit, err := auditSays(ctx, l)
	if err != nil {
		return "", errors.Join(err, l.Close())
	}
	stats, err := l.Stats(ctx)
	if err != nil {
		return "", errors.Join(err, l.Close())
	}
	outside, err := l.OutsideAccounts(ctx, cfg.Docusign.Accounts.ids())
	if err := errors.Join(err, l.Close()); err != nil {
		return "", err
	}
	entries := 0
	for _, n := range stats.Entries {
		entries += n
	}
	found := []string{fmt.Sprintf("%d entries, %s", entries, audit)}
	for _, o := range outside {
		found = append(found, o.Advice())
	}
	return strings.Join(found, nextLine), nil
}

// auditSays checks the audit, if that is done in time: one of years takes longer.
func auditSays(ctx context.Context, l *ledger.Ledger) (string, error) {
	limited, cancel := context.WithTimeout(ctx, checkTimeout/2)
	defer cancel()
	audit, err := l.VerifyAudit(limited)
	switch {
	case err == nil:
		return fmt.Sprintf("audit chain of %d rows is whole", audit.Rows), nil
	case limited.Err() != nil && ctx.Err() == nil:
		return "the audit is too long to be checked here: signoff audit verify does", nil
	}
	return "", err
}

func checkKafka(ctx context.Context, cfg config) (string, error) {
	if !cfg.readsKafka() {
		return "not configured", nil
	}
	if mappings, err := mapping.Compile(cfg.Events.Mappings); err == nil { // or else checkEvents says so
		if err := cfg.Kafka.FindMappings(mappings); err != nil {
			return "", err
		}
	}
	partitions, err := cfg.Kafka.Partitions(ctx)
	if err != nil {
		return "", err
	}
	var found, missing []string
	for _, name := range cfg.Kafka.TopicNames() {
		if n := partitions[name]; n > 0 {
			found = append(found, fmt.Sprintf("%s (%d partitions)", name, n))
		} else {
			missing = append(missing, name)
		}
	}
	all := strings.Join(found, ", ")
	switch {
	case len(missing) == 0:
		return all, nil
	case len(found) == 0:
		return "", fmt.Errorf("no such topic: %s", strings.Join(missing, ", "))
	}
	return "", fmt.Errorf("no such topic: %s; found %s", strings.Join(missing, ", "), all)
}

// checkWebhook reads what a start reads: tokens, secrets, certificates.
func checkWebhook(_ context.Context, cfg config) (string, error) {
	if cfg.Webhook.Listen == "" {
		return "not configured", nil
	}
	mappings, err := mapping.Compile(cfg.Events.Mappings)
	if err != nil {
		return "not checked: the mappings do not compile", nil //nolint:nilerr // said by checkEvents
	}
	if _, err := webhook.New(cfg.Webhook, nil, nil, mappings, nil, nil, zap.NewNop()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d endpoints on %s", len(cfg.Webhook.Endpoints), cfg.Webhook.Listen), nil
}

// checkOutcomes asks whether outcomes could be published, and sends none.
func checkOutcomes(ctx context.Context, cfg config) (string, error) {
	var found []string
	var errs []error
	for _, sink := range cfg.sinks() {
		switch sink {
		case outcomes.SinkKafka:
			partitions, err := cfg.Kafka.Writable(ctx)
			found, errs = append(found, fmt.Sprintf("topic %s (%d partitions)", cfg.Kafka.OutcomesTopic, partitions)), append(errs, err)
		case outcomes.SinkWebhook:
			secrets, err := cfg.Outcomes.Webhook.Check()
			found, errs = append(found, fmt.Sprintf("webhook at %s (secrets: %d)", cfg.Outcomes.Webhook.Host(), secrets)), append(errs, err)
		}
	}
	if len(found) == 0 {
		return "not published", nil
	}
	return strings.Join(found, ", "), errors.Join(errs...)
}

// checkAdmin says how people sign in to the pages, and asks the issuer where there is one.
func checkAdmin(ctx context.Context, cfg config) (string, error) {
	var ways []string
	if cfg.Admin.TokensFile != "" {
		ways = append(ways, "by a token")
	}
	if cfg.Admin.WebConfigFile != "" {
		ways = append(ways, "as web_config_file has it")
	}
	if cfg.Admin.OIDC != nil {
		if err := cfg.Admin.OIDC.Check(ctx); err != nil {
			return "", fmt.Errorf("admin.oidc.issuer: %w", err)
		}
		ways = append(ways, "by "+cfg.Admin.OIDC.Issuer)
	}
	if len(ways) == 0 {
		return "nobody signs in: on this machine one may look, and sees no names", nil
	}
	return "people come in " + strings.Join(ways, ", "), nil
}

// checkDocusign signs in, and finds out whether the user may close others in
// each account.
func checkDocusign(ctx context.Context, cfg config) (string, error) {
	client, err := docusign.New(cfg.Docusign.Config, nil, docusign.Observe{})
	if err != nil {
		return "", err
	}
	info, err := client.UserInfo(ctx)
	if err != nil {
		return "", advised(err)
	}
	accounts, err := closer.AccountsOf(info, cfg.Docusign.Accounts.ids(), cfg.Docusign.Accounts.all())
	if err != nil {
		return "", err
	}
	var found []string
	var errs []error
	for _, a := range accounts {
		text, err := checkAccount(ctx, cfg, client.Account(a), a, info.UserID)
		found, errs = append(found, text), append(errs, err)
	}
	if cfg.Docusign.CloseVia == viaOrganization {
		_, err := client.Organization(cfg.Docusign.Organization).Imports(ctx)
		if err != nil {
			err = fmt.Errorf("organization %s: %w", cfg.Docusign.Organization, advised(err))
		}
		found, errs = append(found, "organization "+cfg.Docusign.Organization), append(errs, err)
	}
	if others := uncovered(info, accounts); len(others) > 0 {
		found = append(found, "leavers stay open in these accounts of the user, which docusign.accounts does not name: "+strings.Join(others, ", "))
	}
	if skew := client.Skew(); skew.Abs() > 2*time.Minute {
		errs = append(errs, fmt.Errorf("our clock is %v off Docusign's", skew.Round(time.Second)))
	}
	return strings.Join(found, nextLine), errors.Join(errs...)
}

func checkAccount(ctx context.Context, cfg config, account *docusign.Account, info docusign.AccountInfo, self string) (string, error) {
	if org := cfg.Docusign.Organization; org != "" && !strings.EqualFold(info.OrganizationID, org) {
		return "", fmt.Errorf("account %s: does not belong to the organization %s", account.ID(), org)
	}
	active, err := account.CountUsers(ctx, docusign.Active)
	if err != nil {
		return "", fmt.Errorf("account %s: %w", account.ID(), advised(err))
	}
	me, err := account.User(ctx, self)
	switch {
	case err != nil:
		return "", fmt.Errorf("account %s: %w", account.ID(), advised(err))
	case !me.Administrator:
		return "", fmt.Errorf("account %s: the user of docusign.user_id is no administrator: it may not close users", account.ID())
	}
	hour := account.Quota().Hour
	return fmt.Sprintf("account %s, %d active users, %d of %d calls left this hour", account.ID(), active, hour.Remaining, hour.Limit), nil
}

// uncovered are accounts of the user that leavers are not closed in.
func uncovered(info docusign.UserInfo, covered []docusign.AccountInfo) []string {
	var ids []string
	for _, a := range info.Accounts {
		if !slices.ContainsFunc(covered, func(c docusign.AccountInfo) bool { return c.ID == a.ID }) {
			ids = append(ids, strings.ToLower(a.ID))
		}
	}
	return ids
}

// advised is err with what a person has to do about it.
func advised(err error) error {
	if advice := docusign.Advice(err); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}
