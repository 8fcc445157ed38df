package sim

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// box is a mailbox as an IMAP device has it.
type box struct {
	id, name string
	validity uint32
	modseq   uint64 // everything up to it is here; 0 is nothing
	letters  map[uint32]*letter

	messages, unseen int // as STATUS says
}

// letter is a message as a device has it.
type letter struct {
	token  string // "" until its header was fetched
	flags  string
	hidden bool // deleted or moved offline

	subject string // its last word, if it was asked for
	email   string // its EMAILID, likewise
}

func (b *box) uids() []uint32 { return slices.Sorted(maps.Keys(b.letters)) }

// flagWords sorts flags and leaves \Recent out.
func flagWords(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.EqualFold(w, `\Recent`) })
	sort.Strings(words)
	return strings.Join(words, " ")
}

func withFlag(flags, flag string) string {
	words := strings.Fields(flags)
	if !slices.Contains(words, flag) {
		words = append(words, flag)
	}
	return flagWords(words)
}

func withoutFlag(flags, flag string) string {
	return flagWords(slices.DeleteFunc(strings.Fields(flags), func(w string) bool { return w == flag }))
}

// differs says how a mailbox differs from the truth.
func (b *box) differs(t *TruthBox) (out []string) {
	say := func(format string, args ...any) { out = append(out, b.name+": "+fmt.Sprintf(format, args...)) }
	if t == nil {
		say("is not there")
		return out
	}
	if b.name != t.Name {
		say("is called %s", t.Name)
	}
	if b.validity != t.Validity {
		say("UIDVALIDITY %d, it is %d", b.validity, t.Validity)
	}
	for _, uid := range b.uids() {
		have := b.letters[uid]
		is, there := t.Letters[uid]
		switch {
		case !there:
			say("still has %d (%s)", uid, have.token)
		case have.token != is.Token:
			say("%d is %s, it should be %s", uid, have.token, is.Token)
		case have.flags != is.Flags:
			say("%d (%s) has flags %q, it should have %q", uid, have.token, have.flags, is.Flags)
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(t.Letters)) {
		if b.letters[uid] == nil {
			say("lacks %d (%s)", uid, t.Letters[uid].Token)
		}
	}
	return out
}

// unread counts what is not \Seen.
func (b *box) unread() int {
	n := 0
	for _, l := range b.letters {
		if withFlag(l.flags, `\Seen`) != l.flags {
			n++
		}
	}
	return n
}

// miscounts says where STATUS disagrees with what is here.
func (b *box) miscounts() (out []string) {
	unseen := b.unread()
	if b.messages != len(b.letters) || b.unseen != unseen {
		out = append(out, fmt.Sprintf("%s: STATUS says %d messages and %d unseen, here are %d and %d", b.name, b.messages, b.unseen, len(b.letters), unseen))
	}
	return out
}
