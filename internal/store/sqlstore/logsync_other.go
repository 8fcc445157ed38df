//go:build !linux

package sqlstore

import "os"

const hasSyncData = false

func syncData(uintptr) int32 { panic("sqlstore: not here") }

func syncDataOf(*os.File) error { panic("sqlstore: not here") }
