package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"time"
)

// dialer makes connections to brokers that are ready for requests: those of the
// library's group as well as those of our own client.
type dialer struct {
	tls      *TLS
	sasl     *SASL
	clientID string
}

func newDialer(cfg Config) dialer { return dialer{cfg.TLS, cfg.SASL, clientID(cfg)} }

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ready, err := d.prepare(ctx, conn, address)
	if err != nil {
		conn.Close() // without a word to the broker: it may not be one
		return nil, err
	}
	return ready, nil
}

// prepare takes no longer than ctx.
func (d dialer) prepare(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	var err error
	if d.tls != nil {
		if conn, err = d.tls.secure(ctx, conn, address); err != nil {
			return nil, err
		}
	}
	if d.sasl == nil {
		return conn, nil
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a connection that takes no deadline is broken, which signIn finds out
	err = d.sasl.signIn(ctx, conn, address, d.clientID)
	if !stop() {
		return nil, fmt.Errorf("sign in to %s: %w", address, ctx.Err())
	}
	return conn, err
}

// dialToLook dials for the library's group, which asks for the partitions of
// its topics, when it leads, in a way that makes those that are not there. A
// topic that somebody deleted would come back at the next rebalance, where the
// broker allows that. There is no setting against it, so the request is mended
// on its way, before TLS hides it.
func (d dialer) dialToLook(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
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
