package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// readme reads the README and the metrics lists that it links to.
func readme(t *testing.T) (text, withMetrics string) {
	t.Helper()
	read, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text = string(read)
	withMetrics = text
	for _, link := range regexp.MustCompile(`\]\((metrics/[\w./-]+)\)`).FindAllStringSubmatch(text, -1) {
		list, err := os.ReadFile("../../" + link[1])
		if err != nil {
			t.Errorf("README.md links to %s: %v", link[1], err)
		}
		withMetrics += string(list)
	}
	return text, withMetrics
}

var (
	fence      = regexp.MustCompile("(?m)^```(\\w*)\n((?:[^`].*\n|\n)*)```")
	indented   = regexp.MustCompile(`(?m)^ {4,}.*$`)
	span       = regexp.MustCompile("`([^`\n]+)`")
	invocation = regexp.MustCompile(`(?m)(?:^|[ /])signoff ([a-z]+)\b`)
)

// code is what the text has in fences, in indented blocks and between backticks.
func code(text string) string {
	var all []string
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		all = append(all, m[2])
	}
	text = fence.ReplaceAllString(text, "")
	all = append(all, indented.FindAllString(text, -1)...)
	for _, m := range span.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, "\n")
}

func TestReadmeNamesEveryCommandAndNoOther(t *testing.T) {
	text, _ := readme(t)
	named := make(map[string]bool)
	for _, m := range invocation.FindAllStringSubmatch(code(text), -1) {
		named[m[1]] = true
	}
	var exist []string
	for _, c := range commands() {
		exist = append(exist, c.name)
		if !named[c.name] {
			t.Errorf("README.md has no `signoff %s`", c.name)
		}
	}
	for name := range named {
		if !slices.Contains(exist, name) && name != "help" {
			t.Errorf("README.md has `signoff %s`, which does not exist", name)
		}
	}
}

// configKeys are the dotted paths of all keys that the decoder knows; a list
// has [] after its name.
func configKeys() []string {
	var keys []string
	addKeys(reflect.New(reflect.TypeFor[config]()).Elem(), "", &keys)
	return keys
}

func addKeys(v reflect.Value, prefix string, keys *[]string) {
	for name, field := range yamlFields(v) {
		path := prefix + name
		*keys = append(*keys, path)
		switch {
		case field.Kind() == reflect.Pointer && field.Type().Elem().Kind() == reflect.Struct:
			addKeys(reflect.New(field.Type().Elem()).Elem(), path+".", keys)
		case field.Kind() == reflect.Struct:
			addKeys(field, path+".", keys)
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			addKeys(reflect.New(field.Type().Elem()).Elem(), path+"[].", keys)
		}
	}
}

// writtenKeys are the dotted paths of all keys in the text's YAML.
func writtenKeys(t *testing.T, text string) []string {
	t.Helper()
	found := make(map[string]bool)
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] != "yaml" {
			continue
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(m[2]), &doc); err != nil {
			t.Errorf("a YAML block of README.md: %v\n%s", err, m[2])
		}
		walk(&doc, "", found)
	}
	return slices.Sorted(maps.Keys(found))
}

func walk(n *yaml.Node, path string, found map[string]bool) {
	switch n.Kind {
	case yaml.DocumentNode:
		walk(n.Content[0], path, found)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			walk(item, path+"[]", found)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			found[key] = true
			walk(n.Content[i+1], key, found)
		}
	}
}

func TestReadmeNamesEveryConfigKeyAndNoOther(t *testing.T) {
	text, _ := readme(t)
	written, known := writtenKeys(t, text), configKeys()
	if len(written) == 0 {
		t.Error("README.md has no config in a yaml block")
	}
	for _, key := range written {
		later := slices.ContainsFunc(notYet, func(l string) bool {
			return key == l || strings.HasPrefix(key, l+".") || strings.HasPrefix(key, l+"[]")
		})
		if !later && !slices.Contains(known, key) {
			t.Errorf("README.md has the config key %s, which does not exist", key)
		}
	}
	inCode := code(text)
	for _, key := range slices.Concat(known, notYet) {
		asText := regexp.MustCompile(`(^|[^\w.])` + regexp.QuoteMeta(strings.ReplaceAll(key, "[]", "")) + `($|[^\w.])`)
		if !slices.Contains(written, key) && !asText.MatchString(strings.ReplaceAll(inCode, "[]", "")) {
			t.Errorf("README.md does not have the config key %s", key)
		}
	}
}

// TestReadmeConfigLoads loads the config of the README as it stands there, but
// for the tokens, the web config and the secret, which are read at once.
func TestReadmeConfigLoads(t *testing.T) {
	text, _ := readme(t)
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] != "yaml" {
			continue
		}
		tokens := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(tokens, []byte("alice:operator:"+hashOf(operatorToken)), 0o600); err != nil {
			t.Fatal(err)
		}
		web := filepath.Join(t.TempDir(), "web.yml")
		if err := os.WriteFile(web, []byte("basic_auth_users: {ann: "+annsHash+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(t.TempDir(), "oidc-secret")
		if err := os.WriteFile(secret, []byte("a secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		authority := filepath.Join(t.TempDir(), "issuer-ca.pem")
		if err := os.WriteFile(authority, []byte(strangerCA()), 0o600); err != nil {
			t.Fatal(err)
		}
		whole := strings.NewReplacer("/etc/signoff/tokens", tokens, "/etc/signoff/web.yml", web, "/run/secrets/oidc-secret", secret, "/run/secrets/issuer-ca.pem", authority).Replace(m[2])
		if _, err := loadConfig(writeConfig(t, whole)); err != nil {
			t.Error(err)
		}
	}
}

func TestReadmeNamesEveryMetricAndNoOther(t *testing.T) {
	_, text := readme(t)
	names := metricNames(t)
	for _, name := range names {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
			t.Errorf("README.md does not have the metric %s", name)
		}
	}
	part := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, name := range regexp.MustCompile(`\bsignoff_[a-z][a-z_]*[a-z]\b`).FindAllString(text, -1) {
		if !slices.Contains(names, name) && !slices.Contains(names, part.ReplaceAllString(name, "")) {
			t.Errorf("README.md has the metric %s, which does not exist", name)
		}
	}
}
