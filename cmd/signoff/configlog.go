package main

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// startConfig is recordConfig at a start, with a line in the log.
func startConfig(ctx context.Context, l *ledger.Ledger, cfg config, log *zap.Logger) error {
	changed, err := recordConfig(ctx, l, cfg)
	if len(changed) > 0 {
		log.Info("the config is not the one that was last in force", zap.Strings("changed", changed))
	}
	return err
}

// recordConfig puts on record by which config the daemon works from now on, and
// returns the keys that differ from the one before. Files that the config names, but
// for those of mappings, are told by their names alone.
func recordConfig(ctx context.Context, l *ledger.Ledger, cfg config) ([]string, error) {
	settings := settingsOf(cfg)
	changed, err := l.SetConfigured(ctx, ledger.Configured{Version: version, Mode: cfg.Mode, Digest: digestOf(settings),
		Settings: settings, Defaults: settingsOf(defaults())})
	if err != nil {
		return nil, fmt.Errorf("the config could not be put on record: %w", err)
	}
	keys := make([]string, 0, len(changed))
	for _, c := range changed {
		keys = append(keys, c.Key)
	}
	return keys, nil
}

// digestOf is SHA-256, in hex, over a line "key=value" for each key, in their order.
func digestOf(settings map[string]ledger.Setting) string {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		s := settings[key]
		value := s.Told
		if s.Hidden != "" {
			value = s.Hidden
		}
		fmt.Fprintf(sum, "%s=%q\n", key, value)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// settingsOf are the keys of a config that have a value. What may name a person or
// hold a password is told by its number alone. The file of a mapping is another setting
// when something else is in it: it says who leaves, as an expression in the config does.
func settingsOf(cfg config) map[string]ledger.Setting {
	all := make(map[string]ledger.Setting)
	addSettings(reflect.ValueOf(&cfg).Elem(), "", all)
	for i, m := range cfg.Events.Mappings {
		if text, err := os.ReadFile(m.File); err == nil {
			key := fmt.Sprintf("events.mappings[%d].file", i)
			all[key] = ledger.Setting{Told: all[key].Told, Hidden: fmt.Sprintf("%s %x", m.File, sha256.Sum256(text))}
		}
	}
	return all
}

func addSettings(v reflect.Value, key string, all map[string]ledger.Setting) {
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			addSettings(v.Elem(), key, all)
		}
	case v.Kind() == reflect.Struct && v.IsZero(): // a section that is left out
	case v.Kind() == reflect.Struct:
		if word := scalarForm(v); word != "" {
			all[key] = told(key, []string{word})
		}
		for name, field := range yamlFields(v) {
			addSettings(field, strings.TrimPrefix(key+"."+name, "."), all)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			addSettings(v.Index(i), fmt.Sprintf("%s[%d]", key, i), all)
		}
	case v.Kind() == reflect.String && v.String() == "":
	case v.Kind() == reflect.Slice:
		values := make([]string, 0, v.Len())
		for i := range v.Len() {
			values = append(values, fmt.Sprint(v.Index(i)))
		}
		if len(values) > 0 {
			all[key] = told(key, values)
		}
	default:
		all[key] = told(key, []string{fmt.Sprint(v)})
	}
}

// scalarForm is the word that a struct may be given by in place of its keys: it
// stands in a field without a key, as that of `auth: none` does.
func scalarForm(v reflect.Value) string {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); !ok {
		return ""
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch field := v.Field(i); {
		case f.Tag.Get("yaml") != "-" || field.IsZero():
		case field.Kind() == reflect.Bool:
			return strings.ToLower(f.Name)
		default:
			return fmt.Sprint(field)
		}
	}
	return ""
}

// mostTold is the longest value that is told, in bytes.
const mostTold = 300

// told is what is told of a value. Addresses, and URLs with a password in them, are
// known by their @; the address of a webhook may be a secret by itself.
func told(key string, values []string) ledger.Setting {
	whole := strings.Join(values, ", ")
	hidden := strings.HasPrefix(key, "guard.protected.") || key == "outcomes.webhook.url" || strings.HasSuffix(key, ".expression") ||
		strings.Contains(whole, "@")
	switch {
	case hidden && len(values) == 1:
		return ledger.Setting{Told: "1 value", Hidden: whole}
	case hidden:
		return ledger.Setting{Told: fmt.Sprintf("%d values", len(values)), Hidden: whole}
	case len(whole) > mostTold || !utf8.ValidString(whole):
		return ledger.Setting{Told: strings.ToValidUTF8(whole[:min(len(whole), mostTold)], "") + "…", Hidden: whole}
	}
	return ledger.Setting{Told: whole}
}
