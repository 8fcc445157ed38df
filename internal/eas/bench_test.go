package eas

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// BenchmarkLook is what a change costs a device that waits for its mailbox.
func BenchmarkLook(b *testing.B) {
	w := newTown(b)
	p := w.phone(v161)
	p.folderStep("0")
	first := w.put("INBOX", "Subject: x\r\n\r\n")
	p.inStep("INBOX", "0")
	q := p.request()
	v := (&pingRequest{Seconds: 60, Folders: []string{folderID(first.Mailbox)}}).vigil(first.SaveDate)
	news := mail.News{ModSeq: 1, Mailboxes: []mail.MailboxID{first.Mailbox}}
	add, _ := mail.NewFlags("word")
	for _, changed := range []bool{false, true} {
		name := "quiet"
		if changed {
			name = "changed"
			w.change(func(tx store.Tx) error {
				_, err := tx.StoreFlags(first.Mailbox, mail.MakeUIDSet(first.UID), mail.FlagChange{Add: add}, nil)
				return err
			})
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				err := q.view(func(r store.Reader) error {
					found, err := v.look(q, r, news)
					if found != changed {
						b.Fatal(found)
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
