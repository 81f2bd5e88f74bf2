package docusigntest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Faults is what goes wrong. Each chance is in 0..1: 0 never, 1 always. At most
// one fault strikes a call, the first in the order below; those of single users
// strike only where none struck the call. With the same Seed and the same calls
// one after another, a run repeats.
type Faults struct {
	Seed       int64    `yaml:"seed"`
	Operations []string `yaml:"operations"` // calls that may be struck, as in Request.Operation; none: all
	Times      int      `yaml:"times"`      // so many strikes and no more; 0: no end

	CutBefore  float64 `yaml:"cut_before"`  // the connection is cut, nothing was done
	Error500   float64 `yaml:"error_500"`   // 500 in Docusign's words, nothing was done
	Busy503    float64 `yaml:"busy_503"`    // 503 with a Retry-After of BusyFor, in seconds unless Quirks.RetryAfter says "date"; nothing was done
	Blocked    float64 `yaml:"blocked"`     // 444 without a body, as the security layer answers; nothing was done
	ProxyPage  float64 `yaml:"proxy_page"`  // 200 with a proxy's HTML, the request never arrived
	ProxyError float64 `yaml:"proxy_error"` // 502 with a proxy's HTML, the request never arrived
	CutAfter   float64 `yaml:"cut_after"`   // it was done, then the connection is cut
	HalfAnswer float64 `yaml:"half_answer"` // it was done, the connection is cut in the middle of the answer
	HTML       float64 `yaml:"html"`        // it was done, a proxy answers 502 with HTML
	PageAfter  float64 `yaml:"page_after"`  // it was done, a proxy answers 200 with HTML
	Hang       float64 `yaml:"hang"`        // it was done, and no answer comes until the caller gives up

	DropBody     float64 `yaml:"drop_body"`     // closes: a proxy drops the request's body
	MissingEntry float64 `yaml:"missing_entry"` // each user closed: has no entry in the answer
	NotClosed    float64 `yaml:"not_closed"`    // each user to close: stays open, has an entry without error, with the old status

	BusyFor time.Duration `yaml:"busy_for"` // 0: 30s
}

// fault names one of Faults, as its YAML key does.
type fault string

const (
	noFault      fault = ""
	cutBefore    fault = "cut_before"
	error500     fault = "error_500"
	busy503      fault = "busy_503"
	blocked      fault = "blocked"
	proxyPage    fault = "proxy_page"
	proxyError   fault = "proxy_error"
	cutAfter     fault = "cut_after"
	halfAnswer   fault = "half_answer"
	htmlPage     fault = "html"
	pageAfter    fault = "page_after"
	hang         fault = "hang"
	dropBody     fault = "drop_body"
	missingEntry fault = "missing_entry"
	notClosed    fault = "not_closed"
	down         fault = "down" // not by chance: SetDown
)

// ofProxies are the faults whose answer is not Docusign's.
var ofProxies = []fault{proxyPage, proxyError, htmlPage, pageAfter}

// chance is a fault and how likely it is.
type chance struct {
	fault fault
	share float64
}

// ofCalls returns the faults that strike a call as a whole.
func (f Faults) ofCalls() []chance {
	return []chance{
		{cutBefore, f.CutBefore}, {error500, f.Error500}, {busy503, f.Busy503}, {blocked, f.Blocked},
		{proxyPage, f.ProxyPage}, {proxyError, f.ProxyError},
		{cutAfter, f.CutAfter}, {halfAnswer, f.HalfAnswer}, {htmlPage, f.HTML}, {pageAfter, f.PageAfter}, {hang, f.Hang},
	}
}

// ofUsers returns the faults that strike one user of a close.
func (f Faults) ofUsers() []chance {
	return []chance{{missingEntry, f.MissingEntry}, {notClosed, f.NotClosed}}
}

func (f Faults) validate() error {
	for _, c := range slices.Concat(f.ofCalls(), f.ofUsers(), []chance{{dropBody, f.DropBody}}) {
		if !(c.share >= 0 && c.share <= 1) { // also catches NaN
			return fmt.Errorf("faults.%s: %g: not in 0..1", c.fault, c.share)
		}
	}
	if f.Times < 0 {
		return fmt.Errorf("faults.times: %d: below 0", f.Times)
	}
	if f.BusyFor < 0 {
		return fmt.Errorf("faults.busy_for: %v: below 0", f.BusyFor)
	}
	for _, op := range f.Operations {
		if !slices.Contains(operations, op) {
			return fmt.Errorf("faults.operations: %q: not one of %q", op, operations)
		}
	}
	return nil
}

// dice decides which faults strike.
type dice struct {
	mu     sync.Mutex
	faults Faults
	rand   *rand.Rand
	struck int
}

func (d *dice) set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
	d.rand = rand.New(rand.NewPCG(uint64(f.Seed), 0))
	d.struck = 0
}

// forCall returns the fault that strikes a call, or noFault.
func (d *dice) forCall(operation string) fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	chances := d.faults.ofCalls()
	if operation == opCloseUsers {
		chances = append(chances, chance{dropBody, d.faults.DropBody})
	}
	return d.roll(operation, chances)
}

// forUser returns the fault that strikes one user of a close, or noFault.
func (d *dice) forUser() fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.roll(opCloseUsers, d.faults.ofUsers())
}

func (d *dice) roll(operation string, chances []chance) fault {
	if len(d.faults.Operations) > 0 && !slices.Contains(d.faults.Operations, operation) {
		return noFault
	}
	for _, c := range chances {
		if d.faults.Times > 0 && d.struck >= d.faults.Times {
			return noFault
		}
		if c.share > 0 && d.rand.Float64() < c.share {
			d.struck++
			return c.fault
		}
	}
	return noFault
}

// busyFor is how long Docusign says to be busy.
func (d *dice) busyFor() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cmp.Or(d.faults.BusyFor, 30*time.Second)
}

// jitter returns a duration in [0, most).
func (d *dice) jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.rand.Int64N(int64(most)))
}

// instead returns the answer of a fault that keeps a call from being done, and
// whether f is one.
func (s *Server) instead(f fault) (answer, bool) {
	switch f {
	case cutBefore, down:
		return answer{}, true
	case error500:
		return refusal(http.StatusInternalServerError, "UNSPECIFIED_ERROR", "An error occurred."), true
	case busy503:
		a := refusal(http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "The service is busy.")
		retryAfter(a.header, cmp.Or(s.cfg.Quirks.RetryAfter, inSeconds), s.dice.busyFor(), s.now())
		return a, true
	case blocked:
		return answer{status: 444, header: http.Header{}}, true
	case proxyPage:
		return pageOfHTML(http.StatusOK), true
	case proxyError:
		return pageOfHTML(http.StatusBadGateway), true
	}
	return answer{}, false
}
