package console

import (
	"encoding/json"

	"signoff/closer/ledger"
)

// storyFacts are what rows of the audit say that is put into words.
type storyFacts struct {
	Origin      string   `json:"origin"`
	Source      string   `json:"source"`
	ID          string   `json:"id"`
	Urgent      bool     `json:"urgent"`
	OccurredAt  string   `json:"occurred_at"`
	EffectiveAt string   `json:"effective_at"`
	ReceivedAt  string   `json:"received_at"`
	Account     string   `json:"account"`
	State       string   `json:"state"`
	Outcome     string   `json:"outcome"`
	Kind        string   `json:"kind"`
	Kinds       []string `json:"kinds"`
	Users       []string `json:"users"`
	User        string   `json:"user"`
	Hold        int64    `json:"hold"`
	Parent      int64    `json:"parent"`
	Approvals   int      `json:"approvals"`
	Needed      int      `json:"needed"`
	Approval    int64    `json:"approval"`
	ExpiresAt   string   `json:"expires_at"`
	DryRun      bool     `json:"dry_run"`
	Ahead       bool     `json:"ahead"`
	Batch       int64    `json:"batch"`
	Import      int64    `json:"import"`
	Reason      string   `json:"reason"`
	Trace       string   `json:"trace"`
	TraceParent string   `json:"trace_parent"`
	Attempts    int      `json:"attempts"`
	Notes       []string `json:"notes"`
	Until       string   `json:"until"`
	DueAt       string   `json:"due_at"`
	As          int64    `json:"as"`
	To          int64    `json:"to"`
	Cancel      int64    `json:"cancel"`
	Reject      int64    `json:"reject"`
	Events      int      `json:"events"`
	Freeze      int64    `json:"freeze"`
	Advice      string   `json:"advice"`
	How         string   `json:"how"`
	Mode        string   `json:"mode"`
	Version     string   `json:"version"`

	LastLogins  map[string]string `json:"last_logins"`
	Memberships []struct {
		User    string `json:"user"`
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
		Trace   string `json:"trace"`
	} `json:"memberships"`

	From entryOrTime `json:"from"`
}

// entryOrTime is what a step came from: an entry, a state or a time.
type entryOrTime struct {
	Entry int64
	Text  string
}

// UnmarshalJSON takes a number or a text.
func (f *entryOrTime) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &f.Entry) == nil {
		return nil
	}
	return json.Unmarshal(text, &f.Text)
}

func factsOf(s ledger.Step) storyFacts {
	var f storyFacts
	_ = json.Unmarshal([]byte(s.Facts), &f) // what was made unreadable is for audit verify to find
	return f
}
