package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
)

var update = flag.Bool("update", false, "write the goldens anew")

var received = time.Date(2027, 2, 1, 9, 0, 0, 0, time.UTC) // after all of the samples

// people is a directory of those whom the samples name by an id alone.
type people map[string]consumer.Person

func (p people) Find(_ context.Context, id string) (consumer.Person, error) {
	found, ok := p[id]
	if !ok {
		return found, consumer.ErrNoPerson
	}
	return found, nil
}

func newDecoder(t testing.TB) *consumer.Decoder {
	t.Helper()
	d, err := consumer.NewDecoder(consumer.Config{TimeZone: "Europe/Lisbon"}, people{
		"3332883884017713877":                  {Email: "Jane.Doe@example.com", GivenName: "Jane", TimeZone: "Asia/Tokyo"},
		"0b2f9a3c-5d9e-4a6f-92f0-2b6a3a1f7c55": {Email: "jane.doe@example.com", OtherEmails: []string{"jdoe@example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// decoded is what an intake would keep of the events: themselves, or why not.
func decoded(t testing.TB, events []event.Event) []any {
	t.Helper()
	d := newDecoder(t)
	all := []any{}
	for _, e := range events {
		got, err := d.Decode(t.Context(), e, "/hooks", received)
		if err != nil {
			all = append(all, map[string]any{"Key": got.Key, "Error": err.Error()})
			continue
		}
		all = append(all, got)
	}
	return all
}

func load(t testing.TB, name string) *Mapping {
	t.Helper()
	m, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPresets maps and decodes testdata/PRESET.json and testdata/PRESET-*.json.
func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		files, err := filepath.Glob("testdata/" + name + "-*.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(files, "testdata/"+name+".json") {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
				payload, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				events, err := load(t, name).Events(t.Context(), payload, "fallback")
				if err != nil {
					t.Fatal(err)
				}
				golden(t, strings.TrimSuffix(file, ".json")+".golden", decoded(t, events))
			})
		}
	}
}

func golden(t *testing.T, file string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("got %s\nwant %s", text, want)
	}
}

// TestPresetsPassOverWhatSaysNothing is for what vendors send to try an endpoint.
func TestPresetsPassOverWhatSaysNothing(t *testing.T) {
	for _, name := range Presets() {
		for _, payload := range []string{`{}`, `"ping"`, `{"data":{}}`, `{"data":null,"events":null}`, `{"text":"Ping test"}`, `true`, `7`} {
			events, err := load(t, name).Events(t.Context(), []byte(payload), "1")
			if err != nil || len(events) > 0 {
				t.Errorf("%s of %s: %v, %v", name, payload, events, err)
			}
		}
	}
}

func TestPresetsPassOver(t *testing.T) {
	okta := `{"data":{"events":[{"uuid":"1","eventType":%s,"outcome":%s,"target":[{"type":"User","alternateId":"a@example.com"}]}]}}`
	gusto := `{"uuid":"1","event_type":%q,"entity_uuid":"E","timestamp":1796108400}`
	risc := `{"jti":"1","iat":1,"events":{%q:%s},"sub_id":%s}`
	const disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
	for name, c := range map[string]struct{ preset, payload string }{
		"bamboohr: active":                    {"bamboohr", `{"employees":[{"id":"1","timestamp":"2026-11-30T18:42:00+0000","fields":{"Status":"Active","Work Email":"a@example.com"}}]}`},
		"bamboohr: the status is not posted":  {"bamboohr", `{"employees":[{"id":"1","timestamp":"2026-11-30T18:42:00+0000","fields":{"Work Email":"a@example.com"}}]}`},
		"bamboohr: no fields":                 {"bamboohr", `{"employees":[{"id":"1","action":"Deleted","fields":null}]}`},
		"bamboohr: nobody":                    {"bamboohr", `{"employees":[]}`},
		"bamboohr: event-based":               {"bamboohr", `{"type":"employee.updated","timestamp":"2026-11-30T18:42:00+0000","data":{"employeeId":"1","changedFields":["status"]}}`},
		"merge: active, with a date":          {"merge", `{"data":{"id":"1","work_email":"a@example.com","employment_status":"ACTIVE","termination_date":"2026-11-30T00:00:00Z"}}`},
		"merge: pending":                      {"merge", `{"data":{"id":"1","work_email":"a@example.com","employment_status":"PENDING"}}`},
		"merge: no status":                    {"merge", `{"data":{"id":"1","work_email":"a@example.com","employment_status":null}}`},
		"merge: another model":                {"merge", `{"hook":{"event":"Team.changed"},"data":{"id":"1","name":"Sales"}}`},
		"okta: another event":                 {"okta", fmt.Sprintf(okta, `"user.session.end"`, `{"result":"SUCCESS"}`)},
		"okta: it failed":                     {"okta", fmt.Sprintf(okta, `"user.lifecycle.deactivate"`, `{"result":"FAILURE"}`)},
		"okta: no events":                     {"okta", `{"data":{"events":[]}}`},
		"entra: not of a task":                {"entra", `{"type":"lifecycleEvent","data":{"subject":{"email":"a@example.com"}}}`},
		"risc: enabled":                       {"risc", fmt.Sprintf(risc, strings.Replace(disabled, "disabled", "enabled", 1), "{}", `{"format":"email","email":"a@example.com"}`)},
		"risc: hijacked":                      {"risc", fmt.Sprintf(risc, disabled, `{"reason":"hijacking"}`, `{"format":"email","email":"a@example.com"}`)},
		"risc: a subject by issuer":           {"risc", fmt.Sprintf(risc, disabled, "{}", `{"format":"iss_sub","iss":"https://idp.example.com/","sub":"1"}`)},
		"risc: no subject":                    {"risc", fmt.Sprintf(risc, disabled, "{}", "null")},
		"risc: verification":                  {"risc", `{"jti":"1","iat":1,"sub_id":{"format":"opaque","id":"s"},"events":{"https://schemas.openid.net/secevent/ssf/event-type/verification":{"state":"x"}}}`},
		"rippling: nobody is named":           {"rippling", `{"secureKey":"x"}`},
		"hibob: joined":                       {"hibob", `{"type":"employee.joined","triggeredAt":"2026-12-01T00:00:11.203","data":{"employeeId":"1"}}`},
		"hibob: its ping":                     {"hibob", `"Ping test"`},
		"hibob: its other ping":               {"hibob", `{"text":"Ping test"}`},
		"gusto: only announced":               {"gusto", fmt.Sprintf(gusto, "employee.terminated")},
		"gusto: a rehire that is announced":   {"gusto", fmt.Sprintf(gusto, "employee.rehired")},
		"gusto: a company":                    {"gusto", fmt.Sprintf(gusto, "company.updated")},
		"gusto: the verification of the hook": {"gusto", `{"verification_token":"x","webhook_subscription_uuid":"y"}`},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := load(t, c.preset).Events(t.Context(), []byte(c.payload), "1")
			if err != nil || len(events) > 0 {
				t.Errorf("got %v, %v", events, err)
			}
		})
	}
}
