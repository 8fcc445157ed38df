package search

import (
	"context"

	"lockstep/internal/mail"
)

// format is the version of what is stored and of what is made of messages: an index
// of another one is made anew.
const format = 2

// docFlags say what is known of a message.
type docFlags int64

const (
	docLossy  docFlags = 1 << iota // some word of the body is not the letters of the text but for ASCII case
	docCut                         // its text is not kept whole
	docUnread                      // it could not be read, and is not searched here
)

// docRow is a message of an index.
type docRow struct {
	key     mail.MessageKey
	flags   docFlags
	date    int64  // Unix seconds
	words   int64  // how many it has
	sealed  []byte // its text; nil if it could not be read. Only to be stored
	trouble string // what of it could not be read, and why. Only to be stored
}

// segmentRow is a segment: the messages whose grams and words lie together.
type segmentRow struct {
	id, docs, words int64
}

// block is a piece of what a segment says, under the first thing that it says.
type block struct {
	first []byte
	data  []byte
}

// blockAsk asks a segment for the block that low lies in, if there is one, and for
// those that begin behind it and not behind high.
type blockAsk struct {
	segment   int64
	low, high []byte
}

// counts are of an index's messages.
type counts struct {
	docs, unread, trouble int64
}

// shelf is one account's index, as of one moment. Used by one goroutine.
type shelf interface {
	// state is what setState was given; "" at the beginning.
	state() (string, error)
	count() (counts, error)

	// segments are in the order of their ids.
	segments() ([]segmentRow, error)
	segmentKeys(ids []int64) (map[int64][]mail.MessageKey, error)

	// docs calls each with those of keys that are there, in any order.
	docs(keys []mail.MessageKey, each func(docRow) error) error
	// docsBetween does with all from first to last, by key, limit at most.
	docsBetween(first, last mail.MessageKey, limit int, each func(docRow) error) error
	// texts calls each with the sealed texts that are there, which are its own.
	texts(keys []mail.MessageKey, each func(k mail.MessageKey, sealed []byte) error) error

	// blocks answers asks, by their number, each in order.
	blocks(asks []blockAsk) ([][]block, error)
	// blocksFrom are a segment's from first on that do not begin behind last.
	blocksFrom(segment int64, first, last []byte, limit int) ([]block, error)
}

// pen is a shelf that its owner alone writes to, within transact.
type pen interface {
	shelf
	transact(fn func() error) error
	setState(string) error
	addDocs([]docRow) error
	removeDocs([]mail.MessageKey) error
	addSegment(segmentRow, []mail.MessageKey) error
	addBlocks(segment int64, some []block) error
	removeSegments(ids []int64) error
	putBack()
}

// storage is where the indexes lie.
type storage interface {
	// read runs fn on an account's index; it is errNoIndex when there is none.
	read(ctx context.Context, a mail.AccountID, fn func(shelf) error) error

	// take returns an account's index to be written by the caller, until he puts it
	// back; it is made where it is not there.
	take(ctx context.Context, a mail.AccountID) (pen, error)

	// mine reports whether nobody else can have written an account's index since it was
	// put back last.
	mine(a mail.AccountID) bool

	// discard removes an account's index. Who is asking it goes on with what he has.
	discard(ctx context.Context, a mail.AccountID) error

	// check looks at the whole of it, and returns what is wrong.
	check(ctx context.Context, a mail.AccountID) (problems []string, err error)

	// size is the bytes that it takes.
	size(ctx context.Context, a mail.AccountID) (int64, error)

	// release gives back what is kept in memory and can be read again.
	release()

	// close closes what nobody uses; nobody may be asking any more.
	close() error
}

var errNoIndex = mail.Errorf(mail.NotFound, "there is no search index yet")
