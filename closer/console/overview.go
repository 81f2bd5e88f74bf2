package console

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"signoff/closer/ledger"
)

// Overview is how things stand: what comes in, where leavers are, what closed them
// lately, and what needs a person. Times are UTC, zero for none.
type Overview struct {
	At        time.Time `json:"at"`
	Version   string    `json:"version"`
	Mode      string    `json:"mode"`      // dry-run or close
	StartedAt time.Time `json:"startedAt"` // of the process
	Deadline  string    `json:"deadline"`  // from due to closed: a duration, such as 24h
	Audit     AuditHead `json:"audit"`

	Reading  *ReadingNow   `json:"reading,omitempty"` // nil: no Kafka is read
	Sources  []SourceNow   `json:"sources"`           // that the config names
	Received []ReceivedNow `json:"received"`

	States   []InState    `json:"states"` // each of them, from 0
	Overdue  OverdueNow   `json:"overdue"`
	Due      int          `json:"due"`             // entries that the next runs take up
	NextAt   time.Time    `json:"nextAt,omitzero"` // of the next run, in whichever account; zero: not known
	Accounts []AccountNow `json:"accounts"`
	Holds    []HoldsNow   `json:"holds"`   // open ones, by the gravest kind; none of which there is none
	Rejects  int          `json:"rejects"` // open ones
	Freezes  []Freeze     `json:"freezes"` // in force
	Disk     DiskNow      `json:"disk"`
	Behind   []SinkNow    `json:"behind"` // sinks that not all outcomes are published to

	Range      string       `json:"range"`
	Closes     []Bucket     `json:"closes"`     // over Range, without gaps
	Took       []TookBucket `json:"took"`       // of those closed in Range
	TookMedian float64      `json:"tookMedian"` // seconds from due to closed; 0: none were
	TookP95    float64      `json:"tookP95"`
	TookMost   float64      `json:"tookMost"`

	Needs []Need `json:"needs"` // what needs a person, the gravest first
}

// ReadingNow is how far the reading of Kafka is.
type ReadingNow struct {
	State  string    `json:"state"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
	Away   time.Time `json:"away,omitzero"` // since when what would let us read on does not answer
}

// SourceNow is a source that the config names.
type SourceNow struct {
	Source  string    `json:"source"`
	Since   time.Time `json:"since"`            // when the config first named it
	HeardAt time.Time `json:"heardAt,omitzero"` // zero: never
	Silent  bool      `json:"silent"`           // for longer than expected
}

// ReceivedNow is what came in by one way since the process began.
type ReceivedNow struct {
	Source    string `json:"source"` // kafka, webhook or csv
	Recorded  int64  `json:"recorded"`
	Duplicate int64  `json:"duplicate"`
	Ignored   int64  `json:"ignored"`
	Rejected  int64  `json:"rejected"`
}

// InState is how many entries are in a state.
type InState struct {
	State   string `json:"state"`
	Entries int    `json:"entries"`
}

// OverdueNow are the entries that were to be closed by now.
type OverdueNow struct {
	Entries int       `json:"entries"`
	Oldest  time.Time `json:"oldest,omitzero"` // when the first of them was due
}

// AccountNow is how an account fares.
type AccountNow struct {
	ID            string    `json:"id"`
	Open          int       `json:"open"`             // entries
	Parked        string    `json:"parked,omitempty"` // why nothing is sent; "": it is
	Advice        string    `json:"advice,omitempty"` // what to do about it
	ParkedAt      time.Time `json:"parkedAt,omitzero"`
	ResumeAt      time.Time `json:"resumeAt,omitzero"` // it waits until then, for its quota or because Docusign asked for it
	PassedAt      time.Time `json:"passedAt,omitzero"` // of the last run
	NextAt        time.Time `json:"nextAt,omitzero"`   // of the next one
	HourLimit     int       `json:"hourLimit"`         // 0: not known
	HourRemaining int       `json:"hourRemaining"`
	HourResetAt   time.Time `json:"hourResetAt,omitzero"`
}

// HoldsNow are the open holds of a kind.
type HoldsNow struct {
	Kind   string    `json:"kind"`
	Ahead  bool      `json:"ahead"` // their people are not due yet
	Open   int       `json:"open"`
	Users  int       `json:"users"` // that they name
	Oldest time.Time `json:"oldest"`
}

// DiskNow is the disk that the ledger is on.
type DiskNow struct {
	Free int64 `json:"free"` // bytes
	Low  bool  `json:"low"`
}

// SinkNow is a sink that is behind.
type SinkNow struct {
	Sink   string    `json:"sink"`
	Rows   int       `json:"rows"`
	Oldest time.Time `json:"oldest"`
}

// Bucket is what became of leavers in a span of time.
type Bucket struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"` // not in it
	Closed int       `json:"closed"`
	Failed int       `json:"failed"` // Docusign refused them
	Other  int       `json:"other"`  // settled with another outcome
}

