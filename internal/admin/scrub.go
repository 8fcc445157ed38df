package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep/internal/upkeep"
)

// ScrubStatus asks how far the slow pass over everything that is stored is.
var ScrubStatus = Verb[Nothing, upkeep.Status]{"scrub/status", func(o *Ops, _ context.Context, _ Nothing, emit func(upkeep.Status) error) error {
	return emit(o.Scrub.Status())
}}

// ScrubNow has the pass made at once, and tells how far it is.
var ScrubNow = Verb[Nothing, upkeep.Status]{"scrub/now", func(o *Ops, ctx context.Context, _ Nothing, emit func(upkeep.Status) error) error {
	return o.Scrub.Now(ctx, emit)
}}

// tables has the database check its tables, where the run looks at everything.
func (x *examination) tables(ctx context.Context) error {
	if x.o.Scrub == nil || !x.whole() {
		return nil
	}
	tables, err := x.o.Scrub.Rows.Tables(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		wrong, left, err := x.o.Scrub.Table(ctx, table, !x.q.LookOnly)
		if err != nil {
			return err
		}
		for _, what := range wrong {
			if err := x.found("", !slices.Contains(left, what), "%s", what); err != nil {
				return err
			}
		}
	}
	return nil
}

// scrubbed says how the scrub stands, in the doctor's words, and tells what only it
// found.
func (x *examination) scrubbed(accounts int) error {
	if x.o.Scrub == nil {
		return nil
	}
	st := x.o.Scrub.Status()
	if st.Last != nil && x.q.Login == "" {
		for _, what := range st.Last.Left {
			if err := x.found("", false, "the last scrub could not put right: %s", what); err != nil {
				return err
			}
		}
	}
	return x.emit(Finding{Note: ScrubText(st, time.Now()), Accounts: accounts, Messages: x.messages})
}

// ScrubText says how the scrub stands, in a line.
func ScrubText(st upkeep.Status, now time.Time) string {
	text := "Scrub: "
	switch {
	case st.Last != nil:
		text += "everything was last looked at " + Ago(now.Sub(st.Last.Ended)) + ", and " + outcome(st.Last.Findings)
	case st.Pass == nil && st.Every == 0:
		text += "nothing was looked at yet"
	case st.Pass == nil:
		text += "the first pass begins some minutes after the server's start"
	default:
		text += "the first pass is under way"
	}
	if st.Damaged > 0 {
		text += "; known to be damaged and not served: " + counted(st.Damaged, "blob")
	}
	if st.Pass != nil {
		text += fmt.Sprintf("; %d%% of the pass that began %s is done", int(100*st.Share()), Ago(now.Sub(st.Pass.Began)))
	}
	if need := time.Duration(float64(st.Packs) / float64(max(st.Rate, 1)) * float64(time.Second)); st.Every > 0 && need > st.Every {
		text += fmt.Sprintf("; a pass takes %s at scrub.rate, longer than scrub.every: raise one of them", Span(need))
	}
	if st.Every == 0 {
		text += "; scrub.every is 0s, so it runs only when asked to: lockstep scrub now"
	}
	if st.Err != "" {
		text += "; it broke off and will go on: " + st.Err
	}
	return text + "."
}

func outcome(f upkeep.Findings) string {
	text := "nothing was wrong"
	if n := f.Mended + f.Restored + f.PutRight; n > 0 {
		text = counted(n, "thing") + " put right"
		if f.Restored > 0 {
			text += fmt.Sprintf(", %d of them from the backup", f.Restored)
		}
	}
	if len(f.Left) > 0 {
		text += ", " + counted(len(f.Left), "thing") + " left wrong"
	}
	if len(f.Skipped) > 0 {
		text += ", " + counted(len(f.Skipped), "thing") + " passed over"
	}
	return text
}

// Ago says how long ago something was.
func Ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return Span(d) + " ago"
}

// Span is a time in the one unit that fits.
func Span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
