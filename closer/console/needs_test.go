package console

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
	"signoff/consumer"
)

func TestWhatNeedsAPerson(t *testing.T) {
	now := time.Now()
	hour := now.Add(-time.Hour)
	for name, c := range map[string]struct {
		shown  func(*Overview)
		found  func(*ledger.Overview)
		refuse error
		ledger error
		want   string // what, of which kind or account, and how many
	}{
		"nothing":                 {want: ""},
		"a disk that is full":     {shown: func(o *Overview) { o.Disk.Low = true }, want: "disk 0"},
		"a ledger that is locked": {ledger: errors.New("cannot be written:\n locked"), shown: func(o *Overview) { o.Disk.Low = true }, want: "ledger 0, disk 0"},
		"a parked account":        {shown: func(o *Overview) { o.Accounts = []AccountNow{{ID: "a", Parked: "consent", Open: 3}, {ID: "b"}} }, want: "parked a 3"},
		"an account that went":    {found: func(o *ledger.Overview) { o.Outside = []ledger.Outside{{Account: "x", Entries: 2}} }, want: "outside x 2"},
		"a Kafka without begin":   {found: func(o *ledger.Overview) { o.Reading.State = consumer.NeedsFrom }, want: "kafka_from 0"},
		"a Kafka that is away":    {found: func(o *ledger.Overview) { o.Reading.State = consumer.Away }, want: "kafka 0"},
		"a Kafka that waits":      {found: func(o *ledger.Overview) { o.Reading.State = consumer.Paused }, want: "kafka 0"},
		"a Kafka that is read":    {found: func(o *ledger.Overview) { o.Reading.State = consumer.CatchingUp }, want: ""},
		"a silent source":         {shown: func(o *Overview) { o.Sources = []SourceNow{{Source: "hr", Silent: true}, {Source: "it"}} }, want: "silent_source 0"},
		"rejects":                 {found: func(o *ledger.Overview) { o.Rejects = 4 }, want: "reject 4"},
		"few who are not found":   {found: func(o *ledger.Overview) { o.NotFound = 19 }, want: ""},
		"many":                    {found: func(o *ledger.Overview) { o.NotFound = 20 }, want: "not_found 20"},
		"a refused config":        {refuse: errors.New("guard:\n  no"), want: "config_refused 0"},
		"news of outcomes":        {shown: func(o *Overview) { o.Behind = []SinkNow{{"kafka", 9, now.Add(-time.Minute)}} }, want: ""},
		"old news of outcomes":    {shown: func(o *Overview) { o.Behind = []SinkNow{{"kafka", 9, hour.Add(-time.Minute)}} }, want: "unpublished 9"},
		"failed":                  {found: func(o *ledger.Overview) { o.Entries = map[ledger.State]int{ledger.Failed: 2} }, want: "failed 2"},
		"sent just now":           {found: func(o *ledger.Overview) { o.SentAt = now.Add(-time.Minute) }, want: ""},
		"sent long ago": {found: func(o *ledger.Overview) {
			o.SentAt, o.Entries = hour, map[ledger.State]int{ledger.Submitted: 5}
		}, want: "unanswered 5"},
		"in an import": {found: func(o *ledger.Overview) { o.SentAt, o.Imports = hour, true }, want: ""},
		"people ahead": {shown: func(o *Overview) { o.Holds = []HoldsNow{{"protected", true, 1, 1, hour}} }, want: ""},
		"in a dry run": {shown: func(o *Overview) {
			o.Mode, o.Overdue.Entries, o.Holds = dryRunMode, 7, []HoldsNow{{"limit", false, 1, 50, hour}}
		}, want: ""},
		"people, the gravest first": {shown: func(o *Overview) {
			o.Overdue.Entries = 7
			o.Holds = []HoldsNow{{"self", true, 1, 1, hour}, {"protected", false, 2, 2, hour}, {"administrator", false, 1, 1, hour}, {"returned", false, 3, 3, hour},
				{"limit", false, 1, 50, hour}, {"freeze", false, 1, 9, hour}, {"reopen", false, 1, 1, hour}}
		}, found: func(o *ledger.Overview) { o.Urgent, o.Returned = 1, 3 },
			want: "self_leaving self 1, urgent_held 1, overdue 7, hold administrator 1, returned returned 3, hold limit 1, hold protected 2, hold freeze 1, hold reopen 1"},
		"returned, and held for something graver": {found: func(o *ledger.Overview) { o.Returned = 2 }, want: "returned 2"},
	} {
		t.Run(name, func(t *testing.T) {
			shown, found := Overview{At: now, Mode: "close", Deadline: "24h"}, ledger.Overview{}
			if c.found != nil {
				c.found(&found)
			}
			if c.shown != nil {
				c.shown(&shown)
			}
			web, err := keepWeb(Config{}, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			s := &Server{web: web, daemon: Daemon{Refused: func() error { return c.refuse }},
				check: &ledgerCheck{look: func(context.Context) error { return c.ledger }}}
			_ = s.check.now(t.Context())
			var got []string
			for _, n := range s.needs(t.Context(), now, shown, found) {
				words := []string{n.What, n.Kind + n.Account, strconv.Itoa(n.Count)}
				got = append(got, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
				if n.Text == "" || strings.ContainsAny(n.Text, "\n@") || strings.Contains(n.Text, ": .") || n.Path != "" && n.Path[0] != '/' {
					t.Errorf("%+v", n)
				}
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

// Each kind of hold is asked about.
func TestEveryKindOfHoldNeedsAPerson(t *testing.T) {
	asked := append(slices.Clone(askedFirst), ledger.Self, ledger.Returned)
	kinds := ledger.Kinds()
	slices.Sort(asked)
	if slices.Sort(kinds); !slices.Equal(asked, kinds) {
		t.Errorf("asked about %v, there are %v", asked, kinds)
	}
}
