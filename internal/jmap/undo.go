package jmap

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// actUndoArguments say what is taken back: acts, or all that a device did since a
// moment.
type actUndoArguments struct {
	AccountID string    `json:"accountId"`
	IDs       []string  `json:"ids"`
	DeviceID  string    `json:"deviceId"`
	Since     time.Time `json:"since"`
	Preview   bool      `json:"preview"` // only say what would come of it
}

// actUndoAnswer says what came of it, or would.
type actUndoAnswer struct {
	AccountID string   `json:"accountId"`
	IDs       []string `json:"ids"`    // the acts
	Undone    int      `json:"undone"` // messages and mailboxes put back
	Left      []string `json:"left"`   // what was left alone, and why
	Act       *string  `json:"act"`    // by which it can be taken back; null of a preview, or when nothing was done
}

var errPreview = errors.New("only a preview")

// actUndo serves Act/undo: all of it is one transaction, and so one act. It costs
// what the acts touched.
func actUndo(ctx context.Context, c *call, a *actUndoArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	out := &actUndoAnswer{AccountID: a.AccountID}
	n, err := c.srv.Store.Update(ctx, account, c.sess.Origin().WithCause(mail.ByUndo), func(tx store.Tx) error {
		which, err := a.acts(tx)
		if err != nil {
			return err
		}
		out.IDs, out.Undone, out.Left = []string{}, 0, []string{}
		for _, id := range which {
			report, err := tx.Undo(id)
			if err != nil {
				return err
			}
			out.IDs, out.Undone, out.Left = append(out.IDs, actID(id)), out.Undone+report.Undone, append(out.Left, report.Left...)
		}
		if a.Preview {
			return errPreview
		}
		return nil
	})
	if err != nil && err != errPreview {
		return err
	}
	if n != 0 {
		id := actID(mail.ActID(n))
		out.Act = &id
	}
	return c.answer(out)
}

// acts are those to undo, the newest first: an act is in the way of those before it.
func (a *actUndoArguments) acts(r store.Reader) ([]mail.ActID, error) {
	if a.DeviceID == "" {
		return a.named()
	}
	device, ok := parseDeviceID(a.DeviceID)
	if !ok || len(a.IDs) > 0 || a.Since.IsZero() {
		return nil, invalidArguments("give ids, or a device and since when", "deviceId", "since", "ids")
	}
	ids, more, err := acts(r, actFilter{Since: a.Since}, store.JournalQuery{Device: device}, maxUndone)
	if err != nil {
		return nil, err
	}
	if more {
		return nil, refused("requestTooLarge", "the device did too much since then to take it back at once; choose a later moment first")
	}
	return parseActs(ids)
}

func (a *actUndoArguments) named() ([]mail.ActID, error) {
	if len(a.IDs) == 0 || len(a.IDs) > maxUndone {
		return nil, invalidArguments("name the acts to undo, not too many", "ids")
	}
	return parseActs(a.IDs)
}

func parseActs(ids []string) ([]mail.ActID, error) {
	var out []mail.ActID
	for _, said := range ids {
		id, ok := parseActID(said)
		if !ok {
			return nil, invalidArguments(said+" is no act", "ids")
		}
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b mail.ActID) int { return cmp.Compare(b, a) })
	return slices.Compact(out), nil
}
