package kafka

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestUnpackable(t *testing.T) {
	of := func(base int64, records int32, size int) []byte {
		b := append(emptied(base, records), make([]byte, size)...)
		binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-beforeItsSize))
		binary.BigEndian.PutUint32(b[batchRecords:], uint32(records))
		return b
	}
	small, most, many := of(0, 1, 100), of(7, 100_000, 1<<20), of(9, mostRecords+1, 1<<20)
	long := of(9, 1, mostUnpacked)
	for name, c := range map[string]struct {
		batches [][]byte
		cut     bool // by us
		keep    int
		large   largeBatch
	}{
		"nothing":                        {},
		"one":                            {batches: [][]byte{small}, keep: len(small)},
		"the smallest records there are": {batches: [][]byte{most}, keep: len(most)},
		"more records than there may be": {batches: [][]byte{many}, large: largeBatch{9 + mostRecords, mostRecords + 1}},
		"more bytes than there may be":   {batches: [][]byte{long}, large: largeBatch{9, 1}},
		"one cut off by the end":         {batches: [][]byte{long[:1000]}},
		"one that we did not read on":    {batches: [][]byte{long[:1000]}, cut: true, large: largeBatch{9, 1}},
		"what fits before what does not": {batches: [][]byte{small, small, long}, keep: 2 * len(small)},
		"too many together":              {batches: [][]byte{most, most}, keep: len(most)},
	} {
		keep, large := unpackable(bytes.Join(c.batches, nil), !c.cut)
		if keep != c.keep || (large != nil) != (c.large != largeBatch{}) || large != nil && *large != c.large {
			t.Errorf("%s: %d, %+v", name, keep, large)
		}
	}
}

// FuzzAnswer looks for answers that break what finds the records in them.
func FuzzAnswer(f *testing.F) {
	f.Add(append(make([]byte, 80), emptied(7, 5)...), int16(11))
	f.Add(emptied(7, 5), int16(4))
	f.Fuzz(func(t *testing.T, raw []byte, version int16) {
		if at := recordsAt(raw, version); at < 0 || at > len(raw) || at > 0 && at < 4 {
			t.Fatalf("the records are at %d of %d", at, len(raw))
		}
		if keep, large := unpackable(raw, version%2 == 0); keep < 0 || keep > len(raw) || large != nil && keep > 0 {
			t.Fatalf("%d of %d, %+v", keep, len(raw), large)
		}
	})
}
