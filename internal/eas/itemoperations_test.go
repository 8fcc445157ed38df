package eas

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"lockstep/internal/delivery"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func fetchItem(id string, options ...*wbxml.Element) *wbxml.Element {
	folder, _, _ := strings.Cut(id, ":")
	return fetching(wbxml.Text(wbxml.AirSyncCollectionId, folder), wbxml.Text(wbxml.AirSyncServerId, id)).Add(optionsOf(options))
}

func fetchFile(reference string, options ...*wbxml.Element) *wbxml.Element {
	return fetching(wbxml.Text(wbxml.BaseFileReference, reference)).Add(optionsOf(options))
}

func fetching(keys ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.ItemsFetch, wbxml.Text(wbxml.ItemsStore, "Mailbox")).Add(keys...)
}

func optionsOf(options []*wbxml.Element) *wbxml.Element {
	if len(options) == 0 {
		return nil
	}
	return wbxml.New(wbxml.ItemsOptions, options...)
}

func (p *phone) items(ops ...*wbxml.Element) *wbxml.Element {
	p.w.T.Helper()
	return p.call("ItemOperations", wbxml.New(wbxml.ItemsItemOperations, ops...))
}

func bodyOf(typ int, size int64) *wbxml.Element {
	e := wbxml.New(wbxml.BaseBodyPreference, wbxml.Int(wbxml.BaseType, typ))
	if size >= 0 {
		e.Add(wbxml.Int(wbxml.BaseTruncationSize, size))
	}
	return e
}

func idOf(p mail.Placement) string { return itemID(p.Mailbox, p.Lineage) }

func (w *town) email(p mail.Placement) (m mail.Message) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) {
		m, err = r.Message(p.Message)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return m
}

func TestFetchMessages(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	id := idOf(p)
	for _, v := range versions {
		phone := w.phone(v)
		e := phone.items(fetchItem(id, bodyOf(2, 400)), fetching(wbxml.Text(wbxml.SearchLongId, longID(w.email(p).EmailID, p.Mailbox))))
		if e.Get(wbxml.ItemsStatus) != "1" {
			t.Fatalf("%v: %s", v, short(e))
		}
		var got []string
		for f := range e.Child(wbxml.ItemsResponse).All(wbxml.ItemsFetch) {
			properties := f.Child(wbxml.ItemsProperties)
			got = append(got, names(f)+": "+properties.Get(wbxml.EmailSubject)+" "+properties.Child(wbxml.BaseBody).Get(wbxml.BaseType))
		}
		want := "Status CollectionId ServerId Class Properties: Re: Grüße 2, Status LongId Class Properties: Re: Grüße 1"
		if strings.Join(got, ", ") != want {
			t.Errorf("%v: got %s", v, strings.Join(got, ", "))
		}
	}
	if w.item("INBOX", p, nil).placement.Flags.Has(mail.Seen) {
		t.Error("fetching has read the message")
	}
	e := w.phone(v161).items(fetchItem(id, wbxml.New(wbxml.ItemsSchema, wbxml.New(wbxml.EmailSubject), wbxml.New(wbxml.BaseBody)), bodyOf(1, 3)))
	if got := short(e.Child(wbxml.ItemsResponse).Child(wbxml.ItemsFetch).Child(wbxml.ItemsProperties)); got != "Properties(Subject=Re: Grüße Body(Type=1 EstimatedDataSize=18 Truncated=1 Data=Gr))" {
		t.Errorf("by a schema: %s", got)
	}
}

func TestFetchAttachments(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	reference := fileReference(w.email(p).EmailID, "2")
	phone := w.phone(v141)
	e := phone.items(fetchFile(reference), fetchFile(reference, wbxml.Text(wbxml.ItemsRange, "1-3")), fetchFile(reference, wbxml.Text(wbxml.ItemsRange, "5-999999")))
	want := "Response(" +
		"Fetch(Status=1 FileReference=R Properties(ContentType=application/pdf Data=JVBERi0xLjQK)) " +
		"Fetch(Status=1 FileReference=R Properties(Range=1-3 Total=9 ContentType=application/pdf Data=UERG)) " +
		"Fetch(Status=1 FileReference=R Properties(Range=5-8 Total=9 ContentType=application/pdf Data=MS40Cg==)))"
	want = strings.ReplaceAll(want, "MS40Cg==", base64.StdEncoding.EncodeToString([]byte("1.4\n")))
	if got := strings.ReplaceAll(short(e.Child(wbxml.ItemsResponse)), reference, "R"); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	// It is the same file wherever the message is moved.
	w.change(func(tx store.Tx) error {
		var uids mail.UIDSet
		uids.Add(p.UID)
		_, err := tx.Move(p.Mailbox, uids, w.archive(tx))
		return err
	})
	if e := phone.items(fetchFile(reference)); e.Child(wbxml.ItemsResponse).Child(wbxml.ItemsFetch).Get(wbxml.ItemsStatus) != "1" {
		t.Errorf("after a move: %s", short(e))
	}
}

