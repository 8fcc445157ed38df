package jmap

import (
	"context"
	"time"

	"lockstep/internal/undo"
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

// actUndo serves Act/undo: all of it is one transaction, and so one act. It costs
// what the acts touched.
func actUndo(ctx context.Context, c *call, a *actUndoArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	asked, err := a.asked()
	if err != nil {
		return err
	}
	done, err := undo.Do(ctx, c.srv.Store, account, c.sess.Origin(), asked, a.Preview)
	if err != nil {
		return err
	}
	out := &actUndoAnswer{AccountID: a.AccountID, IDs: []string{}, Undone: done.Undone, Left: append([]string{}, done.Left...)}
	for _, id := range done.Acts {
		out.IDs = append(out.IDs, actID(id))
	}
	if done.Act != 0 {
		id := actID(done.Act)
		out.Act = &id
	}
	return c.answer(out)
}

// asked is what to undo.
func (a *actUndoArguments) asked() (undo.Asked, error) {
	if a.DeviceID == "" {
		return a.named()
	}
	device, ok := parseDeviceID(a.DeviceID)
	if !ok || len(a.IDs) > 0 || a.Since.IsZero() {
		return undo.Asked{}, invalidArguments("give ids, or a device and since when", "deviceId", "since", "ids")
	}
	return undo.Asked{Device: device, Since: a.Since}, nil
}

func (a *actUndoArguments) named() (asked undo.Asked, err error) {
	if len(a.IDs) == 0 || len(a.IDs) > undo.MaxActs {
		return asked, invalidArguments("name the acts to undo, not too many", "ids")
	}
	for _, said := range a.IDs {
		id, ok := parseActID(said)
		if !ok {
			return asked, invalidArguments(said+" is no act", "ids")
		}
		asked.Acts = append(asked.Acts, id)
	}
	return asked, nil
}
