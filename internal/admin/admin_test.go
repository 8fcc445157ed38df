package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"lockstep/internal/auth"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// newOps makes the verbs on the model store.
func newOps(t *testing.T) *Ops {
	h := deliverytest.New(t)
	log := slog.New(slog.DiscardHandler)
	return &Ops{
		Trails: device.NewTrails(h.Store, log), Policies: device.Policies{"strict": {NewDevices: mail.Quarantined}},
		Store: h.Store, Directory: h.Store, Keeper: h.Store, Queue: h.Store, Auth: auth.New(h.Store, h.Store, []byte("salts"), log),
		Blobs: h.Blobs, Ingest: h.Delivery.Ingest, Log: log, Message: 1 << 20, Version: "test",
	}
}

// both runs a test on each way to reach the verbs.
func both(t *testing.T, test func(*testing.T, *Ops, *Client)) {
	t.Run("here", func(t *testing.T) {
		o := newOps(t)
		c := Here(o, func() error { return nil })
		t.Cleanup(func() { c.Close() })
		test(t, o, c)
	})
	t.Run("socket", func(t *testing.T) {
		o := newOps(t)
		socket := filepath.Join(t.TempDir(), "s")
		l, err := Listen(socket)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- o.Serve(ctx, l) }()
		c, err := Dial(ctx, socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Close()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		test(t, o, c)
	})
}

const alice = "alice@example.test"

func addAlice(t *testing.T, c *Client) {
	t.Helper()
	if _, err := AccountAdd.One(t.Context(), c, NewAccount{Login: alice, Password: "a good password"}); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, k mail.Kind, words string) {
	t.Helper()
	if err == nil || mail.KindOf(err) != k || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v (%v), want %v with %q", err, mail.KindOf(err), k, words)
	}
}

func TestAccounts(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		_, err := AccountAdd.One(ctx, c, NewAccount{Login: "ALICE@example.test", Password: "a good password"})
		wantKind(t, err, mail.Exists, "account passwd alice@example.test")
		_, err = AccountAdd.One(ctx, c, NewAccount{Login: "alice", Password: "a good password"})
		wantKind(t, err, mail.Invalid, "a login looks like")
		_, err = AccountAdd.One(ctx, c, NewAccount{Login: "x@example.test", Password: "short"})
		wantKind(t, err, mail.Invalid, "a password has")
		if err := AccountDisable.Do(ctx, c, SetDisabled{alice, true}); err != nil {
			t.Fatal(err)
		}
		if err := AccountQuota.Do(ctx, c, SetQuota{alice, 5000}); err != nil {
			t.Fatal(err)
		}
		rows, err := AccountList.All(ctx, c, Nothing{})
		if err != nil || len(rows) != 1 || rows[0].Login != alice || !rows[0].Disabled || rows[0].Quota != 5000 {
			t.Errorf("%+v, %v", rows, err)
		}
		if err := AccountRemove.Do(ctx, c, Removal{Login: alice}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, AccountRemove.Do(ctx, c, Removal{Login: alice}), mail.NotFound, "account list")
	})
}

func TestPasswordChangeLetsTheNewOneIn(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		addAlice(t, c)
		if err := AccountPassword.Do(t.Context(), c, NewPassword{alice, "another password"}); err != nil {
			t.Fatal(err)
		}
		_, err := o.Auth.Login(t.Context(), auth.Attempt{Login: alice, Secret: "another password", Protocol: mail.IMAP})
		if err != nil {
			t.Error(err)
		}
		_, err = o.Auth.Login(t.Context(), auth.Attempt{Login: alice, Secret: "a good password", Protocol: mail.IMAP})
		wantKind(t, err, mail.BadCredentials, "wrong")
	})
}

