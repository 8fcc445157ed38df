package eas

import "time"

// Bounds on Sync.
const (
	maxHiddenRanges = 1000   // of UIDs that are \Deleted and so not shown; more are shown
	maxEntriesRead  = 10_000 // that one answer looks at in a collection
	maxEntriesPage  = 1000   // read at once
	minEntriesRead  = 25

	maxSyncWindow      = 512 // entries of an answer (MS-ASCMD §2.2.3.199)
	defaultSyncWindow  = 100
	maxSyncCommands    = 200
	maxSyncCollections = 1000
	maxIDBytes         = 64
	maxOptionsBytes    = 4 << 10
	maxEstimate        = 10_000  // that is counted
	maxMovesKept       = 300     // of a device, to be answered again
	maxSyncBytes       = 4 << 20 // of the items in an answer; a larger one comes alone
	maxSyncTime        = 20 * time.Second
	maxLockWait        = 5 * time.Second
	maxOvertaken       = 5    // how often commands at other nodes may be quicker, before the device is told to ask again
	maxJournalRead     = 1000 // records that are looked at for what changed of messages; of more, all of it is told
	triesBeforeSingly  = 3    // how often the same answer is asked for until it comes one item at a time, and then until that one is skipped
)
