package consumer

import (
	"testing"
	"time"
)

func TestEffective(t *testing.T) {
	for name, c := range map[string]struct {
		zone   string
		at     string
		urgent bool
		want   string
	}{
		"a date-time":                           {"", "2026-11-30T17:00:00-08:00", false, "2026-12-01T01:00:00Z"},
		"a date-time, urgent":                   {"", "2026-11-30T17:00:00-08:00", true, "2026-12-01T01:00:00Z"},
		"a date-time in small letters":          {"", "2026-11-30t17:00:00.5z", false, "2026-11-30T17:00:00.5Z"},
		"a date":                                {"Europe/Lisbon", "2026-11-30", false, "2026-12-01T00:00:00Z"},
		"a date, urgent":                        {"Europe/Lisbon", "2026-11-30", true, "2026-11-30T00:00:00Z"},
		"a date west of Greenwich":              {"America/New_York", "2026-11-30", false, "2026-12-01T05:00:00Z"},
		"the day clocks go forward":             {"America/New_York", "2027-03-14", false, "2027-03-15T04:00:00Z"},
		"the day clocks go forward, urgent":     {"America/New_York", "2027-03-14", true, "2027-03-14T05:00:00Z"},
		"the day clocks go back":                {"America/New_York", "2026-11-01", false, "2026-11-02T05:00:00Z"},
		"midnight skipped: ends at the change":  {"Africa/Cairo", "2026-04-23", false, "2026-04-23T22:00:00Z"},
		"midnight skipped: starts there":        {"Africa/Cairo", "2026-04-24", true, "2026-04-23T22:00:00Z"},
		"midnight twice: the first":             {"America/Havana", "2026-10-31", false, "2026-11-01T04:00:00Z"},
		"clocks back at midnight: a long day":   {"America/Asuncion", "2024-03-23", false, "2024-03-24T04:00:00Z"},
		"a day that was left out":               {"Pacific/Apia", "2011-12-29", false, "2011-12-30T10:00:00Z"},
		"the last day, where it can be written": {"Asia/Tokyo", "9999-12-31", false, "9999-12-31T15:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newDecoder(t, Config{TimeZone: c.zone}).effective(c.at, c.urgent, "")
			if err != nil {
				t.Fatal(err)
			}
			if got.Format(time.RFC3339Nano) != c.want || got.Location() != time.UTC {
				t.Errorf("got %s, want %s", got.Format(time.RFC3339Nano), c.want)
			}
		})
	}
}

func TestWithoutEffectiveAt(t *testing.T) {
	for name, c := range map[string]struct {
		time      time.Time
		occurred  time.Time
		effective time.Time
	}{
		"the time of the event":    {received.Add(-time.Hour), received.Add(-time.Hour), received.Add(-time.Hour)},
		"no time: receipt":         {time.Time{}, time.Time{}, received},
		"a little ahead":           {received.Add(5 * time.Minute), received.Add(5 * time.Minute), received.Add(5 * time.Minute)},
		"too far ahead: receipt":   {received.Add(5*time.Minute + 1), time.Time{}, received},
		"in another zone: as UTC":  {received.In(time.FixedZone("", 3600)), received, received},
		"far in the past: as said": {time.Unix(0, 0), time.Unix(0, 0), time.Unix(0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			e := termination(`{"email":"a@example.com"}`)
			e.SetTime(c.time)
			got, err := newDecoder(t, Config{}).Decode(t.Context(), e, "/events", received)
			if err != nil {
				t.Fatal(err)
			}
			if !got.OccurredAt.Equal(c.occurred) || !got.EffectiveAt.Equal(c.effective) || !got.ReceivedAt.Equal(received) {
				t.Errorf("got occurred %v, effective %v, received %v", got.OccurredAt, got.EffectiveAt, got.ReceivedAt)
			}
		})
	}
}
