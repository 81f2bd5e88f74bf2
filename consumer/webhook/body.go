package webhook

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"golang.org/x/sync/semaphore"
)

// firstRoom is how much of a body there is room for at first, in bytes.
const firstRoom = 4 << 10

// readBody reads a body of at most limit bytes. Room for it is taken as it
// arrives, so that those who send slowly, and may not even be allowed to send,
// don't take up the room of others. The function gives it back.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, room *semaphore.Weighted) (body []byte, done func(), no *refusal) {
	tooLarge := &refusal{status: http.StatusRequestEntityTooLarge,
		detail: "larger than " + strconv.FormatInt(limit, 10) + " bytes"}
	if r.ContentLength > limit { // it may wait for a 100: then it need not be sent at all
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
			return nil, nil, tooLarge
		default:
			done()
			return nil, nil, &refusal{status: http.StatusBadRequest, detail: "the body ended early", cause: err}
		}
	}
	return body, done, nil
}
