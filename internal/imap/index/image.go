package index

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// An image is a Version as the store keeps it, so that a large mailbox that nobody
// had open since the start is read in one piece, and only what changed since from
// the rows. It can be thrown away at any time, and is made anew when it is old.
//
//	version, then numbers as uvarints: epoch, ModSeq, HighestModSeq
//	number of flag sets, then of each: system flags, keywords with their length
//	number of messages, then of each: UID less the one before, number of the
//	set, ModSeq less the one before (zigzag)
//	CRC-32C of all that, four bytes
const imageVersion = 1

// imageFrom is how many messages are worth an image. It is made anew when so many rows
// were read since, and the mailbox's share: what is read of a cold disk beside the image
// lies all over the database, a page for each row. A new one is some 2.5 KB written for
// each row that makes it old, where the change itself wrote ten times that.
const (
	imageFrom  = 4096
	renewFrom  = 64
	renewShare = 512
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CursorName is what the store keeps the image of a mailbox under, as a cursor of no
// device. Who deletes the mailbox forgets it.
func CursorName(mb mail.MailboxID) string { return "imap index " + strconv.FormatInt(int64(mb), 10) }

// encode makes the image of v.
func (v *Version) encode() []byte {
	b := make([]byte, 0, 64+6*int(v.count))
	b = append(b, imageVersion)
	b = binary.AppendUvarint(b, uint64(v.Epoch))
	b = binary.AppendUvarint(b, uint64(v.ModSeq))
	b = binary.AppendUvarint(b, uint64(v.HighestModSeq))
	numbers, sets := v.usedSets()
	b = binary.AppendUvarint(b, uint64(len(sets)))
	for _, f := range sets {
		b = binary.AppendUvarint(b, uint64(f.System))
		words := f.KeywordText()
		b = append(binary.AppendUvarint(b, uint64(len(words))), words...)
	}
	b = binary.AppendUvarint(b, uint64(v.count))
	var last Entry
	for _, e := range v.All() {
		b = binary.AppendUvarint(b, uint64(e.UID-last.UID))
		b = binary.AppendUvarint(b, uint64(numbers[e.flags]))
		b = binary.AppendVarint(b, int64(e.ModSeq-last.ModSeq))
		last = e
	}
	return sealed(b)
}

// sealed ends an image.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// usedSets numbers the sets of flags that messages of v have.
func (v *Version) usedSets() (numbers map[uint32]int, sets []mail.Flags) {
	numbers = map[uint32]int{}
	for _, e := range v.All() {
		if _, ok := numbers[e.flags]; !ok {
			numbers[e.flags] = len(sets)
			sets = append(sets, v.Flags(e))
		}
	}
	return numbers, sets
}

// decodeImage reads what encode wrote; nil if it is not whole.
func decodeImage(b []byte) *Version {
	n := len(b) - 4
	if n < 1 || b[0] != imageVersion || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil
	}
	d := imageDecoder{rest: b[1:n]}
	v := &Version{Epoch: mail.Epoch(d.number()), ModSeq: mail.ModSeq(d.number()), HighestModSeq: mail.ModSeq(d.number()), flags: newFlagTable()}
	sets := make([]uint32, d.count(2))
	for i := range sets {
		system := mail.SystemFlags(d.number())
		sets[i] = v.flags.id(mail.StoredFlags(system, d.text()))
	}
	entries := make([]Entry, d.count(3))
	var last Entry
	for i := range entries {
		uid, set := uint64(last.UID)+d.number(), d.number()
		last.ModSeq += mail.ModSeq(d.signed())
		if d.bad || uid <= uint64(last.UID) || uid > 1<<32-1 || set >= uint64(len(sets)) {
			return nil
		}
		last.UID, last.flags = mail.UID(uid), sets[set]
		entries[i] = last
	}
	if d.bad || len(d.rest) > 0 {
		return nil
	}
	v.add(entries)
	v.number()
	return v
}

// imageDecoder takes numbers off the front; after the first that is not there it
// is bad.
type imageDecoder struct {
	rest []byte
	bad  bool
}

func (d *imageDecoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	return d.took(v, n)
}

func (d *imageDecoder) signed() int64 {
	v, n := binary.Varint(d.rest)
	return int64(d.took(uint64(v), n))
}

func (d *imageDecoder) took(v uint64, n int) uint64 {
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads how many there are of what takes so many bytes at least.
func (d *imageDecoder) count(size int) int {
	n := d.number()
	if n > uint64(len(d.rest)/size) {
		d.bad, d.rest = true, nil
		return 0
	}
	return int(n)
}

func (d *imageDecoder) text() string {
	s := d.rest[:d.count(1)]
	d.rest = d.rest[len(s):]
	return string(s)
}

// fromImage returns the Version that the store has an image of, if any that leads
// to what r shows.
func fromImage(r store.Reader, key boxKey, account *mail.Account) *Version {
	if key.as != 0 { // who is not the owner has read other messages
		return nil
	}
	b, err := r.Cursor(0, CursorName(key.mailbox))
	if err != nil {
		return nil // the rows say it all, and meet the error again
	}
	v := decodeImage(b)
	if v == nil || v.Epoch != account.Epoch || v.ModSeq > account.Head || v.ModSeq < account.Exact() {
		return nil
	}
	return v
}

// keepImage notes how many rows were read to make v, and writes an image when they
// have become many. b.loading is held.
func (b *Box) keepImage(v *Version) {
	b.drift += v.read
	if b.key.as != 0 || b.drift < b.cache.worthImage(v.count) || !b.imaging.CompareAndSwap(false, true) {
		return
	}
	b.drift = 0
	b.cache.running.start(func() {
		defer b.imaging.Store(false)
		b.cache.setImage(b.key, v.encode())
	})
}

// worthImage is how many rows that were read are worth an image of so many messages.
func (c *Cache) worthImage(messages uint32) int {
	if int(messages) < c.imageFrom {
		return c.imageFrom
	}
	return max(renewFrom, int(messages/renewShare))
}

// setImage writes an image. Without it only time is lost.
func (c *Cache) setImage(key boxKey, image []byte) {
	_ = c.store.Note(context.Background(), key.account, func(n store.Notes) error {
		return n.SetCursor(0, CursorName(key.mailbox), image)
	})
}
