package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Item is one message to import, or one that was exported.
type Item struct {
	Mailbox string    // path; made if it is not there
	Flags   []string  // those that IMAP does not know are left out
	Date    time.Time // INTERNALDATE; zero is now
	Body    io.Reader `json:"-"`
}

// A Source gives messages to put, one at a time: the body is put's until it
// returns. An error of put ends the giving and is returned.
type Source func(put func(Item) error) error

// Imported says how far an import got.
type Imported struct {
	New     int      // messages that are there now
	Known   int      // that an earlier run had imported
	Refused []string // messages that could not be taken, and why; at most maxRefused
	Failed  int      // how many those are
}

// Messages is how many were looked at.
func (i Imported) Messages() int { return i.New + i.Known + i.Failed }

const (
	maxRefused = 100
	// importMemory is how long an import is remembered, so that running it again
	// brings nothing twice.
	importMemory = 30 * 24 * time.Hour
	// importBatch is how many messages one transaction commits; importAhead how
	// many are made durable meanwhile, and importInMemory how large one may be to
	// wait in memory. Larger ones go to the disk one at a time.
	importBatch    = 200
	importAhead    = 16
	importInMemory = 256 << 10
	importBuffer   = 64 << 10
)

// importer puts messages into one account.
type importer struct {
	o       *Ops
	account mail.AccountID
	by      mail.Origin
	paths   map[string]mail.MailboxID
	done    Imported
	tell    func(Imported) error
}

// ready is a message on its way: its fields are set once arrived is closed.
type ready struct {
	item    Item
	flags   mail.Flags
	arrived chan struct{}
	arrival mail.Arrival
	err     error
}

// Import puts what source gives into an account, in that order. Running it again
// after a crash imports what is missing. tell hears how far it got, after each
// transaction.
func (o *Ops) Import(ctx context.Context, login string, by mail.Origin, source Source, tell func(Imported) error) (Imported, error) {
	p, err := o.principal(ctx, login)
	if err != nil {
		return Imported{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	im := &importer{o: o, account: p.Account, by: by, paths: map[string]mail.MailboxID{}, tell: tell}
	queue := make(chan *ready, importBatch)
	var readErr error
	go func() {
		defer close(queue)
		readErr = im.read(ctx, source, queue)
	}()
	err = im.commitAll(ctx, queue)
	cancel()
	for r := range queue { // let the reader go, and wait for what it began
		<-r.arrived
	}
	if err == nil {
		err = readErr
	}
	return im.done, err
}

// read makes the messages durable ahead of the commits.
func (im *importer) read(ctx context.Context, source Source, queue chan<- *ready) error {
	slots := make(chan struct{}, importAhead)
	return source(func(item Item) error {
		r := &ready{item: item, flags: knownFlags(item.Flags), arrived: make(chan struct{})}
		head, err := io.ReadAll(io.LimitReader(item.Body, importInMemory+1))
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		take := func(body io.Reader) {
			defer func() { <-slots; close(r.arrived) }()
			r.arrival, r.err = im.ingest(ctx, body)
		}
		if len(head) > importInMemory {
			take(io.MultiReader(bytes.NewReader(head), item.Body))
		} else {
			go take(bytes.NewReader(head)) // whoever commits waits for it
		}
		select {
		case queue <- r:
			return nil
		case <-ctx.Done():
			<-r.arrived
			return ctx.Err()
		}
	})
}

// ingest takes one message in; one that is too large is read to its end.
func (im *importer) ingest(ctx context.Context, body io.Reader) (mail.Arrival, error) {
	bounded := &boundedReader{r: body, left: im.o.Message}
	a, err := im.o.Ingest(ctx, bounded)
	if bounded.over {
		_, copyErr := io.Copy(io.Discard, body)
		return a, errors.Join(mail.Errorf(mail.Limit, "larger than limits.message (%d bytes)", im.o.Message), copyErr)
	}
	return a, err
}

// boundedReader fails when there is more than left.
type boundedReader struct {
	r    io.Reader
	left int64
	over bool
}

var errTooLarge = errors.New("message too large")

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.over = true
		return 0, errTooLarge
	}
	return n, err
}

// knownFlags leaves out what IMAP does not allow as a flag.
func knownFlags(names []string) mail.Flags {
	var all mail.Flags
	for _, n := range names {
		f, err := mail.NewFlags(n)
		if err != nil || len(all.Keywords()) == mail.MaxKeywords {
			continue
		}
		all = all.Union(f)
	}
	return all
}

