package device

import (
	"context"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What a device that speaks ActiveSync holds is known by these cursors. Without them
// it is told that its keys are unknown, empties its folders and fills them anew.
var heldCursors = []string{"folders", "c/", "sync", "moves"}

// Forget forgets what an ActiveSync device holds, so that it starts over when it next
// comes; its policy and its trail stay. NotFound for a device that holds nothing that
// is known of.
func Forget(ctx context.Context, st store.Store, account mail.AccountID, id mail.DeviceID) error {
	var names []string
	err := st.View(ctx, account, func(r store.Reader) error {
		if _, err := r.Device(id); err != nil {
			return err
		}
		all, err := r.Cursors(id, allCursors)
		names = nil
		for _, name := range all {
			if isHeld(name) {
				names = append(names, name)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return mail.Errorf(mail.NotFound, "this device holds nothing that it could fill anew: only ActiveSync does")
	}
	return st.Note(ctx, account, func(n store.Notes) error {
		for _, name := range names {
			if err := n.SetCursor(id, name, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// isHeld reports whether a cursor, such as "eas/PHONE/c/7", says what a device holds.
func isHeld(name string) bool {
	_, own, _ := strings.Cut(strings.TrimPrefix(name, allCursors), "/")
	for _, held := range heldCursors {
		if own == held || strings.HasSuffix(held, "/") && strings.HasPrefix(own, held) {
			return true
		}
	}
	return false
}
