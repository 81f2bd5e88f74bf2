package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Config says which config is in force, and how the last reload went.
type Config struct {
	successful, success, hash, restart prometheus.Gauge
}

// NewConfig registers the metrics of the config.
func NewConfig(r prometheus.Registerer) *Config {
	f := promauto.With(r)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	return &Config{
		successful: gauge("signoff_config_last_reload_successful", "1 if the config file was taken when it was last read, 0 if it was refused and the config before it is in force."),
		success:    gauge("signoff_config_last_reload_success_timestamp_seconds", "When the config that is in force was taken, Unix time."),
		hash:       gauge("signoff_config_hash", "The first 48 bits of the digest of the config that is in force, as a number."),
		restart:    gauge("signoff_config_restart_needed", "1 while the config file has changes that only a restart brings into force."),
	}
}

// Taken says that a config came into force at t; digest is its SHA-256 in hex.
// restart says that a part of it waits for a restart.
func (m *Config) Taken(digest string, t time.Time, restart bool) {
	number, _ := strconv.ParseUint(digest[:min(len(digest), 12)], 16, 64) // a digest that is none is 0
	m.hash.Set(float64(number))
	m.success.Set(Unix(t))
	m.successful.Set(1)
	m.restart.Set(0)
	if restart {
		m.restart.Set(1)
	}
}

// Refused says that the file was not taken.
func (m *Config) Refused() { m.successful.Set(0) }
