package sqlstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
)

const instanceSize = 16

// markEvery is how often the generation grows while there are changes.
const markEvery = time.Minute

// A mark lies beside a database and says which one it is and how far it has come, so
// that an older copy that is put back is found out. The generation grows in the
// database first, durably, and then in the mark: whatever is cut in between, a
// database is never older than its mark unless somebody put it there.
type mark struct {
	Instance   string `json:"instance"`
	Generation int64  `json:"generation"`
	Restores   int64  `json:"restores"`       // how often this directory got an older copy
	File       string `json:"file,omitempty"` // which file the database is in; "" is not known
	// Based is the generation that this file had reached by itself, without its log, and
	// that is so on the disk. It may be behind, which is no harm but that less is found out.
	Based int64 `json:"based,omitempty"`
	// First says that it was written before the database had one, which may not have
	// heard of it: a first start that is cut is no copy that came back.
	First bool `json:"first,omitempty"`
}

// marking is a database's mark, kept up. Its zero value keeps none.
type marking struct {
	path string // "" is none
	why  string // Open took the database for an older copy; "" if it did not
	leap mail.Leap
	mu   sync.Mutex
	mark mark     // as it is in the database
	seen int64    // closures when the generation last grew
	file *os.File // the database, to the end: see copies; guarded by keeping

	based atomic.Int64 // mark.Based
}

const (
	selectMark = "SELECT instance, generation, restores FROM mark"
	updateMark = "UPDATE mark SET instance = ?1, generation = ?2, at = ?3"
)

// readMark reads a mark; found is false where there is none.
func readMark(path string) (m mark, found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err = d.Decode(&m); err == nil && (m.Generation < 1 || m.Restores < 0 || len(m.Instance) != 2*instanceSize) {
		err = errors.New("its numbers can't be")
	}
	if err != nil {
		return m, false, fmt.Errorf("the mark %s is damaged (%w): move it away, and the database is taken for an older copy of itself, which is safe", path, err)
	}
	return m, true, nil
}