// TookBucket is how many were closed so long after they were due.
type TookBucket struct {
	FromSeconds int `json:"fromSeconds"`
	ToSeconds   int `json:"toSeconds"` // not in it; 0: no end
	Closed      int `json:"closed"`
}

// spans are how Closes are drawn: so many of a width, the last one not over yet.
type spans struct {
	width time.Duration
	n     int
}

const day = 24 * time.Hour

// ranges are what an overview may look back over.
var ranges = map[string]spans{
	"5m":  {10 * time.Second, 30},
	"1h":  {2 * time.Minute, 30},
	"24h": {time.Hour, 24},
	"7d":  {6 * time.Hour, 28},
	"30d": {day, 30},
}

// defaultRange is that of an overview which is asked for none.
const defaultRange = "24h"

// Ranges lists what an overview may look back over, the shortest first.
func Ranges() []string {
	return slices.SortedFunc(maps.Keys(ranges), func(a, b string) int {
		return cmp.Compare(ranges[a].width, ranges[b].width)
	})
}

// tookFrom are where the buckets of Took begin: in a range of minutes, whoever looks wants
// to see seconds.
func tookFrom(name string) []time.Duration {
	if name == "5m" || name == "1h" {
		return []time.Duration{0, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 15 * time.Minute, time.Hour}
	}
	return []time.Duration{0, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, day, 3 * day}
}

func (s *Server) overview(w http.ResponseWriter, r *http.Request, who principal) {
	name := cmp.Or(r.URL.Query().Get("range"), defaultRange)
	if _, ok := ranges[name]; !ok {
		problem(w, http.StatusBadRequest, fmt.Sprintf("range: %.20q: none of %v", name, Ranges()))
		return
	}
	o, err := s.overviewOf(r.Context(), name, who.name != "")
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, o)
}

func (s *Server) overviewOf(ctx context.Context, name string, signedIn bool) (Overview, error) {
	pace := s.daemon.Pace()
	read, err := s.standing.get(ctx, s.ledger.Pulse, s.readStanding)
	if err != nil {
		return Overview{}, err
	}
	now, found := read.at, read.found
	o := Overview{At: now, Version: s.daemon.About.Version, Mode: s.daemon.About.Mode, StartedAt: s.startedAt,
		Audit: AuditHead{Seq: found.Head, Hash: found.Hash}, Range: name, Sources: []SourceNow{}, Received: []ReceivedNow{}, States: []InState{},
		Overdue: OverdueNow{found.Late, found.LateFrom}, Due: found.Ready, Accounts: []AccountNow{}, Holds: []HoldsNow{}, Rejects: found.Rejects,
		Freezes: []Freeze{}, Disk: DiskNow{found.Free, found.Free < fewBytes}, Behind: []SinkNow{}, Closes: []Bucket{}, Took: []TookBucket{}}
	if pace.Deadline > 0 {
		o.Deadline = inHours(pace.Deadline)
	}
	s.addIntake(&o, found)
	s.addAccounts(&o, found)
	for _, state := range ledger.States() {
		o.States = append(o.States, InState{string(state), found.Entries[state]})
	}
	for _, h := range found.Holds {
		o.Holds = append(o.Holds, HoldsNow{string(h.Kind), h.Ahead, h.Open, h.Users, h.Oldest})
	}
	for _, f := range found.Freezes {
		o.Freezes = append(o.Freezes, ShowFreeze(f, signedIn))
	}
	for _, sink := range s.daemon.Sinks {
		if behind := found.Unpublished[sink]; behind.Rows > 0 {
			o.Behind = append(o.Behind, SinkNow{sink, behind.Rows, behind.Oldest})
		}
	}
	o.Needs = s.needs(ctx, now, o, found)
	err = s.addCloses(ctx, &o)
	return o, err
}

// standing is how things stood in the ledger.
type standing struct {
	at    time.Time
	found ledger.Overview
}

func (s *Server) readStanding(ctx context.Context, now time.Time) (standing, error) {
	now = now.UTC()
	late := time.Time{} // nobody is
	if pace := s.daemon.Pace(); pace.Deadline > 0 {
		late = now.Add(-pace.Deadline)
	}
	found, err := s.ledger.Overview(ctx, now, late, s.daemon.Accounts)
	return standing{now, found}, err
}

