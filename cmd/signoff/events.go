package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"signoff/consumer"
	"signoff/consumer/employees"
	"signoff/consumer/mapping"
)

// validate reads no file: mappings are compiled by open.
func (e eventsConfig) validate() error {
	if err := e.Config.Validate(); err != nil {
		return err
	}
	if err := mapping.Validate(e.Mappings); err != nil {
		return err
	}
	if err := e.Directory.Validate(); err != nil {
		return err
	}
	return validateSources(e.Sources)
}

// openDirectory makes the directory of employees; nil if there is none.
func (e eventsConfig) openDirectory(log *zap.Logger) (*askedDirectory, error) {
	directory, err := employees.New(e.Directory, log)
	if directory == nil || err != nil {
		return nil, err
	}
	return &askedDirectory{Directory: directory}, nil
}

// understand makes what understands events, and the mappings of those that are none
// yet. directory may be nil.
func (e eventsConfig) understand(directory *askedDirectory) (*consumer.Decoder, *mapping.Set, error) {
	mappings, err := mapping.Compile(e.Mappings)
	if err != nil {
		return nil, nil, usageError{err}
	}
	cfg := e.Config
	cfg.Expected = sourceNames(e.Sources)
	if directory == nil { // and not a Directory that is a nil pointer
		decoder, err := consumer.NewDecoder(cfg, nil)
		return decoder, mappings, err
	}
	decoder, err := consumer.NewDecoder(cfg, directory)
	return decoder, mappings, err
}

// checkEvents compiles the mappings, reads the directory's file and asks its
// server for somebody whom it cannot know.
func checkEvents(ctx context.Context, cfg config) (string, error) {
	if _, err := mapping.Compile(cfg.Events.Mappings); err != nil {
		return "", err
	}
	found := fmt.Sprintf("mappings compiled: %d", len(cfg.Events.Mappings))
	var said bytes.Buffer
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message", LineEnding: "; "})
	log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&said), zap.WarnLevel))
	directory, err := employees.New(cfg.Events.Directory, log)
	switch {
	case err != nil:
		return "", err
	case directory == nil:
		return found + ", no directory", nil
	}
	if _, err := directory.Find(ctx, "signoff-check"); err != nil && !errors.Is(err, consumer.ErrNoPerson) {
		return "", fmt.Errorf("events.directory: %w", err)
	}
	if said.Len() > 0 {
		return "", fmt.Errorf("events.directory: %s", strings.TrimSuffix(said.String(), "; "))
	}
	return found + ", the directory answers", nil
}
