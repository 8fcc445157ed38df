package backup

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

// The header is the object in clear by which a target is known for a backup. It
// holds the backup's key, sealed under the first key of the key file, which stays
// the same for as long as there is a server; and the key file as it was when the
// header was made, sealed to the recipients. The key file of each later time is in
// the points.
const (
	headerName   = "lockstep-backup"
	headerFormat = 1
	maxHeader    = 256 << 10
	// purpose is what the key file is asked for.
	purpose = "backups"
)

type header struct {
	What       string    `json:"what"` // for people who find it
	Format     int       `json:"format"`
	ID         string    `json:"id"`
	Made       time.Time `json:"made"`
	KeyFile    string    `json:"key_file"`   // fingerprint of the one whose first key opens Key
	Key        []byte    `json:"key"`        // the backup's, sealed
	Recipients []string  `json:"recipients"` // of age: to whom Recovery is sealed
	Recovery   []byte    `json:"recovery"`   // the key file, sealed with age
	// Voucher is made with the recovery code when that is made: who has the code knows by
	// it that Recovery brings the key file of who made the code. See voucher.
	Voucher []byte `json:"voucher,omitempty"`
}

const headerWords = "A backup of a Lockstep server. It is restored by: lockstep restore --from THIS --data DIR, and either --key with its key file or --recovery with its recovery code."

// maxRecipients bounds how many can open a backup.
const maxRecipients = 16

func parseHeader(b []byte) (*header, error) {
	var h header
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&h); err != nil {
		return nil, damaged(headerName, err)
	}
	id, err := hex.DecodeString(h.ID)
	switch {
	case h.Format > headerFormat:
		return nil, fmt.Errorf("the backup was made by a later Lockstep (version %d of the format): use that one", h.Format)
	case h.Format < 1 || err != nil || len(id) != keySize/2 || hex.EncodeToString(id) != h.ID:
		return nil, damaged(headerName, errors.New("its fields make no sense"))
	case len(h.Recipients) > maxRecipients:
		return nil, damaged(headerName, errors.New("it has too many recipients"))
	}
	h.KeyFile = readable(h.KeyFile)
	for i, r := range h.Recipients {
		h.Recipients[i] = readable(r)
	}
	return &h, nil
}

func (h *header) encode() []byte {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		panic(err) // it is made of strings and bytes
	}
	return append(b, '\n')
}

// readHeader returns the header of a target; nil when there is no backup.
func readHeader(ctx context.Context, t Target) (*header, error) {
	b, err := getBytes(ctx, t, headerName, maxHeader)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseHeader(b)
}

// newHeader makes a backup with a key of its own.
func newHeader(keyFile []byte, recipients []string, code string, now time.Time) (*header, error) {
	id := make([]byte, keySize/2)
	rand.Read(id)
	h := &header{What: headerWords, Format: headerFormat, ID: hex.EncodeToString(id), Made: now.UTC().Truncate(time.Second)}
	under, keys, err := h.keySealer(keyFile)
	if err != nil {
		return nil, err
	}
	h.KeyFile = keys.Fingerprint()
	h.Key = under.seal(headerName, newKey())
	return h, h.sealTo(recipients, code, keyFile)
}

// keySealer is what the backup's key is sealed with.
func (h *header) keySealer(keyFile []byte) (*sealer, *blob.Keyring, error) {
	keys, err := blob.ParseKeyring(keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("the key file: %w", err)
	}
	secret, err := keys.Derive(purpose)
	if err != nil {
		return nil, nil, err
	}
	under, err := newSealer(h.ID, secret)
	return under, keys, err
}

// sealTo lets others open the backup: the recipients, and nobody else but the key
// file's holder. code is theirs, if it was made here.
func (h *header) sealTo(recipients []string, code string, keyFile []byte) error {
	to, err := parseRecipients(recipients)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to...)
	if err != nil {
		return err
	}
	if _, err := w.Write(keyFile); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	h.Recipients, h.Recovery, h.Voucher = recipients, sealed.Bytes(), nil
	if code != "" {
		h.Voucher, err = h.voucher(code, keyFile)
	}
	return err
}

// voucher is what only who has both the recovery code and the key file can make:
// HMAC-SHA256, under a key derived from the code, of the backup's id, a newline, and a
// secret derived from the key file's first key. Anybody can seal a key file of their own to
// the code's public side, which stands in the header; none of them can vouch for it.
func (h *header) voucher(code string, keyFile []byte) ([]byte, error) {
	id, _, err := parseRecovery(code)
	if err != nil {
		return nil, err
	}
	keys, err := blob.ParseKeyring(keyFile)
	if err != nil {
		return nil, fmt.Errorf("the key file: %w", err)
	}
	secret, err := keys.Derive(purpose)
	if err != nil {
		return nil, err
	}
	under, err := hkdf.Key(sha256.New, []byte(id.String()), nil, "lockstep recovery code vouches", keySize)
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, under)
	fmt.Fprintf(m, "%s\n", h.ID)
	m.Write(secret)
	return m.Sum(nil), nil
}

// ParseRecipients reads what an operator writes: recipients of age, as age-keygen
// prints them, separated by spaces or commas.
func ParseRecipients(text string) ([]string, error) {
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
	slices.Sort(list)
	list = slices.Compact(list)
	_, err := parseRecipients(list)
	return list, err
}

