package index

import (
	"iter"
	"slices"
	"sort"

	"lockstep/internal/mail"
)

// chunkSize is how many entries a chunk has at most: what one change copies.
const chunkSize = 256

// Entry is a message as the index knows it.
type Entry struct {
	UID    mail.UID
	flags  uint32 // of the Version's flag table
	ModSeq mail.ModSeq
}

type chunk struct{ entries []Entry } // never empty, never changed

func (c *chunk) first() mail.UID { return c.entries[0].UID }
func (c *chunk) last() mail.UID  { return c.entries[len(c.entries)-1].UID }

// Version is a mailbox at one ModSeq. It is immutable.
type Version struct {
	ModSeq        mail.ModSeq // of the account, whose snapshot this shows
	HighestModSeq mail.ModSeq // of the mailbox
	UIDNext       mail.UID
	UIDValidity   mail.UIDValidity
	Epoch         mail.Epoch
	Reparsed      uint64      // of the account: texts made before are not those made after
	Rights        mail.Rights // of who sees it so

	chunks []*chunk
	starts []uint32 // how many entries lie before each chunk
	count  uint32
	flags  *flagTable
	read   int // rows that were read to make it
}

// Len is the number of messages.
func (v *Version) Len() uint32 { return v.count }

// Largest is the highest UID, 0 of an empty mailbox.
func (v *Version) Largest() mail.UID {
	if len(v.chunks) == 0 {
		return 0
	}
	return v.chunks[len(v.chunks)-1].last()
}

// Flags returns the flags of an entry of v.
func (v *Version) Flags(e Entry) mail.Flags { return v.flags.get(e.flags).flags }

// FlagText returns the flags of an entry of v as IMAP spells them, without
// parentheses.
func (v *Version) FlagText(e Entry) string { return v.flags.get(e.flags).text }

// Keywords returns the keywords ever seen in this mailbox since it was loaded, in
// the order in which they came; later Versions only add to them, unless the
// mailbox is loaded anew.
func (v *Version) Keywords() []string { return v.flags.keywords() }

// At returns the message with a sequence number from 1 to Len.
func (v *Version) At(seq uint32) Entry {
	i := sort.Search(len(v.starts), func(i int) bool { return v.starts[i] >= seq }) - 1
	return v.chunks[i].entries[seq-1-v.starts[i]]
}

// position is the number of entries with a UID less than uid.
func (v *Version) position(uid mail.UID) (n uint32, found bool) {
	i := sort.Search(len(v.chunks), func(i int) bool { return v.chunks[i].last() >= uid })
	if i == len(v.chunks) {
		return v.count, false
	}
	j, found := slices.BinarySearchFunc(v.chunks[i].entries, uid, compareUID)
	return v.starts[i] + uint32(j), found
}

func compareUID(e Entry, uid mail.UID) int {
	switch {
	case e.UID < uid:
		return -1
	case e.UID > uid:
		return 1
	}
	return 0
}

// Seq returns the sequence number of a UID.
func (v *Version) Seq(uid mail.UID) (uint32, bool) {
	n, found := v.position(uid)
	return n + 1, found
}

// Find returns the entry of a UID.
func (v *Version) Find(uid mail.UID) (Entry, bool) {
	n, found := v.position(uid)
	if !found {
		return Entry{}, false
	}
	return v.At(n + 1), true
}

// Seqs returns the sequence numbers of the UIDs from first to last; none when lo
// is greater than hi.
func (v *Version) Seqs(first, last mail.UID) (lo, hi uint32) {
	a, _ := v.position(first)
	b, found := v.position(last)
	if found {
		b++
	}
	return a + 1, b
}

// Range yields the messages with sequence numbers from lo to hi.
func (v *Version) Range(lo, hi uint32) iter.Seq2[uint32, Entry] {
	return func(yield func(uint32, Entry) bool) {
		if lo == 0 || lo > hi || lo > v.count {
			return
		}
		i := sort.Search(len(v.starts), func(i int) bool { return v.starts[i] >= lo }) - 1
		seq := lo
		for ; i < len(v.chunks); i++ {
			for _, e := range v.chunks[i].entries[seq-1-v.starts[i]:] {
				if seq > hi || !yield(seq, e) {
					return
				}
				seq++
			}
		}
	}
}

