package webhook

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"
)

// firstRoom is how much of a body there is room for at first, in bytes.
const firstRoom = 4 << 10

// How much of a body that is too large is let come, in bytes, and for how long.
const (
	mostSent = 4 << 20
	sentIn   = 2 * time.Second
)

// letSend reads what nobody wants: many senders look for an answer only once they
// have sent all, and take a connection that ends meanwhile for an outage, after
// which they send it again. Who waits for a 100 need not send it at all.
func letSend(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Expect") != "" || http.NewResponseController(w).SetReadDeadline(time.Now().Add(sentIn)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, mostSent)
}

// readBody reads a body of at most limit bytes. Room for it is taken as it
// arrives, so that those who send slowly, and may not even be allowed to send,
// don't take up the room of others. The function gives it back.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, room *semaphore.Weighted) (body []byte, done func(), no *refusal) {
	tooLarge := &refusal{status: http.StatusRequestEntityTooLarge,
		detail: "larger than " + strconv.FormatInt(limit, 10) + " bytes"}
	if r.ContentLength > limit {
		letSend(w, r)
		return nil, nil, tooLarge
	}
	taken := int64(0)
	done = func() { room.Release(taken) }
	from := http.MaxBytesReader(w, r.Body, limit)
	for err := error(nil); err == nil; {
		if len(body) == cap(body) {
			more := max(firstRoom, int64(cap(body)))
			if !room.TryAcquire(more) {
				done()
				return nil, nil, errBusy
			}
			taken += more
			body = append(make([]byte, 0, taken), body...)
		}
		var n int
		n, err = from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		var large *http.MaxBytesError
		switch {
		case err == nil, errors.Is(err, io.EOF):
		case errors.As(err, &large):
			done()
			letSend(w, r)
			return nil, nil, tooLarge
		default:
			done()
			return nil, nil, &refusal{status: http.StatusBadRequest, detail: "the body ended early", cause: err}
		}
	}
	return body, done, nil
}
