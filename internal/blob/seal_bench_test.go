package blob

import (
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func BenchmarkSeal(b *testing.B) {
	key, plain := make([]byte, keySize), make([]byte, frameSize)
	gcm, _ := newAEAD(key)
	xchacha, _ := chacha20poly1305.NewX(key)
	out := make([]byte, 0, frameBuffer)
	b.Run("AES-256-GCM", func(b *testing.B) {
		b.SetBytes(frameSize)
		for b.Loop() {
			gcm.Seal(out, nonce(nonceFrame, 1), plain, nil)
		}
	})
	b.Run("XChaCha20-Poly1305", func(b *testing.B) {
		b.SetBytes(frameSize)
		for b.Loop() {
			xchacha.Seal(out, make([]byte, 24), plain, nil)
		}
	})
}
