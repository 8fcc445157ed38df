//go:build !linux

package lot

import (
	"sync/atomic"
	"time"
)

// A Lot is for Linux; elsewhere there is never a place in it.
type Lot struct{}

// Open returns nil.
func Open(time.Duration, *atomic.Int64) *Lot { return nil }

// Close does nothing.
func (*Lot) Close() {}

// Add reports that there is no place.
func (*Lot) Add(Guest, For, time.Time) bool { return false }

// Remove reports that the guest was not in.
func (*Lot) Remove(Guest) bool { return false }

// Guests returns nobody.
func (*Lot) Guests() []Guest { return nil }
