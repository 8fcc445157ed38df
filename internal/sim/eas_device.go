package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/eas/easclient"
	"lockstep/internal/mail"
)

// easKind is how a phone syncs.
type easKind struct {
	version string
	filter  int  // MS-ASCMD §2.2.3.68.2
	window  int  // 0 is the server's
	coded   bool // queries in base64
	rebuild bool // asks anew after an answer was lost
}

// easDevice is a phone that speaks ActiveSync.
type easDevice struct {
	kind   easKind
	name   string
	login  string
	dial   func() (wire, error)
	blame  func(format string, args ...any)
	writes string // to whom; "" is to nobody
	ledger *ledger
	others bool // act at the same time

	// touched, if set, reports whether somebody else did something in a mailbox since
	// it last had been brought into step.
	touched  func(mb mail.MailboxID, since mail.ModSeq) (yes bool, head mail.ModSeq)
	outgoing *ledger // of whom it writes to
	writing  []written
	start    mail.ModSeq            // of the account, when the last Sync was asked
	heads    map[string]mail.ModSeq // by folder, when what it was last in step by was asked

	phone   *easclient.Phone
	waiting *easclient.Call // a Ping
	pinged  []*easclient.Folder
	away    bool
	cut     *cut // of the next connection
	wakes   int  // in a row, for nothing
	said    transcript
}

func newEASDevice(kind easKind, name, login, secret string, dial func() (wire, error), blame func(string, ...any)) *easDevice {
	d := &easDevice{kind: kind, name: name, login: login, dial: dial, blame: blame, heads: map[string]mail.ModSeq{}}
	id := fnv.New64a()
	id.Write([]byte(name))
	d.phone = easclient.New(&easclient.Client{Dial: d.connect, Login: login, Secret: secret, DeviceID: fmt.Sprintf("SIM%X", id.Sum64()), DeviceType: "SimPhone",
		Version: kind.version, Coded: kind.coded, Said: d.said.add})
	d.phone.Window, d.phone.Filter, d.phone.Rebuild = kind.window, kind.filter, kind.rebuild
	d.phone.Needless = d.needless
	d.phone.Blame = func(format string, args ...any) { blame(name+": "+format, args...) }
	return d
}

func (d *easDevice) connect() (net.Conn, error) {
	c, err := d.dial()
	if err == nil && d.cut != nil {
		c.CutAfter(d.cut.up, d.cut.down)
		d.cut = nil
	}
	return c, err
}

// needless is told that a Change said nothing new: that is an echo of what the phone did
// itself, if nobody else did anything.
func (d *easDevice) needless(f *easclient.Folder, item string) {
	since, known := d.heads[f.ID]
	if d.touched == nil || !known {
		return
	}
	if yes, _ := d.touched(mailboxOf(f.ID), since); !yes {
		d.blame("%s: %s in %s is told of and nobody else changed it", d.name, item, f.Name)
	}
}

func (d *easDevice) Name() string { return d.name }

// Heard implements device.
func (d *easDevice) Heard() []string { return d.said.lines }

// Pushed implements device.
func (d *easDevice) Pushed() bool { return d.waiting != nil }

// Cut implements device.
func (d *easDevice) Cut(up, down int) {
	if d.waiting != nil {
		d.waiting.Conn.(wire).CutAfter(up, down)
		return
	}
	d.cut = &cut{up, down}
}

// Leave implements device.
func (d *easDevice) Leave() {
	d.hangUp()
	d.away, d.cut = true, nil
}

func (d *easDevice) hangUp() {
	if d.waiting != nil {
		d.waiting.Conn.Close()
	}
	d.waiting = nil
}

// Lose implements device.
func (d *easDevice) Lose() {
	d.Leave()
	d.phone.Lose()
	clear(d.heads)
	d.writing = nil
}

// weather turns an error of the connection, or of a server that can't now, into the
// fleet's own.
func weather(err error) error {
	switch {
	case errors.Is(err, easclient.ErrLost):
		return fmt.Errorf("%w: %v", errLost, err)
	case errors.Is(err, easclient.ErrLater):
		return fmt.Errorf("%w: %v", errRefusedByServer, err)
	}
	return err
}

// Sync implements device.
func (d *easDevice) Sync() error {
	d.hangUp()
	d.away = false
	d.begin()
	err := d.send()
	if err == nil {
		err = d.phone.CatchUp()
	}
	if err == nil {
		d.took(d.phone.Sorted()...)
	}
	return weather(err)
}

