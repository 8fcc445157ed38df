package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// A pack is a file of records, begun with:
//
//	offset  bytes
//	     0      8  "LockPack"
//	     8      2  version, 1
//	    10      2  zero
//	    12      8  its number
//	    20      8  fingerprint of the key file's first key
//	    28      4  CRC-32C of the bytes before
//
// Reading a blob does not look at it: one damaged header costs nobody a
// message.
const (
	packMagic      = "LockPack"
	packVersion    = 1
	packHeaderSize = 32
	// PackSuffix ends the names of packs.
	PackSuffix = ".pack"
)

// maxIdlePacks is how many packs stay open without a reader.
const maxIdlePacks = 64

// A packID numbers a pack: the milliseconds of its making, or one more than the
// pack before, so that no number comes back after its pack was removed.
type packID uint64

func (id packID) String() string { return fmt.Sprintf("%0*x", packDigits, uint64(id)) }

const packDigits = 12 // at least

// packLeap is by how much a process whose clock is behind the newest pack leaps at the
// most: three days. By chance, as a server that was restored from a backup and the one
// that it replaces would both go on where the clock does not lead, and ship packs of one
// number with different bytes.
const packLeap = 1 << 28

func parsePackID(s string) (packID, bool) {
	n, err := strconv.ParseUint(s, 16, 64)
	return packID(n), err == nil && s == strings.ToLower(s) && (len(s) == packDigits || len(s) > packDigits && s[0] != '0')
}

// A place says where a record lies: in a pack on the disk, or in an object of a bucket
// or a row of the index, which have names. As text, "pack-offset-length" in hexadecimal,
// places sort by what they lie in.
type place struct {
	pack           packID
	offset, length int64
	object         string // "": in a pack
}

func inPack(id packID, offset, length int64) place {
	return place{pack: id, offset: offset, length: length}
}

func (p place) String() string { return fmt.Sprintf("%s-%x-%x", p.in(), p.offset, p.length) }

// what names what it lies in for a person.
func (p place) what() string {
	if p.object != "" {
		return p.object
	}
	return "pack " + p.pack.String()
}

// in is what it lies in, as the place begins.
func (p place) in() string {
	if p.object != "" {
		return p.object
	}
	return p.pack.String()
}

func parsePlace(s string) (place, error) {
	in, rest, _ := strings.Cut(s, "-")
	first, second, _ := strings.Cut(rest, "-")
	offset, err1 := strconv.ParseInt(first, 16, 64)
	length, err2 := strconv.ParseInt(second, 16, 64)
	if err1 != nil || err2 != nil || offset < 0 || length < headerSize || length > headerSize+maxTable+maxBody || offset > 1<<62 {
		return place{}, errPlace()
	}
	if objectName.MatchString(in) {
		return place{object: in, offset: offset, length: length}, nil
	}
	id, ok := parsePackID(in)
	if !ok || offset < packHeaderSize {
		return place{}, errPlace()
	}
	return inPack(id, offset, length), nil
}

