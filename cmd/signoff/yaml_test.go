package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

// sample has a field of every type that a config has.
type sample struct {
	Name    string        `yaml:"name"`
	Count   int           `yaml:"count"`
	Long    int64         `yaml:"long"`
	Share   float64       `yaml:"share"`
	On      bool          `yaml:"on"`
	Window  time.Duration `yaml:"window"`
	At      time.Time     `yaml:"at"`
	Maybe   *bool         `yaml:"maybe"`
	Names   []string      `yaml:"names"`
	People  []samplePart  `yaml:"people"`
	Part    samplePart    `yaml:"part"`
	Pointer *samplePart   `yaml:"pointer"`
	Inner   `yaml:",inline"`
	Own     string `yaml:"-"`
}

type samplePart struct {
	UserName string `yaml:"user_name"`
	Age      int    `yaml:"age"`
}

// Inner is exported, since the decoder sets what is in it.
type Inner struct {
	Depth int `yaml:"depth"`
}

func decode(t *testing.T, text string, into any, later ...string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := decodeYAML(file, into, later)
	if err != nil && !strings.HasPrefix(err.Error(), file+":") {
		t.Errorf("%q does not begin with the file", err)
	}
	return err
}

func TestDecode(t *testing.T) {
	t.Setenv("SIGNOFF_TEST_HOST", "kafka-7")
	t.Setenv("SIGNOFF_TEST_DAYS", "3")
	yes := true
	for name, c := range map[string]struct {
		text string
		got  func(sample) any
		want any
	}{
		"a text":                     {"name: x", func(s sample) any { return s.Name }, "x"},
		"a text that looks a number": {"name: 007", func(s sample) any { return s.Name }, "007"},
		"a number":                   {"count: 12", func(s sample) any { return s.Count }, 12},
		"a long number":              {"long: 12", func(s sample) any { return s.Long }, int64(12)},
		"a share":                    {"share: 0.05", func(s sample) any { return s.Share }, 0.05},
		"a truth":                    {"on: true", func(s sample) any { return s.On }, true},
		"a truth behind a pointer":   {"maybe: true", func(s sample) any { return *s.Maybe == yes }, true},
		"a time":                     {"at: 2026-11-20T09:12:44Z", func(s sample) any { return s.At.Unix() }, int64(1795165964)},
		"minutes":                    {"window: 5m", func(s sample) any { return s.Window }, 5 * time.Minute},
		"no time at all":             {"window: 0s", func(s sample) any { return s.Window }, time.Duration(0)},
		"days":                       {"window: 7d", func(s sample) any { return s.Window }, 7 * 24 * time.Hour},
		"years":                      {"window: 7y", func(s sample) any { return s.Window }, 7 * 365 * 24 * time.Hour},
		"years, days and hours":      {"window: 1y1d1h", func(s sample) any { return s.Window }, 366*24*time.Hour + time.Hour},
		"days and hours":             {"window: 1d12h", func(s sample) any { return s.Window }, 36 * time.Hour},
		"a list":                     {"names: [a, b]", func(s sample) any { return strings.Join(s.Names, "+") }, "a+b"},
		"a list of mappings":         {"people: [{age: 1}, {user_name: z}]", func(s sample) any { return s.People[1].UserName }, "z"},
		"a mapping":                  {"part: {age: 3}", func(s sample) any { return s.Part.Age }, 3},
		"a mapping behind a pointer": {"pointer: {age: 3}", func(s sample) any { return s.Pointer.Age }, 3},
		"a key of an inline struct":  {"depth: 3", func(s sample) any { return s.Depth }, 3},
		"a null leaves the default":  {"name:\ncount: ~", func(s sample) any { return s.Name + "!" }, "default!"},
		"an empty text does not":     {`name: ""`, func(s sample) any { return s.Name + "!" }, "!"},
		"a null section":             {"part:\nname: x", func(s sample) any { return s.Name }, "x"},
		"an alias":                   {"part: &p {age: 4}\npointer: *p", func(s sample) any { return s.Pointer.Age }, 4},
		"the environment":            {"name: ${SIGNOFF_TEST_HOST}:9092", func(s sample) any { return s.Name }, "kafka-7:9092"},
		"the environment in a time":  {"window: ${SIGNOFF_TEST_DAYS}d", func(s sample) any { return s.Window }, 72 * time.Hour},
		"a dollar by itself":         {"name: a$b", func(s sample) any { return s.Name }, "a$b"},
		"an empty file":              {"", func(s sample) any { return s.Name }, "default"},
		"comments only":              {"# nothing\n", func(s sample) any { return s.Name }, "default"},
		"an empty document":          {"---\n", func(s sample) any { return s.Name }, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample{Name: "default"}
			if err := decode(t, c.text, &s); err != nil {
				t.Fatal(err)
			}
			if got := c.got(s); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestDecodeMistakes(t *testing.T) {
	t.Setenv("SIGNOFF_TEST_SECRET", "hunter2")
	for name, c := range map[string]struct {
		text string
		want string // after the file's name
	}{
		"an unknown key":                 {"name: x\nfrobs: 1", ":2: frobs: unknown key"},
		"an unknown key below":           {"part:\n  size: 1", ":2: part.size: unknown key"},
		"an unknown key in a list":       {"people:\n- age: 1\n- size: 1", ":3: people[1].size: unknown key"},
		"an address for a key":           {"part:\n  ceo@example.com: 1", ":2: part: unknown key, which is like an address: is a list meant?"},
		"a key in the plural":            {"peoples: []", ":1: peoples: unknown key, is people meant?"},
		"a key in other spelling":        {"part: {userName: x}", ":1: part.userName: unknown key, is user_name meant?"},
		"a key with hyphens":             {"part: {user-name: x}", ":1: part.user-name: unknown key, is user_name meant?"},
		"a field without a key":          {"own: x", ":1: own: unknown key"},
		"a key given twice":              {"name: x\ncount: 1\nname: y", ":3: name: given twice"},
		"a key that is in later":         {"soon: 1", ":1: soon: not supported yet"},
		"one in later without a value":   {"soon:", ":1: soon: not supported yet"},
		"one of a list in later":         {"people:\n- {age: 1, pet: x}", ":2: people[0].pet: not supported yet"},
		"a text for a number":            {"count: many", `:1: count: "many": not a whole number`},
		"a number too large":             {"count: 99999999999999999999", `:1: count: "99999999999999999999": not a whole number`},
		"a fraction for a number":        {"count: 1.5", `:1: count: "1.5": not a whole number`},
		"a text for a share":             {"share: half", `:1: share: "half": not a number`},
		"a share that is no number":      {"share: NaN", `:1: share: "NaN": not a number`},
		"a share without end":            {"share: .inf", `:1: share: ".inf": not a number`},
		"a text for a truth":             {"on: maybe", `:1: on: "maybe": neither true nor false`},
		"a text for a list":              {"names: a", `:1: names: "a": not a list`},
		"a mapping for a list":           {"names: {a: b}", ":1: names: not a list"},
		"a list for a text":              {"name: [a]", ":1: name: not a plain value"},
		"a list for a mapping":           {"part: [a]", ":1: part: not a mapping of keys to values"},
		"a text for a mapping":           {"part: a", `:1: part: "a": not a mapping of keys to values`},
		"a mapping for a time":           {"at: {}", ":1: at: not a time such as 2026-11-20T09:12:44Z"},
		"a length without a unit":        {"window: 90", `:1: window: "90": not a length of time such as 90s, 5m, 24h, 7d or 1y`},
		"a length in weeks":              {"window: 1w", `:1: window: "1w": not a length of time`},
		"days after hours":               {"window: 12h1d", `:1: window: "12h1d": not a length of time`},
		"years after days":               {"window: 1d1y", `:1: window: "1d1y": not a length of time`},
		"more years than there are":      {"window: 101y", `not a length of time`},
		"years and days beyond that":     {"window: 100y1d", `not a length of time`},
		"days with a fraction":           {"window: 1.5d", `:1: window: "1.5d": not a length of time`},
		"days less some hours":           {"window: 1d-3h", `:1: window: "1d-3h": not a length of time`},
		"more days than there are":       {"window: 99999999999999999999d", `not a length of time`},
		"days beyond what can be said":   {"window: 36500d2000000h", `not a length of time`},
		"a variable that is not set":     {"name: ${SIGNOFF_TEST_UNSET}", ":1: name: ${SIGNOFF_TEST_UNSET}: not set in the environment"},
		"a variable with a wrong value":  {"count: ${SIGNOFF_TEST_SECRET}", `:1: count: "${SIGNOFF_TEST_SECRET}": not a whole number`},
		"a merge key":                    {"part: &p {age: 1}\npointer: {<<: *p}", ":2: pointer.<<: unknown key"},
		"a text for the whole":           {"hunter2", ":1: not a mapping of keys to values"},
		"a list for the whole":           {"- hunter2", ":1: not a mapping of keys to values"},
		"not YAML":                       {"name: x\n\tcount: 1", ":2: found a tab character that violates indentation"},
		"not YAML to its end":            {"name: 'x", ": found unexpected end of stream"},
		"an alias of nothing":            {"name: *x", ": unknown anchor"},
		"a second document":              {"name: x\n---\nname: y", ":2: a second document: only one is read"},
		"a second document, not YAML":    {"name: x\n---\nname: 'y", ":3: "},
		"a private key in place of one":  {"name: |\n  -----BEGIN PRIVATE KEY-----\n  hunter2\n", ":1: name: more than one line"},
		"binary":                         {"\x00\x01hunter2", ": "},
		"a text for a list of mappings":  {"people: [x]", `:1: people[0]: "x": not a mapping of keys to values`},
		"a list as a key":                {"? [a]\n: b", ":1: unknown key"},
		"a wrong value beyond an anchor": {"part: &p {age: x}\npointer: *p", `:1: part.age: "x": not a whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			var s sample
			err := decode(t, c.text, &s, "soon", "people[].pet")
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q quotes what may be a secret", err)
			}
		})
	}
}

func TestDecodeSimulation(t *testing.T) {
	var c docusigntest.Config
	err := decode(t, `
consent: false
latency: 20ms
accounts:
- id: a
  users: [{email: jane@example.com, created: 2020-01-02T03:04:05Z}]
  generate: 3
quirks: {inexact_email: true}
faults: {cut_after: 0.5, operations: [close_users]}
`, &c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Consent == nil || *c.Consent || c.Latency != 20*time.Millisecond || c.Accounts[0].Users[0].Created.Year() != 2020 ||
		!c.Quirks.InexactEmail || c.Faults.CutAfter != 0.5 {
		t.Errorf("got %+v", c)
	}
}
