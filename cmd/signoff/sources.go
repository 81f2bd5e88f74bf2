package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"signoff/consumer"
)

// sourceConfig is an item of events.sources: who should be heard from, or may take
// back what others announced.
type sourceConfig struct {
	Source       string         `yaml:"source"`        // the CloudEvents source; of mapped events the mapping's name, unless it gives another
	ExpectWithin *time.Duration `yaml:"expect_within"` // nil: it may be silent for as long as it likes
	MayRescind   bool           `yaml:"may_rescind"`
}

func validateSources(sources []sourceConfig) error {
	seen := make(map[string]bool)
	for i, s := range sources {
		key := fmt.Sprintf("events.sources[%d]", i)
		switch {
		case s.Source == "":
			return errors.New(key + ".source: not set: the source attribute of its CloudEvents")
		case strings.TrimSpace(s.Source) != s.Source:
			return fmt.Errorf("%s.source: %q: begins or ends with a space", key, s.Source)
		case seen[s.Source]:
			return fmt.Errorf("%s.source: %q: named twice", key, s.Source)
		case s.ExpectWithin != nil && *s.ExpectWithin <= 0:
			return fmt.Errorf("%s.expect_within: %v: not a length of time; leave it out for a source that may be silent", key, *s.ExpectWithin)
		}
		seen[s.Source] = true
	}
	return nil
}

func sourceNames(sources []sourceConfig) []string {
	names := make([]string, 0, len(sources))
	for _, s := range sources {
		names = append(names, s.Source)
	}
	return names
}

// rescinders lets a source with may_rescind take back what others announced,
// whichever topic or endpoint it and they speak by: that a source is who it says is
// for the topic's and the endpoint's own access rules.
func rescinders(sources []sourceConfig) func(announced, by consumer.Key) bool {
	may := make(map[string]bool)
	for _, s := range sources {
		may[s.Source] = s.MayRescind
	}
	return func(_, by consumer.Key) bool { return may[by.Source] }
}

// expectations are how long each source may be silent; those that may be for ever
// are not among them.
func expectations(sources []sourceConfig) map[string]time.Duration {
	within := make(map[string]time.Duration)
	for _, s := range sources {
		if s.ExpectWithin != nil {
			within[s.Source] = *s.ExpectWithin
		}
	}
	return within
}
