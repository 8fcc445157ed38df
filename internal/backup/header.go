package backup

import (
	"bytes"
	"context"
	"crypto/rand"
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
func newHeader(keyFile []byte, recipients []string, now time.Time) (*header, error) {
	id := make([]byte, keySize/2)
	rand.Read(id)
	h := &header{What: headerWords, Format: headerFormat, ID: hex.EncodeToString(id), Made: now.UTC().Truncate(time.Second)}
	under, keys, err := h.keySealer(keyFile)
	if err != nil {
		return nil, err
	}
	h.KeyFile = keys.Fingerprint()
	h.Key = under.seal(headerName, newKey())
	return h, h.sealTo(recipients, keyFile)
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
// file's holder.
func (h *header) sealTo(recipients []string, keyFile []byte) error {
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
	h.Recipients, h.Recovery = recipients, sealed.Bytes()
	return nil
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
		if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
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

// NewRecovery makes a recovery code, and the recipient that belongs to it.
func NewRecovery() (code, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return id.String(), id.Recipient().String(), nil
}

// A Secret opens a backup: the text of the key file, or of a recovery code.
type Secret struct {
	KeyFile  []byte
	Recovery string
}

// key opens the backup's key. keyFile is the key file that did it.
func (h *header) key(s Secret) (key, keyFile []byte, err error) {
	keyFile = s.KeyFile
	if s.Recovery != "" {
		if keyFile, err = h.recover(s.Recovery); err != nil {
			return nil, nil, err
		}
	}
	under, keys, err := h.keySealer(keyFile)
	if err != nil {
		return nil, nil, err
	}
	if got := keys.Fingerprint(); got != h.KeyFile {
		return nil, nil, mail.Errorf(mail.Denied, "this is the key file of another server: its fingerprint is %s, and this backup was made with the one of %s. Take that one, or the recovery code", got, h.KeyFile)
	}
	if key, err = under.open(headerName, h.Key); err != nil || len(key) != keySize {
		return nil, nil, damaged(headerName, errors.New("its key does not open"))
	}
	return key, keyFile, nil
}

// recover opens the key file with a recovery code.
func (h *header) recover(text string) ([]byte, error) {
	id, err := parseRecovery(text)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(h.Recipients, id.Recipient().String()) {
		return nil, mail.Errorf(mail.Denied, "this recovery code is whole, but it is not that of this backup (its public side is %s; this backup opens to %s)", id.Recipient(), strings.Join(h.Recipients, ", "))
	}
	r, err := age.Decrypt(bytes.NewReader(h.Recovery), id)
	if err == nil {
		var keyFile []byte
		if keyFile, err = io.ReadAll(io.LimitReader(r, maxHeader)); err == nil {
			return keyFile, nil
		}
	}
	return nil, damaged(headerName, err)
}

// parseRecovery finds the recovery code in text: a file of age-keygen has comments
// around it, and who types it may write it in small letters or with spaces.
func parseRecovery(text string) (*age.X25519Identity, error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, err := age.ParseX25519Identity(strings.ToUpper(strings.ReplaceAll(line, " ", "")))
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "that is no recovery code, or one with a slip in it: it begins with AGE-SECRET-KEY-1, and has 74 characters")
		}
		return id, nil
	}
	return nil, mail.Errorf(mail.Invalid, "there is no recovery code: it begins with AGE-SECRET-KEY-1")
}
