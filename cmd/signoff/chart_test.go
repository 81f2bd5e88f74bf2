package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
)

var updateSchema = flag.Bool("update-schema", false, "rewrite what the chart's schema has of the config")

const chartSchema = "../../charts/signoff/values.schema.json"

// The chart's schema knows the config's keys, so that helm refuses what signoff
// would refuse after the old pod is gone.
func TestChartKnowsEveryConfigKey(t *testing.T) {
	text, err := os.ReadFile(chartSchema)
	if err != nil {
		t.Fatal(err)
	}
	want := mappingSchema(reflect.New(reflect.TypeFor[config]()).Elem())
	if *updateSchema {
		text = withConfigSchema(t, text, want)
		if err := os.WriteFile(chartSchema, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var schema struct {
		Defs struct {
			Config any `json:"config"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatalf("%s: %v", chartSchema, err)
	}
	if !reflect.DeepEqual(schema.Defs.Config, plain(t, want)) {
		t.Errorf("%s: $defs.config is not what the config's keys come to: go test ./cmd/signoff -run TestChartKnowsEveryConfigKey -update-schema", chartSchema)
	}
}

// withConfigSchema puts the schema in the place of $defs.config, which is the last.
func withConfigSchema(t *testing.T, text []byte, schema map[string]any) []byte {
	t.Helper()
	begins := []byte("    \"config\": ")
	at := bytes.LastIndex(text, begins)
	if at < 0 {
		t.Fatalf("%s: no $defs.config", chartSchema)
	}
	indented, err := json.MarshalIndent(schema, "    ", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(append(text[:at+len(begins)], indented...), "\n  }\n}\n"...)
}

func plain(t *testing.T, v any) (decoded any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// mappingSchema is the JSON schema of a struct as decodeYAML takes it. A scalar may
// be of any type: its text may come from the environment, and is for signoff to judge.
func mappingSchema(v reflect.Value) map[string]any {
	keys := make(map[string]any)
	for name, field := range yamlFields(v) {
		keys[name] = valueSchema(field.Type())
	}
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": keys}
}

func valueSchema(of reflect.Type) map[string]any {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	var schema map[string]any
	switch of.Kind() {
	case reflect.Struct:
		schema = mappingSchema(reflect.New(of).Elem())
	case reflect.Slice:
		schema = map[string]any{"type": []string{"array", "null"}, "items": valueSchema(of.Elem())}
	default:
		return map[string]any{"$ref": "#/$defs/scalar"}
	}
	if reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		kinds := schema["type"].([]string) //nolint:forcetypeassert // made above
		schema["type"] = append(kinds, "string")
	}
	return schema
}
