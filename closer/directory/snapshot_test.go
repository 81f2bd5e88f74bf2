package directory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"signoff/closer/directory"
	"signoff/closer/docusign"
)

// crowd is an account in memory that others may change while it is read. It
// lists its open users in an order of their own.
type crowd struct {
	mu       sync.Mutex
	users    []docusign.User
	lists    int             // pages so far
	lookUps  int             // addresses asked for
	noTotals bool            // the list does not say how long it is
	refuses  error           // of pages
	change   func(lists int) // called after each page, with c.mu held
}

func newCrowd(n int) *crowd {
	c := &crowd{}
	for i := range n {
		c.users = append(c.users, docusign.User{ID: fmt.Sprintf("U-%05d", i), Email: address(i), Status: docusign.Active})
	}
	return c
}

func address(i int) string { return fmt.Sprintf("user%05d@example.com", i) }

func addresses(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, address(i))
	}
	return all
}

func (c *crowd) UsersByEmail(_ context.Context, email string) ([]docusign.User, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookUps++
	var found []docusign.User
	for _, u := range c.users {
		if strings.EqualFold(u.Email, email) {
			found = append(found, u)
		}
	}
	return found, nil
}

func (c *crowd) UsersPage(_ context.Context, start int, statuses ...docusign.Status) (docusign.Page, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
	if c.refuses != nil {
		return docusign.Page{}, c.refuses
	}
	var open []docusign.User
	for _, u := range c.users {
		if slices.Contains(statuses, u.Status) {
			open = append(open, u)
		}
	}
	p := docusign.Page{Users: slices.Clone(open[min(start, len(open)):min(start+100, len(open))]), Total: len(open)}
	if c.noTotals {
		p.Total = -1
	}
	if c.change != nil {
		c.change(c.lists)
	}
	return p, nil
}

func (c *crowd) calls() int { return c.lists + c.lookUps }

func TestCostsTheLeastCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		users, asked, unknown int
		known                 bool // the size of the account, from an earlier plan
		most                  int
	}{
		"one of many":                      {5000, 1, 0, false, 1},
		"few of many":                      {5000, 20, 0, false, 20 + 1},
		"few of many, size known":          {5000, 20, 0, true, 20},
		"as many as there are pages":       {2000, 20, 0, true, 20},
		"many":                             {5000, 400, 0, false, 50},
		"many, size known":                 {5000, 400, 0, true, 50},
		"many, of whom some are not there": {5000, 400, 9, true, 50 + 9},
		"everybody":                        {5000, 5000, 0, true, 50},
		"not a full page":                  {5001, 400, 0, true, 51},
		"an account of one page":           {60, 50, 0, false, 1},
		"nobody there":                     {0, 30, 0, false, 30 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, d := newCrowd(tc.users), directory.New()
			if tc.known {
				if _, err := d.Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, tc.users/50), Room: 10_000}); err != nil {
					t.Fatal(err)
				}
				c.lists, c.lookUps = 0, 0
			}
			asked := append(addresses(0, tc.asked), addresses(90_000, 90_000+tc.unknown)...)
			cost := d.Cost(len(asked))
			r, err := d.Resolve(t.Context(), directory.Ask{Account: c, Addresses: asked, Room: 10_000})
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range asked {
				if want := min(1, max(0, min(tc.users, tc.asked)-i)); len(r.Users[a]) != want {
					t.Errorf("%s: %d users, want %d", a, len(r.Users[a]), want)
				}
			}
			if c.calls() > tc.most {
				t.Errorf("%d pages and %d look-ups, allowed are %d", c.lists, c.lookUps, tc.most)
			}
			if tc.known && cost > tc.most {
				t.Errorf("it was to cost %d, allowed are %d", cost, tc.most)
			}
		})
	}
}

func TestSnapshotHasToFitIntoTheHour(t *testing.T) {
	c := newCrowd(5000)
	r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, 400), Room: 30})
	if err != nil || c.lists > 1 || len(r.Users) != 400 {
		t.Errorf("%d pages, %d found, %v: want look-ups", c.lists, len(r.Users), err)
	}
}