func (s *Server) addIntake(o *Overview, found ledger.Overview) {
	if r := found.Reading; r.State != "" {
		o.Reading = &ReadingNow{string(r.State), r.Detail, r.Since, r.Away}
	}
	for _, source := range found.Sources {
		within, expected := s.daemon.Expected[source.Name]
		o.Sources = append(o.Sources, SourceNow{source.Name, source.Since, source.HeardAt, expected && source.Silent(o.At, within)})
	}
	if s.daemon.Received != nil {
		o.Received = append(o.Received, s.daemon.Received()...)
	}
}

// addAccounts adds those of the config, those that the closer knows, and those that
// entries wait in.
func (s *Server) addAccounts(o *Overview, found ledger.Overview) {
	known := make(map[string]ledger.Account)
	for _, id := range s.daemon.Accounts {
		known[id] = ledger.Account{ID: id}
	}
	for _, a := range found.Accounts {
		known[a.ID] = a
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		a := known[id]
		if !a.NextAt.IsZero() && a.ResumeAt.After(a.NextAt) {
			a.NextAt = a.ResumeAt
		}
		o.Accounts = append(o.Accounts, AccountNow{a.ID, found.ByOpen[id], a.Parked, a.Advice, a.ParkedAt, a.ResumeAt, a.PassedAt, a.NextAt,
			a.HourLimit, a.HourRemaining, a.HourResetAt})
		if !a.NextAt.IsZero() && a.Parked == "" && (o.NextAt.IsZero() || a.NextAt.Before(o.NextAt)) {
			o.NextAt = a.NextAt
		}
	}
}

// lately is what became of leavers over a range.
type lately struct {
	at     time.Time
	closes []ledger.Closes
	took   []time.Duration
}

const (
	longSpan = 6 * time.Hour    // of spans as wide as that, what is in them is kept whatever is written: it takes long to count
	keptFor  = 20 * time.Second // and in so wide a span is not seen
)

// latelyOver counts what became of leavers over a range, once for all who ask meanwhile.
func (s *Server) latelyOver(ctx context.Context, name string, now time.Time) (lately, error) {
	over := ranges[name]
	if over.width < longSpan {
		return s.recent[name].get(ctx, s.ledger.Pulse, func(ctx context.Context, now time.Time) (lately, error) {
			return s.countLately(ctx, over, now)
		})
	}
	s.counting.Lock()
	defer s.counting.Unlock()
	if kept, ok := s.lately[name]; ok && now.Sub(kept.at) < keptFor {
		return kept, nil
	}
	found, err := s.countLately(ctx, over, now)
	if err == nil {
		s.lately[name] = found
	}
	return found, err
}

// newRecent makes room for what became of leavers over each range of short spans.
func newRecent() map[string]*shared[lately] {
	recent := make(map[string]*shared[lately])
	for name, over := range ranges {
		if over.width < longSpan {
			recent[name] = newShared[lately]()
		}
	}
	return recent
}

func (s *Server) countLately(ctx context.Context, over spans, now time.Time) (lately, error) {
	found := lately{at: now}
	from := now.Truncate(over.width).Add(-time.Duration(over.n-1) * over.width)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		found.closes, err = s.ledger.Settled(ctx, from, over.width, over.n)
		return err
	})
	group.Go(func() (err error) {
		found.took, err = s.ledger.Took(ctx, from, from.Add(time.Duration(over.n)*over.width))
		return err
	})
	err := group.Wait()
	return found, err
}

// addCloses adds what became of leavers over the range.
func (s *Server) addCloses(ctx context.Context, o *Overview) error {
	found, err := s.latelyOver(ctx, o.Range, o.At)
	if err != nil {
		return err
	}
	for _, c := range found.closes {
		o.Closes = append(o.Closes, Bucket{c.From, c.To, c.Closed, c.Failed, c.Other})
	}
	rest, from := found.took, tookFrom(o.Range)
	for i, begins := range from {
		b := TookBucket{FromSeconds: int(begins.Seconds()), Closed: len(rest)}
		if i+1 < len(from) {
			b.ToSeconds = int(from[i+1].Seconds())
			b.Closed, _ = slices.BinarySearch(rest, from[i+1])
		}
		rest = rest[b.Closed:]
		o.Took = append(o.Took, b)
	}
	o.TookMedian, o.TookP95, o.TookMost = share(found.took, .5), share(found.took, .95), share(found.took, 1)
	return nil
}

// share is how many seconds such a share of them took at most; 0 if there are none.
func share(took []time.Duration, of float64) float64 {
	if len(took) == 0 {
		return 0
	}
	return took[max(0, int(math.Ceil(of*float64(len(took))))-1)].Seconds()
}
