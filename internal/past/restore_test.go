package past

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/storetest"
)

var operator = mail.NewOrigin("operator", 0, mail.Local, mail.ByAdmin)

// TestARestoreMakesThenNow restores random moments in every mode, and undoes it.
func TestARestoreMakesThenNow(t *testing.T) {
	oneGoroutine(t)
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(101); int(seed-101)*restores < *points/10; seed++ {
				h := &history{t: t, rand: rand.New(rand.NewPCG(seed, 9))}
				done := 0
				storetest.Replay(t, open, seed, operations, func(e storetest.Engine, id mail.AccountID) {
					h.store, h.account = e, id
					h.record()
					if done++; done%(operations/restores) == 0 {
						h.restore(fmt.Sprintf("seed %d, step %d", seed, done))
						h.checked(e)
					}
				})
			}
		})
	}
}

// restores are so many of each history.
const restores = 20

func (h *history) checked(e storetest.Engine) {
	if wrong, err := e.Check(h.t.Context(), h.account, false); err != nil || len(wrong) > 0 {
		h.t.Fatalf("the account is unsound: %v %v", wrong, err)
	}
}

func (h *history) restore(what string) {
	then := h.all[h.rand.IntN(len(h.all))]
	w := Wish{At: then.ModSeq, Mode: []Mode{Exact, Exact, KeepNew, OnlyMissing}[h.rand.IntN(4)]}
	v, err := open(h.t.Context(), h.store, h.account, then.ModSeq, usual)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.rand.IntN(3) == 0 {
		w.Mailbox = v.Mailboxes()[h.rand.IntN(len(v.Mailboxes()))].Path
	}
	what += fmt.Sprintf(", %+v", w)
	was, before := h.linesThen(v), h.linesNow()
	b := bounds{changes: []int{1, 3, maxChanges}[h.rand.IntN(3)], records: []int{1, 1000}[h.rand.IntN(2)], messages: []int{1, 3, 500}[h.rand.IntN(3)]}
	what += fmt.Sprintf(", %+v", b)
	preview, err := restore(h.t.Context(), h.store, h.account, operator, w, false, nil, b)
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	h.same(what+": the preview", h.linesNow(), before)
	did, err := restore(h.t.Context(), h.store, h.account, operator.WithCause(mail.ByRestore), w, true, nil, b)
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	if did.IsEmpty() != (did.Act == 0) || did.Act == 0 && len(did.Left) == 0 && !preview.IsEmpty() {
		h.t.Fatalf("%s: did %+v", what, did)
	}
	preview.Act = did.Act
	h.t.Logf("%s: %+v left %q made %q", what, counts(did), did.Left, did.Made)
	if fmt.Sprintf("%+v", counts(preview)) != fmt.Sprintf("%+v", counts(did)) {
		h.t.Fatalf("%s: the preview says\n%+v, done was\n%+v", what, counts(preview), counts(did))
	}
	h.isThen(what, w, did, was, before)
	if did.Act == 0 {
		return
	}
	again, err := Restore(h.t.Context(), h.store, h.account, operator, w, nil)
	if err != nil || !again.IsEmpty() && len(again.Left) == 0 && w.Mailbox == "" {
		h.t.Fatalf("%s: again: %v %+v", what, err, again)
	}
	if again.Act != 0 {
		h.undo(what, again.Act)
	}
	if h.rand.IntN(4) > 0 {
		h.undo(what, did.Act)
		h.same(what+": undone", h.linesNow(), before)
	}
	h.record()
}

// counts are what of a report is alike before and after.
func counts(r Report) [5]int64 { return [5]int64{r.Back, r.Moved, r.Gone, r.Flagged, r.Annotated} }

func (h *history) undo(what string, act mail.ActID) {
	_, err := h.store.Update(h.t.Context(), h.account, operator.WithCause(mail.ByUndo), func(tx store.Tx) error {
		report, err := tx.Undo(act)
		if err == nil && len(report.Left) > 0 {
			h.t.Fatalf("%s: the undo left %q", what, report.Left)
		}
		return err
	})
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

// isThen looks whether what was to come back is there, and nothing else went.
func (h *history) isThen(what string, w Wish, did Report, was, before []string) {
	now := h.linesNow()
	if len(did.Left) > 0 {
		for _, l := range did.Left {
			if !strings.Contains(l, "subscription of") && !strings.Contains(l, "so it is called") && !strings.Contains(l, "so it stays") && !strings.Contains(l, "is the mailbox for") && !strings.Contains(l, "comes to the top") {
				h.t.Fatalf("%s: left %q", what, did.Left)
			}
		}
	}
	if w.Mailbox == "" && w.Mode == Exact {
		if len(did.Left) > 0 {
			was, now = withoutSubscriptions(was), withoutSubscriptions(now)
		}
		h.same(what, now, was)
		return
	}
	has := emails(now)
	for id := range emails(before) {
		if !has[id] && w.Mode != Exact {
			h.t.Fatalf("%s: %s is lost", what, id)
		}
	}
	if w.Mailbox != "" {
		return
	}
	for id := range emails(was) {
		if !has[id] && did.Edited == 0 {
			h.t.Fatalf("%s: %s did not come back", what, id)
		}
	}
	if w.Mode == KeepNew && len(did.Left) == 0 && did.Edited == 0 {
		for _, line := range was {
			if strings.HasPrefix(line, "in ") && !slices.Contains(now, line) {
				h.t.Fatalf("%s: not there: %s", what, line)
			}
		}
	}
}

func withoutSubscriptions(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "subscribed ") })
}

// emails are the ids of the messages in lines.
func emails(lines []string) map[string]bool {
	all := map[string]bool{}
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, "in "); ok {
			_, rest, _ = strings.Cut(rest, ": ")
			id, _, _ := strings.Cut(rest, " ")
			all[id] = true
		}
	}
	return all
}

func (h *history) linesNow() []string {
	var lines []string
	err := h.store.View(h.t.Context(), h.account, func(r store.Reader) (err error) {
		lines, err = linesNow(r)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return contents(lines)
}

func (h *history) linesThen(v *View) []string {
	lines, err := linesThen(h.t.Context(), v)
	if err != nil {
		h.t.Fatal(err)
	}
	return contents(lines)
}

// contents are the lines without UIDs and spellings of keywords, in an order of their
// own; what objects were is not put back.
func contents(lines []string) []string {
	var all []string
	mailbox := ""
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, " in "):
			where, rest, _ := strings.Cut(l, "/")
			_, rest, _ = strings.Cut(rest, ": ")
			id, rest, _ := strings.Cut(rest, " ")
			all = append(all, where[1:]+": "+id+" "+strings.ToLower(rest))
		case strings.HasPrefix(l, " "):
			all = append(all, mailbox+l)
		case strings.HasPrefix(l, "identity") || strings.HasPrefix(l, "submission") || strings.HasPrefix(l, "Identity") || strings.HasPrefix(l, "EmailSubmission"):
		default:
			if path, _, ok := strings.Cut(l, ": "); ok {
				mailbox = path
			}
			all = append(all, l)
		}
	}
	slices.Sort(all)
	return all
}

func (h *history) same(what string, got, want []string) {
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			h.t.Fatalf("%s:\n got %s\nwant %s", what, g, w)
		}
	}
}
