package blob

import (
	"context"
	"io"
	"slices"

	"lockstep/internal/mail"
)

const (
	// A pack is compacted when less than 1/mostlyDead of it lives.
	mostlyDead = 2
	// Packs smaller than 1/smallPack of the target, as every start and every
	// failed write leaves them, are joined when there are joinPacks of them.
	smallPack = 4
	joinPacks = 8

	compactPage  = 256     // rows read, and records copied, with one sync
	compactBytes = 8 << 20 // bytes copied with one sync, or one record
)

// Compacted says what Compact did.
type Compacted struct {
	Packs   int         // emptied; each is unlinked after its last reader
	Moved   int         // blobs copied
	Bytes   int64       // that they take
	Damaged []mail.Blob // left where they are, and their packs with them
	// Held says that somebody holds the packs (Hold), so that not all was done.
	Held bool
}

// Compact copies what lives out of packs that are mostly dead, or small and
// many, and removes them. It leaves packs alone to which a handle that was not
// committed yet may point. A damaged record is reported and does not keep the
// rest from moving. While somebody holds the packs it does nothing.
//
// In a bucket it also looks for objects that nobody names, and removes those that it
// found so long ago.
func (s *Store) Compact(ctx context.Context) (Compacted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home.compact(ctx)
}

// compact implements home.
func (s onDisk) compact(ctx context.Context) (Compacted, error) {
	var c Compacted
	if c.Held = s.holds.Load() > 0; c.Held {
		return c, nil
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return c, err
	}
	for _, id := range candidates {
		if c.Held = s.holds.Load() > 0; c.Held {
			return c, nil
		}
		if err := s.compactPack(ctx, id, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// candidates returns the packs worth compacting.
func (s *Store) candidates(ctx context.Context) ([]packID, error) {
	list, err := listPacks(s.fs, s.dir)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(p packInfo) bool { return !s.packs.settled(p.id) })
	live, err := s.liveBytes(ctx)
	if err != nil {
		return nil, err
	}
	var dead, small []packID
	for _, p := range list {
		switch {
		case live[p.id] < p.size/mostlyDead:
			dead = append(dead, p.id)
		case p.size < s.packSize/smallPack:
			small = append(small, p.id)
		}
	}
	if len(small) >= joinPacks {
		dead = append(dead, small...)
	}
	return dead, nil
}

// liveBytes sums up what the rows say lies in each pack. What no row names was
// never committed, or was forgotten or moved.
func (s *Store) liveBytes(ctx context.Context) (map[packID]int64, error) {
	live := map[packID]int64{}
	after := ""
	for {
		rows, err := s.index.Rows(ctx, "", after, collectPage)
		if err != nil || len(rows) == 0 {
			return live, err
		}
		for _, row := range rows {
			if at, err := parsePlace(row.Place); err == nil {
				live[at.pack] += at.length
			}
		}
		after = rows[len(rows)-1].Place
	}
}

// compactPack moves the rows of a pack elsewhere, and removes the pack when none
// is left.
func (s *Store) compactPack(ctx context.Context, id packID, c *Compacted) error {
	prefix, after, left := id.String()+"-", "", 0
	for {
		rows, err := s.index.Rows(ctx, prefix, after, compactPage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Place
		n, err := s.moveRows(ctx, rows, c)
		if err != nil {
			return err
		}
		left += n
	}
	if left > 0 {
		return nil
	}
	// No row can come to name this pack any more: every handle to it expired.
	if rows, err := s.index.Rows(ctx, prefix, "", 1); err != nil || len(rows) > 0 {
		return err
	}
	if err := s.packs.doom(id); err != nil {
		return err
	}
	c.Packs++
	s.stats.removed.Add(1)
	return nil
}

// moveRows moves rows in batches and returns how many had to stay.
func (s *Store) moveRows(ctx context.Context, rows []mail.Blob, c *Compacted) (left int, err error) {
	var batch []*movedRecord
	var size int64
	flush := func() error {
		defer func() {
			for _, m := range batch {
				m.close()
			}
			batch, size = nil, 0
		}()
		n, err := s.moveBatch(ctx, batch, c)
		left += n
		return err
	}
	for _, row := range rows {
		m, err := s.openMoved(ctx, row)
		if err != nil {
			if !s.isDamage(row, err, c) {
				return left, err
			}
			left++
			continue
		}
		batch = append(batch, m)
		if size += m.length(); size >= compactBytes {
			if err := flush(); err != nil {
				return left, err
			}
		}
	}
	return left, flush()
}

// isDamage notes a damaged record.
func (s *Store) isDamage(row mail.Blob, err error, c *Compacted) bool {
	if mail.KindOf(err) != mail.Corrupt {
		return false
	}
	s.damaged[row.Place] = true
	s.damage.met(row.Name)
	c.Damaged = append(c.Damaged, row)
	return true
}

// moveBatch copies records, checks the copies, and tells the index where they
// are. It returns how many turned out to be damaged.
func (s *Store) moveBatch(ctx context.Context, batch []*movedRecord, c *Compacted) (left int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	records := make([]source, len(batch))
	for i, m := range batch {
		records[i] = m
	}
	places, err := s.moved.append(records...)
	if err != nil {
		return 0, err
	}
	var moves []Move
	for i, m := range batch {
		copied := m.row
		copied.Place = places[i].String()
		if err := s.verifyCopy(ctx, copied); err != nil {
			if !s.isDamage(m.row, err, c) {
				return left, err
			}
			left++
			continue
		}
		moves = append(moves, Move{Name: m.row.Name, From: m.row.Place, To: copied.Place})
		c.Bytes += places[i].length
	}
	n, err := s.index.Move(ctx, moves)
	c.Moved += n
	s.stats.moved.Add(int64(n))
	return left, err
}

// verifyCopy checks the whole hash of a copied blob. Of one that has parts it
// opens every frame instead: its parts are checked when their turn comes, and
// an attachment that a thousand messages share is not read a thousand times.
func (s *Store) verifyCopy(ctx context.Context, b mail.Blob) error {
	if len(b.Parts) == 0 {
		return s.Verify(ctx, b)
	}
	r, err := s.openRecord(ctx, b, 0, s.home.pass)
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range r.recipe.segments {
		if r.recipe.segments[i].isPart {
			continue
		}
		if err := r.load(i); err != nil {
			return err
		}
	}
	return nil
}

// A movedRecord copies a record as it is, with the key as its row has it now.
type movedRecord struct {
	row    mail.Blob
	at     place
	reader *Reader // holds the pack
	header recordHeader
}

// openMoved opens a record to be copied. It reads it whole, so that damage is
// met here and not while others are being copied with it.
func (s *Store) openMoved(ctx context.Context, row mail.Blob) (*movedRecord, error) {
	if s.damaged[row.Place] {
		return nil, corrupt("found so before", nil)
	}
	at, err := parsePlace(row.Place)
	if err != nil {
		return nil, err
	}
	r, err := s.openRecord(ctx, row, 0, s.home.pass)
	if err != nil {
		return nil, err
	}
	if _, err := checkBody(r.in, at.offset, &r.header); err != nil {
		r.Close()
		return nil, err
	}
	r.Rest()
	m := &movedRecord{row: row, at: at, reader: r, header: r.header}
	copy(m.header.key[:], row.Key)
	return m, nil
}

func (m *movedRecord) close() { m.reader.Close() }

func (m *movedRecord) length() int64 { return m.at.length }

func (m *movedRecord) writeTo(w io.Writer) error {
	if _, err := w.Write(m.header.append(nil)); err != nil {
		return err
	}
	rest := m.at.length - headerSize
	_, err := io.CopyN(w, io.NewSectionReader(m.reader.in, m.at.offset+headerSize, rest), rest)
	return err
}
