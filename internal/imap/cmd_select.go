package imap

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// selection is the selected mailbox.
type selection struct {
	id       mail.MailboxID
	at       reach
	readOnly bool
	annotate bool                  // annotations that others change are told (RFC 5257 §4.2)
	after    uint32                // the sequence number that FETCH asked for alone last
	noted    map[mail.UID][]string // entries that others changed, while they are told
	box      *index.Box

	// view is the mailbox as the client sees it: sequence numbers are its. It may
	// still hold what has gone, as long as that can't be told.
	view *index.Version
	// told is the HighestModSeq up to which nothing was held back (RFC 7162 §3.2).
	told     mail.ModSeq
	keywords []string    // those FLAGS has named
	recent   mail.UIDSet // what is \Recent in this session and no other (RFC 3501 §2.3.2)
	recents  uint64      // how many the client was told
	own      []ownChange // silent STOREs not told of yet
	next     *next       // messages read ahead; nil: none
	live     []*liveSearch
}

// ownChange is what a silent STORE of this session committed.
type ownChange struct {
	modseq mail.ModSeq
	change mail.FlagChange
}

// selectMailbox serves SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.1.8 and
// §3.2.5).
func (s *session) selectMailbox(ctx context.Context, cmd *wire.Select, r *reply) error {
	r.noTell = true
	if cmd.QResync != nil && !s.qresync {
		return errBad("QRESYNC has to be enabled first")
	}
	if s.sel != nil {
		s.leaveMailbox()
		s.enc.Status("", "OK", "CLOSED", "Previous mailbox closed")
	}
	at, mb, rights, err := s.visit(ctx, cmd.Mailbox, mail.MayRead)
	if err != nil {
		return err
	}
	if cmd.CondStore {
		s.condstore = true
	}
	sel := &selection{id: mb.ID, at: at, readOnly: cmd.ReadOnly, annotate: cmd.Annotate, box: s.srv.cache.OpenAs(at.account, mb.ID, at.as)}
	if s.notify != nil && wantsMessages(s.notify.selected) {
		sel.box.Wake(s) // before looking
	}
	if sel.view, err = sel.box.Newest(ctx); err == nil {
		err = s.claimRecent(ctx, sel)
	}
	if err != nil {
		sel.box.Sleep(s)
		sel.box.Close()
		return err
	}
	s.sel, s.state = sel, selected
	s.notify.setSelected(s.selectedID())
	sel.told = sel.view.HighestModSeq
	s.describe(mb)
	if cmd.QResync != nil {
		if err := s.resync(ctx, cmd.QResync); err != nil {
			return err
		}
	}
	s.brought(sel.view.ModSeq)
	r.code, r.text = "READ-WRITE", "Selected"
	if cmd.ReadOnly || !writable(mb, rights) {
		r.code, r.text = "READ-ONLY", "Selected for reading"
	}
	return nil
}

// writable says whether a mailbox is READ-WRITE to who has the rights (RFC 4314
// §5.2). A \Seen of one's own does not make it so, and can be stored all the same.
func writable(mb mail.Mailbox, rights mail.Rights) bool {
	shared := mail.MayInsert | mail.MayExpunge | mail.MayWrite | mail.MayDeleteMessages
	if mb.CommonSeen {
		shared |= mail.MaySee
	}
	return rights&shared != 0
}

// brought notes up to where the lines not flushed yet bring the session's device.
// Of what is in the accounts of others nobody keeps that.
func (s *session) brought(n mail.ModSeq) {
	if s.sel.at.as == 0 {
		s.wrote = n
	}
}

func (s *session) view(ctx context.Context, fn func(store.Reader) error) error {
	return s.srv.Store.View(ctx, s.user.Account(), fn)
}

func (s *session) update(ctx context.Context, fn func(store.Tx) error) (mail.ModSeq, error) {
	return s.commit(ctx, s.user.Account(), s.origin(), fn)
}

// commit is Update, and keeps in mind that it was this session's.
func (s *session) commit(ctx context.Context, account mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	n, err := s.srv.Store.Update(ctx, account, by, fn)
	s.notify.did(account, n)
	return n, err
}

func (s *session) origin() mail.Origin {
	return s.user.Origin().WithSession(s.sock.RemoteAddr().String())
}

// claimRecent finds out which messages are \Recent in this session, which is asked
// only if something arrived since it last was.
func (s *session) claimRecent(ctx context.Context, sel *selection) error {
	if s.rev2 || sel.readOnly || sel.at.as != 0 || sel.view.UIDNext <= sel.box.Claimed() {
		return nil
	}
	var first mail.UID
	err := s.srv.Store.Note(ctx, s.user.Account(), func(n store.Notes) (err error) {
		first, err = n.ClaimRecent(sel.id)
		return err
	})
	if err == nil {
		sel.box.SetClaimed(sel.view.UIDNext)
		sel.show(first)
	}
	return err
}

