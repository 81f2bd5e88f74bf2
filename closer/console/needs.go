package console

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"signoff/closer/ledger"
)

// Need is something that a person has to do, or to see to.
type Need struct {
	What    string    `json:"what"`              // a fixed word
	Kind    string    `json:"kind,omitempty"`    // of holds: their kind
	Account string    `json:"account,omitempty"` // that it is about alone
	Grave   bool      `json:"grave"`             // somebody can sign who should not, or may soon
	Count   int       `json:"count"`             // of what Path shows; 0: it is nothing that is counted
	Since   time.Time `json:"since,omitzero"`
	Text    string    `json:"text"` // what it is and what to do; names nobody
	Path    string    `json:"path"` // the page that has its rows; "": none has
}

// What a person is needed for.
const (
	needLedger      = "ledger"     // it can't be written, or read
	needDisk        = "disk"       // when it is full, nothing is taken in and nobody is closed
	needFrom        = "kafka_from" // nothing is read before a person says from where
	needParked      = "parked"     // nobody is closed in the account
	needSelf        = "self_leaving"
	needUrgent      = "urgent_held" // who was to be closed at once
	needOverdue     = "overdue"
	needHold        = "hold"
	needReturned    = "returned" // who was closed is open again
	needFailed      = "failed"   // Docusign refuses
	needUnanswered  = "unanswered"
	needOutside     = "outside" // who waits where nobody is closed any more
	needKafka       = "kafka"
	needSilent      = "silent_source"
	needReject      = "reject"
	needNotFound    = "not_found"
	needConfig      = "config_refused"
	needUnpublished = "unpublished"
)

// grave is what lets somebody sign who should not, or will.
var grave = []string{needLedger, needDisk, needFrom, needParked, needSelf, needUrgent, needOverdue, needReturned, needFailed}

// How long it is nothing that needs a person.
const (
	unansweredAfter  = 15 * time.Minute // as the alert SignoffUnknownOutcome has it
	importAfter      = 150 * time.Minute
	unpublishedAfter = time.Hour // as SignoffOutcomesUnpublished
	manyNotFound     = 20        // leavers in a day: their addresses may be no longer those that Docusign knows
)

const dryRunMode = "dry-run"

// adviceParked is for an account that is parked for what no advice is known of.
const adviceParked = "signoff check says what Docusign, or the way to it, has against it"

// What may be wrong with the reading of Kafka, in the ledger's words.
const (
	kafkaNeedsFrom = "needs_from"
	kafkaAway      = "away"
	kafkaPaused    = "paused"
)

// askedFirst is the order in which people are asked about holds: those that let the
// wrong people sign for longest, and those with the most people, first.
var askedFirst = []ledger.Kind{
	ledger.FewAdministrators, ledger.Administrator, ledger.Limit, ledger.FirstRun, ledger.Protected, ledger.Ambiguous, ledger.NewerUser, ledger.Stale,
	ledger.Frozen, ledger.Reopening,
}

// needs lists what needs a person, the gravest first: what keeps everybody from being
// closed, then people who can sign and should not, then what they would not be heard of by.
func (s *Server) needs(ctx context.Context, now time.Time, o Overview, found ledger.Overview) []Need {
	all := s.needsOfDaemon(ctx, now, o, found)
	for _, of := range []func(time.Time, Overview, ledger.Overview) []Need{
		needsOfAccounts, needsOfPeople, needsOfIntake, s.needsOfRest,
	} {
		all = append(all, of(now, o, found)...)
	}
	for i := range all {
		all[i].Grave = slices.Contains(grave, all[i].What)
	}
	return append([]Need{}, all...)
}