func parseRecipients(list []string) ([]age.Recipient, error) {
	if len(list) > maxRecipients {
		return nil, mail.Errorf(mail.Limit, "more than %d recipients", maxRecipients)
	}
	var to []age.Recipient
	for _, text := range list {
		if strings.Contains(strings.ToUpper(text), "AGE-SECRET-KEY-") {
			return nil, mail.Errorf(mail.Invalid, "that is a recovery code, which opens backups: write down only its public side, which begins with age1")
		}
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "%q is no recipient: it looks like age1…, as age-keygen prints it", text)
		}
		to = append(to, r)
	}
	return to, nil
}

// vouching begins a recovery code whose backup has a voucher: where there is none, the
// header is not that of who made the code. The rest is an identity of age.
const vouching = "LOCKSTEP-"

// NewRecovery makes a recovery code, and the recipient that belongs to it.
func NewRecovery() (code, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return vouching + id.String(), id.Recipient().String(), nil
}

// Trust says how a backup is known to be of who it should be.
type Trust string

// The kinds of Trust.
const (
	// ByKeyFile is that the key file opened it: who can't read that can't have made it.
	ByKeyFile Trust = "key file"
	// ByCode is that the recovery code vouches for it: so does it for all points, which
	// are sealed under keys that only the key file opens.
	ByCode Trust = "recovery code"
	// Untold is that nobody can tell: a backup of before recovery codes vouched, or one that
	// opens to recipients of the operator's choice. Whoever can write to the target can
	// have made it.
	Untold Trust = "untold"
)

// A Secret opens a backup: the text of the key file, or of a recovery code.
type Secret struct {
	KeyFile  []byte
	Recovery string
}

// opened is what a secret opens of a header.
type opened struct {
	key     []byte // the backup's
	keyFile []byte // that did it
	trust   Trust
}

// open opens the backup's key.
func (h *header) open(s Secret) (o opened, err error) {
	o.keyFile, o.trust = s.KeyFile, ByKeyFile
	if s.Recovery != "" {
		if o.keyFile, o.trust, err = h.recover(s.Recovery); err != nil {
			return opened{}, err
		}
	}
	o.key, err = h.key(o.keyFile)
	return o, err
}

// key opens the backup's key with a key file.
func (h *header) key(keyFile []byte) ([]byte, error) {
	under, keys, err := h.keySealer(keyFile)
	if err != nil {
		return nil, err
	}
	if got := keys.Fingerprint(); got != h.KeyFile {
		return nil, mail.Errorf(mail.Denied, "this is the key file of another server: its fingerprint is %s, and this backup was made with the one of %s. Take that one, or the recovery code", got, h.KeyFile)
	}
	key, err := under.open(headerName, h.Key)
	if err != nil || len(key) != keySize {
		return nil, damaged(headerName, errors.New("its key does not open"))
	}
	return key, nil
}

// recover opens the key file with a recovery code, and says whether the code vouches for it.
func (h *header) recover(text string) (keyFile []byte, trust Trust, err error) {
	id, vouches, err := parseRecovery(text)
	if err != nil {
		return nil, "", err
	}
	if !slices.Contains(h.Recipients, id.Recipient().String()) {
		return nil, "", mail.Errorf(mail.Denied, "this recovery code is whole, but it is not that of this backup (its public side is %s; this backup opens to %s)", id.Recipient(), strings.Join(h.Recipients, ", "))
	}
	r, err := age.Decrypt(bytes.NewReader(h.Recovery), id)
	if err != nil {
		return nil, "", damaged(headerName, err)
	}
	if keyFile, err = io.ReadAll(io.LimitReader(r, maxHeader)); err != nil {
		return nil, "", damaged(headerName, err)
	}
	if len(h.Voucher) == 0 && !vouches {
		return keyFile, Untold, nil
	}
	want, err := h.voucher(id.String(), keyFile)
	if err != nil {
		return nil, "", damaged(headerName, err)
	}
	if !hmac.Equal(want, h.Voucher) {
		return nil, "", forged()
	}
	return keyFile, ByCode, nil
}

// forged says that a header is not of who made the code that it is opened with.
func forged() error {
	return mail.Errorf(mail.Denied, "this recovery code does not vouch for this backup: somebody who can write to the target replaced its header, %s, by one of their own. Restore nothing of it: look for the header from before, in another copy or among the versions of the bucket, or open it with the key file", headerName)
}

// parseRecovery finds the recovery code in text: a file of age-keygen has comments
// around it, and who types it may write it in small letters or with spaces. vouches is that
// it has to vouch for its backup.
func parseRecovery(text string) (id *age.X25519Identity, vouches bool, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		line, vouches = strings.CutPrefix(strings.ToUpper(strings.ReplaceAll(line, " ", "")), vouching)
		if id, err = age.ParseX25519Identity(line); err != nil {
			return nil, false, mail.Errorf(mail.Invalid, "that is no recovery code, or one with a slip in it: it begins with LOCKSTEP-AGE-SECRET-KEY-1, or with AGE-SECRET-KEY-1 and 58 more characters")
		}
		return id, vouches, nil
	}
	return nil, false, mail.Errorf(mail.Invalid, "there is no recovery code: it begins with LOCKSTEP-AGE-SECRET-KEY-1, or with AGE-SECRET-KEY-1")
}
