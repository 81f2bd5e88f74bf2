// Command schemas makes the JSON schemas that kubeconform looks for, one file for
// each kind, out of the API description that a release of Kubernetes brings and of
// custom resource definitions. They are strict: a field that there is not is an
// error.
//
//	schemas OUT SWAGGER.json [CRD.yaml …]
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a schema, or a part of one.
type node = map[string]any

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas OUT SWAGGER.json [CRD.yaml …]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(out, swagger string, definitions []string) error {
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	if err := ofKubernetes(out, swagger); err != nil {
		return fmt.Errorf("%s: %w", swagger, err)
	}
	for _, file := range definitions {
		if err := ofDefinitions(out, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// ofKubernetes writes the schema of each kind of its own, with all that it refers to.
func ofKubernetes(out, swagger string) error {
	text, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	var api struct {
		Definitions map[string]node `json:"definitions"`
	}
	if err := json.Unmarshal(text, &api); err != nil {
		return err
	}
	all := api.Definitions
	// The description says that they are strings, and takes numbers as well.
	all["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = node{"type": []any{"string", "integer"}}
	all["io.k8s.apimachinery.pkg.api.resource.Quantity"] = node{"type": []any{"string", "number"}}
	for _, d := range all {
		closed(d)
	}
	for name, d := range all {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue // not an object, or one that is in every group
		}
		kind, _ := kinds[0].(node)
		needed := make(node)
		collect(all, name, needed)
		schema := node{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/" + name, "definitions": needed}
		if err := write(out, word(kind, "kind"), word(kind, "group"), word(kind, "version"), schema); err != nil {
			return err
		}
	}
	return nil
}

func word(n node, key string) string {
	s, _ := n[key].(string)
	return s
}

// closed lets an object have no fields but those that it is said to have.
func closed(n node) {
	if _, has := n["properties"]; !has || n["x-kubernetes-preserve-unknown-fields"] == true {
		return
	}
	if _, has := n["additionalProperties"]; !has {
		n["additionalProperties"] = false
	}
}

// collect puts a definition, and those that it refers to, among the needed ones.
func collect(all map[string]node, name string, needed node) {
	if _, has := needed[name]; has {
		return
	}
	needed[name] = all[name]
	each(all[name], func(n node) {
		if ref, ok := n["$ref"].(string); ok {
			collect(all, strings.TrimPrefix(ref, "#/definitions/"), needed)
		}
	})
}

// each calls do for every map in v.
func each(v any, do func(node)) {
	switch in := v.(type) {
	case node:
		do(in)
		for _, part := range in {
			each(part, do)
		}
	case []any:
		for _, part := range in {
			each(part, do)
		}
	}
}

// ofDefinitions writes the schema of each version of the custom resources in a file.
func ofDefinitions(out, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for documents := yaml.NewDecoder(f); ; {
		var crd struct {
			Spec struct {
				Group string `yaml:"group"`
				Names struct {
					Kind string `yaml:"kind"`
				} `yaml:"names"`
				Versions []struct {
					Name   string `yaml:"name"`
					Schema struct {
						OpenAPI node `yaml:"openAPIV3Schema"`
					} `yaml:"schema"`
				} `yaml:"versions"`
			} `yaml:"spec"`
		}
		err := documents.Decode(&crd)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, v := range crd.Spec.Versions {
			if err := write(out, crd.Spec.Names.Kind, crd.Spec.Group, v.Name, plain(v.Schema.OpenAPI)); err != nil {
				return err
			}
		}
	}
}

// plain makes a custom resource's schema one of JSON Schema.
func plain(schema node) node {
	each(schema, func(n node) {
		if n["x-kubernetes-int-or-string"] == true {
			delete(n, "anyOf")
			n["type"] = []any{"string", "integer"}
		}
		closed(n)
	})
	if properties, ok := schema["properties"].(node); ok {
		properties["metadata"] = node{"type": "object"} // of which a definition says no more
	}
	return schema
}

// write names a file as `{{.ResourceKind}}{{.KindSuffix}}.json` has it.
func write(out, kind, group, version string, schema node) error {
	name := strings.ToLower(kind)
	if first, _, _ := strings.Cut(group, "."); first != "" {
		name += "-" + strings.ToLower(first)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+"-"+strings.ToLower(version)+".json"), text, 0o600)
}
