package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var metadataChecks = []check{
	{"AnnotationsAreOfTheirMailboxAndScope", metadataScopes},
	{"AnnotationsAreBounded", metadataBounds},
	{"AnnotationsFollowTheirMailbox", metadataFollows},
	{"AnnotationsThatChangedAreNamed", metadataSince},
	{"PruneForgetsRemovedAnnotations", metadataPruned},
}

func (s *subject) annotate(mb mail.MailboxID, who mail.PrincipalID, name, value string) (mail.ModSeq, error) {
	return s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetMetadata(mb, who, name, given(value)) })
}

// metadata is what who sees, in words.
func (s *subject) metadata(mb mail.MailboxID, who mail.PrincipalID) string {
	return said(must(view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.Metadata(mb, who) })))
}

func (s *subject) metadataSince(n mail.ModSeq, who mail.PrincipalID) string {
	return said(must(view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.MetadataSince(n, who) })))
}

func said(all []mail.Metadata) string {
	text := ""
	for _, m := range all {
		text += fmt.Sprintf("%s=%s ", m.Name, m.Value)
	}
	return text
}

func metadataScopes(t *trial) {
	s := t.subject()
	inbox := s.box("INBOX")
	n := must(s.annotate(inbox.ID, 7, "/shared/comment", "for all"))
	equal("HIGHESTMODSEQ", s.box("INBOX").HighestModSeq, n)
	must(s.annotate(inbox.ID, 7, "/Private/Comment", "mine"))
	must(s.annotate(inbox.ID, 0, "/private/comment", "the owner's"))
	must(s.annotate(0, 0, "/shared/comment", "the account's"))
	equal("what the owner sees", s.metadata(inbox.ID, 0), "/private/comment=the owner's /shared/comment=for all ")
	equal("what a member sees", s.metadata(inbox.ID, 7), "/private/comment=mine /shared/comment=for all ")
	equal("what another member sees", s.metadata(inbox.ID, 8), "/shared/comment=for all ")
	equal("what the account has", s.metadata(0, 7), "/shared/comment=the account's ")
	before := s.head()
	equal("setting the same is no change", must(s.annotate(inbox.ID, 0, "/private/COMMENT", "the owner's")), 0)
	equal("nor is removing none", must(s.annotate(inbox.ID, 0, "/private/vendor/a/b", "")), 0)
	equal("head", s.head(), before)
	must(s.annotate(inbox.ID, 0, "/private/comment", "empty"))
	must(s.annotate(inbox.ID, 0, "/shared/comment", ""))
	equal("an empty value is one", s.metadata(inbox.ID, 0), "/private/comment= ")
	_, err := s.annotate(inbox.ID, 0, "/private/vendor/a", "x")
	want(mail.Invalid, err)
	_, err = s.annotate(1<<40, 0, "/private/comment", "x")
	want(mail.NotFound, err)
	_, err = view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.Metadata(1<<40, 0) })
	want(mail.NotFound, err)
}

func metadataBounds(t *trial) {
	s := t.subject()
	inbox := s.box("INBOX").ID
	set := func(name string, bytesLong int) func(store.Tx) error {
		return func(tx store.Tx) error {
			return tx.SetMetadata(inbox, 0, name, bytes.Repeat([]byte("x"), bytesLong))
		}
	}
	ok(s.do(set("/shared/vendor/a/long", mail.MaxMetadataBytes)))
	want(mail.Limit, s.do(set("/shared/vendor/a/long", mail.MaxMetadataBytes+1)))
	ok(s.do(func(tx store.Tx) error {
		for i := range mail.MaxMetadata {
			if err := set(fmt.Sprintf("/private/vendor/a/%d", i), 1)(tx); err != nil {
				return err
			}
		}
		return nil
	}))
	want(mail.Limit, s.do(set("/private/vendor/a/more", 1)))
	ok(s.do(set("/private/vendor/a/1", 2)))
	ok(s.do(set("/shared/vendor/a/more", 1)))
	if testing.Short() { // the rest writes megabytes
		return
	}
	for i := 0; ; i++ {
		err := s.do(set(fmt.Sprintf("/shared/vendor/a/full%d", i), mail.MaxMetadataBytes))
		if err != nil {
			want(mail.Limit, err)
			equal("the last before the account was full", i >= mail.MaxMetadata-3 || (i+1)*mail.MaxMetadataBytes <= mail.MaxMetadataTotal, true)
			break
		}
	}
}

func metadataFollows(t *trial) {
	s := t.subject()
	work := s.create("Work")
	must(s.annotate(work.ID, 0, "/shared/comment", "kept"))
	im := work.Image()
	im.Name = "Play"
	ok(s.do(func(tx store.Tx) error { return tx.SetMailbox(work.ID, im) }))
	equal("after a rename", s.metadata(s.box("Play").ID, 0), "/shared/comment=kept ")
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) }))
	act := mail.ActID(s.head())
	equal("of a mailbox made anew", s.metadata(s.create("Play").ID, 0), "")
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(s.boxIn(tx, "Play")) }))
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	equal("of one that was brought back", s.metadata(s.box("Play").ID, 0), "/shared/comment=kept ")
}

func metadataSince(t *trial) {
	s := t.subject()
	inbox, work := s.box("INBOX").ID, s.create("Work").ID
	must(s.annotate(inbox, 0, "/private/comment", "one"))
	n := must(s.annotate(inbox, 7, "/private/comment", "other"))
	must(s.annotate(inbox, 0, "/shared/comment", "two"))
	must(s.annotate(inbox, 0, "/private/comment", ""))
	must(s.annotate(work, 0, "/shared/comment", "three"))
	w := newWatch(s)
	must(s.annotate(0, 0, "/shared/comment", "four"))
	w.stop()
	if heard := w.news(); len(heard) != 1 || !heard[0].Types.Has(mail.TypeMetadata) || len(heard[0].Mailboxes) > 0 {
		fail("news %+v", heard)
	}
	equal("since then", s.metadataSince(n, 0), "/shared/comment=four /private/comment= /shared/comment=two /shared/comment=three ")
	equal("for the other", s.metadataSince(n-1, 7), "/shared/comment=four /private/comment=other /shared/comment=two /shared/comment=three ")
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work) }))
	equal("without the mailbox that is gone", s.metadataSince(n, 0), "/shared/comment=four /private/comment= /shared/comment=two ")
	equal("since now", s.metadataSince(s.head(), 0), "")
}

func metadataPruned(t *trial) {
	s := t.subject()
	inbox, work := s.box("INBOX").ID, s.create("Work").ID
	must(s.annotate(inbox, 0, "/private/comment", "one"))
	must(s.annotate(inbox, 0, "/private/comment", ""))
	must(s.annotate(work, 0, "/shared/comment", "gone"))
	must(s.annotate(inbox, 0, "/shared/comment", "stays"))
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(work) }))
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	equal("annotations", s.metadata(inbox, 0), "/shared/comment=stays ")
	_, err := view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.MetadataSince(s.base, 0) })
	want(mail.TooOld, err)
	equal("since the horizon", s.metadataSince(s.head(), 0), "")
}
