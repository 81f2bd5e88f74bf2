package charts

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	for _, ci := range ciNames(t) {
		if said, err := helm(t, "", "lint", "--strict", "--kube-version", kubeVersion, "signoff", "-f", filepath.Join("signoff", "ci", ci+"-values.yaml")); err != nil {
			t.Errorf("%s: %v%s", ci, err, said)
		}
	}
}

// README.md is made of README.md.gotmpl and the comments of values.yaml.
func TestReadmeIsWhatHelmDocsMakes(t *testing.T) {
	docs := program(t, "SIGNOFF_HELM_DOCS", "helm-docs")
	cmd := exec.CommandContext(t.Context(), docs, "--chart-search-root", "signoff", "--sort-values-order", "file", "--log-level", "warning", "--dry-run")
	made, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm-docs: %v", err)
	}
	if readme := read(t, "signoff/README.md"); strings.TrimSpace(readme) != strings.TrimSpace(string(made)) {
		t.Error("README.md is older than values.yaml or README.md.gotmpl: helm-docs -c charts/signoff -s file")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var row = regexp.MustCompile(`(?m)^\| ([\w.]+) \| (\w+) \| (.*) \| (.*) \|$`)

// described are the values that README.md has a row for, with what it says of them.
func described(t *testing.T) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	_, readme, _ := strings.Cut(read(t, "signoff/README.md"), "\n| Key |")
	for _, m := range row.FindAllStringSubmatch(readme, -1) {
		rows[m[1]] = m[4]
	}
	if len(rows) == 0 {
		t.Fatal("README.md has no table of values")
	}
	return rows
}

// leaves are the dotted paths of all values that are not maps with something in them.
func leaves(o map[string]any, at string) (paths []string) {
	for key, value := range o {
		in, isMap := value.(map[string]any)
		if isMap && len(in) > 0 {
			paths = append(paths, leaves(in, at+key+".")...)
		} else {
			paths = append(paths, at+key)
		}
	}
	return paths
}

func valuesFile(t *testing.T, file string) map[string]any {
	t.Helper()
	v, _ := parse(t, read(t, file)).(map[string]any)
	return v
}

// upwards are a dotted path and those above it.
func upwards(path string) (paths []string) {
	for ; path != ""; path = path[:max(strings.LastIndex(path, "."), 0)] {
		paths = append(paths, path)
	}
	return paths
}

func TestEveryValueIsDescribed(t *testing.T) {
	rows := described(t)
	for _, path := range leaves(valuesFile(t, "signoff/values.yaml"), "") {
		if !slices.ContainsFunc(upwards(path), func(p string) bool { return rows[p] != "" }) {
			t.Errorf("README.md does not say what %s is", path)
		}
	}
}

