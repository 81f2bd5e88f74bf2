package main

import (
	"encoding/json"
	"strings"
	"testing"

	"signoff/closer/ledger"
)

func TestDryRunSaysSo(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]struct {
		state ledger.State
		label bool
		ready string
	}{
		modeDryRun: {ledger.WouldClose, true, "mode: dry run: nobody is closed until the config says mode: close\nledger: ok\n"},
		modeClose:  {ledger.Closed, false, "ledger: ok\n"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{users: leaverUsers(2)})
			r := s.start(t, s.config(t, map[string]string{"mode": mode}))
			r.post(t, 0)
			s.produce(t, structured(termination(t, 1)))
			r.await(t, want.state, 2)
			if _, body := get(t, r.admin()+"/readyz?verbose"); !strings.HasPrefix(body, want.ready) {
				t.Errorf("/readyz?verbose begins otherwise: %s", body)
			}
			_, body := get(t, r.admin()+"/metrics")
			ours := 0
			for line := range strings.Lines(body) {
				if strings.HasPrefix(line, "#") {
					continue
				}
				isOurs := strings.HasPrefix(line, "signoff_")
				if has := strings.Contains(line, `dry_run="true"`); has != (isOurs && want.label) {
					t.Errorf("the label of a dry run is there: %v: %s", has, line)
				}
				if isOurs {
					ours++
				}
			}
			if ours < 100 {
				t.Errorf("%d series of ours", ours)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			lines := 0
			for line := range strings.Lines(r.logs.String()) {
				var fields struct{ Mode, Msg string }
				if err := json.Unmarshal([]byte(line), &fields); err != nil {
					t.Fatal(err)
				}
				if want.label && (fields.Mode != mode || strings.Count(line, `"mode"`) != 1) || fields.Msg == "signoff runs" && fields.Mode != mode {
					t.Errorf("does not say %s, once: %s", mode, line)
				}
				lines++
			}
			if lines < 5 {
				t.Errorf("%d lines in the log", lines)
			}
		})
	}
}
