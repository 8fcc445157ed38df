package imap

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// follower is a client that knows of mailboxes what NOTIFY tells it.
type follower struct {
	*mirror
	boxes map[string]map[string]string // by name, what STATUS said
	subs  map[string]bool
}

var (
	statusLine = regexp.MustCompile(`^\* STATUS (\S+) \((.*)\)$`)
	listLine   = regexp.MustCompile(`^\* LIST \(([^)]*)\) "/" (\S+)(?: \("OLDNAME" \((\S+)\)\))?$`)
)

func newFollower(t *testing.T, h *house, selected string, condstore bool) *follower {
	f := &follower{mirror: &mirror{testClient: dial(t, h.addr).ready().login()}, boxes: map[string]map[string]string{}, subs: map[string]bool{}}
	if condstore {
		f.must("ENABLE CONDSTORE")
	}
	command := "NOTIFY SET STATUS "
	if selected != "" {
		f.mirror.hear(f.must("SELECT INBOX"))
		f.mirror.catchUp()
		command += "(" + selected + " (MessageNew (UID FLAGS) MessageExpunge FlagChange)) "
	}
	for _, l := range f.must(`LIST "" "*" RETURN (SUBSCRIBED)`) {
		f.named(l)
	}
	f.take(f.must(command + "(personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))"))
	return f
}

// take thinks about what was said.
func (f *follower) take(lines []string) {
	for _, l := range lines {
		if x := statusLine.FindStringSubmatch(l); x != nil {
			f.counted(x[1], strings.Fields(x[2]))
		}
		f.named(l)
	}
	f.mirror.hear(lines)
}

func (f *follower) counted(name string, items []string) {
	if f.boxes[name] == nil {
		f.t.Fatalf("STATUS of %s, which is not known", name)
	}
	for i := 0; i+1 < len(items); i += 2 {
		f.boxes[name][items[i]] = items[i+1]
	}
}

func (f *follower) named(line string) {
	x := listLine.FindStringSubmatch(line)
	if x == nil {
		return
	}
	attributes, name, old := strings.Fields(x[1]), x[2], x[3]
	delete(f.subs, name)
	if slices.Contains(attributes, `\Subscribed`) {
		f.subs[name] = true
	}
	if old != "" { // what lies below follows
		for path := range maps.Clone(f.boxes) {
			if rest, ok := strings.CutPrefix(path, old); ok && (rest == "" || rest[0] == '/') {
				f.boxes[name+rest] = f.boxes[path]
				delete(f.boxes, path)
			}
		}
	}
	switch known := f.boxes[name] != nil; {
	case slices.Contains(attributes, `\NonExistent`):
		delete(f.boxes, name)
	case !known:
		f.boxes[name] = map[string]string{"MESSAGES": "0", "UIDNEXT": "1"}
	}
}

