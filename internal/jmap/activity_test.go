package jmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const letter = "From: Bob <bob@example.test>\r\nTo: alice@example.test\r\nSubject: Lunch\r\nMessage-ID: <1@example.test>\r\n\r\nToday?\r\n"

type actsTold struct {
	List []struct {
		ID, At, Actor, DeviceName, Protocol, Cause string
		DeviceID, Undoes                           *string
		Entries                                    []struct {
			Op, MailboxName, ToName, Name string
			Count                         int
			Added, Removed                []string
			Emails                        []struct {
				EmailID, Subject, From string
				IsThere                bool
			}
		}
	}
	NotFound []string
}

// acts asks for the acts that a filter selects, and what they did.
func (w *town) acts(filter string) (told actsTold) {
	w.T.Helper()
	got := w.api(`[["Act/query",{"accountId":"$ACCOUNT","filter":` + filter + `},"q"],["Act/get",{"accountId":"$ACCOUNT","#ids":{"resultOf":"q","name":"Act/query","path":"/ids"}},"g"]]`)
	if err := json.Unmarshal(got[len(got)-1].args, &told); err != nil || got[len(got)-1].name != "Act/get" {
		w.T.Fatalf("%s (%v)", got[len(got)-1].args, err)
	}
	return told
}

func TestActsSayWhoDidWhat(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	id := w.emailID(p)
	inbox, trash := w.mailbox("INBOX"), w.mailbox("Trash")
	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(inbox.ID, mail.UIDSet{{First: p.UID, Last: p.UID}}, mail.FlagChange{Add: flags(w.T, `\Seen`)}, nil)
		return err
	})
	w.change(func(tx store.Tx) error {
		_, err := tx.Move(inbox.ID, mail.UIDSet{{First: p.UID, Last: p.UID}}, trash.ID)
		return err
	})
	for _, filter := range []string{`{}`, `{"emailId":"` + id + `"}`} {
		list := w.acts(filter).List
		if len(list) < 3 {
			t.Fatalf("%s: %+v", filter, list)
		}
		moved, read, came := list[0].Entries[0], list[1].Entries[0], list[2].Entries[0]
		if moved.Op != "move" || moved.MailboxName != "INBOX" || moved.ToName != "Trash" || moved.Count != 1 || len(moved.Emails) != 1 || moved.Emails[0].EmailID != id || moved.Emails[0].Subject != "Lunch" || moved.Emails[0].From != "Bob" || !moved.Emails[0].IsThere {
			t.Errorf("%s: %+v", filter, moved)
		}
		if read.Op != "flags" || !slices.Equal(read.Added, []string{"$seen"}) || read.Emails[0].IsThere {
			t.Errorf("%s: %+v", filter, read)
		}
		if came.Op != "append" {
			t.Errorf("%s: %+v", filter, came)
		}
	}
	if list := w.acts(`{"mailboxId":"` + trash.ID.String() + `"}`).List; len(list) != 2 { // it was made, and something was moved there
		t.Errorf("%+v", list)
	}
	if list := w.acts(`{"until":"2001-01-01T00:00:00Z"}`).List; len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if list := w.acts(`{"protocol":"pop3"}`).List; len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestActsComeInPages(t *testing.T) {
	w := newTown(t)
	for range 5 {
		w.put("INBOX", letter)
	}
	var all []string
	before := ""
	for more := true; more; {
		var page actQueryAnswer
		w.call("Act/query", `{"accountId":"$ACCOUNT","limit":2`+before+`}`, &page)
		if len(page.IDs) > 2 || len(page.IDs) == 0 {
			t.Fatalf("%+v", page)
		}
		all, more = append(all, page.IDs...), page.More
		before = `,"before":"` + all[len(all)-1] + `"`
	}
	var whole actQueryAnswer
	w.call("Act/query", `{"accountId":"$ACCOUNT"}`, &whole)
	if !slices.Equal(all, whole.IDs) || len(all) < 5 {
		t.Errorf("in pages %v, at once %v", all, whole.IDs)
	}
	var newer actQueryAnswer
	w.call("Act/query", `{"accountId":"$ACCOUNT","filter":{"after":"`+all[2]+`"}}`, &newer)
	if !slices.Equal(newer.IDs, all[:2]) {
		t.Errorf("after %s: %v", all[2], newer.IDs)
	}
}

