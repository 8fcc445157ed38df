package notify

// A Bus carries words between the nodes that share a store. What it carries are
// hints: one that is lost, late or doubled costs time, and nothing else. It never
// blocks who sends.
type Bus interface {
	// Send says something to every other node that listens to the topic: words of
	// letters, digits and "-", joined by dots.
	Send(topic string, body []byte)
	// Receive calls fn with what other nodes say on a topic, until stop; "x.>" is all
	// topics below x. fn must not block.
	Receive(topic string, fn func(topic string, body []byte)) (stop func(), err error)
	// OnGap sets what is called when words may have been lost: a connection broke and
	// is there again. Who holds something because nobody said otherwise looks again.
	OnGap(fn func()) (stop func())
	Close() error
}
