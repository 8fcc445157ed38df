package blob

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// What lies in a bucket has names:
//
//	blobs/<name of the blob>.<random>   one record, of a large blob
//	packs/<time>.<random>               a pack: its header, then records
//
// and what will lie there and is a row of the index until then:
//
//	rows/<time>.<random>                one record
//
// The time is that of the making, in milliseconds, so that places are in its order.
// What is random is drawn for each put, so that no name comes back: what was put again
// is never what somebody is about to remove.
const (
	aloneIn  = "blobs/"
	packedIn = "packs/"
	rowIn    = "rows/"
)

var objectName = regexp.MustCompile(`^(blobs/[0-9a-f]{64}\.[0-9a-f]{16}|(packs|rows)/[0-9a-f]{12,16}\.[0-9a-f]{16})$`)

func aloneName(name mail.BlobName) string { return ofBlob(name) + randomPart() }

// ofBlob begins the names of all objects of a blob.
func ofBlob(name mail.BlobName) string { return aloneIn + hex.EncodeToString(name[:]) + "." }

func timedName(prefix string, now time.Time) string {
	return fmt.Sprintf("%s%0*x.%s", prefix, packDigits, max(now.UnixMilli(), 0), randomPart())
}

func randomPart() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// InRow reports whether a place is a row of the index.
func InRow(place string) bool { return strings.HasPrefix(place, rowIn) }

// Alone reports whether a place is an object that has one record and no others.
func Alone(place string) bool { return strings.HasPrefix(place, aloneIn) }

// ObjectOf is the object of the bucket that a place is in; ok is false if it is in none.
func ObjectOf(place string) (object string, ok bool) {
	object, _, _ = strings.Cut(place, "-")
	return object, Alone(place) || strings.HasPrefix(place, packedIn)
}

func errPlace() error { return corrupt("the place of a blob", nil) }