func TestALostSecondFactorIsTakenAway(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		addAlice(t, c)
		_, err := AccountFactors.One(t.Context(), c, OfAccount{Login: alice})
		wantKind(t, err, mail.NotFound, "has no second factor")
		p, err := o.Directory.PrincipalByLogin(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		e := o.Auth.BeginTOTP(p, "test")
		code, err := totp.GenerateCode(e.Secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Auth.ConfirmTOTP(t.Context(), p, e.Secret, code); err != nil {
			t.Fatal(err)
		}
		attempt := auth.Attempt{Login: alice, Secret: "a good password", Protocol: mail.IMAP}
		if _, err := o.Auth.Login(t.Context(), attempt); auth.RefusalOf(err) != auth.NeedsAppPassword {
			t.Errorf("by the password alone: %v", err)
		}
		was, err := AccountFactors.One(t.Context(), c, OfAccount{Login: alice})
		if err != nil || !was.TOTP || was.Passkeys != 0 {
			t.Errorf("%+v, %v", was, err)
		}
		if _, err := o.Auth.Login(t.Context(), attempt); err != nil {
			t.Errorf("by the password alone, afterwards: %v", err)
		}
	})
}

func TestPreferences(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		if err := AccountSet.Do(ctx, c, Choice{alice, mail.POP3Delete, mail.ForGood}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, AccountSet.Do(ctx, c, Choice{alice, "pop3", mail.ForGood}), mail.Invalid, "there are device.policy, guard, pop3.delete")
		wantKind(t, AccountSet.Do(ctx, c, Choice{alice, mail.POP3Delete, "maybe"}), mail.Invalid, "one of trash, delete")
		rows, err := AccountShow.All(ctx, c, OfAccount{alice})
		if err != nil || len(rows) != 3 || rows[0].Name != mail.DevicePolicy || rows[1].Name != mail.Guard || rows[1].Value != mail.GuardKeep || rows[2].Value != mail.ForGood {
			t.Errorf("%+v, %v", rows, err)
		}
		if err := AccountSet.Do(ctx, c, Choice{alice, mail.POP3Delete, ""}); err != nil {
			t.Fatal(err)
		}
		events, err := History.All(ctx, c, OfHistory{Login: alice, Limit: 2})
		if err != nil || len(events) != 2 || events[0].What != "set pop3.delete to delete" || events[1].What != "set pop3.delete to its default" {
			t.Errorf("%+v, %v", events, err)
		}
	})
}

// Mail is looked up by the A-labels of its domain.
func TestDomainsBeyondASCII(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		for _, a := range []string{"info@bücher.test", "@Käse.test"} {
			if err := AddressAdd.Do(ctx, c, Address{Login: alice, Address: a}); err != nil {
				t.Fatal(err)
			}
		}
		for _, domain := range []string{"xn--bcher-kva.test", "xn--kse-qla.test"} {
			if _, err := o.Directory.Lookup(ctx, "info", domain); err != nil {
				t.Errorf("%s: %v", domain, err)
			}
		}
		if err := AddressRemove.Do(ctx, c, Address{Address: "info@bücher.test"}); err != nil {
			t.Error(err)
		}
		_, err := AccountAdd.One(ctx, c, NewAccount{Login: "bob@bücher.test", Password: "correct-horse"})
		wantKind(t, err, mail.Invalid, "bob@xn--bcher-kva.test")
	})
}

func TestAddresses(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		for _, a := range []string{"info@example.test", "@other.test"} {
			if err := AddressAdd.Do(ctx, c, Address{Login: alice, Address: a}); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, AddressAdd.Do(ctx, c, Address{Login: alice, Address: "info"}), mail.Invalid, "write info@example.test")
		rows, err := AddressList.All(ctx, c, OfAccount{alice})
		var got []string
		for _, r := range rows {
			got = append(got, r.Address)
		}
		slices.Sort(got)
		if want := []string{"@other.test", alice, "info@example.test"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
		if err := AddressRemove.Do(ctx, c, Address{Address: "info@example.test"}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Directory.Lookup(ctx, "info", "example.test"); mail.KindOf(err) != mail.NotFound {
			t.Error(err)
		}
	})
}

