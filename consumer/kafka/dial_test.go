package kafka

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
)

// request is a frame as the library sends it; its last byte is 1.
func request(key, version uint16, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size-4))
	b = binary.BigEndian.AppendUint16(b, key)
	b = binary.BigEndian.AppendUint16(b, version)
	return append(append(b, bytes.Repeat([]byte{7}, size-9)...), 1)
}

func TestLookingConnMakesNoTopics(t *testing.T) {
	const metadata, versions = 3, 18
	for name, c := range map[string]struct {
		pieces [][]byte
		mended int // the byte of all that is sent as 0; -1: none
	}{
		"metadata":                {[][]byte{request(metadata, 6, 60)}, 59},
		"metadata in two pieces":  {[][]byte{request(metadata, 6, 6000)[:4096], request(metadata, 6, 6000)[4096:]}, 5999},
		"metadata after another":  {[][]byte{request(versions, 0, 20), request(metadata, 4, 60)}, 79},
		"metadata before another": {[][]byte{request(metadata, 6, 60), request(versions, 6, 60)}, 59},
		"metadata that can't say": {[][]byte{request(metadata, 1, 60)}, -1},
		"something short":         {[][]byte{{1}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			got := make(chan []byte)
			go func() {
				all, _ := io.ReadAll(there)
				got <- all
			}()
			conn := &lookingConn{Conn: here}
			want := bytes.Join(c.pieces, nil)
			for _, piece := range c.pieces {
				before := bytes.Clone(piece)
				if n, err := conn.Write(piece); n != len(piece) || err != nil || !bytes.Equal(piece, before) {
					t.Fatalf("wrote %d of %x, now %x: %v", n, before, piece, err)
				}
			}
			here.Close()
			if c.mended >= 0 {
				want[c.mended] = 0
			}
			if sent := <-got; !bytes.Equal(sent, want) {
				t.Errorf("sent %x, want %x", sent, want)
			}
		})
	}
}