func (w *town) archive(r store.Reader) mail.MailboxID {
	mb, err := r.MailboxByPath("Archive")
	if err != nil {
		w.T.Fatal(err)
	}
	return mb.ID
}

func TestFetchThatFails(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	id, file := idOf(p), fileReference(w.email(p).EmailID, "2")
	gone := fileReference(mail.NewEmailID(), "2")
	text := wbxml.Text
	for name, c := range map[string]struct {
		op     *wbxml.Element
		status string
	}{
		"no such message":       {fetchItem("1:999999"), "6"},
		"no id":                 {fetchItem("x"), "6"},
		"in another folder":     {fetching(text(wbxml.AirSyncCollectionId, "999"), text(wbxml.AirSyncServerId, id)), "6"},
		"no such long id":       {fetching(text(wbxml.SearchLongId, longID(mail.NewEmailID(), 1))), "6"},
		"bad long id":           {fetching(text(wbxml.SearchLongId, "x")), "6"},
		"no keys":               {fetching(), "2"},
		"no server id":          {fetching(text(wbxml.AirSyncCollectionId, "1")), "2"},
		"two ways":              {fetching(text(wbxml.SearchLongId, "x"), text(wbxml.BaseFileReference, file)), "2"},
		"another store":         {wbxml.New(wbxml.ItemsFetch, text(wbxml.ItemsStore, "Attic"), text(wbxml.BaseFileReference, file)), "9"},
		"empty reference":       {fetchFile(""), "15"},
		"no reference":          {fetchFile("x"), "15"},
		"no such part":          {fetchFile(file + "9"), "15"},
		"somebody else's":       {fetchFile(gone), "15"},
		"range behind the end":  {fetchFile(file, text(wbxml.ItemsRange, "9-12")), "8"},
		"range backwards":       {fetchFile(file, text(wbxml.ItemsRange, "3-1")), "8"},
		"move of no thread":     {moving("x", "1", true), "6"},
		"move to no folder":     {moving(string(conversationID(1)), "999999", true), "6"},
		"move nowhere":          {moving(string(conversationID(1)), "", true), "105"},
		"move always something": {moving(string(conversationID(1)), "1", false).Add(wbxml.New(wbxml.ItemsOptions, text(wbxml.ItemsMoveAlways, "x"))), "2"},
		"a part as text":        {fetchItem(id, wbxml.New(wbxml.BaseBodyPartPreference, wbxml.Int(wbxml.BaseType, 1))), "164"},
		"move not for always":   {moving(string(conversationID(1)), "1", false), "155"},
		"empty no folder":       {emptying("999999", false), "6"},
		"empty what is no id":   {emptying("x", false), "6"},
		"empty nothing":         {wbxml.New(wbxml.ItemsEmptyFolderContents), "2"},
		"empty the outbox":      {emptying(outboxID, false), "1"},
	} {
		e := w.phone(v161).items(c.op)
		response := e.Child(wbxml.ItemsResponse)
		if response == nil || len(response.Children) != 1 || response.Children[0].Get(wbxml.ItemsStatus) != c.status {
			t.Errorf("%s: %s, want %s", name, short(e), c.status)
		}
	}
	for name, op := range map[string]*wbxml.Element{
		"no store":      wbxml.New(wbxml.ItemsFetch, text(wbxml.BaseFileReference, file)),
		"two stores":    fetchFile(file).Add(text(wbxml.ItemsStore, "Mailbox")),
		"bad range":     fetchFile(file, text(wbxml.ItemsRange, "a-b")),
		"long range":    fetchFile(file, text(wbxml.ItemsRange, "0-1234567890")),
		"bad body type": fetchItem(id, wbxml.New(wbxml.BaseBodyPreference, text(wbxml.BaseType, "a"))),
		"unknown verb":  text(wbxml.ItemsTotal, "1"),
	} {
		if e := w.phone(v161).items(op); e.Get(wbxml.ItemsStatus) != "2" || e.Has(wbxml.ItemsResponse) {
			t.Errorf("%s: %s", name, short(e))
		}
	}
	if e := w.phone(v161).items(); e.Get(wbxml.ItemsStatus) != "2" {
		t.Errorf("nothing: %s", short(e))
	}
}

