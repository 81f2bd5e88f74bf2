package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestHeadsAreFoundInAnyMixOfLines(t *testing.T) {
	hash := func(i int) string { return fmt.Sprintf("%064x", i) }
	line := func(i int) string {
		return fmt.Sprintf(`{"level":"info","msg":"audit head","audit_ledger":"lg","audit_seq":%d,"audit_hash":%q}`, i, hash(i))
	}
	event := func(i int) string {
		return fmt.Sprintf(`{"specversion":"1.0","source":"/signoff/lg","data":{"entry":1,"audit":{"seq":%d,"hash":%q}}}`, i, hash(i))
	}
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"log lines":                    {line(1) + "\n" + line(2) + "\n", []string{"lg 1", "lg 2"}},
		"outcomes":                     {event(1) + "\n" + event(7), []string{"lg 1", "lg 7"}},
		"both, and what is neither":    {"starting\n" + line(3) + "\n{\"level\":\"info\"}\n\n" + event(4) + "\n[x] {broken", []string{"lg 3", "lg 4"}},
		"an array in a line":           {"[" + event(1) + "," + line(2) + "]", []string{"lg 1", "lg 2"}},
		"an array over several lines":  {"[\n" + strings.ReplaceAll(event(1), ",", ",\n") + ",\n" + event(2) + "\n]\n", []string{"lg 1", "lg 2"}},
		"behind what a collector adds": {"2026-11-27T18:00:00Z stdout F [pod] " + line(9), []string{"lg 9"}},
		"in a string of a collector":   {fmt.Sprintf(`{"log":%q,"stream":"stderr"}`, line(5)+"\n"), []string{"lg 5"}},
		"console format":               {"2026-11-27T18:00:00Z\tinfo\tkeeper\taudit head\t" + line(6), []string{"lg 6"}},
		"the same twice":               {line(1) + "\n" + line(1), []string{"lg 1"}},
		"without the ledger":           {`{"audit_seq": 5, "audit_hash": "` + hash(5) + `"}`, []string{" 5"}},
		"not a hash":                   {`{"audit_seq": 5, "audit_hash": "abc"}`, nil},
		"not a number":                 {`{"audit_seq": "5", "audit_hash": "` + hash(5) + `"}`, nil},
		"nothing":                      {"", nil},
		"brackets without end":         {strings.Repeat("[", 100_000), nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := ReadCheckpoints(strings.NewReader(tt.text))
			var got []string
			for _, c := range found {
				got = append(got, fmt.Sprint(c.Ledger, " ", c.Seq))
				if c.Hash != hash(int(c.Seq)) {
					t.Errorf("hash %s", c.Hash)
				}
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestSignedHead(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := Head{Seq: 5, Hash: strings.Repeat("0a", 32)}
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(private, HeadText("lg", h)))
	for name, tt := range map[string]struct {
		ledger, signature string
		seq               int
		signed, ok        bool
	}{
		"as it was signed":      {"lg", signature, 5, true, true},
		"of another row":        {"lg", signature, 6, true, false},
		"of another ledger":     {"other", signature, 5, true, false},
		"not in base64":         {"lg", "***", 5, true, false},
		"without any signature": {"lg", "", 5, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := ReadCheckpoints(strings.NewReader(fmt.Sprintf(`{"audit_ledger":%q,"audit_seq":%d,"audit_hash":%q,"audit_signature":%q}`,
				tt.ledger, tt.seq, h.Hash, tt.signature)))
			if err != nil || len(found) != 1 {
				t.Fatalf("%d heads, %v", len(found), err)
			}
			if c := found[0]; len(c.Signature) > 0 != tt.signed || c.SignedBy(public) != tt.ok {
				t.Errorf("signed %d bytes, by the key %v", len(c.Signature), c.SignedBy(public))
			}
		})
	}
}
