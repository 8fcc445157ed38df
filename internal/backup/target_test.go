package backup_test

import (
	"testing"

	"lockstep/internal/backup"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/vfs"
)

func TestDirectoryKeepsThePromisesOfATarget(t *testing.T) {
	targettest.Run(t, 1<<20, func(t *testing.T) backup.Target { return backup.NewDir(vfs.OS{}, t.TempDir()) })
}
