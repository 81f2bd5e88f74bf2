package console

import (
	"context"
	"testing"
)

func TestAFewAtATime(t *testing.T) {
	f := make(few, 2)
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	for range 2 {
		if !f.begin(t.Context()) {
			t.Fatal("there is room, and one waits")
		}
	}
	if f.begin(given) {
		t.Error("one more than a few")
	}
	f.end()
	if !f.begin(t.Context()) {
		t.Error("one has ended, and its room is not given")
	}
}
