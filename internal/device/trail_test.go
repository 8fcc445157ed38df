package device

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

func TestATrailIsBounded(t *testing.T) {
	var tr Trail
	for i := range 1000 {
		tr.Did(Command{Name: strings.Repeat("é", MaxTrailText), Status: fmt.Sprint(i)})
		tr.Skip(Skip{Item: fmt.Sprint(i), Why: strings.Repeat("y", 10_000)})
		tr.Restart(Restart{Why: fmt.Sprint(i)})
		tr.Mark(fmt.Sprint(i), Mark{ModSeq: mail.ModSeq(i)})
	}
	if len(tr.Commands) != MaxTrailCommands || tr.Commands[MaxTrailCommands-1].Status != "999" || len(tr.Commands[0].Name) > MaxTrailText {
		t.Errorf("%d commands", len(tr.Commands))
	}
	if len(tr.Skipped) != MaxTrailSkipped || len(tr.Skipped[0].Why) > MaxTrailText || len(tr.Restarts) != MaxTrailRestarts || len(tr.Marks) != MaxTrailMarks {
		t.Errorf("%d skipped, %d restarts, %d marks", len(tr.Skipped), len(tr.Restarts), len(tr.Marks))
	}
	tr.Mark("3", Mark{ModSeq: 7}) // one that is known goes on
	tr.Skip(Skip{Item: "999", Why: "again"})
	if tr.Marks["3"].ModSeq != 7 || len(tr.Skipped) != MaxTrailSkipped {
		t.Error("what is known was not taken")
	}
	tr.Unmark("3")
	stored, err := tr.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := ReadTrail(stored); len(got.Commands) != MaxTrailCommands || len(got.Marks) != MaxTrailMarks-1 {
		t.Errorf("%d commands, %d marks", len(got.Commands), len(got.Marks))
	}
	if got := ReadTrail([]byte("{broken")); len(got.Commands) != 0 {
		t.Error("something broken was read")
	}
}

// counting counts what is written.
type counting struct {
	store.Store
	notes int
}

func (c *counting) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	c.notes++
	return c.Store.Note(ctx, id, fn)
}

func newTrails(t *testing.T) (*Trails, *counting, Who, *time.Time) {
	st := model.New()
	p, err := st.CreateAccount(t.Context(), mail.NewOrigin("test", 0, mail.Local, mail.BySetup), store.NewAccount{Login: "a@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{Store: st}
	tr := NewTrails(c, slog.New(slog.DiscardHandler))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tr.now = func() time.Time { return now }
	return tr, c, Who{p.Account, 5, "a b:c"}, &now
}

func TestTrailsAreWrittenSeldom(t *testing.T) {
	tr, c, who, now := newTrails(t)
	for range 100 {
		tr.Note(t.Context(), who, false, func(tr *Trail) { tr.Did(Command{Name: "Ping"}) })
	}
	if c.notes != 1 {
		t.Errorf("%d writes of 100 commands", c.notes)
	}
	*now = now.Add(writeUrgentEach)
	tr.Note(t.Context(), who, true, func(tr *Trail) { tr.Restart(Restart{Why: "because"}) })
	if c.notes != 2 {
		t.Errorf("%d writes: what is urgent was not written", c.notes)
	}
	tr.Note(t.Context(), who, true, func(tr *Trail) { tr.Restart(Restart{Why: "again"}) })
	if c.notes != 2 {
		t.Errorf("%d writes: a loop of urgent things writes each time", c.notes)
	}
	tr.Flush(t.Context())
	tr.Flush(t.Context())
	if c.notes != 3 {
		t.Errorf("%d writes", c.notes)
	}
	again := NewTrails(c, tr.log)
	got, err := again.Of(t.Context(), who.Account, who.Device)
	if err != nil || len(got) != 1 || len(got["a b:c"].Restarts) != 2 || len(got["a b:c"].Commands) != 1 || got["a b:c"].Commands[0].Times != 100 {
		t.Errorf("%v, %v", got, err)
	}
	again.Note(t.Context(), who, false, func(tr *Trail) { tr.Did(Command{Name: "Last"}) }) // what was there is not lost
	if got, err := again.Of(t.Context(), who.Account, who.Device); err != nil || len(got["a b:c"].Restarts) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTrailsInMemoryAreBounded(t *testing.T) {
	tr, _, who, _ := newTrails(t)
	tr.Note(t.Context(), who, false, func(tr *Trail) { tr.Did(Command{Name: "first"}) })
	tr.Note(t.Context(), who, false, func(tr *Trail) { tr.Did(Command{Name: "second"}) }) // not written yet
	for i := range maxLiveTrails {
		tr.walk(t.Context(), Who{who.Account, 6, fmt.Sprint(i)})
	}
	if len(tr.live) != maxLiveTrails || tr.order.Len() != maxLiveTrails {
		t.Errorf("%d live", len(tr.live))
	}
	got, err := tr.Of(t.Context(), who.Account, who.Device)
	if err != nil || len(got[who.DeviceID].Commands) != 2 {
		t.Errorf("%v, %v: what had to go was not written", got, err)
	}
}

func TestWhoIsNoDeviceLeavesNoTrail(t *testing.T) {
	tr, c, who, _ := newTrails(t)
	for _, w := range []Who{{who.Account, 0, "validate"}, {who.Account, 5, ""}} {
		tr.Note(t.Context(), w, true, func(*Trail) { t.Error("asked") })
	}
	if c.notes != 0 || len(tr.live) != 0 {
		t.Error("something was kept")
	}
}

func TestCapsOfAPolicy(t *testing.T) {
	for _, c := range []struct {
		age         Age
		asked, want int
	}{{AllAges, 0, 0}, {AllAges, 5, 5}, {OneWeek, 0, 3}, {OneWeek, 2, 2}, {OneWeek, 5, 3}, {SixMonths, 0, 7}} {
		if got := c.age.CapFilter(c.asked); got != c.want {
			t.Errorf("%q caps %d to %d, want %d", c.age, c.asked, got, c.want)
		}
	}
	p := Policy{MaxAttachment: 10, MaxBody: 5}
	if !p.MayFetchAttachment(10) || p.MayFetchAttachment(11) || (Policy{Forbid: []Feature{Attachments}}).MayFetchAttachment(1) || !(Policy{}).MayFetchAttachment(1<<40) {
		t.Error("attachments")
	}
	if n, ok := p.BodyBound(false); n != 5 || !ok {
		t.Error("bodies")
	}
	if _, ok := p.BodyBound(true); ok {
		t.Error("HTML bodies")
	}
	if (Policy{}).Check() != nil || (Policies{}).Check() != nil {
		t.Error("the zero policy can't be used")
	}
}

func FuzzReadTrail(f *testing.F) {
	var tr Trail
	tr.Did(Command{Name: "Sync", Status: "1"})
	tr.Mark("5", Mark{ModSeq: 7})
	stored, err := tr.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte("{\"Marks\":null}"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		tr := ReadTrail(stored)
		tr.Did(Command{Name: "Ping"})
		tr.Mark("6", Mark{})
		if _, err := tr.Encode(); err != nil {
			t.Skip("a time that JSON has no form for")
		}
	})
}
