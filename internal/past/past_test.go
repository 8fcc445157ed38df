package past

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/store/storetest"
)

var points = flag.Int("past.points", 400, "how many random moments are looked at, of each engine")

var engines = map[string]storetest.Open{
	"model":    func(testing.TB) storetest.Engine { return model.New() },
	"sqlstore": func(t testing.TB) storetest.Engine { return sqltest.Temp(t, sqlstore.Options{RunTwice: true}) },
}

// recorded is an account as it was read at the time.
type recorded struct {
	mail.Moment
	lines []string
}

// of a history so many operations, and moments of each.
const operations, moments = 200, 100

// TestThePastIsWhatWasRecorded looks at random moments of random histories, from
// later ones, with much memory and with hardly any, and while people go on.
func TestThePastIsWhatWasRecorded(t *testing.T) {
	oneGoroutine(t)
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); int(seed-1)*moments < *points; seed++ {
				looksBack(t, open, seed)
			}
		})
	}
}

// oneGoroutine skips what the race detector has nothing to say of.
func oneGoroutine(t *testing.T) {
	if testing.Short() {
		t.Skip("has one goroutine, of which the race detector has nothing to say")
	}
}

func looksBack(t *testing.T, open storetest.Open, seed uint64) {
	h := &history{t: t, rand: rand.New(rand.NewPCG(seed, 7))}
	done := 0
	storetest.Replay(t, open, seed, operations, func(e storetest.Engine, id mail.AccountID) {
		done++
		h.store, h.account = e, id
		h.record()
		h.goOn()
		for ; h.looked*operations < done*moments; h.looked++ {
			h.look(seed)
		}
	})
}

// history is what was recorded of an account, and who looks back at it.
type history struct {
	t       *testing.T
	rand    *rand.Rand
	store   store.Store
	account mail.AccountID
	all     []recorded
	looked  int
	open    []halfRead
}

// halfRead is a view that was opened before and is read to its end later.
type halfRead struct {
	*View
	want recorded
	left int // until then, so many operations
}

