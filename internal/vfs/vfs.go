// Package vfs is the small part of a file system that storage needs, as an
// interface: OS is the real one, package faulty one that loses what was not
// synced. It promises what POSIX promises and no more: bytes last once Sync
// returned nil, a name lasts once SyncDir did, and after a Sync that failed
// nothing written since the one before can be relied on.
package vfs

import (
	"io"
	"io/fs"
	"time"
)

// FS is a file system. Names are paths as package filepath makes them. Errors
// answer to errors.Is with fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// MkdirAll makes a directory, only its owner's to read, and its parents.
	MkdirAll(dir string) error
	// Create makes a new file, mode 0600, to read and write. It fails with
	// fs.ErrExist when the name is taken.
	Create(name string) (File, error)
	// Open opens a file to read.
	Open(name string) (File, error)
	// Change opens a file that is there, to read and write.
	Change(name string) (File, error)
	// Temp makes a file without a name, on the file system of dir; it is gone
	// when closed, and after a crash.
	Temp(dir string) (File, error)
	// Stat describes a file.
	Stat(name string) (Info, error)
	// ReadDir lists the plain files of a directory, sorted by name.
	ReadDir(dir string) ([]Info, error)
	// Dirs lists the directories in a directory, sorted by name.
	Dirs(dir string) ([]string, error)
	// Rename gives a file another name, replacing what had it.
	Rename(from, to string) error
	// Remove removes a file's name.
	Remove(name string) error
	// SyncDir makes the names in a directory last.
	SyncDir(dir string) error
	// Lock takes a lock that ends with the process or with Close. It fails at
	// once when another process holds it.
	Lock(name string) (io.Closer, error)
}

// File is an open file, safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written, and the size, last.
	Sync() error
}

// Info describes a file.
type Info struct {
	Name     string // the last element of its path
	Size     int64
	Mode     fs.FileMode
	Modified time.Time
}
