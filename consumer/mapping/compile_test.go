package mapping

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		expression string
		want       []string // parts of the error
	}{
		"nothing":                            {" \n", []string{"acme.cel: empty"}},
		"a comment alone":                    {"// Acme\n", []string{"acme.cel:2:1: Syntax error"}},
		"what is no CEL":                     {"body.map(e,\n  {'email' e.x})", []string{"acme.cel:2:12: Syntax error", "\n |   {'email' e.x})\n | ...........^"}},
		"a name that nobody knows":           {`[{"email": bod.x}]`, []string{"acme.cel:1:12: undeclared reference to 'bod'", "\n | [{\"email\": bod.x}]\n | ...........^"}},
		"a function that nobody knows":       {`[{"email": body.x.nope()}]`, []string{"acme.cel:1:23: undeclared reference to 'nope'"}},
		"an extension that is left out":      {`[{"email": body.l.join(",")}]`, []string{"acme.cel:1:23: undeclared reference to 'join'"}},
		"types that do not go together":      {`[{"email": "a" + 1}]`, []string{"acme.cel:1:16: found no matching overload for '_+_'"}},
		"two things that are wrong":          {"[{'email': a},\n {'email': b}]", []string{"acme.cel:1:12: undeclared reference to 'a'", "acme.cel:2:12: undeclared reference to 'b'"}},
		"a number":                           {"1 + 1", []string{"acme.cel: makes int; a mapping makes a list of maps"}},
		"a list of numbers":                  {"[1]", []string{"acme.cel: makes list(int)"}},
		"a map":                              {`{"email": "a"}`, []string{"acme.cel: makes map(string, string)"}},
		"a key that no event has":            {"body.map(e,\n  {\"emial\": e.x})", []string{`acme.cel:2:4: "emial": no event has this key; there are: email, employeeId`, "\n |   {\"emial\": e.x})\n | ...^"}},
		"such a key after an if":             {`body.x ? [{"a": 1}] : []`, []string{"acme.cel:1:12: \"a\": no event"}},
		"such a key in an item after an if":  {`body.map(e, e.x ? {"email": 1} : {"b": 1})`, []string{"acme.cel:1:35: \"b\": no event"}},
		"such a key in a second list":        {`[{"email": 1}] + [{"b": 1}]`, []string{"acme.cel:1:20: \"b\": no event"}},
		"such a key after cel.bind":          {`cel.bind(a, body.x, [{"b": a}])`, []string{"acme.cel:1:23: \"b\": no event"}},
		"such a key in an item's cel.bind":   {`body.map(e, cel.bind(a, e.x, {"b": a}))`, []string{"acme.cel:1:31: \"b\": no event"}},
		"such a key that is optional":        {`[{?"b": body.?b}]`, []string{"acme.cel:1:4: \"b\": no event"}},
		"such a key in a map with condition": {`body.map(e, e.x, {"b": e.x})`, []string{"acme.cel:1:19: \"b\": no event"}},
		"a key that is no text":              {`[{1: "a"}]`, []string{"acme.cel:1:3: a key that is not text"}},
		"a type that no event has":           {`[{"type": "hired"}]`, []string{"acme.cel:1:11: type: none of"}},
		"a time that is none":                {`[{"time": timestamp("2026-11-30")}]`, []string{"acme.cel:1:21: invalid timestamp"}},
		"a pattern of the payload":           {`body.filter(e, e.x.matches(body.p))`, []string{"acme.cel:1:32: matches: the regular expression must be a literal"}},
		"a pattern that is none":             {`body.filter(e, e.x.matches("("))`, []string{"acme.cel:1:28: matches: error parsing regexp"}},
		"a pattern that is too large":        {`body.filter(e, e.x.matches("(a{1,30}){1,30}b{1,200}"))`, []string{"acme.cel:1:28: matches: too large"}},
		"too long":                           {"[" + strings.Repeat(" ", maxProgram) + "]", []string{"acme.cel", "size"}},
		"nested too deeply":                  {strings.Repeat("(", 500) + "[]" + strings.Repeat(")", 500), []string{"acme.cel", "recursion"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compile("acme", "acme.cel", c.expression)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v\nwant a part %s", err, part)
				}
			}
		})
	}
}

func TestCompileConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hris.cel")
	write(t, file, "\ufeff// Ours.\n[{\"email\": body.mail}]\n")
	wrong := filepath.Join(t.TempDir(), "wrong.cel")
	write(t, wrong, "[{}\n")
	for name, c := range map[string]struct {
		configs []Config
		want    string // of the error; "" if there is none
	}{
		"none":                         {nil, ""},
		"a file":                       {[]Config{{Name: "hris", File: file}}, ""},
		"an expression":                {[]Config{{Name: "hris", Expression: "[]"}}, ""},
		"in the place of a preset":     {[]Config{{Name: "okta", Expression: "[]"}}, ""},
		"no name":                      {[]Config{{File: file}}, "events.mappings[0].name: not set"},
		"a name that is no source":     {[]Config{{Name: "a b", File: file}}, `events.mappings[0].name: "a b": letters`},
		"a name twice":                 {[]Config{{Name: "a", File: file}, {Name: "a", File: file}}, `events.mappings[1].name: "a": given twice`},
		"neither file nor expression":  {[]Config{{Name: "a"}}, "events.mappings[0] (a): one of file and expression"},
		"both":                         {[]Config{{Name: "a", File: file, Expression: "[]"}}, "events.mappings[0] (a): one of file and expression"},
		"a file that is not there":     {[]Config{{Name: "a", File: "/nowhere/a.cel"}}, "events.mappings[0].file: stat /nowhere/a.cel"},
		"a directory":                  {[]Config{{Name: "a", File: t.TempDir()}}, "not a file of at most 64 KiB"},
		"a file that is wrong":         {[]Config{{Name: "a", File: wrong}}, wrong + ":2:1: Syntax error"},
		"an expression that is wrong":  {[]Config{{Name: "b", Expression: "[]"}, {Name: "a", Expression: "["}}, "events.mappings[1].expression:1:2: Syntax error"},
		"an expression in the tenth":   {append(make([]Config, 0), Config{Name: "a", Expression: "1"}), "events.mappings[0].expression: makes int"},
		"one that takes the wrong key": {[]Config{{Name: "a", Expression: "[{'x': 1}]"}}, `events.mappings[0].expression:1:3: "x": no event has this key`},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Compile(c.configs)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want …%s…", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, config := range c.configs {
				if m, err := set.Find(config.Name); err != nil || m.Name() != config.Name {
					t.Errorf("found %v, %v", m, err)
				}
			}
		})
	}
}

func TestFind(t *testing.T) {
	set, err := Compile([]Config{{Name: "acme", Expression: "[]"}, {Name: "okta", Expression: "[{}, {}]"}})
	if err != nil {
		t.Fatal(err)
	}
	okta, err := set.Find("okta")
	if err != nil {
		t.Fatal(err)
	}
	if events, err := okta.Events(t.Context(), []byte("{}"), "1"); len(events) != 2 {
		t.Errorf("the preset goes before the config's own: %v, %v", events, err)
	}
	if m, err := set.Find("risc"); err != nil || m.Name() != "risc" {
		t.Errorf("found %v, %v", m, err)
	}
	_, err = set.Find("acmé")
	if err == nil || !strings.Contains(err.Error(), `"acmé": no such mapping; there are: acme, bamboohr, entra,`) ||
		strings.Count(err.Error(), "okta") != 1 {
		t.Errorf("got %v", err)
	}
	if _, err := set.Find("../presets/okta"); err == nil {
		t.Error("a path is no name")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for file, name := range map[string]string{"hris.cel": "hris", "okta": "okta", "my own: mapping.cel": "mapping"} {
		path := filepath.Join(dir, file)
		write(t, path, "[{}]")
		if m, err := Load(path); err != nil || m.Name() != name {
			t.Errorf("%s: %v, %v", file, m, err)
		}
	}
	if _, err := Load("oktta"); err == nil || !strings.Contains(err.Error(), "nor is that a preset; there are: bamboohr,") {
		t.Errorf("got %v", err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
