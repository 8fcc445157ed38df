package delivery

import "sync/atomic"

// Stats counts since the start. The unit is one recipient of one message, unless
// it says otherwise.
type Stats struct {
	Delivered int64 // committed to a mailbox as it arrived
	Failed    int64 // accepted by address, and then not committed
	Queued    int64 // put into the queue
	Sent      int64 // out of the queue, to elsewhere or a mailbox
	PutOff    int64 // attempts of the queue that will be repeated
	GivenUp   int64 // out of the queue without success
	Reports   int64 // delivery status notifications, each one message
	Answers   int64 // of who is away, each one message
}

type counters struct {
	delivered, failed, queued, sent, putOff, givenUp, reports, answers atomic.Int64
}

// Stats returns the counts.
func (s *Service) Stats() Stats {
	c := &s.counts
	return Stats{c.delivered.Load(), c.failed.Load(), c.queued.Load(), c.sent.Load(), c.putOff.Load(), c.givenUp.Load(), c.reports.Load(), c.answers.Load()}
}
