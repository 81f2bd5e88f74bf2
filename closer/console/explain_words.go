package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"signoff/closer/ledger"
)

// The kinds of events, as the ledger has them.
const (
	terminated = "terminated"
	rescinded  = "rescinded"
	rehired    = "rehired"
)

// storyFacts are what rows of the audit say that is put into words.
type storyFacts struct {
	Origin      string   `json:"origin"`
	Source      string   `json:"source"`
	ID          string   `json:"id"`
	Urgent      bool     `json:"urgent"`
	OccurredAt  string   `json:"occurred_at"`
	EffectiveAt string   `json:"effective_at"`
	ReceivedAt  string   `json:"received_at"`
	Account     string   `json:"account"`
	State       string   `json:"state"`
	Outcome     string   `json:"outcome"`
	Kind        string   `json:"kind"`
	Kinds       []string `json:"kinds"`
	Users       []string `json:"users"`
	User        string   `json:"user"`
	Hold        int64    `json:"hold"`
	Parent      int64    `json:"parent"`
	Approvals   int      `json:"approvals"`
	Needed      int      `json:"needed"`
	Approval    int64    `json:"approval"`
	ExpiresAt   string   `json:"expires_at"`
	DryRun      bool     `json:"dry_run"`
	Ahead       bool     `json:"ahead"`
	Batch       int64    `json:"batch"`
	Import      int64    `json:"import"`
	Reason      string   `json:"reason"`
	Trace       string   `json:"trace"`
	TraceParent string   `json:"trace_parent"`
	Attempts    int      `json:"attempts"`
	Notes       []string `json:"notes"`
	Until       string   `json:"until"`
	DueAt       string   `json:"due_at"`
	As          int64    `json:"as"`
	To          int64    `json:"to"`
	Cancel      int64    `json:"cancel"`
	Reject      int64    `json:"reject"`
	Events      int      `json:"events"`
	Freeze      int64    `json:"freeze"`
	Advice      string   `json:"advice"`
	How         string   `json:"how"`
	Mode        string   `json:"mode"`
	Version     string   `json:"version"`

	LastLogins  map[string]string `json:"last_logins"`
	Memberships []struct {
		User    string `json:"user"`
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
		Trace   string `json:"trace"`
	} `json:"memberships"`

	From entryOrTime `json:"from"`
}

// entryOrTime is what a step came from: an entry, a state or a time.
type entryOrTime struct {
	Entry int64
	Text  string
}

// UnmarshalJSON takes a number or a text.
func (f *entryOrTime) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &f.Entry) == nil {
		return nil
	}
	return json.Unmarshal(text, &f.Text)
}

func factsOf(s ledger.Step) storyFacts {
	var f storyFacts
	_ = json.Unmarshal([]byte(s.Facts), &f) // what was made unreadable is for audit verify to find
	return f
}

// told is one step with all that it is told by.
type told struct {
	narrator
	leaving ledger.StoryLeaving
	step    ledger.Step
	facts   storyFacts
}

// words are a step in words. One that there are none for is told by its name.
func (n narrator) words(l ledger.StoryLeaving, s ledger.Step, f storyFacts) string {
	say, ok := wordsOf[s.Action]
	if !ok {
		return s.Action
	}
	return say(told{n, l, s, f})
}

