package main

import (
	"fmt"
	"time"

	"lockstep/internal/past"
)

// parseWhen reads a moment of the past, on this machine's clock where no zone is
// written, for who knows of no acts.
func parseWhen(text string, now time.Time) (time.Time, error) {
	w, err := past.ParseWhen(text, now)
	if err == nil && w.Before != 0 {
		err = fmt.Errorf("acts are of one account: say a time")
	}
	return w.Time, err
}
