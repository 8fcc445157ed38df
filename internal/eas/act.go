package eas

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// act is several transactions that were asked for at once: history shows them as one
// thing, and takes them back as one.
type act struct {
	q     *request
	by    mail.Origin
	begun bool
}

func newAct(q *request) *act { return &act{q: q, by: q.sess.Origin()} }

func (a *act) update(fn func(store.Tx) error) error {
	n, err := a.q.srv.Store.Update(a.q.ctx, a.q.account(), a.by, fn)
	if n != 0 && !a.begun {
		a.by, a.begun = a.by.InAct(mail.ActID(n)), true
	}
	return err
}
