package sqlstore

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// flagDiff is what a change of flags really does to a message.
type flagDiff struct{ added, removed mail.Flags }

// StoreFlags implements store.Tx.
func (t *tx) StoreFlags(mb mail.MailboxID, uids mail.UIDSet, change mail.FlagChange, unchangedSince *mail.ModSeq) (store.StoreResult, error) {
	var r store.StoreResult
	b, err := t.box(mb)
	if err != nil {
		return r, err
	}
	mine, err := t.ownFlags(b, change.As, uids)
	if err != nil {
		return r, err
	}
	tooMany := false
	changing, err := t.load(mb, uids, func(shared *mail.Placement) bool {
		p := *shared
		mine.show(&p)
		f := change.Apply(p.Flags)
		if f.KeywordText() != p.Flags.KeywordText() && len(f.Keywords()) > mail.MaxKeywords {
			tooMany = true
		}
		switch {
		case unchangedSince != nil && p.ModSeq > *unchangedSince:
			r.Modified.Add(p.UID)
		case f == p.Flags:
			r.Same.Add(p.UID)
		default:
			r.Changed.Add(p.UID)
			return true
		}
		return false
	})
	switch {
	case err != nil:
		return store.StoreResult{}, err
	case tooMany:
		return store.StoreResult{}, tooManyKeywords()
	}
	if change.As != 0 && !b.CommonSeen {
		if changing, err = t.storeOwnOf(b, changing, mine, change); err != nil {
			return store.StoreResult{}, err
		}
		change = withoutSeen(change)
	}
	return r, t.reflagAll(b, changing, change)
}

func tooManyKeywords() error {
	return mail.Errorf(mail.Limit, "a message has at most %d keywords", mail.MaxKeywords)
}

const updateFlags = `UPDATE placement SET system = ?3, keywords = ?4, modseq = ?5, changed_by = ?6
	WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?7)`

// reflagAll changes flags: one statement for each outcome, one entry for each
// difference.
func (t *tx) reflagAll(b *box, hs []held, change mail.FlagChange) error {
	if len(hs) == 0 {
		return nil
	}
	var outcomes []mail.Flags
	var diffs []flagDiff
	byOutcome := map[mail.Flags]ints{}
	byDiff := map[flagDiff]mail.UIDSet{}
	for _, h := range hs {
		f := change.Apply(h.Flags)
		if byOutcome[f] == nil {
			outcomes = append(outcomes, f)
		}
		byOutcome[f] = append(byOutcome[f], int64(h.UID))
		d := flagDiff{f.Minus(h.Flags), h.Flags.Minus(f)}
		set := byDiff[d]
		if set == nil {
			diffs = append(diffs, d)
		}
		set.Add(h.UID)
		byDiff[d] = set
		b.countFlags(h.Flags, -1)
		b.countFlags(f, 1)
		t.reflag(&h, f)
		t.put(b.ID, h.UID, f)
	}
	t.touch(b)
	for _, f := range outcomes {
		if err := t.c.later(updateFlags, t.id, b.ID, f.System, f.KeywordText(), t.n, t.by.Device(), byOutcome[f]); err != nil {
			return err
		}
	}
	for _, d := range diffs {
		t.add(mail.Entry{Op: mail.OpFlags, Mailbox: b.ID, UIDs: byDiff[d], Added: d.added.Names(), Removed: d.removed.Names()})
	}
	return nil
}
