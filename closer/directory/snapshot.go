package directory

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"signoff/closer/docusign"
)

// open are the statuses of those who can still sign, or could soon.
var open = []docusign.Status{docusign.Active, docusign.ActivationSent, docusign.ActivationRequired, docusign.Disabled}

// snapshot is a reading of all open users of an account, page by page. The
// account lives on meanwhile: users who come or go shift the pages, so that
// somebody may be read twice, or not at all.
type snapshot struct {
	work   *work
	wanted map[string]bool // addresses

	mu             sync.Mutex
	users          map[string]bool          // every userId seen, in lower case
	asked          map[string]docusign.User // those of the wanted addresses, or all if all are, by userId in lower case
	active         map[string]bool          // by userId in lower case
	administrators map[string]string        // active ones, userId by the same in lower case
	total          int                      // as last said; -1: never
	shrunk         bool                     // it was said to be less than before
}

func newSnapshot(w *work) *snapshot {
	s := &snapshot{work: w, wanted: make(map[string]bool, len(w.Addresses)), users: make(map[string]bool),
		asked: make(map[string]docusign.User), active: make(map[string]bool), administrators: make(map[string]string), total: -1}
	for _, a := range w.Addresses {
		s.wanted[fold(a)] = true
	}
	return s
}

// read reads what comes after the first page. If the pages have shifted
// underway, so that somebody may have been missed between two of them, all is
// read once more. What was seen in either reading counts: whoever is in neither
// is looked up by address.
func (s *snapshot) read(ctx context.Context, first docusign.Page) error {
	if err := s.pages(ctx, first); err != nil || !s.shifted() {
		return err
	}
	s.shrunk = false
	first, err := s.page(ctx, 0)
	if err != nil {
		return err
	}
	return s.pages(ctx, first)
}

// shifted says whether users may have moved from a page that was still to be
// read to one that had been, as totals and numbers show. Where as many come as
// go between two pages, nothing shows it: of a leaver with two users of one
// address the second may then be missed, and is left to whoever looks again.
func (s *snapshot) shifted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shrunk || len(s.users) < s.total
}

// pages reads all pages after the first, side by side, and then those by which
// the list has grown.
func (s *snapshot) pages(ctx context.Context, first docusign.Page) error {
	if first.Total < 0 {
		return s.tail(ctx, len(first.Users), len(first.Users))
	}
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for start := len(first.Users); start < first.Total && len(first.Users) > 0; start += pageSize {
		group.Go(func() error {
			_, err := s.page(reading, start)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if grown := s.lastTotal(); grown > first.Total {
		return s.tail(ctx, first.Total, 1)
	}
	return nil
}

func (s *snapshot) lastTotal() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// tail reads one page after the other from start on, until one brings nothing
// more. last is how many users the page before had.
func (s *snapshot) tail(ctx context.Context, start, last int) error {
	for last > 0 {
		p, err := s.page(ctx, start)
		if err != nil {
			return err
		}
		last = len(p.Users)
		start += last
		if p.Total >= 0 && start >= p.Total {
			return nil
		}
	}
	return nil
}

func (s *snapshot) page(ctx context.Context, start int) (docusign.Page, error) {
	if err := s.work.ready(ctx, Snapshot); err != nil {
		return docusign.Page{}, err
	}
	p, err := s.work.Account.UsersPage(ctx, start, open...)
	if err != nil {
		return docusign.Page{}, err
	}
	s.add(p)
	return p, nil
}

func (s *snapshot) add(p docusign.Page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Total >= 0 {
		s.shrunk = s.shrunk || p.Total < s.total
		s.total = p.Total
	}
	for _, u := range p.Users {
		id := strings.ToLower(u.ID)
		s.users[id] = true
		if s.work.Everybody || s.wanted[fold(u.Email)] {
			s.asked[id] = u
		}
		if u.Status == docusign.Active {
			s.active[id] = true
			if u.Administrator {
				s.administrators[id] = u.ID
			}
		}
	}
}

// byAddress are the users who were asked for.
func (s *snapshot) byAddress() map[string][]docusign.User {
	found := make(map[string][]docusign.User)
	for _, u := range s.asked {
		if u.Open() { // whatever the filter answers
			found[fold(u.Email)] = append(found[fold(u.Email)], u)
		}
	}
	return found
}

// everybody is every open user, in no order.
func (s *snapshot) everybody() []docusign.User {
	all := make([]docusign.User, 0, len(s.asked))
	for _, u := range s.asked {
		if u.Open() {
			all = append(all, u)
		}
	}
	return all
}

func (s *snapshot) census() *Census {
	c := &Census{Active: len(s.active)}
	for _, id := range s.administrators {
		c.Administrators = append(c.Administrators, id)
	}
	return c
}
