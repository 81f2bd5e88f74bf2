package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decodeYAML reads a file into a struct with yaml tags. An unknown key is an
// error, a known one that is in later is "not supported yet", any scalar may
// hold ${NAME} of the environment, and a duration may have years and days. Every error
// names file, line and key.
//
// The YAML package's own decoding does not serve: it knows neither days nor the
// environment, and its errors speak of Go types.
func decodeYAML(file string, into any, later []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d := yamlDecoder{file, later}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := documents.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // nothing but comments
	} else if err != nil {
		return d.notYAML(err)
	}
	switch err := documents.Decode(&second); {
	case err == nil:
		return d.errorf(&second, "", "a second document: only one is read")
	case !errors.Is(err, io.EOF):
		return d.notYAML(err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag != "!!null" {
		return d.errorf(root, "", "%s", wanted(reflect.TypeOf(into).Elem())) // not quoted: it may be a key or a token
	}
	return d.value(root, reflect.ValueOf(into).Elem(), "")
}

type yamlDecoder struct {
	file  string
	later []string
}

func (d yamlDecoder) errorf(n *yaml.Node, key, format string, args ...any) error {
	at := fmt.Sprintf("%s:%d: ", d.file, n.Line)
	if key != "" {
		at += key + ": "
	}
	return errors.New(at + fmt.Sprintf(format, args...))
}

var lineOf = regexp.MustCompile(`^line (\d+): `)

// notYAML puts the place before what the YAML package says.
func (d yamlDecoder) notYAML(err error) error {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	if at := lineOf.FindStringSubmatch(said); at != nil {
		return fmt.Errorf("%s:%s: %s", d.file, at[1], said[len(at[0]):])
	}
	return fmt.Errorf("%s: %s", d.file, said)
}

func (d yamlDecoder) value(n *yaml.Node, v reflect.Value, key string) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode {
		if n.Tag == "!!null" {
			return nil // as if it were not there
		}
		return d.scalar(n, v, key)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case n.Kind == yaml.SequenceNode && v.Kind() == reflect.Slice:
		return d.sequence(n, v, key)
	case n.Kind == yaml.MappingNode && v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		return d.mapping(n, v, key)
	}
	return d.errorf(n, key, "%s", wanted(v.Type()))
}

func (d yamlDecoder) sequence(n *yaml.Node, v reflect.Value, key string) error {
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if err := d.value(item, list.Index(i), fmt.Sprintf("%s[%d]", key, i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func (d yamlDecoder) mapping(n *yaml.Node, v reflect.Value, key string) error {
	fields := yamlFields(v)
	var seen []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		path := strings.TrimPrefix(key+"."+name, ".")
		if slices.Contains(seen, name) {
			return d.errorf(n.Content[i], path, "given twice")
		}
		seen = append(seen, name)
		if slices.Contains(d.later, indexes.ReplaceAllString(path, "[]")) {
			return d.errorf(n.Content[i], path, "not supported yet")
		}
		field, ok := fields[name]
		if !ok && strings.Contains(name, "@") { // not quoted: it may be an address
			return d.errorf(n.Content[i], key, "unknown key, which is like an address: is a list meant?")
		}
		if !ok {
			return d.errorf(n.Content[i], path, "unknown key%s", suggestion(name, fields))
		}
		if err := d.value(n.Content[i+1], field, path); err != nil {
			return err
		}
	}
	return nil
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// yamlFields are the settable fields of a struct by their keys, those of inline
// structs among them.
func yamlFields(v reflect.Value) map[string]reflect.Value {
	fields := make(map[string]reflect.Value)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		switch name, options, _ := strings.Cut(tag, ","); {
		case options == "inline":
			for name, field := range yamlFields(v.Field(i)) {
				fields[name] = field
			}
		case name != "" && name != "-":
			fields[name] = v.Field(i)
		}
	}
	return fields
}

// suggestion is the known key that the unknown one was probably meant to be.
func suggestion(name string, fields map[string]reflect.Value) string {
	plain := strings.NewReplacer("_", "", "-", "", "s", "")
	for known := range fields {
		if strings.EqualFold(plain.Replace(known), plain.Replace(name)) {
			return ", is " + known + " meant?"
		}
	}
	return ""
}

func (d yamlDecoder) scalar(n *yaml.Node, v reflect.Value, key string) error {
	text, err := fromEnvironment(n.Value)
	if err != nil {
		return d.errorf(n, key, "%v", err)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return d.errorf(n, key, "%v", err)
		}
		return nil
	}
	if strings.Contains(strings.TrimSpace(text), "\n") {
		return d.errorf(n, key, "more than one line") // not quoted: it may be a private key
	}
	if err := setScalar(v, text); err != nil {
		return d.errorf(n, key, "%q: %v", n.Value, err) // as written: the environment is not quoted
	}
	return nil
}

func setScalar(v reflect.Value, text string) error {
	wrong := errors.New(wanted(v.Type()))
	if v.Type() == reflect.TypeFor[time.Duration]() {
		length, err := parseDuration(text)
		if err != nil {
			return wrong
		}
		v.SetInt(int64(length))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return wrong
		}
		v.SetInt(int64(i))
	case reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return wrong
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return wrong
		}
		v.SetFloat(f)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return wrong
		}
		v.SetBool(b)
	default:
		return wrong
	}
	return nil
}

// wanted says what a value of the type looks like in a config file.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "not a length of time such as 90s, 5m, 24h, 7d or 1y"
	case t == reflect.TypeFor[time.Time]():
		return "not a time such as 2026-11-20T09:12:44Z"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "not a list"
	case reflect.Struct:
		return "not a mapping of keys to values"
	case reflect.Int, reflect.Int64:
		return "not a whole number"
	case reflect.Float64:
		return "not a number"
	case reflect.Bool:
		return "neither true nor false"
	default:
		return "not a plain value"
	}
}

var calendar = regexp.MustCompile(`^(?:(\d+)y)?(?:(\d+)d)?`)

// mostDays is the longest time that is told in days or years.
const mostDays = 100 * 365

// parseDuration reads Go's durations with years, of 365 days, and days before them:
// 7y, 7d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	m := calendar.FindStringSubmatch(text)
	n := 0
	for i, length := range []int{365, 1} {
		if m[i+1] == "" {
			continue
		}
		units, err := strconv.Atoi(m[i+1])
		if err != nil || units > mostDays/length {
			return 0, fmt.Errorf("%q: too many days", text)
		}
		n += units * length
	}
	if n > mostDays {
		return 0, fmt.Errorf("%q: too many days", text)
	}
	d := time.Duration(n) * 24 * time.Hour
	if m[0] != "" {
		if text = text[len(m[0]):]; text == "" {
			return d, nil
		}
	}
	rest, err := time.ParseDuration(text)
	if err == nil && d > 0 && d+rest < d {
		return 0, fmt.Errorf("%q: less than its days, or too long", text)
	}
	return d + rest, err
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// fromEnvironment puts the values of ${NAME} in; one that is not set is an error.
func fromEnvironment(text string) (string, error) {
	var missing error
	text = variable.ReplaceAllStringFunc(text, func(ref string) string {
		name := variable.FindStringSubmatch(ref)[1]
		value, ok := os.LookupEnv(name)
		if !ok && missing == nil {
			missing = fmt.Errorf("%s: not set in the environment", ref)
		}
		return value
	})
	return text, missing
}
