package mail

import "time"

// By how much an account that came back from an older copy is put ahead of what may
// have been handed out since: of everything that has not happened yet, as the copy
// has it, devices may hold something under the number that would come next.
const (
	RestoredModSeqs    = 1 << 32
	RestoredIDs        = 1 << 32
	RestoredValidities = 1 << 16
	// RestoredGlobals is for accounts, principals, credentials and whatever else is
	// numbered over all accounts.
	RestoredGlobals = 1 << 20

	restoredUIDs       = 1 << 20
	restoredUIDsHourly = 20 * 3600
	restoredUIDsPart   = 8
)

// maxUID is what UIDNEXT never becomes.
const maxUID = 1<<32 - 1

// RestoredUIDs bounds how many UIDs of one mailbox may have been given in the time
// between an older copy and now: a million, and 20 for each second, counted by the
// hour.
func RestoredUIDs(age time.Duration) int64 {
	return restoredUIDs + restoredUIDsHourly*int64(max(0, age)/time.Hour)
}

// AfterRestore is the UIDNEXT of a mailbox that came back, given that bound. It takes
// no more than an eighth of what is left, so that a mailbox can be restored as often
// as somebody likes and never runs out.
func (u UID) AfterRestore(bound int64) UID {
	return u + UID(min(bound, (maxUID-int64(u))/restoredUIDsPart))
}

// RestoredNews is what watchers of an account hear when it came back: anything may be
// otherwise.
func RestoredNews(head ModSeq, at time.Time) News {
	n := News{ModSeq: head, Many: true, At: at}
	for t := TypeMailbox; t <= TypeSubmission; t++ {
		n.Types.Add(t)
	}
	return n
}

// Exact is from where on deltas are exact: the horizon, or where the account began
// anew when it was last restored.
func (a Account) Exact() ModSeq { return max(a.Horizon, a.Restored) }