func TestItemOperationsAreBounded(t *testing.T) {
	w := newTown(t)
	id := idOf(w.put("INBOX", "Subject: a\r\n\r\nb\r\n"))
	var ops []*wbxml.Element
	for range maxItemOperations {
		ops = append(ops, fetchItem(id, wbxml.New(wbxml.ItemsSchema, wbxml.New(wbxml.EmailSubject))))
	}
	if e := w.phone(v161).items(ops...); e.Get(wbxml.ItemsStatus) != "1" {
		t.Errorf("at the bound: %s", short(e))
	}
	if e := w.phone(v161).items(append(ops, fetchItem(id))...); e.Get(wbxml.ItemsStatus) != "11" || e.Has(wbxml.ItemsResponse) {
		t.Errorf("one past the bound: %s", short(e))
	}
	a := itemsAnswer{left: 10}
	if a.take(10) != nil || a.take(1) == nil {
		t.Error("bytes are not counted")
	}
}

// split takes an answer of several parts apart.
func split(t *testing.T, b []byte) [][]byte {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(b))
	var parts [][]byte
	for i := range n {
		at, size := binary.LittleEndian.Uint32(b[4+8*i:]), binary.LittleEndian.Uint32(b[8+8*i:])
		parts = append(parts, b[at:at+size])
	}
	if last := parts[n-1]; len(b) != int(binary.LittleEndian.Uint32(b[8*n-4:]))+len(last) {
		t.Errorf("%d bytes behind the last part", len(b))
	}
	return parts
}

func TestAnswersInParts(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	reference := fileReference(w.email(p).EmailID, "2")
	for _, packed := range []bool{false, true} {
		for _, v := range []version{v121, v161} {
			phone := w.phone(v)
			phone.header.Set("MS-ASAcceptMultiPart", "T")
			if packed {
				phone.header.Set("Accept-Encoding", "gzip")
			}
			var in bytes.Buffer
			ops := wbxml.New(wbxml.ItemsItemOperations, fetchFile(reference), fetchItem(idOf(p), bodyOf(1, -1)), fetchFile(reference, wbxml.Text(wbxml.ItemsRange, "0-3")), fetchFile("x"), fetchItem(idOf(p), bodyOf(4, -1), wbxml.Text(wbxml.AirSyncMIMESupport, "2")))
			if err := wbxml.Encode(&in, ops); err != nil {
				t.Fatal(err)
			}
			rec := phone.post(phone.query("ItemOperations"), in.Bytes())
			if got := rec.Header().Get("Content-Type"); rec.Code != http.StatusOK || got != typeMultipart {
				t.Fatalf("%d %s", rec.Code, got)
			}
			body := io.Reader(rec.Body)
			if isPacked := rec.Header().Get("Content-Encoding") == "gzip"; isPacked != packed {
				t.Errorf("packed is %v", isPacked)
			} else if packed {
				z, err := gzip.NewReader(body)
				if err != nil {
					t.Fatal(err)
				}
				body = z
			}
			all, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			parts := split(t, all)
			if len(parts) != 5 || string(parts[1]) != "%PDF-1.4\n" || string(parts[2]) != "Grüße aus Köln." || string(parts[3]) != "%PDF" || string(parts[4]) != letter {
				t.Fatalf("%d parts: %q", len(parts), parts[1:])
			}
			e := w.decode("ItemOperations", bytes.NewReader(parts[0]))
			var got []string
			for f := range e.Child(wbxml.ItemsResponse).All(wbxml.ItemsFetch) {
				properties := f.Child(wbxml.ItemsProperties)
				got = append(got, f.Get(wbxml.ItemsStatus)+":"+properties.Get(wbxml.ItemsPart)+properties.Child(wbxml.BaseBody).Get(wbxml.ItemsPart))
			}
			if want := "1:1 1:2 1:3 15: 1:4"; strings.Join(got, " ") != want {
				t.Errorf("%v: parts are %v", v, got)
			}
		}
	}
	phone := w.phone(v161)
	phone.header.Set("MS-ASAcceptMultiPart", "T")
	var in bytes.Buffer
	wbxml.Encode(&in, wbxml.New(wbxml.ItemsItemOperations))
	rec := phone.post(phone.query("ItemOperations"), in.Bytes())
	if parts := split(t, rec.Body.Bytes()); len(parts) != 1 || w.decode("ItemOperations", bytes.NewReader(parts[0])).Get(wbxml.ItemsStatus) != "2" {
		t.Errorf("one part: %d parts", len(parts))
	}
}

