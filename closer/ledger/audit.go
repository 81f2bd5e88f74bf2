package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// row is one step to be put on record.
type row struct {
	action   string            // what happened, e.g. "received"
	entry    int64             // the entry it happened to; 0 for none
	actor    string            // the person who did it; "" for signoff itself
	facts    map[string]any    // what else is known of it; nothing personal
	personal map[string]string // field -> value; enters the chain as a salted hash
}

// audit appends a row to the chain. The head is read once in each transaction
// and never kept beyond it: whoever wrote before us is before us in the chain.
func (t *tx) audit(r row) error {
	if t.head == nil {
		h, err := readHead(t.ctx, t.conn)
		if err != nil {
			return err
		}
		t.head = &h
	}
	facts, err := json.Marshal(r.facts)
	if err != nil {
		return fmt.Errorf("audit %s: %w", r.action, err)
	}
	hashes := make(map[string]string, len(r.personal))
	seq, at := t.head.Seq+1, micros(t.now)
	for field, value := range r.personal {
		if value == "" {
			continue
		}
		salt := newSalt()
		hashes[field] = saltedHash(salt, value)
		if err := t.exec(`INSERT INTO audit_personal (seq, field, salt, value) VALUES ($1, $2, $3, $4)`,
			seq, field, salt, value); err != nil {
			return err
		}
	}
	personal, err := json.Marshal(hashes)
	if err != nil {
		return fmt.Errorf("audit %s: %w", r.action, err)
	}
	link := rowHash(t.head.Hash, seq, at, r.action, r.entry, r.actor, string(facts), string(personal))
	if err := t.exec(`INSERT INTO audit (seq, at, action, entry, actor, facts, personal, prev, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		seq, at, r.action, r.entry, r.actor, string(facts), string(personal), t.head.Hash, link); err != nil {
		return err
	}
	t.head = &Head{seq, link}
	return nil
}

func readHead(ctx context.Context, q querier) (Head, error) {
	var h Head
	err := q.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&h.Seq, &h.Hash)
	if err == sql.ErrNoRows {
		return Head{}, nil
	}
	return h, err
}

// rowHash is SHA-256, in hex, over the fields in the order of the table, each
// as its length in decimal, a colon and its bytes.
func rowHash(prev string, seq, at int64, action string, entry int64, actor, facts, personal string) string {
	h := sha256.New()
	for _, f := range []string{
		prev, strconv.FormatInt(seq, 10), strconv.FormatInt(at, 10), action,
		strconv.FormatInt(entry, 10), actor, facts, personal,
	} {
		fmt.Fprintf(h, "%d:%s", len(f), f)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// saltedHash is SHA-256, in hex, over the salt's length in decimal, a colon, the
// salt and the value: nothing can be moved from the one into the other.
func saltedHash(salt, value string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(salt), salt, value))
	return hex.EncodeToString(sum[:])
}

func newSalt() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}
