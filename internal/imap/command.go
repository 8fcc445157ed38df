package imap

import (
	"context"
	"errors"
	"strings"
	"time"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// reply is what a command makes of its completion: zero is a plain OK.
type reply struct {
	tag     string
	code    string      // response code
	text    string      // "STORE completed" if empty
	told    mail.ModSeq // tell has to show at least this
	also    mail.UIDSet // messages whose flags are said though they did not change
	stored  mail.UIDSet // messages that STORE changed
	first   mail.ModSeq // of the first transaction that did
	gone    mail.UIDSet // messages that STORE came too late for
	change  mail.FlagChange
	silent  bool   // without telling the flags
	full    bool   // the account will soon be
	limited string // the code that says where a limit cut the command short
	highest bool   // the code is HIGHESTMODSEQ, once everything is told
	quiet   bool   // the command completes itself
	noTell  bool   // the mailbox was left or has just been selected
}

// handler runs one command in the states in which it is allowed.
type handler struct {
	in  state
	run func(s *session, ctx context.Context, body wire.Body, r *reply) error
}

func on[B wire.Body](in state, run func(*session, context.Context, B, *reply) error) handler {
	return handler{in, func(s *session, ctx context.Context, body wire.Body, r *reply) error {
		return run(s, ctx, body.(B), r)
	}}
}

var handlers map[string]handler

func init() { // the commands refer to what looks them up
	handlers = map[string]handler{
		"CAPABILITY":    on(anyState, (*session).capability),
		"NOOP":          on(anyState, (*session).noop),
		"LOGOUT":        on(anyState, (*session).logout),
		"ID":            on(anyState, (*session).id),
		"STARTTLS":      on(notAuthenticated, (*session).startTLSCommand),
		"AUTHENTICATE":  on(notAuthenticated, (*session).authenticate),
		"LOGIN":         on(notAuthenticated, (*session).login),
		"ENABLE":        on(loggedIn, (*session).enable),
		"COMPRESS":      on(anyState, (*session).compress),
		"SELECT":        on(loggedIn, (*session).selectMailbox),
		"EXAMINE":       on(loggedIn, (*session).selectMailbox),
		"CREATE":        on(loggedIn, (*session).create),
		"DELETE":        on(loggedIn, (*session).deleteMailbox),
		"RENAME":        on(loggedIn, (*session).rename),
		"SUBSCRIBE":     on(loggedIn, (*session).subscribe),
		"UNSUBSCRIBE":   on(loggedIn, (*session).unsubscribe),
		"LIST":          on(loggedIn, (*session).list),
		"LSUB":          on(loggedIn, (*session).lsub),
		"GETJMAPACCESS": on(loggedIn, (*session).getJMAPAccess),
		"NAMESPACE":     on(loggedIn, (*session).namespace),
		"STATUS":        on(loggedIn, (*session).status),
		"APPEND":        on(loggedIn, (*session).appendMessages),
		"IDLE":          on(loggedIn, (*session).idle),
		"NOTIFY":        on(loggedIn, (*session).notifyCommand),
		"GETMETADATA":   on(loggedIn, (*session).getMetadata),
		"SETMETADATA":   on(loggedIn, (*session).setMetadata),
		"SETACL":        on(loggedIn, (*session).setACL),
		"DELETEACL":     on(loggedIn, (*session).deleteACL),
		"GETACL":        on(loggedIn, (*session).getACL),
		"LISTRIGHTS":    on(loggedIn, (*session).listRights),
		"MYRIGHTS":      on(loggedIn, (*session).myRights),
		"CHECK":         on(selected, (*session).check),
		"CLOSE":         on(selected, (*session).closeMailbox),
		"UNSELECT":      on(selected, (*session).unselect),
		"EXPUNGE":       on(selected, (*session).expunge),
		"UID EXPUNGE":   on(selected, (*session).expunge),
		"SEARCH":        on(selected, (*session).search),
		"UID SEARCH":    on(selected, (*session).search),
		"SORT":          on(selected, (*session).sort),
		"UID SORT":      on(selected, (*session).sort),
		"THREAD":        on(selected, (*session).thread),
		"UID THREAD":    on(selected, (*session).thread),
		"CANCELUPDATE":  on(selected, (*session).cancelUpdate),
		"ESEARCH":       on(loggedIn, (*session).esearch),
		"FETCH":         on(selected, (*session).fetch),
		"UID FETCH":     on(selected, (*session).fetch),
		"STORE":         on(selected, (*session).store),
		"UID STORE":     on(selected, (*session).store),
		"COPY":          on(selected, (*session).copy),
		"UID COPY":      on(selected, (*session).copy),
		"MOVE":          on(selected, (*session).move),
		"UID MOVE":      on(selected, (*session).move),
		"REPLACE":       on(selected, (*session).replace),
		"UID REPLACE":   on(selected, (*session).replace),

		"COMPARATOR":     on(loggedIn, (*session).comparator),
		"LANGUAGE":       on(anyState, (*session).language),
		"GETQUOTA":       on(loggedIn, (*session).getQuota),
		"GETQUOTAROOT":   on(loggedIn, (*session).getQuotaRoot),
		"SETQUOTA":       on(loggedIn, (*session).setQuota),
		"UIDBATCHES":     on(selected, (*session).uidBatches),
		"UNAUTHENTICATE": on(loggedIn, (*session).unauthenticate),
	}
}

// holdsExpunges has the commands during which EXPUNGE must not be told, since it
// would change what their sequence numbers mean (RFC 9051 §7.5.1). Their UID
// forms are other commands.
var holdsExpunges = map[string]bool{"FETCH": true, "STORE": true, "SEARCH": true, "SORT": true, "THREAD": true}

// handle runs a command and completes it.
func (s *session) handle(cmd wire.Command) error {
	name, began := cmd.Body.Name(), time.Now()
	s.appended = nil
	h, ok := handlers[name]
	if !ok {
		s.enc.Status(cmd.Tag, "BAD", "", "Unknown command")
		s.srv.Metrics.Command("unknown", "BAD", 0)
		return s.countBad()
	}
	if h.in&s.state == 0 {
		s.enc.Status(cmd.Tag, "BAD", "", name+" "+wrongState(h.in, s.state))
		s.srv.Metrics.Command(name, "BAD", 0)
		return s.countBad()
	}
	r := reply{tag: cmd.Tag}
	err := s.mayNumber(cmd.Body)
	if err == nil {
		err = h.run(s, s.ctx, cmd.Body, &r)
	}
	if err == nil && r.quiet {
		return s.enc.Err()
	}
	if err := s.tellAfter(name, &r, err); err != nil {
		return err
	}
	result, err := s.complete(name, &r, err)
	s.srv.Metrics.Command(name, result, time.Since(began))
	if result != "BAD" {
		s.bad = 0
	}
	return err
}

// wrongState says what has to come before.
func wrongState(want, is state) string {
	switch {
	case is == notAuthenticated:
		return "needs you to log in first"
	case want == notAuthenticated:
		return "is for before login"
	}
	return "needs a selected mailbox"
}

// tellAfter tells of the changes, as every command does before it completes.
func (s *session) tellAfter(name string, r *reply, err error) error {
	if !s.over && !isFatal(err) {
		if err := s.tellMetadata(); err != nil {
			s.words(err) // the next command tells of it
		}
	}
	if err := s.tellSelected(name, r, err); err != nil {
		return err
	}
	if s.over || isFatal(err) {
		return nil
	}
	if err := s.tellOthers(); errors.Is(err, errBlind) {
		s.words(err)
	} else if err != nil {
		return err
	}
	return nil
}

// tellSelected tells of the changes in the selected mailbox.
func (s *session) tellSelected(name string, r *reply, err error) error {
	if s.sel == nil || r.noTell || s.over || isFatal(err) {
		return nil
	}
	if err := s.tell(r.told, !holdsExpunges[name]); errors.Is(err, errBlind) {
		s.words(err)
		return nil // what was done stays done; the next command tells of it
	} else if err != nil {
		return err
	}
	if err := s.tellDeparted(r); err != nil {
		return err
	}
	for uid := range r.also.All() {
		if e, ok := s.sel.view.Find(uid); ok {
			seq, _ := s.sel.view.Seq(uid)
			s.sayFetch(seq, e, true)
		}
	}
	if r.highest && s.condstore {
		r.code = "HIGHESTMODSEQ " + decimal(s.sel.told)
	}
	s.tellHeld(r, err)
	return nil
}

// tellHeld says how far the client really is when something is held back: it may
// have seen higher MODSEQs in FETCH, and were it to come back with one of those
// it would never hear of what went before (RFC 7162 §3.2.4, erratum 1810).
func (s *session) tellHeld(r *reply, err error) {
	switch {
	case !s.qresync || s.sel.told >= s.sel.view.HighestModSeq:
	case err == nil && r.code == "":
		r.code = "HIGHESTMODSEQ " + decimal(s.sel.told)
	case r.code != "HIGHESTMODSEQ "+decimal(s.sel.told):
		s.sayHighest()
	}
}

// isFatal reports whether err ends the session.
func isFatal(err error) bool {
	var bad *wire.Error
	return errors.Is(err, errDeleted) || errors.As(err, &bad) && bad.Status == "BYE" || errors.Is(err, errHangup)
}

// errHangup is wrapped by errors after which nothing can be said any more.
var errHangup = errors.New("connection lost")

// hangup marks an error of the connection.
func hangup(err error) error { return errors.Join(errHangup, err) }

// complete writes the tagged response.
func (s *session) complete(name string, r *reply, err error) (result string, fatal error) {
	if isFatal(err) {
		return "NO", err
	}
	if lost := s.enc.Err(); lost != nil {
		return "NO", hangup(lost)
	}
	if err == nil {
		s.sayLimited(r)
		s.sayAlmostFull(r)
		if r.text == "" {
			r.text = strings.TrimPrefix(name, "UID ") + " completed"
		}
		s.enc.Status(r.tag, "OK", r.code, r.text)
		return "OK", s.enc.Err()
	}
	status, code, text := s.words(err)
	if r.code != "" {
		code = r.code
	}
	s.enc.Status(r.tag, status, code, text)
	if status == "BAD" {
		return status, s.countBad()
	}
	return status, s.enc.Err()
}
