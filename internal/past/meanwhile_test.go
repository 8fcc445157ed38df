package past

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/store/storetest"
)

// house is an account with an inbox and two more mailboxes, each with some messages.
type house struct {
	t       *testing.T
	db      storetest.Engine
	account mail.AccountID
	phone   mail.Origin
	boxes   map[string]mail.MailboxID
	n       int
}

func newHouse(t *testing.T, each int) *house {
	h := &house{t: t, db: sqltest.Temp(t, sqlstore.Options{RunTwice: true}), boxes: map[string]mail.MailboxID{}}
	p, err := h.db.CreateAccount(t.Context(), operator, store.NewAccount{Login: "ann@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	h.account = p.Account
	h.note(func(n store.Notes) error {
		d, err := n.AddDevice(mail.Device{Name: "phone", Key: "phone", Protocol: mail.IMAP})
		h.phone = mail.NewOrigin("ann@example.test", d.ID, mail.IMAP, mail.ByUser)
		return err
	})
	for _, name := range []string{"Work", "Play"} {
		h.update(func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: name}); return err })
	}
	for _, name := range []string{"INBOX", "Work", "Play", "Trash"} {
		h.boxes[name] = h.box(name).ID
	}
	for _, name := range []string{"INBOX", "Work", "Play"} {
		h.fill(name, each)
	}
	return h
}

func (h *house) note(fn func(store.Notes) error) {
	if err := h.db.Note(h.t.Context(), h.account, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) update(fn func(store.Tx) error) mail.ModSeq {
	h.t.Helper()
	n, err := h.db.Update(h.t.Context(), h.account, h.phone.WithCause(mail.ByUser), fn)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) box(path string) mail.Mailbox {
	h.t.Helper()
	var mb mail.Mailbox
	if err := h.db.View(h.t.Context(), h.account, func(r store.Reader) (err error) { mb, err = r.MailboxByPath(path); return err }); err != nil {
		h.t.Fatal(err)
	}
	return mb
}

func (h *house) head() mail.ModSeq {
	var a mail.Account
	if err := h.db.View(h.t.Context(), h.account, func(r store.Reader) (err error) { a, err = r.Account(); return err }); err != nil {
		h.t.Fatal(err)
	}
	return a.Head
}

func (h *house) arrival() mail.Arrival {
	h.n++
	blob := mail.Blob{Name: mail.BlobName{9, byte(h.n >> 8), byte(h.n)}, Size: 100, Place: "p", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)}
	return mail.Arrival{Blob: blob, MessageID: fmt.Sprint(h.n), Parsed: []byte("parsed"), Preview: "preview"}
}

