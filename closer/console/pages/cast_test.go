package pages_test

import (
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// retry has a refused entry fail at once.
var retry = ledger.Retry{Attempts: 1, Wait: func(int) time.Duration { return time.Hour }, Daily: 24 * time.Hour}

// cast records one leaver or more in each state, and returns an entry of each. All who
// are due become so in an account; those of the last state are due still.
func (r *rig) cast(t *testing.T) map[ledger.State]int64 {
	t.Helper()
	ctx, all := t.Context(), make(map[ledger.State]int64)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	resolved := func(due []ledger.Entry) (plan []ledger.Resolved) {
		for _, e := range due {
			plan = append(plan, ledger.Resolved{Entry: e, Users: []ledger.User{{ID: "id-of-" + e.Emails[0], Email: e.Emails[0]}}})
		}
		return plan
	}
	send := func(due []ledger.Entry) ledger.Batch {
		t.Helper()
		time.Sleep(time.Until(due[len(due)-1].DueAt)) // some microseconds
		batch, err := r.ledger.Submit(ctx, account, resolved(due), time.Now(), time.Hour)
		must(err)
		return batch
	}
	answer := func(due []ledger.Entry, result ledger.Result) {
		t.Helper()
		results := make(map[string]ledger.Result)
		for _, e := range due {
			results["id-of-"+e.Emails[0]] = result
		}
		_, err := r.ledger.SettleBatch(ctx, send(due).ID, results, "a-trace", true, retry)
		must(err)
	}
	closed := r.leave(t, person("carla", "Carla", "Costa"), person("cem", "Cem", "Çelik"), person("chen", "Chen", "Li"))
	answer(closed, ledger.Result{Closed: true})
	all[ledger.Closed] = closed[0].ID
	failed := r.leave(t, person("fay", "Fay", "Fox"))
	answer(failed, ledger.Result{Reason: "USER_LACKS_PERMISSIONS"})
	all[ledger.Failed] = failed[0].ID
	for state, name := range map[ledger.State]string{ledger.NotFound: "nora", ledger.AlreadyClosed: "alba"} {
		due := r.leave(t, person(name, "", ""))
		_, err := r.ledger.Settle(ctx, []ledger.Settlement{{Entry: due[0], Outcome: state}})
		must(err)
		all[state] = due[0].ID
	}
	skipped := r.leave(t, person("sam", "Sam", "Smith"))
	_, _, err := r.ledger.Skip(ctx, ledger.ByHand{Email: "sam@example.com", By: ledger.Person{Name: "alice"}, Reason: "stays as a <b>contractor</b>"})
	must(err)
	all[ledger.Skipped] = skipped[0].ID
	would := r.leave(t, person("will", "Will", "Wood"))
	must(r.ledger.WouldClose(ctx, resolved(would)))
	all[ledger.WouldClose] = would[0].ID
	submitted := r.leave(t, person("sue", "Sue", "Sun"))
	must(r.ledger.Sending(ctx, send(submitted).ID))
	all[ledger.Submitted] = submitted[0].ID
	h := r.hold(t, ledger.Limit, person("hana", "Hana", "Ho"), person("hugo", "Hugo", "Hall"))
	all[ledger.Held] = h.Users[0].Entry
	late := person("walt", "Walt", "Weber")
	late.EffectiveAt = time.Now().Add(72 * time.Hour).UTC()
	r.leave(t, late)
	due := r.leave(t, person("dora", "Dora", "Diaz"))
	all[ledger.Due] = due[0].ID
	waiting, _, err := r.ledger.List(ctx, ledger.LeaverFilter{States: []ledger.State{ledger.Waiting}, Limit: 9})
	must(err)
	all[ledger.Waiting] = waiting[0].ID
	return all
}

// person is the leaving of one.
func person(local, given, family string) consumer.Event {
	return consumer.Event{Email: local + "@example.com", GivenName: given, FamilyName: family, Department: "Sales", LegalEntity: "Acme GmbH"}
}