func TestLargeAttachmentsGoThroughAFile(t *testing.T) {
	const size = 24 << 20
	w := newTown(t)
	var large strings.Builder
	large.WriteString("Subject: large\r\nContent-Type: application/zip; name=a.zip\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("z", 57)))
	for range size / 57 {
		large.WriteString(line[:40] + "\r\n" + line[40:] + "\r\n") // so it is stored as it is
	}
	reference := fileReference(w.email(w.put("INBOX", large.String())).EmailID, "1")
	q := w.phone(v161).request()
	q.multipart = true
	q.cmd, _ = commandByName("ItemOperations", v161)
	q.in = wbxml.New(wbxml.ItemsItemOperations, fetchFile(reference))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := q.itemOperations()
	if err != nil {
		t.Fatal(err)
	}
	out := newSpool(t.TempDir(), w.server.limits.Answer)
	defer out.Close()
	if _, err := a.encode(out, w.server); err != nil || out.size < size/57*57 {
		t.Fatalf("%d bytes, %v: %s", out.size, err, short(a.root))
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > size/2 {
		t.Errorf("an attachment of %d MiB took %d MiB", size>>20, got>>20)
	}
}

func emptying(id string, below bool) *wbxml.Element {
	e := wbxml.New(wbxml.ItemsEmptyFolderContents, wbxml.Text(wbxml.AirSyncCollectionId, id))
	if below {
		e.Add(wbxml.New(wbxml.ItemsOptions, wbxml.New(wbxml.ItemsDeleteSubFolders)))
	}
	return e
}

func moving(conversation, target string, always bool) *wbxml.Element {
	e := wbxml.New(wbxml.ItemsMove, wbxml.Bytes(wbxml.ItemsConversationId, []byte(conversation)), wbxml.Text(wbxml.ItemsDstFldId, target))
	if always {
		e.Add(wbxml.New(wbxml.ItemsOptions, wbxml.New(wbxml.ItemsMoveAlways)))
	}
	return e
}

func (w *town) count(path string) int64 { return w.mailbox(path).Counts.Placements }

func TestEmptyFolderContents(t *testing.T) {
	w := newTown(t)
	trash := w.mailbox("Trash")
	w.change(func(tx store.Tx) error {
		inner, err := tx.CreateMailbox(mail.MailboxImage{Parent: trash.ID, Name: "Inner"})
		if err == nil {
			_, err = tx.CreateMailbox(mail.MailboxImage{Parent: inner.ID, Name: "Innermost"})
		}
		return err
	})
	for i := range 7 {
		w.put([]string{"Trash", "Trash/Inner", "INBOX"}[i%3], fmt.Sprintf("Subject: %d\r\n\r\nb\r\n", i))
	}
	phone := w.phone(v141)
	e := phone.items(emptying(folderID(trash.ID), false))
	if short(e.Child(wbxml.ItemsResponse)) != "Response(EmptyFolderContents(Status=1 CollectionId="+folderID(trash.ID)+"))" || w.count("Trash") != 0 || w.count("Trash/Inner") != 2 {
		t.Errorf("%s: %d and %d are left", short(e), w.count("Trash"), w.count("Trash/Inner"))
	}
	phone.items(emptying(folderID(trash.ID), true))
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		_, err := r.MailboxByPath("Trash/Inner")
		return err
	})
	if mail.KindOf(err) != mail.NotFound || w.count("INBOX") != 2 {
		t.Errorf("the folder within: %v; %d in the inbox", err, w.count("INBOX"))
	}
}

