package docusign

import "math"

// Priority says what a request may spend of an hour, and who goes first where
// several wait for room.
type Priority int8

// The priorities, the first one first.
const (
	Urgent   Priority = iota // of urgent leavers, look-ups and closes
	Closes                   // of users who were looked up
	LookUps                  // leave room for the closes that they lead to
	Reopens                  // leave room for all that closes somebody
	Watching                 // leave most of our share to everything else
)

// urgentReserve is what even urgent requests leave of an hour.
const urgentReserve = 0.2

// share is the share of an hour's calls that a request leaves, where the config
// leaves reserve of it to the account's other apps.
func (p Priority) share(reserve float64) float64 {
	ours := 1 - reserve
	switch p {
	case Urgent:
		return min(reserve, urgentReserve)
	case Closes:
		return reserve
	case LookUps:
		return reserve + ours/10
	case Reopens:
		return reserve + ours/4
	}
	return reserve + ours/2
}

// floor is share in calls.
func (p Priority) floor(reserve float64, limit int) int {
	const rounding = 1e-9 // 0.55 of 3000 is 1650, and not a trifle more
	return int(math.Ceil(p.share(reserve)*float64(limit) - rounding))
}

// For is the account, with the same quota, for requests of that priority.
func (a *Account) For(p Priority) *Account {
	b := *a
	b.priority = p
	return &b
}

// Room is how many calls of the account's priority may still be sent this hour;
// if nothing is known of it yet, of a whole one.
func (a *Account) Room() int { return a.meter.room(a.priority, false) }

// HourRoom is Room at the beginning of an hour.
func (a *Account) HourRoom() int { return a.meter.room(a.priority, true) }