func TestCensus(t *testing.T) {
	c := newCrowd(250)
	c.users[3].Administrator, c.users[200].Administrator = true, true
	c.users[7].Status = docusign.Disabled
	c.users[200].Status = docusign.ActivationSent
	c.users[9].Status = docusign.Closed
	r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, 100), Room: 100})
	if err != nil || r.Census == nil || r.Census.Active != 247 || !slices.Equal(r.Census.Administrators, []string{"U-00003"}) {
		t.Errorf("census %+v, %v", r.Census, err)
	}
	if u := r.Users[address(9)]; len(u) != 1 || u[0].Status != docusign.Closed || r.Via[address(9)] != directory.Lookup {
		t.Errorf("the closed one: %v by %s, want them looked up", u, r.Via[address(9)])
	}
	if u := r.Users[address(7)]; len(u) != 1 || r.Via[address(7)] != directory.Snapshot {
		t.Errorf("the disabled one: %v by %s", u, r.Via[address(7)])
	}
}

func TestOpenOnlyLooksNobodyUp(t *testing.T) {
	c := newCrowd(1000)
	r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(950, 1050), Room: 100, OpenOnly: true})
	if err != nil || c.lookUps != 0 || len(r.Users) != 100 || len(r.Users[address(999)]) != 1 || len(r.Users[address(1000)]) != 0 {
		t.Errorf("%d look-ups, %d addresses, %v", c.lookUps, len(r.Users), err)
	}
}

func TestListWithoutTotals(t *testing.T) {
	c := newCrowd(950)
	c.noTotals = true
	d := directory.New()
	for range 2 {
		r, err := d.Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, 950), Room: 1000})
		if err != nil || len(r.Users[address(949)]) != 1 || c.lookUps != 0 {
			t.Errorf("%d pages, %d look-ups, %v", c.lists, c.lookUps, err)
		}
	}
}

func TestListThatIsRefused(t *testing.T) {
	for name, err := range map[string]error{"for good": &docusign.Error{Op: docusign.OpListUsers}, "whatever it is": errors.New("x")} {
		c := newCrowd(900)
		c.refuses = err
		r, got := directory.New().Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, 500), Room: 1000})
		if got == nil || len(r.Users) != 0 {
			t.Errorf("%s: %d found, error %v: nobody may be found by half a list", name, len(r.Users), got)
		}
	}
}

func TestBeforeEndsIt(t *testing.T) {
	c, calls, stop := newCrowd(5000), 0, errors.New("enough")
	r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, 30), Room: 1000,
		Before: func(via directory.Via) error {
			if calls++; via == directory.Lookup && calls > 10 {
				return stop
			}
			return nil
		}})
	if !errors.Is(err, stop) || len(r.Users) > 10 || len(r.Errs) != 0 {
		t.Errorf("%d found, %d refused, %v; want 10 at most, and the error of Before", len(r.Users), len(r.Errs), err)
	}
}

// TestNobodyIsLost reads accounts that others change underway, and asks that
// everybody who was open all along is found, each with all of their users; with
// one at least, where as many may come as go.
func TestNobodyIsLost(t *testing.T) {
	for seed := range uint64(300) {
		dice := rand.New(rand.NewPCG(seed, 1))
		c := newCrowd(700 + dice.IntN(800))
		twins := make(map[string]int) // address -> users open all along
		gone := make(map[string]bool)
		for range 20 { // some addresses have two users
			i := dice.IntN(len(c.users))
			c.users = append(c.users, docusign.User{ID: fmt.Sprint("twin-", len(c.users)), Email: c.users[i].Email, Status: docusign.Active})
		}
		dice.Shuffle(len(c.users), func(i, j int) { c.users[i], c.users[j] = c.users[j], c.users[i] })
		times, comes, goes := dice.IntN(3), dice.IntN(2) == 0, dice.IntN(2) == 0
		c.change = func(int) {
			if times == 0 || dice.IntN(4) > 0 {
				return
			}
			times--
			if comes {
				at := []int{0, len(c.users) / 2, len(c.users)}[dice.IntN(3)]
				c.users = slices.Insert(c.users, at, docusign.User{ID: fmt.Sprint("new-", times), Email: fmt.Sprintf("new%d@example.com", times), Status: docusign.Active})
			}
			if goes {
				i := dice.IntN(len(c.users))
				c.users[i].Status = docusign.Closed
				gone[c.users[i].ID] = true
			}
		}
		asked := addresses(0, 600)
		r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: c, Addresses: asked, Room: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range c.users {
			if !gone[u.ID] {
				twins[u.Email]++
			}
		}
		for _, a := range asked {
			found := 0
			for _, u := range r.Users[a] {
				if !gone[u.ID] {
					found++
				}
			}
			if found != twins[a] && (found == 0 || !comes || !goes) {
				t.Errorf("seed %d: %s has %d users, found were %d", seed, a, twins[a], found)
			}
		}
	}
}

