package jmap

import (
	"context"
	"encoding/json"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// emailParseArguments are those of Email/parse (RFC 8621 §4.9).
type emailParseArguments struct {
	AccountID  string    `json:"accountId"`
	BlobIDs    []string  `json:"blobIds"`
	Properties *[]string `json:"properties"`
	bodyArguments
}

// emailParseAnswer is what Email/parse answers; what is empty is null.
type emailParseAnswer struct {
	AccountID   string                     `json:"accountId"`
	Parsed      map[string]json.RawMessage `json:"parsed"`
	NotParsable []string                   `json:"notParsable"`
	NotFound    []string                   `json:"notFound"`
}

// emailParse serves Email/parse. It costs reading each blob from its beginning to its
// end, but for those of whole emails, which have been taken apart before.
func emailParse(ctx context.Context, c *call, a *emailParseArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	ids, all, err := c.wantedIDs(&a.BlobIDs)
	if err != nil {
		return err
	}
	if all || a.BlobIDs == nil {
		return invalidArguments("blobIds is a list of blob ids", "blobIds")
	}
	w, err := parseEmailWish(a.Properties, parsedByDefault, a.bodyArguments)
	if err != nil {
		return err
	}
	p := &emailParser{call: c, account: account, wish: w, room: maxAnswerBytes - c.bytes, toRead: maxParsedBytes, out: &emailParseAnswer{AccountID: a.AccountID}}
	for _, id := range ids {
		if err := p.parse(ctx, id); err != nil {
			return err
		}
	}
	return c.answer(p.out)
}

// emailParser is one Email/parse under way.
type emailParser struct {
	*call
	account mail.AccountID
	wish    *emailWish
	room    int64 // bytes that may still be answered
	toRead  int64 // bytes that may still be read
	out     *emailParseAnswer
}

// parse adds what a blob is to the answer.
func (p *emailParser) parse(ctx context.Context, id string) error {
	blob, err := p.srv.openBlob(ctx, p.account, id)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		p.out.NotFound = append(p.out.NotFound, id)
		return nil
	}
	if err != nil {
		return err
	}
	defer blob.Close()
	m, err := p.message(blob)
	if err != nil {
		return err
	}
	e := &email{parsed: m, blobID: id, partPrefix: blob.prefixInside(id), bytes: blob.at}
	header, err := message.ReadHeader(blob.at, m.Root)
	if err != nil {
		return err
	}
	if !hasAnyField(header) {
		p.out.NotParsable = append(p.out.NotParsable, id)
		return nil
	}
	o, err := p.wish.object(e, p.room)
	if err != nil {
		return err
	}
	return p.add(id, o)
}

// hasAnyField reports whether there is a header field at all: what has none is no message.
func hasAnyField(h message.Header) bool {
	for range h.Fields() {
		return true
	}
	return false
}

// message takes a blob apart. Its bytes can be read at any place then.
func (p *emailParser) message(blob *content) (*message.Message, error) {
	if blob.parsed != nil {
		return blob.parsed, nil
	}
	size := blob.size
	if size < 0 {
		size = blob.part.BodySize
	}
	if p.toRead -= size; p.toRead < 0 {
		return nil, refused("requestTooLarge", "this is too much to parse in one call; ask for fewer blobs")
	}
	if err := p.srv.hold(blob); err != nil {
		return nil, err
	}
	return message.Parse(blob.Reader())
}

func (p *emailParser) add(id string, o object) error {
	b, err := encodeJSON(o)
	if err != nil {
		return err
	}
	if p.room -= int64(len(b)); p.room < 0 {
		return answerTooLarge()
	}
	if p.out.Parsed == nil {
		p.out.Parsed = map[string]json.RawMessage{}
	}
	p.out.Parsed[id] = b
	return nil
}
