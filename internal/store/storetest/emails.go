package storetest

import (
	"fmt"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var emailChecks = []check{
	{"EmailsByDateAreEachMessageOnce", emailsOnce},
	{"EmailsByDateLeapOverWhatIsAstray", emailsAstray},
	{"EmailsByDateNeedALimit", emailsRefuse},
	{"EmailsSayWhenTheyWereSent", emailsSent},
}

// wantEmails are the visible messages as their rows say, newest first.
func (sn *snapshot) wantEmails() []mail.Email {
	var all []mail.Email
	for _, e := range sn.emails {
		m := e.Message
		l := mail.Email{Key: m.Key, EmailID: m.EmailID, Thread: m.Thread, Size: m.Size, InternalDate: m.InternalDate, SentAt: m.SentAt, Created: m.Created, ModSeq: m.ModSeq}
		for _, mb := range e.mailboxes {
			for _, r := range sn.messages[mb] {
				if r.Message == m.Key && !r.Flags.Has(mail.Deleted) {
					l.Places = append(l.Places, mail.Place{Mailbox: mb, UID: r.UID, Flags: r.Flags})
				}
			}
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b mail.Email) int { return b.Arrived().Compare(a.Arrived()) })
	return all
}

// emailLine is an email in words, with its places if asked for.
func emailLine(e mail.Email, places bool) string {
	line := fmt.Sprint(e.Key, e.EmailID, e.Thread, e.Size, dateAndZone(e.InternalDate), e.SentAt.UnixMicro(), e.Created, e.ModSeq)
	for _, p := range e.Places {
		line += fmt.Sprintf(" %d/%d (%s)", p.Mailbox, p.UID, p.Flags)
	}
	if !places && len(e.Places) > 0 {
		line += ", with places"
	}
	return line
}

// threaded returns an error unless the threads of messages, newest first, are as these
// say.
func threaded(r store.Reader, messages []mail.Email) error {
	want := map[mail.ThreadID][]mail.MessageKey{}
	for _, e := range slices.Backward(messages) {
		want[e.Thread] = append(want[e.Thread], e.Key)
	}
	for id, keys := range want {
		if got, err := r.Thread(id); err != nil || !slices.Equal(got, keys) {
			return fmt.Errorf("%v is %v (%v), want %v", id, got, err, keys)
		}
	}
	return nil
}

// listed returns an error unless the lists of the account's messages are what its
// mailboxes show.
func (sn *snapshot) listed(r store.Reader) error {
	want := sn.wantEmails()
	byKey := map[mail.MessageKey]string{}
	for i := range want {
		byKey[want[i].Key] = emailLine(want[i], true)
		want[i].Places = nil
	}
	last := mail.MessageKey(0)
	err := r.Emails(func(e *mail.Email) error {
		if line := emailLine(*e, true); line != byKey[e.Key] || e.Key <= last {
			return fmt.Errorf("after %d is listed %s, want %s", last, line, byKey[e.Key])
		}
		delete(byKey, e.Key)
		last = e.Key
		return nil
	})
	if err == nil && len(byKey) > 0 {
		err = fmt.Errorf("not listed: %v", byKey)
	}
	same := func(q store.EmailDateQuery, want []mail.Email) {
		if err != nil {
			return
		}
		var got []mail.Email
		got, err = r.EmailsByDate(q)
		if err == nil && !slices.EqualFunc(got, want, func(a, b mail.Email) bool { return emailLine(a, false) == emailLine(b, false) }) {
			err = fmt.Errorf("by date %+v: got %v, want %v", q, got, want)
		}
	}
	if err == nil {
		err = threaded(r, want)
	}
	same(store.EmailDateQuery{Limit: len(want) + 1}, want)
	for i := 0; i < len(want) && err == nil; i += len(want)/2 + 1 {
		at, to := want[i].Arrived(), min(len(want), i+8)
		same(store.EmailDateQuery{Before: at, Limit: 7}, want[i+1:max(to, i+1)])
		same(store.EmailDateQuery{Skip: i, Limit: 7}, want[i:min(len(want), i+7)])
		same(store.EmailDateQuery{Before: mail.Arrived{Date: at.Date, Key: at.Key + 1}, Limit: 1}, want[i:i+1])
		older := slices.IndexFunc(want, func(e mail.Email) bool { return e.InternalDate.Before(at.Date) })
		if older < 0 {
			older = len(want)
		}
		same(store.EmailDateQuery{Since: at.Date, Limit: 1000}, want[:older])
		same(store.EmailDateQuery{Before: mail.Arrived{Date: at.Date}, Skip: 1, Limit: 3}, want[min(older+1, len(want)):min(older+4, len(want))][:max(0, min(3, len(want)-older-1))])
		if err == nil {
			var n int64
			if n, err = r.EmailsBefore(at); err == nil && n != int64(i) {
				err = fmt.Errorf("%d stand before %v, want %d", n, at, i)
			}
		}
	}
	return err
}

func (s *subject) emailsByDate(q store.EmailDateQuery) []mail.Email {
	return must(view(s, func(r store.Reader) ([]mail.Email, error) { return r.EmailsByDate(q) }))
}

func emailsOnce(t *trial) {
	s := t.subject()
	mb, archive := s.fill("INBOX", 40), s.box("Archive")
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(mb.ID, uids("1:20"), archive.ID) }))
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(mb.ID, uids("1:10"), mb.ID) }))
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(mb.ID, mail.AllUIDs, add(`\Deleted`), nil)
	}))
	s.snapshot()
	shown, hidden := s.placement(archive.ID, 7), s.placement(mb.ID, 30)
	of := must(view(s, func(r store.Reader) ([]mail.Email, error) {
		return r.EmailsOf([]mail.MessageKey{hidden.Message, shown.Message, shown.Message, 1 << 40})
	}))
	equal("those of them that are visible", len(of), 1)
	equal("the one", of[0].Key, shown.Message)
	equal("as the list has it", emailLine(of[0], false), emailLine(s.emailsByDate(store.EmailDateQuery{Before: mail.Arrived{Date: of[0].InternalDate, Key: of[0].Key + 1}, Limit: 1})[0], false))
	equal("emails", len(s.emailsByDate(store.EmailDateQuery{Limit: 100})), 20)
	equal("counted", must(view(s, store.Reader.Account)).Emails, 20)
	ok(s.do(func(tx store.Tx) error { // and a transaction sees its own
		a := arrival(50)
		a.InternalDate = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		if _, err := tx.Append(archive.ID, a); err != nil {
			return err
		}
		page, err := tx.EmailsByDate(store.EmailDateQuery{Limit: 1})
		if err == nil && (len(page) != 1 || page[0].EmailID != a.EmailID) {
			err = fmt.Errorf("a transaction sees %v first", page)
		}
		n := 0
		if err == nil {
			err = tx.Emails(func(e *mail.Email) error {
				n++
				_, err := tx.StoreFlags(archive.ID, mail.MakeUIDSet(e.Places[0].UID), add("seen-here"), nil)
				return err
			})
		}
		if acct, _ := tx.Account(); err == nil && (n != 21 || acct.Emails != 21) {
			err = fmt.Errorf("a transaction lists %d and counts %d", n, acct.Emails)
		}
		return err
	}))
	s.snapshot().sound()
	s.checked()
}

