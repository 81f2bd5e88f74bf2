package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// usersOf are the userIds that a hold names.
func usersOf(h Hold) []string {
	var all []string
	for _, u := range h.Users {
		all = append(all, u.ID)
	}
	return all
}

func TestApprovalNamesTheDigest(t *testing.T) {
	b := newBook(t)
	h := b.hold(b.plan("ann", "bob"), Limit)
	for name, digest := range map[string]string{"none": "", "of another plan": Hold{Digest: digestOf("x")}.Digest, "a part of it": h.Digest[:16]} {
		d := b.word(h.ID, "ana", "")
		d.Digest = digest
		if _, err := b.Approve(t.Context(), d, aDay); !errors.Is(err, ErrDigest) {
			t.Errorf("approved with digest %s: %v", name, err)
		}
		if _, _, err := b.Reject(t.Context(), d); !errors.Is(err, ErrDigest) {
			t.Errorf("rejected with digest %s: %v", name, err)
		}
	}
	b.is("ann", Held)
	b.approve(h.ID)
	b.is("ann", Due)
}

func digestOf(account string) string {
	return digest(account, []HeldUser{{Entry: 1, User: User{ID: "u"}}})
}

func TestTwoMustApprove(t *testing.T) {
	two := Terms{People: 2, Expires: 24 * time.Hour}
	for name, tt := range map[string]struct {
		people []string // a name, and after a space an email
		late   bool     // the first one long ago
		want   State
	}{
		"one person with two tokens":   {[]string{"ana", "ANA"}, false, Held},
		"two tokens with one email":    {[]string{"ana ana@acme.org", "boss Ana@acme.org"}, false, Held},
		"an email, and it as the name": {[]string{"ana ana@acme.org", "ana@acme.org"}, false, Held},
		"one":                          {[]string{"ana"}, false, Held},
		"the same person twice":        {[]string{"ana", "ana"}, false, Held},
		"two people":                   {[]string{"ana", "ben"}, false, Due},
		"two, the first too long ago":  {[]string{"ana", "ben"}, true, Held},
		"two of three, one repeatedly": {[]string{"ana", "ana", "eve"}, false, Due},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			id := b.hold(b.plan("ann"), Limit).ID
			for i, who := range tt.people {
				d := b.word(id, "", "checked")
				d.By.Name, d.By.Email, _ = strings.Cut(who, " ")
				if _, err := b.Approve(t.Context(), d, two); err != nil {
					t.Fatal(err)
				}
				if i == 0 && tt.late {
					b.exec(`UPDATE approvals SET at = at - 86400000000`)
				}
			}
			b.is("ann", tt.want)
			h, err := b.Hold(t.Context(), id)
			if err != nil || (h.State == HoldApproved) != (tt.want == Due) {
				t.Errorf("hold %+v (%v)", h, err)
			}
		})
	}
}

func TestApprovalsExpire(t *testing.T) {
	b := newBook(t)
	b.approve(b.hold(b.plan("ann"), Limit, Administrator).ID)
	for name, tt := range map[string]struct {
		after time.Duration
		want  int
	}{
		"at once":                  {time.Minute, 1},
		"a moment before its time": {24*time.Hour - time.Minute, 1},
		"yesterday's":              {24*time.Hour + time.Minute, 0},
	} {
		entries, err := b.Due(t.Context(), account, time.Now().Add(tt.after), false)
		if err != nil || len(entries) != 1 || len(entries[0].Approvals) != tt.want {
			t.Errorf("%s: %+v (%v), want %d approvals", name, entries, err, tt.want)
		}
	}
}

