package blob

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// A key file is text. After its head it has a line for each key:
//
//	key <number> <base64 of it> <check>
//	retired <number> <when>              from version 2 of the format on
//	secret <base64 of it> <check> <what for>
//
// Secrets are there when the first key is retired: what was derived from it and has
// to stay as it is. When a key was made stands in a comment, which programs that
// do not know of it pass over.

// Purposes are what secrets are derived for. One that is used and missing here
// would change when the first key is retired.
var Purposes = []string{"SCRAM salts", "search text", "backups", "erasure proofs", "certificates"}

// What is derived from the first key within this package.
const (
	blobNames      = "lockstep blob names"
	keyFingerprint = "lockstep key fingerprint"
	keyWrapping    = "lockstep blob key wrapping"
	laterPurposes  = "lockstep later purposes"
)

// lasting are the purposes whose secrets outlast the first key.
func lasting() []string {
	all := []string{blobNames, keyFingerprint, laterPurposes}
	for _, p := range Purposes {
		all = append(all, "lockstep for "+p)
	}
	return all
}

// keyLine writes a key with a check, so that a slip in typing it back in from
// paper is noticed.
func keyLine(id uint32, secret []byte) string {
	return fmt.Sprintf("key %d %s %s\n", id, base64.StdEncoding.EncodeToString(secret), keyCheck(secret))
}

func keyCheck(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:4])
}

func madeLine(id uint32, at time.Time) string {
	return fmt.Sprintf("# made %s: key %d\n", at.UTC().Format(time.RFC3339), id)
}

func retiredLine(id uint32, at time.Time) string {
	return fmt.Sprintf("retired %d %s\n", id, at.UTC().Format(time.RFC3339))
}

func secretLine(purpose string, secret []byte) string {
	return fmt.Sprintf("secret %s %s %s\n", base64.StdEncoding.EncodeToString(secret), keyCheck(secret), purpose)
}

// keyFileParser reads a key file line by line.
type keyFileParser struct {
	ring    *ring
	version int // 0: the head was not met yet
	made    map[uint32]time.Time
}

func parseKeyring(text []byte) (*ring, error) {
	p := &keyFileParser{ring: &ring{text: text, secrets: map[string][]byte{}}, made: map[uint32]time.Time{}}
	sc := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; sc.Scan(); n++ {
		if err := p.line(strings.TrimSpace(sc.Text())); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	return p.ring, p.finish()
}

func (p *keyFileParser) line(line string) error {
	switch {
	case line == "":
	case line[0] == '#':
		p.comment(line)
	case p.version == 0:
		p.version = 1 + slices.Index([]string{keyFileHead, keyFileHead2}, line)
		if p.version == 0 {
			return fmt.Errorf("want %q or %q: not a key file, or one of a later Lockstep", keyFileHead, keyFileHead2)
		}
	default:
		return p.entry(strings.Fields(line))
	}
	return nil
}

// comment takes from a comment when a key was made.
func (p *keyFileParser) comment(line string) {
	var id uint32
	var when string
	if n, _ := fmt.Sscanf(line, "# made %s key %d", &when, &id); n == 2 {
		p.made[id], _ = time.Parse(time.RFC3339+":", when) // else nobody knows
	}
}

func (p *keyFileParser) entry(f []string) error {
	switch {
	case len(f) == 4 && f[0] == "key":
		return p.key(f)
	case len(f) == 3 && f[0] == "retired" && p.version > 1:
		at, err := time.Parse(time.RFC3339, f[2])
		if err != nil {
			return fmt.Errorf("%q is not when a key was retired", f[2])
		}
		return p.add(f[1], ringKey{retired: at})
	case len(f) > 3 && f[0] == "secret" && p.version > 1:
		purpose := strings.Join(f[3:], " ")
		secret, err := decodeSecret(f[1], f[2])
		if err != nil {
			return fmt.Errorf("the secret for %q is damaged", purpose)
		}
		p.ring.secrets[purpose] = secret
		return nil
	}
	return errors.New(`want "key", its number, the key and its check`)
}

func (p *keyFileParser) key(f []string) error {
	secret, err := decodeSecret(f[2], f[3])
	if err != nil {
		return fmt.Errorf("key %s is damaged: its last word is a check that does not fit the rest of the line", f[1])
	}
	wrap, err := derive(secret, keyWrapping)
	if err != nil {
		return err
	}
	aead, err := chacha20poly1305.NewX(wrap)
	if err != nil {
		return err
	}
	return p.add(f[1], ringKey{secret: secret, wrap: aead})
}

func decodeSecret(text, check string) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) != keySize || keyCheck(secret) != check {
		return nil, errors.New("damaged")
	}
	return secret, nil
}

func (p *keyFileParser) add(number string, key ringKey) error {
	want := p.ring.newest() + 1
	if id, err := strconv.ParseUint(number, 10, 32); err != nil || uint32(id) != want {
		return fmt.Errorf("keys are numbered from 1 without gaps; %q is not %d", number, want)
	}
	p.ring.keys = append(p.ring.keys, key)
	return nil
}

// finish looks at the file as a whole.
func (p *keyFileParser) finish() (err error) {
	r := p.ring
	if len(r.keys) == 0 {
		return errors.New("holds no key")
	}
	if r.keys[len(r.keys)-1].secret == nil {
		return errors.New("its newest key is retired")
	}
	for i := range r.keys {
		r.keys[i].made = p.made[uint32(i+1)]
	}
	if r.keys[0].secret == nil {
		for _, purpose := range lasting() {
			if r.secrets[purpose] == nil && !strings.HasPrefix(purpose, "lockstep for ") {
				return fmt.Errorf("key 1 is retired, and the secret for %q is missing", purpose)
			}
		}
	} else if len(r.secrets) > 0 {
		return errors.New("it has secrets of key 1 beside the key")
	}
	if r.naming, err = r.derive(blobNames); err != nil {
		return err
	}
	mark, err := r.derive(keyFingerprint)
	copy(r.fingerprint[:], mark)
	return err
}

// What an operator reads who has lost the key, or has it in a wrong place. Each says
// what is lost, what is not, and what to do next.

const whereKeysAre = "Where a copy may be: the file of that name in older copies of the data directory; paper, a safe or a password store, where the first start asked you to keep one; " +
	"and each backup, which holds the key file sealed for its recovery code: lockstep key recover --from TARGET"

func missingKeyFile(file, packDir string) error {
	return fmt.Errorf("key file %s is missing, but %s holds mail that was sealed with it. Put the file back, and nothing is lost; nothing was changed.\n%s\n"+
		"Without the key no message can be read again by anybody. What is in the database is not sealed: accounts, mailboxes, flags, subjects, addresses, previews. "+
		"To go on without the mail, move %[2]s away: an empty store is begun, and messages from before are shown as damaged", file, packDir, whereKeysAre)
}

func unreadableKeyFile(file string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("key file %s can't be read by this user: run this as the owner of the data directory, or chown it back to that user (%w)", file, err)
	}
	return fmt.Errorf("key file %s: %w", file, err)
}

func damagedKeyFile(file string, err error) error {
	return fmt.Errorf("key file %s: %w. Nothing was changed: compare it with a copy, character by character, or put the copy in its place.\n%s", file, err, whereKeysAre)
}

func otherKeyFile(have, want [8]byte) error {
	return fmt.Errorf("sealed with the key of another key file: the one in place has the fingerprint %x, the one with %x is wanted (lockstep key show prints it). Put that one back, and nothing is lost; nothing was changed.\n%s", have, want, whereKeysAre)
}
