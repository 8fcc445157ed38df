package index

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"lockstep/internal/mail"
)

// flagTable numbers the sets of flags in a mailbox. It only grows; a mailbox
// whose table has grown too far is loaded anew.
type flagTable struct {
	sets  atomic.Pointer[[]flagSet] // its elements never change
	words atomic.Pointer[[]string]

	mu  sync.Mutex
	ids map[mail.Flags]uint32
}

type flagSet struct {
	flags mail.Flags
	text  string
}

// A table may have so many sets, and four times as many as there are messages.
const maxIdleSets = 4096

func newFlagTable() *flagTable {
	t := &flagTable{ids: map[mail.Flags]uint32{}}
	t.sets.Store(&[]flagSet{})
	t.words.Store(&[]string{})
	return t
}

func (t *flagTable) get(id uint32) flagSet { return (*t.sets.Load())[id] }
func (t *flagTable) len() int              { return len(*t.sets.Load()) }
func (t *flagTable) keywords() []string    { return *t.words.Load() }

func (t *flagTable) bloated(messages uint32) bool {
	return t.len() > maxIdleSets+4*int(messages)
}

// id returns the number of a set.
func (t *flagTable) id(f mail.Flags) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.ids[f]; ok {
		return id
	}
	f = mail.StoredFlags(f.System, strings.Clone(f.KeywordText())) // the store's bytes may be part of something larger
	sets := append(*t.sets.Load(), flagSet{f, f.String()})
	id := uint32(len(sets) - 1)
	t.ids[f] = id
	t.addWords(f.Keywords())
	t.sets.Store(&sets)
	return id
}

func (t *flagTable) addWords(words []string) {
	known := *t.words.Load()
	for _, w := range words {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, w) }) {
			known = append(known, w)
		}
	}
	t.words.Store(&known)
}
