// Package mapping turns payloads that are no canonical CloudEvents into events,
// by expressions in CEL that the operator writes or picks from the presets.
//
// A mapping is one expression from `body`, the payload, to a list of maps: an
// item for each event, with the keys of the canonical data and type, id, source
// and time. It is checked when it is compiled: syntax, types, the names of keys.
// A member of the payload that is null counts as absent, as does a value of the
// result that is null or "".
//
// The expression is the operator's and trusted, the payload is anybody's:
// whatever it holds, a mapping ends within evalTime, and what it makes is
// bounded. No error quotes the payload.
package mapping

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/sync/semaphore"

	"signoff/consumer"
)

// Config is an item of events.mappings.
type Config struct {
	Name       string     `yaml:"name"`       // by which topics and endpoints refer to it
	File       string     `yaml:"file"`       // with the expression; or
	Expression Expression `yaml:"expression"` // the expression itself
}

// Expression is CEL, which may have several lines.
type Expression string

// UnmarshalText takes text of any number of lines.
func (e *Expression) UnmarshalText(text []byte) error {
	*e = Expression(text)
	return nil
}

const maxFile = 64 << 10 // bytes of an expression

var properName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Validate says which item has which wrong value. It reads no file.
func Validate(all []Config) error {
	seen := make(map[string]bool)
	for i, c := range all {
		key := fmt.Sprintf("events.mappings[%d]", i)
		switch {
		case c.Name == "":
			return fmt.Errorf("%s.name: not set", key)
		case !properName.MatchString(c.Name):
			return fmt.Errorf("%s.name: %q: letters, digits and ._- only", key, c.Name)
		case seen[c.Name]:
			return fmt.Errorf("%s.name: %q: given twice", key, c.Name)
		case (c.File == "") == (c.Expression == ""):
			return fmt.Errorf("%s (%s): one of file and expression is needed", key, c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// Set is the mappings that topics and endpoints may name: the presets, and those
// of the config, which go before presets of the same name.
type Set struct {
	own map[string]*Mapping
}

// Compile compiles the mappings of the config. An error names the key and, in an
// expression, line and column.
func Compile(all []Config) (*Set, error) {
	if err := Validate(all); err != nil {
		return nil, err
	}
	s := &Set{own: make(map[string]*Mapping)}
	for i, c := range all {
		key := fmt.Sprintf("events.mappings[%d]", i)
		text, from := string(c.Expression), key+".expression"
		if c.File != "" {
			read, err := readFile(c.File)
			if err != nil {
				return nil, fmt.Errorf("%s.file: %w", key, err)
			}
			text, from = read, c.File
		}
		m, err := compile(c.Name, from, text)
		if err != nil {
			return nil, err
		}
		s.own[c.Name] = m
	}
	return s, nil
}

// Find returns the mapping of that name; an error names those that there are.
func (s *Set) Find(name string) (*Mapping, error) {
	if m, ok := s.own[name]; ok {
		return m, nil
	}
	if text, ok := preset(name); ok {
		return compile(name, "preset "+name, text)
	}
	known := Presets()
	for name := range s.own {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	return nil, fmt.Errorf("%q: no such mapping; there are: %s", name, strings.Join(known, ", "))
}

// Load compiles the mapping in a file, or the preset of that name.
func Load(file string) (*Mapping, error) {
	_, err := os.Stat(file)
	if text, ok := preset(file); ok && err != nil {
		return compile(file, "preset "+file, text)
	}
	if err != nil {
		return nil, fmt.Errorf("%w, nor is that a preset; there are: %s", err, strings.Join(Presets(), ", "))
	}
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if !properName.MatchString(name) {
		name = "mapping" // a source must be a URI reference
	}
	return compile(name, file, text)
}

func readFile(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s: not a file of at most %d KiB", file, maxFile>>10)
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// Mapping is a compiled mapping. It may be used by many goroutines.
type Mapping struct {
	name    string
	program cel.Program
	ast     *ast.AST
	words   map[string]bool // names and texts of the expression, which an error may repeat
}

// compile reads an expression; from is where it comes from, for errors.
func compile(name, from, text string) (*Mapping, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s: empty; a mapping that takes nothing is []", from)
	}
	checked, issues := env.CompileSource(common.NewStringSource(strings.TrimPrefix(text, "\ufeff"), from))
	if issues.Err() != nil {
		return nil, issuesError(issues, from, text)
	}
	if !listOfMaps(checked.OutputType()) {
		return nil, fmt.Errorf("%s: makes %s; a mapping makes a list of maps, empty for what is no concern of ours",
			from, checked.OutputType())
	}
	program, err := env.Program(checked, programOptions()...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return &Mapping{name, program, checked.NativeRep(), wordsOf(checked.NativeRep())}, nil
}

// listOfMaps tells whether what has this type may be a list of maps.
func listOfMaps(t *cel.Type) bool {
	switch {
	case t.Kind() == cel.DynKind:
		return true
	case t.Kind() != cel.ListKind:
		return false
	}
	item := t.Parameters()[0].Kind()
	return item == cel.MapKind || item == cel.DynKind || item == cel.TypeParamKind
}

// issuesError has a paragraph for each thing that is wrong: where, what, the line
// and a caret below the place.
func issuesError(issues *cel.Issues, from, text string) error {
	source := common.NewStringSource(text, from)
	all := make([]string, 0, len(issues.Errors()))
	for _, e := range issues.Errors() {
		all = append(all, strings.TrimPrefix(e.ToDisplayString(source), "ERROR: "))
	}
	return errors.New(strings.Join(all, "\n"))
}

// Name is the mapping's own: the CloudEvents source of events to which it gives
// no other.
func (m *Mapping) Name() string { return m.name }

// maxPayload is above what endpoints take.
const maxPayload = 512 << 10 // bytes

// underWay bounds the bytes of all payloads that are mapped at the same time: read,
// a payload may take a hundred times its size.
var underWay = semaphore.NewWeighted(maxPayload)

// Events maps a payload, which must be JSON, to CloudEvents of canonical types,
// ready for consumer.Decoder: none where it is no concern of ours. Events without
// an id of their own get fallback, from the second on with their index behind a
// slash. An error is a *consumer.UnreadableError or comes of ctx.
func (m *Mapping) Events(ctx context.Context, payload []byte, fallback string) ([]event.Event, error) {
	if len(payload) > maxPayload {
		return nil, failed("the payload: larger than %d KiB", maxPayload>>10)
	}
	if err := underWay.Acquire(ctx, int64(len(payload))); err != nil {
		return nil, err
	}
	defer underWay.Release(int64(len(payload)))
	value, err := consumer.ParseJSON(payload)
	if err != nil {
		return nil, failed("the payload: %v", err)
	}
	limited, cancel := context.WithTimeout(ctx, evalTime)
	defer cancel()
	out, _, err := m.program.ContextEval(limited, map[string]any{"body": bodyOf(value)})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, m.fault(err)
	}
	return m.events(out, fallback)
}

// failed is a reject of the whole payload.
func failed(format string, args ...any) error {
	return &consumer.UnreadableError{Reason: consumer.MappingFailed, Detail: fmt.Sprintf(format, args...)}
}
