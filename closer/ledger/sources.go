package ledger

import (
	"context"
	"slices"
	"time"

	"signoff/consumer"
)

// Source is one that the config names, and how it was heard from.
type Source struct {
	Name    string
	Since   time.Time // when the config first named it
	HeardAt time.Time // when something last came from it, to the minute; zero: never
}

// LastSign is when the source was last heard from or, if it never was, first
// expected.
func (s Source) LastSign() time.Time {
	if s.HeardAt.IsZero() {
		return s.Since
	}
	return s.HeardAt
}

// Silent says whether the source is silent for longer than within, or was never
// heard in that time.
func (s Source) Silent(now time.Time, within time.Duration) bool {
	return now.Sub(s.LastSign()) > within
}

// heardEvery is how often it is written that a source was heard from: a busy one
// is heard from all the time.
const heardEvery = time.Minute

// nameSources makes the ledger's sources those of the config. One that it names no
// more is forgotten: named again, it is expected anew.
func (l *Ledger) nameSources(ctx context.Context) error {
	err := l.write(ctx, func(t *tx) error {
		known, err := t.texts(`SELECT source FROM sources`)
		if err != nil {
			return err
		}
		for _, s := range known {
			if !slices.Contains(l.cfg.Sources, s) {
				if err := t.exec(`DELETE FROM sources WHERE source = $1`, s); err != nil {
					return err
				}
			}
		}
		for _, s := range l.cfg.Sources {
			if err := t.exec(`INSERT INTO sources (source, since) VALUES ($1, $2) ON CONFLICT (source) DO NOTHING`, s, micros(t.now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sources, err := l.Sources(ctx)
	l.hearing.Lock()
	defer l.hearing.Unlock()
	l.heard = make(map[string]time.Time, len(sources))
	for _, s := range sources {
		l.heard[s.Name] = s.HeardAt
	}
	return err
}

// hear keeps which of the sources that the config names an intake comes from.
func (t *tx) hear(in consumer.Intake) error {
	for _, source := range t.ledger.newsIn(in, t.now) {
		if err := t.exec(`UPDATE sources SET heard_at = $2 WHERE source = $1`, source, micros(t.now)); err != nil {
			return err
		}
		t.afterwards(func() {
			t.ledger.hearing.Lock()
			defer t.ledger.hearing.Unlock()
			t.ledger.heard[source] = t.now
		})
	}
	return nil
}

// newsIn are the sources of an intake of which it is time to write that they were
// heard from.
func (l *Ledger) newsIn(in consumer.Intake, now time.Time) (news []string) {
	l.hearing.Lock()
	defer l.hearing.Unlock()
	if len(l.heard) == 0 {
		return nil
	}
	note := func(source string) {
		last, named := l.heard[source]
		if age := now.Sub(last); named && (age < 0 || age >= heardEvery) && !slices.Contains(news, source) {
			news = append(news, source)
		}
	}
	for _, e := range in.Events {
		note(e.Key.Source)
	}
	for _, r := range in.Rejects {
		note(r.Key.Source)
	}
	for _, source := range in.Heard {
		note(source)
	}
	return news
}

// Sources returns the sources that the config names, in the order of their names.
func (l *Ledger) Sources(ctx context.Context) ([]Source, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT source, since, heard_at FROM sources ORDER BY source`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Source
	for rows.Next() {
		var s Source
		var since, heard int64
		if err := rows.Scan(&s.Name, &since, &heard); err != nil {
			return nil, err
		}
		s.Since, s.HeardAt = fromMicros(since), fromMicros(heard)
		all = append(all, s)
	}
	return all, rows.Err()
}
