package imap

import (
	"context"
	"fmt"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// minBatch is the least batch that a client may ask for (RFC 10022).
const minBatch = 500

// uidBatches serves UIDBATCHES (RFC 10022) out of the index: the first batch is
// that of the newest messages, and each range begins and ends at a message, the
// older one first.
func (s *session) uidBatches(_ context.Context, cmd *wire.UIDBatches, r *reply) error {
	if err := s.tell(0, true); err != nil {
		return err
	}
	first, last := uint64(cmd.First), uint64(cmd.Last)
	if first == 0 {
		first, last = 1, 1<<32-1
	}
	size := uint64(cmd.Size)
	switch {
	case first > last:
		return errBad("The first batch comes before the last")
	case size < minBatch && (first-1)*size < uint64(s.sel.view.Len()): // of no batches the size is of no interest
		return errNo("TOOFEW", fmt.Sprintf("A batch has at least %d messages", minBatch))
	}
	out := s.enc.Star().Atom("UIDBATCHES").Open().Atom("TAG").String(r.tag).Close()
	var ranges []wire.Range
	for n, end := first, uint64(s.sel.view.Len()); n <= last && (n-1)*size < end; n++ {
		high := end - (n-1)*size
		low := uint64(1)
		if high > size {
			low = high - size + 1
		}
		ranges = append(ranges, wire.Range{First: uint32(s.uidOf(uint32(low))), Last: uint32(s.uidOf(uint32(high)))})
	}
	if len(ranges) > 0 {
		out.Ranges(ranges)
	}
	out.End()
	return s.enc.Err()
}

// uidOf is the UID of a message that is there.
func (s *session) uidOf(seq uint32) mail.UID {
	for _, e := range s.sel.view.Range(seq, seq) {
		return e.UID
	}
	panic("imap: no message of that number")
}
