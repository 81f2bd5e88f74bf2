package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

func TestDueAtIsTheLaterOfEffectAndReceipt(t *testing.T) {
	for name, tt := range map[string]struct {
		grace   time.Duration
		leaving time.Duration
		want    time.Duration // from the receipt
	}{
		"left before we heard":         {0, -time.Hour, 0},
		"leaves later":                 {0, time.Hour, time.Hour},
		"leaves later, with grace":     {time.Minute, time.Hour, time.Hour + time.Minute},
		"grace ends after the receipt": {2 * time.Hour, -time.Hour, time.Hour},
		"grace is over":                {time.Minute, -time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Grace = tt.grace })
			b.record(b.left("ann", b.leaving(tt.leaving)))
			e := b.entry("ann")
			if want := b.now.Add(tt.want); e.State != Waiting || !e.DueAt.Equal(want) {
				t.Errorf("%s, due at %v, want waiting until %v", e.State, e.DueAt, want)
			}
		})
	}
}

func TestRecordKeepsWhatWasSaid(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", urgent, also("a2@acme.com")))
	e := b.entry("ann")
	if !e.Urgent || e.Stale || e.Source != "hr" || !e.EffectiveAt.Equal(b.now.Add(-time.Hour)) || !e.ReceivedAt.Equal(b.now) {
		t.Errorf("got %+v", e)
	}
	if !slices.Equal(e.Emails, []string{"ann@acme.com", "a2@acme.com"}) {
		t.Errorf("emails %v, want both, the leaver's first", e.Emails)
	}
}

func TestKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		second  func(*consumer.Event)
		entries int
		reject  consumer.Reason
	}{
		"the same event again":            {func(*consumer.Event) {}, 1, ""},
		"other content":                   {func(e *consumer.Event) { e.Hash = "other" }, 1, consumer.IDReused},
		"the same id of another source":   {func(e *consumer.Event) { e.Key.Source, e.Email = "other", "bob@acme.com" }, 2, ""},
		"the same id on another topic":    {func(e *consumer.Event) { e.Key.Origin, e.Email = "other", "bob@acme.com" }, 2, ""},
		"a rescind by another source":     {func(e *consumer.Event) { e.Key.Source, e.Kind = "other", consumer.Rescinded }, 1, consumer.MayNotRescind},
		"a rescind with a key that is in": {func(e *consumer.Event) { e.Hash, e.Kind = "y", consumer.Rescinded }, 1, consumer.IDReused},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			first := b.left("ann")
			second := first
			tt.second(&second)
			b.record(first)
			b.record(second)
			if all, err := b.Entries(t.Context()); err != nil || len(all) != tt.entries {
				t.Errorf("%d entries (%v), want %d", len(all), err, tt.entries)
			}
			stats, err := b.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if (stats.Rejects == 1) != (tt.reject != "") {
				t.Fatalf("%d rejects, want one: %v", stats.Rejects, tt.reject != "")
			}
			if tt.reject != "" {
				if got := b.text(`SELECT reason FROM rejects`); got != string(tt.reject) {
					t.Errorf("rejected as %s, want %s", got, tt.reject)
				}
			}
		})
	}
}

// A rejected event does not take its key: once it is handled, it can come again.
func TestRejectDoesNotTakeTheKey(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	e := b.left("ann", rescind, func(e *consumer.Event) { e.Key.Source = "other" })
	b.record(e)
	b.is("ann", Waiting)
	e.Kind, e.Email = consumer.Terminated, "bob@acme.com"
	b.record(e)
	b.is("bob", Waiting)
}

func TestObserverIsToldWhatIsOnDisk(t *testing.T) {
	b := newBook(t)
	counts := make(map[string]int)
	var reasons []consumer.Reason
	var notices []time.Duration
	b.observe = Observe{
		Received: func(source consumer.Source, result string, n int) { counts[string(source)+" "+result] += n },
		Rejected: func(r consumer.Reason) { reasons = append(reasons, r) },
		Notice:   func(d time.Duration, _ string) { notices = append(notices, d) },
	}
	e := b.left("ann")
	b.record(e, e, b.left("bob", b.leaving(time.Hour)), b.left("ann", rescind, func(e *consumer.Event) { e.Key.Source = "other" }))
	if counts["kafka recorded"] != 2 || counts["kafka duplicate"] != 1 || counts["kafka rejected"] != 1 {
		t.Errorf("counted %v", counts)
	}
	if !slices.Equal(reasons, []consumer.Reason{consumer.MayNotRescind}) || !slices.Equal(notices, []time.Duration{time.Hour, 0}) {
		t.Errorf("reasons %v, notices %v", reasons, notices)
	}
	b.record(b.left("ann", b.said(0)), b.left("ann", b.said(0), b.leaving(-48*time.Hour)), b.left("ann", b.said(0), also("a2@acme.com")))
	if len(notices) != 2 {
		t.Errorf("further words of a leaving gave notice again: %v", notices[2:])
	}
	in := consumer.Intake{Source: consumer.Kafka, Events: []consumer.Event{b.left("dan")}, Spans: []consumer.Span{span(7, 8)}}
	clear(counts)
	if b.Record(t.Context(), in) != nil || b.Record(t.Context(), in) == nil || counts["kafka recorded"] != 1 {
		t.Errorf("counted %v, want only what was recorded", counts)
	}
}

