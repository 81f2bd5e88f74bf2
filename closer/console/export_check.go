package console

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"signoff/closer/ledger"
)

// Checked is what came of checking an export.
type Checked struct {
	Manifest
	ledger.Defects
	Signed bool // there is a signature
	Heads  int  // that went out and could be compared
}

const (
	mostOfManifest = 1 << 20  // bytes
	mostOfRow      = 16 << 20 // bytes of a line of the audit
)

// CheckExport checks an export by itself: its signature, if a key is given, each of
// its files, and each row of the audit in it, with the personal fields that are
// there. Heads that went out are compared with the rows. What is wrong is in the
// Defects; an error says that it is no export at all.
func CheckExport(dir fs.FS, key ed25519.PublicKey, sent []ledger.Checkpoint) (Checked, error) {
	var c Checked
	text, err := readSmall(dir, ManifestFile)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c.Manifest); err != nil {
		return c, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	signature, err := readSmall(dir, SignatureOf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	c.Signed = err == nil
	switch {
	case key == nil:
	case !c.Signed:
		c.Add("%s is missing: nobody has signed this export", SignatureOf)
	case !CheckSignature(key, text, signature):
		c.Add("%s: the key has not signed this %s", SignatureOf, ManifestFile)
	}
	for _, item := range c.Files {
		if err := c.checkFile(dir, item); err != nil {
			return c, err
		}
	}
	err = c.checkChain(dir, sent)
	return c, err
}

func readSmall(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, mostOfManifest+1))
	if err == nil && len(text) > mostOfManifest {
		err = fmt.Errorf("%s: more than %d bytes", name, mostOfManifest)
	}
	return text, err
}

func (c *Checked) checkFile(dir fs.FS, item ManifestItem) error {
	if item.Name != path.Base(item.Name) || !fs.ValidPath(item.Name) {
		return fmt.Errorf("%s: %q: not the name of a file", ManifestFile, item.Name)
	}
	f, err := dir.Open(item.Name)
	if errors.Is(err, fs.ErrNotExist) {
		c.Add("%s is missing", item.Name)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("%s: %w", item.Name, err)
	}
	if n != item.Bytes || hex.EncodeToString(sum.Sum(nil)) != item.SHA256 {
		c.Add("%s was changed: its SHA-256 is not that of the manifest", item.Name)
	}
	return nil
}

// checkChain checks the rows of the audit. What was before the first of them is not
// in the export: it is taken at its word.
func (c *Checked) checkChain(dir fs.FS, sent []ledger.Checkpoint) error {
	f, err := dir.Open(AuditJSONL)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // said of the file
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 64<<10), mostOfRow)
	var chain *ledger.Chain
	for line := 1; lines.Scan(); line++ {
		var r ledger.ChainRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			c.Add("%s: line %d cannot be read", AuditJSONL, line)
			continue
		}
		if chain == nil {
			chain = ledger.NewChain(ledger.Head{Seq: c.Chain.FirstSeq - 1, Hash: r.Prev}, within(sent, c.Manifest))
		}
		chain.Next(r)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", AuditJSONL, err)
	}
	var last ledger.Head
	if chain != nil {
		c.Heads = chain.End()
		last = ledger.Head{Seq: chain.Seq, Hash: chain.Head}
		for _, text := range chain.Texts {
			c.Add("%s", text)
		}
		c.More += chain.More
	}
	if want := (ledger.Head{Seq: c.Chain.LastSeq, Hash: c.Chain.LastHash}); last != want {
		c.Add("%s ends with row %d, and by the manifest with row %d", AuditJSONL, last.Seq, want.Seq)
	}
	return nil
}

// within are the heads of rows that are in the export.
func within(sent []ledger.Checkpoint, m Manifest) []ledger.Checkpoint {
	var found []ledger.Checkpoint
	for _, s := range sent {
		if s.Seq >= m.Chain.FirstSeq && s.Seq <= m.Chain.LastSeq && (s.Ledger == "" || s.Ledger == m.Ledger) {
			found = append(found, s)
		}
	}
	return found
}
