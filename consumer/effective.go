package consumer

import (
	"regexp"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// maxAhead is how far a sender's clock may be ahead of ours before we no longer
// take its word for when an event happened.
const maxAhead = 5 * time.Minute

// dateTime is the date-time of RFC 3339; time.Parse also takes one-digit hours,
// a comma for the point and an offset of 24 hours.
var dateTime = regexp.MustCompile(`^(?i)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// times sets OccurredAt, ReceivedAt and EffectiveAt. Without an effectiveAt the
// event takes effect when it happened.
// A date is one of the zone, or where that is "", of the configured one.
func (d *Decoder) times(out *Event, e event.Event, data map[string]any, received time.Time, zone string) error {
	out.ReceivedAt = received
	if at := e.Time().UTC(); !at.IsZero() && !at.After(received.Add(maxAhead)) {
		if !storable(at) {
			return invalidTime("time: its year is not in 1970..9999")
		}
		out.OccurredAt = at
	}
	value, ok := data["effectiveAt"]
	if !ok {
		out.EffectiveAt = out.OccurredAt
		if out.OccurredAt.IsZero() {
			out.EffectiveAt = received
		}
		return nil
	}
	text, ok := value.(string)
	if !ok {
		return invalidData("effectiveAt: not a string")
	}
	at, err := d.effective(strings.TrimSpace(text), out.Urgent, zone)
	out.EffectiveAt = at
	return err
}

// timeZone is the data's own, "" if there is none. What is not even text is left
// to whoever needs it to find out.
func timeZone(data map[string]any) string {
	value, ok := data["timeZone"]
	if !ok {
		return ""
	}
	text, ok := value.(string)
	if !ok {
		return "?"
	}
	return strings.TrimSpace(text)
}

// effective reads an RFC 3339 date-time or full-date.
func (d *Decoder) effective(text string, urgent bool, zone string) (time.Time, error) {
	if date, err := time.Parse(time.DateOnly, text); err == nil {
		return d.effectiveDate(date, urgent, zone)
	}
	at, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	if err != nil || !dateTime.MatchString(text) {
		return time.Time{}, invalidTime("effectiveAt: neither an RFC 3339 date-time nor a date")
	}
	if at = at.UTC(); !storable(at) {
		return time.Time{}, errYear
	}
	return at, nil
}

var errYear = invalidTime("effectiveAt: its year is not in 1970..9999")

// effectiveDate returns when a date is over, or when it begins if that is
// urgent; the date comes as its midnight in UTC.
func (d *Decoder) effectiveDate(date time.Time, urgent bool, zone string) (time.Time, error) {
	in := d.zone
	if zone != "" {
		var err error
		if in, err = Location(zone); err != nil {
			return time.Time{}, invalidTime("timeZone: not the name of a time zone")
		}
	}
	if in == nil {
		return time.Time{}, &UnreadableError{NoTimeZone, "effectiveAt: a date without a time, and neither timeZone nor events.time_zone is set"}
	}
	first := date
	if !urgent {
		first = date.AddDate(0, 0, 1)
	}
	at := dayStart(first, in)
	if !storable(date) || !storable(at) {
		return time.Time{}, errYear
	}
	return at, nil
}

// dayStart returns the first instant, in UTC, of a date in a zone; the date
// comes as its midnight in UTC.
func dayStart(date time.Time, zone *time.Location) time.Time {
	// Where clocks go back over midnight, the offset of the day before has the
	// earlier of two midnights.
	for _, near := range []time.Time{date.AddDate(0, 0, -1), date.AddDate(0, 0, 1)} {
		offset := offsetAt(near, zone)
		midnight := date.Add(-offset)
		if offsetAt(midnight, zone) == offset {
			return midnight
		}
	}
	// Where they go forward over midnight there is none: the day begins then.
	_, end := date.AddDate(0, 0, -1).In(zone).ZoneBounds()
	return end.UTC()
}

func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

func storable(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

func invalidTime(detail string) error { return &UnreadableError{InvalidTime, detail} }