// wordsOf has words for every action in the audit.
var wordsOf = map[string]func(told) string{
	"received": func(t told) string { return t.event("heard that the person leaves") },
	"moved":    func(t told) string { return t.event("the leaving day is another now") },
	"superseded": func(t told) string {
		return t.event("older news of it came, and changed nothing but for addresses unknown until then")
	},
	"confirmed": confirmedWords,
	rescinded:   func(t told) string { return t.event("the termination is taken back (rescinded)") },
	rehired:     func(t told) string { return t.event("the person is hired again (rehired)") },
	"may_not_rescind": func(told) string {
		return "a rescind or rehire was not heeded: its source may not take back what another one announced (events.sources)"
	},
	"cancel_kept": func(t told) string {
		return fmt.Sprintf("the %s of %s is borne in mind: it takes effect later, or a close is on its way", noun(t.facts.Kind), second(t.facts.EffectiveAt))
	},
	"cancelled":   cancelledWords,
	"same_leaver": func(t told) string { return fmt.Sprintf("turned out to be the same person as in entry %d", t.facts.As) },

	"due": func(t told) string {
		if t.facts.From.Entry != 0 {
			return "due in account " + t.facts.Account + " as well"
		}
		return "due in account " + t.facts.Account
	},
	"held":    heldWords,
	"renewed": renewedWords,
	"would_close": func(t told) string {
		return fmt.Sprintf("would have been closed (%s), but for the dry run", count(len(t.facts.Users), "user"))
	},
	"submitted": submittedWords,
	"withdrawn": func(t told) string {
		return fmt.Sprintf("batch %d was certainly not carried out, and is taken back: %s", t.facts.Batch, t.why())
	},
	"retry":                      retryWords,
	string(ledger.Closed):        outcomeWords("closed"),
	string(ledger.AlreadyClosed): outcomeWords("found closed already"),
	string(ledger.NotFound):      outcomeWords("not found: no user of the account has any of these addresses"),
	string(ledger.Failed):        failedWords,
	string(ledger.Skipped): func(t told) string {
		return t.person("left open by a person (skip)")
	},

	"approved": decisionWords("approved"), "rejected": decisionWords("rejected: left open"),
	"approved_ahead": decisionWords("approved ahead"), "refused_ahead": decisionWords("refused ahead: a person decides once it is due"),
	"hold_approval": func(t told) string {
		return t.person(fmt.Sprintf("hold %d: one yes, %d of %d", t.facts.Hold, t.facts.Approvals, t.facts.Needed))
	},
	"hold_approved": func(t told) string { return t.person(fmt.Sprintf("hold %d approved", t.facts.Hold)) },
	"hold_rejected": func(t told) string { return t.person(fmt.Sprintf("hold %d rejected", t.facts.Hold)) },
	"hold_split": func(t told) string {
		return t.person(fmt.Sprintf("hold %d was made of a part of hold %d", t.facts.Hold, t.facts.Parent))
	},
	"hold_expired": func(t told) string {
		return fmt.Sprintf("hold %d ended without a decision: there is nothing left to decide ahead", t.facts.Hold)
	},

	"deferred": func(t told) string {
		return t.person("put off by a person: not before " + second(t.facts.Until))
	},
	"urgent": func(t told) string { return t.person("made urgent by a person: to be closed at once") },
	"retry_asked": func(t told) string {
		if t.facts.From.Entry != 0 && t.facts.From.Entry != t.step.Entry {
			return t.person(fmt.Sprintf("a person asks for another try, in the place of entry %d", t.facts.From.Entry))
		}
		return t.person("a person asks for another try")
	},

	"ahead":    aheadWords,
	"returned": returnedWords,
	"login_seen": func(t told) string {
		return "looked for again: still closed, but with a later login than was known" + logins(t.facts)
	},
	"erased": func(told) string { return "emails and names were erased, since they were old enough" },
	"pruned": func(told) string { return "old entries and rows of the audit were deleted" },

	"reopen_proposed": func(t told) string {
		return fmt.Sprintf("hold %d proposes to open %s again, from %s", t.facts.Hold, count(len(t.facts.Users), "user"), second(t.facts.DueAt))
	},
	"reopen_moved":     func(t told) string { return "to be opened again from " + second(t.facts.DueAt) + ", by a later word" },
	"reopen_approved":  decisionWords("opening again approved"),
	"reopen_dropped":   droppedWords,
	"reopen_submitted": func(told) string { return "sent to Docusign: open the user again" },
	"reopen_withdrawn": func(t told) string { return "opening again had no effect, and is tried anew: " + t.why() },
	"reopen_sent": func(t told) string {
		return "Docusign has sent an activation email: the person must still click in it" + t.trace()
	},
	"reopen_failed": func(t told) string { return "opening again has failed: " + t.why() + t.trace() },

	"reject": func(t told) string {
		return fmt.Sprintf("reject %d: an event that could not be understood: %s", t.facts.Reject, t.facts.Reason)
	},
	"reject_failed_again": func(t told) string {
		return t.person(fmt.Sprintf("reject %d was replayed, and fails again: %s", t.facts.Reject, t.facts.Reason))
	},
	"reject_open_again": func(t told) string {
		return fmt.Sprintf("reject %d came again, and is open again: %s", t.facts.Reject, t.facts.Reason)
	},
	"reject_replayed": func(t told) string {
		return t.person(fmt.Sprintf("reject %d was replayed: %s understood", t.facts.Reject, count(t.facts.Events, "event")))
	},
	"reject_discarded": func(t told) string { return t.person(fmt.Sprintf("reject %d was discarded", t.facts.Reject)) },
	"rejects_wiped":    func(told) string { return "payloads of settled rejects were emptied" },

	"account_parked": func(t told) string {
		return fmt.Sprintf("account %s was parked, nothing is sent in it: %s: %s", t.facts.Account, t.facts.Reason, t.facts.Advice)
	},
	"account_resumed": func(t told) string {
		return "account " + t.facts.Account + " goes on (was parked: " + t.facts.Reason + ")"
	},
	"freeze": func(t told) string {
		return t.person(fmt.Sprintf("freeze %d of %s until %s", t.facts.Freeze, cmp.Or(t.facts.Account, "all accounts"), second(t.facts.Until)))
	},
	"freeze_ended": func(t told) string { return t.person(fmt.Sprintf("freeze %d was ended", t.facts.Freeze)) },
	"import_ended": func(t told) string {
		return fmt.Sprintf("import %d of the organization ended: %s", t.facts.Import, t.facts.How)
	},
	"config": func(t told) string {
		return "signoff " + t.facts.Version + " works by another config, mode " + t.facts.Mode
	},
}

