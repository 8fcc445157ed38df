package jmap

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// TestManyAreOneCommit counts what marking, moving and destroying many costs.
func TestManyAreOneCommit(t *testing.T) {
	m := newMill(t, sqlstore.Options{})
	ids := m.fill(1000)
	archive := m.boxes[slices.IndexFunc(m.boxes, func(mb mail.Mailbox) bool { return mb.Role == mail.RoleArchive })].ID
	updates := func(patch string) string {
		all := map[string]json.RawMessage{}
		for _, id := range ids {
			all[id] = json.RawMessage(patch)
		}
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return `"update":` + string(b)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, args string
		statements int64 // besides two look-ups of each and the row of its message
	}{
		{"read", updates(`{"keywords/$seen":true}`), 40},
		{"archive", updates(`{"mailboxIds":{"` + archive.String() + `":true}}`), 40},
		{"destroy", `"destroy":` + string(list), 40},
	} {
		before := m.Stats()
		var r setResult
		m.ask("Email/set", `{"accountId":"$ACCOUNT",`+c.args+`}`, &r)
		after := m.Stats()
		if len(r.Updated)+len(r.Destroyed) != 1000 {
			t.Errorf("%s: %d updated, %d destroyed", c.name, len(r.Updated), len(r.Destroyed))
		}
		commits, statements := after.Commits-before.Commits, after.Statements-before.Statements
		t.Logf("%s: %d commits, %d statements", c.name, commits, statements)
		if commits != 1 || statements > 3*1000+c.statements {
			t.Errorf("%s of 1000 emails: %d commits, %d statements", c.name, commits, statements)
		}
	}
}

// emailAsShown is an email as JMAP has to show it, found the plain way.
type emailAsShown struct {
	Mailboxes, Keywords []string
	Hidden              int // placements that nobody sees
}

