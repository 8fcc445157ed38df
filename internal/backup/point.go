package backup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Point is one state of the server that can be brought back.
type Point struct {
	Set    string
	Number int       // within its set, from 1
	Time   time.Time // of the commit that it shows, to the millisecond
}

const (
	setsPrefix = "sets/"
	timeLayout = "20060102t150405.000z"
	numberForm = "%06d"
)

// Name is that of the object.
func (p Point) Name() string {
	return pointsOf(p.Set) + p.Time.UTC().Format(timeLayout) + "-" + fmt.Sprintf(numberForm, p.Number)
}

func (p Point) String() string { return p.Time.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// compare orders points as they were made, whatever the clock said: sets are named by
// when they began.
func (p Point) compare(q Point) int {
	return cmp.Or(cmp.Compare(p.Set, q.Set), cmp.Compare(p.Number, q.Number))
}

func pointsOf(set string) string  { return setsPrefix + set + "/points/" }
func pagesOf(set string) string   { return setsPrefix + set + "/pages/" }
func indexOf(set string) string   { return setsPrefix + set + "/indexes/" }
func digestsOf(set string) string { return setsPrefix + set + "/digests/" }
func keyOf(set string) string     { return setsPrefix + set + "/key" }

// setOf returns the set that an object is in; "" if it is in none.
func setOf(name string) string {
	rest, ok := strings.CutPrefix(name, setsPrefix)
	set, _, below := strings.Cut(rest, "/")
	if !ok || !below {
		return ""
	}
	return set
}

// parsePoint reads the name of a point's object.
func parsePoint(name string) (Point, bool) {
	set := setOf(name)
	at, number, ok := strings.Cut(path.Base(name), "-")
	t, err1 := time.Parse(timeLayout, at)
	n, err2 := strconv.Atoi(number)
	p := Point{set, n, t}
	return p, ok && err1 == nil && err2 == nil && n > 0 && p.Name() == name
}

// A Manifest says what makes a point. It is sealed.
type Manifest struct {
	Format  int       `json:"format"`
	Parent  string    `json:"parent,omitempty"` // the point before, for people; nothing is read through it
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // of Lockstep
	Host    string    `json:"host,omitempty"`

	PageSize int     `json:"page_size"`
	Pages    uint32  `json:"pages"`
	Root     []byte  `json:"root"`   // SHA-256 of the hashes of all pages, in order
	Layers   []Layer `json:"layers"` // each over those before it

	Packs []Pack `json:"packs"`

	Digests []string `json:"digests,omitempty"` // objects with what was in each account

	KeyFile string            `json:"key_file"`
	Config  string            `json:"config,omitempty"`
	Files   map[string][]byte `json:"files,omitempty"` // what else is small and in the data directory

	Sent Sent `json:"sent"`

	Clock Reading `json:"clock,omitzero"` // when it was begun; zero: an older program made it
}

// A Layer is the pages that one point carried.
type Layer struct {
	Indexes []string `json:"indexes"` // objects
	Pages   int      `json:"pages"`
}

// A Pack says up to where a pack belongs to the point.
type Pack struct {
	Pack string `json:"pack"`
	Size int64  `json:"size"`
}

// Sent counts what a run stored in the target.
type Sent struct {
	Objects   int   `json:"objects"`
	Bytes     int64 `json:"bytes"`
	PageBytes int64 `json:"page_bytes"` // of those bytes, for pages and their indexes
	PackBytes int64 `json:"pack_bytes"` // and for packs
	Pages     int   `json:"pages"`      // pages carried
	Found     int   `json:"found"`      // objects that were there already, from a run that was cut
}

const manifestFormat = 1

// What a manifest may hold at most.
const (
	maxLayers   = 64
	maxPacks    = 1 << 20
	maxFiles    = 16
	maxFile     = 256 << 10
	minPageSize = 512
	maxPageSize = 64 << 10
)

func parseManifest(name string, b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&m); err != nil {
		return nil, damaged(name, err)
	}
	if m.Format > manifestFormat {
		return nil, fmt.Errorf("the backup's %s was written by a later Lockstep (version %d of the format): use that one", name, m.Format)
	}
	if err := m.check(); err != nil {
		return nil, damaged(name, err)
	}
	return &m, nil
}

func (m *Manifest) check() error {
	switch {
	case m.Format < 1, m.PageSize < minPageSize, m.PageSize > maxPageSize, bits.OnesCount(uint(m.PageSize)) != 1:
		return errors.New("its fields make no sense")
	case m.Pages == 0, len(m.Root) != 32, len(m.Layers) == 0:
		return errors.New("it has no pages")
	case !m.Clock.sound():
		return errors.New("its clock makes no sense")
	case len(m.Layers) > maxLayers, len(m.Packs) > maxPacks, len(m.Files) > maxFiles:
		return errors.New("it has too many parts")
	}
	for _, l := range m.Layers {
		for _, name := range l.Indexes {
			if checkName(name) != nil || setOf(name) == "" {
				return errors.New("it names what is no object")
			}
		}
	}
	for _, name := range m.Digests {
		if checkName(name) != nil || setOf(name) == "" {
			return errors.New("it names what is no object")
		}
	}
	for name, content := range m.Files {
		if checkName(name) != nil || path.Base(name) != name || len(content) > maxFile {
			return errors.New("it has a file that is none of ours")
		}
	}
	for _, p := range m.Packs {
		if !isPack(p.Pack) || p.Size < 0 {
			return errors.New("it names what is no pack")
		}
	}
	return nil
}

func (m *Manifest) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it is made of strings, numbers and bytes
	}
	return b
}
