package webhook

import (
	"context"
	"net"
	"net/http"

	"golang.org/x/sync/semaphore"
)

// connections bounds how many are open: more than that wait to be accepted.
// The connections themselves are left as they are, unlike by x/net's
// LimitListener, since the server half-closes one when it answers early, so that
// the answer is not lost.
type connections struct{ room *semaphore.Weighted }

func newConnections(n int64) connections { return connections{semaphore.NewWeighted(n)} }

// limit returns l with the bound. It accepts nothing more once ctx has ended.
func (c connections) limit(ctx context.Context, l net.Listener) net.Listener {
	return limited{l, func() (net.Conn, error) {
		if c.room.Acquire(ctx, 1) != nil {
			return nil, net.ErrClosed
		}
		conn, err := l.Accept()
		if err != nil {
			c.room.Release(1)
		}
		return conn, err
	}}
}

// changed gives the room back. It is the server's ConnState.
func (c connections) changed(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		c.room.Release(1)
	}
}

type limited struct {
	net.Listener
	accept func() (net.Conn, error)
}

// Accept waits for room first.
func (l limited) Accept() (net.Conn, error) { return l.accept() }
