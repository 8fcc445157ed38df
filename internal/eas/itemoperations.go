package eas

import (
	"errors"
	"fmt"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
)

// Statuses of ItemOperations (MS-ASCMD §2.2.3.177.8).
const (
	itemsOK            = 1
	itemsProtocol      = 2
	itemsServer        = 3
	itemsNotFound      = 6
	itemsBadRange      = 8
	itemsUnknownStore  = 9
	itemsTooLarge      = 11
	itemsConversion    = 14
	itemsBadAttachment = 15
	itemsDenied        = 16

	itemsMoveFailed     = 154
	itemsMoveAlwaysOnly = 155
)

// itemOperations serves ItemOperations (MS-ASCMD §2.2.1.10): it fetches messages and
// attachments, empties folders and moves conversations. A fetch costs what emailItem
// does; attachments go through a file and not through memory. The schema wants answers
// of a kind together.
func (q *request) itemOperations() (*answer, error) {
	ops := itemsAnswer{q: q, left: maxFetchedBytes}
	if q.multipart {
		ops.parts = new(answerParts)
	}
	switch count := len(q.in.Children); {
	case count == 0:
		return ops.failed(itemsProtocol), nil
	case count > maxItemOperations:
		return ops.failed(itemsTooLarge), nil
	}
	for _, op := range q.in.Children {
		if err := ops.serve(op); err != nil {
			if errors.Is(err, errItemsSyntax) {
				return ops.failed(itemsProtocol), nil
			}
			return nil, err
		}
	}
	response := wbxml.New(wbxml.ItemsResponse)
	response.Add(ops.moves...).Add(ops.emptied...).Add(ops.fetched...)
	return ops.answer(itemsOK, response), nil
}

// errItemsSyntax ends the whole command: something is not as the schema has it.
var errItemsSyntax = errors.New("not as the schema of ItemOperations has it")

// itemsAnswer is an answer being made.
type itemsAnswer struct {
	q                       *request
	parts                   *answerParts // nil unless the device takes several parts
	left                    int64        // bytes that may still be fetched
	moves, emptied, fetched []*wbxml.Element
}

func (a *itemsAnswer) failed(status int) *answer { return a.answer(status, nil) }

func (a *itemsAnswer) answer(status int, response *wbxml.Element) *answer {
	root := wbxml.New(wbxml.ItemsItemOperations, wbxml.Int(wbxml.ItemsStatus, status))
	return &answer{root: root.Add(response), parts: a.parts}
}

func (a *itemsAnswer) serve(op *wbxml.Element) error {
	switch op.Tag {
	case wbxml.ItemsFetch:
		e, err := a.fetch(op)
		a.fetched = append(a.fetched, e)
		return err
	case wbxml.ItemsEmptyFolderContents:
		e, err := a.q.emptyFolder(op)
		a.emptied = append(a.emptied, e)
		return err
	case wbxml.ItemsMove:
		e, err := a.q.moveConversation(op)
		a.moves = append(a.moves, e)
		return err
	}
	if op.Tag.Known() {
		return errItemsSyntax
	}
	return nil
}

// itemsStatus is what one operation of several is told of an error. An error that is
// about the whole command comes back.
func (q *request) itemsStatus(err error) (int, error) {
	var s *itemsFault
	if errors.As(err, &s) {
		return s.status, nil
	}
	if q.ctx.Err() != nil {
		return 0, err
	}
	switch mail.KindOf(err) {
	case mail.NotFound:
		return itemsNotFound, nil
	case mail.Denied, mail.Limit:
		return itemsDenied, nil
	case mail.Corrupt:
		return itemsConversion, nil
	}
	q.srv.Log.ErrorContext(q.ctx, "item operation failed", "proto", "activesync", "account", q.sess.Principal.Login, "err", err)
	return itemsServer, nil
}

// itemsFault is an error with a status of its own.
type itemsFault struct{ status int }

func (f *itemsFault) Error() string { return fmt.Sprintf("status %d of ItemOperations", f.status) }

// once returns the text of the one child of a tag.
func once(e *wbxml.Element, t wbxml.Tag) (text string, ok bool) {
	n := 0
	for c := range e.All(t) {
		text = c.Text
		n++
	}
	return text, n == 1
}
