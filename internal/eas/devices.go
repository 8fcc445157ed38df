package eas

import (
	"net/http"
	"sync"

	"lockstep/internal/mail"
)

// A deviceKey names a device among those of all accounts.
type deviceKey struct {
	account mail.AccountID
	device  mail.DeviceID
	id      string // as the protocol carries it
}

// devices knows which are asking something now.
type devices struct {
	atOnce int

	mu     sync.Mutex
	inside map[deviceKey]int
}

func newDevices(atOnce int) *devices {
	return &devices{atOnce: atOnce, inside: map[deviceKey]int{}}
}

// enter counts a command of a device until leave is called. One too many is told to
// come again.
func (d *devices) enter(k deviceKey) (leave func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside[k] >= d.atOnce || len(d.inside) >= maxTracked {
		return nil, &fault{http: http.StatusServiceUnavailable, retry: 10, detail: "the device asks too many things at once"}
	}
	d.inside[k]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.inside[k]--; d.inside[k] == 0 {
			delete(d.inside, k)
		}
	}, nil
}