func TestDevices(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		added, err := DeviceAdd.One(ctx, c, NewDevice{Login: alice, Name: "phone", Protocols: []mail.Protocol{mail.IMAP}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = DeviceAdd.One(ctx, c, NewDevice{Login: alice, Name: "x", Protocols: []mail.Protocol{"gopher"}})
		wantKind(t, err, mail.Invalid, "gopher")
		attempt := auth.Attempt{Login: alice, Secret: added.Secret, Protocol: mail.IMAP}
		sess, err := o.Auth.Login(ctx, attempt)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan string, 1)
		defer o.Auth.Track(sess, func(reason string) { ended <- reason })()
		rows, err := DeviceList.All(ctx, c, OfAccount{alice})
		if err != nil || len(rows) != 1 || rows[0].Name != "phone" || !rows[0].AppPassword || rows[0].Connected != 1 {
			t.Fatalf("%+v, %v", rows, err)
		}
		if _, err := DeviceAccess.One(ctx, c, NewAccess{OfDevice{Login: alice, Device: "Phone"}, mail.Blocked}); err != nil {
			t.Fatal(err)
		}
		if reason := <-ended; reason != "device blocked" {
			t.Error(reason)
		}
		_, err = o.Auth.Login(ctx, attempt)
		wantKind(t, err, mail.Denied, "blocked")
		if _, err := DeviceAccess.One(ctx, c, NewAccess{OfDevice{Login: alice, Device: fmt.Sprint(rows[0].ID)}, mail.Allowed}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Auth.Login(ctx, attempt); err != nil {
			t.Error(err)
		}
		if _, err := DeviceSignOut.One(ctx, c, OfDevice{Login: alice, Device: "phone"}); err != nil {
			t.Fatal(err)
		}
		_, err = o.Auth.Login(ctx, attempt)
		wantKind(t, err, mail.BadCredentials, "wrong")
		_, err = DeviceSignOut.One(ctx, c, OfDevice{Login: alice, Device: "tablet"})
		wantKind(t, err, mail.NotFound, "device list "+alice)
	})
}

// items gives messages to import.
func items(list ...Item) Source {
	return func(put func(Item) error) error {
		for _, it := range list {
			if err := put(it); err != nil {
				return err
			}
		}
		return nil
	}
}

func letter(n int) string {
	return fmt.Sprintf("From: a@example.test\r\nSubject: %d\r\nMessage-ID: <%d@example.test>\r\n\r\nBody %d\r\n", n, n, n)
}

func letters(from, to int, mailbox string) Source {
	var list []Item
	for n := from; n < to; n++ {
		list = append(list, Item{Mailbox: mailbox, Flags: []string{`\Seen`, `\Bogus`, "word"}, Date: time.Unix(int64(n), 0), Body: strings.NewReader(letter(n))})
	}
	return items(list...)
}

func TestImportIsInOrderAndOnlyOnce(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		steps := 0
		got, err := c.Import(ctx, alice, letters(0, 450, "Old/Mail"), func(Imported) { steps++ })
		if err != nil || got.New != 450 || got.Known != 0 || got.Failed != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		if steps < 3 {
			t.Errorf("only %d steps of progress", steps)
		}
		got, err = c.Import(ctx, alice, letters(440, 460, "Old/Mail"), func(Imported) {})
		if err != nil || got.New != 10 || got.Known != 10 {
			t.Errorf("%+v, %v", got, err)
		}
		got, err = c.Import(ctx, alice, letters(0, 3, "INBOX"), func(Imported) {})
		if err != nil || got.New != 3 {
			t.Errorf("another mailbox: %+v, %v", got, err)
		}
		list, err := MessageList.All(ctx, c, OfMailbox{Login: alice, Path: "Old/Mail"})
		if err != nil || len(list) != 460 {
			t.Fatalf("%d messages, %v", len(list), err)
		}
		for i, l := range list {
			if l.Date.Unix() != int64(i) || !slices.Equal(l.Flags, []string{`\Seen`, "word"}) {
				t.Fatalf("message %d: %+v", i, l)
			}
		}
		body, err := c.Message(ctx, alice, "Old/Mail", list[7].UID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(text) != letter(7) {
			t.Errorf("%q, %v", text, err)
		}
		_, err = c.Message(ctx, alice, "Old/Mail", 9999)
		wantKind(t, err, mail.NotFound, "9999")
	})
}