// members answers for an organization of two accounts.
type members struct {
	mu    sync.Mutex
	asked int
	users map[string]map[string][]docusign.User
	fails error
}

func (m *members) UsersByEmail(_ context.Context, email string) (map[string][]docusign.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return m.users[email], m.fails
}

func TestOrganizationIsAskedOnceForAllAccounts(t *testing.T) {
	user := func(id string, status docusign.Status) []docusign.User {
		return []docusign.User{{ID: id, Email: address(0), Status: status}}
	}
	for name, tc := range map[string]struct {
		says        map[string][]docusign.User
		fails       error
		wantLookUps int // in both accounts
	}{
		"a user in both":                     {map[string][]docusign.User{"a": user("u", docusign.Active), "b": user("u", docusign.Active)}, nil, 0},
		"a user in one":                      {map[string][]docusign.User{"a": user("u", docusign.Active)}, nil, 1},
		"closed in one, as far as it knows":  {map[string][]docusign.User{"a": user("u", docusign.Closed), "b": user("u", docusign.Active)}, nil, 1},
		"nobody, as far as it knows":         {nil, nil, 2},
		"it does not answer":                 {nil, errors.New("x"), 2},
		"somebody with another address only": {map[string][]docusign.User{"a": {{ID: "x", Email: "other@example.com", Status: docusign.Active}}}, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := &members{users: map[string]map[string][]docusign.User{address(0): tc.says}, fails: tc.fails}
			shared, lookUps := directory.Share(m), 0
			for _, id := range []string{"a", "b"} {
				c := newCrowd(2)
				r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: c, AccountID: id, Shared: shared, Addresses: addresses(0, 1), Room: 100})
				if err != nil || len(r.Users[address(0)]) != 1 {
					t.Errorf("in %s: %v, %v", id, r.Users, err)
				}
				lookUps += c.lookUps
			}
			if lookUps != tc.wantLookUps || m.asked != 1 {
				t.Errorf("%d look-ups, want %d; the organization was asked %d times, want once", lookUps, tc.wantLookUps, m.asked)
			}
		})
	}
}

func TestSnapshotIsWorthAnHoursWait(t *testing.T) {
	for name, tc := range map[string]struct {
		asked, room, hour int
		waits             bool
	}{
		"it fits into the next hour":      {400, 30, 60, true},
		"it fits into no hour":            {400, 30, 40, false},
		"nobody waits for it":             {400, 30, 0, false},
		"it fits into this one":           {400, 50, 60, false},
		"to look everybody up costs less": {40, 30, 60, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, d := newCrowd(5000), directory.New()
			r, err := d.Resolve(t.Context(), directory.Ask{Account: c, Addresses: addresses(0, tc.asked), Room: tc.room, HourRoom: tc.hour})
			if errors.Is(err, directory.ErrRoom) != tc.waits || c.calls() > 1 == tc.waits || tc.waits && len(r.Users) > 0 {
				t.Errorf("%v after %d calls, %d found; want to wait %v", err, c.calls(), len(r.Users), tc.waits)
			}
		})
	}
}