func TestUndoPreviewsAndUndoes(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	inbox := w.mailbox("INBOX")
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(inbox.ID, mail.AllUIDs, false)
		return err
	})
	act := w.acts(`{}`).List[0].ID
	var told actUndoAnswer
	w.call("Act/undo", `{"accountId":"$ACCOUNT","ids":["`+act+`"],"preview":true}`, &told)
	if told.Undone != 1 || told.Act != nil || w.mailbox("INBOX").Counts.Placements != 0 {
		t.Fatalf("the preview: %+v, %d messages", told, w.mailbox("INBOX").Counts.Placements)
	}
	w.call("Act/undo", `{"accountId":"$ACCOUNT","ids":["`+act+`"]}`, &told)
	if told.Undone != 1 || told.Act == nil || w.mailbox("INBOX").Counts.Placements != 1 {
		t.Fatalf("%+v, %d messages", told, w.mailbox("INBOX").Counts.Placements)
	}
	undo := w.acts(`{}`).List[0]
	if undo.ID != *told.Act || undo.Undoes == nil || *undo.Undoes != act || undo.Cause != "undo" || undo.Protocol != "jmap" {
		t.Errorf("%+v", undo)
	}
	w.call("Act/undo", `{"accountId":"$ACCOUNT","ids":["`+*told.Act+`"]}`, &told)
	if n := w.mailbox("INBOX").Counts.Placements; n != 0 {
		t.Errorf("after the redo there are %d messages", n)
	}
	_ = p
	for _, args := range []string{`{"accountId":"$ACCOUNT"}`, `{"accountId":"$ACCOUNT","ids":["x"]}`, `{"accountId":"$ACCOUNT","deviceId":"D1"}`, `{"accountId":"A0","ids":["J1"]}`} {
		var e methodError
		if name := w.call("Act/undo", args, &e); name != "error" {
			t.Errorf("%s: %s", args, name)
		}
	}
}

// What the web client's activity undoes when a mailbox was deleted.
func TestADeletedMailboxComesBack(t *testing.T) {
	w := newTown(t)
	w.change(func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "Work"}); return err })
	w.put("Work", letter)
	was := w.mailbox("Work")
	w.call("Mailbox/set", `{"accountId":"$ACCOUNT","destroy":["`+was.ID.String()+`"],"onDestroyRemoveEmails":true}`, &map[string]any{})
	var told actUndoAnswer
	w.call("Act/undo", `{"accountId":"$ACCOUNT","ids":["`+w.acts(`{}`).List[0].ID+`"]}`, &told)
	if now := w.mailbox("Work"); now.ID != was.ID || now.Counts.Placements != 1 || len(told.Left) > 0 {
		t.Errorf("%+v, left %v", now, told.Left)
	}
}

