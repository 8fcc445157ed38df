package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// OfMailbox asks for the messages of a mailbox.
type OfMailbox struct {
	Login string
	Path  string
	After mail.UID // those with greater UIDs
}

// Listed is one message of a mailbox.
type Listed struct {
	UID   mail.UID
	Flags []string
	Date  time.Time
	Size  int64
	Name  string // the same for the same message, whatever its mailbox
}

// MessageList asks for the messages of a mailbox, by UID.
var MessageList = Verb[OfMailbox, Listed]{"message/list", (*Ops).messageList}

func (o *Ops) messageList(ctx context.Context, q OfMailbox, emit func(Listed) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	mb, err := o.mailboxByPath(ctx, p, q.Path)
	if err != nil {
		return err
	}
	for next := q.After + 1; ; {
		var page []Listed
		err := o.Store.View(ctx, p.Account, func(r store.Reader) error {
			page = nil
			pq := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.UIDSet{{First: next, Last: 1<<32 - 1}}, Limit: pageMessages}
			return r.Messages(pq, func(pl *mail.Placement, m *mail.Message) error {
				page = append(page, Listed{UID: pl.UID, Flags: pl.Flags.Names(), Date: m.InternalDate, Size: m.Size, Name: m.EmailID.String()})
				return nil
			})
		})
		if err != nil {
			return err
		}
		for _, l := range page {
			if err := emit(l); err != nil {
				return err
			}
		}
		if len(page) < pageMessages {
			return nil
		}
		next = page[len(page)-1].UID + 1
	}
}

func (o *Ops) mailboxByPath(ctx context.Context, p store.Principal, path string) (mail.Mailbox, error) {
	var mb mail.Mailbox
	err := o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		mb, err = r.MailboxByPath(path)
		return err
	})
	if err != nil {
		return mb, noMailbox(err, p.Login, path)
	}
	return mb, nil
}

// messageHandler serves the bytes of one message.
func (o *Ops) messageHandler(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	uid, err := strconv.ParseUint(q.Get("uid"), 10, 32)
	if err != nil {
		http.Error(w, "uid is no number", http.StatusBadRequest)
		return
	}
	if err := o.sendMessage(r.Context(), w, q.Get("login"), q.Get("mailbox"), mail.UID(uid)); err != nil {
		status := http.StatusInternalServerError
		if mail.KindOf(err) == mail.NotFound {
			status = http.StatusNotFound
		}
		http.Error(w, err.Error(), status) // when bytes were sent already, the length tells
	}
}

func (o *Ops) sendMessage(ctx context.Context, w http.ResponseWriter, login, path string, uid mail.UID) error {
	p, err := o.principal(ctx, login)
	if err != nil {
		return err
	}
	var m mail.Message
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		mb, err := r.MailboxByPath(path)
		if err != nil {
			return err
		}
		m = mail.Message{}
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.MakeUIDSet(uid), Located: true}, func(_ *mail.Placement, found *mail.Message) error {
			m = *found
			return nil
		})
	})
	if err == nil && m.Key == 0 {
		err = mail.Errorf(mail.NotFound, "no message %d in %s", uid, path)
	}
	if err != nil {
		return err
	}
	return o.sendBlob(ctx, w, m.Blob)
}

// sendBlob answers with the bytes of a blob.
func (o *Ops) sendBlob(ctx context.Context, w http.ResponseWriter, b mail.Blob) error {
	body, err := o.Blobs.Open(ctx, b)
	if err != nil {
		return err
	}
	defer body.Close()
	w.Header().Set("Content-Length", strconv.FormatInt(body.Size(), 10))
	_, err = io.Copy(w, body)
	return err
}

// Message opens the bytes of one message.
func (c *Client) Message(ctx context.Context, login, path string, uid mail.UID) (io.ReadCloser, error) {
	q := url.Values{"login": {login}, "mailbox": {path}, "uid": {strconv.FormatUint(uint64(uid), 10)}}
	return c.message(ctx, "http://lockstep/v1/message?"+q.Encode(), uid, path)
}

// message opens what stands at an address: the message uid of path.
func (c *Client) message(ctx context.Context, address string, uid mail.UID, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound:
		resp.Body.Close()
		return nil, mail.Errorf(mail.NotFound, "no message %d in %s", uid, path)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return nil, fmt.Errorf("message %d in %s: %s", uid, path, text)
}