func TestImportRefusesOneTooLargeAndGoesOn(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		addAlice(t, c)
		largest := letter(1) + strings.Repeat("x", int(o.Message)-len(letter(1)))
		got, err := c.Import(t.Context(), alice, items(
			Item{Mailbox: "INBOX", Body: strings.NewReader(largest + "y")},
			Item{Mailbox: "INBOX", Body: strings.NewReader(largest)},
			Item{Mailbox: "INBOX", Body: strings.NewReader(letter(2))},
		), func(Imported) {})
		if err != nil || got.New != 2 || got.Failed != 1 || !strings.Contains(got.Refused[0], "limits.message") {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestImportStopsWhenTheAccountIsFull(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		addAlice(t, c)
		if err := AccountQuota.Do(t.Context(), c, SetQuota{alice, 1000}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Import(t.Context(), alice, letters(0, 300, "INBOX"), func(Imported) {})
		wantKind(t, err, mail.OverQuota, "account quota")
	})
}

func TestImportTellsWhatWentWrongWithTheSource(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		addAlice(t, c)
		broken := errors.New("the disk is gone")
		_, err := c.Import(t.Context(), alice, func(put func(Item) error) error {
			if err := letters(0, 5, "INBOX")(put); err != nil {
				return err
			}
			return broken
		}, func(Imported) {})
		if !errors.Is(err, broken) {
			t.Error(err)
		}
		_, err = c.Import(t.Context(), "nobody@example.test", letters(0, 2000, "INBOX"), func(Imported) {})
		wantKind(t, err, mail.NotFound, "nobody@example.test")
	})
}

func TestHistoryAndUndo(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		if _, err := c.Import(ctx, alice, letters(0, 3, "INBOX"), func(Imported) {}); err != nil {
			t.Fatal(err)
		}
		device, err := DeviceAdd.One(ctx, c, NewDevice{Login: alice, Name: "phone"})
		if err != nil {
			t.Fatal(err)
		}
		p, _ := o.principal(ctx, alice)
		by := mail.NewOrigin(alice, device.ID, mail.IMAP, mail.ByUser)
		flagged, _ := mail.NewFlags(`\Flagged`)
		_, err = o.Store.Update(ctx, p.Account, by, func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("INBOX")
			if err != nil {
				return err
			}
			_, err = tx.StoreFlags(mb.ID, mail.MakeUIDSet(1, 2), mail.FlagChange{Add: flagged}, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		events, err := History.All(ctx, c, OfHistory{Login: alice})
		if err != nil || len(events) < 3 {
			t.Fatalf("%v, %v", events, err)
		}
		last := events[len(events)-1]
		if got, want := last.String(), "phone (imap) marked 2 messages flagged in INBOX"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := events[len(events)-2].String(); !strings.Contains(got, "imported") {
			t.Error(got)
		}
		for q, want := range map[OfHistory]int{
			{Login: alice, Device: "phone"}:            1,
			{Login: alice, Mailbox: "INBOX", UID: 3}:   1,
			{Login: alice, Mailbox: "INBOX", Limit: 1}: 1,
		} {
			if events, err := History.All(ctx, c, q); err != nil || len(events) != want {
				t.Errorf("%+v: %v, %v", q, events, err)
			}
		}
		_, err = History.All(ctx, c, OfHistory{Login: alice, Mailbox: "No"})
		wantKind(t, err, mail.NotFound, "mailbox list")

		undone, err := Undo.One(ctx, c, OfAct{Act: last.Act}) // the only account needs no name
		if err != nil || undone.Count != 2 {
			t.Errorf("%+v, %v", undone, err)
		}
		_, err = Undo.One(ctx, c, OfAct{Login: alice, Act: 99999})
		wantKind(t, err, mail.NotFound, "lockstep history")
		if _, err := AccountAdd.One(ctx, c, NewAccount{Login: "bob@example.test", Password: "a good password"}); err != nil {
			t.Fatal(err)
		}
		_, err = Undo.One(ctx, c, OfAct{Act: last.Act})
		wantKind(t, err, mail.Invalid, "--account")
	})
}

