package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// The people who may look and decide in a demo, each with a file of that name that
// has their token.
var demoPeople = map[string]string{"ana": "operator", "ben": "operator", "vera": "viewer"}

func (d *demo) giveTokens(file string) error {
	var lines string
	d.tokens = make(map[string]string)
	for name, role := range demoPeople {
		token := rand.Text()
		d.tokens[name] = token
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(token), 0o600); err != nil {
			return err
		}
		lines += fmt.Sprintf("%s:%s:%x\n", name, role, sha256.Sum256([]byte(token)))
	}
	return os.WriteFile(file, []byte(lines), 0o600)
}

// mistakesTogether is more than the limit lets through, so that no run of the closer
// finds so few of them that they may go, and as many as fit into one request.
const mistakesTogether = 1000

// goOn lets the HR system make the mistake that is feared most, and leaves what
// comes of it to whoever has started the demo, until ctx ends.
func (d *demo) goOn(ctx context.Context) error {
	var stay []*person
	for _, p := range d.company.people {
		if !p.leaves {
			stay = append(stay, p)
		}
	}
	fmt.Fprintf(d.out, "\nNow an export of the HR system says of the %d who stay that they have left, too.\n", len(stay))
	for some := range slices.Chunk(stay, mistakesTogether) {
		var events []cloudevents.Event
		for _, p := range some {
			event, err := newEvent(consumer.TypeTerminated, "mistake-"+p.employee, p)
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		if err := postBatch(ctx, d.webhookURL(), d.token, events); err != nil {
			return fmt.Errorf("hr system: %w", err)
		}
	}
	people, err := d.awaitLimit(ctx)
	if err != nil || people == 0 {
		return err
	}
	fmt.Fprintf(d.out, `%d people are held, and none of them is closed: they would pass the limit. Now it is for you to find out why, and to decide:

  %s

On Overview, “What needs a person” leads to the hold: look at who is in it, then reject it, or approve it, with a reason. Under
Rejects, %s names somebody whom the directory of employees did not know, and knows by now: replay it, and they
are closed, or held, too, once an approval has used up the limit. %s and %s are to be discarded.

The same in another terminal:

  export SIGNOFF_URL=http://%s SIGNOFF_TOKEN_FILE=%s
  go run ./cmd/signoff holds list                  # then: show ID, approve ID --digest D, reject ID --digest D
  go run ./cmd/signoff rejects list                # then: show ID, replay ID, discard ID
  go run ./cmd/signoff explain %s
  go run ./cmd/signoff audit verify --ledger sqlite://%s

The tokens of ben, another operator, and of vera, who may only look, are beside that of ana. Ctrl-C ends it, or half an hour.
`, people, d.link("ana"), oddNewcomer, oddDay, oddTest, d.daemon.console.Addr(), filepath.Join(d.dir, "ana"), stay[0].email,
		filepath.Join(d.dir, "ledger.db"))
	<-ctx.Done()
	return nil
}

// awaitLimit waits for holds by a limit, and says how many users they hold; 0 if the
// demo was ended before.
func (d *demo) awaitLimit(ctx context.Context) (users int, err error) {
	for {
		holds, err := d.daemon.ledger.OpenHolds(ctx)
		if err != nil {
			return 0, err
		}
		users = 0
		for _, h := range holds {
			if h.Kinds[0] == ledger.Limit {
				users += len(h.Users)
			}
		}
		if users > 0 {
			return users, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return 0, nil
			}
			return 0, errors.New("the time was over before the limit was passed: give it more with --for")
		case <-time.After(200 * time.Millisecond):
		}
	}
}
