package blob

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
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

// BenchmarkCode is what smallFrame rests on.
func BenchmarkCode(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, frameSize} {
		plain, scratch, dst := prose(size), make([]byte, frameBuffer), make([]byte, frameBuffer)
		for _, c := range []coding{zstdCoded, s2Coded} {
			code := func() []byte { return coder.EncodeAll(plain, scratch[:0]) }
			if c == s2Coded {
				code = func() []byte { return s2.EncodeBetter(scratch, plain) }
			}
			name := fmt.Sprintf("%d/coding %d", size, c)
			b.Run(name+"/write", func(b *testing.B) {
				for b.Loop() {
					code()
				}
				b.ReportMetric(float64(len(code()))/float64(size), "coded/plain")
			})
			coded := bytes.Clone(code())
			b.Run(name+"/read", func(b *testing.B) {
				for b.Loop() {
					if _, err := decode(coded, dst, c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// prose is words in no order, which compress about as letters do.
func prose(n int) []byte {
	words := strings.Fields(`the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
		were her all she there would their we him been has when who will more no if out so said what up its about into than them can only`)
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(append(b, words[rng.IntN(len(words))]...), ' ')
	}
	return b[:n]
}
