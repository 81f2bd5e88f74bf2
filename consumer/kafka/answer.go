package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	mostUnpacked = 8 << 20   // bytes that the batches of an answer may come to
	mostRecords  = 128 << 10 // in them: the library takes a quarter of a KiB for each, besides its own
)

// fetching asks for one partition and reads the answer itself, since the library
// unpacks whatever it gets: a batch of a megabyte may come to a gigabyte. Of the
// batches as many are left to the library as may be unpacked.
type fetching struct {
	fetchapi.Request
	clientID string
	version  int16
}

// answer is what the library made of it.
type answer struct {
	*fetchapi.Response
	large *largeBatch // the first batch, if that is too large; nil: it is not
}

// largeBatch is a batch that is not unpacked.
type largeBatch struct {
	last    int64 // offset
	records int32
}

// Required has the library leave the exchange to RawExchange.
func (f *fetching) Required(versions map[protocol.ApiKey]int16) bool {
	f.version = versions[protocol.Fetch]
	return true
}

// RawExchange sends the request and reads the answer.
func (f *fetching) RawExchange(conn io.ReadWriter) (protocol.Message, error) {
	const ours = 1
	if err := protocol.WriteRequest(conn, f.version, ours, f.clientID, &f.Request); err != nil {
		return nil, err
	}
	raw, whole, err := readAnswer(conn)
	if err != nil {
		return nil, err
	}
	var large *largeBatch
	if at := recordsAt(raw, f.version); at > 0 {
		var keep int
		if keep, large = unpackable(raw[at:], whole); large == nil && keep == 0 && !whole {
			return nil, errors.New("an answer that is too large, and no batch of records")
		}
		raw = raw[:at+keep]
		binary.BigEndian.PutUint32(raw[at-4:], uint32(keep))
	}
	binary.BigEndian.PutUint32(raw, uint32(len(raw)-4))
	id, m, err := protocol.ReadResponse(bytes.NewBuffer(raw), protocol.Fetch, f.version)
	if err != nil {
		return nil, err
	}
	res, ok := m.(*fetchapi.Response)
	if !ok || id != ours {
		return nil, fmt.Errorf("the answer is another request's: %d", id)
	}
	return &answer{res, large}, nil
}

// readAnswer reads an answer, and no more of it than may be kept.
func readAnswer(from io.Reader) (raw []byte, whole bool, err error) {
	raw = make([]byte, 4)
	if _, err := io.ReadFull(from, raw); err != nil {
		return nil, false, err
	}
	size := int64(int32(binary.BigEndian.Uint32(raw)))
	if size < 4 {
		return nil, false, fmt.Errorf("an answer of %d bytes", size)
	}
	keep := min(size, mostUnpacked)
	raw = append(raw, make([]byte, keep)...)
	if _, err := io.ReadFull(from, raw[4:]); err != nil {
		return nil, false, err
	}
	_, err = io.CopyN(io.Discard, from, size-keep)
	return raw, size == keep, err
}

// recordsAt is where in an answer about one partition the records begin, behind
// their length; 0 if they are not where they should be. They are the last of it.
func recordsAt(raw []byte, version int16) int {
	at := 4 + 4 // its size, and the number of the request
	skip := func(since int16, n int) {
		if version >= since {
			at += n
		}
	}
	number := func(n int) int {
		if at+n > len(raw) {
			at = len(raw)
			return 0
		}
		at += n
		if n == 2 {
			return int(int16(binary.BigEndian.Uint16(raw[at-2:])))
		}
		return int(int32(binary.BigEndian.Uint32(raw[at-4:])))
	}
	skip(1, 4)   // throttled
	skip(7, 2+4) // error, session
	if number(4) != 1 {
		return 0
	}
	at += max(0, number(2)) // topic
	if number(4) != 1 {
		return 0
	}
	at += 4 + 2 + 8 // partition, error, high watermark
	skip(4, 8)      // last stable offset
	skip(5, 8)      // start of the log
	if version >= 4 {
		at += max(0, number(4)) * (8 + 8) // aborted transactions
	}
	skip(11, 4) // preferred replica
	if number(4) < 0 || at >= len(raw) {
		return 0
	}
	return at
}

// Where in a batch what stands.
const (
	batchLength   = 8 // without what comes up to itself
	batchMagic    = 16
	batchAttrs    = 21
	batchLast     = 23 // offset, counted from the first
	batchRecords  = 57
	batchHead     = 61
	magicOfNow    = 2
	beforeItsSize = batchLength + 4
)

// unpackable is how many bytes of the records may be unpacked. If not even the first
// batch may, that is none. If all of the answer is there, then a batch that is cut
// off was not asked for.
func unpackable(records []byte, whole bool) (keep int, large *largeBatch) {
	room, places := int64(mostUnpacked), int64(mostRecords)
	for keep+batchHead <= len(records) {
		b := records[keep:]
		size := beforeItsSize + int64(int32(binary.BigEndian.Uint32(b[batchLength:])))
		if b[batchMagic] != magicOfNow || size < batchHead {
			return len(records), nil // of before Kafka 0.11, or damaged: the library says so
		}
		n := int32(binary.BigEndian.Uint32(b[batchRecords:]))
		cut := size > int64(len(b))
		if places -= int64(n); cut || places < 0 {
			room = -1
		} else {
			room -= unpackedSize(b[:size], room)
		}
		switch {
		case cut && whole:
			return keep, nil
		case room >= 0:
			keep += int(size)
		case keep > 0:
			return keep, nil
		default:
			first, last := int64(binary.BigEndian.Uint64(b)), int64(int32(binary.BigEndian.Uint32(b[batchLast:])))
			return 0, &largeBatch{last: first + last, records: n}
		}
	}
	return keep, nil
}

// unpackedSize is the size of a batch's records, counted up to a little more than
// limit.
func unpackedSize(b []byte, limit int64) int64 {
	size := int64(len(b))
	compression := protocol.Attributes(int16(binary.BigEndian.Uint16(b[batchAttrs:]))).Compression()
	if codec := compression.Codec(); codec != nil {
		r := codec.NewReader(bytes.NewReader(b[batchHead:]))
		defer r.Close()
		n, _ := io.Copy(io.Discard, io.LimitReader(r, limit+1)) // what is damaged, the library says
		size += n
	}
	return size
}