func (s *Server) needsOfDaemon(ctx context.Context, _ time.Time, o Overview, found ledger.Overview) (all []Need) {
	if err := s.check.lately(ctx); err != nil {
		all = append(all, Need{What: needLedger, Text: fmt.Sprintf("The ledger %s: no event is taken in and nobody is closed. See to its disk, and to what else has it open.",
			strings.Join(strings.Fields(err.Error()), " "))})
	}
	switch {
	case o.Disk.Low && found.Free < fullBytes:
		all = append(all, Need{What: needDisk, Text: "The ledger's disk is full: no event is taken in and nobody is closed. Make room, or the disk larger."})
	case o.Disk.Low:
		all = append(all, Need{What: needDisk, Text: fmt.Sprintf(
			"Only %.1f MiB are left on the ledger's disk: when it is full, no event is taken in and nobody is closed. Make room, or the disk larger.", float64(found.Free)/(1<<20))})
	}
	if r := found.Reading; r.State == kafkaNeedsFrom {
		all = append(all, Need{What: needFrom, Since: r.Since,
			Text: "Nothing is read from Kafka: the ledger does not know how far it had read. Start signoff with --from committed or --from earliest."})
	}
	return all
}

func needsOfAccounts(_ time.Time, o Overview, found ledger.Overview) (all []Need) {
	for _, a := range o.Accounts {
		if a.Parked != "" {
			all = append(all, Need{What: needParked, Account: a.ID, Count: a.Open, Since: a.ParkedAt,
				Text: fmt.Sprintf("Nobody is closed in this account (%s): %s. It goes on by itself once that is mended.", a.Parked, cmp.Or(a.Advice, adviceParked)), Path: openIn(a.ID, a.Open)})
		}
	}
	for _, out := range found.Outside {
		all = append(all, Need{What: needOutside, Account: out.Account, Count: out.Entries,
			Text: "Leavers wait in an account that nobody is closed in any more: name it in docusign.accounts again, or skip them.", Path: openIn(out.Account, out.Entries)})
	}
	return all
}

// needsOfPeople are about those who can sign and should not. In a dry run nobody is
// closed, and nothing is decided.
func needsOfPeople(now time.Time, o Overview, found ledger.Overview) (all []Need) {
	dryRun := o.Mode == dryRunMode
	add := func(n Need) {
		if n.Count > 0 && !dryRun {
			all = append(all, n)
		}
	}
	kinds := make(map[ledger.Kind]HoldsNow)
	for _, h := range o.Holds {
		if !h.Ahead || h.Kind == string(ledger.Self) {
			k := kinds[ledger.Kind(h.Kind)]
			kinds[ledger.Kind(h.Kind)] = HoldsNow{Open: k.Open + h.Open, Users: k.Users + h.Users, Oldest: first(k.Oldest, h.Oldest)}
		}
	}
	self, returned := kinds[ledger.Self], kinds[ledger.Returned]
	add(Need{What: needSelf, Kind: string(ledger.Self), Count: self.Open, Since: self.Oldest, Path: holdsOf(ledger.Self),
		Text: "The user that signoff signs in as is leaving: once they are closed, nobody is. Give docusign.user_id another user, then reject the hold."})
	add(Need{What: needUrgent, Count: found.Urgent, Since: found.UrgentAt, Path: "/leavers?state=held&urgent=true",
		Text: "Urgent leavers are held for a person, and can sign until somebody decides."})
	add(Need{What: needOverdue, Count: o.Overdue.Entries, Since: o.Overdue.Oldest, Path: "/leavers?overdue=true&sort=due",
		Text: fmt.Sprintf("Leavers were to be closed within %s of being due, and can sign still: see what keeps each of them.", o.Deadline)})
	for _, kind := range askedFirst[:2] {
		add(holdNeed(kind, kinds[kind]))
	}
	if n := (Need{What: needReturned, Count: found.Returned, Since: returned.Oldest, Path: "/leavers?returned=true&open=true",
		Text: "Leavers who were closed are open again and can sign: mostly because single sign-on made their users anew."}); returned.Open > 0 || found.Returned > 0 {
		if returned.Open > 0 {
			n.Kind, n.Count, n.Path = string(ledger.Returned), returned.Open, holdsOf(ledger.Returned)
		}
		add(n)
	}
	for _, kind := range askedFirst[2:] {
		add(holdNeed(kind, kinds[kind]))
	}
	add(Need{What: needFailed, Count: found.Entries[ledger.Failed], Since: found.Failed, Path: "/leavers?state=failed",
		Text: "Docusign refuses to close these leavers. They are tried again daily; mostly it goes on refusing until somebody has looked at each."})
	wait := unansweredAfter
	if found.Imports {
		wait = importAfter
	}
	if !found.SentAt.IsZero() && now.Sub(found.SentAt) > wait {
		all = append(all, Need{What: needUnanswered, Count: found.Entries[ledger.Submitted], Since: found.SentAt, Path: "/leavers?state=submitted",
			Text: "Closes were sent, and what became of them could not be found out yet: see whether Docusign answers."})
	}
	return all
}