// event is what an event of a source said, and when.
func (t told) event(what string) string {
	f := t.facts
	text := what + from(f.Origin, f.Source, idOf(t.step, f))
	if f.EffectiveAt != "" {
		text += "; takes effect " + second(f.EffectiveAt)
	}
	received := second(f.ReceivedAt)
	if said := second(f.OccurredAt); f.OccurredAt != "" && said != received {
		text += "; said " + said
	}
	if received != stamp(t.step.At) {
		text += "; received " + received
	}
	if f.Urgent {
		text += "; urgent"
	}
	if email := t.step.Personal["email"]; email != "" && t.several {
		text += "; by the address " + email
	}
	if t.step.Actor != "" {
		text += "; by " + t.step.Actor
	}
	if f.TraceParent != "" {
		text += "; traceparent " + f.TraceParent
	}
	return text
}

// from says where an event came from.
func from(origin, source, id string) string {
	return fmt.Sprintf(", by event %s of %s (%s)", cmp.Or(id, "(erased)"), source, origin)
}

// idOf is an event's id, which stands apart where it is an address.
func idOf(s ledger.Step, f storyFacts) string { return cmp.Or(f.ID, s.Personal["id"]) }

// person adds to what was said who said so, and why.
func (t told) person(what string) string {
	if t.step.Actor != "" {
		what += ", by " + t.step.Actor
	}
	return what + because(t.step.Personal["reason"])
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": “" + reason + "”"
}

// why is a fixed word of the closer or of Docusign, in words where we have some.
func (t told) why() string { return inWords(t.facts.Reason) }

func inWords(reason string) string {
	if words, ok := reasonWords[reason]; ok {
		return words
	}
	return cmp.Or(reason, "for a reason that is not known")
}