func span(from, next int64) consumer.Span {
	return consumer.Span{Partition: consumer.Partition{Topic: "hr", ID: 1}, From: from, Next: next}
}

func TestWatermark(t *testing.T) {
	for name, tt := range map[string]struct {
		spans []consumer.Span
		want  int64
		err   error
	}{
		"the first span may begin anywhere": {[]consumer.Span{span(40, 50)}, 50, nil},
		"read on":                           {[]consumer.Span{span(0, 5), span(5, 9)}, 9, nil},
		"nothing new":                       {[]consumer.Span{span(0, 5), span(5, 5)}, 5, nil},
		"rewound to a log made anew":        {[]consumer.Span{span(0, 5), span(5, 0)}, 0, nil},
		"another read on":                   {[]consumer.Span{span(0, 5), span(4, 9)}, 5, consumer.ErrOvertaken},
		"a gap":                             {[]consumer.Span{span(0, 5), span(6, 9)}, 5, consumer.ErrOvertaken},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			var err error
			for i, s := range tt.spans {
				err = b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka,
					Events: []consumer.Event{b.left(fmt.Sprint("p", i))}, Spans: []consumer.Span{s}})
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			marks, err := b.Watermarks(t.Context(), []string{"hr", "other"})
			if err != nil || len(marks) != 1 || marks[consumer.Partition{Topic: "hr", ID: 1}] != tt.want {
				t.Errorf("watermarks %v (%v), want %d", marks, err, tt.want)
			}
			last := len(tt.spans) - 1
			if got := len(b.entries(fmt.Sprint("p", last))); got != 1 && tt.err == nil || got != 0 && tt.err != nil {
				t.Errorf("%d entries of the last span, refused: %v", got, tt.err)
			}
		})
	}
}

func TestRejectKeepsThePayload(t *testing.T) {
	for name, tt := range map[string]struct{ size, kept int }{
		"empty":          {0, 0},
		"64 KiB":         {64 << 10, 64 << 10},
		"a byte too big": {64<<10 + 1, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			r := consumer.Reject{Key: consumer.Key{ID: "x"}, Reason: consumer.InvalidData, ReceivedAt: b.now}
			if tt.size > 0 {
				r.Payload = []byte(strings.Repeat("a", tt.size-1) + "z")
			}
			other := r
			other.Payload = append(slices.Clone(r.Payload), '!') // beyond what is kept, and still not the same
			for _, r := range []consumer.Reject{r, r, other} {
				if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka, Rejects: []consumer.Reject{r}}); err != nil {
					t.Fatal(err)
				}
			}
			if got := b.text(`SELECT length(payload) || ' of ' || size || ', ' || attempts || ' times' FROM rejects WHERE id = 1`); got != fmt.Sprintf("%d of %d, 2 times", tt.kept, tt.size) {
				t.Errorf("kept %s", got)
			}
			if got := b.text(`SELECT COUNT(DISTINCT hash) FROM rejects`); got != "2" {
				t.Errorf("%s hashes, want one for each payload", got)
			}
		})
	}
}

func TestFarAheadIsToldOf(t *testing.T) {
	var told []time.Time
	l := newBook(t)
	l.observe.FarAhead = func(_ int64, at time.Time) { told = append(told, at) }
	year := 366 * 24 * time.Hour
	l.record(l.left("ann", l.leaving(year)), l.left("bob", l.leaving(year+time.Hour)), l.left("cy"))
	if len(told) != 1 || !told[0].Equal(l.now.Add(year+time.Hour)) {
		t.Errorf("told of %v, want bob alone", told)
	}
	l.is("bob", Waiting)
}
