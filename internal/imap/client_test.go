package imap

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"lockstep/internal/mail"
)

// A client library that knows nothing of this server understands what it says.
func TestIndependentClient(t *testing.T) {
	h := newHouse(t, nil)
	expunged := make(chan uint32, 10)
	c, err := imapclient.DialInsecure(h.addr, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Expunge: func(seq uint32) { expunged <- seq },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Login(testLogin, testPassword).Wait())
	must(c.Create("Entwürfe & more", nil).Wait())
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true, UIDNext: true}, ReturnSpecialUse: true}).Collect()
	must(err)
	if len(boxes) != 7 {
		t.Errorf("%d mailboxes, want 7", len(boxes))
	}
	const text = "From: Bob <bob@example.test>\r\nTo: alice@example.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n" +
		"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nplain\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--x--\r\n"
	a := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged, "$Work"}})
	_, err = a.Write([]byte(text))
	must(err)
	must(a.Close())
	done, err := a.Wait()
	must(err)
	box, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	must(err)
	if box.NumMessages != 1 || box.UIDValidity != done.UIDValidity || box.HighestModSeq == 0 {
		t.Errorf("selected %+v", box)
	}
	section := &imap.FetchItemBodySection{Peek: true, Part: []int{2}}
	got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{UID: true, Flags: true, Envelope: true, InternalDate: true, RFC822Size: true, ModSeq: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	must(err)
	m := got[0]
	if m.UID != done.UID || m.Envelope.Subject != "café" || m.RFC822Size != int64(len(text)) || len(m.Flags) < 2 ||
		string(m.FindBodySection(section)) != "<p>html" || m.BodyStructure.MediaType() != "multipart/alternative" {
		t.Errorf("fetched %+v", m)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{"PLAIN"}, Flag: []imap.Flag{imap.FlagFlagged}}, &imap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	must(err)
	if found.Count != 1 || len(found.AllUIDs()) != 1 {
		t.Errorf("found %+v", found)
	}
	copied, err := c.Copy(imap.UIDSetNum(done.UID), "Entwürfe & more").Wait()
	must(err)
	if copied.DestUIDs.String() != "1" {
		t.Errorf("copied %+v", copied)
	}
	_, err = c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect()
	must(err)
	gone, err := c.Expunge().Collect()
	must(err)
	if len(gone) != 1 {
		t.Errorf("expunged %v", gone)
	}
	h.put("INBOX", text, mail.Flags{}, 2, 0)
	idle, err := c.Idle()
	must(err)
	must(idle.Close())
	must(idle.Wait())
	if n := c.Mailbox().NumMessages; n != 1 {
		t.Errorf("%d messages after IDLE, want 1", n)
	}
	moved, err := c.Move(imap.SeqSetNum(1), "Trash").Wait()
	must(err)
	if moved.DestUIDs.String() != "1" {
		t.Errorf("moved %+v", moved)
	}
	must(c.UnselectAndExpunge().Wait())
	if err := c.Create("Trash", nil).Wait(); err == nil || !strings.Contains(err.Error(), "ALREADYEXISTS") {
		t.Errorf("%v", err)
	}
	must(c.Logout().Wait())
}
