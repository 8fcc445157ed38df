package imap

import (
	"time"

	"lockstep/internal/imap/wire"
)

// Limits bound what clients can cost. A zero field means its default, which is
// safe on the open internet.
type Limits struct {
	Wire         wire.Limits   // of one command
	Message      int64         // bytes of one message of an APPEND; 64 MiB
	Messages     int           // of one MULTIAPPEND; 1000
	AllMessages  int64         // bytes of one MULTIAPPEND; 1 GiB
	Connections  int           // at once; 20 000
	PerAddress   int           // connections from one address, an IPv6 /64 counting as one; 200
	BeforeLogin  int           // commands before login; 20
	BadLogins    int           // failed logins, then BYE; 5
	BadCommands  int           // in a row, then BYE; 50
	LoginTime    time.Duration // from connecting to being logged in; 1 min
	Idle         time.Duration // without a word; 31 min (RFC 9051 §5.4: not less than 30)
	Nap          time.Duration // without a word, until a connection is waited for together with others; 2 s
	Stall        time.Duration // that a write, or a read within a message, may take; 2 min
	Notified     int           // names in an account that a session with NOTIFY follows; 2000
	PerCommand   int           // messages of one FETCH, SEARCH, STORE, MOVE or UID EXPUNGE: MESSAGELIMIT; 10 million
	PerSave      int           // messages of one COPY, which is one transaction: SAVELIMIT; 100 000
	Progress     time.Duration // between two words about a long command; 10 s
	SearchBytes  int64         // of mail that one SEARCH may read, for each key that needs it; 8 GiB
	SortBytes    int64         // of memory for one SORT or THREAD, a few times that for all together; 512 MiB
	Contexts     int           // searches that one session has updated; 16
	ContextBytes int64         // of memory for those of one session; 16 MiB
}

func (l Limits) orDefault() Limits {
	orDefault(&l.Message, 64<<20)
	orDefault(&l.Messages, 1000)
	orDefault(&l.AllMessages, 1<<30)
	orDefault(&l.Connections, 20_000)
	orDefault(&l.PerAddress, 200)
	orDefault(&l.BeforeLogin, 20)
	orDefault(&l.BadLogins, 5)
	orDefault(&l.BadCommands, 50)
	orDefault(&l.LoginTime, time.Minute)
	orDefault(&l.Idle, 31*time.Minute)
	orDefault(&l.Nap, 2*time.Second)
	orDefault(&l.Stall, 2*time.Minute)
	orDefault(&l.Notified, 2000)
	orDefault(&l.PerCommand, 10_000_000)
	orDefault(&l.PerSave, 100_000)
	orDefault(&l.Progress, 10*time.Second)
	orDefault(&l.SearchBytes, 8<<30)
	orDefault(&l.SortBytes, 512<<20)
	orDefault(&l.Contexts, 16)
	orDefault(&l.ContextBytes, 16<<20)
	return l
}

// lateness is how long after its time a session may be ended that was silent.
func (l Limits) lateness() time.Duration {
	return max(min(l.Idle/10, l.LoginTime/10, 5*time.Second), 10*time.Millisecond)
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// How much one View reads and one Update changes: long work is many short ones.
const (
	fetchChunk    = 500       // messages of a FETCH in one View
	fetchBytes    = 256 << 10 // of responses gathered in one View
	bodyChunk     = 100       // messages whose bodies are then sent
	aheadMessages = 32        // of those, read at once
	aheadBytes    = 512 << 10 // of what they hold, beyond the first
	updateChunk   = 5000      // messages of a STORE, EXPUNGE or MOVE in one transaction
	searchChunk   = 500       // messages of a SEARCH in one View
	textChunk     = 20_000    // messages that an index of texts is asked about at once
)

// maxAhead bounds the bytes that all sessions together have read of messages whose
// turn has not come: their clients may be slow.
const maxAhead = 32 << 20

// What one command may ask for beyond the bounds of the grammar.
const (
	maxSections     = 64      // pieces of a message in one FETCH
	maxPatternBytes = 4 << 10 // of all patterns of one LIST
	maxCatParts     = 500     // of one message of a CATENATE
	maxNotifyNames  = 1000    // groups and mailboxes of one NOTIFY
	maxNotifyFetch  = 500     // new messages at once that NOTIFY fetches something of
	maxNotifyRounds = 5       // times that one telling looks whether more has happened meanwhile
	maxNotifyOwn    = 100     // changes of a mailbox among which a session looks for others' than its own
	maxSaidURL      = 300     // bytes of a URL that BADURL repeats
	maxRecentRanges = 1000    // of what is \Recent in a session; of more the oldest is so no longer
)
