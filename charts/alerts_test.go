package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"signoff/closer"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// rule is one of signoff/rules, with its defaults.
type rule struct {
	Alert, Record, Expr, For, Severity, Summary, Description string
	Threshold                                                *float64
}

// rules are those of a file of signoff/rules, or of all of them.
func rules(t *testing.T, pattern string) (all []rule) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("signoff", "rules", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("signoff/rules/%s: %v, %v", pattern, files, err)
	}
	for _, file := range files {
		var groups []struct {
			Group string
			Rules []rule
		}
		if err := yaml.Unmarshal([]byte(read(t, file)), &groups); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, g := range groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

// alerts are the rules that alert.
func alerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(rules(t, "*.yaml"), func(r rule) bool { return r.Alert == "" })
}

func (r rule) name() string { return r.Alert + r.Record }

// exported are the labels of every metric of ours, by metrics.golden.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	metrics := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^(signoff_\w+) \w+ \{([\w,]*)\}`).FindAllStringSubmatch(read(t, "../metrics/testdata/metrics.golden"), -1) {
		metrics[m[1]] = strings.Split(m[2], ",")
	}
	if len(metrics) == 0 {
		t.Fatal("no metric in metrics.golden")
	}
	return metrics
}

var (
	selected = regexp.MustCompile(`\b((?:signoff|process)_\w+|up|signoff:\w+:\w+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
	ours     = regexp.MustCompile(`\bsignoff_\w+`)
)

// othersMetrics are of Prometheus and of the process, with no label of ours.
var othersMetrics = map[string][]string{"up": nil, "process_start_time_seconds": nil}

func TestEveryRuleAsksForWhatThereIs(t *testing.T) {
	metrics := exported(t)
	for _, r := range rules(t, "*.yaml") {
		recorded := 0
		for _, m := range selected.FindAllStringSubmatch(r.Expr, -1) {
			metric, of := m[1], m[2]
			if !strings.HasPrefix(of, "<selector>") {
				t.Errorf("%s: %s{%s} would take another release's series: it does not begin with <selector>", r.name(), metric, of)
			}
			if strings.Contains(metric, ":") {
				recorded++
				continue
			}
			labels, ok := metrics[metric]
			if _, other := othersMetrics[metric]; !ok && !other {
				t.Errorf("%s: there is no metric %s", r.name(), metric)
			}
			for _, of := range matcher.FindAllStringSubmatch(of, -1) {
				checkValues(t, r, metric, append(labels, "dry_run"), of[1], of[3])
			}
		}
		if n := len(ours.FindAllString(r.Expr, -1)); n+recorded > len(selected.FindAllString(r.Expr, -1)) {
			t.Errorf("%s: a metric without a selector in %s", r.name(), r.Expr)
		}
	}
}

func checkValues(t *testing.T, r rule, metric string, labels []string, label, values string) {
	t.Helper()
	if !slices.Contains(labels, label) {
		t.Errorf("%s: %s has no label %s", r.name(), metric, label)
	}
	for value := range strings.SplitSeq(values, "|") {
		if known := words(metric, label); !slices.Contains(known, value) {
			t.Errorf("%s: %s of %s is never %q, but one of %q", r.name(), label, metric, value, known)
		}
	}
}

// words are the values that a label may have, of the sets that the code has.
func words(metric, label string) []string {
	switch metric + " " + label {
	case "signoff_oldest_hold_timestamp_seconds reason":
		return strs(ledger.Kinds())
	case "signoff_ahead_leavers finding":
		return ledger.FindingWords()
	case "signoff_docusign_parked reason", "signoff_failures_total reason":
		return closer.Reasons()
	case "signoff_entries state":
		return strs(ledger.States())
	case "signoff_kafka_state state":
		return strs(consumer.Readings())
	case "signoff_mode mode":
		return []string{"dry-run", "close"}
	case "signoff_deadlines_total result":
		return []string{"met", "missed"}
	case "signoff_deadlines_total cause":
		return []string{"none", "notice", "held", "parked", "quota", "failed"}
	case "signoff_webhook_requests_total code":
		return []string{"2xx", "400", "401", "403", "404", "405", "413", "415", "429", "4xx", "5xx"}
	case "signoff_webhook_requests_total endpoint":
		return []string{"other"}
	case "signoff_docusign_quota_limit account":
		return []string{"organization"}
	}
	if label == "window" {
		return []string{"hour", "burst"}
	}
	return []string{""} // dry_run
}

func strs[T ~string](words []T) (all []string) {
	for _, w := range words {
		all = append(all, string(w))
	}
	return all
}

// A timestamp of 0 says that there is nothing; taken from the time it would be an
// age of half a century.
func TestNoRuleTakesZeroForATime(t *testing.T) {
	age := regexp.MustCompile(`time\(\) -\s*(\S+)`)
	guarded := regexp.MustCompile(`^\(signoff_\w+_timestamp_seconds\{`)
	for _, r := range rules(t, "*.yaml") {
		for _, m := range age.FindAllStringSubmatchIndex(r.Expr, -1) {
			of := r.Expr[m[2]:]
			if strings.HasPrefix(of, "process_start_time_seconds{") {
				continue
			}
			end := strings.Index(of, "}")
			if !guarded.MatchString(of) || !strings.HasPrefix(of[end:], "} > 0)") {
				t.Errorf("%s: the age of what may be 0: time() - %s", r.name(), of)
			}
		}
	}
}

// What would be left open is told of leavers alone, and in a dry run nobody is
// closed: those of the group leavers leave it out.
func TestAlertsOnLeaversLeaveDryRunsOut(t *testing.T) {
	for _, r := range rules(t, "*.yaml") {
		for _, m := range selected.FindAllStringSubmatch(r.Expr, -1) {
			leavers := regexp.MustCompile(`deadline|overdue|hold_|returned|outside|not_found|ahead|(?:_entries$)`).MatchString(m[1])
			if leaves := strings.Contains(m[2], `dry_run=""`); leaves != leavers && !strings.Contains(m[1], ":") {
				t.Errorf("%s: %s{%s} leaves dry runs out: %v, want %v", r.name(), m[1], m[2], leaves, leavers)
			}
		}
	}
}

func TestEveryAlertSaysWhatItMeans(t *testing.T) {
	severities := []string{"critical", "warning", "info"}
	for _, a := range alerts(t) {
		if !strings.HasPrefix(a.Alert, "Signoff") || !slices.Contains(severities, a.Severity) {
			t.Errorf("%s: its name begins with Signoff, its severity is %q, one of %q", a.Alert, a.Severity, severities)
		}
		if a.Summary == "" || len(a.Description) < 80 {
			t.Errorf("%s: summary %q, description %q", a.Alert, a.Summary, a.Description)
		}
		if has := strings.Contains(a.Expr, "<threshold>"); has != (a.Threshold != nil) {
			t.Errorf("%s: has a threshold: %v, uses it: %v", a.Alert, a.Threshold != nil, has)
		}
		for label := range strings.SplitSeq("account reason loop topic partition endpoint sink source finding", " ") {
			if regexp.MustCompile(`without \([^)]*\b` + label + `|\b` + label + `="`).MatchString(a.Expr) {
				continue // it has none, or always the same
			}
			for _, m := range selected.FindAllStringSubmatch(a.Expr, 1) {
				if slices.Contains(exported(t)[m[1]], label) && !strings.Contains(a.Description+a.Summary, "$labels."+label) {
					t.Errorf("%s: does not name the %s", a.Alert, label)
				}
			}
		}
	}
}

