package blob

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// KeyInfo is what may be told of a key.
type KeyInfo struct {
	Number  uint32
	Made    time.Time // zero: nobody wrote it down
	Retired time.Time // zero: it is not
	Newest  bool      // wraps the keys of new blobs
}

// Keys returns what there is, by number.
func (k *Keyring) Keys() []KeyInfo {
	r := k.ring.Load()
	all := make([]KeyInfo, len(r.keys))
	for i, key := range r.keys {
		n := uint32(i + 1)
		all[i] = KeyInfo{Number: n, Made: key.made, Retired: key.retired, Newest: n == r.newest()}
	}
	return all
}

// File is where the keys lie.
func (k *Keyring) File() string { return k.file }

// Text is the key file as it is, to be kept elsewhere: whoever has it can read all
// mail.
func (k *Keyring) Text() []byte { return slices.Clone(k.ring.Load().text) }

// Fingerprint tells key files apart, and stays when keys are added. It says nothing
// of the keys.
func (k *Keyring) Fingerprint() string {
	mark := k.fingerprint()
	return hex.EncodeToString(mark[:])
}

// maxKeys bounds the keys of a file, which holds maxKeyFile bytes.
const maxKeys = 500

// Rotate adds a key, which wraps the keys of new blobs from then on. It is durable
// when Rotate returns its number.
func (k *Keyring) Rotate(now time.Time) (uint32, error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	secret := make([]byte, keySize)
	rand.Read(secret)
	n := k.ring.Load().newest() + 1
	if n > maxKeys {
		return 0, mail.Errorf(mail.Limit, "a key file holds %d keys at most", maxKeys)
	}
	err := k.change(func(lines []string) []string {
		return append(lines, madeLine(n, now), keyLine(n, secret))
	})
	if err == nil {
		k.rotated = time.Now()
	}
	return n, err
}

// settledIn is how long it takes until nothing on its way in has its key wrapped by
// an older key than the newest.
func (k *Keyring) settledIn() time.Duration {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.rotated.IsZero() {
		return 0
	}
	return HandleLife - time.Since(k.rotated)
}

// retire takes a key out of the file. What this process has of it in memory still
// unwraps, for who looked at a row just before; a new one does without.
func (k *Keyring) retire(n uint32, now time.Time) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	r := k.ring.Load()
	var secrets []string
	if n == 1 {
		for _, purpose := range lasting() {
			secret, err := r.derive(purpose)
			if err != nil {
				return err
			}
			secrets = append(secrets, secretLine(purpose, secret))
		}
	}
	return k.change(func(lines []string) []string {
		prefix := fmt.Sprintf("key %d ", n)
		for i, line := range lines {
			switch text := strings.TrimSpace(line); {
			case text == keyFileHead:
				lines[i] = keyFileHead2 + "\n"
			case strings.HasPrefix(text, prefix):
				lines[i] = retiredLine(n, now)
			}
		}
		return append(lines, secrets...)
	})
}

// change writes the file anew; changing is held. The file has to be as it was read.
func (k *Keyring) change(edit func(lines []string) []string) error {
	was := k.ring.Load()
	found, err := readKeyFile(k.fs, k.file)
	if err != nil {
		return err
	}
	if !bytes.Equal(found, was.text) {
		return mail.Errorf(mail.Conflict, "key file %s is not as it was when it was read: somebody changed it. Nothing was changed; restart the server, or put the file back", k.file)
	}
	text := string(found)
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	lines := strings.SplitAfter(text, "\n")
	now := []byte(strings.Join(edit(lines[:len(lines)-1]), ""))
	r, err := parseKeyring(now)
	if err != nil {
		return fmt.Errorf("key file %s would be wrong: %w", k.file, err)
	}
	if r.fingerprint != was.fingerprint || !bytes.Equal(r.naming, was.naming) {
		return fmt.Errorf("key file %s would be another store's", k.file)
	}
	if err := writeKeyFile(k.fs, k.file, now); err != nil {
		return unavailable(err)
	}
	for i := range was.keys {
		r.keys[i].wrap = was.keys[i].wrap
	}
	k.ring.Store(r)
	return nil
}

// SaveKeyFile puts a copy of a key file in place, where none is. What is no key file is
// refused, and so is a place where another one is.
func SaveKeyFile(fsys vfs.FS, file string, text []byte) error {
	r, err := parseKeyring(text)
	if err != nil {
		return fmt.Errorf("the copy of the key file: %w", err)
	}
	found, err := readKeyFile(fsys, file)
	switch {
	case err == nil && bytes.Equal(found, text):
		return mail.Errorf(mail.Exists, "key file %s is there already, and it is the same", file)
	case err == nil:
		was, err := parseKeyring(found)
		if err == nil && was.fingerprint == r.fingerprint {
			return mail.Errorf(mail.Exists, "key file %s is there already: it is of the same server, with %d keys where the copy has %d. The one with more is the newer: move the other away", file, len(was.keys), len(r.keys))
		}
		return mail.Errorf(mail.Exists, "there is another key file at %s: move it away first", file)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return writeKeyFile(fsys, file, text)
}