// said is the state as the follower has it.
func (f *follower) said(condstore bool, without string) (all []string) {
	for name, items := range f.boxes {
		if name == without {
			continue
		}
		text := fmt.Sprintf("%s %s %s", name, items["MESSAGES"], items["UIDNEXT"])
		if condstore && items["HIGHESTMODSEQ"] != "" {
			text += " " + items["HIGHESTMODSEQ"]
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return append(all, "subscribed "+strings.Join(slices.Sorted(maps.Keys(f.subs)), " "))
}

// boxes is the same as the store has it.
func (h *house) boxes(f *follower, condstore bool, without string) (all []string) {
	var subs []string
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		boxes, err := r.Mailboxes()
		for _, mb := range boxes {
			if mb.Path == without {
				continue
			}
			text := fmt.Sprintf("%s %d %d", mb.Path, mb.Counts.Placements, mb.UIDNext)
			if condstore && f.boxes[mb.Path] != nil && f.boxes[mb.Path]["HIGHESTMODSEQ"] != "" {
				text += " " + decimal(mb.HighestModSeq)
			}
			all = append(all, text)
		}
		if err == nil {
			subs, err = r.Subscriptions()
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(all)
	return append(all, "subscribed "+strings.Join(subs, " "))
}

// randomChange changes something in the account.
func (h *house) randomChange(rng *rand.Rand) {
	paths := []string{"INBOX", "INBOX", "Archive", "Trash", "Work", "Work/a", "Work/b", "Lists"}
	path, other := paths[rng.IntN(len(paths))], paths[rng.IntN(len(paths))]
	op := rng.IntN(14)
	_, err := h.store.Update(context.Background(), h.account, testOrigin, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath(path)
		if err != nil {
			_, err = makePath(tx, path, mail.NoRole)
			return err
		}
		switch {
		case op < 5:
			_, err = tx.Append(mb.ID, h.dot())
		case op < 8:
			f, _ := mail.NewFlags([]string{`\Seen`, `\Flagged`, `\Deleted`}[rng.IntN(3)])
			_, err = tx.StoreFlags(mb.ID, mail.MakeUIDSet(mail.UID(1+rng.IntN(int(mb.UIDNext)))), mail.FlagChange{Add: f}, nil)
		case op < 10:
			_, err = tx.Expunge(mb.ID, mail.MakeUIDSet(mail.UID(1+rng.IntN(int(mb.UIDNext)))), false)
		case op == 10:
			err = tx.DeleteMailbox(mb.ID)
		case op == 11:
			im := mb.Image()
			if im.Parent, err = makeParents(tx, other); err == nil {
				im.Name = other[strings.LastIndex(other, "/")+1:]
				err = tx.SetMailbox(mb.ID, im)
			}
		case op == 12:
			err = tx.Subscribe(path)
		default:
			err = tx.Unsubscribe(path)
		}
		return err
	})
	if err != nil && mail.KindOf(err) == mail.Internal {
		h.t.Fatal(err)
	}
}

// Whatever happens, clients that follow by NOTIFY know all mailboxes as they are,
// and the selected one message by message, without ever having asked.
func TestNotifiedClientsStayInStep(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHouse(t, nil)
			rng := rand.New(rand.NewPCG(seed, 9))
			type one struct {
				*follower
				condstore bool
				selected  string
			}
			var all []one
			for i, selected := range []string{"", "selected", "selected-delayed", ""} {
				all = append(all, one{newFollower(t, h, selected, i%2 == 1), i%2 == 1, selected})
			}
			for range 300 {
				h.randomChange(rng)
				if rng.IntN(20) == 0 {
					f := all[rng.IntN(len(all))]
					f.take(f.run("NOOP"))
				}
			}
			for i, f := range all {
				without := ""
				if f.selected != "" {
					without = "INBOX"
				}
				f.take(f.must("NOOP"))
				if got, want := f.said(f.condstore, without), h.boxes(f.follower, f.condstore, without); !slices.Equal(got, want) {
					t.Errorf("client %d has\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				if f.selected == "" {
					continue
				}
				var got []string
				for j, uid := range f.uids {
					got = append(got, fmt.Sprintf("%d %s", uid, f.flags[j]))
				}
				if want := h.inbox(); !slices.Equal(got, want) {
					t.Errorf("client %d has selected\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}

func TestNotifyHasBounds(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.Limits.Notified = 10 })
	c := dial(t, h.addr).ready().login()
	c.refused("NOTIFY SET (mailboxes ("+strings.Repeat("a ", maxNotifyNames-1)+"a) (MailboxName))", "NO [NOTIFICATIONOVERFLOW]")
	c.must("NOTIFY SET (mailboxes (" + strings.Repeat("a ", maxNotifyNames-2) + "a) (MailboxName))")
	c.must("NOTIFY SET (selected (MessageNew (UID) MessageExpunge)) (personal (MailboxName))")
	c.must("SELECT INBOX")
	h.update(func(tx store.Tx) error { // six names are there
		for i := range 4 {
			if _, err := tx.CreateMailbox(mail.MailboxImage{Name: fmt.Sprint("box", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 4 {
		if l := c.line(); l != fmt.Sprintf(`* LIST (\HasNoChildren) "/" box%d`, i) {
			t.Fatalf("%q", l)
		}
	}
	h.update(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "one too many"})
		return err
	})
	if l := c.line(); !strings.HasPrefix(l, "* OK [NOTIFICATIONOVERFLOW]") {
		t.Fatalf("%q", l)
	}
	c.refused("NOTIFY SET (personal (MailboxName))", "NO [NOTIFICATIONOVERFLOW]")
	c.must("NOTIFY SET (selected (MessageNew (UID) MessageExpunge))")
	add := func(n int) {
		h.update(func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("INBOX")
			for range n {
				if err == nil {
					_, err = tx.Append(mb.ID, h.dot())
				}
			}
			return err
		})
	}
	add(maxNotifyFetch)
	for range maxNotifyFetch + 2 { // EXISTS, RECENT
		c.line()
	}
	add(maxNotifyFetch + 1)
	c.line()
	c.line()
	if l := c.line(); !strings.HasPrefix(l, "* OK [NOTIFICATIONOVERFLOW]") {
		t.Fatalf("%q", l)
	}
	add(1)
	if got := c.must("NOOP"); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// A session is woken by what its client asked for only.
func TestNotifiedSessionsSleepThroughTheRest(t *testing.T) {
	h := newHouse(t, nil)
	n := &notifier{s: &session{srv: h.server}, watched: map[mail.MailboxID]bool{3: true, 4: true}, skip: 4}
	for _, test := range []struct {
		what string
		news mail.News
		wake bool
	}{
		{"another mailbox", mail.News{Mailboxes: []mail.MailboxID{5}}, false},
		{"the selected one, which wakes by itself", mail.News{Mailboxes: []mail.MailboxID{4}}, false},
		{"annotations", mail.News{Types: types(mail.TypeMetadata)}, false},
		{"counts of mailboxes", mail.News{Types: types(mail.TypeMailbox)}, false},
		{"one that is followed", mail.News{Mailboxes: []mail.MailboxID{5, 3}}, true},
		{"very many", mail.News{Many: true}, true},
		{"names", mail.News{Types: types(mail.TypeNames)}, true},
	} {
		if got := n.note(test.news); got != test.wake {
			t.Errorf("%s: wakes %v", test.what, got)
		}
		n.take()
	}
}

func types(list ...mail.Type) (set mail.TypeSet) {
	for _, t := range list {
		set.Add(t)
	}
	return set
}

// A change is pushed in one go, without a timer in the path.
func TestNotifyPushesAtOnce(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	c.must("NOTIFY SET (inboxes (MessageNew MessageExpunge))")
	fastest := time.Minute
	for uid := range mail.UID(50) {
		began := time.Now()
		h.put("INBOX", "x", mail.Flags{}, uid+1, 0)
		if l := c.line(); l != fmt.Sprintf("* STATUS INBOX (MESSAGES %d UIDNEXT %d)", uid+1, uid+2) {
			t.Fatalf("%q", l)
		}
		fastest = min(fastest, time.Since(began))
	}
	if fastest > 100*time.Millisecond {
		t.Errorf("of 50 changes none took less than %v", fastest)
	}
}
