package blob

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

const (
	keySize     = 32
	wrappedSize = 4 + chacha20poly1305.NonceSizeX + keySize + chacha20poly1305.Overhead

	keyFileHead  = "lockstep-key-file 1"
	keyFileHead2 = "lockstep-key-file 2" // has retired keys, which older versions don't know
	maxKeyFile   = 64 << 10
	keyFileIntro = `# The key to all mail stored by this Lockstep. Without this file no message
# can be read again. Keep a copy of it apart from the mail, and from others.
`
)

// A Keyring holds the operator's keys. The first key names blobs, for ever; the
// newest wraps the keys of new blobs; the others unwrap what they wrapped. So
// a rotation rewraps keys and touches nothing else. Its methods are safe for
// concurrent use.
type Keyring struct {
	fs   vfs.FS
	file string

	changing sync.Mutex // one change of the file at a time
	rotated  time.Time  // when this process added the newest key; guarded by changing
	ring     atomic.Pointer[ring]
}

// A ring is what a key file holds. It never changes.
type ring struct {
	text        []byte
	keys        []ringKey // of key 1, 2 …
	secrets     map[string][]byte
	naming      []byte
	fingerprint [8]byte
}

// A ringKey is one of the keys. What is retired has no secret any more.
type ringKey struct {
	secret  []byte
	wrap    cipher.AEAD // nil: retired before this process began
	made    time.Time   // zero: nobody wrote it down
	retired time.Time   // zero: it is not
}

func (r *ring) newest() uint32 { return uint32(len(r.keys)) }

// OpenKeyring reads the key file, or makes it when there is none and packDir
// holds no packs yet. created says that it was made just now, and that its
// backup has to be asked for. Its errors say what is lost and what to do.
func OpenKeyring(fsys vfs.FS, file, packDir string) (k *Keyring, created bool, err error) {
	k = &Keyring{fs: fsys, file: file}
	text, err := readKeyFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = createKeyFile(fsys, file, packDir)
		created = err == nil
	}
	if err != nil {
		return nil, false, err
	}
	r, err := parseKeyring(text)
	if err != nil {
		return nil, false, damagedKeyFile(file, err)
	}
	k.ring.Store(r)
	return k, created, nil
}

// readKeyFile reads a key file that is nobody else's.
func readKeyFile(fsys vfs.FS, file string) ([]byte, error) {
	info, err := fsys.Stat(file)
	if err != nil {
		return nil, unreadableKeyFile(file, err)
	}
	if info.Mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s can be read or changed by others than its owner (mode %04o): chmod 600 %[1]s; if somebody else may have read it, lockstep key rotate and lockstep key retire make it worth less", file, info.Mode.Perm())
	}
	if info.Size > maxKeyFile {
		return nil, damagedKeyFile(file, fmt.Errorf("it has %d bytes, and a key file has a few hundred", info.Size))
	}
	f, err := fsys.Open(file)
	if err != nil {
		return nil, unreadableKeyFile(file, err)
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, info.Size))
}

// createKeyFile makes the first key of a store that holds nothing yet.
func createKeyFile(fsys vfs.FS, file, packDir string) ([]byte, error) {
	packs, err := listPacks(fsys, packDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(packs) > 0 {
		return nil, missingKeyFile(file, packDir)
	}
	secret := make([]byte, keySize)
	rand.Read(secret)
	text := []byte(keyFileIntro + keyFileHead + "\n" + madeLine(1, time.Now()) + keyLine(1, secret))
	return text, writeKeyFile(fsys, file, text)
}

// writeKeyFile makes the file durable before anything is sealed with the key.
func writeKeyFile(fsys vfs.FS, file string, text []byte) error {
	if err := fsys.MkdirAll(filepath.Dir(file)); err != nil {
		return err
	}
	tmp := file + ".new"
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, file); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(file))
}

// Derive makes a secret for another purpose from the first key, 32 bytes that
// stay the same as long as the key file does, also when that key is retired. The
// purpose names who uses it, and stands among Purposes.
func (k *Keyring) Derive(purpose string) ([]byte, error) {
	return k.ring.Load().derive("lockstep for " + purpose)
}

// derive makes a secret from the first key, or finds what was made of it before it
// was retired.
func (r *ring) derive(purpose string) ([]byte, error) {
	if secret := r.secrets[purpose]; secret != nil {
		return secret, nil
	}
	if root := r.secrets[laterPurposes]; root != nil {
		return derive(root, purpose)
	}
	return derive(r.keys[0].secret, purpose)
}

func derive(secret []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, purpose, keySize)
}

// name is what a blob with this SHA-256 is stored under.
func (k *Keyring) name(sum []byte) mail.BlobName {
	m := hmac.New(sha256.New, k.ring.Load().naming)
	m.Write(sum)
	return mail.BlobName(m.Sum(nil))
}

func (k *Keyring) fingerprint() [8]byte { return k.ring.Load().fingerprint }

// wrap seals a blob's key for its row, bound to its name.
func (k *Keyring) wrap(name mail.BlobName, key []byte) []byte {
	r := k.ring.Load()
	b := make([]byte, 4+chacha20poly1305.NonceSizeX, wrappedSize)
	binary.BigEndian.PutUint32(b, r.newest())
	nonce := b[4:]
	rand.Read(nonce)
	return r.keys[r.newest()-1].wrap.Seal(b, nonce, key, name[:])
}

// wrappedBy is the number of the key that wrapped a blob's key; 0 is none.
func wrappedBy(wrapped []byte) uint32 {
	if len(wrapped) != wrappedSize {
		return 0
	}
	return binary.BigEndian.Uint32(wrapped)
}

// unwrap opens what wrap sealed under the same name.
func (k *Keyring) unwrap(name mail.BlobName, wrapped []byte) ([]byte, error) {
	if len(wrapped) != wrappedSize {
		return nil, corrupt("its key has the wrong length", nil)
	}
	r := k.ring.Load()
	id := wrappedBy(wrapped)
	switch {
	case id == 0:
		return nil, corrupt("its key is none", nil)
	case id > r.newest():
		return nil, fmt.Errorf("blob %s: the key file lacks key %d: it is older than the store; put the newer copy of it in its place", name, id)
	case r.keys[id-1].wrap == nil:
		return nil, fmt.Errorf("blob %s: it needs key %d, which was retired: a copy of the key file from before that has it", name, id)
	}
	aead := r.keys[id-1].wrap
	nonce, sealed := wrapped[4:4+aead.NonceSize()], wrapped[4+aead.NonceSize():]
	key, err := aead.Open(nil, nonce, sealed, name[:])
	if err != nil {
		return nil, corrupt("its key does not open", err)
	}
	return key, nil
}

func corrupt(what string, err error) error {
	return &mail.Error{Kind: mail.Corrupt, Detail: "stored bytes are damaged: " + what, Err: err}
}
