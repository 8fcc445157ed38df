// Package undo takes back what was done to an account: acts, all that a device did
// since a moment, the deletion of mailboxes. Whatever is asked for is one transaction,
// and so one act that can be taken back itself.
package undo

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// MaxActs bounds one undo: it is one transaction.
const MaxActs = 1000

// page is how many records are read at a time.
const page = 500

// Asked says what is to be taken back: the acts, or all that a device did since a
// moment.
type Asked struct {
	Acts   []mail.ActID
	Device mail.DeviceID
	Since  time.Time
}

// Done says what came of it, or would.
type Done struct {
	Acts   []mail.ActID // taken back, the newest first
	Undone int          // messages and mailboxes put back
	Left   []string     // what was left alone, and why
	Act    mail.ActID   // by which it can be taken back; 0 of a preview, or when nothing changed
}

var errPreview = errors.New("only a preview")

// Do takes back what is asked for, the newest act first, as an act is in the way of
// those before it; a preview says what would come of it and changes nothing. It costs
// what the acts touched. More than MaxActs is Limit, an act that is not there NotFound.
func Do(ctx context.Context, st store.Store, account mail.AccountID, by mail.Origin, a Asked, preview bool) (Done, error) {
	return do(ctx, st, account, by, preview, func(r store.Reader) ([]mail.ActID, error) { return a.acts(r) })
}

func do(ctx context.Context, st store.Store, account mail.AccountID, by mail.Origin, preview bool, which func(store.Reader) ([]mail.ActID, error)) (Done, error) {
	var done Done
	n, err := st.Update(ctx, account, by.WithCause(mail.ByUndo), func(tx store.Tx) error {
		acts, err := which(tx)
		if err != nil {
			return err
		}
		done = Done{Acts: acts}
		for _, id := range acts {
			report, err := tx.Undo(id)
			if err != nil {
				return err
			}
			done.Undone += report.Undone
			done.Left = append(done.Left, report.Left...)
		}
		if preview {
			return errPreview
		}
		return nil
	})
	if err != nil && err != errPreview {
		return Done{}, err
	}
	done.Act = mail.ActID(n)
	return done, nil
}

// acts are those asked for, the newest first.
func (a Asked) acts(r store.Reader) ([]mail.ActID, error) {
	if a.Device != 0 {
		return actsOf(r, a.Device, a.Since)
	}
	if len(a.Acts) > MaxActs {
		return nil, mail.Errorf(mail.Limit, "at most %d acts are taken back at once", MaxActs)
	}
	return newestFirst(a.Acts), nil
}

func newestFirst(acts []mail.ActID) []mail.ActID {
	acts = slices.Clone(acts)
	slices.SortFunc(acts, func(a, b mail.ActID) int { return cmp.Compare(b, a) })
	return slices.Compact(acts)
}

// actsOf are the acts that a device began or went on with since a moment.
func actsOf(r store.Reader, device mail.DeviceID, since time.Time) (acts []mail.ActID, err error) {
	seen := map[mail.ActID]bool{}
	for q := (store.JournalQuery{Device: device, Since: since, Limit: page}); ; {
		records, err := r.Journal(q)
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			q.Before = rec.ModSeq
			if !seen[rec.Act] {
				seen[rec.Act] = true
				acts = append(acts, rec.Act)
			}
		}
		if len(acts) > MaxActs {
			return nil, mail.Errorf(mail.Limit, "the device did more than %d things since then, too much to take back at once: choose a later moment first", MaxActs)
		}
		if len(records) < page {
			return newestFirst(acts), nil
		}
	}
}
