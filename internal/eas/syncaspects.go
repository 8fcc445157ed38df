package eas

import (
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// aspects are what of a message may change while it stays: a device that has it is told
// of those that did, and of no other (MS-ASEMAIL §3.2.1.1).
type aspects uint8

const (
	aspectRead aspects = 1 << iota
	aspectFlag
	aspectCategories
	aspectVerb // what was last done with it
	allAspects = aspectRead | aspectFlag | aspectCategories | aspectVerb
)

// aspectsSince finds in the journal what changed of messages after a ModSeq; what it
// does not tell may be anything. It costs the records since then, and is left alone
// where these are many.
func aspectsSince(r store.Reader, mb mail.MailboxID, since, head mail.ModSeq) (map[mail.UID]aspects, error) {
	if head > since+maxJournalRead {
		return nil, nil
	}
	records, err := r.Journal(store.JournalQuery{After: since, Limit: maxJournalRead})
	if err != nil || len(records) == maxJournalRead {
		return nil, err
	}
	changed := map[mail.UID]aspects{}
	for _, record := range records {
		for i := range record.Entries {
			e := &record.Entries[i]
			if e.Mailbox != mb || len(e.UIDs) == 0 {
				continue
			}
			a := aspectsOf(e)
			for uid := range e.UIDs.All() {
				changed[uid] |= a
			}
		}
	}
	return changed, nil
}

// aspectsOf is what an entry of the journal changed.
func aspectsOf(e *mail.Entry) (a aspects) {
	switch e.Op {
	case mail.OpFlags:
		for _, name := range slices.Concat(e.Added, e.Removed) {
			a |= aspectOfFlag(name)
		}
		return a
	case mail.OpAnnotate:
		switch {
		case strings.HasPrefix(e.Name, followUpEntry):
			return aspectFlag
		case strings.HasPrefix(e.Name, lastVerbEntry):
			return aspectVerb
		}
		return 0
	}
	return allAspects
}

func aspectOfFlag(name string) aspects {
	switch strings.ToLower(name) {
	case `\seen`:
		return aspectRead
	case `\flagged`:
		return aspectFlag
	case `\answered`, "$forwarded":
		return aspectVerb
	}
	if _, ok := categoryOf(name); ok && !strings.HasPrefix(name, `\`) {
		return aspectCategories
	}
	return 0
}
