package notify

import "sync"

// A Word is what is sent.
type Word struct {
	Topic string
	Body  []byte
}

// Bounds on words that wait to be sent.
const (
	maxQueued      = 16 << 10
	maxQueuedBytes = 8 << 20
)

// A Queue holds what a node says until the connection takes it, up to a bound. The
// zero Queue is ready, for one who takes.
type Queue struct {
	mu     sync.Mutex
	words  []Word
	bytes  int
	lost   bool
	closed bool
	wake   chan struct{} // made by the first who needs it
}

// Put adds a word, and reports whether it fits. It does not keep body.
func (q *Queue) Put(topic string, body []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := len(topic) + len(body)
	if q.closed || !isTopic(topic, false) || len(body) > MaxWord || len(q.words) >= maxQueued || q.bytes+size > maxQueuedBytes {
		q.lost = true
		q.signal()
		return false
	}
	q.words = append(q.words, Word{topic, append([]byte(nil), body...)})
	q.bytes += size
	q.signal()
	return true
}

// Take returns all that waits, and whether words were lost before, and forgets both.
func (q *Queue) Take() (words []Word, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	words, lost = q.words, q.lost
	q.words, q.bytes, q.lost = nil, 0, false
	return words, lost
}

// Lose notes that words were lost after they were taken.
func (q *Queue) Lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost = true
	q.signal()
}

// Wait returns a channel that tells of something to take.
func (q *Queue) Wait() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting()
}

// Close has no more words fit.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// waiting is the channel. mu is held.
func (q *Queue) waiting() chan struct{} {
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	return q.wake
}

func (q *Queue) signal() {
	select {
	case q.waiting() <- struct{}{}:
	default:
	}
}