// reasonWords are words for reasons of retries and failures. Others are codes of
// Docusign, and stay as they are.
var reasonWords = map[string]string{
	"network":             "Docusign could not be reached (network)",
	"timeout":             "Docusign did not answer in time (timeout)",
	"interrupted":         "signoff was stopped meanwhile (interrupted)",
	"server_error":        "Docusign had an error of its own (server_error)",
	"blocked":             "Docusign wants to be left alone for a while (blocked)",
	"unreadable":          "the answer could not be read (unreadable)",
	"hour_quota":          "the hour's quota of calls is used up (hour_quota)",
	"burst_quota":         "too many calls at once for Docusign (burst_quota)",
	"sign_in":             "signing in is out of order (sign_in)",
	"permissions":         "signoff's user may not do it (permissions)",
	"no_member":           "the user is no member of the account (no_member)",
	"refused":             "Docusign refuses by a code that we do not know (refused)",
	"unknown":             "Docusign's answer does not mention the user (unknown)",
	"no_effect":           "looked up: the user is still open (no_effect)",
	"managed_by_scim":     "an identity provider manages the user: close them there (managed_by_scim)",
	"last_administrator":  "the last active administrator cannot be closed (last_administrator)",
	"own_user":            "it is the user that signoff signs in as (own_user)",
	"awaiting_activation": "the user never activated (awaiting_activation)",
	"new_address":         "another address of the person became known meanwhile: it is looked up, too",
	"address_in_use":      "an open user has an address of the person's (address_in_use)",
	"already_open":        "the user is open already (already_open)",
	"terminated":          "the person leaves again, by a later word",
}

func (t told) trace() string { return traced(t.facts.Trace) }

func traced(token string) string {
	if token == "" {
		return ""
	}
	return " (Docusign's trace token " + token + ")"
}

func confirmedWords(t told) string {
	if t.facts.From.Entry != 0 && t.facts.ReceivedAt == "" {
		return fmt.Sprintf("takes over what entry %d had heard", t.facts.From.Entry)
	}
	return t.event("heard the same again")
}

func cancelledWords(t told) string {
	if t.facts.To != 0 {
		return fmt.Sprintf("entry %d goes on in its place", t.facts.To)
	}
	text := "cancelled: the termination was taken back"
	if t.facts.Reason == rehired {
		text = "cancelled: the person was hired again"
	}
	if c, ok := t.leaving.Cancels[t.facts.Cancel]; ok {
		text += from(c.Key.Origin, c.Key.Source, c.Key.ID)
	}
	return text
}

func heldWords(t told) string {
	text := fmt.Sprintf("held for a person, hold %d: %s", t.facts.Hold, heldFor(t.leaving.Holds[t.facts.Hold].Detail, t.facts.Kinds))
	if t.facts.DryRun {
		text += "; made in a dry run"
	}
	return text
}

// heldFor is why something is held, with the detail of the hold if that says more.
func heldFor(detail string, kinds []string) string {
	text := kindWords(kinds)
	if detail == "" || detail == text {
		return text
	}
	return text + " (" + detail + ")"
}

// kindWords says why something is held.
func kindWords(kinds []string) string {
	var all []string
	for _, k := range kinds {
		all = append(all, KindInWords(k))
	}
	return strings.Join(all, "; ")
}

// KindInWords says of a hold's kind why a person is asked.
func KindInWords(kind string) string { return cmp.Or(kindsInWords[ledger.Kind(kind)], kind) }

var kindsInWords = map[ledger.Kind]string{
	ledger.Limit:             "the plan would pass a limit of the guard",
	ledger.FirstRun:          "it is part of the first plan of the account",
	ledger.Frozen:            "nothing is to be closed now without a person's word",
	ledger.Self:              "the user that signoff signs in as",
	ledger.Protected:         "protected by the config",
	ledger.Administrator:     "an administrator of the account",
	ledger.FewAdministrators: "too few administrators would be left",
	ledger.Ambiguous:         "several open users have this email",
	ledger.Returned:          "was closed before, and is open again",
	ledger.NewerUser:         "the user came into the account after the termination took effect",
	ledger.Stale:             "the news was old when it came",
	ledger.Reopening:         "somebody who was closed may be opened again",
}

func renewedWords(t told) string {
	if t.facts.From.Text == string(ledger.WouldClose) {
		return "the dry run is over: due again"
	}
	return fmt.Sprintf("hold %d ended, and the guard judges anew: another policy, a freeze that is over, or an approval ahead", t.facts.Hold)
}