// commitAll commits what is ready, in batches.
func (im *importer) commitAll(ctx context.Context, queue <-chan *ready) error {
	for {
		batch, more := gather(queue)
		for _, r := range batch {
			<-r.arrived
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := im.commit(ctx, batch); err != nil {
				return err
			}
			if err := im.tell(im.done); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// gather waits for one and takes what else is there.
func gather(queue <-chan *ready) (batch []*ready, more bool) {
	r, ok := <-queue
	for ok {
		batch = append(batch, r)
		if len(batch) == importBatch {
			return batch, true
		}
		select {
		case r, ok = <-queue:
		default:
			return batch, true
		}
	}
	return batch, false
}

func (im *importer) commit(ctx context.Context, batch []*ready) error {
	var good []*ready
	for _, r := range batch {
		switch mail.KindOf(r.err) {
		case mail.Limit, mail.Invalid:
			im.refuse(r, r.err)
		default:
			if r.err != nil {
				return r.err
			}
			good = append(good, r)
		}
	}
	if err := im.mailboxes(ctx, good); err != nil {
		return err
	}
	var fresh int
	_, err := im.o.Store.Update(ctx, im.account, im.by, func(tx store.Tx) error {
		fresh = 0
		for _, r := range good {
			isNew, err := im.append(tx, r)
			if err != nil {
				return err
			}
			if isNew {
				fresh++
			}
		}
		return nil
	})
	if mail.KindOf(err) == mail.OverQuota && err != nil {
		return mail.Errorf(mail.OverQuota, "the account is full after %s; give it more with: lockstep account quota, and run the same import again", counted(im.done.Messages(), "message"))
	}
	if err != nil {
		return err
	}
	im.done.New += fresh
	im.done.Known += len(good) - fresh
	return nil
}

func (im *importer) refuse(r *ready, err error) {
	im.done.Failed++
	if len(im.done.Refused) < maxRefused {
		im.done.Refused = append(im.done.Refused, fmt.Sprintf("a message for %s: %s", r.item.Mailbox, mail.DetailOf(err)))
	}
}

// append commits one message unless it was imported before.
func (im *importer) append(tx store.Tx, r *ready) (isNew bool, err error) {
	a := r.arrival
	mb := im.paths[r.item.Mailbox]
	a.Flags, a.InternalDate = r.flags, r.item.Date
	a.Once, a.OnceFor = fmt.Sprintf("import:%s:%s", a.Blob.Name, mb), importMemory
	if _, err := tx.Remembered(a.Once); err == nil {
		return false, nil
	} else if mail.KindOf(err) != mail.NotFound {
		return false, err
	}
	_, err = tx.Append(mb, a)
	return true, err
}

// mailboxes makes the mailboxes of a batch that are not there yet.
func (im *importer) mailboxes(ctx context.Context, batch []*ready) error {
	var missing []string
	for _, r := range batch {
		if _, ok := im.paths[r.item.Mailbox]; !ok {
			missing = append(missing, r.item.Mailbox)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err := im.o.Store.Update(ctx, im.account, im.by, func(tx store.Tx) error {
		for _, path := range missing {
			id, err := mailboxAt(tx, path)
			if err != nil {
				return fmt.Errorf("mailbox %q: %w", path, err)
			}
			im.paths[path] = id
		}
		return nil
	})
	return err
}

// mailboxAt finds or makes a mailbox and those above it, subscribed.
func mailboxAt(tx store.Tx, path string) (mail.MailboxID, error) {
	var parent mail.MailboxID
	names := strings.Split(path, mail.Delimiter)
	for i := range names {
		mb, err := tx.MailboxByPath(strings.Join(names[:i+1], mail.Delimiter))
		if mail.KindOf(err) == mail.NotFound && err != nil {
			mb, err = tx.CreateMailbox(mail.MailboxImage{Name: names[i], Parent: parent})
			if err == nil {
				err = tx.Subscribe(mb.Path)
			}
		}
		if err != nil {
			return 0, err
		}
		parent = mb.ID
	}
	return parent, nil
}

// itemField is the header of a part that holds the Item as JSON.
const itemField = "Lockstep-Item"

// importHandler serves an import: the body is multipart, a part for each message.
func (o *Ops) importHandler(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // an import that ends early leaves the rest of its body unread
	answer := newAnswer[Imported](w)
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil {
		err = http.NewResponseController(w).EnableFullDuplex()
	}
	if err != nil {
		answer.end(mail.Errorf(mail.Invalid, "not an import: %v", err))
		return
	}
	source := func(put func(Item) error) error {
		return readItems(multipart.NewReader(r.Body, params["boundary"]), put)
	}
	// Nothing is known yet, and the client needs the head of the answer to go on.
	if err := answer.emit(Imported{}); err != nil {
		return
	}
	_, err = o.Import(r.Context(), r.URL.Query().Get("login"), operator().WithCause(mail.ByImport), source, answer.emit)
	answer.end(err)
}

func readItems(parts *multipart.Reader, put func(Item) error) error {
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		item := Item{Body: part}
		if err := json.Unmarshal([]byte(part.Header.Get(itemField)), &item); err != nil {
			return err
		}
		if err := put(item); err != nil {
			return err
		}
	}
}

// Import sends what source gives to an account; tell hears how far it got.
func (c *Client) Import(ctx context.Context, login string, source Source, tell func(Imported)) (Imported, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	read, write := io.Pipe()
	defer read.Close()
	buffered := bufio.NewWriterSize(write, importBuffer) // sources give line by line
	parts := multipart.NewWriter(buffered)
	var sendErr error
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if sendErr = sendItems(parts, source); sendErr == nil {
			sendErr = buffered.Flush()
		}
		write.CloseWithError(sendErr)
	}()
	var last Imported
	resp, err := c.postImport(ctx, login, parts.FormDataContentType(), read)
	if err == nil {
		defer resp.Body.Close()
		err = readAnswer(resp.Body, func(i Imported) error {
			last = i
			tell(i)
			return nil
		})
	}
	read.CloseWithError(errAnswered)
	<-sent
	if sendErr != nil && !errors.Is(sendErr, errAnswered) && !errors.Is(sendErr, io.ErrClosedPipe) {
		err = sendErr // the cause of whatever the server made of it
	}
	return last, err
}

var errAnswered = errors.New("the server has answered")

func sendItems(parts *multipart.Writer, source Source) error {
	err := source(func(item Item) error {
		head, err := json.Marshal(item)
		if err != nil {
			return err
		}
		part, err := parts.CreatePart(textproto.MIMEHeader{itemField: {string(head)}})
		if err != nil {
			return err
		}
		_, err = io.Copy(part, item.Body)
		return err
	})
	if err != nil {
		return err
	}
	return parts.Close()
}
