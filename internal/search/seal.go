package search

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"lockstep/internal/mail"
)

// sealer keeps the text of one account's messages so that only who has the
// operator's key can read it: compressed, then sealed with AES-256-GCM under a key
// of the account's own, bound to the message. Nonces are random; a key is good for
// 2^32 messages.
type sealer struct {
	aead    cipher.AEAD
	account mail.AccountID
}

// coder and decoder are shared by all, and made at start: they hold channels.
var (
	coder   = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(128<<10)))
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxText+64<<10)))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only for options that make no sense
	}
	return v
}

// newSealer makes the sealer of an account out of the operator's secret.
func newSealer(secret []byte, a mail.AccountID) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("search text of account %d", a), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead, a}, err
}

func (s *sealer) bound(k mail.MessageKey) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.account))
	return binary.BigEndian.AppendUint64(b, uint64(k))
}

// seal returns the text as it is stored.
func (s *sealer) seal(k mail.MessageKey, t *exactText) []byte {
	plain := coder.EncodeAll(t.encode(nil), nil)
	b := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(b)
	return s.aead.Seal(b, b, plain, s.bound(k))
}

// open reads what seal wrote, and undoes sealed. The result lies in buf, which it
// makes longer where it must.
func (s *sealer) open(k mail.MessageKey, sealed []byte, buf *[]byte) (*exactText, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errDamaged
	}
	plain, err := s.aead.Open(sealed[n:n], sealed[:n], sealed[n:], s.bound(k))
	if err != nil {
		return nil, errDamaged
	}
	if *buf, err = decoder.DecodeAll(plain, (*buf)[:0]); err != nil {
		return nil, errDamaged
	}
	return decodeText(*buf)
}
