package backup

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"lockstep/internal/vfs"
)

// KnownFile is the file in a data directory that lists the targets which were written
// to, a line each. Where one of them has no backup any more, something is not mounted,
// as a rule, and a new backup on the disk below would be no backup. It may be removed.
const KnownFile = "backups"

// maxKnown bounds how many targets are remembered; the oldest is forgotten.
const maxKnown = 100

// known lists the targets that were written to.
func (s *Service) known() ([]string, error) {
	if s.Data == "" {
		return nil, nil
	}
	b, err := readFile(vfs.OS{}, filepath.Join(s.Data, KnownFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' }), err
}

// remember adds a target.
func (s *Service) remember(name string) error {
	names, err := s.known()
	if err != nil || s.Data == "" || slices.Contains(names, name) {
		return err
	}
	names = append(names, name)
	names = names[max(0, len(names)-maxKnown):]
	return writeWhole(vfs.OS{}, filepath.Join(s.Data, KnownFile), []byte(strings.Join(names, "\n")+"\n"))
}
