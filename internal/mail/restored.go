package mail

import "time"

// A Leap puts the numbers of a store that came back from an older copy of itself
// ahead of what may have been handed out since the copy was made: devices may hold
// something under each number that would come next. The same copy may come back
// again, and somewhere else, where nobody knows of the first time; so numbers that
// have room for it also leap to the moment of the return.
type Leap struct {
	At    int64 // the moment, in seconds of 1970
	UIDs  int64 // how many UIDs a mailbox may have given since the copy was made
	Times int64 // how often the copy is known to have come back, this time with it
}

// What is added to a number or to the moment, whichever is greater; the moment is
// spelled with so many numbers for each second.
const (
	leapNumbers    = 1 << 32
	leapPerSecond  = 1 << 14
	leapValidities = 1 << 16
	leapGlobals    = 1 << 20
	leapUIDs       = 1 << 20
	leapUIDsMinute = 20 * 60
	leapUIDsPart   = 8
)

const (
	maxUID      = 1<<32 - 1
	maxValidity = 1<<32 - 1 - MaxMailboxes // so that mailboxes can still be made
)

// NewLeap is the leap of what comes back now and whose newest moment is so long ago. A
// mailbox is taken to have given a million UIDs since, and 20 in each second, counted
// by the minute.
func NewLeap(now time.Time, age time.Duration, times int64) Leap {
	return Leap{max(0, now.Unix()), leapUIDs + leapUIDsMinute*int64(max(0, age)/time.Minute), max(1, times)}
}

// Epoch is the next epoch of an account.
func (l Leap) Epoch(e Epoch) Epoch { return max(e, Epoch(min(l.At, 1<<31))) + Epoch(l.Times) }

// ModSeq is the next head of an account.
func (l Leap) ModSeq(n ModSeq) ModSeq { return ModSeq(l.ID(int64(n))) }

// ID is the next number that an account gives to mailboxes, messages and the like.
func (l Leap) ID(n int64) int64 { return max(n, l.At*leapPerSecond) + leapNumbers*l.Times }

// Global is the next number that is given over all accounts.
func (l Leap) Global(n int64) int64 { return max(n, l.At) + leapGlobals*l.Times }

// UIDValidity is the next one of an account.
func (l Leap) UIDValidity(v UIDValidity) UIDValidity {
	return max(v, UIDValidity(min(max(int64(v), l.At)+leapValidities*l.Times, maxValidity)))
}

// UIDNext is that of a mailbox. Each time takes no more than an eighth of what is
// left, so that a mailbox can be restored as often as somebody likes and never runs
// out.
func (l Leap) UIDNext(next UID) UID {
	for range l.Times {
		next += UID(min(l.UIDs, (maxUID-int64(next))/leapUIDsPart))
	}
	return next
}

// RestoredNews is what watchers of an account hear when it came back: anything may be
// otherwise.
func RestoredNews(head ModSeq, at time.Time) News { return LookNews(head, at) }

// Exact is from where on deltas are exact: the horizon, or where the account began
// anew when it was last restored.
func (a Account) Exact() ModSeq { return max(a.Horizon, a.Restored) }
