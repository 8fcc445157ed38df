package storetest

import (
	"bytes"
	"fmt"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var annotationChecks = []check{
	{"AnnotationsRaiseTheModSeqOfTheirMessage", remarkModSeq},
	{"AnnotationsOfMessagesAreBounded", remarkBounds},
	{"AnnotationsGoWhereTheirMessageGoes", remarksFollow},
	{"AnnotationsOfMessagesThatChangedAreNamed", remarksSince},
	{"PruneForgetsAnnotationsOfMessagesThatLeft", remarksPruned},
}

// remark annotates messages by the owner.
func (s *subject) remark(mb mail.MailboxID, set string, as ...mail.Annotation) (store.StoreResult, error) {
	return update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.Annotate(mb, uids(set), as, nil) })
}

// shared and private are annotations; "" removes.
func shared(name, value string) mail.Annotation {
	return mail.Annotation{Name: name, Shared: true, Value: given(value)}
}

func private(who mail.PrincipalID, name, value string) mail.Annotation {
	return mail.Annotation{Name: name, Who: who, Value: given(value)}
}

// remarks are the annotations of a message, the owner's and the member's.
func (s *subject) remarks(mb mail.MailboxID, uid mail.UID) string {
	return must(view(s, func(r store.Reader) (map[mail.UID]string, error) { return annotations(r, mb, mail.MakeUIDSet(uid)) }))[uid]
}

func remarkModSeq(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	r := must(s.remark(inbox.ID, "1:2", shared("/comment", "for all"), private(0, "/comment", "mine")))
	equal("changed", r.Changed.String(), "1:2")
	n := s.head()
	equal("MODSEQ", s.placement(inbox.ID, 2).ModSeq, n)
	equal("HIGHESTMODSEQ", s.box("INBOX").HighestModSeq, n)
	equal("of the other", s.placement(inbox.ID, 3).ModSeq < n, true)
	r = must(s.remark(inbox.ID, "1:3", shared("/comment", "for all")))
	equal("changed when two were so", r.Changed.String()+" same "+r.Same.String(), "3 same 1:2")
	equal("MODSEQ of what was so", s.placement(inbox.ID, 2).ModSeq, n)
	must(s.remark(inbox.ID, "1", private(7, "/comment", "the member's"), private(0, "/comment", ""), shared("/comment", "empty")))
	equal("annotations", s.remarks(inbox.ID, 1), `/comment.priv of 7 = "the member's";/comment.shared of 0 = ""`)
	said := map[string]string{}
	for _, e := range s.records(store.JournalQuery{Limit: 1})[0].Entries {
		said[fmt.Sprint(e.Op, " ", e.UIDs, " ", e.Name, " of ", e.Who)] = fmt.Sprintf("%s → %s, %v", e.Old, e.New, e.New != nil)
	}
	equal("what was removed", said["annotate 1 /comment.priv of 0"], "mine → , false")
	equal("what was emptied", said["annotate 1 /comment.shared of 0"], "for all → , true")
	equal("what was made", said["annotate 1 /comment.priv of 7"], " → the member's, true")
	before := s.head()
	r = must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.Annotate(inbox.ID, uids("1:2"), []mail.Annotation{shared("/comment", "guarded")}, &n)
	}))
	equal("guarded", r.Changed.String()+" modified "+r.Modified.String(), "2 modified 1")
	equal("one change", s.head(), before+1)
	_, err := s.remark(inbox.ID, "1", shared("comment", "x"))
	want(mail.Invalid, err)
	_, err = s.remark(1<<40, "1", shared("/comment", "x"))
	want(mail.NotFound, err)
	equal("of none", len(must(s.remark(inbox.ID, "9", shared("/comment", "x"))).Changed), 0)
	p := s.append("INBOX", withRemarks(arrival(9), shared("/comment", "came with it")))
	equal("of an arrival", s.remarks(inbox.ID, p.UID), `/comment.shared of 0 = "came with it"`)
}

func withRemarks(a mail.Arrival, as ...mail.Annotation) mail.Arrival {
	a.Annotations = as
	return a
}

