// Command schemas makes JSON schemas, as kubeconform looks them up, of
// Kubernetes' own API description and of definitions of custom resources:
//
//	schemas DIR swagger.json [crd.yaml ...]
//
// They are strict: a field that there is not is an error. Each has all that it
// refers to in it, so that nothing is fetched.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

type object = map[string]any

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas DIR swagger.json [crd.yaml ...]")
		os.Exit(2)
	}
	if err := makeAll(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func makeAll(dir, swagger string, crds []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := core(dir, swagger); err != nil {
		return fmt.Errorf("%s: %w", swagger, err)
	}
	for _, file := range crds {
		if err := custom(dir, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// core makes a schema of each kind that Kubernetes knows.
func core(dir, swagger string) error {
	text, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	var api struct{ Definitions map[string]object }
	if err := json.Unmarshal(text, &api); err != nil {
		return err
	}
	all := api.Definitions
	// The description calls them strings, and the server takes numbers, too.
	all["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = object{"oneOf": []any{object{"type": "string"}, object{"type": "integer"}}}
	all["io.k8s.apimachinery.pkg.api.resource.Quantity"] = object{"oneOf": []any{object{"type": "string"}, object{"type": "number"}}}
	for _, d := range all {
		if _, ok := d["properties"]; ok {
			closeObject(d)
		}
	}
	for name, d := range all {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // what is part of many, as DeleteOptions is
			continue
		}
		kind := kinds[0].(object)
		needed := make(object)
		collect(all, name, needed)
		err := write(dir, kind["kind"].(string), kind["group"].(string), kind["version"].(string),
			object{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": definitions + name, "definitions": needed})
		if err != nil {
			return err
		}
	}
	return nil
}

const definitions = "#/definitions/"

// collect adds a definition and all that it refers to.
func collect(all map[string]object, name string, needed object) {
	if _, ok := needed[name]; ok {
		return
	}
	needed[name] = all[name]
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok {
				collect(all, strings.TrimPrefix(ref, definitions), needed)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(all[name])
}

// definition is a CustomResourceDefinition.
type definition struct {
	Kind string
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPIV3Schema object `yaml:"openAPIV3Schema"`
			}
		}
	}
}

// custom makes a schema of each version of a custom resource.
func custom(dir, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	found := false
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var d definition
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if d.Kind != "CustomResourceDefinition" {
			continue
		}
		found = true
		for _, version := range d.Spec.Versions {
			schema := version.Schema.OpenAPIV3Schema
			plain(schema)
			if properties, ok := schema["properties"].(object); ok {
				properties["metadata"] = object{"type": "object"}
			}
			if err := write(dir, d.Spec.Names.Kind, d.Spec.Group, version.Name, schema); err != nil {
				return err
			}
		}
	}
	if !found {
		return errors.New("no CustomResourceDefinition in it")
	}
	return nil
}

// plain makes a structural schema, with Kubernetes' own words in it, a plain one.
func plain(v any) {
	switch v := v.(type) {
	case object:
		if v["x-kubernetes-int-or-string"] == true {
			delete(v, "type")
			delete(v, "anyOf")
			v["oneOf"] = []any{object{"type": "string"}, object{"type": "integer"}}
		}
		if kind, ok := v["type"].(string); ok && v["nullable"] == true {
			v["type"] = []any{kind, "null"}
		}
		properties, ok := v["properties"].(object)
		if ok && v["x-kubernetes-preserve-unknown-fields"] != true && v["type"] != nil {
			closeObject(v)
		}
		for name, child := range v {
			if name != "properties" {
				plain(child)
			}
		}
		for _, child := range properties { // a property may have any name, `properties` too
			plain(child)
		}
	case []any:
		for _, child := range v {
			plain(child)
		}
	}
}

func closeObject(schema object) {
	if _, ok := schema["additionalProperties"]; !ok {
		schema["additionalProperties"] = false
	}
}

// write names a schema as kubeconform has it: kind, first part of the group, version.
func write(dir, kind, group, version string, schema object) error {
	name := strings.ToLower(kind)
	if first, _, _ := strings.Cut(group, "."); first != "" {
		name += "-" + strings.ToLower(first)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+"-"+strings.ToLower(version)+".json"), text, 0o644)
}
