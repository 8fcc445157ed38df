package imap

import (
	"context"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// expunge serves EXPUNGE (RFC 9051 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).
func (s *session) expunge(ctx context.Context, cmd *wire.Expunge, r *reply) error {
	if s.sel.readOnly {
		return errReadOnly
	}
	uids := mail.AllUIDs
	if cmd.UID {
		var err error
		if uids, err = s.uids(cmd.Set, true); err != nil {
			return err
		}
	}
	n, err := s.expungeAll(ctx, uids, r, cmd.UID)
	r.told, r.highest = n, n > 0
	return err
}

// expungeAll expunges those of uids that are \Deleted, and returns the last
// ModSeq, 0 if there were none.
func (s *session) expungeAll(ctx context.Context, uids mail.UIDSet, r *reply, limited bool) (mail.ModSeq, error) {
	v, err := s.sel.box.Newest(ctx)
	if err != nil {
		return 0, deleted(err)
	}
	if !v.Rights.Has(mail.MayExpunge) {
		return 0, errDenied
	}
	var marked mail.UIDSet
	for _, e := range v.All() {
		if v.Flags(e).Has(mail.Deleted) && uids.Contains(e.UID) {
			marked.Add(e.UID)
		}
	}
	if limited { // EXPUNGE and CLOSE name no messages: they do all (RFC 9738 §3)
		marked = s.upTo(marked, r)
	}
	a, p := s.newAct(), s.newProgress(r.tag, marked.Count())
	for i, chunk := range chunks(marked, updateChunk) {
		if err := p.at(uint64(i * updateChunk)); err != nil {
			return a.last, err
		}
		_, err := a.update(ctx, func(tx store.Tx) error {
			_, err := s.may(tx, mail.MayExpunge)
			if err == nil {
				_, err = tx.Expunge(s.sel.id, chunk, true)
			}
			return err
		})
		if err != nil {
			return a.last, err
		}
	}
	return a.last, nil
}
