package blob

import (
	"context"
	"io"

	"lockstep/internal/mail"
)

// MendFrom takes a record of a blob from elsewhere, such as a backup of the packs,
// adds it to a pack of its own and makes the row say that it lies there. The record
// is as it lay at the row's place, but for the key in its header, which the row has.
// One that is not good is mail.Corrupt, and changes nothing; a row that was moved or
// forgotten meanwhile is mail.Conflict.
func (s *Store) MendFrom(ctx context.Context, b mail.Blob, record io.Reader) error {
	over := &overflow{fs: s.fs, dir: s.dir}
	defer over.close()
	taken, err := takeRecord(b, record, over, s.home.keyless()) // which may come from far away
	if err != nil {
		return err
	}
	defer taken.frames.close()
	s.mu.Lock() // nothing is collected or compacted meanwhile
	defer s.mu.Unlock()
	at, err := s.home.add(ctx, taken)
	if err != nil {
		return err
	}
	copied := b
	copied.Place = at.String()
	if err := s.verifyCopy(ctx, copied); err != nil {
		return err
	}
	n, err := s.index.Move(ctx, []Move{{Name: b.Name, From: b.Place, To: copied.Place}})
	if err != nil {
		return err
	}
	if n == 0 {
		return mail.Errorf(mail.Conflict, "the blob was moved or forgotten meanwhile")
	}
	delete(s.damaged, b.Place)
	s.damage.mended(b.Name)
	return nil
}

// takenRecord is a record that came from elsewhere.
type takenRecord struct {
	header recordHeader
	frames spool // and the table before them
}

// takeRecord reads a record, small ones into memory.
func takeRecord(b mail.Blob, r io.Reader, over *overflow, keyless bool) (*takenRecord, error) {
	at, err := parsePlace(b.Place)
	if err != nil {
		return nil, err
	}
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, cutOff(err)
	}
	t := &takenRecord{frames: spool{over: over}}
	if t.header, err = parseHeader(head); err != nil {
		return nil, err
	}
	if t.header.name != b.Name || t.header.size != b.Size || t.header.length() != at.length || len(b.Key) != wrappedSize {
		return nil, corrupt("another record came than was asked for", nil)
	}
	t.header.key = [wrappedSize]byte{}
	if !keyless {
		copy(t.header.key[:], b.Key)
	}
	if _, err := io.CopyN(&t.frames, r, at.length-headerSize); err != nil {
		t.frames.close()
		return nil, cutOff(err)
	}
	return t, nil
}

// cutOff tells a record that ends early from a source that can't be read.
func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return corrupt("a record is cut off", err)
	}
	return err
}

func (t *takenRecord) length() int64 { return t.header.length() }

func (t *takenRecord) writeTo(w io.Writer) error {
	if _, err := w.Write(t.header.append(nil)); err != nil {
		return err
	}
	return t.frames.writeTo(w)
}
