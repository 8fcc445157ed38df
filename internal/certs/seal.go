package certs

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// A seal closes what is stored: nobody reads it who has only the database, and what
// stands under one name can't be put under another.
type seal struct{ aead cipher.AEAD }

// sealBytes is by how much what is sealed is longer.
const sealBytes = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// newSeal takes a key of 32 bytes.
func newSeal(key []byte) (*seal, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	return &seal{aead}, nil
}

func (s *seal) close(name string, plain []byte) []byte {
	out := make([]byte, s.aead.NonceSize(), len(plain)+sealBytes)
	rand.Read(out) // never fails
	return s.aead.Seal(out, out, plain, []byte(name))
}

func (s *seal) open(name string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealBytes {
		return nil, fmt.Errorf("shared file %s is cut short", name)
	}
	nonce, text := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, text, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("shared file %s was sealed with another key, or changed", name)
	}
	return plain, nil
}
