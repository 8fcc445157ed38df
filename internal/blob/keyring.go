package blob

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

const (
	keySize     = 32
	wrappedSize = 4 + chacha20poly1305.NonceSizeX + keySize + chacha20poly1305.Overhead

	keyFileHead  = "lockstep-key-file 1"
	maxKeyFile   = 64 << 10
	keyFileIntro = `# The key to all mail stored by this Lockstep. Without this file no message
# can be read again. Keep a copy of it apart from the mail, and from others.
`
)

// A Keyring holds the operator's keys. The first key names blobs, for ever; the
// newest wraps the keys of new blobs; the others unwrap what they wrapped. So
// a rotation rewraps keys and touches nothing else.
type Keyring struct {
	first       []byte
	naming      []byte
	fingerprint [8]byte
	wrapping    map[uint32]cipher.AEAD
	newest      uint32
}

// OpenKeyring reads the key file, or makes it when there is none and packDir
// holds no packs yet. created says that it was made just now, and that its
// backup has to be asked for.
func OpenKeyring(fsys vfs.FS, file, packDir string) (k *Keyring, created bool, err error) {
	info, err := fsys.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = createKeyring(fsys, file, packDir)
		return k, err == nil, err
	}
	if err != nil {
		return nil, false, err
	}
	if info.Mode.Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("key file %s can be read or changed by others than its owner (mode %04o): chmod 600 it", file, info.Mode.Perm())
	}
	text, err := readKeyFile(fsys, file, info.Size)
	if err != nil {
		return nil, false, err
	}
	k, err = parseKeyring(text)
	if err != nil {
		return nil, false, fmt.Errorf("key file %s: %w", file, err)
	}
	return k, false, nil
}

func readKeyFile(fsys vfs.FS, file string, size int64) ([]byte, error) {
	if size > maxKeyFile {
		return nil, fmt.Errorf("key file %s is no key file: it has %d bytes", file, size)
	}
	f, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, size))
}

func createKeyring(fsys vfs.FS, file, packDir string) (*Keyring, error) {
	packs, err := listPacks(fsys, packDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(packs) > 0 {
		return nil, fmt.Errorf("key file %s is missing, but %s holds mail that was sealed with it: put the file back from its backup. "+
			"A new key could not read that mail; if there is no backup, the mail is lost: move %[2]s away to start with an empty store", file, packDir)
	}
	secret := make([]byte, keySize)
	rand.Read(secret)
	text := keyFileIntro + keyFileHead + "\n" + keyLine(1, secret)
	if err := writeKeyFile(fsys, file, text); err != nil {
		return nil, err
	}
	return parseKeyring([]byte(text))
}

// writeKeyFile makes the file durable before anything is sealed with the key.
func writeKeyFile(fsys vfs.FS, file, text string) error {
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
	_, err = f.WriteAt([]byte(text), 0)
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

// keyLine writes a key with a check, so that a slip in typing it back in from
// paper is noticed.
func keyLine(id uint32, secret []byte) string {
	return fmt.Sprintf("key %d %s %s\n", id, base64.StdEncoding.EncodeToString(secret), keyCheck(secret))
}

func keyCheck(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:4])
}

func parseKeyring(text []byte) (*Keyring, error) {
	k := &Keyring{wrapping: map[uint32]cipher.AEAD{}}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sawHead := false
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "" || line[0] == '#':
		case !sawHead:
			if line != keyFileHead {
				return nil, fmt.Errorf("line %d: want %q: not a key file, or one of a later Lockstep", n, keyFileHead)
			}
			sawHead = true
		default:
			if err := k.addLine(line); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if k.newest == 0 {
		return nil, errors.New("holds no key")
	}
	return k, nil
}

func (k *Keyring) addLine(line string) error {
	f := strings.Fields(line)
	if len(f) != 4 || f[0] != "key" {
		return errors.New(`want "key", its number, the key and its check`)
	}
	id, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil || uint32(id) != k.newest+1 {
		return fmt.Errorf("keys are numbered from 1 without gaps; %q is not %d", f[1], k.newest+1)
	}
	secret, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil || len(secret) != keySize || keyCheck(secret) != f[3] {
		return fmt.Errorf("key %d is damaged", id)
	}
	return k.add(secret)
}

func (k *Keyring) add(secret []byte) error {
	id := k.newest + 1
	wrap, err := derive(secret, "lockstep blob key wrapping")
	if err != nil {
		return err
	}
	if k.wrapping[id], err = chacha20poly1305.NewX(wrap); err != nil {
		return err
	}
	if id == 1 {
		k.first = secret
		if k.naming, err = derive(secret, "lockstep blob names"); err != nil {
			return err
		}
		mark, err := derive(secret, "lockstep key fingerprint")
		if err != nil {
			return err
		}
		copy(k.fingerprint[:], mark)
	}
	k.newest = id
	return nil
}

// Derive makes a secret for another purpose from the first key, 32 bytes that
// stay the same as long as the key file does. The purpose names who uses it.
func (k *Keyring) Derive(purpose string) ([]byte, error) {
	return derive(k.first, "lockstep for "+purpose)
}

func derive(secret []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, purpose, keySize)
}

// name is what a blob with this SHA-256 is stored under.
func (k *Keyring) name(sum []byte) mail.BlobName {
	m := hmac.New(sha256.New, k.naming)
	m.Write(sum)
	return mail.BlobName(m.Sum(nil))
}

// wrap seals a blob's key for its row, bound to its name.
func (k *Keyring) wrap(name mail.BlobName, key []byte) []byte {
	b := make([]byte, 4+chacha20poly1305.NonceSizeX, wrappedSize)
	binary.BigEndian.PutUint32(b, k.newest)
	nonce := b[4:]
	rand.Read(nonce)
	return k.wrapping[k.newest].Seal(b, nonce, key, name[:])
}

// unwrap opens what wrap sealed under the same name.
func (k *Keyring) unwrap(name mail.BlobName, wrapped []byte) ([]byte, error) {
	if len(wrapped) != wrappedSize {
		return nil, corrupt("its key has the wrong length", nil)
	}
	id := binary.BigEndian.Uint32(wrapped)
	aead := k.wrapping[id]
	if aead == nil {
		return nil, fmt.Errorf("blob %s: the key file lacks key %d: it is older than the store", name, id)
	}
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
