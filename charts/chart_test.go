// Package charts has the tests of the Helm chart signoff, and nothing else: they
// render it with the helm that SIGNOFF_HELM names, or that is on the PATH, and look
// at what comes out. Each file of signoff/ci is a set of values that it is tried
// with.
package charts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// kubeVersion is the cluster that a chart is rendered for, where a test does not
// say: a helm that was built from its module takes old ones for granted.
const kubeVersion = "1.36.3"

// program finds a program by an environment variable, else on the PATH. A test is
// skipped without it; in CI a variable that leads nowhere is a failure.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	named := os.Getenv(variable)
	if named == "" {
		named = name
	}
	path, err := exec.LookPath(named)
	switch {
	case err == nil:
		return path
	case os.Getenv(variable) != "" && os.Getenv("CI") != "":
		t.Fatalf("%s: %v", variable, err)
	}
	t.Skipf("no %s: set %s, or put it on the PATH", name, variable)
	return ""
}

func helm(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "SIGNOFF_HELM", "helm"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	// Of nobody's cluster, and with nobody's plugins.
	cmd.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "HELM_PLUGINS=/nonexistent")
	if err := cmd.Run(); err != nil {
		return "", errors.New(said.String())
	}
	return out.String(), nil
}

// object is a Kubernetes object, or a part of one.
type object map[string]any

// at follows keys and indexes; nil where they lead nowhere.
func (o object) at(path ...any) any {
	var here any = map[string]any(o)
	for _, step := range path {
		switch s := step.(type) {
		case string:
			in, _ := here.(map[string]any)
			here = in[s]
		case int:
			in, _ := here.([]any)
			if s >= len(in) {
				return nil
			}
			here = in[s]
		}
	}
	return here
}

func (o object) part(path ...any) object {
	in, _ := o.at(path...).(map[string]any)
	return in
}

func (o object) parts(path ...any) (parts []object) {
	list, _ := o.at(path...).([]any)
	for _, in := range list {
		part, _ := in.(map[string]any)
		parts = append(parts, part)
	}
	return parts
}

func (o object) text(path ...any) string {
	s, _ := o.at(path...).(string)
	return s
}

func (o object) name() string { return o.text("metadata", "name") }

func (o object) kind() string { return o.text("kind") }

func (o object) labels() object { return o.part("metadata", "labels") }

// named is the one of a list that has the name.
func named(list []object, name string) object {
	for _, o := range list {
		if o.text("name") == name {
			return o
		}
	}
	return nil
}

// objects are what a chart comes to.
type objects []object

// one is the only object of a kind.
func (all objects) one(t *testing.T, kind string) object {
	t.Helper()
	found := all.all(kind)
	if len(found) != 1 {
		t.Fatalf("%d of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

func (all objects) all(kind string) (found objects) {
	for _, o := range all {
		if o.kind() == kind {
			found = append(found, o)
		}
	}
	return found
}

func (all objects) named(t *testing.T, kind, name string) object {
	t.Helper()
	for _, o := range all.all(kind) {
		if o.name() == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

// pod is the template of the daemon's pod.
func (all objects) pod(t *testing.T) object {
	t.Helper()
	return all.one(t, "StatefulSet").part("spec", "template")
}

// daemon is the container of the daemon.
func (all objects) daemon(t *testing.T) object {
	t.Helper()
	return named(all.pod(t).parts("spec", "containers"), "signoff")
}

// pods are all pods and templates of pods, by the kind of what they are in.
func (all objects) pods() map[string]object {
	pods := make(map[string]object)
	for _, o := range all {
		switch o.kind() {
		case "Pod":
			pods["Pod"] = o
		case "StatefulSet":
			pods["StatefulSet"] = o.part("spec", "template")
		case "CronJob":
			pods["CronJob"] = o.part("spec", "jobTemplate", "spec", "template")
		}
	}
	return pods
}

// values is a file of signoff/ci by its name, and what is laid over it.
type values struct {
	ci    string // "": default
	over  string // YAML
	args  []string
	chart string // folder; "": signoff
}

// template renders the chart, and returns its YAML or what helm says against it.
func (v values) template(t *testing.T, release string) (string, error) {
	t.Helper()
	ci := v.ci
	if ci == "" {
		ci = "default"
	}
	chart := v.chart
	if chart == "" {
		chart = "signoff"
	}
	args := []string{"template", release, chart, "--namespace", "people", "-f", filepath.Join("signoff", "ci", ci+"-values.yaml"), "-f", "-"}
	if !slices.Contains(v.args, "--kube-version") {
		args = append(args, "--kube-version", kubeVersion)
	}
	return helm(t, v.over, append(args, v.args...)...)
}

// render is what the chart comes to as release rel in the namespace people.
func render(t *testing.T, v values) objects {
	t.Helper()
	return renderAs(t, "rel", v)
}

func renderAs(t *testing.T, release string, v values) objects {
	t.Helper()
	text, err := v.template(t, release)
	if err != nil {
		t.Fatalf("helm template: %v", err)
	}
	return decode(t, text)
}

func decode(t *testing.T, text string) (all objects) {
	t.Helper()
	for documents := yaml.NewDecoder(strings.NewReader(text)); ; {
		var document any // nested maps would otherwise be objects as well, and compare as such
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("not YAML: %v", err)
		}
		if o, ok := document.(map[string]any); ok {
			all = append(all, o)
		}
	}
}

// ciNames are the names of the values that the chart is tried with.
func ciNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("signoff/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in signoff/ci: %v", err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), "-values.yaml"))
	}
	return names
}

// matrix renders the chart with every file of signoff/ci, once for all tests.
func matrix(t *testing.T) map[string]objects {
	t.Helper()
	program(t, "SIGNOFF_HELM", "helm")
	names := ciNames(t)
	rendered.Do(func() {
		rendered.by = make(map[string]objects)
		for _, ci := range names {
			rendered.by[ci] = render(t, values{ci: ci})
		}
	})
	if len(rendered.by) != len(names) {
		t.Fatal("the chart does not render with every file of signoff/ci")
	}
	return rendered.by
}

var rendered struct {
	sync.Once
	by map[string]objects
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %s, want %s", what, asYAML(got), asYAML(want))
	}
}

func asYAML(v any) string {
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if s := strings.TrimSpace(string(text)); !strings.Contains(s, "\n") {
		return s
	}
	return "\n" + string(text)
}

// parse reads YAML as the chart's output is read, to compare with.
func parse(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// matches says whether the labels have all those of a selector.
func matches(selector, labels object) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}