// took notes from where folders are in step.
func (d *easDevice) took(folders ...*easclient.Folder) {
	for _, f := range folders {
		d.heads[f.ID] = d.start
	}
}

// begin notes where the account is when a Sync is asked: an answer that was lost comes
// again from there, with items as they are then.
func (d *easDevice) begin() {
	if d.touched != nil && !d.phone.Asked() {
		_, d.start = d.touched(0, 0)
	}
}

// written is a letter that was written and not known to be accepted.
type written struct {
	token string
	at    time.Time
}

// knownFor is for how long a server knows at least that a letter was sent.
const knownFor = 24 * time.Hour

// send sends what waits, and notes what was accepted.
func (d *easDevice) send() error {
	for _, w := range d.writing {
		if time.Since(w.at) > knownFor {
			d.outgoing.double(w.token)
		}
	}
	err := d.phone.Send()
	if err == nil {
		for _, w := range d.writing {
			d.outgoing.accept(w.token)
		}
		d.writing = nil
	}
	return err
}

// sync brings one folder into step.
func (d *easDevice) sync(folders ...*easclient.Folder) error {
	d.begin()
	err := d.phone.Sync(folders...)
	if err == nil {
		d.took(folders...)
	}
	return err
}

// Hear implements device: a Ping that was answered says what to sync.
func (d *easDevice) Hear() error {
	for d.waiting != nil && d.waiting.Conn.(wire).Waiting() {
		call := d.waiting
		d.waiting = nil
		news, err := d.phone.Heard(call)
		if err == nil {
			err = d.follow(news)
		}
		if err == nil {
			err = d.await()
		}
		if err != nil {
			d.hangUp()
			return weather(err)
		}
		if !d.others {
			time.Sleep(soon) // another answer, if there is something to tell
		}
	}
	return nil
}

// follow syncs what a Ping said has changed. A Ping that wakes for nothing, again and
// again, empties the battery.
func (d *easDevice) follow(news easclient.News) error {
	if news.Hierarchy {
		if err := d.phone.FolderSync(); err != nil {
			return err
		}
		return d.sync(d.phone.Sorted()...)
	}
	if len(news.Folders) == 0 {
		return nil
	}
	before := d.phone.Entries
	err := d.sync(news.Folders...)
	if d.wakes++; err != nil || d.phone.Entries != before {
		d.wakes = 0
	}
	if d.wakes > 2 {
		d.blame("%s: %d Pings in a row woke it for nothing", d.name, d.wakes)
	}
	return err
}

// heartbeat is for how long a Ping waits, in seconds.
const heartbeat = 900

// await waits for changes to all folders.
func (d *easDevice) await() (err error) {
	d.hangUp()
	d.pinged = slices.DeleteFunc(d.phone.Sorted(), func(f *easclient.Folder) bool { return !f.Known() })
	if len(d.pinged) == 0 || !d.phone.Served["Ping"] {
		return nil
	}
	d.waiting, err = d.phone.Ping(heartbeat, d.pinged...)
	return err
}

// Act implements device.
func (d *easDevice) Act(r *rand.Rand) error {
	if d.away && r.IntN(3) > 0 {
		d.edit(r)
		return nil
	}
	d.away = false
	if err := d.Hear(); err != nil {
		return err
	}
	if r.IntN(3) > 0 {
		d.hangUp() // else the Ping goes on while other things are asked
	}
	d.phone.Twice = r.IntN(8) == 0
	err := d.act(r)
	if err == nil && !d.away && (d.waiting == nil || r.IntN(2) == 0) {
		err = d.await()
	}
	d.phone.Twice = false
	return weather(err)
}

func (d *easDevice) act(r *rand.Rand) error {
	if len(d.phone.Folders) == 0 {
		return d.Sync()
	}
	switch n := r.IntN(20); {
	case n < 9:
		if f := d.edit(r); f != nil {
			return d.sync(f)
		}
	case n < 11:
		d.move(r)
		return d.phone.Carry()
	case n < 13:
		d.compose(r)
		return d.send()
	case n < 14:
		if f := d.draft(r); f != nil {
			return d.sync(f)
		}
	case n < 15:
		d.arrange(r)
		return d.phone.Arrange()
	case n < 16:
		return d.fetch(r)
	case n < 17:
		d.Leave()
		return nil
	case n < 18:
		return d.phone.FolderSync()
	}
	return d.Sync()
}

