package blob

import (
	"context"
	"slices"

	"lockstep/internal/mail"
)

// A FillStep is what a Filling is at.
type FillStep int

// The steps, in their order. A Filling that was cut begins with the first.
const (
	Checking FillStep = iota // what lies in packs is read: nothing is moved of a damaged store
	Moving                   // into the bucket
	Proving                  // what lies in the bucket is read
)

// Filled says how far a Filling is.
type Filled struct {
	Step           FillStep
	Records, Bytes int64 // that this step has gone through
	Of, OfBytes    int64 // and is to go through
	Moved          int64 // rows that came to say the bucket, in this run
	Damaged        int64
}

// A Filling moves all records of packs into a bucket, so that the server can be one of
// several nodes. Nobody else may use the index meanwhile. It can be cut at any moment and
// be run again: a row says the bucket once its record is durable there, and the packs
// stay as they are.
//
// It reads the packs three times and the bucket once, and puts an object for each large
// record and for each 8 MiB of small ones. In memory are some records of up to MaxInRow.
type Filling struct {
	From *Store // in packs
	To   *Store // in the bucket, on the same index and with the same keys
	// Tell is told how far it is, once for each page of rows.
	Tell func(Filled)
	// Damaged is told of each record that can't be read. Its row stays as it is.
	Damaged func(b mail.Blob, err error)

	bucket *inBucket
	done   Filled
}

const (
	fillPage   = 64 // rows gone through at once
	fillAtOnce = 8  // large records put before their rows are moved
)

// Run does it all. Of a store with a damaged record nothing is moved, as there would be
// none then, neither with packs nor with a bucket, that could serve it or mend it. The
// bucket has everything if it returns nil and nothing is Damaged.
func (f *Filling) Run(ctx context.Context) (Filled, error) {
	f.bucket = f.To.home.(*inBucket)
	f.From.mu.Lock() // nothing is collected or compacted meanwhile, nor packed
	defer f.From.mu.Unlock()
	f.bucket.packing.Lock()
	defer f.bucket.packing.Unlock()
	if err := f.bucket.mark(ctx); err != nil {
		return f.done, err
	}
	if err := f.isTheOne(ctx); err != nil {
		return f.done, err
	}
	for _, step := range []func(context.Context) error{f.check, f.move, f.prove} {
		if err := step(ctx); err != nil || f.done.Damaged > 0 {
			return f.done, err
		}
	}
	return f.done, nil
}

// isTheOne refuses a bucket that is not the one to which records were moved before.
func (f *Filling) isTheOne(ctx context.Context) error {
	for _, prefix := range []string{aloneIn, packedIn} {
		some, err := f.From.index.Places(ctx, prefix, "", 1)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			continue
		}
		object, _ := ObjectOf(some[0])
		if there, err := f.bucket.exists(ctx, object); err != nil || !there {
			return orFirst(err, mail.Errorf(mail.Invalid, "mail of this database lies in a bucket already, and %s has not its object %s: name the bucket that mail was moved to before", f.bucket.bucket, object))
		}
	}
	return nil
}

// begin begins a step, and counts what it has to go through.
func (f *Filling) begin(ctx context.Context, step FillStep) error {
	f.done = Filled{Step: step, Moved: f.done.Moved}
	for after := ""; ; {
		places, err := f.From.index.Places(ctx, "", after, placesPage)
		if err != nil || len(places) == 0 {
			return err
		}
		for _, text := range places {
			if at, err := parsePlace(text); err == nil && at.object == "" || step == Proving {
				f.done.Of++
				f.done.OfBytes += at.length
			}
		}
		after = places[len(places)-1]
	}
}

// pages calls fn with all rows that there are, some at a time.
func (f *Filling) pages(ctx context.Context, fn func([]mail.Blob) error) error {
	for after := ""; ; {
		rows, err := f.From.index.Rows(ctx, "", after, fillPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].Place
		if err := fn(rows); err != nil {
			return err
		}
		f.Tell(f.done)
	}
}