func TestEmptyingIsHeldBackByTheGuard(t *testing.T) {
	w := newTown(t)
	w.change(func(tx store.Tx) error { return tx.SetPreference(mail.Guard, mail.GuardHold) })
	for i := range 110 {
		w.put("Archive", fmt.Sprintf("Subject: %d\r\n\r\nb\r\n", i))
	}
	id := folderID(w.mailbox("Archive").ID)
	e := w.phone(v161).items(emptying(id, false))
	if got := e.Child(wbxml.ItemsResponse).Child(wbxml.ItemsEmptyFolderContents).Get(wbxml.ItemsStatus); got != "16" || w.count("Archive") != 110 {
		t.Errorf("status %s, %d are left", got, w.count("Archive"))
	}
}

func TestMoveConversations(t *testing.T) {
	w := newTown(t)
	first := w.put("INBOX", "Message-ID: <a@example.test>\r\nSubject: Plan\r\n\r\nb\r\n")
	w.put("INBOX", "Message-ID: <b@example.test>\r\nReferences: <a@example.test>\r\nSubject: Re: Plan\r\n\r\nb\r\n")
	w.put("Sent", "Message-ID: <c@example.test>\r\nReferences: <a@example.test>\r\nSubject: Re: Plan\r\n\r\nb\r\n")
	w.put("INBOX", "Message-ID: <d@example.test>\r\nSubject: Other\r\n\r\nb\r\n")
	thread := string(conversationID(w.email(first).Thread))
	archive := folderID(w.mailbox("Archive").ID)
	for range 2 { // what comes again finds it done
		e := w.phone(v161).items(moving(thread, archive, true))
		if got := e.Child(wbxml.ItemsResponse).Child(wbxml.ItemsMove); got.Get(wbxml.ItemsStatus) != "1" || got.Get(wbxml.ItemsConversationId) != thread {
			t.Errorf("got %s", short(e))
		}
		if w.count("INBOX") != 1 || w.count("Archive") != 2 || w.count("Sent") != 1 {
			t.Errorf("%d in the inbox, %d in the archive, %d sent", w.count("INBOX"), w.count("Archive"), w.count("Sent"))
		}
	}
	if e := w.phone(v121).items(moving(thread, archive, true)); e.Get(wbxml.ItemsStatus) != "2" {
		t.Errorf("12.1: %s", short(e))
	}
}

// What comes in later follows the conversation, until it is moved to the inbox.
func TestLaterMessagesFollowAConversation(t *testing.T) {
	w := newTown(t)
	first := w.put("INBOX", "Message-ID: <a@example.test>\r\nSubject: Plan\r\n\r\nb\r\n")
	arrives := func(id string) {
		t.Helper()
		env := &delivery.Envelope{Hop: delivery.Hop{Protocol: mail.LMTP, ID: "1"}, ReversePath: "bob@remote.test", Recipients: []delivery.Recipient{{Address: login, Account: w.alice.Account, Inbox: first.Mailbox}}}
		body := "Message-ID: <" + id + "@example.test>\r\nReferences: <a@example.test>\r\nSubject: Re: Plan\r\n\r\nb\r\n"
		if errs, err := w.Delivery.Deliver(t.Context(), env, strings.NewReader(body)); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
	}
	thread := string(conversationID(w.email(first).Thread))
	phone := w.phone(v161)
	for i, path := range []string{"Archive", "Trash", "INBOX"} {
		phone.items(moving(thread, folderID(w.mailbox(path).ID), true))
		before := w.count(path)
		arrives(fmt.Sprint("later", i))
		if got := w.count(path); got != before+1 {
			t.Errorf("%s has %d, and had %d", path, got, before)
		}
	}
}

func TestGetAttachment(t *testing.T) {
	w := newTown(t)
	reference := fileReference(w.email(w.put("INBOX", letter)).EmailID, "2")
	phone := w.phone(v121)
	rec := phone.post(phone.query("GetAttachment")+"&AttachmentName="+reference, nil)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/pdf" || rec.Body.String() != "%PDF-1.4\n" {
		t.Errorf("%d %s %q", rec.Code, rec.Header().Get("Content-Type"), rec.Body)
	}
	if rec := phone.post(phone.query("GetAttachment")+"&AttachmentName=x", nil); rec.Code != http.StatusInternalServerError {
		t.Errorf("none: %d", rec.Code)
	}
	if rec := w.phone(v140).post(phone.query("GetAttachment")+"&AttachmentName="+reference, nil); rec.Code == http.StatusOK && rec.Header().Get("Content-Type") == "application/pdf" {
		t.Error("14.0 has it too")
	}
}
