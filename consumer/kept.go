package consumer

import (
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// LookAgain is how often at most a file is asked whether it has changed.
const LookAgain = time.Second

// Kept is what was read from files that may change while we run: secrets,
// certificates, people. While a new version of them is missing or wrong, what the
// last good one said stands: an edit half done must not turn the senders away. It
// may be used by many goroutines.
type Kept[T any] struct {
	what  string // for the log
	files []string
	read  func() (T, error)
	log   *zap.Logger

	mu    sync.Mutex
	value T
	seen  []os.FileInfo // of the versions last looked at; nil for a file that was away
	next  time.Time     // to look
}

// Keep reads the files for the first time; what is their name in the log. An error
// is that of read, whose texts name the file and quote nothing of it.
func Keep[T any](what string, log *zap.Logger, read func() (T, error), files ...string) (*Kept[T], error) {
	k := &Kept[T]{what: what, files: files, read: read, log: log, seen: stat(files), next: time.Now().Add(LookAgain)}
	var err error
	k.value, err = read()
	return k, err
}

// Get reads the files again if one of them has changed.
func (k *Kept[T]) Get() T {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if now.Before(k.next) {
		return k.value
	}
	k.next = now.Add(LookAgain)
	found := stat(k.files) // before they are read: what changes meanwhile is seen next time
	if slices.EqualFunc(found, k.seen, sameVersion) {
		return k.value
	}
	k.seen = found
	value, err := k.read()
	if err != nil {
		k.log.Error(k.what+" could not be read again, what was there before stands", zap.Error(err))
		return k.value
	}
	k.value = value
	k.log.Info(k.what+" read again", zap.Strings("files", k.files))
	return k.value
}

func stat(files []string) []os.FileInfo {
	found := make([]os.FileInfo, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			found[i] = info
		}
	}
	return found
}

func sameVersion(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
