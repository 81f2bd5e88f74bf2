package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"

	"signoff/consumer"
	"signoff/consumer/mapping"
)

func mapCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("map", flag.ContinueOnError)
	name := flags.String("mapping", "", "`FILE` of a mapping, or the name of a preset or, with --config, of one of the config: "+strings.Join(mapping.Presets(), ", "))
	configFile := flags.String("config", "", "`FILE` of the daemon's config: its mappings, types, time zone and directory")
	output := flags.String("output", "table", "`table` or json")
	words, err := parse(flags, out, args)
	switch {
	case err != nil:
		return err
	case *output != "table" && *output != "json":
		return usageError{fmt.Errorf("--output: %q: neither table nor json", *output)}
	case *name == "":
		return usageError{fmt.Errorf("--mapping FILE is needed, or a preset: %s", strings.Join(mapping.Presets(), ", "))}
	case len(words) != 1:
		return usageError{errors.New("one file with a payload is needed, or - for standard input")}
	}
	m, decoder, err := openMapping(*name, *configFile)
	if err != nil {
		return usageError{err}
	}
	payload, err := readPayload(words[0])
	if err != nil {
		return usageError{err}
	}
	mapped, err := mapPayload(ctx, m, decoder, payload)
	if err != nil {
		return fmt.Errorf("%s: %w", *name, err)
	}
	if *output == "json" {
		err = printJSON(out, map[string]any{"events": mapped})
	} else {
		printMapped(out, mapped)
	}
	return errors.Join(err, unreadable(mapped))
}

// openMapping finds the mapping, and what decodes as the daemon would.
func openMapping(name, configFile string) (*mapping.Mapping, *consumer.Decoder, error) {
	if configFile == "" {
		m, err := mapping.Load(name)
		if err != nil {
			return nil, nil, err
		}
		decoder, err := consumer.NewDecoder(consumer.Config{}, nil)
		return m, decoder, err
	}
	cfg, err := loadConfig(configFile)
	if err != nil {
		return nil, nil, err
	}
	directory, err := cfg.Events.openDirectory(zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	decoder, mappings, err := cfg.Events.understand(directory)
	if err != nil {
		return nil, nil, err
	}
	m, err := mappings.Find(name)
	if _, missing := os.Stat(name); err != nil && missing == nil {
		m, err = mapping.Load(name)
	}
	return m, decoder, err
}

const maxPayload = 2 << 20 // bytes: more than a mapping takes

func readPayload(file string) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		in = opened
	}
	return io.ReadAll(io.LimitReader(in, maxPayload))
}

// mapped is an event that a mapping made, and what the daemon would make of it:
// one of the two.
type mapped struct {
	Event   event.Event `json:"event"`
	Becomes *becomes    `json:"becomes,omitempty"`
	Reject  *rejected   `json:"reject,omitempty"`
}

type becomes struct {
	Kind        consumer.Kind `json:"kind"`
	Source      string        `json:"source"`
	ID          string        `json:"id"`
	Email       string        `json:"email,omitempty"`
	OtherEmails []string      `json:"otherEmails,omitempty"`
	EmployeeID  string        `json:"employeeId,omitempty"`
	EffectiveAt time.Time     `json:"effectiveAt"`
	Urgent      bool          `json:"urgent,omitempty"`
}

type rejected struct {
	Reason consumer.Reason `json:"reason"`
	Detail string          `json:"detail"`
}

func mapPayload(ctx context.Context, m *mapping.Mapping, decoder *consumer.Decoder, payload []byte) ([]mapped, error) {
	sum := sha256.Sum256(payload) // as webhooks tell a payload without an id
	events, err := m.Events(ctx, payload, hex.EncodeToString(sum[:]))
	if err != nil {
		return nil, err
	}
	all := make([]mapped, 0, len(events))
	now := time.Now()
	for _, e := range events {
		got, err := decoder.Decode(ctx, e, "", now)
		var u *consumer.UnreadableError
		switch {
		case errors.As(err, &u):
			all = append(all, mapped{Event: e, Reject: &rejected{u.Reason, u.Detail}})
		case err != nil:
			return nil, err
		default:
			all = append(all, mapped{Event: e, Becomes: &becomes{got.Kind, got.Key.Source, got.Key.ID, got.Email, got.OtherEmails,
				got.EmployeeID, got.EffectiveAt, got.Urgent}})
		}
	}
	return all, nil
}

func printMapped(out io.Writer, all []mapped) {
	if len(all) == 0 {
		fmt.Fprintln(out, "nothing: the payload is none of our business by this mapping")
	}
	for i, m := range all {
		if b := m.Becomes; b != nil {
			urgent := ""
			if b.Urgent {
				urgent = ", urgent"
			}
			fmt.Fprintf(out, "event %d: %s, effective %s%s\n", i+1, b.Kind, b.EffectiveAt.Format(time.RFC3339), urgent)
			fmt.Fprintf(out, "  source:   %s\n  id:       %s\n", b.Source, b.ID)
			printLine(out, "email:", strings.Join(append([]string{b.Email}, b.OtherEmails...), ", "))
			printLine(out, "employee:", b.EmployeeID)
		} else {
			fmt.Fprintf(out, "event %d: a reject: %s: %s\n", i+1, m.Reject.Reason, m.Reject.Detail)
		}
		text, err := json.Marshal(m.Event)
		if err != nil {
			text = m.Event.Data()
		}
		printLine(out, "event:", string(text))
	}
}

func printLine(out io.Writer, name, value string) {
	if value != "" {
		fmt.Fprintf(out, "  %-9s %s\n", name, value)
	}
}

func unreadable(all []mapped) error {
	n := 0
	for _, m := range all {
		if m.Reject != nil {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d events would be rejects", n, len(all))
}
