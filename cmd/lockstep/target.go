package main

import (
	"context"
	"path/filepath"
	"strings"

	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// openTarget opens what an operator names: the path of a directory, or a URL. Nothing
// is asked of it yet.
func openTarget(_ context.Context, _ config.Backup, spec string) (backup.Target, error) {
	spec = absolute(spec)
	if strings.Contains(spec, "://") {
		return nil, mail.Errorf(mail.Invalid, "a backup can't be kept at %s: name a directory", spec)
	}
	return backup.NewDir(vfs.OS{}, spec), nil
}

// absolute makes the path of a directory one that means the same to a server that was
// started elsewhere.
func absolute(spec string) string {
	if spec == "" || strings.Contains(spec, "://") {
		return spec
	}
	if dir, err := filepath.Abs(spec); err == nil {
		return dir
	}
	return spec
}