func remarkBounds(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	long := func(n int) mail.Annotation {
		return mail.Annotation{Name: "/vendor/a/long", Value: bytes.Repeat([]byte("x"), n)}
	}
	must(s.remark(inbox.ID, "1", long(mail.MaxAnnotationBytes)))
	_, err := s.remark(inbox.ID, "1", long(mail.MaxAnnotationBytes+1))
	want(mail.Limit, err)
	var many []mail.Annotation
	for i := range mail.MaxAnnotations {
		many = append(many, private(0, fmt.Sprint("/vendor/a/", i), "x"))
	}
	must(s.remark(inbox.ID, "2", many...))
	_, err = s.remark(inbox.ID, "2", private(0, "/comment", "x"))
	want(mail.Limit, err)
	must(s.remark(inbox.ID, "2", many[0]))
	_, err = update(s, func(tx store.Tx) (mail.Placement, error) {
		return tx.Append(inbox.ID, withRemarks(arrival(5), append(many, shared("/comment", "x"))...))
	})
	want(mail.Limit, err)
	for i := range mail.MaxMessageAnnotations/mail.MaxAnnotationBytes - 1 {
		a := long(mail.MaxAnnotationBytes)
		a.Name = fmt.Sprint("/vendor/b/", i)
		must(s.remark(inbox.ID, "1", a))
	}
	_, err = s.remark(inbox.ID, "1", private(0, "/comment", "x"))
	want(mail.Limit, err)
}

func remarksFollow(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	archive := s.box("Archive").ID
	must(s.remark(inbox.ID, "2", shared("/comment", "all"), private(0, "/comment", "mine"), private(7, "/comment", "other")))
	whole := s.remarks(inbox.ID, 2)
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox.ID, uids("1:2"), archive) }))
	equal("of a copy", s.remarks(archive, 2), `/comment.priv of 0 = "mine";/comment.shared of 0 = "all"`)
	equal("of the other copy", s.remarks(archive, 1), "")
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox.ID, uids("2:3"), archive) }))
	equal("of what was moved", s.remarks(archive, 3), whole)
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(archive, uids("3"), false) }))
	equal("of what has left", s.remarks(archive, 3), whole)
	act := mail.ActID(s.head())
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	equal("of what came back", s.remarks(archive, 5), whole)
	a := withRemarks(arrival(8), shared("/comment", "newer"))
	a.Replaces = 5
	p := s.append("Archive", a)
	equal("of what replaced it", s.remarks(archive, p.UID), `/comment.priv of 0 = "mine";/comment.priv of 7 = "other";/comment.shared of 0 = "newer"`)
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(archive) }))
	act = mail.ActID(s.head())
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	ps := s.placements(store.PlacementQuery{Mailbox: archive})
	equal("of a mailbox that came back", s.remarks(archive, ps[len(ps)-1].UID), `/comment.priv of 0 = "mine";/comment.priv of 7 = "other";/comment.shared of 0 = "newer"`)
	s.checked()
}

func remarksSince(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	must(s.remark(inbox, "1", shared("/comment", "one")))
	n := s.head()
	must(s.remark(inbox, "2", shared("/comment", "two"), private(7, "/comment", "other")))
	must(s.remark(inbox, "1", shared("/comment", "")))
	changed := func(who mail.PrincipalID) (text string) {
		return must(view(s, func(r store.Reader) (text string, err error) {
			err = r.Annotations(store.AnnotationQuery{Mailbox: inbox, Who: who, ChangedSince: n}, func(a *mail.Annotation) error {
				text += fmt.Sprintf("%d %s %v;", a.UID, a.Spelled(), a.Value != nil)
				return nil
			})
			return text, err
		}))
	}
	equal("for the owner", changed(0), "1 /comment.shared false;2 /comment.shared true;")
	equal("for the member", changed(7), "1 /comment.shared false;2 /comment.priv true;2 /comment.shared true;")
}

func remarksPruned(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	must(s.remark(inbox, "1:2", shared("/comment", "x"), private(0, "/comment", "y")))
	must(s.remark(inbox, "2", private(0, "/comment", "")))
	must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox, uids("1"), false) }))
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	equal("of what left", s.remarks(inbox, 1), "")
	equal("of what stayed", s.remarks(inbox, 2), `/comment.shared of 0 = "x"`)
	s.checked()
}
