package admin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// A Proof is the written proof that something was erased: what was reached, how that
// was looked at, and what exists elsewhere. Nothing of what was erased is in it. As a
// document it is JSON, and a last line that seals all before it with the operator's
// key.
type Proof struct {
	Document    string // what this is, for who finds it
	Number      int64
	Kind        string // "message", "person" or "account"
	Who         string `json:",omitempty"` // digest of the person's address, or the account's login
	Accounts    []mail.AccountID
	Kept        []mail.AccountID `json:",omitempty"` // those of them that had been removed and were kept
	Begun       time.Time
	Finished    time.Time `json:",omitzero"`
	By          string
	Program     string
	Fingerprint string // of the key file that seals this

	Erased   mail.Erased
	Outgoing int // messages that were on their way out
	Blobs    ErasedBlobs

	Reached []Reached
	Remains []string // what exists elsewhere
	Pending []string `json:",omitempty"` // what is still to be done
}

// ErasedBlobs are the stored bytes that went.
type ErasedBlobs struct {
	Gone    int
	Kept    int // that something else has
	Dead    int // of those that are gone, what was deleted before and nobody had any more
	Records int // in packs, that were written over
	Bytes   int64
	Digest  string // SHA-256 of the names of those that are gone, sorted
}

// Reached is a place that was looked at.
type Reached struct {
	Place   string
	Done    string
	Checked string `json:",omitempty"`
}

const proofWords = "Proof of an erasure in a Lockstep mail store. It is verified by: lockstep erase verify FILE"

const sealWord = "lockstep-seal 1 "

// sealed is the document.
func (p *Proof) sealed(key []byte) ([]byte, error) {
	p.Document = proofWords
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	return append(text, sealWord+sealOf(key, text)+"\n"...), nil
}

func sealOf(key, text []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("proof\x00"))
	m.Write(text)
	return hex.EncodeToString(m.Sum(nil))
}

// maxProof bounds a document.
const maxProof = 1 << 20

// openProof reads a document and says whether the seal is of this key.
func openProof(key, text []byte) (p Proof, genuine bool, err error) {
	at := bytes.LastIndex(text, []byte("\n"+sealWord))
	if at < 0 || len(text) > maxProof {
		return p, false, mail.Errorf(mail.Invalid, "this is no proof of an erasure: its last line is not a seal")
	}
	body, seal := text[:at+1], strings.TrimSpace(string(text[at+1+len(sealWord):]))
	genuine = hmac.Equal([]byte(seal), []byte(sealOf(key, body)))
	if err := json.Unmarshal(body, &p); err != nil {
		return p, false, mail.Errorf(mail.Invalid, "this is no proof of an erasure: %v", err)
	}
	return p, genuine, nil
}

// whoDigest is what stands in a proof for an address: who knows the address can
// compare it, with the key.
func whoDigest(key []byte, address string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("who\x00" + strings.ToLower(strings.TrimSpace(address))))
	return hex.EncodeToString(m.Sum(nil))
}

// ToVerify is a document, and whom it is said to be about.
type ToVerify struct {
	Text []byte
	Who  string // an address; "" is not to be compared
}

// Verified says what a document is.
type Verified struct {
	Proof   Proof
	Genuine bool // sealed by this server's key, and as it was
	Known   bool // the server remembers it so
	IsWho   bool // it is about whom it was said to be
}

// The verbs of proofs.
var (
	EraseList   = Verb[Nothing, ErasureRow]{"erase/list", (*Ops).eraseList}
	EraseVerify = Verb[ToVerify, Verified]{"erase/verify", (*Ops).eraseVerify}
)

// ErasureRow is an erasure that was done, or is under way.
type ErasureRow struct {
	Number int64
	Begun  time.Time
	Open   bool
	Proof  Proof
	Text   []byte // the document
}

func (o *Ops) eraseList(ctx context.Context, _ Nothing, emit func(ErasureRow) error) error {
	all, err := o.Erasures.Erasures(ctx, true)
	if err != nil {
		return err
	}
	for _, e := range all {
		row := ErasureRow{Number: e.ID, Begun: e.Begun, Open: e.Open, Text: e.Proof}
		if len(e.Proof) > 0 {
			if row.Proof, _, err = openProof(o.ProofKey, e.Proof); err != nil {
				return fmt.Errorf("erasure %d: %w", e.ID, err)
			}
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

func (o *Ops) eraseVerify(ctx context.Context, q ToVerify, emit func(Verified) error) error {
	p, genuine, err := openProof(o.ProofKey, q.Text)
	if err != nil {
		return err
	}
	v := Verified{Proof: p, Genuine: genuine, IsWho: q.Who != "" && p.Who == whoDigest(o.ProofKey, q.Who)}
	all, err := o.Erasures.Erasures(ctx, true)
	if err != nil {
		return err
	}
	for _, e := range all {
		v.Known = v.Known || e.ID == p.Number && bytes.Equal(e.Proof, q.Text)
	}
	return emit(v)
}
