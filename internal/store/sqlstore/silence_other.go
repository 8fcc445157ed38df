//go:build !linux

package sqlstore

import "time"

func limitSilence(int, time.Duration) {}
