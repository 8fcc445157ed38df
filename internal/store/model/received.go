package model

import (
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// ByDate sorts them all.
func (r reader) ByDate(q store.DateQuery) ([]mail.Dated, error) {
	s := r.raw()
	b, err := s.box(q.Mailbox)
	if err != nil {
		return nil, err
	}
	if q.Limit < 1 {
		return nil, mail.Errorf(mail.Invalid, "a page holds at least one message")
	}
	var all []mail.Dated
	for _, p := range b.list {
		d := mail.Dated{Date: s.messages.get(int64(p.Message)).InternalDate.UTC(), UID: p.UID}
		if !d.Date.Before(q.Since) && (q.Before.IsZero() || d.Compare(q.Before) < 0) {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b mail.Dated) int { return b.Compare(a) })
	return all[:min(len(all), q.Limit)], nil
}

// Versions looks at all there are and were.
func (r reader) Versions(q store.VersionQuery) ([]mail.Version, error) {
	s := r.state()
	b, err := s.box(q.Mailbox)
	if err != nil {
		return nil, err
	}
	if q.LeftAfter != 0 && q.LeftAfter < s.account.Exact() {
		return nil, tooOld()
	}
	var found []mail.Version
	note := func(p mail.Placement, left mail.ModSeq) {
		asked := slices.ContainsFunc(q.Lines, func(l mail.Lineage) bool { return l.Line() == p.Lineage.Line() })
		if asked && !(q.Later && p.Lineage == mail.Lineage(p.ID)) {
			found = append(found, mail.Version{Placement: s.placed(&p), Date: s.messages.get(int64(p.Message)).InternalDate.UTC(), Left: left})
		}
	}
	for _, p := range b.list {
		note(*p, 0)
	}
	for _, d := range s.left[q.Mailbox] {
		if q.LeftAfter != 0 && d.at > q.LeftAfter {
			note(d.Placement, d.at)
		}
	}
	slices.SortFunc(found, mail.Version.Compare)
	return found, nil
}
