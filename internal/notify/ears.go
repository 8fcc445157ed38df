package notify

import (
	"strings"
	"sync"
	"sync/atomic"

	"lockstep/internal/mail"
)

// Ears are what listens on a node, and what a Bus counts; each kind of bus is made
// around them. The zero Ears are ready.
type Ears struct {
	Connected               atomic.Bool
	Sent, Received, Dropped atomic.Int64
	gaps                    atomic.Int64

	mu     sync.Mutex
	topics map[string]map[*ear]struct{} // by topic as it is listened to
	onGap  map[*func()]struct{}
}

type ear struct {
	fn func(topic string, body []byte)
}

// Receive adds one who listens. First says that nobody listened to that topic, and
// last, what stop returns, that nobody does any more.
func (e *Ears) Receive(topic string, fn func(topic string, body []byte)) (first bool, stop func() (last bool), err error) {
	if !isTopic(topic, true) {
		return false, nil, mail.Errorf(mail.Invalid, "%q is no topic", topic)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.topics == nil {
		e.topics = map[string]map[*ear]struct{}{}
	}
	if e.topics[topic] == nil {
		e.topics[topic], first = map[*ear]struct{}{}, true
	}
	it := &ear{fn}
	e.topics[topic][it] = struct{}{}
	return first, func() bool { return e.forget(topic, it) }, nil
}

func (e *Ears) forget(topic string, it *ear) (last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, there := e.topics[topic][it]; !there {
		return false
	}
	delete(e.topics[topic], it)
	if len(e.topics[topic]) > 0 {
		return false
	}
	delete(e.topics, topic)
	return true
}

// Hear tells those who listen to a topic, or to all below one of its beginnings.
func (e *Ears) Hear(topic string, body []byte) {
	heard := e.HearAs(topic, topic, body)
	for at := strings.LastIndexByte(topic, '.'); at > 0; at = strings.LastIndexByte(topic[:at], '.') {
		heard = e.HearAs(topic[:at]+".>", topic, body) || heard
	}
	if heard {
		e.Received.Add(1)
	}
}

// HearAs tells those alone who listen to a topic under one name of it, and reports
// whether there are any.
func (e *Ears) HearAs(name, topic string, body []byte) bool {
	e.mu.Lock()
	ears := make([]*ear, 0, len(e.topics[name]))
	for it := range e.topics[name] {
		ears = append(ears, it)
	}
	e.mu.Unlock()
	for _, it := range ears {
		it.fn(topic, body)
	}
	return len(ears) > 0
}

// OnGap is that of Bus.
func (e *Ears) OnGap(fn func()) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.onGap == nil {
		e.onGap = map[*func()]struct{}{}
	}
	e.onGap[&fn] = struct{}{}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.onGap, &fn)
	}
}

// Gap tells those who asked that words may have been lost.
func (e *Ears) Gap() {
	e.gaps.Add(1)
	e.mu.Lock()
	fns := make([]func(), 0, len(e.onGap))
	for fn := range e.onGap {
		fns = append(fns, *fn)
	}
	e.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

// Stats is that of Bus.
func (e *Ears) Stats() BusStats {
	return BusStats{e.Connected.Load(), e.Sent.Load(), e.Received.Load(), e.Dropped.Load(), e.gaps.Load()}
}
