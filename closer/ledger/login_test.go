package ledger

import (
	"fmt"
	"testing"
	"time"
)

// lastLogins are those of an entry's users, as "user outcome hours after now".
func (b *book) lastLogins(entry int64) string {
	b.t.Helper()
	return b.text(`SELECT group_concat(user_id || ' ' || outcome || ' ' || CASE last_login WHEN 0 THEN 'never' ELSE (last_login - $2) / 3600000000 END, ', ')
		FROM memberships WHERE entry = $1`, entry, micros(b.now))
}

func TestLastLogins(t *testing.T) {
	at := func(b *book, hours int) time.Time { return b.now.Add(time.Duration(hours) * time.Hour) }
	for name, tt := range map[string]struct {
		do   func(*book)
		want string
	}{
		"closed": {func(b *book) {
			r := b.plan("ann")[0]
			r.Users[0].LastLogin = at(b, -2)
			b.answer(b.submit(r), map[string]Result{"id-ann": {Closed: true}})
		}, "id-ann closed -2"},
		"closed, and nothing was said of a login": {func(b *book) { b.toState(Closed) }, "id-ann closed never"},
		"refused, and has logged in again since": {func(b *book) {
			r := b.plan("ann")[0]
			r.Users[0].LastLogin = at(b, -2)
			b.answer(b.submit(r), map[string]Result{"id-ann": {Reason: "NO"}})
			r = b.due(b.now.Add(time.Hour))[0]
			r.Users[0].LastLogin = at(b, 1)
			b.answer(b.submit(r), map[string]Result{"id-ann": {Closed: true}})
		}, "id-ann closed 1"},
		"closed already": {func(b *book) {
			b.settleAs(Settlement{Entry: b.plan("ann")[0].Entry, Outcome: AlreadyClosed, Users: []User{{ID: "a", LastLogin: at(b, -3)}}})
		}, "a already_closed -3"},
		"closed by us, and found so in a later run": {func(b *book) {
			b.answer(b.submit(with(b.plan("ann")[0].Entry, "one", "two")), map[string]Result{"one": {Closed: true}, "two": {Reason: "NO"}})
			b.settleAs(Settlement{Entry: b.due(b.now.Add(time.Hour))[0].Entry, Outcome: AlreadyClosed,
				Users: []User{{ID: "one", LastLogin: at(b, 1)}, {ID: "two"}}})
		}, "one closed 1, two already_closed never"},
		"seen by the watch": {func(b *book) {
			b.toState(Closed)
			b.saw(User{ID: "ID-ANN", LastLogin: at(b, 4)}, User{ID: "somebody else", LastLogin: at(b, 9)})
			b.saw(User{ID: "id-ann", LastLogin: at(b, 2)}) // a list that is behind
		}, "id-ann closed 4"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			if got := b.lastLogins(1); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			b.verify()
		})
	}
}

// saw has the watch see closed users of ann's.
func (b *book) saw(users ...User) {
	b.t.Helper()
	if err := b.SawLogins(b.t.Context(), b.entry("ann"), users); err != nil {
		b.t.Fatal(err)
	}
}

func TestALoginThatWasSeenIsOnRecord(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	rows := b.verify().Rows
	at := b.now.Add(time.Hour)
	b.saw(User{ID: "id-ann", LastLogin: at})
	b.saw(User{ID: "id-ann", LastLogin: at}) // the same again is no news
	if got, want := b.verify().Rows, rows+1; got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
	want := fmt.Sprintf(`login_seen {"account":"acc","last_logins":{"id-ann":%q}}`, stamp(at))
	if got := b.text(`SELECT action || ' ' || facts FROM audit ORDER BY seq DESC LIMIT 1`); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