// write puts a mark in place, durably: the old one or the new one is there, whatever
// is cut.
func (m mark) write(path string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// returned says why a database was put there by somebody, given the mark that lies
// beside it, "" if it was not.
func (m mark) returned(beside mark, found bool) string {
	switch {
	case m.Generation == 0 && (!found || beside.First): // new, or of a time before there were marks
		return ""
	case !found:
		return "there is no mark beside it"
	case m.Generation == 0:
		return "it has none of the mark beside it"
	case m.Instance != beside.Instance:
		return "the mark beside it is another database's"
	case m.Generation < beside.Generation:
		return "it is older than the mark beside it"
	case m.File != "" && beside.File != "" && m.File != beside.File:
		return "its file is a copy"
	}
	return ""
}

// The generation is also the number that a database's header has for anybody's use
// ("Database File Format", §1.3): so the file says how far it has come without its
// log.
const (
	headerNumber  = 60
	maxGeneration = 1<<31 - 1
)

// noteBased takes down how far the file has come. The log was just copied whole, and
// the file synced.
func (m *marking) noteBased() {
	if m.file == nil {
		return
	}
	if based, err := basedOn(m.file); err == nil {
		m.based.Store(based)
	}
}

func basedOn(f io.ReaderAt) (int64, error) {
	var b [4]byte
	if _, err := f.ReadAt(b[:], headerNumber); err != nil && err != io.EOF {
		return 0, err
	}
	return int64(binary.BigEndian.Uint32(b[:])), nil
}

// refuseStrangeLog refuses a file that is older than its mark while a log lies beside
// it that does not go on where the file ends. A server that was killed leaves its log,
// and SQLite would take up what that holds on top of a copy that was put in place
// since. A file that lost what was written back to it, as a sync had failed, is older
// too: its log has the generation that comes next.
func refuseStrangeLog(path, markPath string) error {
	if markPath == "" {
		return nil
	}
	m, found, err := readMark(markPath)
	if err != nil || !found {
		return err
	}
	log, err := os.Open(path + "-wal")
	if err != nil {
		return nil
	}
	defer log.Close()
	f, err := os.Open(path)
	if err != nil {
		return nil // without a database there is nothing that a log could spoil
	}
	defer f.Close()
	based, err := basedOn(f)
	if err != nil || based >= m.Based {
		return err
	}
	if empty, goesOn := logAfter(log, based); empty || goesOn {
		return nil
	}
	return mail.Errorf(mail.Unavailable, "%s is an older copy, and beside it lies the log %s-wal, which may be of the database that was there before and would spoil the copy. If the log did not come with the copy, move it away; if it did, move %s away. Then start again", path, path, markPath)
}

// logAfter reports whether a log has no frames, and whether it has the generation
// after one ("WAL-mode File Format", §2). Frames of an earlier life of the file have
// another salt.
func logAfter(log io.ReaderAt, based int64) (empty, goesOn bool) {
	var head [logHeaderBytes]byte
	if _, err := log.ReadAt(head[:], 0); err != nil {
		return true, false
	}
	page := int64(binary.BigEndian.Uint32(head[8:]))
	if page == 1 {
		page = 64 << 10
	}
	var frame [frameHeaderBytes + headerNumber + 4]byte
	for at := int64(logHeaderBytes); ; at += frameHeaderBytes + page {
		if _, err := log.ReadAt(frame[:], at); err != nil || page == 0 || !bytes.Equal(frame[8:16], head[16:24]) {
			return at == logHeaderBytes, false
		}
		first := binary.BigEndian.Uint32(frame[:]) == 1
		if first && int64(binary.BigEndian.Uint32(frame[frameHeaderBytes+headerNumber:])) == based+1 {
			return false, true
		}
	}
}

// settleMark looks whether the database is an older copy, or may be one, and then
// begins the accounts anew; also what a crash cut of that. Then the generation grows.
// based says whether it is known what the file holds for sure.
func (db *DB) settleMark(ctx context.Context, o Options, based bool) error {
	if o.Mark == "" {
		return db.goOnRestoring(ctx)
	}
	beside, found, err := readMark(o.Mark)
	if err != nil {
		return err
	}
	m := &db.marking
	m.path = o.Mark
	if m.mark, err = db.ownMark(ctx); err != nil {
		return err
	}
	m.mark.File = o.identity(db.path)
	if err := db.openForMark(); err != nil {
		return err
	}
	if err := db.goOnRestoring(ctx); err != nil {
		return err
	}
	if why := m.mark.returned(beside, found); why != "" {
		if err := db.cameBack(ctx, why, beside); err != nil {
			return err
		}
	} else if !based { // an earlier process, which ended with a log, has noted it
		m.based.Store(max(beside.Based, m.based.Load()))
	}
	m.mark.Generation = max(m.mark.Generation, beside.Generation)
	err = db.nameInstance(beside, found)
	if err == nil {
		err = db.advance(ctx)
	}
	if err != nil { // on a disk that is full, mail can still be read
		db.log.WarnContext(ctx, "the mark beside the database", "err", err)
	}
	return nil
}

func (db *DB) openForMark() (err error) {
	db.keeping.Lock()
	defer db.keeping.Unlock()
	db.marking.file, err = os.Open(db.path)
	return err
}

// nameInstance gives a database its instance, which the first mark knows before the
// database does.
func (db *DB) nameInstance(beside mark, found bool) error {
	m := &db.marking
	switch {
	case m.mark.Instance != "":
		return nil
	case beside.First:
		m.mark.Instance = beside.Instance
		return nil
	}
	m.mark.Instance = newInstance()
	if found { // of a database that was here before
		return nil
	}
	first := mark{Instance: m.mark.Instance, Generation: 1, First: true}
	return first.write(m.path)
}

func (o Options) identity(path string) string {
	if o.Identity != nil {
		return o.Identity(path)
	}
	return identity(path)
}

// ownMark is what the database says of itself.
func (db *DB) ownMark(ctx context.Context) (m mark, err error) {
	err = db.read(ctx, func(c conn) error {
		_, err := one(c, selectMark, func(r row) {
			m = mark{Instance: hex.EncodeToString(r.bytes(0)), Generation: r.num(1), Restores: r.num(2)}
		})
		return err
	})
	return m, err
}

func newInstance() string {
	var b [instanceSize]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// cameBack begins all accounts anew, and says so.
func (db *DB) cameBack(ctx context.Context, why string, beside mark) error {
	m := &db.marking.mark
	times := max(beside.Restores-m.Restores, 0) + 1
	began := time.Now()
	leap, err := db.restoredTimes(ctx, times)
	if err != nil {
		return err
	}
	db.marking.why, db.marking.leap = why, leap
	own, err := db.ownMark(ctx)
	m.Restores = own.Restores
	held, errHeld := db.Held(ctx)
	db.log.WarnContext(ctx, "the database is an older copy of itself, or may be: every account begins a new epoch, devices catch up by themselves, and outgoing mail is held",
		"why", why, "held", held, "took", time.Since(began).Round(time.Millisecond).String(), "see", "lockstep queue list, release, drop")
	return errors.Join(err, errHeld)
}

// Returned says why Open took the database for an older copy of itself, and by how
// much it put its accounts ahead; "" if it did not.
func (db *DB) Returned() (why string, leap mail.Leap) { return db.marking.why, db.marking.leap }

// Marked makes the mark say how far the database has come: from then on, a copy made
// before is found out. Open, Close and time do so by themselves.
func (db *DB) Marked(ctx context.Context) error {
	if !db.marking.isKept() {
		return nil
	}
	return db.advance(ctx)
}

// advance makes the generation grow, in the database and then in the mark.
func (db *DB) advance(ctx context.Context) error {
	m := &db.marking
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.mark
	next.Generation++
	instance, err := hex.DecodeString(next.Instance)
	if err != nil {
		return err
	}
	m.seen = db.stats.closures.Load() + 1 // with the one that follows
	err = db.write(ctx, directoryLane, func(c conn) error {
		if _, err := c.exec(updateMark, instance, next.Generation, db.now()); err != nil {
			return err
		}
		return c.script(fmt.Sprintf("PRAGMA user_version = %d", next.Generation&maxGeneration))
	}, nil)
	if err != nil {
		return err
	}
	next.Based = m.based.Load()
	m.mark = next
	if err := m.mark.write(m.path); err != nil {
		return &mail.Error{Kind: mail.Unavailable, Detail: "the mark beside the database can't be written", Err: err}
	}
	return nil
}

// keepMark makes the generation grow while there are changes, until ctx ends. A mark
// that can't be written is behind, which is no harm but that less is found out.
func (db *DB) keepMark(ctx context.Context) {
	t := time.NewTicker(markEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			db.catchUpMark(ctx)
		}
	}
}

func (db *DB) catchUpMark(ctx context.Context) {
	if !db.marking.isKept() || db.stats.closures.Load() <= db.marking.seenClosures() {
		return
	}
	if err := db.advance(ctx); err != nil && ctx.Err() == nil {
		db.log.WarnContext(ctx, "the mark beside the database", "err", err)
	}
}

// isKept reports whether there is a mark, and the database is the one it marks.
func (m *marking) isKept() bool { return m.path != "" && m.seenClosures() > 0 }

// Instance names the database, and every copy of it, apart from all others; "" where no
// mark is kept.
func (db *DB) Instance() string {
	m := &db.marking
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark.Instance
}

func (m *marking) seenClosures() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen
}