func TestNobodyDecidesForThemselves(t *testing.T) {
	for name, tt := range map[string]struct {
		by              Person
		bring           string
		approve, reject error
	}{
		"somebody else":                           {by: Person{Name: "ana", Email: "ana@acme.com"}},
		"a leaver, by the token's name":           {by: Person{Name: "ANN@acme.com"}, approve: ErrStandsIn, reject: ErrStandsIn},
		"a leaver, by the token's email":          {by: Person{Name: "a", Email: "ann@Acme.com"}, approve: ErrStandsIn, reject: ErrStandsIn},
		"a leaver, by another of their addresses": {by: Person{Name: "a", Email: "other@acme.com"}, approve: ErrStandsIn, reject: ErrStandsIn},
		"who brought the termination":             {by: Person{Name: "ana"}, bring: "ana", approve: ErrBrought},
		"not who brought it":                      {by: Person{Name: "ben"}, bring: "ana"},
	} {
		t.Run(name, func(t *testing.T) {
			for word, want := range map[string]error{"approve": tt.approve, "reject": tt.reject} {
				b := newBook(t)
				b.record(b.left("ann"), b.left("bob"))
				b.exec(`UPDATE entries SET emails = '["ann@acme.com","other@acme.com"]', brought_by = '` + tt.bring + `' WHERE leaver = 'ann@acme.com'`)
				d := b.word(b.hold(b.due(b.now), Limit).ID, "", "no")
				d.By = tt.by
				var err error
				if word == "approve" {
					_, err = b.Approve(t.Context(), d, aDay)
				} else {
					_, _, err = b.Reject(t.Context(), d)
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", word, err, want)
				}
			}
		})
	}
}

func TestApproveAPart(t *testing.T) {
	for name, tt := range map[string]struct {
		only, except []string
		want, left   []string // approved, and still held
		err          error
	}{
		"all":                       {want: []string{"id-ann", "id-bob", "id-eve"}},
		"one, by address":           {only: []string{"Ann@acme.com"}, want: []string{"id-ann"}, left: []string{"id-bob", "id-eve"}},
		"one, by userId":            {only: []string{"ID-BOB"}, want: []string{"id-bob"}, left: []string{"id-ann", "id-eve"}},
		"all but one":               {except: []string{"id-eve"}, want: []string{"id-ann", "id-bob"}, left: []string{"id-eve"}},
		"two but one":               {only: []string{"id-ann", "id-bob"}, except: []string{"id-bob"}, want: []string{"id-ann"}, left: []string{"id-bob", "id-eve"}},
		"all, by name":              {only: []string{"id-ann", "id-bob", "id-eve"}, want: []string{"id-ann", "id-bob", "id-eve"}},
		"somebody who is not in it": {only: []string{"id-ann", "zoe@acme.com"}, err: &WhomError{List: "only", At: 1}},
		"nobody is left":            {except: []string{"id-ann", "id-bob", "id-eve"}, err: ErrNobody},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			whole := b.hold(b.plan("ann", "bob", "eve"), Limit)
			d := b.word(whole.ID, "ana", "these")
			d.Only, d.Except = tt.only, tt.except
			h, err := b.Approve(t.Context(), d, aDay)
			if tt.err != nil {
				if err == nil || err.Error() != tt.err.Error() {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				b.is("ann", Held)
				return
			}
			if err != nil || h.State != HoldApproved || !slices.Equal(usersOf(h), tt.want) {
				t.Fatalf("got %+v (%v), want %v approved", h, err, tt.want)
			}
			rest, err := b.Hold(t.Context(), whole.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(tt.left) == 0 {
				if h.ID != whole.ID {
					t.Errorf("approved as hold %d, want the hold itself", h.ID)
				}
				return
			}
			if rest.State != HoldOpen || !slices.Equal(usersOf(rest), tt.left) || h.Parent != whole.ID || h.Digest == whole.Digest || rest.Digest == whole.Digest {
				t.Errorf("rest %+v of %+v, want %v", rest, h, tt.left)
			}
			d.Only, d.Except = nil, nil
			if _, err := b.Approve(t.Context(), d, aDay); !errors.Is(err, ErrDigest) { // by what was seen before
				t.Errorf("approved whom somebody has left out: %v", err)
			}
			b.approve(rest.ID)
			if got := len(b.due(b.now)); got != 3 {
				t.Errorf("%d are due, want all", got)
			}
		})
	}
}

// Two people approve the same part: the second one approves the hold that the first
// one has made of it.
func TestTwoApproveAPart(t *testing.T) {
	b := newBook(t)
	two := Terms{People: 2, Expires: time.Hour}
	d := b.word(b.hold(b.plan("ann", "bob"), Limit).ID, "ana", "")
	d.Only = []string{"id-ann"}
	part, err := b.Approve(t.Context(), d, two)
	if err != nil || part.State != HoldOpen || !slices.Equal(usersOf(part), []string{"id-ann"}) {
		t.Fatalf("part %+v (%v), want it open", part, err)
	}
	if part, err = b.Approve(t.Context(), b.word(part.ID, "ben", ""), two); err != nil || part.State != HoldApproved {
		t.Errorf("part %+v (%v), want it approved", part, err)
	}
	b.is("ann", Due)
	b.is("bob", Held)
}