func TestAllThatADeviceDidIsUndoneAtOnce(t *testing.T) {
	w := newTown(t)
	sess, err := w.auth.Login(t.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.IMAP, Client: "Bad"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.put("INBOX", letter)
	}
	inbox := w.mailbox("INBOX")
	since := time.Now().Add(-time.Minute)
	for _, uid := range []mail.UID{1, 2} {
		_, err := w.Store.Update(t.Context(), w.alice.Account, sess.Origin(), func(tx store.Tx) error {
			_, err := tx.Expunge(inbox.ID, mail.UIDSet{{First: uid, Last: uid}}, false)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var told actUndoAnswer
	args := fmt.Sprintf(`{"accountId":"$ACCOUNT","deviceId":%q,"since":%q`, deviceID(sess.Device().ID), since.UTC().Format(time.RFC3339))
	w.call("Act/undo", args+`,"preview":true}`, &told)
	if len(told.IDs) != 2 || told.Undone != 2 || w.mailbox("INBOX").Counts.Placements != 1 {
		t.Fatalf("the preview: %+v", told)
	}
	w.call("Act/undo", args+`}`, &told)
	if told.Act == nil || w.mailbox("INBOX").Counts.Placements != 3 {
		t.Errorf("%+v, %d messages", told, w.mailbox("INBOX").Counts.Placements)
	}
}

type devicesTold struct {
	List []struct {
		ID, Name, Protocol, Access                string
		IsCurrent, HasAppPassword, IsDownloadOnly bool
		Behind                                    int
		Wipe                                      *struct{ Scope, State string }
		Collections                               []struct {
			MailboxID string
			Behind    int
		}
	}
}

func (w *town) devices() (told devicesTold) {
	w.T.Helper()
	w.call("Device/get", `{"accountId":"$ACCOUNT","ids":null}`, &told)
	return told
}

func TestDevicesAreListedWithTheirPlace(t *testing.T) {
	w := newTown(t)
	w.put("INBOX", letter)
	sess, err := w.auth.Login(t.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.EAS, DeviceKey: "PHONE", Client: "iPhone"})
	if err != nil {
		t.Fatal(err)
	}
	inbox := w.mailbox("INBOX")
	w.server.Trails.Note(t.Context(), device.Who{Account: w.alice.Account, Device: sess.Device().ID, DeviceID: "PHONE"}, false, func(tr *device.Trail) {
		tr.Mark("1", device.Mark{Mailbox: inbox.ID, ModSeq: inbox.HighestModSeq})
	})
	for _, want := range []int{0, 1, 2} {
		found := false
		list := w.devices().List
		for _, d := range list {
			if d.ID == deviceID(sess.Device().ID) {
				found = true
				if d.Behind != want || len(d.Collections) != 1 || d.Collections[0].Behind != want || d.Protocol != "activesync" || d.IsCurrent {
					t.Errorf("%+v, want behind by %d", d, want)
				}
			} else if !d.IsCurrent {
				t.Errorf("%+v is not the current one", d)
			}
		}
		if !found || len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		w.put("INBOX", letter)
	}
}

func TestDevicesAreMadeRenamedBlockedAndWiped(t *testing.T) {
	w := newTown(t)
	var made struct {
		Created map[string]struct{ ID, AppPassword string }
	}
	w.call("Device/set", `{"accountId":"$ACCOUNT","create":{"k":{"name":"Thunderbird","protocols":["imap","submission"]}}}`, &made)
	k := made.Created["k"]
	if k.AppPassword == "" {
		t.Fatalf("%+v", made)
	}
	try := func(p mail.Protocol) error {
		_, err := w.auth.Login(t.Context(), auth.Attempt{Login: login, Secret: k.AppPassword, Protocol: p})
		return err
	}
	if err := try(mail.IMAP); err != nil {
		t.Fatal(err)
	}
	if err := try(mail.POP3); mail.KindOf(err) != mail.Denied {
		t.Errorf("POP3 with a password for IMAP: %v", err)
	}
	update := func(patch string) (a setAnswer) {
		w.call("Device/set", `{"accountId":"$ACCOUNT","update":{"`+k.ID+`":`+patch+`}}`, &a)
		return a
	}
	if a := update(`{"name":"Desk"}`); a.NotUpdated != nil || w.devices().List[1].Name != "Desk" {
		t.Errorf("%+v, %+v", a, w.devices())
	}
	if a := update(`{"name":"De\u001b]0;sk\n"}`); a.NotUpdated != nil || w.devices().List[1].Name != "De]0;sk" {
		t.Errorf("a name that a terminal obeys: %+v, %+v", a, w.devices().List[1])
	}
	update(`{"name":"Desk"}`)
	if a := update(`{"access":"blocked"}`); a.NotUpdated != nil || mail.KindOf(try(mail.IMAP)) != mail.Denied {
		t.Errorf("%+v: %v", a, try(mail.IMAP))
	}
	if a := update(`{"access":"allowed"}`); a.NotUpdated != nil || try(mail.IMAP) != nil {
		t.Errorf("%+v: %v", a, try(mail.IMAP))
	}
	for _, bad := range []string{`{"name":""}`, `{"access":"none"}`, `{"wipe":{"scope":"all"}}`, `{"id":"D1"}`, `{"access":"blocked","wipe":{"scope":"account"}}`, `{"name":3}`} {
		if a := update(bad); a.NotUpdated[k.ID] == nil {
			t.Errorf("%s: %+v", bad, a)
		}
	}
	var gone struct{ Destroyed []string }
	w.call("Device/set", `{"accountId":"$ACCOUNT","destroy":["`+k.ID+`"]}`, &gone)
	if !slices.Equal(gone.Destroyed, []string{k.ID}) || mail.KindOf(try(mail.IMAP)) != mail.BadCredentials {
		t.Errorf("signed out %v: %v", gone, try(mail.IMAP))
	}
	if list := w.acts(`{}`).List; !strings.Contains(fmt.Sprint(list[0].Entries), "Desk") {
		t.Errorf("the journal says %+v", list[0])
	}
}

// byProgram signs in with an app password, whoever asks.
type byProgram struct {
	byPassword
	secret string
}

func (b byProgram) Authenticate(r *http.Request) (*auth.Session, error) {
	return b.auth.Login(r.Context(), auth.Attempt{Login: login, Secret: b.secret, Protocol: mail.JMAP, Addr: netip.IPv6Loopback()})
}

// A program decides about its own device alone, and neither makes passwords nor wipes.
func TestAProgramDecidesAboutItselfAlone(t *testing.T) {
	w := newTown(t)
	own, secret, err := w.auth.AddDevice(t.Context(), w.alice, "program", nil)
	if err != nil {
		t.Fatal(err)
	}
	phone, _, err := w.auth.AddDevice(t.Context(), w.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.server.Auth = byProgram{byPassword{w.auth}, secret}
	update := func(d mail.Device, patch string) *setError {
		var a setAnswer
		w.call("Device/set", `{"accountId":"$ACCOUNT","update":{"`+deviceID(d.ID)+`":`+patch+`}}`, &a)
		return a.NotUpdated[deviceID(d.ID)]
	}
	for _, patch := range []string{`{"access":"blocked"}`, `{"access":"allowed"}`, `{"wipe":null}`, `{"wipe":{"scope":"account"}}`, `{"name":"mine"}`, `{"startOver":true}`} {
		if no := update(phone, patch); no == nil || no.Type != "forbidden" {
			t.Errorf("%s: %+v", patch, no)
		}
	}
	if no := update(own, `{"wipe":{"scope":"account"}}`); no == nil {
		t.Error("a program wipes its own device")
	}
	if no := update(own, `{"name":"Mail on the desk"}`); no != nil {
		t.Errorf("its own name: %+v", no)
	}
	var a setAnswer
	if w.call("Device/set", `{"accountId":"$ACCOUNT","destroy":["`+deviceID(phone.ID)+`"]}`, &a); a.NotDestroyed[deviceID(phone.ID)] == nil {
		t.Error("a program signs another device out")
	}
	if w.call("Device/set", `{"accountId":"$ACCOUNT","create":{"k":{"name":"more","protocols":[]}}}`, &a); a.NotCreated["k"] == nil {
		t.Error("a program makes a password")
	}
}

func TestADeviceStartsOver(t *testing.T) {
	w := newTown(t)
	sess, err := w.auth.Login(t.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.EAS, DeviceKey: "PHONE", Client: "iPhone"})
	if err != nil {
		t.Fatal(err)
	}
	id := sess.Device().ID
	held, policy := device.CursorPrefix("PHONE")+"c/1", device.CursorPrefix("PHONE")+"policy"
	err = w.Store.Note(t.Context(), w.alice.Account, func(n store.Notes) error {
		return errors.Join(n.SetCursor(id, held, []byte("x")), n.SetCursor(id, policy, []byte("x")))
	})
	if err != nil {
		t.Fatal(err)
	}
	update := func(patch string) *setError {
		var a setAnswer
		w.call("Device/set", `{"accountId":"$ACCOUNT","update":{"`+deviceID(id)+`":`+patch+`}}`, &a)
		return a.NotUpdated[deviceID(id)]
	}
	if bad := update(`{"startOver":false}`); bad == nil {
		t.Error("false is taken")
	}
	if bad := update(`{"startOver":true}`); bad != nil {
		t.Errorf("%+v", bad)
	}
	err = w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		if left, err := r.Cursors(id, ""); err != nil || !slices.Equal(left, []string{policy}) {
			t.Errorf("left %v, %v", left, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if bad := update(`{"startOver":true}`); bad == nil || bad.Type != "notFound" {
		t.Errorf("a device that holds nothing: %+v", bad)
	}
}

func TestTheCurrentDeviceDoesNotLockItselfOut(t *testing.T) {
	w := newTown(t)
	own := w.devices().List[0]
	var a struct {
		NotUpdated map[string]struct{ Type string }
	}
	w.call("Device/set", `{"accountId":"$ACCOUNT","update":{"`+own.ID+`":{"access":"blocked"}}}`, &a)
	if !own.IsCurrent || a.NotUpdated[own.ID].Type != "forbidden" {
		t.Errorf("%+v: %+v", own, a)
	}
}
