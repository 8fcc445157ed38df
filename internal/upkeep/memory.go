package upkeep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"lockstep/internal/vfs"
)

// maxMemory bounds what is read of a memory.
const maxMemory = 1 << 20

// A memory is a small file that is replaced whole. It lies beside the database and
// not in it: what was done to these files is no part of what a backup brings back.
// It can be lost, and is made again.
type memory struct {
	fs   vfs.FS
	path string
}

// load reads what was kept; nothing is no error, nor is what can't be read.
func (m memory) load(v any) error {
	f, err := m.fs.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxMemory))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}

// keep replaces the file.
func (m memory) keep(v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(m.path)
	if err := m.fs.MkdirAll(dir); err != nil {
		return err
	}
	if err := m.write(m.path+".tmp", append(text, '\n')); err != nil {
		return err
	}
	if err := m.fs.Rename(m.path+".tmp", m.path); err != nil {
		return err
	}
	return m.fs.SyncDir(dir)
}

func (m memory) write(name string, text []byte) error {
	if err := m.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // what a process that was killed left
	}
	f, err := m.fs.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
