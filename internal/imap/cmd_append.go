package imap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// rememberAppend is for how long an APPEND whose answer may have got lost is
// known again (promise 7).
const rememberAppend = 10 * time.Minute

// appended is what an APPEND made, and the key by which it is known again.
type appended struct {
	account   mail.AccountID
	key       string
	placement mail.Placement
	draft     *draft // what it is a version of; nil if it is no draft
}

// appendMessages serves APPEND and MULTIAPPEND (RFC 9051 §6.3.12, RFC 3502): each
// message is stored as it comes, then one transaction, which waits until all are
// durable, puts them into the mailbox.
func (s *session) appendMessages(ctx context.Context, cmd *wire.Append, r *reply) error {
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	if err := s.mayAppend(ctx, at, 0, r); err != nil {
		return err
	}
	arrivals, err := s.ingest(ctx, at, cmd, 0, r)
	if err != nil {
		return err
	}
	by, err := s.originAt(ctx, at)
	if err != nil {
		return err
	}
	var dest mail.Mailbox
	var uids mail.UIDSet
	var done []appended
	n, err := s.commit(s.foresee(ctx, at, by, arrivals), at.account, by, func(tx store.Tx) (err error) {
		var rights mail.Rights
		if dest, rights, err = s.destination(tx, at); err != nil {
			return err
		}
		uids, done = nil, nil
		for _, a := range arrivals {
			a.Flags, a.As = a.Flags.Permitted(rights), at.as
			if err := permitNotes(a.Annotations, rights, at); err != nil {
				return err
			}
			one, err := s.appendOnce(tx, at, by.Device(), dest, a)
			if err != nil {
				return err
			}
			uids.Add(one.placement.UID)
			done = append(done, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.sel != nil && s.sel.at.account == at.account {
		r.told = n
	}
	s.noteAppended(done...)
	r.code = appendUID(dest, uids)
	return nil
}

// foresee tells the store what an APPEND of one message is about to look at.
func (s *session) foresee(ctx context.Context, at reach, by mail.Origin, arrivals []mail.Arrival) context.Context {
	f := store.Foresight{Path: at.path}
	if had := s.hadRoom; had != nil && had.at == at && len(arrivals) == 1 {
		a := arrivals[0]
		a.Flags = a.Flags.Permitted(had.rights)
		f.Mailbox, f.Arrival, f.Keys = had.mailbox, &a, []string{appendKey(by.Device(), had.mailbox, a)}
	}
	return store.Foresee(ctx, f)
}

// appendKey is what an APPEND is known by.
func appendKey(device mail.DeviceID, dest mail.MailboxID, a mail.Arrival) string {
	return fmt.Sprintf("imap:%d:%d:%s:%d:%s", device, dest, hex.EncodeToString(a.Blob.Name[:]), a.InternalDate.Unix(), strings.ToLower(a.Flags.String()))
}

// appendUID is the response code of RFC 4315 §3.
func appendUID(dest mail.Mailbox, uids mail.UIDSet) string {
	return "APPENDUID " + decimal(uint64(dest.UIDValidity)) + " " + uids.String()
}

// appendOnce appends, unless the account remembers the same APPEND, whose answer
// got lost: then this is its answer.
func (s *session) appendOnce(tx store.Tx, at reach, device mail.DeviceID, dest mail.Mailbox, a mail.Arrival) (appended, error) {
	key := appendKey(device, dest.ID, a)
	one := appended{account: at.account, key: key}
	if at.as == 0 {
		one.draft = s.draftOf(dest, a)
	}
	var err error
	if one.placement, err = tx.Remembered(key); err == nil {
		return one, tx.Forget(key)
	}
	if mail.KindOf(err) != mail.NotFound {
		return one, err
	}
	if err := s.goOn(tx, one.draft, &a); err != nil {
		return one, err
	}
	if one.placement, err = tx.Append(dest.ID, a); err != nil && len(a.Annotations) > 0 {
		err = annotateError(err)
	}
	if err != nil {
		return one, err
	}
	return one, one.draft.remember(tx, one.placement)
}

// noteAppended keeps what is to be known at the end of the session.
func (s *session) noteAppended(done ...appended) {
	s.appended = done
	for _, one := range done {
		if one.draft != nil {
			s.noteDraft(one)
		}
	}
}

// rememberAppends is called when the session is over. If it broke off and an
// APPEND's answer was the last thing it did, the client may not have heard it and
// will come again.
func (s *session) rememberAppends() {
	if s.over || len(s.appended) == 0 && len(s.drafts) == 0 {
		return
	}
	ctx := context.WithoutCancel(s.ctx)
	cuts, err := s.cutDrafts(ctx)
	account := s.user.Account()
	if len(s.appended) > 0 {
		account = s.appended[0].account
	}
	if err == nil {
		err = s.srv.Store.Note(ctx, account, s.noteAppends)
	}
	if err == nil && len(cuts) > 0 {
		err = s.srv.Store.Note(ctx, s.user.Account(), cuts.remember)
	}
	if err != nil {
		s.words(err)
	}
}

func (s *session) noteAppends(n store.Notes) error {
	for _, a := range s.appended {
		if err := n.Remember(a.key, a.placement.ID, time.Now().Add(rememberAppend)); err != nil {
			return err
		}
	}
	return nil
}

// A mailbox that could take a message a moment ago is not asked again for a small
// one: whether it fits is decided when it is appended.
const (
	hadRoomFor      = time.Second
	smallAppendSize = 64 << 10
	plentyOfRoom    = 16 << 20 // less than that, and each message counts
)

// hadRoom is where a message would have been taken, and until when that counts.
type hadRoom struct {
	at      reach
	until   time.Time
	mailbox mail.MailboxID
	rights  mail.Rights
}

// mayAppend finds out before the client sends a message whether it would be in
// vain.
func (s *session) mayAppend(ctx context.Context, at reach, size int64, r *reply) error {
	now := time.Now()
	if size <= smallAppendSize && s.hadRoom != nil && at == s.hadRoom.at && now.Before(s.hadRoom.until) {
		return nil
	}
	had, plenty, err := s.hasRoom(ctx, at, size, r)
	if s.hadRoom = nil; plenty && err == nil {
		had.at, had.until = at, now.Add(hadRoomFor)
		s.hadRoom = &had
	}
	return err
}

// hasRoom also reports whether there is room for much more, and has the reply say
// where there soon is none.
func (s *session) hasRoom(ctx context.Context, at reach, size int64, r *reply) (had hadRoom, plenty bool, err error) {
	err = s.viewAt(ctx, at, func(rd store.Reader) error {
		mb, rights, err := s.destination(rd, at)
		if err != nil {
			return err
		}
		had.mailbox, had.rights = mb.ID, rights
		a, err := rd.Account()
		if err == nil && a.Quota > 0 && a.Used+size > a.Quota {
			return mail.Errorf(mail.OverQuota, "the account is full")
		}
		r.full = at.as == 0 && almostFull(a, size)
		plenty = !almostFull(a, size+plentyOfRoom)
		return err
	})
	return had, plenty, err
}

// ingest reads the messages of an APPEND, which will free so many bytes.
func (s *session) ingest(ctx context.Context, at reach, cmd *wire.Append, frees int64, r *reply) ([]mail.Arrival, error) {
	var all []mail.Arrival
	total := int64(0)
	for {
		m, err := cmd.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, readError(err)
		}
		if m.Size == 0 && !m.Catenate {
			return nil, errCancelled
		}
		if len(all) == s.srv.limits.Messages {
			return nil, errNo(fmt.Sprintf("MESSAGELIMIT %d", s.srv.limits.Messages), "Too many messages in one APPEND")
		}
		flags, err := mail.NewFlags(withoutRecent(m.Flags)...)
		if err != nil {
			return nil, err
		}
		annotations, err := annotationsOf(m.Annotation)
		if err != nil {
			return nil, err
		}
		in := &intake{s: s, ctx: ctx, at: at, before: total, frees: frees, reply: r}
		a, err := in.take(m)
		if in.malformed {
			_, err = cmd.Next() // which says what is wrong, and whose command it is
			err = readError(err)
		}
		if err != nil {
			return nil, err
		}
		if err := haveParts(annotations, a.Parsed); err != nil {
			return nil, err
		}
		total += in.size
		a.Flags, a.InternalDate, a.Annotations = flags, m.Date, annotations
		all = append(all, a)
	}
}

var errCancelled = errNo("", "APPEND cancelled, as an empty message asks for")

// intake is a message that is being read.
type intake struct {
	s      *session
	ctx    context.Context
	at     reach
	before int64 // bytes of the command's messages before this one
	frees  int64 // bytes that the command makes room for
	size   int64 // of this message, as far as it is announced
	reply  *reply

	malformed bool // what comes next can't be read
}

// announced judges n more bytes of the message, before the client is asked for
// them.
func (in *intake) announced(n int64, utf8 bool) error {
	s := in.s
	if utf8 && !s.utf8 && !s.rev2 {
		return errBad("UTF8 needs UTF8=ACCEPT to be enabled")
	}
	if n > s.srv.limits.Message-in.size {
		return errNo("TOOBIG", fmt.Sprintf("A message has at most %d bytes", s.srv.limits.Message))
	}
	in.size += n
	if in.before+in.size > s.srv.limits.AllMessages {
		return errNo("LIMIT", fmt.Sprintf("The messages of one APPEND have at most %d bytes", s.srv.limits.AllMessages))
	}
	return s.mayAppend(in.ctx, in.at, in.before+in.size-in.frees, in.reply)
}

// take makes the message durable.
func (in *intake) take(m *wire.AppendMessage) (mail.Arrival, error) {
	if m.Catenate {
		return in.catenate(m)
	}
	if err := in.announced(m.Size, m.UTF8); err != nil {
		return mail.Arrival{}, err
	}
	r := &stallReader{s: in.s, r: m}
	a, err := in.s.srv.Ingest(in.ctx, r, m.Size)
	if r.err != nil {
		return a, readError(r.err)
	}
	return a, err
}

// readError marks an error of the connection, after which nothing can be said.
func readError(err error) error {
	var spoken *wire.Error
	if errors.As(err, &spoken) {
		return err
	}
	return hangup(err)
}

// stallReader reads a message, giving each read its own time: a large message
// over a slow line is no reason to hang up, silence is.
type stallReader struct {
	s   *session
	r   io.Reader
	err error // of the connection
}

func (r *stallReader) Read(b []byte) (int, error) {
	if err := r.s.sock.SetReadDeadline(time.Now().Add(r.s.srv.limits.Stall)); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func isRecent(flag string) bool { return strings.EqualFold(flag, `\Recent`) }

// withoutRecent drops \Recent, which old clients send along.
func withoutRecent(flags []string) []string {
	var out []string
	for _, f := range flags {
		if !isRecent(f) {
			out = append(out, f)
		}
	}
	return out
}