func (h *history) record() {
	now := recorded{lines: nil}
	err := h.store.View(h.t.Context(), h.account, func(r store.Reader) (err error) {
		if now.lines, err = linesNow(r); err != nil {
			return err
		}
		a, err := r.Account()
		last, jerr := r.Journal(store.JournalQuery{Limit: 1})
		now.ModSeq = a.Head
		now.Time = last[0].Time
		return errors.Join(err, jerr)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if n := len(h.all); n == 0 || h.all[n-1].ModSeq != now.ModSeq {
		h.all = append(h.all, now)
	}
}

// look looks back at a random moment.
func (h *history) look(seed uint64) {
	want := h.all[h.rand.IntN(len(h.all))]
	b := bounds{changes: []int{1, 2, 7, maxChanges}[h.rand.IntN(4)], records: []int{1, 3, 1000}[h.rand.IntN(3)], messages: []int{1, 3, 500}[h.rand.IntN(3)]}
	m, err := Find(h.t.Context(), h.store, h.account, want.Time)
	if err != nil || m.ModSeq < want.ModSeq || !m.Time.Equal(want.Time) {
		h.t.Fatalf("seed %d: at %v, which is %d, is found %+v: %v", seed, want.Time, want.ModSeq, m, err)
	}
	v, err := open(h.t.Context(), h.store, h.account, want.ModSeq, b)
	if err != nil {
		h.t.Fatalf("seed %d: to %d: %v", seed, want.ModSeq, err)
	}
	if h.rand.IntN(3) == 0 {
		h.open = append(h.open, halfRead{v, want, 1 + h.rand.IntN(20)})
		return
	}
	h.compare(v, want)
}

// goOn reads what was opened before.
func (h *history) goOn() {
	h.open = slices.DeleteFunc(h.open, func(v halfRead) bool { return v.left < 0 })
	for i := range h.open {
		if h.open[i].left--; h.open[i].left < 0 {
			h.compare(h.open[i].View, h.open[i].want)
		}
	}
}

func (h *history) compare(v *View, want recorded) {
	got, err := linesThen(h.t.Context(), v)
	if err == nil {
		want.lines, err = h.withoutErased(want.lines)
	}
	if err != nil {
		h.t.Fatalf("as of %d: %v", want.ModSeq, err)
	}
	for i := range max(len(got), len(want.lines)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want.lines) {
			w = want.lines[i]
		}
		if g != w {
			h.t.Fatalf("as of %d, with %+v:\n got %s\nwant %s", want.ModSeq, v.bounds, g, w)
		}
	}
}

// withoutErased leaves out what was recorded of messages that were erased since.
func (h *history) withoutErased(lines []string) (left []string, err error) {
	erased := map[string]bool{}
	gone := map[mail.MailboxID]int64{}
	err = h.store.View(h.t.Context(), h.account, func(r store.Reader) error {
		records, err := r.Journal(store.JournalQuery{Limit: 1 << 20})
		for _, rec := range records {
			for _, e := range rec.Entries {
				if e.Op != mail.OpErase {
					continue
				}
				for _, uids := range []mail.UIDSet{e.UIDs, e.Was} {
					for uid := range uids.All() {
						erased[fmt.Sprintf(" in %d/%d", int64(e.Mailbox), uid)] = true
					}
				}
			}
		}
		return err
	})
	for _, line := range lines {
		where, _, _ := strings.Cut(line, ":")
		if !erased[where] {
			left = append(left, line)
			continue
		}
		var mb mail.MailboxID
		if _, err := fmt.Sscanf(where, " in %d/", &mb); err != nil {
			return nil, err
		}
		gone[mb]++
	}
	for i, line := range left {
		var mb mail.MailboxID
		var n int64
		if k, _ := fmt.Sscanf(line, "%d holds %d", &mb, &n); k == 2 {
			left[i] = countLine(mb, n-gone[mb])
		}
	}
	return left, err
}

var objectTypes = []mail.Type{mail.TypeIdentity, mail.TypeSubmission}

// linesNow is the account as a snapshot shows it.
func linesNow(r store.Reader) ([]string, error) {
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	notes, err := r.AllMetadata()
	if err != nil {
		return nil, err
	}
	lines := metadataLines(notes, 0)
	for _, mb := range all {
		grants, err := r.Rights(mb.ID)
		if err != nil {
			return nil, err
		}
		lines = append(lines, mailboxLine(mb.ID, mb.Image(), mb.Path, mb.UIDValidity), countLine(mb.ID, mb.Counts.Placements))
		lines = append(append(lines, grantLines(grants)...), metadataLines(notes, mb.ID)...)
		err = r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement, m *mail.Message) error {
			var notes []mail.Annotation
			err := r.Annotations(store.AnnotationQuery{Mailbox: mb.ID, UIDs: mail.MakeUIDSet(p.UID), Everybody: true}, func(a *mail.Annotation) error {
				notes = append(notes, *a)
				return nil
			})
			lines = append(lines, messageLine(mb.ID, p.UID, p.Flags, m, inOrder(notes)))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	subs, err := r.Subscriptions()
	lines = append(lines, fmt.Sprint("subscribed ", subs))
	for _, p := range mail.Preferences() {
		value, err := r.Preference(p)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s is %s", p, value))
	}
	for _, typ := range objectTypes {
		objects, err := r.Objects(typ)
		if err != nil {
			return nil, err
		}
		lines = append(lines, objectLines(objects)...)
	}
	return lines, err
}

// linesThen is the account as a view shows it.
func linesThen(ctx context.Context, v *View) ([]string, error) {
	lines := metadataLines(v.Metadata(), 0)
	for _, mb := range v.Mailboxes() {
		n, err := v.Count(ctx, mb.ID)
		if err != nil {
			return nil, err
		}
		lines = append(lines, mailboxLine(mb.ID, mb.Image, mb.Path, mb.UIDValidity), countLine(mb.ID, n))
		lines = append(append(lines, grantLines(mb.Grants)...), metadataLines(mb.Metadata, mb.ID)...)
		err = v.Messages(ctx, Query{Mailbox: mb.ID, Whole: true}, func(m *Message) error {
			lines = append(lines, messageLine(mb.ID, m.UID, m.Flags, &m.Message, m.Annotations))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	lines = append(lines, fmt.Sprint("subscribed ", v.Subscriptions()))
	for _, p := range mail.Preferences() {
		lines = append(lines, fmt.Sprintf("%s is %s", p, v.Preference(p)))
	}
	for _, typ := range objectTypes {
		objects, err := v.Objects(ctx, typ)
		if err != nil {
			return nil, err
		}
		lines = append(lines, objectLines(objects)...)
	}
	return lines, nil
}

func mailboxLine(id mail.MailboxID, im mail.MailboxImage, path string, validity mail.UIDValidity) string {
	return fmt.Sprintf("%s: %s %+v, UIDVALIDITY %d", path, id, im, validity)
}

func countLine(id mail.MailboxID, n int64) string { return fmt.Sprintf("%d holds %d", int64(id), n) }

func grantLines(grants []mail.Grant) []string {
	var lines []string
	for _, g := range grants {
		lines = append(lines, fmt.Sprintf(" %d may %s", g.Principal, g.Rights))
	}
	slices.Sort(lines)
	return lines
}

func metadataLines(all []mail.KeptMetadata, mb mail.MailboxID) []string {
	var lines []string
	for _, m := range all {
		if m.Mailbox == mb {
			lines = append(lines, fmt.Sprintf(" %s of %d is %q", m.Name, m.Who, m.Value))
		}
	}
	slices.Sort(lines)
	return lines
}

func messageLine(mb mail.MailboxID, uid mail.UID, f mail.Flags, m *mail.Message, notes []mail.Annotation) string {
	names := f.Names()
	slices.SortFunc(names, cmp.Compare)
	line := fmt.Sprintf(" in %d/%d: %s %s %v %v", int64(mb), uid, m.EmailID, m.InternalDate.UTC().Format(time.RFC3339Nano), names, m.Size)
	for _, a := range notes {
		line += fmt.Sprintf(" %s of %d is %q", a.Spelled(), a.Who, a.Value)
	}
	return line
}

func objectLines(all []mail.Object) []string {
	var lines []string
	for _, o := range all {
		lines = append(lines, fmt.Sprintf("%s %d is %q", o.Type, o.ID, o.Data))
	}
	return lines
}