// show makes messages from first on \Recent that no other session was told of.
func (sel *selection) show(first mail.UID) {
	next := sel.view.UIDNext
	if first = sel.box.Show(first, next); first < next {
		sel.recent.AddRange(first, next-1)
	}
	if len(sel.recent) > maxRecentRanges {
		sel.recent = slices.Delete(sel.recent, 0, 1)
	}
}

// countRecent counts what is \Recent and still there.
func (sel *selection) countRecent() (n uint64) {
	for _, r := range sel.recent {
		if lo, hi := sel.view.Seqs(r.First, r.Last); lo <= hi {
			n += uint64(hi - lo + 1)
		}
	}
	return n
}

func (s *session) sayExists() {
	s.enc.Star().Number(uint64(s.sel.view.Len())).Atom("EXISTS").End()
	s.sayRecent()
}

// sayRecent writes RECENT, which goes with every change of a mailbox's size (RFC
// 3501 §7.3.2).
func (s *session) sayRecent() {
	if s.rev2 {
		return
	}
	s.sel.recents = s.sel.countRecent()
	s.enc.Star().Number(s.sel.recents).Atom("RECENT").End()
}

// describe writes the untagged responses of SELECT.
func (s *session) describe(mb mail.Mailbox) {
	v, e := s.sel.view, s.enc
	s.sayExists()
	s.sayFlags()
	if n := firstUnseen(v); n > 0 && !s.rev2 && !s.uidOnly {
		e.Star().Atom("OK").OpenCode("UNSEEN").Number(uint64(n)).CloseCode().Text("First unseen").End()
	}
	e.Star().Atom("OK").OpenCode("UIDVALIDITY").Number(uint64(v.UIDValidity)).CloseCode().Text("UIDs valid").End()
	e.Star().Atom("OK").OpenCode("UIDNEXT").Number(uint64(v.UIDNext)).CloseCode().Text("Next UID").End()
	e.Star().Atom("OK").OpenCode("HIGHESTMODSEQ").Number(uint64(v.HighestModSeq)).CloseCode().Text("Highest").End()
	e.Star().Atom("OK").OpenCode("MAILBOXID").Open().Atom(s.sel.at.objectID(mb.ID)).Close().CloseCode().Text("Mailbox").End()
	e.Star().Atom("OK").OpenCode("ANNOTATIONS").Atom(s.annotationLevel()).CloseCode().Text("Notes").End()
	if s.rev2 {
		e.Star().Atom("LIST").Open().Close().String(mail.Delimiter).Mailbox(s.sel.at.name(mb.Path)).End()
	}
}

// annotationLevel is what the mailbox takes of annotations (RFC 5257 §4.1).
func (s *session) annotationLevel() string {
	if s.sel.readOnly {
		return "READ-ONLY"
	}
	return strconv.Itoa(mail.MaxAnnotationBytes)
}

func firstUnseen(v *index.Version) uint32 {
	for seq, e := range v.All() {
		if !v.Flags(e).Has(mail.Seen) {
			return seq
		}
	}
	return 0
}

// sayFlags writes FLAGS and PERMANENTFLAGS.
func (s *session) sayFlags() {
	words := s.sel.view.Keywords()
	s.sel.keywords = words
	all := append([]string{`\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`}, words...)
	s.enc.Star().Atom("FLAGS").Words(all...).End()
	permanent := permanentFlags(append(slices.Clip(all), `\*`), s.sel.view.Rights)
	if s.sel.readOnly {
		permanent = nil
	}
	s.enc.Star().Atom("OK").OpenCode("PERMANENTFLAGS").Words(permanent...).CloseCode().Text("Limited").End()
}

// permanentFlags are those that who has the rights may change (RFC 4314 §5.1.1).
func permanentFlags(all []string, r mail.Rights) []string {
	return slices.DeleteFunc(all, func(f string) bool {
		switch f {
		case `\Seen`:
			return !r.Has(mail.MaySee)
		case `\Deleted`:
			return !r.Has(mail.MayDeleteMessages)
		}
		return !r.Has(mail.MayWrite)
	})
}