// someItem picks an item that nothing is about to happen to.
func (d *easDevice) someItem(r *rand.Rand) (*easclient.Folder, *easclient.Item) {
	folders := slices.DeleteFunc(d.phone.Sorted(), func(f *easclient.Folder) bool { return len(f.Items) == 0 })
	if len(folders) == 0 {
		return nil, nil
	}
	f := folders[r.IntN(len(folders))]
	ids := slices.Sorted(maps.Keys(f.Items))
	id := ids[r.IntN(len(ids))]
	if f.Deleting(id) || d.phone.Moving(id) {
		return nil, nil
	}
	return f, f.Items[id]
}

// edit does something to an item, and returns its folder.
func (d *easDevice) edit(r *rand.Rand) *easclient.Folder {
	f, i := d.someItem(r)
	if f == nil {
		return nil
	}
	yes := r.IntN(3) > 0
	switch r.IntN(8) {
	case 0, 1, 2:
		d.phone.Change(f, i.ServerID, easclient.Mark{Read: &yes})
	case 3, 4:
		d.phone.Change(f, i.ServerID, easclient.Mark{Flagged: &yes})
	case 5:
		d.phone.Change(f, i.ServerID, easclient.Mark{Categories: [][]string{{}, {"work"}, {"later", "work"}}[r.IntN(3)]})
	case 6:
		d.ledger.remove(i.Token())
		d.phone.Delete(f, i.ServerID, false)
	case 7:
		d.ledger.remove(i.Token())
		d.phone.Delete(f, i.ServerID, true)
	}
	return f
}

func (d *easDevice) move(r *rand.Rand) {
	f, i := d.someItem(r)
	to := d.phone.Sorted()
	if f == nil || f.Type == easclient.Drafts || !d.phone.Served["MoveItems"] {
		return
	}
	dest := to[r.IntN(len(to))]
	if dest == f || dest.Type == easclient.Drafts {
		return
	}
	if strings.HasPrefix(dest.Name, "Box") {
		d.ledger.remove(i.Token())
	}
	d.phone.Move(easclient.Move{ServerID: i.ServerID, From: f, To: dest})
}

// compose writes a letter, or an answer to one.
func (d *easDevice) compose(r *rand.Rand) {
	if d.writes == "" || !d.phone.Served["SendMail"] {
		return
	}
	token := fmt.Sprintf("sent-%x", r.Uint64())
	l := &easclient.Letter{Mime: []byte(sentText(token, d.login, d.writes)), Save: r.IntN(2) == 0}
	if f, i := d.someItem(r); f != nil && r.IntN(2) == 0 {
		l.Folder, l.ServerID = f, i.ServerID
	}
	d.writing = append(d.writing, written{token, time.Now()})
	d.phone.Compose(l)
}

// draft writes a draft, or goes on with one; from 16.0 on.
func (d *easDevice) draft(r *rand.Rand) *easclient.Folder {
	f := d.phone.Of(easclient.Drafts)
	if f == nil || !f.Known() || d.others { // the soak's ledger knows letters by Message-IDs, of which drafts have none
		return nil
	}
	draft := easclient.Draft{To: d.login, Subject: fmt.Sprintf("thoughts on written-%x", r.Uint64()), Body: someWords(r, 12)}
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(f.Items)), func(id string) bool {
		return !strings.HasPrefix(f.Items[id].Token(), "written-") || f.Deleting(id) || d.phone.Moving(id)
	})
	if len(ids) > 0 && r.IntN(2) == 0 {
		d.phone.Rewrite(f, ids[r.IntN(len(ids))], draft)
	} else {
		d.phone.Add(f, draft)
	}
	return f
}

// sentText is a letter that somebody sends.
func sentText(token, from, to string) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: about %s\r\nMessage-ID: <%s@sent.example.test>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nWritten on the way.\r\n", from, to, token, token)
}

// arrange makes, renames or deletes a folder.
func (d *easDevice) arrange(r *rand.Rand) {
	own := slices.DeleteFunc(d.phone.Sorted(), func(f *easclient.Folder) bool { return !strings.HasPrefix(f.Name, "Box") })
	name := fmt.Sprintf("Box%d", r.IntN(1000))
	switch {
	case len(own) == 0 || r.IntN(3) == 0:
		d.phone.CreateFolder(name)
	case r.IntN(3) == 0:
		d.phone.DeleteFolder(own[r.IntN(len(own))])
	default:
		d.phone.RenameFolder(own[r.IntN(len(own))], name)
	}
}

