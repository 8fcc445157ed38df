package eas

import (
	"net/http"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// badBodies are BodyPreferences that their schema does not allow (MS-ASAIRS §3.2.5.1),
// by what the suite calls them.
func badBodies() map[string]func() *wbxml.Element {
	whole := func() *wbxml.Element { return bodyOf(1, 100).Add(wbxml.Bool(wbxml.BaseAllOrNone, true)) }
	return map[string]func() *wbxml.Element{
		"of another type (TC02)": func() *wbxml.Element {
			return wbxml.New(wbxml.BaseBodyPreference, wbxml.Text(wbxml.BaseType, "a"), wbxml.Int(wbxml.BaseTruncationSize, 100), wbxml.Bool(wbxml.BaseAllOrNone, true))
		},
		"twice (TC03)": func() *wbxml.Element { return whole().Add(wbxml.Bool(wbxml.BaseAllOrNone, true)) },
		"out of order (TC04)": func() *wbxml.Element {
			return wbxml.New(wbxml.BaseBodyPreference, wbxml.Int(wbxml.BaseTruncationSize, 100), wbxml.Bool(wbxml.BaseAllOrNone, true), wbxml.Int(wbxml.BaseType, 1))
		},
		"in the wrong place (TC05)": func() *wbxml.Element { return whole().Add(bodyOf(2, 100)) },
	}
}

// MS-ASAIRS S04: each command says in its own status that a body is not wished as the
// schema has it, and Sync that one is not sent so.
func TestConformanceOfBodiesThatAreNotAsTheSchemaHasThem(t *testing.T) {
	for name, bad := range badBodies() {
		t.Run(name, func(t *testing.T) {
			w := library(t)
			id := idOf(w.put("INBOX", letter))
			for _, v := range spoken {
				p := w.phone(v)
				if e := p.items(fetchItem(id, bad())); e.Get(wbxml.ItemsStatus) != "2" {
					t.Errorf("%v, ItemOperations: %s", v, short(e))
				}
				e := p.search(searchIn("Mailbox", queryAnd(wbxml.Text(wbxml.AirSyncClass, "Email"), inFolder(p.inbox()), freeText("harbour")), bad()))
				if got := e.Child(wbxml.SearchResponse).Child(wbxml.SearchStore).Get(wbxml.SearchStatus); got != "2" {
					t.Errorf("%v, Search: %s", v, short(e))
				}
				if e := p.call("Sync", syncing(p.keyed(p.inbox()), p.inbox(), syncOptions(bad()))); e.Get(wbxml.AirSyncStatus) != "4" {
					t.Errorf("%v, Sync: %s", v, short(e))
				}
			}
		})
	}
	good := func(typ string) *wbxml.Element {
		return wbxml.New(wbxml.BaseBody, wbxml.Text(wbxml.BaseType, typ), wbxml.Text(wbxml.BaseData, "Test sync add"))
	}
	for name, body := range map[string]*wbxml.Element{
		"as it should be": good("1"), "of another type": good("a"), "twice": good("1").Add(wbxml.Int(wbxml.BaseType, 1)),
		"out of order":       wbxml.New(wbxml.BaseBody, wbxml.Text(wbxml.BaseData, "Test sync add"), wbxml.Int(wbxml.BaseType, 1)),
		"in the wrong place": good("1").Add(good("2")),
	} {
		t.Run("sent "+name, func(t *testing.T) {
			w := newTown(t)
			for _, v := range spoken {
				p := w.phone(v)
				e := p.call("Sync", syncing(p.primed(p.inbox()), p.inbox(), wbxml.New(wbxml.AirSyncCommands,
					wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, "1"), wbxml.New(wbxml.AirSyncApplicationData, body)))))
				if got := collectionOf(e).Child(wbxml.AirSyncResponses).Child(wbxml.AirSyncAdd).Get(wbxml.AirSyncStatus); got != "6" {
					t.Errorf("%v: %s", v, short(e))
				}
			}
		})
	}
}

// MS-ASCMD R166: what was deleted is no attachment any more. What lies in the trash is
// still there, and a device that shows the trash opens it by the same reference.
func TestConformanceOfGetAttachment(t *testing.T) {
	w := newTown(t)
	put := w.put("INBOX", letter)
	reference := fileReference(w.email(put).EmailID, "2")
	trash := w.mailbox("Trash")
	p := w.phone(v121)
	for _, c := range []struct {
		where string
		move  func(tx store.Tx) error
		want  int
	}{
		{"the inbox", func(store.Tx) error { return nil }, http.StatusOK},
		{"the trash", func(tx store.Tx) error {
			_, err := tx.Move(put.Mailbox, mail.MakeUIDSet(put.UID), trash.ID)
			return err
		}, http.StatusOK},
		{"no mailbox", func(tx store.Tx) error {
			_, err := tx.Expunge(trash.ID, mail.AllUIDs, false)
			return err
		}, http.StatusInternalServerError},
	} {
		w.change(c.move)
		if got := p.post(p.query("GetAttachment")+"&AttachmentName="+reference, nil).Code; got != c.want {
			t.Errorf("in %s: %d, want %d", c.where, got, c.want)
		}
	}
}
