package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"lockstep/internal/mail"
)

// Bounds on passwords that people choose.
const (
	MinPasswordBytes = 8
	MaxPasswordBytes = 1024
)

// argon2id parameters: 19 MiB, two passes, one lane.
const (
	argonMemoryKiB = 19 * 1024
	argonTime      = 2
	argonLanes     = 1
	argonKeyBytes  = 32
	saltBytes      = 16
)

// hashing bounds how many argon2 computations run at once: each takes 19 MiB
// and a core.
var hashing = make(chan struct{}, runtime.NumCPU())

// HashPassword makes the verifier of a password a person chose. Too short or
// too long is Invalid.
func HashPassword(ctx context.Context, password string) ([]byte, error) {
	if len(password) < MinPasswordBytes || len(password) > MaxPasswordBytes {
		return nil, mail.Errorf(mail.Invalid, "a password has %d to %d bytes", MinPasswordBytes, MaxPasswordBytes)
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	key, err := argon(ctx, password, salt, argonTime, argonMemoryKiB, argonLanes)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemoryKiB, argonTime, argonLanes, b64(salt), b64(key)), nil
}

func argon(ctx context.Context, password string, salt []byte, passes, memory uint32, lanes uint8) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() {
		lastHash.Store(time.Now().UnixNano())
		<-hashing
	}()
	return argon2.IDKey([]byte(password), salt, passes, memory, lanes, argonKeyBytes), nil
}

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// checkPassword compares in constant time. A verifier it can't read is an error,
// not a wrong password.
func checkPassword(ctx context.Context, verifier []byte, password string) (bool, error) {
	var version int
	var memory, passes uint32
	var lanes uint8
	fields := strings.Split(string(verifier), "$")
	if len(fields) != 6 || fields[1] != "argon2id" {
		return false, fmt.Errorf("password verifier in an unknown form")
	}
	if _, err := fmt.Sscanf(fields[2]+" "+fields[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil || version != argon2.Version || memory > 1<<20 || passes == 0 || passes > 16 || lanes == 0 {
		return false, fmt.Errorf("password verifier with unusable parameters %s,%s", fields[2], fields[3])
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(fields[4])
	want, err2 := base64.RawStdEncoding.DecodeString(fields[5])
	if err1 != nil || err2 != nil || len(want) != argonKeyBytes {
		return false, fmt.Errorf("password verifier damaged")
	}
	if len(password) > MaxPasswordBytes {
		return false, nil
	}
	got, err := argon(ctx, password, salt, passes, memory, lanes)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// App passwords are four groups of five letters and digits without those that
// look alike: 99 bits.
const (
	appAlphabet   = "abcdefghjkmnpqrstuvwxyz23456789"
	appGroups     = 4
	appGroupChars = 5
)

// NewAppPassword draws an app password.
func NewAppPassword() string { return newSecret(appGroups) }

// newSecret draws something random that people can type.
func newSecret(groups int) string {
	var b strings.Builder
	for i := range groups * appGroupChars {
		if i > 0 && i%appGroupChars == 0 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(appAlphabet))))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		b.WriteByte(appAlphabet[n.Int64()])
	}
	return b.String()
}

const appVerifierPrefix = "sha256:"

// appVerifier hashes an app password. One hash is enough: there is nothing to
// guess in 99 random bits.
func appVerifier(salt []byte, secret string) []byte {
	sum := sha256.Sum256(append(bytes.Clone(salt), secret...))
	return fmt.Appendf(nil, "%s%s:%s", appVerifierPrefix, b64(salt), b64(sum[:]))
}

func newAppVerifier(secret string) []byte {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return appVerifier(salt, secret)
}

// checkAppPassword compares in constant time.
func checkAppPassword(verifier []byte, secret string) bool {
	text, ok := strings.CutPrefix(string(verifier), appVerifierPrefix)
	if !ok {
		return false
	}
	s, _, _ := strings.Cut(text, ":")
	salt, err := base64.RawStdEncoding.DecodeString(s)
	return err == nil && subtle.ConstantTimeCompare(appVerifier(salt, secret), verifier) == 1
}
