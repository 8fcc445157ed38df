package eas

import "time"

// Limits bound what devices can cost. A zero field means its default.
type Limits struct {
	Message int64 // bytes of one message that a device sends; 50 MiB
	Answer  int64 // bytes of one answer in memory, a larger one goes to a file; 1 MiB
	AtOnce  int   // commands of one device under way, those that wait included; 16

	Recipients int // of one message; 1000
}

func (l Limits) orDefault() Limits {
	orDefault(&l.Message, 50<<20)
	orDefault(&l.Answer, 1<<20)
	orDefault(&l.AtOnce, 16)
	orDefault(&l.Recipients, 1000)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

const (
	maxCommandBytes = 4 << 20 // of a command without the message it sends
	maxTracked      = 100_000 // devices in memory, of all accounts
)

// Bounds on what is said of a message.
const (
	maxCategories  = 300      // MS-ASEMAIL §2.2.2.16
	maxFlagText    = 256      // bytes of a text in a flag
	maxPartPath    = 512      // bytes of where an attachment is in its message
	maxAddressText = 32 << 10 // bytes of To, Cc and From
	maxBccText     = 1024     // of Bcc
	maxReplyLevels = 20       // that ConversationIndex counts
)

// Bounds on ItemOperations.
const (
	maxItemOperations = 100       // in one command
	maxFetchedBytes   = 256 << 20 // of bodies and attachments in one answer; what is beyond gets status 11
	emptyChunk        = 5000      // messages that one transaction expunges
	maxConversation   = 10_000    // messages of a conversation that one transaction moves
)