// TestEveryAlertIsTested finds for each alert a case in which it fires and one in
// which it is silent; .ci/alerts/run plays them.
func TestEveryAlertIsTested(t *testing.T) {
	files, err := filepath.Glob("../.ci/alerts/tests/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	fires, silent := make(map[string]int), make(map[string]int)
	for _, file := range files {
		var suite struct {
			Tests []struct {
				Alerts []struct {
					Alertname string
					Expected  []struct {
						Labels      map[string]string `yaml:"exp_labels"`
						Annotations map[string]string `yaml:"exp_annotations"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, file)), &suite); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, test := range suite.Tests {
			for _, a := range test.Alerts {
				if len(a.Expected) == 0 {
					silent[a.Alertname]++
				}
				for _, e := range a.Expected {
					fires[a.Alertname]++
					if len(e.Annotations) != 3 {
						t.Errorf("%s: %s: annotations %v", file, a.Alertname, e.Annotations)
					}
				}
			}
		}
	}
	for _, a := range alerts(t) {
		if fires[a.Alert] == 0 || silent[a.Alert] == 0 {
			t.Errorf("%s: fires in %d tests, is silent in %d", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}

const runbooks = "signoff/runbooks"

// runbookFiles are the runbooks by alert, as they are written.
func runbookFiles(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".md"); ok && strings.HasPrefix(name, "Signoff") {
			pages[name] = read(t, filepath.Join(runbooks, e.Name()))
		}
	}
	return pages
}

var headings = []string{"What it means", "How bad it is", "How to find out", "What to do", "When it is over"}

func TestEveryAlertHasARunbookAndTheOtherWayRound(t *testing.T) {
	pages := runbookFiles(t)
	for _, a := range alerts(t) {
		page, ok := pages[a.Alert]
		if !ok {
			t.Errorf("%s has no runbook", a.Alert)
			continue
		}
		delete(pages, a.Alert)
		var has []string
		for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(page, -1) {
			has = append(has, m[1])
		}
		if !strings.HasPrefix(page, "# "+a.Alert+"\n") || !slices.Equal(has, headings) {
			t.Errorf("%s.md has the headings %q, want %q", a.Alert, has, headings)
		}
	}
	for name := range pages {
		t.Errorf("%s.md is of no alert", name)
	}
}

// TestIndexHasEveryAlert compares the table of runbooks/README.md with the defaults.
func TestIndexHasEveryAlert(t *testing.T) {
	index := read(t, filepath.Join(runbooks, "README.md"))
	for _, a := range alerts(t) {
		threshold, wait := "", a.For
		if a.Threshold != nil {
			threshold = strconv.FormatFloat(*a.Threshold, 'f', -1, 64)
		}
		if want := fmt.Sprintf("| [%s](%s.md) | %s | %s | %s |", a.Alert, a.Alert, a.Severity, wait, threshold); strings.Count(index, want) != 1 {
			t.Errorf("runbooks/README.md has not, once: %s", want)
		}
	}
}

// TestEveryMetricIsWatchedOrSaidWhyNot wants a metric in a rule, or in the list of
// those that have no alert.
func TestEveryMetricIsWatchedOrSaidWhyNot(t *testing.T) {
	used := make(map[string]bool)
	for _, r := range rules(t, "*.yaml") {
		for _, m := range ours.FindAllString(r.Expr, -1) {
			used[m] = true
		}
	}
	_, without, found := strings.Cut(read(t, filepath.Join(runbooks, "README.md")), "## What has no alert")
	if !found {
		t.Fatal("runbooks/README.md does not say what has no alert")
	}
	unwatched := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`.*?) \|`).FindAllStringSubmatch(without, -1) {
		for _, m := range ours.FindAllString(row[1], -1) {
			unwatched[m] = true
		}
	}
	for metric := range exported(t) {
		if used[metric] == unwatched[metric] {
			t.Errorf("%s: in a rule: %v, in the list of what has no alert: %v", metric, used[metric], unwatched[metric])
		}
	}
}

var (
	call       = regexp.MustCompile(`(?m)(?:^|[ $(/` + "`" + `])signoff ([a-z]+)\b([^\n` + "`" + `]*)`)
	calledFlag = regexp.MustCompile(`(?:^|[ \[])--([a-z][a-z-]*)`)
	metricName = regexp.MustCompile(`\bsignoff_[a-z_]+[a-z]`)
)

// TestEveryCommandOfTheRunbooksExists looks for the commands, flags and metrics
// that the runbooks name.
func TestEveryCommandOfTheRunbooksExists(t *testing.T) {
	commands, flags := commandLine(t)
	metrics := exported(t)
	pages := runbookFiles(t)
	pages["README"] = read(t, filepath.Join(runbooks, "README.md"))
	for name, page := range pages {
		code := codeOf(page)
		for _, m := range call.FindAllStringSubmatch(code, -1) {
			if !slices.Contains(commands, m[1]) {
				t.Errorf("%s.md: signoff %s: no such command", name, m[1])
			}
			for _, flag := range calledFlag.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(flags, flag[1]) {
					t.Errorf("%s.md: signoff %s --%s: no such flag", name, m[1], flag[1])
				}
			}
		}
		for _, metric := range metricName.FindAllString(code, -1) {
			base := strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_count")
			if _, ok := metrics[base]; !ok {
				t.Errorf("%s.md: there is no metric %s", name, metric)
			}
		}
	}
}

var (
	spanned = regexp.MustCompile("`([^`\n]+)`")
	block   = regexp.MustCompile(`(?m)^ {4,}.*$`)
)

// codeOf is what a page has in indented blocks and between backticks.
func codeOf(page string) string {
	all := block.FindAllString(page, -1)
	for _, m := range spanned.FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, "\n")
}

// commandLine reads the commands and their flags out of the source of cmd/signoff.
func commandLine(t *testing.T) (commands, flags []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{"([a-z]+)", "`).FindAllStringSubmatch(read(t, "../cmd/signoff/main.go"), -1) {
		commands = append(commands, m[1])
	}
	files, err := filepath.Glob("../cmd/signoff/*.go")
	if err != nil {
		t.Fatal(err)
	}
	defined := regexp.MustCompile(`\b(?:flags|f|fs)\.\w+\((?:[&\w.]+, )?"([a-z-]+)"`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range defined.FindAllStringSubmatch(read(t, file), -1) {
			flags = append(flags, m[1])
		}
	}
	if len(commands) == 0 || len(flags) == 0 {
		t.Fatalf("commands %q, flags %q", commands, flags)
	}
	return commands, flags
}