// All yields every message.
func (v *Version) All() iter.Seq2[uint32, Entry] { return v.Range(1, v.count) }

// UIDs returns the UIDs that are in the set and in the mailbox.
func (v *Version) UIDs(set mail.UIDSet) mail.UIDSet {
	var out mail.UIDSet
	for _, r := range set {
		lo, hi := v.Seqs(r.First, r.Last)
		for _, e := range v.Range(lo, hi) {
			out.Add(e.UID)
		}
	}
	return out
}

// With returns v with other flags and ModSeqs of messages that it has, in the
// order of their UIDs.
func (v *Version) With(list []mail.Placement) *Version {
	puts := make([]Entry, len(list))
	for i, p := range list {
		puts[i] = Entry{p.UID, v.flags.id(p.Flags), p.ModSeq}
	}
	return v.with(puts, nil)
}

// size is about how many bytes v's chunks and table take.
func (v *Version) size() int64 {
	const perChunk, perSet = 64, 160
	return int64(v.count)*16 + int64(len(v.chunks))*perChunk + int64(v.flags.len())*perSet
}

// with returns v with entries put in, or in the place of those with the same
// UIDs, and without those gone. Puts are in UID order. Chunks in which nothing
// happens are shared.
func (v *Version) with(puts []Entry, gone mail.UIDSet) *Version {
	out := *v
	out.chunks = make([]*chunk, 0, len(v.chunks)+1)
	for i, c := range v.chunks {
		n := len(puts)
		if i+1 < len(v.chunks) {
			next := v.chunks[i+1].first()
			n = sort.Search(len(puts), func(j int) bool { return puts[j].UID >= next })
		}
		mine := puts[:n]
		puts = puts[n:]
		if len(mine) == 0 && !overlaps(gone, c.first(), c.last()) {
			out.chunks = append(out.chunks, c)
			continue
		}
		out.add(mergeEntries(c.entries, mine, gone))
	}
	out.add(puts) // of an empty mailbox
	out.number()
	return &out
}

func overlaps(set mail.UIDSet, first, last mail.UID) bool {
	i := sort.Search(len(set), func(i int) bool { return set[i].Last >= first })
	return i < len(set) && set[i].First <= last
}

func mergeEntries(old, puts []Entry, gone mail.UIDSet) []Entry {
	out := make([]Entry, 0, len(old)+len(puts))
	for _, e := range old {
		for len(puts) > 0 && puts[0].UID < e.UID {
			out, puts = append(out, puts[0]), puts[1:]
		}
		if len(puts) > 0 && puts[0].UID == e.UID {
			e, puts = puts[0], puts[1:]
		}
		if !gone.Contains(e.UID) {
			out = append(out, e)
		}
	}
	return append(out, puts...)
}

// add appends entries as chunks. A small last chunk takes in what fits, so that
// expunging does not leave crumbs; a large one is left alone, because others
// share it.
func (v *Version) add(entries []Entry) {
	if n := len(v.chunks); n > 0 && len(entries) > 0 {
		last := v.chunks[n-1].entries
		if len(last) < chunkSize/4 && len(last)+len(entries) <= chunkSize {
			entries = append(slices.Clip(last), entries...)
			v.chunks = v.chunks[:n-1]
		}
	}
	for len(entries) > 0 {
		n := min(chunkSize, len(entries))
		v.chunks = append(v.chunks, &chunk{slices.Clone(entries[:n])})
		entries = entries[n:]
	}
}

func (v *Version) number() {
	v.starts, v.count = make([]uint32, len(v.chunks)), 0
	for i, c := range v.chunks {
		v.starts[i] = v.count
		v.count += uint32(len(c.entries))
	}
}
