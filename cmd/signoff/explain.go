package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"signoff/closer/console"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// explainCommand tells what became of one leaver or one event, and what happens
// next.
func explainCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	way := reachFlags(flags)
	output := flags.String("output", "text", "`text` or json")
	source := flags.String("source", "", "`SOURCE` (CloudEvents) of the event, where several use the same id")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	if len(words) != 1 || strings.TrimSpace(words[0]) == "" {
		return usageError{errors.New("EMAIL | EVENT-ID: one of an address of the leaver, or the id of an event, is needed")}
	}
	if *output != "text" && *output != "json" {
		return usageError{fmt.Errorf("--output: %q: neither text nor json", *output)}
	}
	story, err := explainBy(ctx, way, questions(words[0], *source))
	if err != nil {
		return err
	}
	if *output == "json" {
		return printJSON(out, story)
	}
	return printStory(out, story)
}

// questions are what a word may ask for, in turn: what looks like an address may
// be the id of an event as well.
func questions(word, source string) []console.Question {
	word = strings.TrimSpace(word)
	byEvent := console.Question{Event: word, Source: source}
	byEmail := console.Question{Email: word}
	if source != "" || byEmail.Validate() != nil {
		return []console.Question{byEvent}
	}
	return []console.Question{byEmail, byEvent}
}

// explainBy asks these questions, until one of them finds something. An error is
// that of the first one.
func explainBy(ctx context.Context, way way, asks []console.Question) (story console.Story, err error) {
	client, l, err := way.reach(ctx)
	if err != nil {
		return story, err
	}
	ask := func(q console.Question) (console.Story, error) { return client.Explain(ctx, q) }
	if l != nil {
		defer func() { _ = l.Close() }()
		cfg, err := loadConfig(*way.configFile)
		if err != nil {
			return story, err
		}
		ask = func(q console.Question) (console.Story, error) {
			if err := q.Validate(); err != nil {
				return console.Story{}, usageError{err}
			}
			told, err := l.Explain(ctx, ledger.Question(q))
			return console.Explain(told, cfg.pace()), err
		}
	}
	for i, q := range asks {
		found, failed := ask(q)
		if failed == nil {
			return found, nil
		}
		if i == 0 {
			err = failed
		}
		if !notKnown(failed) {
			return story, failed
		}
	}
	return story, err
}

// notKnown says whether nothing was found, as against a ledger or a daemon that
// could not be asked.
func notKnown(err error) bool {
	if refused, ok := errors.AsType[*console.AnswerError](err); ok {
		return refused.Detail == ledger.ErrNobodyBy.Error() || refused.Detail == ledger.ErrNeverHeard.Error()
	}
	return errors.Is(err, ledger.ErrNobodyBy) || errors.Is(err, ledger.ErrNeverHeard)
}

// pace is what a story needs to know of the config.
func (c config) pace() console.Pace {
	return console.Pace{DryRun: c.Mode != modeClose, Accounts: c.Docusign.Accounts.ids(), Interval: c.Batch.Interval,
		Watch: c.Docusign.Watch, LookUp: docusign.RequestTimeout, Deadline: c.Batch.Deadline, People: c.Guard.Approvals}
}

// printStory prints a timeline for each leaving, then how it stands.
func printStory(out io.Writer, s console.Story) error {
	p := &printer{out: out}
	if s.DryRun {
		p.line("DRY RUN: nobody is closed until the config says mode: close")
	}
	for _, e := range s.Events {
		p.event(e)
	}
	for i, l := range s.Leavers {
		if i > 0 || len(s.Events) > 0 {
			p.line("")
		}
		p.leaver(l)
	}
	if s.MoreLeavers > 0 {
		p.line("")
		p.line("%d more leavers go by the same, and are left out: ask for an address that is theirs alone", s.MoreLeavers)
	}
	return p.err
}

// printer keeps the first error of those who print line by line.
type printer struct {
	out io.Writer
	err error
}

// line prints a line, each word of which from outside is made printable.
func (p *printer) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = oneLine(text)
		}
	}
	_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *printer) event(e console.StoryEvent) {
	p.line("%s event %s of %s (%s), received %s", e.Kind, e.ID, e.Source, e.Origin, e.ReceivedAt.Format(time.RFC3339))
	p.line("  now:  %s", e.Now)
	p.lines("next: ", e.Next)
	p.lines("can:  ", e.Can)
}

// lines has a word before the first of them.
func (p *printer) lines(word string, all []string) {
	for i, text := range all {
		if i > 0 {
			word = strings.Repeat(" ", len(word))
		}
		p.line("  "+word+"%s", text)
	}
}

func (p *printer) leaver(l console.StoryLeaver) {
	switch len(l.Emails) {
	case 0:
		p.line("a leaver whose addresses were erased")
	case 1:
		p.line("%s", l.Emails[0])
	default:
		p.line("%s (also %s)", l.Emails[0], strings.Join(l.Emails[1:], ", "))
	}
	if l.MoreLeavings > 0 {
		p.line("%d earlier leavings are left out", l.MoreLeavings)
	}
	for _, leaving := range l.Leavings {
		p.leaving(leaving)
	}
}

func (p *printer) leaving(l console.StoryLeaving) {
	p.line("")
	p.line("leaving of %s, entry %d", l.EffectiveAt.Format(time.RFC3339), l.Entry)
	for _, s := range l.Steps {
		p.line("  %s  %s", s.At.Format(time.RFC3339), s.Words)
	}
	for _, place := range l.Places {
		account := "no account yet"
		if place.Account != "" {
			account = "account " + place.Account
		}
		p.line("  %s, %s", account, place.State)
		p.line("  now:  %s", place.Now)
		p.lines("next: ", place.Next)
		p.lines("can:  ", place.Can)
	}
}
