package storetest

import (
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// reparsed proves that what is derived can be made anew without a change.
func reparsed(t *trial) {
	s := t.subject()
	inbox := must(view(s, func(r store.Reader) (mail.Mailbox, error) { return r.MailboxByPath("INBOX") }))
	p := must(update(s, func(tx store.Tx) (mail.Placement, error) {
		return tx.Append(inbox.ID, mail.Arrival{Blob: mail.Blob{Name: mail.BlobName{7}, Size: 9, Place: "x", Fresh: true}, MessageID: "before@example.test", Parsed: []byte("before")})
	}))
	message := func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }
	before := must(view(s, message))
	account := must(view(s, store.Reader.Account))
	woken := 0
	defer s.Watch(s.account, func(mail.News) { woken++ })()
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	ok(s.Reparsed(ctx, s.account, []store.Derived{
		{Message: p.Message, SentAt: at, MessageID: "after@example.test", Parsed: []byte("after"), Preview: "Hello"},
		{Message: 1 << 40},
	}))
	after := must(view(s, message))
	equal("sent", after.SentAt.Equal(at), true)
	equal("Message-ID", after.MessageID, "after@example.test")
	equal("parsed", string(after.Parsed), "after")
	equal("preview", after.Preview, "Hello")
	equal("thread", after.Thread, before.Thread)
	equal("blob", after.Blob.Name, before.Blob.Name)
	equal("ModSeq", after.ModSeq, before.ModSeq)
	equal("head", must(view(s, store.Reader.Account)).Head, account.Head)
	equal("counted", must(view(s, store.Reader.Account)).Reparsed, account.Reparsed+1)
	equal("woken", woken, 0)
	want(mail.NotFound, s.Reparsed(ctx, s.account+1000, nil))
}
