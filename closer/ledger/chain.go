package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ChainRow is a row of the audit as it was written: what its hash covers, and the
// values of those personal fields that were not erased.
type ChainRow struct {
	Seq      int64                  `json:"seq"`
	At       int64                  `json:"at"` // microseconds since 1970 UTC
	Action   string                 `json:"action"`
	Entry    int64                  `json:"entry"` // 0 for none
	Actor    string                 `json:"actor"`
	Facts    string                 `json:"facts"`    // JSON, as the text that was hashed
	Personal string                 `json:"personal"` // JSON, as the text that was hashed: field -> salted hash
	Prev     string                 `json:"prev"`
	Hash     string                 `json:"hash"`
	Values   map[string]SaltedValue `json:"values,omitempty"`
}

// SaltedValue is a personal field beside the chain.
type SaltedValue struct {
	Salt  string `json:"salt"`
	Value string `json:"value"`
}

// Head is where a chain ends, or what it begins after.
type Head struct {
	Seq  int64
	Hash string // of the row Seq; "" if there is none
}

// Audit is what is known of a chain that was walked.
type Audit struct {
	Rows  int64
	First int64 // number of the first row; 0 if there is none
	Seq   int64 // number of the last row
	Head  string
	At    time.Time // of the last row
}

// MostDefects is how many defects are told apart; the rest is only counted.
const MostDefects = 10

// Defects is what was found to be wrong, the first first.
type Defects struct {
	Texts []string // at most MostDefects
	More  int
}

// Add adds one.
func (d *Defects) Add(format string, args ...any) {
	if len(d.Texts) < MostDefects {
		d.Texts = append(d.Texts, fmt.Sprintf(format, args...))
		return
	}
	d.More++
}

// Chain checks rows of the audit as they come, in the order of their numbers.
// Whatever is wrong with a row is said once, and not again of the rows behind it.
type Chain struct {
	Audit
	Defects

	began    bool
	last     []string // hashes that the next row may go on from; none: the row before is known to be wrong
	sent     map[int64]Checkpoint
	checked  int
	rewrites []Checkpoint // heads that went out and are not what their row says now
	after    Head
}

// NewChain begins after a row that is known, the zero Head for the very beginning.
// Heads that went out are compared with their rows.
func NewChain(after Head, sent []Checkpoint) *Chain {
	c := &Chain{after: after, sent: make(map[int64]Checkpoint, len(sent))}
	c.Seq, c.Head, c.last = after.Seq, after.Hash, []string{after.Hash}
	for _, s := range sent {
		if known, twice := c.sent[s.Seq]; twice && known.Hash != s.Hash {
			c.Add("two heads went out for audit row %d, with different hashes: one of them is of another chain", s.Seq)
		}
		c.sent[s.Seq] = s
	}
	if s, ok := c.sent[after.Seq]; ok && after.Seq > 0 {
		c.compare(s, after.Hash)
	}
	return c
}

// Next checks the next row.
func (c *Chain) Next(r ChainRow) {
	switch follows := c.Seq + 1; {
	case r.Seq == follows:
	case r.Seq > follows:
		c.Add("%s", missing(follows, r.Seq-1))
		c.last = nil
	default:
		c.Add("audit row %d comes after row %d", r.Seq, c.Seq)
		c.last = nil
	}
	computed := rowHash(r.Prev, r.Seq, r.At, r.Action, r.Entry, r.Actor, r.Facts, r.Personal)
	linked := len(c.last) == 0 || slices.Contains(c.last, r.Prev)
	switch {
	case computed != r.Hash:
		c.Add("audit row %d (%s) was changed after it was written", r.Seq, r.Action)
		c.last = nil
	case !linked && r.Seq == 1:
		c.Add("audit row 1 (%s) says that a row was before it", r.Action)
		c.last = []string{r.Hash}
	case !linked:
		c.Add("audit row %d (%s) does not follow from row %d: one of the two was changed after it was written", r.Seq, r.Action, r.Seq-1)
		c.last = []string{r.Hash}
	default:
		c.last = []string{r.Hash}
	}
	c.addPersonal(r)
	if s, ok := c.sent[r.Seq]; ok {
		c.compare(s, r.Hash)
	}
	if !c.began {
		c.began, c.First = true, r.Seq
	}
	c.Rows++
	c.Seq, c.Head, c.At = r.Seq, r.Hash, fromMicros(r.At)
}

func missing(first, last int64) string {
	if first == last {
		return fmt.Sprintf("audit row %d is missing", first)
	}
	return fmt.Sprintf("audit rows %d to %d are missing", first, last)
}

// addPersonal checks the personal fields that are still there. One that was
// erased is no defect.
func (c *Chain) addPersonal(r ChainRow) {
	if len(r.Values) == 0 {
		return
	}
	var want map[string]string
	if err := json.Unmarshal([]byte(r.Personal), &want); err != nil {
		c.Add("audit row %d: its salted hashes cannot be read", r.Seq)
		return
	}
	var changed []string
	for field, v := range r.Values {
		if saltedHash(v.Salt, v.Value) != want[field] {
			changed = append(changed, field)
		}
	}
	slices.Sort(changed)
	for _, field := range changed {
		c.Add("audit row %d: personal field %s was changed after it was written", r.Seq, field)
	}
}

func (c *Chain) compare(s Checkpoint, hash string) {
	c.checked++
	if s.Hash != hash {
		c.rewrites = append(c.rewrites, s)
	}
}

// End says what the heads that went out have shown, once all rows were added, and
// returns how many of them could be compared: not those of rows that were there
// before the chain begins.
func (c *Chain) End() int {
	if len(c.rewrites) > 0 {
		first := c.rewrites[0]
		for _, s := range c.rewrites {
			if s.Seq < first.Seq {
				first = s
			}
		}
		c.Add("audit row %d is not the one that went out as the head: the chain was rewritten in or before it (%d of %d heads differ)",
			first.Seq, len(c.rewrites), c.checked)
	}
	cut := int64(0)
	for seq := range c.sent {
		if seq > c.Seq {
			cut = max(cut, seq)
			c.checked++
		}
	}
	if cut > 0 {
		c.Add("%s: the end was cut off, for a later head went out", missing(c.Seq+1, cut))
	}
	return c.checked
}