func (m *mill) emails(keys map[string]mail.MessageKey) map[string]emailAsShown {
	out := map[string]emailAsShown{}
	m.view(func(r store.Reader) error {
		for id, key := range keys {
			all, err := r.PlacementsOf(key)
			if err != nil {
				return err
			}
			var e emailAsShown
			in, words, seen := map[string]bool{}, map[string]bool{}, true
			for _, p := range all {
				if p.Flags.Has(mail.Deleted) {
					e.Hidden++
					continue
				}
				in[p.Mailbox.String()] = true
				seen = seen && p.Flags.Has(mail.Seen)
				for _, name := range p.Flags.Names() {
					words[strings.ToLower(strings.Replace(name, `\`, "$", 1))] = true
				}
			}
			if !seen {
				delete(words, "$seen")
			}
			if len(in) > 0 {
				e.Mailboxes, e.Keywords = slices.Sorted(maps.Keys(in)), slices.Sorted(maps.Keys(words))
			}
			out[id] = e
		}
		return nil
	})
	return out
}

// TestRandomSetsShowWhatWasSet sets keywords and mailboxes by JMAP while IMAP copies,
// flags, moves and expunges placements: after each call an email shows what was set,
// and others what they showed before.
func TestRandomSetsShowWhatWasSet(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			m := newMill(t, sqlstore.Options{RunTwice: seed == 0})
			h := &setHistory{mill: m, rand: rand.New(rand.NewPCG(seed, 1)), keys: map[string]mail.MessageKey{}}
			for step := range 120 {
				if len(h.keys) < 12 {
					h.arrive()
				}
				for range h.rand.IntN(4) {
					h.byIMAP()
				}
				h.byJMAP(step)
				if t.Failed() {
					return
				}
			}
		})
	}
}

type setHistory struct {
	*mill
	rand *rand.Rand
	keys map[string]mail.MessageKey
}

var someKeywords = []string{"$seen", "$flagged", "$draft", "$answered", "work", "$forwarded", "x"}

func (h *setHistory) box() mail.MailboxID { return h.boxes[h.rand.IntN(len(h.boxes))].ID }
func (h *setHistory) keyword() string     { return someKeywords[h.rand.IntN(len(someKeywords))] }

func (h *setHistory) arrive() {
	id := h.fill(1)[0]
	h.view(func(r store.Reader) error {
		name, _ := mail.ParseEmailID(id)
		m, err := r.MessageByEmailID(name)
		h.keys[id] = m.Key
		return err
	})
}

// byIMAP does something to one placement.
func (h *setHistory) byIMAP() {
	ids := slices.Sorted(maps.Keys(h.keys))
	key, to, what, word := h.keys[ids[h.rand.IntN(len(ids))]], h.box(), h.rand.IntN(5), h.keyword()
	at := h.rand.Int()
	h.change(func(tx store.Tx) error {
		all, err := tx.PlacementsOf(key)
		if err != nil || len(all) == 0 {
			return err
		}
		p := all[at%len(all)]
		set := mail.MakeUIDSet(p.UID)
		switch what {
		case 0:
			if len(all) < 6 {
				_, err = tx.Copy(p.Mailbox, set, to)
			}
		case 1:
			_, err = tx.Move(p.Mailbox, set, to)
		case 2:
			_, err = tx.StoreFlags(p.Mailbox, set, mail.FlagChange{Add: mail.Flags{System: mail.Deleted}}, nil)
		case 3:
			_, err = tx.Expunge(p.Mailbox, set, true)
		default:
			f, _ := keywordFlag(word)
			_, err = tx.StoreFlags(p.Mailbox, set, mail.FlagChange{Add: f}, nil)
		}
		return err
	})
}

// byJMAP sets some emails and looks whether all show what they have to.
func (h *setHistory) byJMAP(step int) {
	was := h.emails(h.keys)
	want, updates, destroys := maps.Clone(was), map[string]map[string]any{}, []string{}
	for _, id := range slices.Sorted(maps.Keys(h.keys)) {
		e := was[id]
		if e.Mailboxes == nil || h.rand.IntN(3) > 0 {
			continue
		}
		if h.rand.IntN(8) == 0 {
			destroys, want[id] = append(destroys, id), emailAsShown{Hidden: e.Hidden}
			continue
		}
		updates[id], want[id] = h.patch(e)
	}
	args, err := json.Marshal(map[string]any{"accountId": "$ACCOUNT", "update": updates, "destroy": destroys})
	if err != nil {
		h.t.Fatal(err)
	}
	var r setResult
	h.ask("Email/set", string(args), &r)
	for id := range r.NotUpdated {
		if len(want[id].Mailboxes) > 0 {
			h.t.Errorf("step %d: %s of %+v was refused: %v", step, updates[id], was[id], r.NotUpdated[id])
		}
		want[id] = was[id] // it would have been nowhere
	}
	is := h.emails(h.keys)
	for id := range want {
		if !reflect.DeepEqual(is[id], want[id]) {
			h.t.Errorf("step %d: %s\n was %+v\n set %v\n got %+v\nwant %+v", step, id, was[id], updates[id], is[id], want[id])
		}
	}
	maps.DeleteFunc(h.keys, func(id string, _ mail.MessageKey) bool { return is[id].Mailboxes == nil })
}

// patch makes a patch, and what the email shows after it.
func (h *setHistory) patch(e emailAsShown) (map[string]any, emailAsShown) {
	p := map[string]any{}
	words, boxes := setOf(e.Keywords), setOf(e.Mailboxes)
	if h.rand.IntN(3) == 0 {
		words = map[string]bool{}
		for range h.rand.IntN(3) {
			words[h.keyword()] = true
		}
		p["keywords"] = words
	} else {
		for range h.rand.IntN(3) {
			h.patchSet(p, "keywords/", h.keyword(), words)
		}
	}
	if h.rand.IntN(3) == 0 {
		boxes = map[string]bool{}
		for range 1 + h.rand.IntN(2) {
			boxes[h.box().String()] = true
		}
		p["mailboxIds"] = boxes
	} else {
		for range h.rand.IntN(3) {
			h.patchSet(p, "mailboxIds/", h.box().String(), boxes)
		}
	}
	return p, emailAsShown{slices.Sorted(maps.Keys(boxes)), slices.Sorted(maps.Keys(words)), e.Hidden}
}

func (h *setHistory) patchSet(p map[string]any, prefix, member string, set map[string]bool) {
	if h.rand.IntN(2) == 0 {
		p[prefix+member], set[member] = true, true
		return
	}
	p[prefix+member] = nil
	delete(set, member)
}

func setOf(all []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range all {
		out[s] = true
	}
	return out
}
