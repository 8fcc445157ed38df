package imap

import (
	"context"
	"strconv"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var errReadOnly = errNo("CANNOT", "The mailbox was opened for reading only")

// uids returns the messages that a command's set names, as UIDs that the client
// has been told of. A sequence number past the last message is BAD.
func (s *session) uids(set wire.SeqSet, byUID bool) (mail.UIDSet, error) {
	v := s.sel.view
	if set.Saved && len(set.Ranges) > 0 {
		saved := v.UIDs(s.saved)
		set.Saved = false
		others, err := s.uids(set, byUID)
		return union(others, saved), err
	}
	switch {
	case set.Saved:
		return v.UIDs(s.saved), nil
	case byUID:
		return v.UIDs(set.UIDs(v.Largest())), nil
	}
	var out mail.UIDSet
	for _, r := range set.Resolve(v.Len()) {
		if r.Last > v.Len() {
			return nil, errBad("There is no message " + strconv.FormatUint(uint64(r.Last), 10))
		}
		for _, e := range v.Range(r.First, r.Last) {
			out.Add(e.UID)
		}
	}
	return out, nil
}

// chunks cuts a set into sets of at most n UIDs.
func chunks(set mail.UIDSet, n int) []mail.UIDSet {
	var out []mail.UIDSet
	var chunk mail.UIDSet
	room := uint64(n)
	for _, r := range set {
		for r.First <= r.Last {
			last := mail.UID(min(uint64(r.Last), uint64(r.First)+room-1))
			chunk = append(chunk, mail.UIDRange{First: r.First, Last: last})
			room -= uint64(last-r.First) + 1
			if room == 0 {
				out, chunk, room = append(out, chunk), nil, uint64(n)
			}
			if last == r.Last {
				break
			}
			r.First = last + 1
		}
	}
	if len(chunk) > 0 {
		out = append(out, chunk)
	}
	return out
}

// act is what one command changes in one transaction or several.
type act struct {
	s    *session
	at   reach
	by   mail.Origin // zero until it is needed
	last mail.ModSeq // of its newest commit
}

// newAct begins an act on the selected mailbox.
func (s *session) newAct() *act { return &act{s: s, at: s.sel.at} }

func (a *act) update(ctx context.Context, fn func(store.Tx) error) (mail.ModSeq, error) {
	if a.by.IsZero() {
		by, err := a.s.originAt(ctx, a.at)
		if err != nil {
			return 0, err
		}
		a.by = by
	}
	n, err := a.s.commit(ctx, a.at.account, a.by, fn)
	if a.last == 0 && n != 0 {
		a.by = a.by.InAct(mail.ActID(n))
	}
	a.last = max(a.last, n)
	return n, err
}

func flagChange(cmd *wire.Store) (mail.FlagChange, error) {
	names := make([]string, 0, len(cmd.Flags))
	for _, f := range cmd.Flags {
		if isRecent(f) {
			return mail.FlagChange{}, errBad(`\Recent can't be changed`)
		}
		names = append(names, f)
	}
	flags, err := mail.NewFlags(names...)
	switch {
	case err != nil:
		return mail.FlagChange{}, err
	case cmd.Mode == wire.StoreAdd:
		return mail.FlagChange{Add: flags}, nil
	case cmd.Mode == wire.StoreRemove:
		return mail.FlagChange{Remove: flags}, nil
	}
	return mail.FlagChange{Add: flags, Replace: true}, nil
}

// store serves STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3, RFC 5257
// §4.5).
func (s *session) store(ctx context.Context, cmd *wire.Store, r *reply) error {
	if s.sel.readOnly {
		return errReadOnly
	}
	if cmd.UnchangedSince != nil {
		s.beginCondstore()
	}
	change, err := flagChange(cmd)
	if err != nil {
		return err
	}
	uids, err := s.uids(cmd.Set, cmd.UID)
	if err != nil {
		return err
	}
	uids = s.upTo(uids, r)
	var done store.StoreResult
	if cmd.Annotation != nil {
		done, err = s.storeAnnotation(ctx, uids, cmd, r)
	} else {
		done, err = s.storeFlags(ctx, uids, change, cmd, r)
	}
	if err != nil {
		return err
	}
	if r.silent = cmd.Silent || cmd.Annotation != nil; !r.silent {
		r.also = done.Same
	}
	r.stored, r.change = done.Changed, change
	switch {
	case len(done.Modified) > 0 && cmd.UID:
		r.code = "MODIFIED " + done.Modified.String()
	case len(done.Modified) > 0:
		r.code = "MODIFIED " + s.seqs(done.Modified).String()
	}
	if gone := uids.Without(done.Changed).Without(done.Same).Without(done.Modified); len(gone) > 0 && !cmd.UID {
		return s.storedOnGone(gone, cmd, r)
	}
	return nil
}

// storedOnGone answers a STORE that names messages of which the client has yet to
// hear that they are gone. It is as if the STORE had come just before the EXPUNGE:
// done, and nothing to worry about. Where the client said what it knows of them,
// or gave a text to keep, it has to learn that it was too late; with MODIFIED where
// both are so (RFC 7162 §3.1.3).
func (s *session) storedOnGone(gone mail.UIDSet, cmd *wire.Store, r *reply) error {
	if cmd.UnchangedSince != nil || cmd.Annotation != nil {
		return errExpunged
	}
	r.gone, r.code, r.text = gone, "EXPUNGEISSUED", "STORE completed, but some of the messages are gone"
	return nil
}

var errExpunged = errNo("EXPUNGEISSUED", "Some of the messages are gone")

// storeFlags changes the flags in one act.
func (s *session) storeFlags(ctx context.Context, uids mail.UIDSet, change mail.FlagChange, cmd *wire.Store, r *reply) (all store.StoreResult, err error) {
	a, p := s.newAct(), s.newProgress(r.tag, uids.Count())
	for i, chunk := range chunks(uids, updateChunk) {
		if err := p.at(uint64(i * updateChunk)); err != nil {
			return all, err
		}
		var res store.StoreResult
		n, err := a.update(store.Foresee(ctx, store.Foresight{Mailbox: s.sel.id, UIDs: chunk}), func(tx store.Tx) error {
			rights, err := s.may(tx, mail.MayRead)
			if err != nil {
				return err
			}
			permitted, some := change.Permitted(rights)
			if !some {
				return errDenied
			}
			permitted.As = s.sel.at.as
			res, err = tx.StoreFlags(s.sel.id, chunk, permitted, cmd.UnchangedSince)
			return err
		})
		if err != nil {
			return all, err
		}
		if n != 0 && s.sel.at.as == 0 { // what a member may change is another matter
			s.sel.box.Flagged(n, res.Changed, change)
		}
		all.Changed = append(all.Changed, res.Changed...)
		all.Same = append(all.Same, res.Same...)
		all.Modified = append(all.Modified, res.Modified...)
		if cmd.Silent && n != 0 {
			s.sel.own = append(s.sel.own, ownChange{n, change})
		}
		r.told = a.last
		if r.first == 0 {
			r.first = n
		}
	}
	return all, nil
}

// seqs turns UIDs into sequence numbers, written as a set.
func (s *session) seqs(uids mail.UIDSet) mail.UIDSet {
	var out mail.UIDSet
	for uid := range uids.All() {
		if seq, ok := s.sel.view.Seq(uid); ok {
			out.Add(mail.UID(seq))
		}
	}
	return out
}