// resync tells a client that comes back what happened since (RFC 7162 §3.2.5.1).
func (s *session) resync(ctx context.Context, q *wire.QResync) error {
	if q.UIDValidity != s.sel.view.UIDValidity {
		return nil
	}
	known := q.Known
	if known == nil {
		known = mail.AllUIDs
	}
	if err := s.vanishedEarlier(ctx, known, q.ModSeq); err != nil {
		return err
	}
	for seq, e := range s.sel.view.All() {
		if e.ModSeq > q.ModSeq && (q.Known == nil || known.Contains(e.UID)) {
			s.sayFetch(seq, e, true)
		}
	}
	return nil
}

// vanishedEarlier names those of known that are gone, as far as they left after
// since. Below the horizon that can't be told, and all that are gone are named.
func (s *session) vanishedEarlier(ctx context.Context, known mail.UIDSet, since mail.ModSeq) error {
	sel := s.sel
	known = common(known, mail.UIDSet{{First: 1, Last: sel.view.UIDNext - 1}})
	var gone mail.UIDSet
	err := s.viewAt(ctx, s.sel.at, func(r store.Reader) (err error) {
		gone, err = r.Vanished(sel.id, since)
		return err
	})
	if mail.KindOf(err) == mail.TooOld && err != nil {
		gone, err = known, nil
	}
	if err != nil {
		return err
	}
	gone = missing(sel.view, gone, known)
	if len(gone) > 0 {
		s.enc.Star().Atom("VANISHED").Open().Atom("EARLIER").Close().UIDs(gone).End()
	}
	return nil
}

// missing returns what is in gone and in known but not in v.
func missing(v *index.Version, gone, known mail.UIDSet) mail.UIDSet {
	var out mail.UIDSet
	for _, r := range common(gone, known) {
		next := uint64(r.First)
		lo, hi := v.Seqs(r.First, r.Last)
		for _, e := range v.Range(lo, hi) {
			if uint64(e.UID) > next {
				out.AddRange(mail.UID(next), e.UID-1)
			}
			next = uint64(e.UID) + 1
		}
		if next <= uint64(r.Last) {
			out.AddRange(mail.UID(next), r.Last)
		}
	}
	return out
}

// common is the intersection of two sets.
func common(a, b mail.UIDSet) mail.UIDSet {
	var out mail.UIDSet
	for len(a) > 0 && len(b) > 0 {
		r := mail.UIDRange{First: max(a[0].First, b[0].First), Last: min(a[0].Last, b[0].Last)}
		if r.First <= r.Last {
			out = append(out, r)
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// leaveMailbox gives the selected mailbox back. What arrived meanwhile has been
// shown, and is \Recent to nobody else.
func (s *session) leaveMailbox() {
	sel := s.sel
	if sel == nil {
		return
	}
	sel.dropNext()
	sel.box.Sleep(s)
	if !s.rev2 && sel.view.UIDNext > sel.box.Claimed() {
		if err := s.claimRecent(context.WithoutCancel(s.ctx), sel); err != nil {
			s.words(err)
		}
	}
	sel.box.Close()
	s.notify.left(sel)
	s.sel, s.saved, s.state = nil, nil, authenticated
}

// closeMailbox serves CLOSE (RFC 9051 §6.4.1): what is \Deleted goes, without a
// word about it.
func (s *session) closeMailbox(ctx context.Context, _ *wire.Close, r *reply) error {
	r.noTell = true
	if !s.sel.readOnly {
		n, err := s.expungeAll(ctx, mail.AllUIDs, r, false)
		if errors.Is(err, errDenied) { // RFC 4314 §4
			err = nil
		}
		if err != nil {
			return err
		}
		if n > 0 && s.condstore && s.foresees(n) {
			r.code = "HIGHESTMODSEQ " + decimal(n)
		}
	}
	s.leaveMailbox()
	return nil
}

// foresees reports whether the client knows the mailbox as it is at n, when it
// takes what it knows to be \Deleted out. What others did meanwhile it does not
// know, and a HIGHESTMODSEQ would keep it from ever asking (RFC 7162 §3.2).
func (s *session) foresees(n mail.ModSeq) bool {
	now, err := s.sel.box.At(s.ctx, n)
	if err != nil || now.HighestModSeq != n {
		return false
	}
	d := index.Compare(s.sel.view, now)
	return len(d.Changed)+len(d.Added) == 0 && !slices.ContainsFunc(d.Gone, func(e index.Entry) bool {
		return !s.sel.view.Flags(e).Has(mail.Deleted)
	})
}

// unselect serves UNSELECT (RFC 3691).
func (s *session) unselect(_ context.Context, _ *wire.Unselect, r *reply) error {
	r.noTell = true
	s.leaveMailbox()
	return nil
}
