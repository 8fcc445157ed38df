package sim

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/store"
)

// answered is a fault in what phones are told.
func answered(change func(command string, root *wbxml.Element)) Fault {
	return Fault{Phones: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			if root, err := wbxml.Decode(bytes.NewReader(body), wbxml.Limits{}); err == nil {
				change(root.Tag.Name(), root)
				var b bytes.Buffer
				if wbxml.Encode(&b, root) == nil {
					body = b.Bytes()
				}
			}
			maps.Copy(w.Header(), rec.Header())
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		})
	}}
}

// without leaves elements of a kind out of what Sync tells.
func without(kind wbxml.Tag, seldom func() bool) Fault {
	return answered(func(_ string, root *wbxml.Element) {
		for c := range root.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
			if commands := c.Child(wbxml.AirSyncCommands); commands != nil {
				commands.Children = slices.DeleteFunc(commands.Children, func(e *wbxml.Element) bool { return e.Tag == kind && seldom() })
			}
			c.Children = slices.DeleteFunc(c.Children, func(e *wbxml.Element) bool { return e.Tag == kind && seldom() })
		}
	})
}

// remembered is a fault in what is remembered of a phone's collections: change is
// given each relationship.
func remembered(change func(rel map[string]any)) Fault {
	cursor := func(name string, state []byte) []byte {
		if !strings.HasPrefix(name, "eas/") || !strings.Contains(name, "/c/") || state == nil {
			return state
		}
		var s map[string]any
		d := json.NewDecoder(bytes.NewReader(state))
		d.UseNumber()
		if d.Decode(&s) != nil {
			return state
		}
		all, _ := s["all"].([]any)
		for _, rel := range all {
			change(rel.(map[string]any))
		}
		changed, err := json.Marshal(s)
		if err != nil {
			return state
		}
		return changed
	}
	return Fault{Kept: func(s store.Store) store.Store { return &faultyStore{Store: s, cursor: cursor} }}
}

// inside finds a value in values.
func inside(v map[string]any, names ...string) map[string]any {
	for _, name := range names {
		v, _ = v[name].(map[string]any)
	}
	return v
}

// plantedPhones are the faults that phones have to find.
func plantedPhones() map[string]Fault {
	var count atomic.Int64
	seldom := func() bool { return count.Add(1)%3 == 0 }
	always := func() bool { return true }
	return map[string]Fault{
		"an Add is not told":         without(wbxml.AirSyncAdd, seldom),
		"a Change is not told":       without(wbxml.AirSyncChange, always),
		"a Delete is not told":       without(wbxml.AirSyncDelete, seldom),
		"a SoftDelete is not told":   without(wbxml.AirSyncSoftDelete, always),
		"MoreAvailable is forgotten": without(wbxml.AirSyncMoreAvailable, always),
		"a Ping never tells": answered(func(command string, root *wbxml.Element) {
			if command == "Ping" && root.Get(wbxml.PingStatus) == "2" {
				*root = *wbxml.New(wbxml.PingPing, wbxml.Int(wbxml.PingStatus, 1))
			}
		}),
		"a Ping tells of the wrong folder": answered(func(command string, root *wbxml.Element) {
			if list := root.Child(wbxml.PingFolders); command == "Ping" && list != nil {
				list.Children = list.Children[:1]
				list.Children[0].Text = "4"
			}
		}),
		"the generation before is forgotten": remembered(func(rel map[string]any) { delete(rel, "hasprev") }),
		"what was done is forgotten before the answer": remembered(func(rel map[string]any) {
			delete(rel, "pending")
			delete(inside(rel, "cur"), "done")
		}),
		"an own change is echoed": remembered(func(rel map[string]any) {
			delete(inside(rel, "cur", "view"), "own")
			delete(inside(rel, "cur", "done"), "own")
			delete(inside(rel, "pending", "done"), "own")
		}),
		"a key carries a later place": answered(func(command string, root *wbxml.Element) {
			for c := range root.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
				key := c.Child(wbxml.AirSyncSyncKey)
				if id, n, _ := strings.Cut(key.Text, "-"); carriedIn(n) > 0 {
					key.Text = id + "-" + strconv.FormatInt((carriedIn(n)+1)<<24|numberOf(n)&(1<<24-1), 10)
				}
			}
		}),
		"a recipe leaves out an item": remembered(func(rel map[string]any) { delete(inside(rel, "cur", "said"), "add") }),
	}
}

// numberOf is the number in a key, and carriedIn the ModSeq in that, 0 for none.
func numberOf(n string) int64 {
	v, _ := strconv.ParseInt(n, 10, 64)
	return v
}

func carriedIn(n string) int64 { return numberOf(n) >> 24 }

// What goes out with a key that carries it may not be remembered, as if the server died
// after each such answer: phones do not notice.
func TestPhonesGoOnWithKeysThatWereNotRemembered(t *testing.T) {
	var mu sync.Mutex // guards seen
	var lost atomic.Int64
	f := Fault{Kept: func(s store.Store) store.Store {
		seen := map[string]int64{}
		return &faultyStore{Store: s, cursor: func(name string, state []byte) []byte {
			if !strings.HasPrefix(name, "eas/") || !strings.Contains(name, "/c/") {
				return state
			}
			var c struct {
				All []struct{ Cur struct{ N int64 } }
			}
			if json.Unmarshal(state, &c) != nil || len(c.All) == 0 {
				return state
			}
			mu.Lock()
			defer mu.Unlock()
			n := c.All[len(c.All)-1].Cur.N
			if n>>24 == 0 || seen[name] == n {
				return state
			}
			seen[name] = n
			lost.Add(1)
			return nil
		}}
	}}
	for seed := range uint64(8) {
		for _, wrong := range play(t, phones(seed), f).Wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
	}
	if lost.Load() == 0 {
		t.Error("no answer was lost")
	}
}

// phones is a plan in which they are most of the devices.
func phones(seed uint64) Plan { return from(10, NewPlan(seed, 1, 5, 150)) }

func TestFaultsPlantedForPhonesAreFound(t *testing.T) {
	find(t, plantedPhones, phones, map[string]Plan{
		"what was done is forgotten before the answer": phones(1014),
		"MoreAvailable is forgotten":                   phones(1020),
		"an own change is echoed":                      phones(1018),
	})
}