func TestDoctorFindsNothingWrongWithGoodMail(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		addAlice(t, c)
		if _, err := c.Import(t.Context(), alice, letters(0, 3, "INBOX"), func(Imported) {}); err != nil {
			t.Fatal(err)
		}
		found, err := Doctor.All(t.Context(), c, Examine{})
		if err != nil || len(found) != 1 || found[0].Problem != "" || found[0].Messages != 3 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// What is shown of a message is made anew: if it can't be read by itself, and if
// it is wrong when that is asked for.
func TestDoctorMakesAnewWhatIsShown(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		addAlice(t, c)
		if _, err := c.Import(t.Context(), alice, letters(0, 3, "INBOX"), func(Imported) {}); err != nil {
			t.Fatal(err)
		}
		p, err := o.principal(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		read := func() []filed {
			t.Helper()
			var inbox mail.Mailbox
			err := o.Store.View(t.Context(), p.Account, func(r store.Reader) (err error) {
				inbox, err = r.MailboxByPath("INBOX")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			page, err := readPage(t.Context(), o.Store, p.Account, inbox.ID, 1)
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		good := read()
		for _, test := range []struct {
			d    store.Derived
			with Examine
			cure bool
		}{
			{store.Derived{Parsed: []byte{0xff}}, Examine{LookOnly: true}, false},
			{store.Derived{Parsed: []byte{0xff}}, Examine{}, true},
			{store.Derived{Parsed: []byte{0xff}}, Examine{Fast: true}, true},
			{store.Derived{Parsed: []byte{0xff}}, Examine{Login: alice}, true},
			{store.Derived{Parsed: good[1].m.Parsed, Preview: "nonsense"}, Examine{Rebuild: true}, true},
		} {
			test.d.Message = good[0].m.Key
			if err := o.Keeper.Reparsed(t.Context(), p.Account, []store.Derived{test.d}); err != nil {
				t.Fatal(err)
			}
			found, err := Doctor.All(t.Context(), c, test.with)
			if err != nil || len(found) != 2 || found[0].Repaired != test.cure || !strings.Contains(found[0].Problem, "1 message in INBOX") {
				t.Errorf("%+v: %+v, %v", test.with, found, err)
			}
			now := read()[0].m
			if cured := string(now.Parsed) == string(good[0].m.Parsed) && now.Preview == good[0].m.Preview && now.MessageID == good[0].m.MessageID; cured != test.cure {
				t.Errorf("%+v: as it was before: %v", test.with, cured)
			}
		}
	})
}

func TestMailboxesAndQueue(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		addAlice(t, c)
		rows, err := MailboxList.All(t.Context(), c, OfAccount{alice})
		if err != nil || len(rows) != len(mail.Standard) || rows[0].Path != "INBOX" {
			t.Errorf("%+v, %v", rows, err)
		}
		if queue, err := QueueList.All(t.Context(), c, Nothing{}); err != nil || len(queue) != 0 {
			t.Errorf("%+v, %v", queue, err)
		}
	})
}

// What a restore holds is listed as such, is the doctor's business, and leaves or goes
// when somebody says so.
func TestWhatARestoreHoldsIsDecided(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		p, err := o.Directory.PrincipalByLogin(ctx, alice)
		if err != nil {
			t.Fatal(err)
		}
		var out []store.Outgoing
		for _, to := range []string{"a@else.example", "b@else.example", "c@else.example"} {
			out = append(out, store.Outgoing{Delivery: "d", Account: p.Account, Blob: mail.Blob{Name: mail.BlobName{1}, Fresh: true}, Recipient: to, Arrived: time.Now(), Next: time.Now()})
		}
		if err := errors.Join(o.Queue.Enqueue(ctx, out), o.Keeper.Restored(ctx)); err != nil {
			t.Fatal(err)
		}
		rows, err := QueueList.All(ctx, c, Nothing{})
		if err != nil || len(rows) != 3 || !rows[0].Restored || rows[0].ID == 0 {
			t.Fatalf("%+v, %v", rows, err)
		}
		found, err := Doctor.All(ctx, c, Examine{Fast: true})
		if err != nil || !strings.Contains(found[0].Problem, "3 outgoing messages are held") {
			t.Errorf("%+v, %v", found, err)
		}
		if _, err := QueueDrop.One(ctx, c, Decide{1 << 50}); mail.KindOf(err) != mail.NotFound {
			t.Errorf("one that is not there: %v", err)
		}
		for _, step := range []struct {
			verb Verb[Decide, Decided]
			id   int64
			n    int
		}{{QueueDrop, rows[0].ID, 1}, {QueueRelease, rows[1].ID, 1}, {QueueRelease, 0, 1}, {QueueDrop, 0, 0}} {
			if r, err := step.verb.One(ctx, c, Decide{step.id}); err != nil || r.Messages != step.n {
				t.Errorf("%+v: %+v, %v", step, r, err)
			}
		}
		if rows, err := QueueList.All(ctx, c, Nothing{}); err != nil || len(rows) != 2 || rows[0].Restored {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}

func TestSharing(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		ctx := t.Context()
		addAlice(t, c)
		bob := "bob@example.test"
		if _, err := AccountAdd.One(ctx, c, NewAccount{Login: bob, Password: "a good password"}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []Share{{alice, "INBOX", bob, "read"}, {alice, "Sent", "anyone", "l"}, {alice, "INBOX", bob, "write"}} {
			if err := MailboxShare.Do(ctx, c, s); err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
		}
		rows, err := MailboxShares.All(ctx, c, OfAccount{alice})
		want := []Share{{alice, "INBOX", bob, "lrswite"}, {alice, "Sent", "anyone", "l"}}
		if err != nil || !slices.Equal(rows, want) {
			t.Errorf("%+v, %v", rows, err)
		}
		if err := MailboxCommonSeen.Do(ctx, c, CommonSeen{alice, "INBOX", true}); err != nil {
			t.Error(err)
		}
		wantKind(t, MailboxShare.Do(ctx, c, Share{alice, "Nowhere", bob, "read"}), mail.NotFound, "mailbox list")
		wantKind(t, MailboxShare.Do(ctx, c, Share{alice, "INBOX", "nobody@example.test", "read"}), mail.NotFound, "account list")
		wantKind(t, MailboxShare.Do(ctx, c, Share{alice, "INBOX", alice, "read"}), mail.Invalid, "all rights")
		wantKind(t, MailboxShare.Do(ctx, c, Share{alice, "INBOX", bob, "everything"}), mail.Invalid, "letters of")
		if err := MailboxShare.Do(ctx, c, Share{Login: alice, Mailbox: "INBOX", Who: bob}); err != nil {
			t.Error(err)
		}
		events, err := History.All(ctx, c, OfHistory{Login: alice, Mailbox: "INBOX", Limit: 2})
		if err != nil || len(events) != 2 || events[1].What != "stopped sharing INBOX with "+bob || events[0].What != "made read and unread common to all in INBOX" {
			t.Errorf("%v, %v", events, err)
		}
		if err := AccountRemove.Do(ctx, c, Removal{Login: bob}); err != nil {
			t.Error(err)
		}
		if rows, err := MailboxShares.All(ctx, c, OfAccount{alice}); err != nil || len(rows) != 1 {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}

func TestUnknownVerbsAreSaidToBe(t *testing.T) {
	both(t, func(t *testing.T, _ *Ops, c *Client) {
		v := Verb[Nothing, Nothing]{name: "of/the/future"}
		wantKind(t, v.Do(t.Context(), c, Nothing{}), mail.Unimplemented, "another version")
	})
}

func TestSocketIsItsOwnersAndReplacesADeadOne(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	dead, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if _, err := Dial(t.Context(), socket); err == nil {
		t.Error("a dead socket was reached")
	}
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A path may be longer than what the system takes for a socket.
func TestASocketIsReachedHoweverLongItsPath(t *testing.T) {
	for _, n := range []int{maxSocketPath, maxSocketPath + 1, 1000} {
		dir := t.TempDir()
		for len(dir) < n-2-100 {
			dir = filepath.Join(dir, strings.Repeat("d", 99))
		}
		dir = filepath.Join(dir, strings.Repeat("e", max(1, n-2-1-len(dir))))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		socket := filepath.Join(dir, "s")
		l, err := Listen(socket)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(socket), err)
		}
		ops := &Ops{Version: "of the test"}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- ops.Serve(ctx, l) }()
		c, err := Dial(t.Context(), socket)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(socket), err)
		}
		if _, err := Ping.One(t.Context(), c, Nothing{}); err != nil {
			t.Errorf("%d bytes: %v", len(socket), err)
		}
		c.Close()
		stop()
		if err := <-served; err != nil {
			t.Errorf("%d bytes: %v", len(socket), err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%d bytes: %v, %v", len(socket), left, err)
		}
	}
}

func TestAnAnswerCutShortIsAnError(t *testing.T) {
	err := readAnswer(strings.NewReader(`{"row":{}}`+"\n"), func(Nothing) error { return nil })
	wantKind(t, err, mail.Unavailable, "before it had answered")
}

func TestFollowerTellsWhoWasWrittenTo(t *testing.T) {
	o := newOps(t)
	c := Here(o, func() error { return nil })
	defer c.Close()
	addAlice(t, c)
	p, err := o.principal(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan Followed, 10)
	f := &Follower{Wait: 300 * time.Millisecond, Tell: func(x Followed) { told <- x }}
	watching := make(chan struct{})
	f.Ops = &Ops{Store: signalling{o.Store, watching}, Directory: o.Directory}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Follow(ctx, alice) }()
	<-watching // the first Watch is the follower's own
	<-watching // the second feeds its channel: from now on nothing is missed
	by := mail.NewOrigin(alice, 0, mail.Local, mail.ByUser).WithSession("mine")
	n, err := o.Store.Update(ctx, p.Account, by, func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "New"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range []string{"mine", "theirs", "another of theirs"} {
		f.Wrote(notify.Written{Account: p.Account, Device: mail.DeviceID(len(session)%4 + 1), Session: session, ModSeq: n, At: time.Now().Add(time.Minute)})
	}
	x := <-told
	if x.What != "made mailbox New" || x.Login != alice {
		t.Errorf("%+v", x)
	}
	if len(x.Written) != 2 || x.Written[0] < 30*time.Second {
		t.Errorf("written to %v", x.Written)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// signalling tells when it is watched.
type signalling struct {
	store.Store
	watched chan struct{}
}

func (s signalling) Watch(a mail.AccountID, fn func(mail.News)) func() {
	stop := s.Store.Watch(a, fn)
	s.watched <- struct{}{}
	return stop
}

func TestRoundSaysHowFarAChangeWent(t *testing.T) {
	for want, f := range map[string]Followed{
		"no device was waiting":               {},
		"written to 1 device in 5 µs":         {Written: []time.Duration{5 * time.Microsecond}},
		"written to 3 devices in 1 to 900 µs": {Written: []time.Duration{time.Microsecond, time.Microsecond, 900 * time.Microsecond}},
	} {
		if got := f.Round(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWords(t *testing.T) {
	n := names{map[mail.MailboxID]string{1: "INBOX", 2: "Archive"}, map[mail.DeviceID]string{3: "phone"}, map[mail.PrincipalID]string{5: "bob@example.test"}}
	before, after := &mail.MailboxImage{Name: "Old"}, &mail.MailboxImage{Name: "New"}
	uids := mail.MakeUIDSet(1, 2, 3)
	for _, c := range []struct {
		rec  mail.Record
		want string
	}{
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpFlags, Mailbox: 1, UIDs: uids, Added: []string{`\Seen`}, Removed: []string{"todo"}}}}, "phone (imap) marked 3 messages read and not todo in INBOX"},
		{mail.Record{Actor: "a@b.example", Protocol: mail.LMTP, Cause: mail.ByDelivery, Entries: []mail.Entry{{Op: mail.OpAppend, Mailbox: 1, UIDs: mail.MakeUIDSet(9)}}}, "<a@b.example> (lmtp) delivered 1 message to INBOX"},
		{mail.Record{Actor: "operator", Protocol: mail.Local, Undoes: 4, Entries: []mail.Entry{{Op: mail.OpRestore, Mailbox: 2, UIDs: uids}}}, "operator undid act 4: brought 3 messages back to Archive"},
		{mail.Record{Device: 9, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpMove, Mailbox: 1, Dest: 2, UIDs: uids}, {Op: mail.OpUpdateMailbox, Mailbox: 7, Before: before, After: after}}}, "a removed device (imap) moved 3 messages from INBOX to Archive, renamed mailbox Old to New"},
		{mail.Record{Actor: "operator", Protocol: mail.Local, Cause: mail.ByImport, Entries: []mail.Entry{{Op: mail.OpAppend, Mailbox: 1, UIDs: mail.MakeUIDSet(7)}, {Op: mail.OpAppend, Mailbox: 2, UIDs: mail.MakeUIDSet(1)}, {Op: mail.OpAppend, Mailbox: 1, UIDs: mail.MakeUIDSet(8)}}}, "operator imported 2 messages to INBOX, imported 1 message to Archive"},
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpDeleteMailbox, Mailbox: 7, Before: before}}}, "phone (imap) deleted mailbox Old"},
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpRights, Mailbox: 2, Who: 5, Has: mail.MayLookup | mail.MayRead}}}, "phone (imap) shared Archive with bob@example.test (lr)"},
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpRights, Mailbox: 2, Who: mail.Anyone, Had: mail.MayRead, Has: mail.MayLookup}}}, "phone (imap) changed what anyone may do in Archive from r to l"},
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpRights, Mailbox: 2, Who: 6, Had: mail.MayRead}}}, "phone (imap) stopped sharing Archive with a removed account"},
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpFlags, Mailbox: 2, Who: 5, UIDs: uids, Added: []string{`\Seen`}}}}, "phone (imap) marked 3 messages read in Archive, for bob@example.test alone"},
		{mail.Record{Device: 3, Protocol: mail.IMAP, Entries: []mail.Entry{{Op: mail.OpUpdateMailbox, Mailbox: 2, Before: &mail.MailboxImage{Name: "Archive"}, After: &mail.MailboxImage{Name: "Archive", CommonSeen: true}}}}, "phone (imap) made read and unread common to all in Archive"},
	} {
		if got := (Event{Who: n.who(c.rec), What: n.what(c.rec)}).String(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}
