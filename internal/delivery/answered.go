package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Who was answered is remembered in the account, so that nobody hears the same
// twice within answerAgainAfter (RFC 5230 §4.1 and §4.2), in shards of which each
// arrival reads one. An account whose memory is full answers nobody new until it
// has forgotten somebody: it is then being used to annoy people.
const (
	answerAgainAfter = 7 * 24 * time.Hour
	answeredShards   = 64
	maxAnswered      = 64 // in a shard; 4 096 senders in a week
	answeredBytes    = 32 // of one
)

// answered is what is remembered of one answer. The transaction that commits the
// message makes it: then the answer is owed. Whoever takes the answer out of the
// queue first writes its row into it, and then the answer is that row's alone. So
// an arrival that is repeated, because a crash came before its acknowledgement, may
// queue the answer again: a row that comes too late is dropped.
type answered struct {
	sender  uint64 // hash of who was answered, and what with
	arrival uint64 // hash of what was answered
	row     int64  // of the queue; 0: not taken yet
	at      time.Time
}

func newAnswered(sender, subject string, says mail.VacationAnswer, once string, now time.Time) answered {
	local, domain, _ := SplitAddress(sender)
	return answered{
		sender:  hash64(strings.ToLower(local), domain, subject, says.Text, says.HTML),
		arrival: hash64(once), at: now,
	}
}

func hash64(parts ...string) uint64 {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// once names the answer as an arrival.
func (m answered) once() string { return fmt.Sprintf("answer:%016x%016x", m.sender, m.arrival) }

// key is how a row of the queue names it; parseAnswered reads that.
func (m answered) key() string {
	b := binary.BigEndian.AppendUint64(nil, m.sender)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, m.arrival))
}

func parseAnswered(key string) (m answered, ok bool) {
	b, err := hex.DecodeString(key)
	if err != nil || len(b) != 16 {
		return m, false
	}
	return answered{sender: binary.BigEndian.Uint64(b), arrival: binary.BigEndian.Uint64(b[8:])}, true
}

// cursor is where the shard lies.
func (m answered) cursor() string { return fmt.Sprintf("answered/%02x", m.sender%answeredShards) }

// owe says whether the answer is to be given, and remembers it if so: the sender
// was not answered yet, or it is this very answer and nobody has taken it.
func (m answered) owe(tx store.Tx) (bool, error) {
	shard, err := readAnswered(tx, m.cursor())
	if err != nil {
		return false, err
	}
	shard = slices.DeleteFunc(shard, func(o answered) bool { return m.at.Sub(o.at) >= answerAgainAfter })
	for _, o := range shard {
		if o.sender == m.sender {
			return o.arrival == m.arrival && o.row == 0, nil
		}
	}
	if len(shard) >= maxAnswered {
		return false, nil
	}
	return true, writeAnswered(tx, m.cursor(), append(shard, m))
}

// take makes the answer the row's. It reports false when it is another's.
func (m answered) take(tx store.Tx, row int64) (bool, error) {
	shard, err := readAnswered(tx, m.cursor())
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(shard, func(o answered) bool { return o.sender == m.sender && o.arrival == m.arrival })
	switch {
	case i < 0 || shard[i].row == row: // forgotten meanwhile; or it is being tried again
		return true, nil
	case shard[i].row != 0:
		return false, nil
	}
	shard[i].row = row
	return true, writeAnswered(tx, m.cursor(), shard)
}

// forget takes back that the answer was owed.
func (m answered) forget(tx store.Tx) error {
	shard, err := readAnswered(tx, m.cursor())
	if err != nil {
		return err
	}
	shard = slices.DeleteFunc(shard, func(o answered) bool { return o.sender == m.sender && o.arrival == m.arrival && o.row == 0 })
	return writeAnswered(tx, m.cursor(), shard)
}

func readAnswered(tx store.Tx, cursor string) ([]answered, error) {
	b, err := tx.Cursor(0, cursor)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil, nil
	}
	var all []answered
	for ; len(b) >= answeredBytes && len(all) < maxAnswered; b = b[answeredBytes:] {
		n := binary.BigEndian.Uint64
		all = append(all, answered{n(b), n(b[8:]), int64(n(b[16:])), time.Unix(int64(n(b[24:])), 0)})
	}
	return all, err
}

func writeAnswered(tx store.Tx, cursor string, all []answered) error {
	if len(all) == 0 {
		return tx.SetCursor(0, cursor, nil)
	}
	b := make([]byte, 0, len(all)*answeredBytes)
	for _, m := range all {
		for _, n := range []uint64{m.sender, m.arrival, uint64(m.row), uint64(m.at.Unix())} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
	}
	return tx.SetCursor(0, cursor, b)
}

// takeAnswer reports whether a row of the queue may go out: it is no automatic
// answer, or the answer is its own.
func (s *Service) takeAnswer(ctx context.Context, p *parcel) (bool, error) {
	m, ok := parseAnswered(p.opts.Answer)
	if !ok {
		return true, nil
	}
	may := false
	by := mail.NewOrigin("queue", 0, mail.Local, mail.ByDelivery)
	_, err := s.Store.Update(ctx, p.Account, by, func(tx store.Tx) (err error) {
		may, err = m.take(tx, p.ID)
		return err
	})
	return may, err
}
