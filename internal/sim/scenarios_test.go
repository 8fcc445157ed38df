package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// scene is a world of one account in which a test says what happens.
type scene struct {
	*world
	t *testing.T
}

// The devices of a scene.
const (
	phone  = 4 // QRESYNC
	laptop = 2 // CONDSTORE
	old    = 0 // neither
	pop    = 7
)

// played runs a test in a scene; in the end all devices agree with the model.
func played(t *testing.T, do func(s *scene)) {
	home, leave := atHome(t)
	defer leave()
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t.Context(), NewPlan(1, 1, 8, 0), home, Fault{}, synctest.Wait)
		if err != nil {
			t.Fatal(err)
		}
		s := &scene{w, t}
		do(s)
		w.settle(t.Context())
		w.end()
		if len(w.wrong) > 0 {
			t.Error(strings.Join(w.wrong, "\n"))
		}
	})
}

func (s *scene) imap(i int) *imapDevice { return s.devices[i].(*imapDevice) }

// arrive lets letters come in.
func (s *scene) arrive(tokens ...string) {
	for _, token := range tokens {
		s.sender.outbox = append(s.sender.outbox, posted{token: token, service: lmtpService, to: []string{s.people[0].Login}})
	}
	s.sender.deliver(cut{})
}

// sync brings devices into step.
func (s *scene) sync(devices ...int) {
	s.t.Helper()
	for _, i := range devices {
		if err := s.devices[i].Sync(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// offline lets a device do something without a connection.
func (s *scene) offline(i int, do, token, flag, to string) {
	s.t.Helper()
	d := s.imap(i)
	d.Leave()
	for _, b := range d.boxes {
		for uid, l := range b.letters {
			if l.token == token {
				c := chore{do: do, box: b.id, uid: uid, flag: flag, token: token}
				if to != "" {
					c.to = d.boxNamed(to).id
				}
				d.queue = append(d.queue, c)
				return
			}
		}
	}
	s.t.Fatalf("%s has no %s", d.name, token)
}

// where lists the mailboxes that have a letter, with its flags.
func (s *scene) where(token string) (at []string) {
	for _, b := range s.truth(0) {
		for _, l := range b.Letters {
			if l.Token == token {
				at = append(at, strings.TrimSpace(b.Name+" "+l.Flags))
			}
		}
	}
	return at
}

func (s *scene) want(token string, at ...string) {
	s.t.Helper()
	if got := s.where(token); fmt.Sprint(got) != fmt.Sprint(at) {
		s.t.Errorf("%s is in %q, want %q", token, got, at)
	}
}

func TestReadFlagsDoNotFlipBack(t *testing.T) {
	played(t, func(s *scene) {
		s.arrive("a", "b")
		s.sync(phone, laptop, old)
		s.offline(phone, "flag", "a", `\Seen`, "")
		s.offline(laptop, "flag", "a", `\Flagged`, "")
		s.sync(laptop) // which thinks of a as unread
		s.sync(phone, laptop, old, phone)
		s.want("a", `INBOX \Flagged \Seen`)
		s.want("b", "INBOX")
	})
}

func TestDeletedMailDoesNotReturn(t *testing.T) {
	played(t, func(s *scene) {
		s.arrive("a")
		s.sync(phone, laptop, old)
		s.offline(phone, "delete", "a", "", "")
		s.offline(laptop, "flag", "a", `\Flagged`, "")
		s.offline(old, "move", "a", "", "Archive")
		s.sync(phone, laptop, old)
		s.want("a")
	})
}

// A connection breaks at every place of a draft's saving, and the device tries
// again.
func TestDraftsDoNotMultiply(t *testing.T) {
	played(t, func(s *scene) {
		d := s.imap(phone)
		s.sync(phone)
		broken := 0
		for i, down := range []int{0, 1, 2, 5, 30, 45, 60, 75, 90, 120, 150, 200, 400} {
			for _, up := range []int{10_000, 3, 60, 200, 500, 800} {
				token := fmt.Sprintf("draft-%d-%d", i, up)
				drafts := d.boxNamed("Drafts")
				d.queue = []chore{{do: "append", box: drafts.id, token: token}}
				for uid, l := range drafts.letters {
					d.queue = append(d.queue, chore{do: "delete", box: drafts.id, uid: uid, token: l.token})
				}
				d.Cut(up, down)
				if d.lost(d.replay()) != nil {
					broken++
				}
				s.sync(phone)
				s.want(token, `Drafts \Draft \Seen`)
				if n := len(s.truth(0)[drafts.id].Letters); n != 1 {
					s.t.Fatalf("broken after %d bytes down and %d up, %d drafts are there", down, up, n)
				}
				time.Sleep(time.Hour)
			}
		}
		if broken < 30 {
			s.t.Errorf("only %d of 78 connections broke", broken)
		}
	})
}

func TestAnEmptyLocalStoreDeletesNothing(t *testing.T) {
	played(t, func(s *scene) {
		s.arrive("a", "b", "c")
		s.sync(phone, laptop, old, pop)
		for _, i := range []int{phone, laptop, old, pop} {
			s.devices[i].Lose()
			s.sync(i)
		}
		for _, token := range []string{"a", "b", "c"} {
			s.want(token, "INBOX")
		}
	})
}

// A move that breaks off at any byte leaves the letter in one place.
func TestAMoveIsNeverCutHalfWay(t *testing.T) {
	played(t, func(s *scene) {
		d := s.imap(phone)
		s.arrive("a")
		s.sync(phone)
		to, broken := "Archive", 0
		for up := range 40 {
			for _, down := range []int{0, 20, 100, 10_000} {
				for _, at := range [][2]int{{up, 10_000}, {10_000, down + up}} {
					s.offline(phone, "move", "a", "", to)
					if err := d.connect(); err != nil {
						s.t.Fatal(err)
					}
					d.Cut(at[0], at[1])
					if d.lost(d.replay()) != nil {
						broken++
					}
					if got := s.where("a"); len(got) != 1 {
						s.t.Fatalf("broken after %v bytes: %q", at, got)
					}
					s.sync(phone)
					if s.want("a", to); to == "Archive" {
						to = "INBOX"
					} else {
						to = "Archive"
					}
				}
			}
		}
		if broken < 100 {
			s.t.Errorf("only %d of 320 connections broke", broken)
		}
	})
}

// One message that can't be read is told as such and keeps nobody from the others.
func TestAPoisonItemBlocksNoMailbox(t *testing.T) {
	played(t, func(s *scene) {
		s.devices = s.devices[:pop] // POP3 says -ERR to a RETR, and this one tries again for ever
		s.arrive("a", "poison", "b")
		s.corrupt("poison")
		s.sync(phone, laptop, old)
		for _, token := range []string{"a", "poison", "b"} {
			s.offline(phone, "flag", token, `\Seen`, "")
			s.sync(phone)
			s.want(token, `INBOX \Seen`)
		}
		d := s.imap(phone)
		if err := d.selectBox(d.boxNamed("INBOX")); err != nil {
			s.t.Fatal(err)
		}
		d.bodies = map[uint32]string{}
		if _, err := d.link.run("UID FETCH 1:* (BODY.PEEK[])"); !errors.Is(err, errRefusedByServer) {
			s.t.Errorf("a damaged message was fetched: %v", err)
		}
		if len(d.bodies) != 2 || !strings.HasSuffix(d.bodies[1], letterText("a")) || !strings.HasSuffix(d.bodies[3], letterText("b")) {
			s.t.Errorf("of three messages, one damaged, %d were told", len(d.bodies))
		}
	})
}

// corrupt changes a byte near the end of a letter, on the disk.
func (s *scene) corrupt(token string) {
	s.t.Helper()
	err := s.house.db.View(s.t.Context(), s.people[0].Account, func(r store.Reader) error {
		inbox, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: inbox.ID, Located: true}, func(_ *mail.Placement, m *mail.Message) error {
			if !strings.HasPrefix(m.MessageID, token+"@") {
				return nil
			}
			place := strings.Split(m.Blob.Place, "-")
			offset, _ := strconv.ParseInt(place[1], 16, 64)
			length, _ := strconv.ParseInt(place[2], 16, 64)
			s.house.disk.Corrupt("data/packs/"+place[0]+".pack", func(data []byte) []byte {
				data[offset+length-2] ^= 1
				return data
			})
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
