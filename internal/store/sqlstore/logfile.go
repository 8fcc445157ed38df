package sqlstore

import (
	"net/url"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite hands its log to the operating system in two small writes for each page,
// and a batch has a thousand pages: half of a commit went into them. So the log's
// file is given to it through a VFS of our own (https://www.sqlite.org/vfs.html):
// the machine's, but that writes which follow each other wait in memory, and go out
// as one before the log is synced, read or closed. What a commit promises stays as
// it is, since SQLite syncs the log before it tells anybody of what it wrote. And a
// log that is written over, as it nearly always is, is synced without the times of
// the file, which cost a write of their own, or a transaction of the file system.

// logBuffer is how many bytes of log wait at most. SQLite's own files take less than
// 128 KiB at once.
const logBuffer = 120 << 10

// logFile is what we keep behind SQLite's own record of a log that is open. It is
// in memory that is not Go's, as that is.
type logFile struct {
	methods *lib.Tsqlite3_io_methods // of the machine
	buf     uintptr                  // of logBuffer bytes; 0 until something is written
	n, at   int64                    // bytes that wait, and where in the file they belong
	named   bool                     // the machine has synced it once, and its name with it
	kept    bool                     // opened by the keeper
	settled bool                     // opened by who settles it
}

// logVFS is the machine's VFS, what it opens a file with, and the methods of a log.
var logVFS struct {
	once      sync.Once
	keeper    uintptr // the VFS of keeperVFSName
	settler   uintptr // that of settlerVFSName
	open      uintptr
	fileBytes int32
	methods   lib.Tsqlite3_io_methods
	made      sync.Once
}

// logVFSName is what connections ask for that commit with a sync. Others must not:
// what they commit would be nowhere for others to read.
const logVFSName = "lockstep"

// keeperVFSName is what the one asks for that writes the log back. It does not sync the
// log, as SQLite would before it copies any of it: each commit was synced before others
// could see it, and a sync here would also be one of what the writer is just writing.
// If it failed, the kernel would forget that, and the writer's own sync succeed.
const keeperVFSName = "lockstep-keeper"

// settlerVFSName is what the one asks for that settles the log, and commits nothing. Its
// syncs fail, and with them what SQLite does when the last connection is closed: a log
// that could not be settled must not be written back and taken away.
const settlerVFSName = "lockstep-settler"

// throughLogVFS is the path of a database for a connection that uses its log through
// us.
func throughLogVFS(path, vfs string) (string, error) {
	logVFS.once.Do(registerLogVFS)
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "vfs=" + vfs}).String(), nil
}

func registerLogVFS() {
	tls := libc.NewTLS()
	defer tls.Close()
	registerVFS(tls, logVFSName)
	logVFS.keeper = registerVFS(tls, keeperVFSName)
	logVFS.settler = registerVFS(tls, settlerVFSName)
}

func registerVFS(tls *libc.TLS, as string) (vfs uintptr) {
	size := libc.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_vfs{}))
	machine, ours := lib.Xsqlite3_vfs_find(tls, 0), libc.Xmalloc(tls, size)
	name, err := libc.CString(as)
	if machine == 0 || ours == 0 || err != nil {
		panic("sqlstore: SQLite has no VFS") // it brings one with it
	}
	v := at[lib.Tsqlite3_vfs](ours)
	*v = *at[lib.Tsqlite3_vfs](machine)
	logVFS.open, logVFS.fileBytes = v.FxOpen, (v.FszOsFile+7)&^7
	v.FszOsFile = logVFS.fileBytes + int32(unsafe.Sizeof(logFile{}))
	v.FzName, v.FpNext, v.FxOpen = name, 0, function(openFile)
	lib.Xsqlite3_vfs_register(tls, ours, 0)
	return ours
}

// at is what lies at an address outside Go's memory.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// function is how the translated C refers to a function, and called how it calls
// one.
func function(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

func called[F any](f uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{f})) }

type (
	openFunc  = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	closeFunc = func(tls *libc.TLS, file uintptr) int32
	moveFunc  = func(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 // reads and writes
	cutFunc   = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc  = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc  = func(tls *libc.TLS, file, size uintptr) int32
)

// openFile opens a file as the machine does, and puts us in front of a log.
func openFile(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := called[openFunc](logVFS.open)(tls, vfs, name, file, flags, out)
	if rc != lib.SQLITE_OK || flags&lib.SQLITE_OPEN_WAL == 0 {
		return rc
	}
	f := at[lib.Tsqlite3_file](file)
	*logOf(file) = logFile{methods: at[lib.Tsqlite3_io_methods](f.FpMethods), kept: vfs == logVFS.keeper, settled: vfs == logVFS.settler}
	logVFS.made.Do(func() {
		m := &logVFS.methods
		*m = *logOf(file).methods
		m.FxClose, m.FxRead, m.FxWrite, m.FxTruncate = function(closeLog), function(readLog), function(writeLog), function(truncateLog)
		m.FxSync, m.FxFileSize = function(syncLog), function(sizeOfLog)
	})
	f.FpMethods = uintptr(unsafe.Pointer(&logVFS.methods))
	return rc
}

func logOf(file uintptr) *logFile { return at[logFile](file + uintptr(logVFS.fileBytes)) }

// flush hands what waits to the machine.
func (l *logFile) flush(tls *libc.TLS, file uintptr) int32 {
	if l.n == 0 {
		return lib.SQLITE_OK
	}
	n := l.n
	l.n = 0
	return called[moveFunc](l.methods.FxWrite)(tls, file, l.buf, int32(n), l.at)
}

func writeLog(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	l := logOf(file)
	if l.buf == 0 {
		l.buf = libc.Xmalloc(tls, logBuffer)
	}
	if l.n > 0 && (off != l.at+l.n || l.n+int64(n) > logBuffer) {
		if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
			return rc
		}
	}
	if l.buf == 0 || n > logBuffer {
		return called[moveFunc](l.methods.FxWrite)(tls, file, buf, n, off)
	}
	if l.n == 0 {
		l.at = off
	}
	copy(unsafe.Slice(at[byte](l.buf), logBuffer)[l.n:], unsafe.Slice(at[byte](buf), n))
	l.n += int64(n)
	return lib.SQLITE_OK
}

func readLog(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	l := logOf(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return called[moveFunc](l.methods.FxRead)(tls, file, buf, n, off)
}

func truncateLog(tls *libc.TLS, file uintptr, size int64) int32 {
	l := logOf(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return called[cutFunc](l.methods.FxTruncate)(tls, file, size)
}

func syncLog(tls *libc.TLS, file uintptr, flags int32) int32 {
	l := logOf(file)
	switch {
	case l.kept:
		return lib.SQLITE_OK
	case l.settled:
		return lib.SQLITE_IOERR_FSYNC
	}
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	if l.named && hasSyncData {
		return syncData(file)
	}
	rc := called[syncFunc](l.methods.FxSync)(tls, file, flags)
	l.named = rc == lib.SQLITE_OK
	return rc
}

func sizeOfLog(tls *libc.TLS, file, size uintptr) int32 {
	l := logOf(file)
	if rc := l.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return called[sizeFunc](l.methods.FxFileSize)(tls, file, size)
}

// closeLog closes a log. What still waits was never committed, but is handed on as
// the machine would have it.
func closeLog(tls *libc.TLS, file uintptr) int32 {
	l := logOf(file)
	rc := l.flush(tls, file)
	libc.Xfree(tls, l.buf)
	l.buf = 0
	if closed := called[closeFunc](l.methods.FxClose)(tls, file); rc == lib.SQLITE_OK {
		rc = closed
	}
	return rc
}
