//go:build !linux

package imap

import "time"

// A lot is for Linux; elsewhere every session waits in a goroutine of its own.
type lot struct{}

type inLot struct{}

func openLot(time.Duration) *lot { return nil }

func (l *lot) close() {}

func (l *lot) add(*session, time.Time) bool { return false }

func (l *lot) remove(*session) bool { return false }
