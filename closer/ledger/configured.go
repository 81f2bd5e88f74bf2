package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Setting is the value of a key of the config.
type Setting struct {
	Told   string // what the audit tells of it
	Hidden string // the value itself, where that is not told: kept as a salted hash, to see whether it is still the same
}

// Configured is the config that a process works by.
type Configured struct {
	Version  string // of signoff
	Mode     string
	Digest   string             // SHA-256 of all of it, hex
	Settings map[string]Setting // by key
	Defaults map[string]Setting // what the first config ever is compared with
}

// Change is a key of the config that is not what it was.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// configFact is the name of the fact that has the settings of last time.
const configFact = "config"

// mostChanges is how many changes of one config are told apart.
const mostChanges = 200

// keptSetting is a Setting as the fact has it.
type keptSetting struct {
	Told string `json:"told"`
	Sum  string `json:"sum,omitempty"`
}

// SetConfigured puts on record by which config a process works from now on, and
// what differs from the one before, which it returns in the order of the keys. The
// first one is told by what differs from the defaults.
func (l *Ledger) SetConfigured(ctx context.Context, c Configured) ([]Change, error) {
	id, err := l.ID(ctx)
	if err != nil {
		return nil, err
	}
	var changed []Change
	err = l.write(ctx, func(t *tx) error {
		now, before := keptSettings(id, c.Settings), keptSettings(id, c.Defaults)
		var text string
		err := t.one(`SELECT value FROM facts WHERE name = $1`, []any{configFact}, &text)
		switch {
		case err == nil:
			before = nil
			if err := json.Unmarshal([]byte(text), &before); err != nil {
				return err
			}
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		changed = changes(before, now)
		facts := map[string]any{"digest": c.Digest, "version": c.Version, "mode": c.Mode, "changed": changed[:min(len(changed), mostChanges)]}
		if more := len(changed) - mostChanges; more > 0 {
			facts["more"] = more
		}
		kept, err := json.Marshal(now)
		if err != nil {
			return err
		}
		if err := t.setFact(configFact, string(kept)); err != nil {
			return err
		}
		return t.audit(row{action: "config", facts: facts})
	})
	return changed, err
}

func keptSettings(salt string, settings map[string]Setting) map[string]keptSetting {
	kept := make(map[string]keptSetting, len(settings))
	for key, s := range settings {
		k := keptSetting{Told: s.Told}
		if s.Hidden != "" {
			k.Sum = saltedHash(salt, s.Hidden)
		}
		kept[key] = k
	}
	return kept
}

func changes(before, now map[string]keptSetting) []Change {
	all := maps.Clone(before)
	maps.Copy(all, now)
	changed := []Change{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		from, to := before[key], now[key]
		switch {
		case from == to:
		case from.Told == to.Told:
			changed = append(changed, Change{key, from.Told, to.Told + ", but not the same"})
		default:
			changed = append(changed, Change{key, from.Told, to.Told})
		}
	}
	return changed
}
