// Package mapping turns payloads that are no canonical CloudEvents into events,
// by expressions in CEL that the operator writes or picks from the presets.
package mapping

import (
	"context"
	"errors"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Config is an item of events.mappings.
type Config struct {
	Name       string `yaml:"name"`       // by which topics and endpoints refer to it
	File       string `yaml:"file"`       // with the expression; or
	Expression string `yaml:"expression"` // the expression itself
}

// Set is the mappings that topics and endpoints may name: the presets, and those
// of the config, which go before presets of the same name.
type Set struct{}

// Compile compiles the mappings of the config. An error names the key and, in an
// expression, line and column.
func Compile(all []Config) (*Set, error) { return &Set{}, nil }

// Find returns the mapping of that name; an error names those that there are.
func (s *Set) Find(name string) (*Mapping, error) { return nil, errors.New("none") }

// Load compiles the mapping in a file, or the preset of that name.
func Load(file string) (*Mapping, error) { return nil, errors.New("none") }

// Mapping is a compiled mapping. It may be used by many goroutines.
type Mapping struct{}

// Name is the mapping's own: the CloudEvents source of events to which it gives
// no other.
func (m *Mapping) Name() string { return "" }

// Events maps a payload, which must be JSON, to CloudEvents of canonical types,
// ready for consumer.Decoder: none where it is no concern of ours. Events without
// an id of their own get fallback, from the second on with their index behind a
// slash. An error is a *consumer.UnreadableError or comes of ctx.
func (m *Mapping) Events(ctx context.Context, payload []byte, fallback string) ([]event.Event, error) {
	return nil, errors.New("none")
}
