package mail

// Pending is bytes on their way to stable storage. A nil one has arrived.
type Pending struct {
	done chan struct{}
	err  error
}

// NewPending returns what Done ends.
func NewPending() *Pending { return &Pending{done: make(chan struct{})} }

// Done says that the bytes are durable, or why they never will be. It is called
// once.
func (p *Pending) Done(err error) {
	p.err = err
	close(p.done)
}

// Ended is closed once it is known.
func (p *Pending) Ended() <-chan struct{} { return p.done }

// Wait returns when the bytes are durable, or why they are not.
func (p *Pending) Wait() error {
	if p == nil {
		return nil
	}
	<-p.done
	return p.err
}
