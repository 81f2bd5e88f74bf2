package console

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

// Who signs in by OIDC is called by their address: strangers, who may come to look
// where that is not configured any more, are not told of it.
func TestStrangersAreNotToldWhoDecided(t *testing.T) {
	at := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	const ana = "ana@example.com"
	for name, shown := range map[string]func(signedIn bool) any{
		"a freeze": func(signedIn bool) any { return ShowFreeze(ledger.Freeze{By: ana}, signedIn) },
		"a reject": func(signedIn bool) any { return ShowReject(ledger.Reject{SettledAt: at, SettledBy: ana}, signedIn) },
		"a hold": func(signedIn bool) any {
			return Show(ledger.Hold{DecidedAt: at, DecidedBy: ana, Approvals: []ledger.Approval{{By: ana, At: at}}}, 1, signedIn)
		},
	} {
		for _, signedIn := range []bool{true, false} {
			text, err := json.Marshal(shown(signedIn))
			if err != nil || strings.Contains(string(text), ana) != signedIn || !strings.Contains(string(text), `"by":"ana`) {
				t.Errorf("%s, signed in %t: %s, %v", name, signedIn, text, err)
			}
		}
	}
}
