package blob

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// Frames and the table are sealed with AES-256-GCM: with the processor's help
// half again as fast as XChaCha20-Poly1305 (BenchmarkSeal). A key belongs to
// one record and is random, so counting nonces never repeat under one key;
// and as it is wrapped with the blob's name, a frame opens under no other name.

const (
	nonceFrame = 0
	nonceTable = 1
)

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func nonce(kind byte, n int) []byte {
	b := make([]byte, 12)
	b[0] = kind
	binary.BigEndian.PutUint64(b[4:], uint64(n))
	return b
}

// lastMark is what a frame is bound to besides its number.
func lastMark(last bool) []byte { return []byte{b2i(last)} }

// minGain is the part of a frame that compression must save to be worth
// decoding for.
const minGain = 32

// coder and decoder are shared by all. They are made at start, not at first
// use: they hold channels, and one made inside a synctest bubble could not be
// used outside it.
var (
	coder   = newCoder()
	decoder = newDecoder()
)

func newCoder() *zstd.Encoder {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(frameSize),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // only for options that make no sense
	}
	enc.EncodeAll([]byte("x"), nil) // makes its channels
	return enc
}

func newDecoder() *zstd.Decoder {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(frameSize), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // only for options that make no sense
	}
	return dec
}

// sealFrame appends frame n to dst; scratch is for its compressed form.
func sealFrame(dst, plain, scratch []byte, aead cipher.AEAD, n int, last bool) (sealed []byte, compressed bool) {
	z := coder.EncodeAll(plain, scratch[:0])
	if compressed = len(z) < len(plain)-len(plain)/minGain; compressed {
		plain = z
	}
	return aead.Seal(dst, nonce(nonceFrame, n), plain, lastMark(last)), compressed
}

// openFrame decodes frame n. What it returns lies in dst or in scratch, each
// of frameBuffer bytes.
func openFrame(dst, sealed, scratch []byte, aead cipher.AEAD, n int, s *segment, last bool) ([]byte, error) {
	plain, err := aead.Open(scratch[:0], nonce(nonceFrame, n), sealed, lastMark(last))
	if err != nil {
		return nil, corrupt("a frame does not open", err)
	}
	if s.compressed {
		if plain, err = decoder.DecodeAll(plain, dst[:0:frameSize]); err != nil {
			return nil, corrupt("a frame does not decompress", err)
		}
	}
	if int64(len(plain)) != s.size {
		return nil, corrupt("a frame has the wrong length", nil)
	}
	return plain, nil
}