func submittedWords(t told) string {
	text := fmt.Sprintf("sent to Docusign in batch %d: close %s", t.facts.Batch, count(len(t.facts.Users), "user"))
	if len(t.facts.Users) > 0 {
		text += " (" + strings.Join(t.facts.Users, ", ") + ")"
	}
	if t.facts.Import != 0 {
		text += fmt.Sprintf(", by import %d of the organization", t.facts.Import)
	}
	if t.facts.Approval != 0 {
		text += fmt.Sprintf(", as approved by hold %d", t.facts.Approval)
	}
	return text
}

func retryWords(t told) string {
	text := "not closed yet, to be tried again: " + t.why() + t.trace()
	if t.facts.Attempts > 0 {
		text += fmt.Sprintf("; refused %s so far", times(t.facts.Attempts))
	}
	return text
}

// outcomeWords tell how an entry ended, and what Docusign said of each user.
func outcomeWords(what string) func(told) string {
	return func(t told) string {
		text := what
		trace := t.facts.Trace
		for _, m := range t.facts.Memberships {
			trace = cmp.Or(trace, m.Trace)
		}
		if n := len(t.facts.Memberships); n > 1 {
			text += ", " + count(n, "user")
		}
		if len(t.facts.Notes) > 0 {
			text += "; " + strings.Join(t.facts.Notes, ", ")
		}
		return text + traced(trace) + logins(t.facts)
	}
}

func failedWords(t told) string {
	text := "failed, Docusign refuses: " + t.why() + t.trace()
	for _, m := range t.facts.Memberships {
		if m.Reason != "" && m.Reason != t.facts.Reason {
			text += "; " + inWords(m.Reason)
		}
	}
	return text
}

// decisionWords tell of a person's word on a hold, with the reason that the hold has.
func decisionWords(what string) func(told) string {
	return func(t told) string {
		text := fmt.Sprintf("%s, hold %d", what, t.facts.Hold)
		if t.facts.Until != "" {
			text += fmt.Sprintf(", good from %s until %s", second(t.facts.From.Text), second(t.facts.Until))
		}
		if t.step.Actor != "" {
			text += ", by " + t.step.Actor
		}
		return text + because(t.leaving.Holds[t.facts.Hold].Reason)
	}
}

func droppedWords(t told) string {
	if t.facts.Hold != 0 {
		return decisionWords("stays closed, a person said no to opening again")(t)
	}
	return "not opened again: " + t.why()
}

func aheadWords(t told) string {
	text := "looked ahead in account " + t.facts.Account + ": "
	switch t.facts.Outcome {
	case "":
		return text + "could not be looked up"
	case string(ledger.Held):
		text += "would be held: " + kindWords(t.facts.Kinds)
	case string(ledger.Closed):
		text += "would be closed"
	case string(ledger.AlreadyClosed):
		text += "is closed already"
	case string(ledger.NotFound):
		text += "no user has any of these addresses"
	default:
		text += t.facts.Outcome
	}
	if t.facts.Hold != 0 {
		text += fmt.Sprintf("; hold %d asks a person ahead", t.facts.Hold)
	}
	return text
}

func returnedWords(t told) string {
	return fmt.Sprintf("looked for again in account %s: open again (%s), after entry %d had been closed; due now",
		t.facts.Account, count(len(t.facts.Users), "user"), t.facts.From.Entry)
}

// logins tells the last login of those that are known.
func logins(f storyFacts) string {
	var last string
	for _, at := range f.LastLogins {
		last = max(last, at)
	}
	if last == "" {
		return ""
	}
	return "; last login " + second(last)
}

// second is a time of the audit, to the second.
func second(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return cmp.Or(text, "(not known)")
	}
	return stamp(t)
}

func eventKind(kind string) string {
	if kind == rehired {
		return "a rehire"
	}
	return "a rescind"
}

func noun(kind string) string {
	_, word, _ := strings.Cut(eventKind(kind), " ")
	return word
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