// inPacks are the rows among others that do not say an object, nor a row.
func inPacks(rows []mail.Blob) []mail.Blob {
	return slices.DeleteFunc(rows, func(row mail.Blob) bool {
		at, err := parsePlace(row.Place)
		return err == nil && at.object != ""
	})
}

// passed counts a row, and what is wrong with it, if that is damage.
func (f *Filling) passed(row mail.Blob, err error) error {
	if at, err := parsePlace(row.Place); err == nil {
		f.done.Bytes += at.length
	}
	f.done.Records++
	if mail.KindOf(err) != mail.Corrupt {
		return err
	}
	f.done.Damaged++
	f.Damaged(row, err)
	return nil
}

func (f *Filling) check(ctx context.Context) error {
	if err := f.begin(ctx, Checking); err != nil {
		return err
	}
	return f.pages(ctx, func(rows []mail.Blob) error {
		for _, row := range inPacks(rows) {
			if err := f.passed(row, f.From.verifyCopy(ctx, row)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *Filling) move(ctx context.Context) error {
	if err := f.begin(ctx, Moving); err != nil {
		return err
	}
	var packed Packed
	p := f.bucket.newPacker(&packed)
	defer p.close()
	moved := f.done.Moved
	err := f.pages(ctx, func(rows []mail.Blob) error {
		err := f.movePage(ctx, p, inPacks(rows), &moved)
		f.done.Moved = moved + int64(packed.Records)
		return err
	})
	if err == nil {
		err = p.flush(ctx)
	}
	f.done.Moved = moved + int64(packed.Records)
	return err
}

// movePage adds small records to a pack of the bucket, which moves their rows when it is
// put, and makes objects of large ones.
func (f *Filling) movePage(ctx context.Context, p *packer, rows []mail.Blob, moved *int64) error {
	var large []*movedRecord
	defer func() {
		for _, m := range large {
			m.close()
		}
	}()
	for _, row := range rows {
		m, err := f.From.openMoved(ctx, row)
		if err == nil {
			m.header.key = [wrappedSize]byte{} // in a bucket the row alone has it
			if m.length() > MaxInRow {
				large = append(large, m)
			} else {
				err = addMoved(ctx, p, m)
			}
		}
		if err := f.passed(row, err); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(large, fillAtOnce) {
		n, err := f.moveLarge(ctx, some)
		if err != nil {
			return err
		}
		*moved += int64(n)
	}
	return nil
}

// addMoved adds a small record to a pack of the bucket.
func addMoved(ctx context.Context, p *packer, m *movedRecord) error {
	defer m.close()
	text := appended{make([]byte, 0, m.length())}
	if err := m.writeTo(&text); err != nil {
		return err
	}
	if err := checkWhole(text.b, m.row); err != nil {
		return err
	}
	return p.add(ctx, m.row, text.b)
}

// moveLarge puts records as objects, and then moves their rows.
func (f *Filling) moveLarge(ctx context.Context, large []*movedRecord) (int, error) {
	records := make([]alone, len(large))
	for i, m := range large {
		records[i] = alone{m.row.Name, m}
	}
	at, err := f.bucket.putAlone(ctx, records)
	if err != nil {
		return 0, err
	}
	moves := make([]Move, len(large))
	for i, m := range large {
		moves[i] = Move{Name: m.row.Name, From: m.row.Place, To: at[i].String()}
	}
	return f.From.index.Move(ctx, moves)
}

func (f *Filling) prove(ctx context.Context) error {
	if err := f.begin(ctx, Proving); err != nil {
		return err
	}
	return f.pages(ctx, func(rows []mail.Blob) error {
		for _, row := range rows {
			if err := f.passed(row, f.To.verifyCopy(ctx, row)); err != nil {
				return err
			}
		}
		return nil
	})
}
