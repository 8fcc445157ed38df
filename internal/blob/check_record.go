package blob

import (
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"io"

	"lockstep/internal/mail"
)

// CheckRecord opens a record that lies anywhere, such as in a backup, as its row says
// it is: every frame, and of a blob without parts the whole hash. The key in its header
// may be left out, as the row has it. Damage, and a key that does not fit, are
// mail.Corrupt.
func (k *Keyring) CheckRecord(ctx context.Context, b mail.Blob, record io.ReaderAt) error {
	at, err := parsePlace(b.Place)
	if err != nil {
		return err
	}
	c := &recordCheck{record: record, dst: frames.get(), aux: frames.get()}
	defer c.close()
	head := make([]byte, headerSize)
	if _, err := readFullAt(record, head, 0); err != nil {
		return corrupt("a record is cut off", err)
	}
	h, err := parseHeader(head)
	if err != nil {
		return err
	}
	if h.name != b.Name || h.size != b.Size || h.length() != at.length {
		return corrupt("another record lies where this one should", nil)
	}
	if err := c.open(k, b, &h); err != nil {
		return err
	}
	sum := sha256.New()
	for i := range c.recipe.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.frame(i, sum); err != nil {
			return err
		}
	}
	if len(c.recipe.parts) == 0 && k.name(sum.Sum(nil)) != b.Name {
		return corrupt("the bytes are not those that were put", nil)
	}
	return nil
}

// A recordCheck is one record that is looked at.
type recordCheck struct {
	record   io.ReaderAt
	recipe   *recipe
	aead     cipher.AEAD
	body     int64 // where the frames begin
	dst, aux []byte
}

func (c *recordCheck) close() {
	frames.put(c.dst)
	frames.put(c.aux)
}

func (c *recordCheck) open(k *Keyring, b mail.Blob, h *recordHeader) error {
	key, err := k.unwrap(b.Name, b.Key)
	if err != nil {
		return err
	}
	if c.aead, err = newAEAD(key); err != nil {
		return err
	}
	sealed := make([]byte, h.tableLen)
	if _, err := readFullAt(c.record, sealed, headerSize); err != nil {
		return corrupt("a table cannot be read", err)
	}
	c.body = headerSize + int64(h.tableLen)
	c.recipe, err = openTable(h, sealed, c.aead)
	return err
}

// frame opens a frame and adds its bytes; what is a part's is the part's.
func (c *recordCheck) frame(i int, sum io.Writer) error {
	s := &c.recipe.segments[i]
	if s.isPart {
		return nil
	}
	sealed := c.aux[:s.stored]
	if _, err := readFullAt(c.record, sealed, c.body+s.at); err != nil {
		return corrupt("frames cannot be read", err)
	}
	plain, err := openFrame(c.dst, sealed, c.aux, c.aead, i, s, i == len(c.recipe.segments)-1)
	if err != nil {
		return err
	}
	_, err = sum.Write(plain)
	return err
}
