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
	var large []alone
	var which []int
	for i, r := range records {
		n := r.length()
		if n > MaxInRow || inRows+n > maxRowsOfPut {
			large, which = append(large, alone{r.header.name, r}), append(which, i)
			continue
		}
		inRows += n
		text := appended{make([]byte, 0, n)}
		if err := r.writeTo(&text); err != nil {
			return nil, err
		}
		at[i] = lodging{place: place{object: timedName(rowIn, b.now()), length: n}, record: text.b}
	}
	places, err := b.putAlone(ctx, large)
	for n, i := range which {
		at[i].place = places[n]
	}
	return at, err
}

// alone is a record that is to be an object of its own.
type alone struct {
	name mail.BlobName
	source
}

// putAlone puts records that are objects of their own, some at once.
func (b *inBucket) putAlone(ctx context.Context, records []alone) ([]place, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	at := make([]place, len(records))
	errs := make([]error, len(records))
	turns := make(chan struct{}, putsAtOnce)
	for i, r := range records {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			at[i], errs[i] = b.putOne(ctx, r.name, r)
			if errs[i] != nil {
				cancel() // the others are of no use without it
			}
		})
	}
	all.Wait()
	return at, firstCause(errs)
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
