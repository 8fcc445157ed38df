package eas

import (
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// vigil waits until there is something to tell of the collections. The answer is what a
// Sync then tells, empty if time is up.
func (s *syncRequest) vigil(now time.Time) *vigil {
	v := &vigil{until: now.Add(s.wait)}
	for _, c := range s.collections {
		if mb, ok := parseFolderID(c.id); ok {
			v.mailboxes = append(v.mailboxes, mb)
		}
	}
	v.look = func(q *request, r store.Reader, _ mail.News) (yes bool, err error) {
		for _, c := range s.collections {
			if yes, err = q.changed(r, c.id); err != nil || yes {
				break
			}
		}
		return yes, err
	}
	v.tell = func(q *request, found bool, err error) (*answer, error) {
		if err != nil || !found {
			return &answer{}, err
		}
		return q.syncNow(s)
	}
	return v
}