func (h *house) fill(path string, n int) {
	h.t.Helper()
	mb := h.box(path).ID
	h.update(func(tx store.Tx) error {
		for range n {
			if _, err := tx.Append(mb, h.arrival()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *house) expunge(path string, uids string) {
	h.t.Helper()
	set, err := mail.ParseUIDSet(uids)
	if err != nil {
		h.t.Fatal(err)
	}
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.boxes[path], set, false); return err })
}

func (h *house) move(path, uids, to string) {
	h.t.Helper()
	set, err := mail.ParseUIDSet(uids)
	if err != nil {
		h.t.Fatal(err)
	}
	h.update(func(tx store.Tx) error { _, err := tx.Move(h.boxes[path], set, h.boxes[to]); return err })
}

func (h *house) restore(w Wish) Report {
	h.t.Helper()
	r, err := Restore(h.t.Context(), h.db, h.account, operator, w, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if wrong, err := h.db.Check(h.t.Context(), h.account, false); err != nil || len(wrong) > 0 {
		h.t.Fatalf("unsound: %v %v", wrong, err)
	}
	return r
}

// holds says what the mailboxes hold, by path.
func (h *house) holds() string {
	var words []string
	err := h.db.View(h.t.Context(), h.account, func(r store.Reader) error {
		all, err := r.Mailboxes()
		words = nil
		for _, mb := range all {
			if mb.Counts.Placements > 0 {
				words = append(words, fmt.Sprintf("%s:%d", mb.Path, mb.Counts.Placements))
			}
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Join(words, " ")
}

func (h *house) want(what, got, want string) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func TestOneMailboxComesBackFromWhereverItsMessagesAre(t *testing.T) {
	h := newHouse(t, 6)
	at := h.head()
	h.move("Work", "1:2", "Trash")
	h.move("Work", "3", "Play")
	h.expunge("Work", "4")
	h.expunge("Trash", "2")
	h.fill("Work", 1)
	h.expunge("INBOX", "1")
	h.want("before", h.holds(), "INBOX:5 Play:7 Trash:1 Work:3")
	r := h.restore(Wish{At: at, Mailbox: "Work"})
	h.want("after", h.holds(), "INBOX:5 Play:6 Work:7")
	h.want("report", fmt.Sprint(counts(r)), "[2 2 0 0 0]")
	h.want("what came since, removed", fmt.Sprint(counts(h.restore(Wish{At: at, Mailbox: "Work", Mode: Exact}))), "[0 0 1 0 0]")
}

func TestWhatGoesFromOneMailboxGoesToTrash(t *testing.T) {
	h := newHouse(t, 3)
	at := h.head()
	h.fill("Work", 2)
	r := h.restore(Wish{At: at, Mailbox: "Work", Mode: Exact})
	h.want("after", h.holds(), "INBOX:3 Play:3 Trash:2 Work:3")
	h.want("report", fmt.Sprint(counts(r)), "[0 0 2 0 0]")
}

func TestADeletedMailboxComesBackBesideItsSuccessor(t *testing.T) {
	h := newHouse(t, 3)
	at := h.head()
	h.update(func(tx store.Tx) error { return tx.DeleteMailbox(h.boxes["Work"]) })
	h.update(func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "Work"}); return err })
	h.fill("Work", 1)
	r := h.restore(Wish{At: at})
	h.want("after", h.holds(), "INBOX:3 Play:3 Work:1 Work (restored):3")
	h.want("said", strings.Join(r.Left, ";"), "Work: another mailbox has that name now, so it is called Work (restored)")
	if again := h.restore(Wish{At: at}); again.Act != 0 {
		t.Errorf("again did %+v", again)
	}
	h.restore(Wish{At: at, Mode: Exact})
	h.want("exactly", h.holds(), "INBOX:3 Play:3 Work:3")
}

func TestMailboxesThatSwappedNamesSwapBack(t *testing.T) {
	h := newHouse(t, 1)
	h.fill("Play", 1)
	at := h.head()
	name := func(id mail.MailboxID, im mail.MailboxImage) {
		h.update(func(tx store.Tx) error { return tx.SetMailbox(id, im) })
	}
	name(h.boxes["Work"], mail.MailboxImage{Name: "x"})
	name(h.boxes["Play"], mail.MailboxImage{Name: "Work"})
	name(h.boxes["Work"], mail.MailboxImage{Name: "Play", Parent: h.boxes["Play"]})
	h.want("before", h.holds(), "INBOX:1 Work:2 Work/Play:1")
	r := h.restore(Wish{At: at})
	h.want("after", h.holds(), "INBOX:1 Play:2 Work:1")
	h.want("left", fmt.Sprint(r.Left), "[]")
}

func TestARestoreIsNoFloodAndIsNotHeldBack(t *testing.T) {
	h := newHouse(t, 200)
	at := h.head()
	h.fill("INBOX", 300)
	h.update(func(tx store.Tx) error { return tx.SetPreference(mail.Guard, mail.GuardHold) })
	h.restore(Wish{At: at, Mode: Exact})
	h.want("after", h.holds(), "INBOX:200 Play:200 Work:200")
	err := h.db.View(t.Context(), h.account, func(r store.Reader) error {
		all, err := r.Floods()
		if len(all) > 0 {
			t.Errorf("a flood: %+v", all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMembersReadWhatTheyHadRead(t *testing.T) {
	h := newHouse(t, 2)
	mia, err := h.db.CreateAccount(t.Context(), operator, store.NewAccount{Login: "mia@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	seen, _ := mail.NewFlags(`\Seen`)
	h.update(func(tx store.Tx) error {
		return tx.SetRights(h.boxes["Work"], mia.ID, mail.MayLookup|mail.MayRead|mail.MaySee)
	})
	h.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.boxes["Work"], mail.MakeUIDSet(1), mail.FlagChange{Add: seen, As: mia.ID}, nil)
		return err
	})
	at := h.head()
	h.update(func(tx store.Tx) error { return tx.DeleteMailbox(h.boxes["Work"]) })
	h.restore(Wish{At: at})
	err = h.db.View(t.Context(), h.account, func(r store.Reader) error {
		mb, err := r.MailboxAs(h.boxes["Work"], mia.ID)
		h.want("unseen to mia", fmt.Sprint(mb.Counts.Unseen), "1")
		if err != nil {
			return err
		}
		all, err := r.Rights(mb.ID)
		h.want("rights", fmt.Sprint(len(all)), "1")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestThePastEndsAtTheHorizon(t *testing.T) {
	h := newHouse(t, 1)
	at := h.head()
	v, err := Open(t.Context(), h.db, h.account, at)
	if err != nil {
		t.Fatal(err)
	}
	h.fill("INBOX", 1)
	if err := h.db.Prune(t.Context(), h.account, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	err = v.Messages(t.Context(), Query{Mailbox: h.boxes["INBOX"]}, func(*Message) error { return nil })
	if mail.KindOf(err) != mail.TooOld {
		t.Errorf("a view that was overtaken: %v", err)
	}
	if _, err = Open(t.Context(), h.db, h.account, at); mail.KindOf(err) != mail.TooOld {
		t.Errorf("below the horizon: %v", err)
	}
	if _, err = Open(t.Context(), h.db, h.account, h.head()+1); mail.KindOf(err) != mail.Invalid {
		t.Errorf("ahead: %v", err)
	}
	_, err = Find(t.Context(), h.db, h.account, time.Now().Add(-time.Hour))
	if mail.KindOf(err) != mail.TooOld || !strings.Contains(err.Error(), "reaches back to") {
		t.Errorf("an hour ago: %v", err)
	}
	m, err := Find(t.Context(), h.db, h.account, time.Now())
	if err != nil || m.ModSeq != h.head() {
		t.Errorf("now: %+v %v", m, err)
	}
}

// Who works in the account while it is restored loses nothing of what they do.
func TestOthersWorkOnWhileAnAccountIsRestored(t *testing.T) {
	h := newHouse(t, 3000)
	at := h.head()
	h.expunge("Work", "1:2000")
	h.move("INBOX", "1:1500", "Trash")
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	arrived := 0
	all.Go(func() {
		r := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil {
			_, err := h.db.Update(t.Context(), h.account, h.phone, func(tx store.Tx) error {
				if _, err := tx.Append(h.boxes["INBOX"], h.arrival()); err != nil {
					return err
				}
				uid := mail.UID(1 + r.IntN(3000))
				seen, _ := mail.NewFlags(`\Flagged`)
				_, err := tx.StoreFlags(h.boxes["Play"], mail.MakeUIDSet(uid), mail.FlagChange{Add: seen}, nil)
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
			arrived++
		}
	})
	r, err := Restore(t.Context(), h.db, h.account, operator, Wish{At: at, Mode: Exact}, nil)
	stop()
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if r.Back != 2000 || r.Moved != 1500 {
		t.Errorf("%+v", counts(r))
	}
	inbox := h.box("INBOX").Counts.Placements
	if inbox < 3000 || inbox > 3000+int64(arrived) || h.box("Work").Counts.Placements != 3000 || h.box("Play").Counts.Placements != 3000 {
		t.Errorf("%s, %d arrived, %d went", h.holds(), arrived, r.Gone)
	}
	if inbox+r.Gone != 3000+int64(arrived) {
		t.Errorf("INBOX holds %d, %d arrived, %d went", inbox, arrived, r.Gone)
	}
}

func TestAReportIsBounded(t *testing.T) {
	var r Report
	for range maxLeft + 1 {
		r.left("one")
	}
	if len(r.Left) != maxLeft || r.LeftMore != 1 {
		t.Errorf("%d lines and %d more", len(r.Left), r.LeftMore)
	}
}

// What people do after a view was opened may push what it knew out of memory.
func TestAViewReadsAgainWhatNoLongerFits(t *testing.T) {
	h := newHouse(t, 3)
	flag := func(path string, uids ...mail.UID) {
		h.update(func(tx store.Tx) error {
			_, err := tx.StoreFlags(h.boxes[path], mail.MakeUIDSet(uids...), mail.FlagChange{Add: mail.StoredFlags(mail.Flagged, "")}, nil)
			return err
		})
	}
	at := h.head()
	flag("Play", 1, 2)
	v, err := open(t.Context(), h.db, h.account, at, bounds{changes: 2, records: 1000, messages: 500})
	if err != nil {
		t.Fatal(err)
	}
	flag("INBOX", 1, 2)
	for _, path := range []string{"Play", "INBOX", "Work", "Play"} {
		n := 0
		err := v.Messages(t.Context(), Query{Mailbox: h.boxes[path]}, func(m *Message) error {
			n++
			if !m.Flags.IsEmpty() {
				t.Errorf("%s/%d was (%s)", path, m.UID, m.Flags)
			}
			return nil
		})
		if err != nil || n != 3 {
			t.Fatal(n, err)
		}
	}
}

func TestSubscriptionsFollowMailboxesBack(t *testing.T) {
	h := newHouse(t, 1)
	do := func(fn func(store.Tx) error) { h.update(fn) }
	subs := func(want string) mail.ModSeq {
		t.Helper()
		v, err := Open(t.Context(), h.db, h.account, h.head())
		if err != nil {
			t.Fatal(err)
		}
		var own []string
		for _, path := range v.Subscriptions() {
			if strings.HasPrefix(path, "Work") || strings.HasPrefix(path, "Done") {
				own = append(own, path)
			}
		}
		h.want("subscribed", strings.Join(own, " "), want)
		return v.ModSeq()
	}
	do(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Below", Parent: h.boxes["Work"]})
		return err
	})
	do(func(tx store.Tx) error {
		if err := tx.Subscribe("Work"); err != nil {
			return err
		}
		return tx.Subscribe("Work/Below")
	})
	for _, name := range []string{"Done", "Done/Below", "Done/Other"} { // they outlive their mailboxes
		do(func(tx store.Tx) error {
			im := mail.MailboxImage{Name: name}
			if above, last, ok := strings.Cut(name, "/"); ok {
				mb, err := tx.MailboxByPath(above)
				if err != nil {
					return err
				}
				im = mail.MailboxImage{Name: last, Parent: mb.ID}
			}
			if _, err := tx.CreateMailbox(im); err != nil {
				return err
			}
			return tx.Subscribe(name)
		})
	}
	for _, name := range []string{"Done/Below", "Done/Other", "Done"} {
		do(func(tx store.Tx) error {
			mb, err := tx.MailboxByPath(name)
			if err != nil {
				return err
			}
			return tx.DeleteMailbox(mb.ID)
		})
	}
	all := "Done Done/Below Done/Other Work Work/Below"
	at := subs(all)
	do(func(tx store.Tx) error { return tx.SetMailbox(h.boxes["Work"], mail.MailboxImage{Name: "Done"}) })
	subs("Done Done/Below Done/Other")
	v, err := Open(t.Context(), h.db, h.account, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(all) {
		if !slices.Contains(v.Subscriptions(), path) {
			t.Errorf("%s is not among %q", path, v.Subscriptions())
		}
	}
	if slices.Contains(v.Subscriptions(), "Work/Other") {
		t.Errorf("what outlived a mailbox has followed another: %q", v.Subscriptions())
	}
	r := h.restore(Wish{At: at, Mode: Exact})
	subs("Work Work/Below")
	h.want("what can't be put back", fmt.Sprint(len(r.Left)), "3")
}
