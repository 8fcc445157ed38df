package blob

import (
	"context"
	"sync"

	"lockstep/internal/mail"
)

// MaxInRow is how many bytes a record has at most that begins as a row of the index,
// committed with what names it; a larger one is an object of its own from the first.
const MaxInRow = 128 << 10

const (
	maxRowsOfPut = 1 << 20 // bytes of the records of one put that begin as rows
	putsAtOnce   = 4       // of one put
)

// lodge implements home. What begins as a row takes no request: the commit makes it
// durable.
func (b *inBucket) lodge(ctx context.Context, records []*builder, _ bool) ([]lodging, error) {
	at := make([]lodging, len(records))
	var inRows int64
	var large []int
	for i, r := range records {
		n := r.length()
		if n > MaxInRow || inRows+n > maxRowsOfPut {
			large = append(large, i)
			continue
		}
		inRows += n
		text := appended{make([]byte, 0, n)}
		if err := r.writeTo(&text); err != nil {
			return nil, err
		}
		at[i] = lodging{place: place{object: timedName(rowIn, b.now()), length: n}, record: text.b}
	}
	return at, b.putAlone(ctx, records, large, at)
}

// putAlone puts records that are objects of their own, some at once.
func (b *inBucket) putAlone(ctx context.Context, records []*builder, which []int, at []lodging) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(which))
	turns := make(chan struct{}, putsAtOnce)
	for n, i := range which {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			at[i].place, errs[n] = b.putOne(ctx, records[i].header.name, records[i])
			if errs[n] != nil {
				cancel() // the others are of no use without it
			}
		})
	}
	all.Wait()
	return firstCause(errs)
}

// firstCause is the error that ended the others.
func firstCause(errs []error) (first error) {
	for _, err := range errs {
		if err != nil && (first == nil || mail.KindOf(err) == mail.Unavailable) {
			first = err
		}
	}
	return first
}

// putOne puts a record as an object of its own.
func (b *inBucket) putOne(ctx context.Context, name mail.BlobName, r source) (place, error) {
	if err := ctx.Err(); err != nil {
		return place{}, err
	}
	body, err := b.stage(r)
	if err != nil {
		return place{}, err
	}
	defer body.close()
	at := place{object: aloneName(name), length: body.size}
	return at, b.create(ctx, at.object, body, body.size)
}

// add implements home.
func (b *inBucket) add(ctx context.Context, r source) (place, error) {
	return b.putOne(ctx, r.(*takenRecord).header.name, r)
}
