package blob

import (
	"crypto/cipher"
	"crypto/rand"
	"hash/crc32"
	"io"

	"lockstep/internal/mail"
)

// A builder makes the record of one blob from its plain bytes and parts, in
// order. Used by one put.
type builder struct {
	key    []byte
	aead   cipher.AEAD
	recipe recipe
	plain  []byte // the frame being filled, pooled
	split  bool   // what comes next begins a frame
	body   spool
	// Once finished:
	fixed   []byte // header and sealed table
	header  recordHeader
	wrapped []byte // the key, as the row has it
}

func newBuilder(over *overflow) (*builder, error) {
	b := &builder{key: make([]byte, keySize), body: spool{over: over}}
	rand.Read(b.key)
	var err error
	b.aead, err = newAEAD(b.key)
	b.plain = frames.get()[:0]
	return b, err
}

// close gives back what the builder holds.
func (b *builder) close() {
	b.freePlain()
	b.body.close()
}

func (b *builder) freePlain() {
	frames.put(b.plain)
	b.plain = nil
}

func (b *builder) size() int64 { return b.recipe.size + int64(len(b.plain)) }

// Write implements io.Writer. A full frame is sealed when more bytes come, so
// that finish has the last one to mark.
func (b *builder) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(b.plain) == frameSize || b.split {
			b.split = false
			if err := b.endFrame(false); err != nil {
				return 0, err
			}
		}
		k := min(len(p), frameSize-len(b.plain))
		b.plain = append(b.plain, p[:k]...)
		p = p[k:]
	}
	return n, b.checkSize()
}

func (b *builder) checkSize() error {
	if b.size() > MaxSize {
		return mail.Errorf(mail.Limit, "larger than %d bytes", int64(MaxSize))
	}
	return nil
}

// endFrame seals what is waiting as a frame.
func (b *builder) endFrame(last bool) error {
	if len(b.plain) == 0 {
		return nil
	}
	scratch, out := frames.get(), frames.get()
	defer frames.put(scratch)
	defer frames.put(out)
	sealed, coding := sealFrame(out[:0], b.plain, scratch, b.aead, len(b.recipe.segments), last)
	b.recipe.addFrame(len(b.plain), len(sealed), coding)
	b.plain = b.plain[:0]
	_, err := b.body.Write(sealed)
	return err
}

// addPart puts the base64 of a part after what came before.
func (b *builder) addPart(name mail.BlobName, text encoding) error {
	if err := b.endFrame(false); err != nil {
		return err
	}
	b.recipe.addPart(name, text)
	return b.checkSize()
}

// finish seals the table. The record can be written from then on; a keyless one does not
// have the key in its header.
func (b *builder) finish(keys *Keyring, name mail.BlobName, keyless bool) error {
	if err := b.endFrame(true); err != nil {
		return err
	}
	b.freePlain()
	table := b.recipe.append(nil)
	h := &b.header
	*h = recordHeader{tableLen: uint32(len(table) + sealOverhead), bodyLen: b.body.size, size: b.recipe.size, name: name}
	if h.tableLen > maxTable {
		return mail.Errorf(mail.Limit, "cut into too many frames")
	}
	b.wrapped = keys.wrap(name, b.key)
	if !keyless {
		copy(h.key[:], b.wrapped)
	}
	table = b.aead.Seal(nil, nonce(nonceTable, 0), table, h.appendBound(nil))
	h.bodyCRC = crc32.Update(b.body.crc, castagnoli, table)
	b.fixed = append(h.append(make([]byte, 0, headerSize+len(table))), table...)
	return nil
}

func (b *builder) length() int64 { return b.header.length() }

func (b *builder) writeTo(w io.Writer) error {
	if _, err := w.Write(b.fixed); err != nil {
		return err
	}
	return b.body.writeTo(w)
}
