package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"signoff/closer/console"
)

// writeResults writes a line for each user of each person, and for each person
// without one.
func writeResults(path string, rows []console.Row) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("--results: %w", err)
	}
	w := csv.NewWriter(file)
	_ = w.Write([]string{"email", "account", "userId", "outcome", "reason", "time", "traceToken"})
	for _, r := range rows {
		if len(r.Users) == 0 {
			_ = w.Write([]string{r.Email, r.Account, "", r.State, r.Reason, "", ""})
		}
		for _, u := range r.Users {
			outcome, reason := r.State, r.Reason
			if u.Outcome != "" {
				outcome, reason = u.Outcome, ""
			}
			if u.Reason != "" {
				reason = u.Reason
			}
			at := ""
			if !u.At.IsZero() {
				at = u.At.UTC().Format(time.RFC3339)
			}
			_ = w.Write([]string{r.Email, r.Account, u.UserID, outcome, reason, at, u.TraceToken})
		}
	}
	w.Flush()
	return errors.Join(w.Error(), file.Close())
}

// progressBar shows how far a file is: a bar on a terminal, a line for each
// change elsewhere.
type progressBar struct {
	out      io.Writer
	terminal bool
	last     string
	waiting  string
}

func newProgressBar(out io.Writer) *progressBar {
	b := &progressBar{out: out}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

const barWidth = 30

func (b *progressBar) show(p console.Progress) {
	settled, counts := 0, make(map[string]int)
	for _, r := range p.Rows {
		counts[r.State]++
		if !underWay(r) {
			settled++
		}
	}
	if waiting := strings.Join(p.Waiting, "; "); waiting != b.waiting {
		b.waiting = waiting
		if waiting != "" {
			b.line("waiting: " + waiting)
		}
	}
	text := fmt.Sprintf("%d of %d: %s", settled, len(p.Rows), summary(counts))
	if text == b.last {
		return
	}
	b.last = text
	if !b.terminal {
		b.line(text)
		return
	}
	full := barWidth * settled / max(1, len(p.Rows))
	fmt.Fprintf(b.out, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), text)
}

func (b *progressBar) line(text string) {
	if b.terminal {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
	fmt.Fprintln(b.out, text)
}

// end leaves the bar as it stands.
func (b *progressBar) end() {
	if b.terminal && b.last != "" {
		fmt.Fprintln(b.out)
	}
}
