package console

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"signoff/closer/ledger"
)

// from says where an event came from.
func from(origin, source, id string) string {
	return fmt.Sprintf(", by event %s of %s (%s)", cmp.Or(id, "(erased)"), source, origin)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": “" + reason + "”"
}

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

func traced(token string) string {
	if token == "" {
		return ""
	}
	return " (Docusign's trace token " + token + ")"
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