// A userId that is one of several of a person cannot be approved by itself: the
// guard would hold the person again.
func TestAPersonIsApprovedWhole(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob")
	plan[0] = with(plan[0].Entry, "u", "v")
	d := b.word(b.hold(plan, Ambiguous).ID, "ana", "")
	d.Only = []string{"u"}
	var whom *WhomError
	if _, err := b.Approve(t.Context(), d, aDay); !errors.As(err, &whom) || !whom.Part || whom.At != 0 {
		t.Errorf("got %v, want it refused as a part", err)
	}
	d.Only = []string{"u", "v"}
	if h, err := b.Approve(t.Context(), d, aDay); err != nil || len(h.Users) != 2 {
		t.Errorf("got %+v (%v), want both users approved", h, err)
	}
}

// Somebody who stands in a plan may approve the others.
func TestOwnPlanWithoutOneself(t *testing.T) {
	b := newBook(t)
	d := b.word(b.hold(b.plan("ann", "bob"), Limit).ID, "ann@acme.com", "")
	d.Except = []string{"ann@acme.com"}
	if _, err := b.Approve(t.Context(), d, aDay); err != nil {
		t.Fatal(err)
	}
	b.is("bob", Due)
	b.is("ann", Held)
}

func TestHoldsOutliveARestart(t *testing.T) {
	b := newBook(t)
	h := b.hold(b.plan("ann"), Limit)
	for _, tt := range []struct {
		policy string
		dryRun bool
		want   HoldState
	}{{"a", false, HoldEnded}, {"a", false, HoldOpen}, {"b", false, HoldEnded}, {"b", false, HoldOpen}, {"b", true, HoldEnded}} {
		if h.State != HoldOpen {
			h = b.hold(b.due(b.now), Limit)
		}
		if err := b.Renew(t.Context(), tt.dryRun, tt.policy); err != nil {
			t.Fatal(err)
		}
		var err error
		if h, err = b.Hold(t.Context(), h.ID); err != nil || h.State != tt.want {
			t.Errorf("after a start with %+v: %s (%v)", tt, h.State, err)
		}
	}
}

// Who was taken out of a plan is not approved with the rest of it, wherever they
// go from there.
func TestApprovalDoesNotCoverWhoWasTakenOut(t *testing.T) {
	b := newBook(t)
	two := Terms{People: 2, Expires: 24 * time.Hour}
	h := b.hold(b.plan("ann", "bob"), Limit)
	some := b.word(h.ID, "ana", "")
	some.Only = []string{"ann@acme.com"}
	if part, err := b.Approve(t.Context(), some, two); err != nil || part.State != HoldOpen {
		t.Fatalf("%+v, %v, want a hold that waits for another yes", part, err)
	}
	for _, who := range []string{"ana", "ben"} {
		if _, err := b.Approve(t.Context(), b.word(h.ID, who, ""), two); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Renew(t.Context(), false, "another policy"); err != nil {
		t.Fatal(err)
	}
	due, err := b.Due(t.Context(), account, time.Now(), false)
	if err != nil || len(due) != 2 {
		t.Fatalf("%v, %v, want both due", due, err)
	}
	for _, e := range due {
		if want := e.Leaver == "bob@acme.com"; (len(e.Approvals) > 0) != want {
			t.Errorf("%s is approved: %t, want %t", e.Leaver, !want, want)
		}
	}
}

// Who had left a hold before it was approved is not approved by it: nobody saw them
// in it any more.
func TestApprovalDoesNotCoverWhoHadLeft(t *testing.T) {
	b := newBook(t)
	id := b.hold(b.plan("ann", "bob"), Limit).ID
	if _, err := b.Urgent(t.Context(), ByHand{Email: "ann@acme.com", By: Person{Name: "ben"}, Reason: "at once"}); err != nil {
		t.Fatal(err)
	}
	b.approve(id)
	for _, r := range b.due(b.now) {
		want := 0
		if r.Entry.Leaver == "bob@acme.com" {
			want = 1
		}
		if got := len(r.Entry.Approvals); got != want {
			t.Errorf("%s has %d approvals, want %d", r.Entry.Leaver, got, want)
		}
	}
	if h, err := b.Hold(t.Context(), id); err != nil || !slices.Equal(usersOf(h), []string{"id-bob"}) {
		t.Errorf("hold %+v (%v), want it to name bob alone", h, err)
	}
}
