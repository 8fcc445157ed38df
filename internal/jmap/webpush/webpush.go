// Package webpush is what Web Push asks of an application server: messages that only
// the browser reads (RFC 8291), and proof of who sends them (RFC 8292). Pure functions;
// the library there is brings an HTTP client of its own, and ours has to look where it
// connects to.
package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Keys are what a browser gives to whoever may write to it (RFC 8291 §2).
type Keys struct {
	P256DH string `json:"p256dh"` // base64url of its public key
	Auth   string `json:"auth"`   // base64url of the secret
}

const (
	authBytes  = 16
	saltBytes  = 16
	recordSize = 4096
	// MaxText is how much one message says: it is one record (RFC 8291 §4).
	MaxText = recordSize - 16 - 1 - (saltBytes + 4 + 1 + 65)
)

var errKeys = errors.New("webpush: these are no keys")

// parse reads keys, in either alphabet of base64 and with padding or without.
func (k Keys) parse() (public *ecdh.PublicKey, auth []byte, err error) {
	raw, err1 := decode(k.P256DH)
	auth, err2 := decode(k.Auth)
	if err1 != nil || err2 != nil || len(auth) != authBytes {
		return nil, nil, errKeys
	}
	public, err = ecdh.P256().NewPublicKey(raw)
	if err != nil {
		return nil, nil, errKeys
	}
	return public, auth, nil
}

func decode(s string) ([]byte, error) {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	return base64.RawURLEncoding.DecodeString(s)
}

// Check reports why keys can't be used.
func (k Keys) Check() error {
	_, _, err := k.parse()
	return err
}

// Encrypt makes the body of a push, of content coding aes128gcm.
func Encrypt(text []byte, k Keys) ([]byte, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var salt [saltBytes]byte
	rand.Read(salt[:])
	return encrypt(text, k, own, salt[:])
}

func encrypt(text []byte, k Keys, own *ecdh.PrivateKey, salt []byte) ([]byte, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("webpush: a message has at most %d bytes", MaxText)
	}
	theirs, auth, err := k.parse()
	if err != nil {
		return nil, err
	}
	shared, err := own.ECDH(theirs)
	if err != nil {
		return nil, errKeys
	}
	public := own.PublicKey().Bytes()
	ikm, err := hkdf.Key(sha256.New, shared, auth, "WebPush: info\x00"+string(theirs.Bytes())+string(public), 32)
	if err != nil {
		return nil, err
	}
	key, err1 := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	nonce, err2 := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := binary.BigEndian.AppendUint32(append([]byte{}, salt...), recordSize)
	out = append(append(out, byte(len(public))), public...)
	return seal.Seal(out, nonce, append(append([]byte{}, text...), 2), nil), nil // 2: the last record (RFC 8188 §2)
}

// A Signer says who pushes (RFC 8292).
type Signer struct {
	key    *ecdsa.PrivateKey
	public string
	about  string
}

// NewSigner makes of a secret of the installation a key that is always the same. About
// is whom to write to: a mailto or https URL.
func NewSigner(secret []byte, about string) (*Signer, error) {
	for try := range 4 { // next to no bytes are no key
		raw, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprint("VAPID key ", try), 32)
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			continue
		}
		public, err := key.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		return &Signer{key, base64.RawURLEncoding.EncodeToString(public), about}, nil
	}
	return nil, errors.New("webpush: no key comes of this secret")
}

// PublicKey is the applicationServerKey of browsers.
func (s *Signer) PublicKey() string { return s.public }

// validity is how long a token is good: a day at most (§2).
const validity = 12 * time.Hour

// Authorization is the header field of a push to a URL.
func (s *Signer) Authorization(to *url.URL, now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"aud": to.Scheme + "://" + to.Host, "exp": now.Add(validity).Unix(), "sub": s.about})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	token := b64([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(token))
	x, y, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	return "vapid t=" + token + "." + b64(signature[:]) + ", k=" + s.public, nil
}
