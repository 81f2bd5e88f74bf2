package kafka

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
)

// dialToLook dials for the library's group, which asks for the partitions of
// its topics, when it leads, in a way that makes those that are not there. A
// topic that somebody deleted would come back at the next rebalance, where the
// broker allows that. There is no setting against it, so the request is mended
// on its way. Under TLS this must do the handshake too: the Dialer's own TLS
// would hide the requests from it.
func dialToLook(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lookingConn{Conn: conn}, nil
}

// lookingConn is a connection to a broker on which asking for topics makes none.
type lookingConn struct {
	net.Conn
	rest     int  // bytes to come of the request under way
	metadata bool // it asks for topics
}

// Write sends what the library wrote, a request or a part of one.
func (c *lookingConn) Write(b []byte) (int, error) {
	const metadataKey, saysWhetherToMake, headerSize = 3, 4, 8
	if c.rest <= 0 && len(b) >= headerSize {
		c.rest = 4 + int(binary.BigEndian.Uint32(b))
		key, version := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
		c.metadata = key == metadataKey && version >= saysWhetherToMake
	}
	c.rest -= len(b)
	if c.rest == 0 && c.metadata { // up to version 7, the last byte is whether to make them
		b = slices.Clone(b)
		b[len(b)-1] = 0
	}
	return c.Conn.Write(b)
}
