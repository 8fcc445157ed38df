package e2e

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// sick is a stopped server with some mail, and what a client saw of it before.
type sick struct {
	*server
	saw []string
}

const sickMessages = 12

func newSick(t *testing.T) *sick {
	t.Helper()
	s := &sick{server: newServer(t, "")}
	s.start()
	s.addAccount(alice)
	for i := range sickMessages {
		s.lmtp(alice, fmt.Sprintf("From: Bob <bob@example.org>\r\nSubject: letter %d\r\nMessage-ID: <%d@doctor.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
			"--b\r\n\r\n%s\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n%s--b--\r\n", i, i, body(i), attachment(i)))
	}
	s.saw = s.fetchAll()
	s.stop()
	return s
}

// attachment is large enough to be stored as a part of its own, of several frames.
func attachment(i int) string {
	data := make([]byte, 150_000)
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	for j := range data {
		data[j] = byte(rng.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for len(text) > 0 {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String()
}

// fetchAll is what a client sees of all mail.
func (s *sick) fetchAll() []string {
	s.t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		s.t.Fatal(err)
	}
	said, err := c.do("FETCH 1:* (UID ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
	if err != nil {
		s.t.Fatal(err)
	}
	return said
}

// sql changes the database behind the server's back.
func (s *sick) sql(statements ...string) {
	s.t.Helper()
	c, err := sqlite.OpenConn(filepath.Join(s.dir, "lockstep.db"), sqlite.OpenReadWrite)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	for _, sql := range statements {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// cured wants the doctor to put right what a text names, then to be content, and
// the client to see what it saw before.
func (s *sick) cured(words string, args ...string) {
	s.t.Helper()
	if out, err := lockstep("", "doctor", "--look-only", "--config", s.config); !slices.Contains(args, "--rebuild-index") && (err == nil || strings.Contains(out, ": put right\n")) {
		s.t.Errorf("looking only: %v\n%s", err, out)
	}
	out := s.lockstep("", append([]string{"doctor"}, args...)...)
	if !strings.Contains(out, words) || !strings.Contains(out, "put right") {
		s.t.Errorf("the doctor did not put right %q:\n%s", words, out)
	}
	if out := s.lockstep("", "doctor", "--rebuild-index"); !strings.Contains(out, "All is well.") {
		s.t.Errorf("the second time:\n%s", out)
	}
	s.start()
	if saw := s.fetchAll(); !slices.Equal(saw, s.saw) {
		s.t.Errorf("the client sees other mail than before: %d lines, %d before", len(saw), len(s.saw))
	}
	if n := s.metric("blob_damaged", ""); n != 0 {
		s.t.Errorf("%d are still said to be damaged", n)
	}
	s.stop()
}

func TestDoctorCountsAnew(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.sql("UPDATE mailbox SET unseen = 77, placements = 3", "UPDATE account SET used = 1")
	s.cured("a mailbox counted wrongly")
}

func TestDoctorFindsLostBlobsInThePacks(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.sql("DELETE FROM blob", "DELETE FROM blob_part")
	s.cured("where messages lie was lost")
}

func TestDoctorFindsWhatTheDatabaseSaysWrongly(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.sql("UPDATE blob SET place = 'nowhere' WHERE name = (SELECT blob FROM content LIMIT 1)",
		"UPDATE blob SET key = x'00' WHERE name IN (SELECT part FROM blob_part LIMIT 1)")
	s.cured("was damaged, and there was a good copy")
}

// A row that can't be read is left out, and stops nobody from seeing the others.
func TestGarbageInOneRowHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.sql("UPDATE content SET parsed = x'ff00' WHERE message_id = '3@doctor.example'")
	s.start()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	for _, items := range []string{"ENVELOPE", "BODYSTRUCTURE", "(ENVELOPE BODY.PEEK[HEADER])"} {
		said, err := c.do("FETCH 1:* %s", items)
		if err == nil || !strings.Contains(err.Error(), "CORRUPTION") || strings.Count(strings.Join(said, "\n"), " FETCH (") != sickMessages-1 {
			t.Errorf("%s: %d lines, %v", items, len(said), err)
		}
	}
	c.close()
	s.stop()
	s.cured("what is shown of 1 message in INBOX")
}

func TestRebuildMakesAnewWhatIsShown(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.sql("UPDATE content SET parsed = (SELECT parsed FROM content ORDER BY content_id LIMIT 1), preview = 'nonsense'")
	if out := s.lockstep("", "doctor"); !strings.Contains(out, "All is well.") {
		t.Errorf("what is readable is believed:\n%s", out)
	}
	s.cured("what is shown of "+strconv.Itoa(sickMessages)+" messages in INBOX", "--rebuild-index")
}

// Bytes that are damaged in one pack and good in another are mended.
func TestDoctorMendsFromAnotherPack(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("%v, %v", packs, err)
	}
	slices.Sort(packs)
	last, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(packs[len(packs)-1]), ".pack"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packs {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(p), fmt.Sprintf("%012x.pack", last+uint64(i)+1)), text, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{3, 5, 7} {
			flip(t, p, int64(len(text)*at/8))
		}
	}
	s.cured("was damaged, and there was a good copy")
}

// Where the bytes are gone, each message is named, and what the database knows is
// served.
func TestLostPacksAreNamed(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	s.sql("DELETE FROM blob WHERE name = (SELECT blob FROM content ORDER BY content_id LIMIT 1)")
	for range 2 {
		out, err := lockstep("", "doctor", "--config", s.config)
		if err == nil || strings.Count(out, "is damaged and is not served") != sickMessages || !strings.Contains(out, `message 1 in INBOX, "letter 0", is damaged`) {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	s.start()
	defer s.stop()
	if n := s.metric("blob_damaged", ""); n < sickMessages {
		t.Errorf("%d are said to be damaged", n)
	}
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	if said, err := c.do("FETCH 1:* ENVELOPE"); err != nil || strings.Count(strings.Join(said, "\n"), " FETCH (") != sickMessages {
		t.Errorf("%d lines, %v", len(said), err)
	}
	if _, err := c.do("FETCH 1 BODY.PEEK[]"); err == nil || !strings.Contains(err.Error(), "CORRUPTION") {
		t.Errorf("a message that is gone: %v", err)
	}
}

// A large message that is damaged far inside breaks off one session at most: from
// then on it is refused, and whoever reads the whole mailbox gets all others.
func TestDamageFarInsideBreaksOffOnce(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.damageOne()
	s.start()
	defer s.stop()
	read := func() (whole int, err error) {
		c, err := s.dial(alice, password)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if _, err := c.do("SELECT INBOX"); err != nil {
			t.Fatal(err)
		}
		said, err := c.do("FETCH 1:* BODY.PEEK[]")
		for i := range sickMessages {
			if strings.Contains(strings.Join(said, ""), attachment(i)) {
				whole++
			}
		}
		return whole, err
	}
	if _, err := read(); err == nil {
		t.Fatal("nothing was damaged")
	}
	whole, err := read()
	if whole != sickMessages-1 || err == nil || !strings.Contains(err.Error(), "CORRUPTION") {
		t.Errorf("%d messages, %v, want all but one and a refusal", whole, err)
	}
}

// damageOne damages a large message far inside.
func (s *sick) damageOne() {
	s.t.Helper()
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*.pack"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range packs {
		if info, err := os.Stat(p); err == nil && info.Size() > 1_000_000 {
			flip(s.t, p, info.Size()*2/5)
			return
		}
	}
	s.t.Fatalf("no pack to damage in %v", packs)
}

// A real program has all other messages in the end.
func TestDamageDoesNotKeepMbsyncFromTheRest(t *testing.T) {
	need(t, "mbsync")
	t.Parallel()
	s := newSick(t)
	s.damageOne()
	s.start()
	defer s.stop()
	m := newMaildirs(t, s.server, s.addDevice("laptop"), nil)
	said := ""
	for range 3 {
		said, _ = programFails(t, "mbsync", "-q", "-c", m.dir+"/rc", "-a")
	}
	if got := len(m.files()); got != sickMessages-1 {
		t.Errorf("mbsync has %d messages of %d, and said\n%s", got, sickMessages, said)
	}
}
