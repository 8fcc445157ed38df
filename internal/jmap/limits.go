package jmap

import "time"

// Limits bound what clients can cost. A zero field means its default. The session
// announces them (§2).
type Limits struct {
	Upload             int64         // bytes of one upload; 50 MiB
	ConcurrentUploads  int           // of one principal; 4
	Request            int64         // bytes of one request; 10 MiB
	ConcurrentRequests int           // of one principal; 8
	Calls              int           // in one request; 64
	ObjectsInGet       int           // 1000
	ObjectsInSet       int           // 1000
	EmailRows          int           // of all accounts, kept for Email/query, some 150 bytes each; 1 000 000
	Message            int64         // bytes of one that is sent; 50 MiB
	Recipients         int           // of one that is sent; 100
	Pushes             int           // connections of one principal that listen: event sources and WebSockets; 64
	MinPing            time.Duration // between two pings of an event source; 30 s
}

func (l Limits) orDefault() Limits {
	orDefault(&l.Upload, 50<<20)
	orDefault(&l.ConcurrentUploads, 4)
	orDefault(&l.Request, 10<<20)
	orDefault(&l.ConcurrentRequests, 8)
	orDefault(&l.Calls, 64)
	orDefault(&l.ObjectsInGet, 1000)
	orDefault(&l.ObjectsInSet, 1000)
	orDefault(&l.EmailRows, 1_000_000)
	orDefault(&l.Message, 50<<20)
	orDefault(&l.Recipients, 100)
	orDefault(&l.Pushes, 64)
	orDefault(&l.MinPing, 30*time.Second)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

const (
	maxNesting      = 64       // of arrays and objects in a request
	maxIDBytes      = 255      // §1.2
	maxChanges      = 1000     // in one answer of Foo/changes, also when more are asked for
	maxAnswerBytes  = 64 << 20 // of all answers to one request
	maxReferenced   = 100_000  // values that a result reference may lead to
	maxPointerBytes = 1024     // of its path

	maxProperties    = 500       // named in one call, of emails or of parts
	maxThreadEmails  = 100_000   // in the threads of one answer
	maxParsedBytes   = 256 << 20 // read by one Email/parse
	maxDownloads     = 32        // of one principal under way
	maxFileNameBytes = 255       // of a download
)