func packHeader(id packID, keys *Keyring) []byte {
	b := append([]byte(packMagic), 0, packVersion, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(id))
	mark := keys.fingerprint()
	b = append(b, mark[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkPackHeader says whether b begins a pack, and one of these keys.
func checkPackHeader(b []byte, keys *Keyring) (whole bool, err error) {
	if len(b) < packHeaderSize || string(b[:8]) != packMagic || crc32.Checksum(b[:28], castagnoli) != binary.BigEndian.Uint32(b[28:]) {
		return false, nil
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != packVersion {
		return false, fmt.Errorf("written by a later Lockstep (version %d of the format)", v)
	}
	if have, want := keys.fingerprint(), [8]byte(b[20:28]); have != want {
		return false, otherKeyFile(have, want)
	}
	return true, nil
}

// listPacks returns the packs in a directory, oldest first, with their sizes.
func listPacks(fsys vfs.FS, dir string) ([]packInfo, error) {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var packs []packInfo
	for _, f := range files {
		text, isPack := strings.CutSuffix(f.Name, PackSuffix)
		if id, ok := parsePackID(text); ok && isPack {
			packs = append(packs, packInfo{id, f.Size})
		}
	}
	slices.SortFunc(packs, func(a, b packInfo) int { return strings.Compare(a.id.String(), b.id.String()) })
	return packs, nil
}

type packInfo struct {
	id   packID
	size int64
}

// packs are the files of the store, opened as they are needed.
type packs struct {
	fs   vfs.FS
	dir  string
	keys *Keyring

	heads sync.RWMutex // held for reading by who reads the header of a record

	mu      sync.Mutex
	open    map[packID]*pack
	idle    []*pack // without a reader, longest idle first
	last    packID
	written map[packID]writeState // packs begun by this process
}

// A pack is an open pack file; what is below is guarded by packs.mu.
type pack struct {
	packs  *packs
	id     packID
	file   vfs.File
	refs   int
	doomed bool // nothing in it lives: removed after its last reader
}

type writeState struct {
	active  bool      // records are still added
	last    time.Time // when the last was added, or sealed
	durable int64     // up to where it was synced
}

func newPacks(fsys vfs.FS, dir string, keys *Keyring) (*packs, error) {
	list, err := listPacks(fsys, dir)
	if err != nil {
		return nil, err
	}
	p := &packs{fs: fsys, dir: dir, keys: keys, open: map[packID]*pack{}, written: map[packID]writeState{}}
	if len(list) > 0 {
		p.last = list[len(list)-1].id
	}
	if p.last > packID(time.Now().UnixMilli()) {
		p.last += packID(rand.Int64N(packLeap))
	}
	return p, p.checkKey(list)
}

// checkKey compares the keys with the newest pack that has a whole header.
func (p *packs) checkKey(list []packInfo) error {
	for _, info := range slices.Backward(list) {
		f, err := p.fs.Open(p.path(info.id))
		if err != nil {
			return err
		}
		b := make([]byte, packHeaderSize)
		n, _ := f.ReadAt(b, 0)
		f.Close()
		whole, err := checkPackHeader(b[:n], p.keys)
		if err != nil {
			return fmt.Errorf("pack %s: %w", p.path(info.id), err)
		}
		if whole {
			return nil
		}
	}
	return nil
}

func (p *packs) path(id packID) string { return filepath.Join(p.dir, id.String()+PackSuffix) }

// create begins a pack and holds it for its writer. Its name is durable.
func (p *packs) create() (*pack, error) {
	id := p.reserve()
	f, err := p.createFile(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		delete(p.written, id)
		return nil, err
	}
	k := &pack{packs: p, id: id, file: f, refs: 1}
	p.open[id] = k
	return k, nil
}

// reserve gives a number, known to be written to before its file is there.
func (p *packs) reserve() packID {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = max(p.last+1, packID(time.Now().UnixMilli()))
	p.written[p.last] = writeState{active: true, last: time.Now()}
	return p.last
}

func (p *packs) createFile(id packID) (vfs.File, error) {
	f, err := p.fs.Create(p.path(id))
	if err != nil {
		return nil, err
	}
	if err := p.fs.SyncDir(p.dir); err != nil {
		return nil, errors.Join(err, f.Close(), p.fs.Remove(p.path(id)))
	}
	return f, nil
}

// appended notes that records were added and synced, up to where.
func (p *packs) appended(k *pack, durable int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[k.id] = writeState{active: true, last: time.Now(), durable: durable}
}

// sealed notes that no more records will be added.
func (p *packs) sealed(k *pack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[k.id] = writeState{last: time.Now(), durable: p.written[k.id].durable}
}

// durable is up to where a pack can be relied on. Of one that an earlier process wrote
// that is all: what was not synced there was not acknowledged either.
func (p *packs) durable(info packInfo) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.written[info.id]; ok {
		return w.durable
	}
	return info.size
}

// settled reports whether every handle to a record in the pack has either been
// committed or expired.
func (p *packs) settled(id packID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.written[id]
	return !ok || !w.active && time.Since(w.last) > 2*HandleLife
}

// acquire opens a pack for a reader, who releases it.
func (p *packs) acquire(id packID) (*pack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.open[id]; k != nil {
		if k.doomed {
			return nil, fs.ErrNotExist
		}
		if k.refs == 0 {
			p.idle = slices.DeleteFunc(p.idle, func(o *pack) bool { return o == k })
		}
		k.refs++
		return k, nil
	}
	f, err := p.fs.Open(p.path(id))
	if err != nil {
		return nil, err
	}
	k := &pack{packs: p, id: id, file: f, refs: 1}
	p.open[id] = k
	return k, nil
}

func (p *packs) release(k *pack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.refs--; k.refs > 0 {
		return
	}
	if k.doomed {
		p.remove(k)
		return
	}
	p.idle = append(p.idle, k)
	if len(p.idle) > maxIdlePacks {
		p.drop(p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
}

func (p *packs) drop(k *pack) {
	k.file.Close()
	delete(p.open, k.id)
}

// doom removes a pack once its last reader let go of it.
func (p *packs) doom(id packID) error {
	k, err := p.acquire(id)
	if err != nil {
		return err
	}
	p.discard(k)
	p.release(k)
	return nil
}

// discard has a pack removed after its last release.
func (p *packs) discard(k *pack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.doomed = true
}

// remove unlinks a doomed pack; mu is held. A pack that stays behind, by an
// error or a crash, is found empty and removed by the next compaction.
func (p *packs) remove(k *pack) {
	p.drop(k)
	delete(p.written, k.id)
	p.fs.Remove(p.path(k.id))
}

func (p *packs) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.open {
		k.file.Close()
	}
	p.open, p.idle = map[packID]*pack{}, nil
}

func unavailable(err error) error {
	return &mail.Error{Kind: mail.Unavailable, Detail: "mail cannot be stored now", Err: err}
}