// users is how many there are, in words.
func users(n int) string {
	if n == 1 {
		return "1 user is"
	}
	return fmt.Sprintf("%d users are", n)
}

// holdNeed asks for a word on the holds of a kind.
func holdNeed(kind ledger.Kind, h HoldsNow) Need {
	return Need{What: needHold, Kind: string(kind), Count: h.Open, Since: h.Oldest, Path: holdsOf(kind), Text: fmt.Sprintf(
		"%s held for a person: %s. Approve or reject.", users(h.Users), KindInWords(string(kind)))}
}

// holdsOf is the page of the holds of a kind that somebody may be late with.
func holdsOf(kind ledger.Kind) string {
	if kind == ledger.Self {
		return "/holds?kind=" + string(kind)
	}
	return "/holds?kind=" + string(kind) + "&ahead=false"
}

// openIn is the page of so many open entries in an account; "" if there are none.
func openIn(account string, open int) string {
	if open == 0 {
		return ""
	}
	return "/leavers?open=true&account=" + url.QueryEscape(account)
}

// needsOfIntake are about what may not have been heard.
func needsOfIntake(_ time.Time, o Overview, found ledger.Overview) (all []Need) {
	switch r := found.Reading; r.State {
	case kafkaAway:
		all = append(all, Need{What: needKafka, Since: cmp.Or(r.Away, r.Since), Text: "Kafka does not answer: what HR says there is not heard. It goes on by itself once a broker can be reached."})
	case kafkaPaused:
		all = append(all, Need{What: needKafka, Since: cmp.Or(r.Away, r.Since), Text: "Reading from Kafka is paused, since too many rejects are open or the ledger cannot be written: " +
			"replay or discard rejects, and see to the disk."})
	}
	for _, source := range o.Sources {
		if source.Silent {
			all = append(all, Need{What: needSilent, Since: cmp.Or(source.HeardAt, source.Since),
				Text: fmt.Sprintf("%s is silent for longer than events.sources expects: is it still switched on where it sends from?", source.Source)})
		}
	}
	if found.Rejects > 0 {
		all = append(all, Need{What: needReject, Count: found.Rejects, Since: found.RejectAt, Path: "/rejects",
			Text: "Events were not understood, and nobody is closed by them: mend the mapping or what it lacks, and replay them, or discard them."})
	}
	if found.NotFound >= manyNotFound {
		all = append(all, Need{What: needNotFound, Count: found.NotFound, Since: o.At.Add(-day), Path: "/leavers?state=not_found&settled_from=" + o.At.Add(-day).Format(time.RFC3339),
			Text: "Many leavers of the last 24 hours are known to no account: do the events carry the addresses that Docusign knows?"})
	}
	return all
}

func (s *Server) needsOfRest(now time.Time, o Overview, _ ledger.Overview) (all []Need) {
	if s.daemon.Refused != nil {
		if err := s.daemon.Refused(); err != nil {
			all = append(all, Need{What: needConfig, Text: "The config file is refused, and what was in force before stays: " +
				address.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "an address")}) // it quotes the file
		}
	}
	if err := s.web.fault(); err != nil {
		all = append(all, Need{What: needConfig, Since: s.web.now().since.UTC(),
			Text: "The file of admin.web_config_file is refused, and what was in force before stays: " + strings.Join(strings.Fields(err.Error()), " ")})
	}
	for _, b := range o.Behind {
		if now.Sub(b.Oldest) > unpublishedAfter {
			all = append(all, Need{What: needUnpublished, Count: b.Rows, Since: b.Oldest,
				Text: fmt.Sprintf("Outcomes are not published (%s): whoever relies on them does not hear of them. They are sent once it takes them.", b.Sink)})
		}
	}
	return all
}

// first is the earlier of two times; the zero time is none.
func first(a, b time.Time) time.Time {
	times := slices.DeleteFunc([]time.Time{a, b}, time.Time.IsZero)
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
}