// One in order, then many that are older, in turns; and then those in order leave.
func emailsAstray(t *trial) {
	s := t.subject()
	mb := s.box("INBOX")
	var ordered mail.UIDSet
	for turn := range 4 {
		for i := range 21 {
			a := arrival(turn*21 + i)
			a.InternalDate = time.Date(2025, 1, 1, 0, 0, (turn*21+i)*17%60, 0, time.UTC)
			if i == 0 {
				a.InternalDate = time.Date(2025, 2, 1+turn, 0, 0, 0, 0, time.UTC)
			}
			p := s.append("INBOX", a)
			if i == 0 && turn > 0 {
				ordered.Add(p.UID)
			}
		}
	}
	s.snapshot()
	ok(s.do(func(tx store.Tx) error { _, err := tx.Expunge(mb.ID, ordered, false); return err }))
	s.snapshot()
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	s.append("INBOX", arrival(900))
	s.snapshot().sound()
	s.checked()
}

func emailsRefuse(t *trial) {
	s := t.subject()
	for _, q := range []store.EmailDateQuery{{}, {Skip: -1, Limit: 1}} {
		_, err := view(s, func(r store.Reader) ([]mail.Email, error) { return r.EmailsByDate(q) })
		want(mail.Invalid, err)
	}
	equal("of none", len(s.emailsByDate(store.EmailDateQuery{Skip: 10, Limit: 1})), 0)
	n := must(view(s, func(r store.Reader) (int64, error) { return r.EmailsBefore(mail.Arrived{}) }))
	equal("before any", n, 0)
}

func emailsSent(t *trial) {
	s := t.subject()
	a := arrival(1)
	a.SentAt = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	p := s.append("INBOX", a)
	equal("sent", s.emailsByDate(store.EmailDateQuery{Limit: 1})[0].SentAt.Equal(a.SentAt), true)
	sent := a.SentAt.Add(time.Hour)
	ok(s.Reparsed(ctx, s.account, []store.Derived{{Message: p.Message, SentAt: sent}}))
	equal("sent, parsed anew", s.emailsByDate(store.EmailDateQuery{Limit: 1})[0].SentAt.Equal(sent), true)
	s.checked()
}
