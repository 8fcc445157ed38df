package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs"
)

// maxMemory bounds what is read of a memory.
const maxMemory = 1 << 20

// A memory is a small file that is replaced whole. It lies beside the database and
// not in it: what was done to these files is no part of what a backup brings back.
// It can be lost, and is made again. Where several nodes take turns it is a file that
// they share.
type memory struct {
	fs     vfs.FS
	path   string
	shared store.Files // nil: it lies in fs
}

// sharedTime bounds how long is waited for the store.
const sharedTime = 10 * time.Second

// name is what a shared memory is called.
func (m memory) name() string { return "upkeep/" + filepath.Base(m.path) }

func (m memory) loadShared(v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), sharedTime)
	defer cancel()
	f, err := m.shared.FileNamed(ctx, m.name())
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return m.read(f.Data, v)
}

func (m memory) keepShared(text []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), sharedTime)
	defer cancel()
	return m.shared.PutFile(ctx, store.File{Name: m.name(), Data: text})
}

func (m memory) read(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}

// load reads what was kept; nothing is no error, nor is what can't be read.
func (m memory) load(v any) error {
	if m.shared != nil {
		return m.loadShared(v)
	}
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
	return m.read(text, v)
}

// keep replaces the file.
func (m memory) keep(v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	if m.shared != nil {
		return m.keepShared(text)
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