func TestEveryValueIsTried(t *testing.T) {
	rows := described(t)
	tried := make(map[string]bool)
	for _, ci := range ciNames(t) {
		for _, path := range leaves(valuesFile(t, filepath.Join("signoff", "ci", ci+"-values.yaml")), "") {
			for _, p := range upwards(path) {
				tried[p] = true
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(rows)) {
		if !tried[path] {
			t.Errorf("no file of signoff/ci sets %s", path)
		}
	}
}

// The schema knows every value, and no other: what is misspelled is refused.
func TestSchemaHasEveryValueAndNoOther(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, "signoff/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	s := valuesSchema{t, object(schema)}
	s.compare(schema, valuesFile(t, "signoff/values.yaml"), "")
}

type valuesSchema struct {
	t    *testing.T
	root object
}

func (s valuesSchema) compare(schema object, defaults map[string]any, at string) {
	s.t.Helper()
	if ref := strings.TrimPrefix(schema.text("$ref"), "#/$defs/"); ref != "" {
		if schema = s.root.part("$defs", ref); schema == nil {
			s.t.Errorf("%s: no definition %s", at, ref)
		}
	}
	known := schema.part("properties")
	if known == nil || at == "config." {
		return // of Kubernetes' own making, free, or signoff's to judge
	}
	if free := schema["additionalProperties"]; free != false && at != "global." {
		s.t.Errorf("%s: the schema takes what there is not: additionalProperties is %v", strings.TrimSuffix(at, "."), free)
	}
	for key := range known {
		if _, has := defaults[key]; !has && at+key != "enabled" && !strings.Contains(at, "resources.") {
			s.t.Errorf("values.yaml has no %s%s, which the schema has", at, key)
		}
	}
	for key, value := range defaults {
		part := known.part(key)
		if part == nil {
			s.t.Errorf("the schema has no %s%s, which values.yaml has", at, key)
		}
		if in, ok := value.(map[string]any); ok {
			s.compare(part, in, at+key+".")
		}
	}
}

// Whoever copies README.md's values gets what it promises: the first ones alone, the
// others beside them.
func TestValuesOfTheReadme(t *testing.T) {
	blocks := regexp.MustCompile("(?s)\n```yaml\n(.*?)```\n").FindAllStringSubmatch(read(t, "signoff/README.md"), -1)
	if len(blocks) < 2 {
		t.Fatalf("README.md has %d blocks of YAML", len(blocks))
	}
	first := filepath.Join(t.TempDir(), "my-values.yaml")
	write(t, first, blocks[0][1])
	for _, block := range blocks {
		more := filepath.Join(t.TempDir(), "more.yaml")
		write(t, more, block[1])
		if said, err := helm(t, "", "template", "signoff", "signoff", "--kube-version", kubeVersion, "-f", first, "-f", more); err != nil {
			t.Errorf("%s\n%v%s", block[1], err, said)
		}
	}
}

// What the chart brings is the signoff of its own version.
func TestVersion(t *testing.T) {
	chart := object(valuesFile(t, "signoff/Chart.yaml"))
	m := regexp.MustCompile(`const version = "(.*)"`).FindStringSubmatch(read(t, "../cmd/signoff/version.go"))
	if m == nil {
		t.Fatal("cmd/signoff/version.go has no version")
	}
	equal(t, "appVersion", chart["appVersion"], m[1])
	equal(t, "version", chart["version"], m[1])
}

// The notes tell the next step by what was set.
func TestNotes(t *testing.T) {
	chart := notesChart(t)
	for what, c := range map[string]struct {
		values  values
		says    []string
		saysNot []string
	}{
		"a dry run": {values{},
			[]string{"mode is dry-run: nobody is closed", "helm test rel -n people", "Secrets are there: signoff-docusign signoff-webhook", "Nobody may decide yet",
				"port-forward service/rel-signoff 9090:9090 &\n", "./signoff audit report --since 20", "./signoff holds list\n",
				"backup.enabled is false", "see that something scrapes rel-signoff.people.svc:9090/metrics", "statefulset/rel-signoff"},
			[]string{"persistence.enabled is false", "mode is close"}},
		"closing": {values{ci: "mode-close"},
			[]string{"mode is close. The first plan of each account waits for a person", "There is no helm test with mode: close", "exec rel-signoff-0"},
			[]string{"Nobody may decide yet", "     helm test", "audit report"}},
		"a ConfigMap of one's own": {values{ci: "existing-configmap"},
			[]string{"mode in your ConfigMap rel-config", "refuses unless your ConfigMap says mode: dry-run"},
			[]string{"Nobody may decide yet", "mode is"}},
		"no volume":       {values{ci: "no-persistence"}, []string{"persistence.enabled is false"}, nil},
		"no monitor made": {values{ci: "pod-monitor-job"}, []string{"No PodMonitor was made"}, []string{"see that something scrapes"}},
		"no test":         {values{ci: "no-test"}, []string{"signoff check --config /etc/signoff/signoff.yaml"}, []string{"     helm test"}},
		"pages":           {values{ci: "pages"}, []string{"In a browser: https://signoff.example.com/ https://signoff.internal.example.com/\n"}, []string{"pages.from is empty", "tls is empty"}},
		"pages that nobody reaches": {values{ci: "pages", over: "{networkPolicy: {ingress: {pages: {from: []}}}, pages: {ingress: {tls: []}}}"},
			[]string{"networkPolicy.ingress.pages.from is empty", "pages.ingress.tls is empty"}, nil},
		"all of it": {values{ci: "everything"}, nil, []string{"\n! "}},
	} {
		t.Run(what, func(t *testing.T) {
			c.values.chart = chart
			notes := render(t, c.values).one(t, "Notes").text("text")
			for _, want := range c.says {
				if !strings.Contains(notes, want) {
					t.Errorf("no %q in\n%s", want, notes)
				}
			}
			for _, never := range c.saysNot {
				if strings.Contains(notes, never) {
					t.Errorf("%q in\n%s", never, notes)
				}
			}
		})
	}
}

// notesChart is the chart with its notes as the text of a ConfigMap: otherwise they
// are rendered by an install alone, which takes a cluster.
func notesChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "signoff")
	if err := os.CopyFS(dir, os.DirFS("signoff")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "templates", "notes.yaml"), `{{- define "notes" }}`+read(t, "signoff/templates/NOTES.txt")+`{{ end }}
kind: Notes
text: {{ include "notes" . | toJson }}
`)
	return dir
}

// Files that the repository has for those who build the chart stay out of its package.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	if _, err := helm(t, "", "package", "signoff", "--destination", dir); err != nil {
		t.Fatal(err)
	}
	version := object(valuesFile(t, "signoff/Chart.yaml")).text("version")
	listed, err := exec.CommandContext(t.Context(), "tar", "tzf", filepath.Join(dir, fmt.Sprintf("signoff-%s.tgz", version))).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(listed))
	for _, want := range []string{"signoff/Chart.yaml", "signoff/values.yaml", "signoff/values.schema.json", "signoff/README.md", "signoff/templates/NOTES.txt"} {
		if !slices.Contains(files, want) {
			t.Errorf("the package has no %s", want)
		}
	}
	for _, file := range files {
		if strings.HasPrefix(file, "signoff/ci/") || strings.HasSuffix(file, ".gotmpl") || strings.HasSuffix(file, "_test.go") {
			t.Errorf("the package has %s", file)
		}
	}
}
