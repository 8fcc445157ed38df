package blob

import (
	"bufio"
	"context"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// DefaultObjectSize is about how large a pack in a bucket is.
const DefaultObjectSize = 8 << 20

const (
	// Records that lie in rows are packed once there is a pack's worth of them, or one
	// that has lain there for so long.
	packAge = time.Hour
	// A record that was packed stays in its row for readers that looked up its place
	// before.
	rowGrace = 10 * time.Minute

	packPage = 256 // rows looked at, or moved, at once
	waitPage = 32  // records of up to MaxInRow in memory at once
	dropPage = 500
)

// Packed says what Pack did.
type Packed struct {
	Objects int
	Records int         // that came to lie in them
	Bytes   int64       // of those
	Dropped int         // records whose rows were deleted after their grace
	Damaged []mail.Blob // left in their rows
}

// Pack moves records that lie in rows of the index into objects of the bucket. It is
// meant to be called every minute or so, by one node: where several do it at once
// nothing is lost, but work is done in vain. On the disk there is nothing to pack.
//
// It costs a request of the bucket's for each pack of some hundred messages, one of the
// index for each 32 of them, and two updates of rows for each.
func (s *Store) Pack(ctx context.Context) (Packed, error) {
	b, ok := s.home.(*inBucket)
	if !ok {
		return Packed{}, nil
	}
	b.packing.Lock()
	defer b.packing.Unlock()
	var done Packed
	if err := b.pack(ctx, &done); err != nil {
		return done, err
	}
	var err error
	done.Dropped, err = b.dropBytes(ctx)
	return done, err
}

// pack packs what is due: whole packs, or all if some of it has waited long enough.
func (b *inBucket) pack(ctx context.Context, done *Packed) error {
	wait, err := b.waiting(ctx)
	if err != nil {
		return err
	}
	b.stats.inRows.Store(wait.records)
	all := wait.records > 0 && b.now().Sub(wait.since) >= packAge
	packs := int(wait.bytes / b.objectSize())
	if !all && packs == 0 {
		return nil
	}
	p := b.newPacker(done)
	defer p.close()
	for after := ""; ; {
		rows, err := b.index.Waiting(ctx, after, waitPage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			if err := p.flush(ctx); err != nil {
				return err
			}
			return b.stickLost(ctx, wait.oldest)
		}
		for _, row := range rows {
			if !all && done.Objects >= packs {
				return nil
			}
			if err := b.packRow(ctx, p, row); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].Place
	}
}

// stickLost has the oldest hold up nothing if it could not be packed: its record is lost,
// which is for the doctor.
func (b *inBucket) stickLost(ctx context.Context, oldest string) error {
	left, err := b.waiting(ctx)
	if err == nil && oldest != "" && left.oldest == oldest {
		b.stick(oldest)
	}
	return err
}

// inRows is what waits to be packed.
type inRows struct {
	records, bytes int64
	since          time.Time // when the oldest came
	oldest         string    // its place
}

func (b *inBucket) waiting(ctx context.Context) (w inRows, err error) {
	for after := ""; ; {
		places, err := b.index.Places(ctx, rowIn, after, placesPage)
		if err != nil || len(places) == 0 {
			return w, err
		}
		for _, text := range places {
			at, err := parsePlace(text)
			if err != nil || b.isStuck(text) {
				continue
			}
			if w.records == 0 {
				w.since, _ = madeAt(text)
				w.oldest = text
			}
			w.records++
			w.bytes += at.length
		}
		after = places[len(places)-1]
	}
}

func (b *inBucket) objectSize() int64 {
	if b.packSize > 0 {
		return b.packSize
	}
	return DefaultObjectSize
}

// madeAt is when what has a time in its name was named.
func madeAt(name string) (time.Time, bool) {
	_, rest, _ := strings.Cut(name, "/")
	text, _, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(text, 16, 64)
	return time.UnixMilli(n), err == nil
}

// packRow adds a record that lies in a row.
func (b *inBucket) packRow(ctx context.Context, p *packer, row mail.Blob) error {
	if b.isStuck(row.Place) {
		return nil
	}
	if err := checkWhole(row.Record, row); err != nil {
		b.damage.met(row.Name)
		b.stick(row.Place)
		p.done.Damaged = append(p.done.Damaged, row)
		return nil
	}
	return p.add(ctx, row, row.Record)
}

// checkWhole compares a record with its row and with its checksum.
func checkWhole(record []byte, row mail.Blob) error {
	h, err := parseHeader(record)
	if err != nil {
		return err
	}
	if h.name != row.Name || h.size != row.Size || h.length() != int64(len(record)) {
		return corrupt("another record lies where this one should", nil)
	}
	table, body := record[headerSize:][:h.tableLen], record[headerSize+int(h.tableLen):]
	if crc32.Update(crc32.Checksum(body, castagnoli), castagnoli, table) != h.bodyCRC {
		return corrupt("a record's checksum", nil)
	}
	return nil
}

// dropBytes deletes what was packed long enough ago.
func (b *inBucket) dropBytes(ctx context.Context) (total int, err error) {
	for {
		n, err := b.index.DropBytes(ctx, b.now().Add(-rowGrace), dropPage)
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

// A packer collects records in a file until they are a pack, puts that, and has their
// rows say so. What a crash leaves of it is an object that nobody names.
type packer struct {
	b     *inBucket
	done  *Packed
	file  vfs.File // nil: nothing was added yet
	out   *bufio.Writer
	tail  *tailWriter
	name  string
	size  int64
	moves []Move
}

func (b *inBucket) newPacker(done *Packed) *packer { return &packer{b: b, done: done} }

// add adds a record, and puts the pack when it is large enough.
func (p *packer) add(ctx context.Context, row mail.Blob, record []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return unavailable(err)
	}
	if _, err := p.out.Write(record); err != nil {
		return unavailable(err)
	}
	at := place{object: p.name, offset: p.size, length: int64(len(record))}
	p.moves = append(p.moves, Move{Name: row.Name, From: row.Place, To: at.String()})
	if p.size += at.length; p.size < p.b.objectSize() {
		return nil
	}
	return p.flush(ctx)
}

// begin begins a pack, if none is begun.
func (p *packer) begin() (err error) {
	if p.file != nil {
		return nil
	}
	if p.file, err = p.b.fs.Temp(p.b.dir); err != nil {
		return err
	}
	now := p.b.now()
	p.name, p.size = timedName(packedIn, now), packHeaderSize
	p.tail = &tailWriter{file: p.file}
	p.out = bufio.NewWriterSize(p.tail, 256<<10)
	_, err = p.out.Write(packHeader(packID(max(now.UnixMilli(), 0)), p.b.keys))
	return err
}

// flush puts the pack and moves the rows.
func (p *packer) flush(ctx context.Context) error {
	if p.file == nil {
		return nil
	}
	defer p.close()
	if err := p.out.Flush(); err != nil {
		return unavailable(err)
	}
	if err := p.b.create(ctx, p.name, io.NewSectionReader(p.file, 0, p.size), p.size); err != nil {
		return err
	}
	p.done.Objects++
	for some := range slices.Chunk(p.moves, packPage) {
		n, err := p.b.index.Move(ctx, some)
		if err != nil {
			return err
		}
		p.done.Records += n
		p.b.stats.packed.Add(int64(n))
	}
	p.done.Bytes += p.size
	return nil
}

func (p *packer) close() {
	if p.file != nil {
		p.file.Close()
	}
	p.file, p.moves = nil, nil
}
