package backup

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An extent is a stretch of a pack: whole records, without their keys, and at the end
// 32 bytes by which it is known to be whole, and to be this extent of this backup:
// HMAC-SHA256 of its name and its bytes. Its name says the pack, where it begins and
// how long it is without those.
const (
	packsPrefix = "packs/"
	macSize     = sha256.Size
)

var packName = regexp.MustCompile(`^[0-9a-f]{12,16}$`)

func isPack(s string) bool { return packName.MatchString(s) }

type extent struct {
	pack           string
	offset, length int64
}

func (e extent) name() string {
	return fmt.Sprintf("%s%s/%012x-%x", packsPrefix, e.pack, e.offset, e.length)
}
func (e extent) end() int64 { return e.offset + e.length }

// parseExtent reads the name of an extent's object, and compares its size.
func parseExtent(o Object) (extent, bool) {
	rest, ok := strings.CutPrefix(o.Name, packsPrefix)
	first, second, cut := strings.Cut(path.Base(rest), "-")
	offset, err1 := strconv.ParseInt(first, 16, 64)
	length, err2 := strconv.ParseInt(second, 16, 64)
	e := extent{path.Dir(rest), offset, length}
	whole := ok && cut && err1 == nil && err2 == nil && isPack(e.pack) && offset >= 0 && length > 0 && offset+length > 0
	return e, whole && e.name() == o.Name && o.Size == length+macSize
}

// extents lists what a target has of packs, each by offset, the longest first.
func extents(ctx context.Context, t Target, prefix string) (map[string][]extent, error) {
	all := map[string][]extent{}
	err := each(ctx, t, prefix, func(o Object) error {
		if e, ok := parseExtent(o); ok {
			all[e.pack] = append(all[e.pack], e)
		}
		return nil
	})
	for _, list := range all {
		slices.SortFunc(list, extent.compare)
	}
	return all, err
}

// compare orders the extents of a pack by offset, the longest first.
func (e extent) compare(f extent) int {
	return cmp.Or(cmp.Compare(e.offset, f.offset), cmp.Compare(f.length, e.length))
}

func insertExtent(list []extent, e extent) []extent {
	at, found := slices.BinarySearchFunc(list, e, extent.compare)
	if found {
		return list
	}
	return slices.Insert(list, at, e)
}

// tile chooses extents that cover a pack from its beginning on, each where the one
// before ends: as far as they go.
func tile(list []extent) (tiles []extent, end int64) {
	for _, e := range list {
		if e.offset == end {
			tiles, end = append(tiles, e), e.end()
		}
	}
	return tiles, end
}

// A packSealer makes and checks the last bytes of extents.
type packSealer struct {
	id  string
	key []byte
}

func newPackSealer(id string, key []byte) (*packSealer, error) {
	k, err := hkdf.Key(sha256.New, key, nil, "lockstep backup extents", keySize)
	return &packSealer{id, k}, err
}

func (s *packSealer) mac(e extent) hash.Hash {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s\n%s\n", s.id, e.name())
	return h
}

// copyExtent copies an extent's bytes to w and fails when they are not those that
// were stored; what w got is worth nothing then.
func (r *Repo) copyExtent(ctx context.Context, e extent, w io.Writer) error {
	body, err := r.Target.Get(ctx, e.name(), 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	mac := r.packs.mac(e)
	n, err := copyAll(ctx, io.MultiWriter(w, mac), io.LimitReader(body, e.length))
	if err != nil {
		return err
	}
	sum := make([]byte, macSize)
	if _, err := io.ReadFull(body, sum); n != e.length || err != nil {
		return damaged(e.name(), errors.New("it is cut off"))
	}
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return damaged(e.name(), errors.New("its bytes changed, or it is another extent or of another backup"))
	}
	return nil
}
