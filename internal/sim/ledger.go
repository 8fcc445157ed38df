package sim

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// ledger is what the devices of one account know of letters: which were accepted,
// and what was tried with them. It is the truth that is left when nobody can watch
// the server from within.
type ledger struct {
	*tried
	accepted map[string]time.Time // when, first
}

// tried is what was tried with letters by all who share mailboxes with each other.
type tried struct {
	mu      sync.Mutex
	removed map[string]bool // somebody tried to delete it, or what it was in, or to move it to somebody else
	doubled map[string]bool // somebody tried to copy it, or sent it again after a break, or it came from somebody else
}

func newTried() *tried { return &tried{removed: map[string]bool{}, doubled: map[string]bool{}} }

func newLedger(d *tried) *ledger { return &ledger{tried: d, accepted: map[string]time.Time{}} }

func (l *ledger) accept(token string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.accepted[token]; !known {
		l.accepted[token] = time.Now()
	}
}

// forgiveBetween takes letters that were accepted in a time for ones that may be gone.
func (l *ledger) forgiveBetween(from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, at := range l.accepted {
		if at.After(from) && at.Before(to) {
			l.removed[token] = true
		}
	}
}

func (l *ledger) remove(token string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed[token] = true
}

func (l *ledger) double(token string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubled[token] = true
}

// differs says where what is there can't have come from what was done.
func (l *ledger) differs(t Truth) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := map[string]int{}
	for _, b := range t {
		if isOthers(b.Name) {
			continue // that is in the ledger of who shares it
		}
		for _, letter := range b.Letters {
			there[letter.Token]++
		}
	}
	for token := range l.accepted {
		if there[token] == 0 && !l.removed[token] {
			out = append(out, fmt.Sprintf("%s was accepted and is nowhere", token))
		}
	}
	for token, n := range there {
		if n > 1 && token != "" && !l.doubled[token] { // drafts of phones have no Message-ID
			out = append(out, fmt.Sprintf("%s is there %d times", token, n))
		}
	}
	slices.Sort(out)
	return out
}
