package imap

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"lockstep/internal/imap/index"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// lookForChanges makes sure that tell will know what was committed up to now.
func (s *session) lookForChanges(ctx context.Context) error {
	if s.sel == nil {
		return nil
	}
	_, err := s.sel.box.Newest(ctx)
	return deleted(err)
}

// deleted turns the error of a mailbox that is no more into the one that ends
// the session, and marks others: a client that waits is better told to come back than
// told nothing.
func deleted(err error) error {
	switch {
	case err == nil:
		return nil
	case mail.KindOf(err) == mail.NotFound:
		return errDeleted
	}
	return errors.Join(errBlind, err)
}

// tell writes what differs between what the client was told and the newest
// Version, which is not older than n. Without expunges what has gone stays.
func (s *session) tell(n mail.ModSeq, expunges bool) error { return s.tellSome(n, expunges, true) }

// tellSome is tell, which without flags leaves messages that the client knows as
// they were, to be told of later.
func (s *session) tellSome(n mail.ModSeq, expunges, flags bool) error {
	sel := s.sel
	now, err := sel.box.At(s.ctx, n)
	if err != nil {
		return deleted(err)
	}
	if now == sel.view {
		return nil
	}
	old := sel.view
	d := index.Compare(old, now)
	if expunges {
		s.tellGone(old, d.Gone)
	}
	held := d.Held(expunges, flags)
	sel.view = index.Keep(old, now, held)
	if expunges {
		s.sayGone(old, d.Gone)
	}
	if len(held) == 0 {
		sel.told = now.HighestModSeq
	}
	if len(d.Added) > 0 {
		if !s.rev2 && !sel.readOnly && sel.at.as == 0 {
			sel.show(d.Added[0].UID)
		}
		s.sayExists()
	} else if expunges && len(d.Gone) > 0 && sel.recents != sel.countRecent() {
		s.sayRecent()
	}
	if !slices.Equal(now.Keywords(), sel.keywords) || now.Rights != old.Rights {
		s.sayFlags()
	}
	if !flags {
		d.Changed = nil
	}
	if sel.noted, err = s.changedNotes(d.Changed); err != nil {
		return deleted(err)
	}
	for _, c := range d.Changed {
		s.sayChanged(old, c)
	}
	sel.noted = nil
	if len(sel.live) > 0 {
		s.tellLive(d.Touched())
	}
	if len(d.Changed)+len(d.Added) > 0 || expunges && len(d.Gone) > 0 {
		s.brought(now.ModSeq)
	}
	sel.own = slices.DeleteFunc(sel.own, func(o ownChange) bool { return o.modseq <= now.ModSeq })
	if err := s.tellNew(d.Added); err != nil {
		return err
	}
	return s.enc.Err()
}

// tellDeparted tells of a STORE what it did to messages that somebody expunged
// right before or behind it, when that can't be told yet: the client was told OK,
// and what it sees until the EXPUNGE has to bear that out.
func (s *session) tellDeparted(r *reply) error {
	var stale mail.UIDSet
	for uid := range r.stored.All() {
		if e, ok := s.sel.view.Find(uid); ok && e.ModSeq < r.first {
			stale.Add(uid)
		}
	}
	for uid := range r.gone.All() {
		if _, ok := s.sel.view.Find(uid); ok {
			stale.Add(uid)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	var left []mail.Placement
	err := s.viewAt(s.ctx, s.sel.at, func(rd store.Reader) error {
		left = nil
		for uid := range stale.All() {
			p, err := s.departed(rd, uid, r.first)
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return err
			}
			if r.gone.Contains(uid) {
				p.Flags, p.ModSeq = r.change.Apply(p.Flags), s.sel.view.HighestModSeq
			}
			if err == nil {
				left = append(left, p)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.sel.view = s.sel.view.With(left)
	if !slices.Equal(s.sel.view.Keywords(), s.sel.keywords) {
		s.sayFlags()
	}
	for _, p := range left {
		if e, ok := s.sel.view.Find(p.UID); ok && (!r.silent || s.condstore) {
			seq, _ := s.sel.view.Seq(p.UID)
			s.sayFetch(seq, e, !r.silent)
		}
	}
	s.tellLive(stale, nil)
	return nil
}

// departed returns a message that has gone, as the client sees it: if it is a
// member's own \Seen that a STORE changed, at that STORE.
func (s *session) departed(r store.Reader, uid mail.UID, stored mail.ModSeq) (mail.Placement, error) {
	p, err := r.Departed(s.sel.id, uid)
	if err != nil || s.sel.at.as == 0 {
		return p, err
	}
	mb, err := r.Mailbox(s.sel.id)
	if err != nil || mb.CommonSeen {
		return p, err
	}
	seen, err := r.OwnSeen(s.sel.id, s.sel.at.as, mail.MakeUIDSet(uid))
	p.Flags.System &^= mail.Seen
	if len(seen) > 0 {
		p.Flags.System |= mail.Seen
	}
	p.ModSeq = max(p.ModSeq, stored)
	return p, err
}

// beginCondstore is called by what enables CONDSTORE. A client that has a mailbox
// selected then is told how far it is (RFC 7162 §3.1).
func (s *session) beginCondstore() {
	if s.condstore {
		return
	}
	s.condstore = true
	s.sayHighest()
}

func (s *session) sayHighest() {
	if s.sel != nil {
		s.enc.Star().Atom("OK").OpenCode("HIGHESTMODSEQ").Number(uint64(s.sel.told)).CloseCode().Text("Highest").End()
	}
}

// sayGone writes EXPUNGE or VANISHED.
func (s *session) sayGone(old *index.Version, gone []index.Entry) {
	if len(gone) == 0 {
		return
	}
	if s.qresync || s.uidOnly {
		var uids mail.UIDSet
		for _, e := range gone {
			uids.Add(e.UID)
		}
		s.enc.Star().Atom("VANISHED").UIDs(uids).End()
		return
	}
	for i, e := range gone {
		seq, _ := old.Seq(e.UID)
		s.enc.Star().Number(uint64(seq) - uint64(i)).Atom("EXPUNGE").End()
	}
}

// sayChanged writes FETCH for changed flags. Of a silent STORE of this session
// the client knows the flags, unless somebody else changed the message too; the
// MODSEQ it does not know (RFC 7162 §3.1.3).
func (s *session) sayChanged(old *index.Version, c index.Change) {
	seq, ok := s.sel.view.Seq(c.New.UID)
	if !ok {
		return
	}
	known := false
	for _, o := range s.sel.own {
		if o.modseq == c.New.ModSeq && o.change.Apply(old.Flags(c.Old)) == s.sel.view.Flags(c.New) {
			known = true
		}
	}
	if !known || s.condstore || s.sel.noted[c.New.UID] != nil {
		s.sayFetch(seq, c.New, !known)
	}
}

// sayFetch writes an unsolicited FETCH.
func (s *session) sayFetch(seq uint32, e index.Entry, flags bool) {
	out := s.beginFetch(s.enc, seq, e.UID)
	if !s.uidOnly {
		out.Atom("UID").Number(uint64(e.UID))
	}
	if flags {
		s.appendFlagsTo(out.Atom("FLAGS"), e)
	}
	if s.condstore {
		out.Atom("MODSEQ").Open().Number(uint64(e.ModSeq)).Close()
	}
	if names := s.sel.noted[e.UID]; names != nil {
		out.Atom("ANNOTATION").Open()
		for _, name := range names {
			out.AString(name)
		}
		out.Close()
	}
	out.Close().End()
}

func decimal[T ~uint64](n T) string { return strconv.FormatUint(uint64(n), 10) }
