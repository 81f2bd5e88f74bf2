package outcomes

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"signoff/closer/ledger"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	ledgerID = "qm4h3vxt6zj5k2w7n8b9c0d1ef"
	hash     = "9f2c60b1d7e3a8540c1e5b7a90d3f6428b7c19e0a5d4f3826170c9b8e7d6f5a4"
)

// leaver is an outcome of somebody of whom everything is known.
func leaver(what ledger.What, change func(*ledger.Outcome)) ledger.Outcome {
	at := time.Date(2026, 11, 30, 23, 5, 12, 301e6, time.UTC)
	o := ledger.Outcome{
		Seq: 412, Hash: hash, At: at, What: what, Entry: 17, Account: "aaaaaaaa-0000-4000-8000-000000000001",
		Email: "jane.doe@example.com", EmployeeID: "E-1093", TerminationID: "T-88123", ManagerEmail: "max.boss@example.com",
		EffectiveAt: at.Truncate(time.Hour), DueAt: at.Truncate(time.Hour),
	}
	change(&o)
	return o
}

func without(what ledger.What, change func(*ledger.Outcome)) ledger.Outcome {
	o := leaver(what, func(*ledger.Outcome) {})
	o = ledger.Outcome{Seq: o.Seq, Hash: o.Hash, At: o.At, What: what}
	change(&o)
	return o
}

// examples has an outcome of every kind.
func examples() map[ledger.What]ledger.Outcome {
	const jane, jdoe = "0a1b2c3d-0000-4000-8000-00000000000a", "0a1b2c3d-0000-4000-8000-00000000000b"
	all := []ledger.Outcome{
		leaver("closed", func(o *ledger.Outcome) {
			o.Users = []ledger.OutcomeUser{{ID: jane, Outcome: "closed", Trace: "5f1e"}, {ID: jdoe, Outcome: "closed", Note: "signing_groups_kept", Trace: "77ab"}}
		}),
		leaver("already_closed", func(o *ledger.Outcome) { o.Users = []ledger.OutcomeUser{{ID: jane, Outcome: "already_closed"}} }),
		leaver("not_found", func(*ledger.Outcome) {}),
		leaver("cancelled", func(o *ledger.Outcome) { o.Reason, o.Account = "rescinded", "" }),
		leaver("skipped", func(o *ledger.Outcome) { o.Reason, o.By, o.Hold = "stays on as a contractor", "ana", 5 }),
		leaver("failed", func(o *ledger.Outcome) {
			o.Reason = "USER_LACKS_PERMISSIONS"
			o.Users = []ledger.OutcomeUser{{ID: jane, Outcome: "failed", Reason: "USER_LACKS_PERMISSIONS", Trace: "5f1e"}}
		}),
		leaver(ledger.WhatHeld, func(o *ledger.Outcome) {
			o.Hold, o.Kinds, o.Detail = 5, []ledger.Kind{ledger.Protected, ledger.Stale}, "protected by guard.protected.domains"
			o.Users = []ledger.OutcomeUser{{ID: jane}}
		}),
		leaver(ledger.WhatReturned, func(o *ledger.Outcome) { o.ClosedBy, o.Users = 9, []ledger.OutcomeUser{{ID: jdoe}} }),
		leaver(ledger.WhatReopenSent, func(o *ledger.Outcome) {
			o.Users = []ledger.OutcomeUser{{ID: jane, Outcome: "reopen_sent", Trace: "5f1e"}}
		}),
		leaver(ledger.WhatReopenFailed, func(o *ledger.Outcome) {
			o.Reason, o.Users = "INVALID_USERID", []ledger.OutcomeUser{{ID: jane, Outcome: "reopen_failed", Reason: "INVALID_USERID", Trace: "5f1e"}}
		}),
		without(ledger.WhatRejected, func(o *ledger.Outcome) {
			o.Reason, o.Reject, o.Origin, o.Source, o.EventID, o.Position = "no_email", 3, "hr.employee", "https://hr.example.com", "e-1", "hr.employee/0/98"
		}),
		without(ledger.WhatParked, func(o *ledger.Outcome) {
			o.Account, o.Reason, o.Advice = "aaaaaaaa-0000-4000-8000-000000000001", "consent", "give consent once more"
		}),
		without(ledger.WhatResumed, func(o *ledger.Outcome) { o.Account, o.Reason = "aaaaaaaa-0000-4000-8000-000000000001", "consent" }),
	}
	byWhat := make(map[ledger.What]ledger.Outcome)
	for _, o := range all {
		byWhat[o.What] = o
	}
	return byWhat
}

