package backup

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/chacha20poly1305"

	"lockstep/internal/mail"
)

// A sealed object is
//
//	offset  bytes
//	     0      4  "LSbo"
//	     4      1  version, 1
//	     5      3  zero
//	     8     24  nonce
//	    32         the content, compressed with zstd, sealed with XChaCha20-Poly1305
//
// The seal binds the first eight bytes, the backup's id and the object's name: no
// object can stand for another.
const (
	sealMagic   = "LSbo"
	sealVersion = 1
	sealPrefix  = 8
	sealHead    = sealPrefix + chacha20poly1305.NonceSizeX

	// maxContent bounds what a sealed object may hold once it is decompressed.
	maxContent = 64 << 20
	// maxSealed bounds the object: compression never adds more than this.
	maxSealed = maxContent + maxContent/128 + 64<<10
)

const keySize = 32

// A sealer seals and opens the objects of one key.
type sealer struct {
	id    string // the backup's
	aead  cipher.AEAD
	names []byte // what objects are named by that are known by their content
}

func newSealer(id string, key []byte) (*sealer, error) {
	sealing, err := hkdf.Key(sha256.New, key, nil, "lockstep backup objects", keySize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(sealing)
	if err != nil {
		return nil, err
	}
	names, err := hkdf.Key(sha256.New, key, nil, "lockstep backup names", keySize)
	return &sealer{id, aead, names}, err
}

func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key)
	return key
}

// nameBytes is how long a name is that is made of content.
const nameBytes = 16

// nameOf names content: the same content under the same key has the same name, and
// without the key a name tells nothing.
func (s *sealer) nameOf(content []byte) string {
	h := hmac.New(sha256.New, s.names)
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil)[:nameBytes])
}

// The coders are made at start: they hold channels, and one made in a test's bubble
// could not be used outside it.
var (
	coder   = begun(must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(4))))
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxContent)))
)

func begun(c *zstd.Encoder) *zstd.Encoder {
	c.EncodeAll([]byte("x"), nil) // makes its channels
	return c
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only for options that make no sense
	}
	return v
}

func (s *sealer) bind(prefix []byte, name string) []byte {
	return append(append(bytes.Clone(prefix), s.id...), name...)
}

// seal makes the object of this name.
func (s *sealer) seal(name string, content []byte) []byte {
	b := append(make([]byte, 0, sealHead+len(content)/2), sealMagic...)
	b = append(b, sealVersion, 0, 0, 0)
	b = append(b, make([]byte, chacha20poly1305.NonceSizeX)...)
	rand.Read(b[sealPrefix:sealHead])
	return s.aead.Seal(b, b[sealPrefix:sealHead], coder.EncodeAll(content, nil), s.bind(b[:sealPrefix], name))
}

// open undoes seal.
func (s *sealer) open(name string, b []byte) ([]byte, error) {
	if len(b) < sealHead+s.aead.Overhead() || string(b[:4]) != sealMagic {
		return nil, damaged(name, errors.New("it does not begin as it should"))
	}
	if b[4] != sealVersion {
		return nil, fmt.Errorf("the backup's %s was written by a later Lockstep (version %d of the format)", name, b[4])
	}
	coded, err := s.aead.Open(nil, b[sealPrefix:sealHead], b[sealHead:], s.bind(b[:sealPrefix], name))
	if err != nil {
		return nil, damaged(name, errors.New("it does not open: its bytes changed, or it is another object or of another backup"))
	}
	content, err := decoder.DecodeAll(coded, nil)
	if err != nil {
		return nil, damaged(name, err)
	}
	return content, nil
}

// damaged says which object is not as it was written.
func damaged(name string, err error) error {
	return &mail.Error{Kind: mail.Corrupt, Detail: fmt.Sprintf("%s in the backup is damaged: %v", name, err), Err: err}
}

// missing says which object is not there.
func missing(name string) error {
	return &mail.Error{Kind: mail.Corrupt, Detail: name + " is missing from the backup", Err: fs.ErrNotExist}
}

// putBytes stores b.
func putBytes(ctx context.Context, t Target, name string, b []byte) error {
	return t.Put(ctx, name, bytes.NewReader(b), int64(len(b)))
}

// getBytes reads an object of at most limit bytes.
func getBytes(ctx context.Context, t Target, name string, limit int64) ([]byte, error) {
	r, err := t.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, damaged(name, errors.New("it is longer than anything of its kind"))
	}
	return b, nil
}

// put seals content and stores it, and returns how many bytes that were.
func (s *sealer) put(ctx context.Context, t Target, name string, content []byte) (int64, error) {
	b := s.seal(name, content)
	return int64(len(b)), putBytes(ctx, t, name, b)
}

// get reads a sealed object that has to be there.
func (s *sealer) get(ctx context.Context, t Target, name string) ([]byte, error) {
	b, err := getBytes(ctx, t, name, maxSealed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(name)
	}
	if err != nil {
		return nil, err
	}
	return s.open(name, b)
}
