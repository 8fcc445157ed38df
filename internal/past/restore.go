package past

import (
	"context"
	"errors"
	"fmt"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Mode is how far a restore goes.
type Mode string

// The modes.
const (
	// KeepNew makes everything that was there as it was, and leaves what came since.
	KeepNew Mode = ""
	// OnlyMissing brings back what is nowhere in the account any more, and touches
	// nothing that is.
	OnlyMissing Mode = "only-missing"
	// Exact also takes away what came since: of a whole account it is removed, and
	// undoing the restore brings it back; of one mailbox it goes to Trash.
	Exact Mode = "exact"
)

// Wish is what of an account is to be as it was.
type Wish struct {
	At      mail.ModSeq
	Mailbox string // by the path it had then; "" is all
	Mode    Mode
	// Known says whether a principal is still there; nil: all are.
	Known func(mail.PrincipalID) bool
}

// maxLeft bounds the lines of a Report that say what could not be put back.
const maxLeft = 200

// maxMatched bounds the messages that were found elsewhere and go back, and with that
// what a restore remembers of them: 16 bytes each.
const maxMatched = 8 << 20

// Report is what a restore does, or did.
type Report struct {
	Act       mail.ActID // by which all of it can be undone; 0: nothing was done
	Back      int64      // messages that come back
	Moved     int64      // that are moved back
	Gone      int64      // that go
	Flagged   int64      // whose flags become what they were
	Annotated int64
	Mended    int64 // whose bytes were damaged here, and came out of the copy
	Edited    int64 // that have a newer version, which stays in their place
	Made      []string
	Renamed   []string
	Removed   []string
	Other     []string // subscriptions, rights, annotations of mailboxes, preferences
	Left      []string // what can't be put back, and why
	LeftMore  int      // beyond those lines
	Mailboxes []MailboxReport
}

// MailboxReport is what of a Report concerns the messages of one mailbox.
type MailboxReport struct {
	Path                       string
	Back, Moved, Gone, Flagged int64
}

// IsEmpty reports whether there is nothing to do.
func (r *Report) IsEmpty() bool {
	return r.Back+r.Moved+r.Gone+r.Flagged+r.Annotated+r.Mended == 0 && len(r.Made)+len(r.Renamed)+len(r.Removed)+len(r.Other) == 0
}

func (r *Report) left(format string, args ...any) {
	if len(r.Left) == maxLeft {
		r.LeftMore++
		return
	}
	r.Left = append(r.Left, fmt.Sprintf(format, args...))
}

// Preview says what Restore would do. Nothing changes.
func Preview(ctx context.Context, s store.Store, id mail.AccountID, w Wish) (Report, error) {
	return restore(ctx, s, id, mail.NewOrigin("restore", 0, mail.Local, mail.ByRestore), w, false, nil, usual)
}

// Restore makes an account, or a mailbox, as it was: in many transactions, which are
// one act. Cut short, it can be undone as far as it came, or be asked for again. Messages
// come back with their email ids and internal dates, under new UIDs. progress, if not
// nil, is called now and then. What somebody changes meanwhile is left as they made it.
func Restore(ctx context.Context, s store.Store, id mail.AccountID, by mail.Origin, w Wish, progress func(Report)) (Report, error) {
	return restore(ctx, s, id, by.WithCause(mail.ByRestore), w, true, progress, usual)
}

func restore(ctx context.Context, s store.Store, id mail.AccountID, by mail.Origin, w Wish, apply bool, progress func(Report), b bounds) (Report, error) {
	v, err := open(ctx, s, id, w.At, b)
	if err != nil {
		return Report{}, err
	}
	r := &restorer{View: v, ctx: ctx, by: by, wish: w, apply: apply, progress: progress,
		inScope: map[mail.MailboxID]bool{}, skipped: map[mail.MailboxID]bool{}, used: map[mail.PlacementID]mail.MailboxID{}, paths: map[mail.MailboxID]string{}}
	err = r.run()
	return r.report, err
}

// restorer is a restore under way.
type restorer struct {
	*View
	ctx      context.Context
	by       mail.Origin
	wish     Wish
	apply    bool
	progress func(Report)
	report   Report

	start   mail.ModSeq // what came later is none of its business
	scope   []Mailbox   // as they were, those above first
	inScope map[mail.MailboxID]bool
	bare    map[mail.MailboxID]bool             // of the scope, only that it is there
	made    []mail.Mailbox                      // since then, to be removed
	skipped map[mail.MailboxID]bool             // could not be made again
	paths   map[mail.MailboxID]string           // for people
	used    map[mail.PlacementID]mail.MailboxID // came since, and goes to, or stays in, its place there
	trash   mail.MailboxID
}

func (r *restorer) run() error {
	if err := r.choose(); err != nil {
		return err
	}
	if err := r.frames(); err != nil {
		return err
	}
	for _, mb := range r.scope {
		if r.skipped[mb.ID] || r.bare[mb.ID] {
			continue
		}
		if err := r.messages(mb); err != nil {
			return err
		}
	}
	if r.wish.Mode == Exact {
		if err := r.removeNew(); err != nil {
			return err
		}
	}
	if !r.apply {
		return nil // frames previewed the rest too
	}
	return r.update(func(tx store.Tx, rep *Report) error { return r.rest(tx, rep) })
}

// whole reports whether it is about all of the account.
func (r *restorer) whole() bool { return r.wish.Mailbox == "" }

// choose finds out which mailboxes it is about.
func (r *restorer) choose() error {
	want := map[mail.MailboxID]bool{}
	r.bare = map[mail.MailboxID]bool{}
	if !r.whole() {
		mb, err := r.MailboxByPath(r.wish.Mailbox)
		if err != nil {
			return err
		}
		want[mb.ID] = true
		for at := mb.Image.Parent; at != 0; at = r.frame.images[at].Parent {
			want[at], r.bare[at] = true, true
		}
	}
	depth := func(mb Mailbox) int { return len(splitPath(mb.Path)) }
	for d := 1; d <= mail.MaxMailboxDepth; d++ {
		for _, mb := range r.Mailboxes() {
			if depth(mb) == d && (r.whole() || want[mb.ID]) {
				r.scope = append(r.scope, mb)
				r.inScope[mb.ID] = !r.bare[mb.ID]
				r.paths[mb.ID] = mb.Path
			}
		}
	}
	return r.look(r.ctx, func(rd store.Reader, a mail.Account) error {
		r.start, r.made = a.Head, nil
		now, err := rd.Mailboxes()
		for _, mb := range now {
			if mb.Role == mail.RoleTrash {
				r.trash = mb.ID
			}
			if _, was := r.frame.images[mb.ID]; !was && r.whole() && r.wish.Mode == Exact {
				r.made = append(r.made, mb)
			}
			if r.paths[mb.ID] == "" {
				r.paths[mb.ID] = mb.Path
			}
		}
		return err
	})
}

// errPreview ends a transaction that only shows what would come of it.
var errPreview = errors.New("this was only looked at")

// update runs a transaction of the act. What fn reports counts when it is through; fn
// may run again.
func (r *restorer) update(fn func(store.Tx, *Report) error) error {
	by := r.by
	if r.report.Act != 0 {
		by = by.InAct(r.report.Act)
	}
	var rep Report
	n, err := r.store.Update(r.ctx, r.account, by, func(tx store.Tx) error {
		rep = r.report.clone()
		if err := fn(tx, &rep); err != nil || r.apply {
			return err
		}
		return errPreview
	})
	if err != nil && !errors.Is(err, errPreview) {
		return err
	}
	if rep.Act == 0 {
		rep.Act = mail.ActID(n)
	}
	if r.report = rep; r.progress != nil {
		r.progress(rep)
	}
	return nil
}

// clone returns a report that can be added to without the other's changing.
func (r *Report) clone() Report {
	c := *r
	for _, list := range []*[]string{&c.Made, &c.Renamed, &c.Removed, &c.Other, &c.Left} {
		*list = append([]string(nil), *list...)
	}
	c.Mailboxes = append([]MailboxReport(nil), c.Mailboxes...)
	return c
}

// box returns what is reported of a mailbox.
func (r *Report) box(path string) *MailboxReport {
	for i := range r.Mailboxes {
		if r.Mailboxes[i].Path == path {
			return &r.Mailboxes[i]
		}
	}
	r.Mailboxes = append(r.Mailboxes, MailboxReport{Path: path})
	return &r.Mailboxes[len(r.Mailboxes)-1]
}