func made(t *testing.T, o ledger.Outcome) Event {
	t.Helper()
	e, err := eventMaker{ledger: ledgerID}.of(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvents(t *testing.T) {
	compiled, err := jsonschema.NewCompiler().Compile("outcome-v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	known := examples()
	for _, what := range ledger.Whats() {
		t.Run(string(what), func(t *testing.T) {
			o, ok := known[what]
			if !ok {
				t.Fatal("no example of it")
			}
			e := made(t, o)
			var indented bytes.Buffer
			if err := json.Indent(&indented, e.Body, "", "  "); err != nil {
				t.Fatal(err)
			}
			indented.WriteByte('\n')
			golden := filepath.Join("testdata", string(what)+".json")
			if *update {
				if err := os.WriteFile(golden, indented.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if indented.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s\n(go test -update rewrites it)", indented.String(), want)
			}
			var ce event.Event
			if err := json.Unmarshal(e.Body, &ce); err != nil {
				t.Fatal(err)
			}
			if err := ce.Validate(); err != nil {
				t.Errorf("no CloudEvent: %v", err)
			}
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(ce.Data()))
			if err != nil {
				t.Fatal(err)
			}
			if err := compiled.Validate(instance); err != nil {
				t.Errorf("not as the schema has it: %v", err)
			}
		})
	}
	if got := slices.Sorted(maps.Keys(known)); len(got) != len(ledger.Whats()) {
		t.Errorf("examples of %v", got)
	}
}

// The data of every example has no field that the schema does not describe.
func TestSchemaDescribesEveryField(t *testing.T) {
	text, err := os.ReadFile("outcome-v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, o := range examples() {
		var e struct{ Data map[string]any }
		if err := json.Unmarshal(made(t, o).Body, &e); err != nil {
			t.Fatal(err)
		}
		for field := range e.Data {
			used[field] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, want) {
		t.Errorf("events have %v, the schema %v", got, want)
	}
}

// What brokers, proxies and logs see of an event has no email, whatever an
// employee's id is made of.
func TestNoEmailOutsideTheData(t *testing.T) {
	for name, tt := range map[string]struct{ id, want string }{
		"an id":                      {"E-1093", "E-1093"},
		"an id of other letters":     {"Zoë 7", "Zoë 7"},
		"none":                       {"", "entry/17"},
		"an email":                   {"jane.doe@example.com", "entry/17"},
		"an email in percent":        {"jane.doe%40example.com", "entry/17"},
		"an email with a name":       {"Jane <jane.doe@example.com>", "entry/17"},
		"a blank":                    {" ", "entry/17"},
		"a blank before it":          {" E-1", "entry/17"},
		"a line end":                 {"E-1\nE-2", "entry/17"},
		"a zero":                     {"E-1\x00", "entry/17"},
		"no text":                    {"E-\xff", "entry/17"},
		"longer than any id":         {strings.Repeat("7", 129), "entry/17"},
		"an entry's, by some chance": {"17", "17"},
	} {
		t.Run(name, func(t *testing.T) {
			for what, o := range examples() {
				if o.Entry == 0 {
					continue
				}
				o.EmployeeID = tt.id
				e := made(t, o)
				if e.Subject != tt.want {
					t.Errorf("%s: subject %q, want %q", what, e.Subject, tt.want)
				}
				var attributes map[string]json.RawMessage
				if err := json.Unmarshal(e.Body, &attributes); err != nil {
					t.Fatal(err)
				}
				if got := string(attributes["partitionkey"]); got != string(attributes["subject"]) {
					t.Errorf("%s: partitionkey %s", what, got)
				}
				delete(attributes, "data")
				for attribute, value := range attributes {
					if strings.Contains(string(value), "@") || strings.Contains(string(value), "%40") || strings.Contains(string(value), "jane") {
						t.Errorf("%s: %s is %s", what, attribute, value)
					}
				}
			}
		})
	}
}

func TestSubjectsOfWhatIsAboutNoLeaver(t *testing.T) {
	for what, want := range map[ledger.What]string{ledger.WhatRejected: "reject/3", ledger.WhatParked: "account/aaaaaaaa-0000-4000-8000-000000000001"} {
		if got := made(t, examples()[what]).Subject; got != want {
			t.Errorf("%s: subject %q, want %q", what, got, want)
		}
	}
}

// Of somebody who was erased there is still what happened.
func TestEventOfNobodyKnown(t *testing.T) {
	e := made(t, without("closed", func(o *ledger.Outcome) { o.Entry = 17 }))
	if e.Subject != "entry/17" || strings.Contains(string(e.Body), "mail") || strings.Contains(string(e.Body), "0001-01-01") {
		t.Errorf("%s %s", e.Subject, e.Body)
	}
}

// Whatever anybody has written, an outcome makes a CloudEvent that a broker takes.
func FuzzEvent(f *testing.F) {
	f.Add("E-1093", "jane.doe@example.com", "stays on", "https://hr.example.com")
	f.Add(" ", "\x00", strings.Repeat("\xf0\x9f", 2000), "\u2028")
	f.Add("jane.doe@example.com", "", "", "")
	f.Fuzz(func(t *testing.T, id, email, reason, source string) {
		for what, o := range examples() {
			o.EmployeeID, o.TerminationID, o.Email, o.ManagerEmail, o.Reason, o.By, o.Detail, o.Advice = id, id, email, email, reason, reason, reason, reason
			o.Source, o.EventID = source, source
			e := made(t, o)
			var ce event.Event
			if err := json.Unmarshal(e.Body, &ce); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := ce.Validate(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if ce.Subject() != e.Subject || strings.Contains(e.Subject, "@") || len(e.Body) > 100<<10 {
				t.Errorf("%s: subject %q, key %q, %d bytes", what, ce.Subject(), e.Subject, len(e.Body))
			}
		}
	})
}
