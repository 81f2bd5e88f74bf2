package console

import (
	"errors"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

// What is wrong with a config file quotes it, and who looks may be a stranger.
func TestNeedsOfTheConfigNameNobody(t *testing.T) {
	s := &Server{web: &keptWeb{inForce: &webFile{}}}
	s.daemon.Refused = func() error { return errors.New(`c.yaml:4: guard.protected.emails: "ana@example.com": not a list`) }
	all := s.needsOfRest(time.Now(), Overview{}, ledger.Overview{})
	if len(all) != 1 || strings.Contains(all[0].Text, "ana") || !strings.Contains(all[0].Text, "c.yaml:4: guard.protected.emails: an address not a list") {
		t.Errorf("needs: %+v", all)
	}
}
