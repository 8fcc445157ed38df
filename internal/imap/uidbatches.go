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
// that of the newest messages, and each range begins and ends at a message.
func (s *session) uidBatches(_ context.Context, cmd *wire.UIDBatches, r *reply) error {
	if cmd.Size < minBatch {
		return errNo("TOOFEW", fmt.Sprintf("A batch has at least %d messages", minBatch))
	}
	if err := s.tell(0, true); err != nil {
		return err
	}
	first, last := uint64(min(cmd.First, cmd.Last)), uint64(max(cmd.First, cmd.Last))
	if first == 0 {
		first, last = 1, 1<<32-1
	}
	out := s.enc.Star().Atom("UIDBATCHES").Open().Atom("TAG").String(r.tag).Close()
	var ranges []wire.Range
	size := uint64(cmd.Size)
	for n, end := first, uint64(s.sel.view.Len()); n <= last && (n-1)*size < end; n++ {
		high := end - (n-1)*size
		low := uint64(1)
		if high > size {
			low = high - size + 1
		}
		ranges = append(ranges, wire.Range{First: uint32(s.uidOf(uint32(high))), Last: uint32(s.uidOf(uint32(low)))})
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
