package consumer

// Reading is how far the reading of Kafka is. The source writes it to the
// ledger; the closer makes no plan before the backlog is read, since the word
// that takes a termination back may lie further on.
type Reading string

// The states of reading.
const (
	Joining    Reading = "joining"     // not a member of the group yet
	CatchingUp Reading = "catching_up" // reading up to where each partition ended when we got it
	UpToDate   Reading = "up_to_date"
	Away       Reading = "away"       // a broker does not answer
	Paused     Reading = "paused"     // too many open rejects, or the ledger can't be written
	NeedsFrom  Reading = "needs_from" // the ledger is empty beside committed offsets: start with --from
)

// Readings lists every Reading.
func Readings() []Reading {
	return []Reading{Joining, CatchingUp, UpToDate, Away, Paused, NeedsFrom}
}
