package blob

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/klauspost/compress/s2"
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

// A coding says how the bytes of a frame are compressed.
type coding byte

// The codings; the numbers stand in tables, between those of other segments.
const (
	asItIs    coding = 0
	zstdCoded coding = 1
	s2Coded   coding = 6
)

// smallFrame is how many plain bytes are coded with S2: so few gain little more by
// zstd, which has tables of codes to make and to read first, and takes three to ten
// times as long (BenchmarkCode).
const smallFrame = 8 << 10

// encode compresses a frame into scratch, of frameBuffer bytes.
func encode(plain, scratch []byte) ([]byte, coding) {
	if len(plain) <= smallFrame {
		return s2.EncodeBetter(scratch, plain), s2Coded
	}
	return coder.EncodeAll(plain, scratch[:0]), zstdCoded
}

// decode undoes encode into dst, of frameSize bytes at least.
func decode(coded, dst []byte, c coding) ([]byte, error) {
	if c == zstdCoded {
		return decoder.DecodeAll(coded, dst[:0:frameSize])
	}
	if n, err := s2.DecodedLen(coded); err != nil || n > frameSize {
		return nil, s2.ErrCorrupt
	}
	return s2.Decode(dst, coded)
}

// sealFrame appends frame n to dst; scratch is for its compressed form.
func sealFrame(dst, plain, scratch []byte, aead cipher.AEAD, n int, last bool) (sealed []byte, c coding) {
	coded, c := encode(plain, scratch)
	if len(coded) < len(plain)-len(plain)/minGain {
		plain = coded
	} else {
		c = asItIs
	}
	return aead.Seal(dst, nonce(nonceFrame, n), plain, lastMark(last)), c
}

// openFrame decodes frame n. What it returns lies in dst or in scratch, each
// of frameBuffer bytes.
func openFrame(dst, sealed, scratch []byte, aead cipher.AEAD, n int, s *segment, last bool) ([]byte, error) {
	plain, err := aead.Open(scratch[:0], nonce(nonceFrame, n), sealed, lastMark(last))
	if err != nil {
		return nil, corrupt("a frame does not open", err)
	}
	if s.coding != asItIs {
		if plain, err = decode(plain, dst, s.coding); err != nil {
			return nil, corrupt("a frame does not decompress", err)
		}
	}
	if int64(len(plain)) != s.size {
		return nil, corrupt("a frame has the wrong length", nil)
	}
	return plain, nil
}
