package console

import (
	"cmp"
	"fmt"
	"strings"

	"signoff/closer/ledger"
)

// The kinds of events, as the ledger has them.
const (
	terminated = "terminated"
	rescinded  = "rescinded"
	rehired    = "rehired"
)

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

// idOf is an event's id, which stands apart where it is an address.
func idOf(s ledger.Step, f storyFacts) string { return cmp.Or(f.ID, s.Personal["id"]) }

// person adds to what was said who said so, and why.
func (t told) person(what string) string {
	if t.step.Actor != "" {
		what += ", by " + t.step.Actor
	}
	return what + because(t.step.Personal["reason"])
}

// why is a fixed word of the closer or of Docusign, in words where we have some.
func (t told) why() string { return inWords(t.facts.Reason) }

func (t told) trace() string { return traced(t.facts.Trace) }

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
