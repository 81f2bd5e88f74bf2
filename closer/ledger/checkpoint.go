package ledger

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Checkpoint is a head of the chain that went out: with a log line, or with an
// outcome. Whoever owns the database cannot take it back.
type Checkpoint struct {
	Head
	Ledger    string // whose it is; "" where that is not said
	Signature []byte // Ed25519, of HeadText; nil where there is none
}

// HeadText is what is signed of a head.
func HeadText(ledger string, h Head) []byte {
	return fmt.Appendf(nil, "signoff-audit-head\n%s\n%d\n%s\n", ledger, h.Seq, h.Hash)
}

// SignedBy says whether the key has signed the head.
func (c Checkpoint) SignedBy(key ed25519.PublicKey) bool {
	return len(c.Signature) > 0 && ed25519.Verify(key, HeadText(c.Ledger, c.Head), c.Signature)
}

// LogFields are the names of the fields by which a head goes out with a log line.
var LogFields = struct{ Ledger, Seq, Hash, Signature string }{"audit_ledger", "audit_seq", "audit_hash", "audit_signature"}

// mostLine is the longest line of a file of heads, in bytes.
const mostLine = 64 << 20

// ReadCheckpoints finds the heads in lines of any mix: log lines with LogFields,
// outcomes as CloudEvents, or arrays of such, also where something stands before
// the JSON or somebody has put it into a string. What goes over several lines is
// found in a file of up to 64 MiB. Each head comes once.
func ReadCheckpoints(r io.Reader) ([]Checkpoint, error) {
	f := finder{seen: make(map[string]bool)}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), mostLine)
	var whole []byte
	size := 0
	for lines.Scan() {
		line := lines.Bytes()
		f.text(line, 0)
		if size += len(line) + 1; size <= mostLine {
			whole = append(append(whole, line...), '\n')
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("a line of more than %d MiB", mostLine>>20)
	}
	if size <= mostLine {
		f.text(whole, 0)
	}
	return f.found, lines.Err()
}

// finder looks for heads in JSON.
type finder struct {
	found []Checkpoint
	seen  map[string]bool
}

const (
	deepest   = 16  // values may lie in each other
	mostWrong = 100 // brackets of a text may turn out to be none of JSON's
)

// text looks into a text in which JSON begins somewhere.
func (f *finder) text(text []byte, depth int) {
	for wrong := 0; wrong < mostWrong && depth <= deepest; {
		begin := bytes.IndexAny(text, "{[")
		if begin < 0 {
			return
		}
		text = text[begin:]
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			text = text[1:] // a bracket that is none of JSON's, such as that around a level
			wrong++
			continue
		}
		f.value(v, "", depth)
		text = text[d.InputOffset():]
	}
}

// value looks into a value. source is the CloudEvents source around it.
func (f *finder) value(v any, source string, depth int) {
	if depth > deepest {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			f.value(item, source, depth+1)
		}
	case map[string]any:
		if s, ok := v["source"].(string); ok {
			source = s
		}
		f.head(v[LogFields.Seq], v[LogFields.Hash], v[LogFields.Ledger], v[LogFields.Signature])
		if a, ok := v["audit"].(map[string]any); ok {
			ledger, _ := strings.CutPrefix(source, "/signoff/")
			if ledger == source {
				ledger = ""
			}
			f.head(a["seq"], a["hash"], ledger, nil)
		}
		for _, inner := range v {
			f.value(inner, source, depth+1)
		}
	case string:
		if t := strings.TrimSpace(v); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
			f.text([]byte(t), depth+1)
		}
	}
}

// head keeps what is one.
func (f *finder) head(seq, hash, ledger, signature any) {
	number, _ := seq.(json.Number)
	n, err := number.Int64()
	text, _ := hash.(string)
	if sum, bad := hex.DecodeString(text); err != nil || bad != nil || len(sum) != 32 || n < 1 {
		return
	}
	c := Checkpoint{Head: Head{Seq: n, Hash: strings.ToLower(text)}}
	c.Ledger, _ = ledger.(string)
	if s, ok := signature.(string); ok && s != "" {
		if c.Signature, err = base64.StdEncoding.DecodeString(s); err != nil {
			c.Signature = []byte(s) // which no key has made: it must not pass for one that is not signed
		}
	}
	key := fmt.Sprintf("%d %s %s %x", c.Seq, c.Hash, c.Ledger, c.Signature)
	if !f.seen[key] {
		f.seen[key] = true
		f.found = append(f.found, c)
	}
}
