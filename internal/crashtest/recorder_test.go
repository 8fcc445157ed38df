package crashtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// A recorder says of each change, before it commits, what the account will be,
// and afterwards that it was committed. The second is the acknowledgement that
// the tests hold the store to.
type recorder struct {
	*sqlstore.DB
	say func(format string, args ...any)
}

// Update implements store.Store.
func (r *recorder) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	var sum string
	n, err := r.DB.Update(ctx, id, by, func(tx store.Tx) (err error) {
		if err = fn(tx); err == nil {
			sum, err = digest(tx)
		}
		r.say("will %d %s", id, sum)
		return err
	})
	if err == nil && n != 0 {
		r.say("did %d %d %s", id, n, sum)
	}
	return n, err
}

// digest is the hash of all that people see of an account.
func digest(r store.Reader) (string, error) {
	h := sha256.New()
	if err := describe(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// describe writes what is there, a line for each mailbox and message.
func describe(w io.Writer, r store.Reader) error {
	mailboxes, err := r.Mailboxes()
	if err != nil {
		return err
	}
	for _, mb := range mailboxes {
		fmt.Fprintf(w, "%d %q %s %d %d\n", mb.ID, mb.Path, mb.Role, mb.UIDValidity, mb.UIDNext)
		var there mail.UIDSet
		err := r.Messages(store.PlacementQuery{Mailbox: mb.ID, Located: true}, func(p *mail.Placement, m *mail.Message) error {
			there.Add(p.UID)
			_, err := fmt.Fprintf(w, " %d %d %d [%s] %v %v %d %v %v\n", p.UID, p.ID, p.Lineage, p.Flags, m.EmailID, m.Thread, m.Size, m.Blob.Name, m.InternalDate)
			return err
		})
		if err == nil {
			err = describeShared(w, r, mb.ID, there)
		}
		if err != nil {
			return err
		}
	}
	if err := describeNotes(w, r, 0); err != nil {
		return err
	}
	paths, err := r.Subscriptions()
	fmt.Fprintln(w, paths)
	return err
}

// describeShared writes who may do what in a mailbox, what of it they have read, and
// what is noted on it. What is kept of messages that left goes with the horizon.
func describeShared(w io.Writer, r store.Reader, mb mail.MailboxID, there mail.UIDSet) error {
	grants, err := r.Rights(mb)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, " rights %v\n", grants)
	if err := describeNotes(w, r, mb); err != nil {
		return err
	}
	if len(there) == 0 {
		return nil
	}
	for p := range mail.PrincipalID(numAccounts + 1) {
		if p > 0 {
			seen, err := r.OwnSeen(mb, p, there)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, " %d read %v\n", p, seen)
		}
		err := r.Annotations(store.AnnotationQuery{Mailbox: mb, UIDs: there, Who: p}, func(a *mail.Annotation) error {
			_, err := fmt.Fprintf(w, " %d %s %v %d %q\n", a.UID, a.Name, a.Shared, a.Who, a.Value)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// describeNotes writes what is noted on a mailbox, or the account.
func describeNotes(w io.Writer, r store.Reader, mb mail.MailboxID) error {
	for p := range mail.PrincipalID(numAccounts + 1) {
		notes, err := r.Metadata(mb, p)
		if err != nil {
			return err
		}
		for _, n := range notes {
			fmt.Fprintf(w, " %s %d %q\n", n.Name, p, n.Value)
		}
	}
	return nil
}

// sayer writes lines, each whole.
func sayer(w io.Writer) func(string, ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		line := fmt.Appendf(nil, sign+format+"\n", args...)
		mu.Lock()
		defer mu.Unlock()
		if _, err := w.Write(line); err != nil {
			panic(err)
		}
	}
}

// sign begins the lines that are meant for the test.
const sign = "@ "
