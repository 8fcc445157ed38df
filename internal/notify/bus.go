package notify

import (
	"math/rand/v2"
	"strings"
	"time"
)

// A Bus carries words between the nodes that share a store. What it carries are
// hints: one that is lost, late or doubled costs time, and nothing else. It never
// blocks who sends, and what a node said does not come back to it. It connects, and
// connects again, by itself.
type Bus interface {
	// Send says something to every other node that listens to the topic: words of
	// letters, digits and "-", joined by dots. What is longer than MaxWord, and what
	// does not fit into the queue, is dropped and counted, and the others are told of a
	// gap.
	Send(topic string, body []byte)
	// Receive calls fn with what other nodes say on a topic, until stop; "x.>" is all
	// topics below x. fn must not block, nor keep body. Once Receive has returned, what
	// is said is heard, if the bus is connected; if it is not, OnGap is called when it
	// is. Invalid if it is no topic.
	Receive(topic string, fn func(topic string, body []byte)) (stop func(), err error)
	// OnGap sets what is called when words may have been lost: a connection broke and
	// is there again. Who holds something because nobody said otherwise looks again.
	OnGap(fn func()) (stop func())
	Stats() BusStats
	Close() error
}

// BusStats are counts since the bus was opened.
type BusStats struct {
	Connected bool
	Sent      int64
	Received  int64
	Dropped   int64 // that were to be sent, or to be heard, and were not
	Gaps      int64 // times that words may have been lost
}

// Bounds on what a Bus carries.
const (
	MaxWord  = 4 << 10 // bytes of a body
	MaxTopic = 100
)

// How long a bus waits before it connects again.
const (
	pauseFirst = 100 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// Pause is how long a bus waits before it tries to connect for the nth time, from 1 on:
// somewhat more or less, so that the nodes do not come all at once.
func Pause(n int) time.Duration {
	most := min(pauseFirst<<min(n-1, 10), pauseMost)
	return most/2 + rand.N(most/2)
}

// TopicGap is what buses tell each other when they may have lost words; it is none for
// others.
const TopicGap = "gap"

// isTopic reports whether words may be sent to a topic; listening is for whether a
// last ">" may be in it.
func isTopic(topic string, listening bool) bool {
	if listening {
		topic = strings.TrimSuffix(topic, ".>")
	}
	if topic == "" || len(topic) > MaxTopic {
		return false
	}
	for word := range strings.SplitSeq(topic, ".") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return true
}
