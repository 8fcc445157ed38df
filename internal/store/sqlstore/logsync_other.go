//go:build !linux

package sqlstore

const hasSyncData = false

func syncData(uintptr) int32 { panic("sqlstore: not here") }
