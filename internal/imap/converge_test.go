package imap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// mirror is a client that believes what it is told: by sequence number, a UID and
// flags.
type mirror struct {
	*testClient
	qresync bool
	uids    []mail.UID // 0 where it was not told yet
	flags   []string
}

var (
	existsLine  = regexp.MustCompile(`^\* (\d+) EXISTS$`)
	expungeLine = regexp.MustCompile(`^\* (\d+) EXPUNGE$`)
	vanished    = regexp.MustCompile(`^\* VANISHED ([\d:,]+)$`)
	fetchLine   = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
	uidItem     = regexp.MustCompile(`\bUID (\d+)`)
	flagsItem   = regexp.MustCompile(`\bFLAGS \(([^)]*)\)`)
)

// hear takes in what the server said.
func (m *mirror) hear(lines []string) {
	for _, l := range lines {
		if x := existsLine.FindStringSubmatch(l); x != nil {
			m.grow(number(x[1]))
		}
		if x := expungeLine.FindStringSubmatch(l); x != nil {
			m.remove(number(x[1]) - 1)
		}
		if x := vanished.FindStringSubmatch(l); x != nil {
			set, err := mail.ParseUIDSet(x[1])
			if err != nil {
				m.t.Fatal(err)
			}
			for uid := range set.All() {
				if i := slices.Index(m.uids, uid); i >= 0 {
					m.remove(i)
				}
			}
		}
		if x := fetchLine.FindStringSubmatch(l); x != nil {
			m.learn(number(x[1])-1, x[2])
		}
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (m *mirror) grow(n int) {
	if n < len(m.uids) {
		m.t.Fatalf("EXISTS went from %d to %d", len(m.uids), n)
	}
	for len(m.uids) < n {
		m.uids, m.flags = append(m.uids, 0), append(m.flags, "")
	}
}

func (m *mirror) remove(i int) {
	if i >= len(m.uids) {
		m.t.Fatalf("message %d of %d is gone", i+1, len(m.uids))
	}
	m.uids, m.flags = slices.Delete(m.uids, i, i+1), slices.Delete(m.flags, i, i+1)
}

func (m *mirror) learn(i int, items string) {
	if i >= len(m.uids) {
		m.t.Fatalf("FETCH of message %d of %d", i+1, len(m.uids))
	}
	if x := uidItem.FindStringSubmatch(items); x != nil {
		uid := mail.UID(number(x[1]))
		if m.uids[i] != 0 && m.uids[i] != uid {
			m.t.Fatalf("message %d was uid %d and is %d", i+1, m.uids[i], uid)
		}
		m.uids[i] = uid
	}
	if x := flagsItem.FindStringSubmatch(items); x != nil {
		m.flags[i] = strings.TrimSpace(strings.ReplaceAll(x[1], `\Recent`, ""))
	}
}

// do runs a command; what it silently stored it applies itself.
func (m *mirror) do(command string) {
	m.hear(m.run(command))
	if m.qresync { // it needs the UIDs to understand VANISHED
		m.catchUp()
	}
}

// catchUp asks for what it has not been told.
func (m *mirror) catchUp() {
	for i, uid := range m.uids {
		if uid == 0 {
			m.hear(m.run(fmt.Sprintf("FETCH %d:%d (UID FLAGS)", i+1, len(m.uids))))
			return
		}
	}
}

// random does something.
func (m *mirror) random(rng *rand.Rand) {
	n := len(m.uids)
	a, b := 1, 1
	if n > 0 {
		a, b = 1+rng.IntN(n), 1+rng.IntN(n)
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, `$Work`}[rng.IntN(4)]
	switch op := rng.IntN(10); {
	case op == 0:
		m.do("APPEND INBOX {1+}\r\nx")
	case n == 0 || op == 1:
		m.do("NOOP")
	case op == 2:
		m.do("EXPUNGE")
	case op == 3:
		m.do(fmt.Sprintf("MOVE %d Trash", a))
	case op == 4:
		m.do(fmt.Sprintf("COPY %d:%d INBOX", a, min(max(a, b), a+3)))
	case op == 5:
		m.do(fmt.Sprintf("FETCH %d:%d (UID FLAGS)", a, b))
	case op == 6:
		m.do(fmt.Sprintf("UID SEARCH %d KEYWORD $Work", a))
	default:
		m.do(fmt.Sprintf("STORE %d:%d %sFLAGS (%s)", a, min(max(a, b), a+5), []string{"+", "-"}[rng.IntN(2)], flag))
	}
}

// Whatever several clients do, each of them ends up with what the store holds,
// only from what it is told.
func TestClientsConverge(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHouse(t, nil)
			rng := rand.New(rand.NewPCG(seed, 7))
			var all []*mirror
			for i := range 4 {
				m := &mirror{testClient: dial(t, h.addr).ready().login(), qresync: i%2 == 1}
				if m.qresync {
					m.must("ENABLE QRESYNC")
				}
				m.hear(m.must("SELECT INBOX"))
				all = append(all, m)
			}
			for range 400 {
				all[rng.IntN(len(all))].random(rng)
			}
			want := h.inbox()
			for i, m := range all {
				m.hear(m.must("NOOP"))
				m.catchUp()
				var got []string
				for j, uid := range m.uids {
					got = append(got, fmt.Sprintf("%d %s", uid, m.flags[j]))
				}
				if !slices.Equal(got, want) {
					t.Errorf("client %d has\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}

// inbox is what the store holds.
func (h *house) inbox() (all []string) {
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error {
			all = append(all, fmt.Sprintf("%d %s", p.UID, p.Flags))
			return nil
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}