// fetch reads a message whole.
func (d *easDevice) fetch(r *rand.Rand) error {
	f, i := d.someItem(r)
	if f == nil || !d.phone.Served["ItemOperations"] {
		return nil
	}
	text, err := d.phone.Fetch(f, i.ServerID)
	if err == nil && !isLetter(i.Token(), text) {
		d.blame("%s: %s in %s is not what %s was:\n%.300s", d.name, i.ServerID, f.Name, i.Token(), text)
	}
	return err
}

// Differs implements device: each folder holds what is not older than its window,
// but what is \Deleted. Live, only of folders that it waits on.
func (d *easDevice) Differs(t Truth, live bool) (out []string) {
	folders := d.phone.Sorted()
	if live { // but those it deleted itself meanwhile, or asked something of and heard no answer
		folders = slices.DeleteFunc(slices.Clone(d.pinged), func(f *easclient.Folder) bool { return d.phone.Folders[f.ID] != f || d.phone.Unsure(f) })
	}
	seen := map[string]bool{}
	for _, f := range folders {
		id := boxID(f.ID)
		seen[id] = true
		out = append(out, d.differs(f, t[id], live)...)
	}
	for id, b := range t {
		if !live && !seen[id] && !isOthers(b.Name) && (b.Name != "Drafts" || d.kind.version >= "16") {
			out = append(out, b.Name+": is missing")
		}
	}
	sort.Strings(out)
	return out
}

// mailboxOf is the mailbox that a folder is.
func mailboxOf(folder string) mail.MailboxID {
	n, _ := strconv.ParseInt(folder, 10, 64)
	return mail.MailboxID(n)
}

// boxID is its MAILBOXID.
func boxID(folder string) string { return mailboxOf(folder).String() }

// differs compares a folder with the window that its last Sync had. Live, the days may
// have gone on: nobody is woken for what the next Sync would not bring.
func (d *easDevice) differs(f *easclient.Folder, b *TruthBox, live bool) (out []string) {
	if b == nil {
		return []string{f.Name + ": is not there"}
	}
	if f.Name != b.Name && (f.Name != "Inbox" || b.Name != "INBOX") {
		out = append(out, fmt.Sprintf("%s: is called %s", f.Name, b.Name))
	}
	since := windowOf(d.kind.filter, f.At)
	sure := since
	if live {
		sure = windowOf(d.kind.filter, time.Now())
	}
	there := map[uint32]bool{}
	for uid, l := range b.Letters {
		if withFlag(l.Flags, `\Deleted`) != l.Flags && !l.Date.Before(since) {
			there[uid] = true
		}
	}
	count, maybe := map[string]int{}, map[string]int{}
	for uid := range there {
		switch l := b.Letters[uid]; {
		case b.superseded(uid, there):
		case l.Date.Before(sure), b.maybeSuperseded(uid, there):
			maybe[easShown(l)]++
		default:
			count[easShown(l)]++
		}
	}
	for _, i := range f.Items {
		count[itemShown(i)]--
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		switch n := count[what]; {
		case n < 0 && n+maybe[what] >= 0:
		case n > 0:
			out = append(out, fmt.Sprintf("%s: lacks %d of %s", f.Name, n, what))
		case n < 0:
			out = append(out, fmt.Sprintf("%s: has %d too many of %s", f.Name, -n, what))
		}
	}
	return out
}

// windowOf is where a filter begins (MS-ASCMD §2.2.3.68.2), whole days before today.
func windowOf(filter int, now time.Time) time.Time {
	now = now.UTC()
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	switch filter {
	case 0:
		return time.Time{}
	case 5:
		return day.AddDate(0, -1, 0)
	}
	return day.AddDate(0, 0, -[]int{0, 1, 3, 7, 14}[filter])
}

// easShown is a letter as a phone shows it.
func easShown(l Letter) string {
	words := strings.Fields(l.Flags)
	var categories []string
	for _, w := range words {
		if !strings.HasPrefix(w, `\`) && !strings.HasPrefix(w, "$") {
			categories = append(categories, w)
		}
	}
	return fmt.Sprintf("%s read %t flagged %t %v", l.Subject, slices.Contains(words, `\Seen`), slices.Contains(words, `\Flagged`), categories)
}

func itemShown(i *easclient.Item) string {
	return fmt.Sprintf("%s read %t flagged %t %v", i.Token(), i.Read, i.Flagged, i.Categories)
}
