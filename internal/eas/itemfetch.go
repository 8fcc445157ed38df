package eas

import (
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/store"
)

// fetchKeys are the ways to say what to fetch; one of them has to be there.
type fetchKeys struct{ collection, server, long, file *wbxml.Element }

func (k fetchKeys) valid() bool {
	item := k.collection != nil || k.server != nil
	ways := 0
	for _, there := range []bool{item, k.long != nil, k.file != nil} {
		if there {
			ways++
		}
	}
	return ways == 1 && (!item || k.collection != nil && k.server != nil)
}

// fetch serves one Fetch.
func (a *itemsAnswer) fetch(op *wbxml.Element) (*wbxml.Element, error) {
	keys := fetchKeys{op.Child(wbxml.AirSyncCollectionId), op.Child(wbxml.AirSyncServerId), op.Child(wbxml.SearchLongId), op.Child(wbxml.BaseFileReference)}
	name, ok := once(op, wbxml.ItemsStore)
	if _, single := once(op, wbxml.BaseFileReference); !ok || keys.file != nil && !single {
		return nil, errItemsSyntax
	}
	if !strings.EqualFold(name, "Mailbox") {
		return wbxml.New(wbxml.ItemsFetch, wbxml.Int(wbxml.ItemsStatus, itemsUnknownStore)), nil
	}
	options, at, err := a.q.fetchOptions(op.Child(wbxml.ItemsOptions))
	if isBodyPartType(err) {
		return wbxml.New(wbxml.ItemsFetch, wbxml.Int(wbxml.ItemsStatus, statusBodyPartType), keys.collection, keys.server, keys.long, keys.file), nil
	}
	if err != nil {
		return nil, err
	}
	if !keys.valid() {
		return wbxml.New(wbxml.ItemsFetch, wbxml.Int(wbxml.ItemsStatus, itemsProtocol)), nil
	}
	options.parts = a.parts
	var class, properties *wbxml.Element
	if keys.file != nil {
		properties, err = a.attachment(keys.file.Text, at)
	} else {
		class = wbxml.Text(wbxml.AirSyncClass, "Email")
		properties, err = a.message(keys, &options)
	}
	status := itemsOK
	if err != nil {
		class, properties = nil, nil
		if status, err = a.q.itemsStatus(err); err != nil {
			return nil, err
		}
	}
	return wbxml.New(wbxml.ItemsFetch, wbxml.Int(wbxml.ItemsStatus, status), keys.collection, keys.server, keys.long, class, keys.file, properties), nil
}

// fetchOptions reads the Options of a Fetch: what of the body, which elements, which
// bytes.
func (q *request) fetchOptions(options *wbxml.Element) (bodyOptions, *byteRange, error) {
	o, ok, err := q.bodyOptions(options)
	if err != nil {
		return o, nil, err
	}
	if !ok {
		return o, nil, errItemsSyntax
	}
	for schema := range options.All(wbxml.ItemsSchema) {
		o.schema = []wbxml.Tag{}
		for _, e := range schema.Children {
			o.schema = append(o.schema, e.Tag)
		}
	}
	text, ok := once(options, wbxml.ItemsRange)
	if !ok {
		if options.Has(wbxml.ItemsRange) {
			return o, nil, errItemsSyntax
		}
		return o, nil, nil
	}
	at, ok := parseRange(text)
	if !ok {
		return o, nil, errItemsSyntax
	}
	return o, &at, nil
}

// message fetches a message.
func (a *itemsAnswer) message(keys fetchKeys, o *bodyOptions) (*wbxml.Element, error) {
	var m *mailItem
	err := a.q.view(func(r store.Reader) (err error) {
		m, err = a.q.fetchable(r, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	before := 0
	if a.parts != nil {
		before = len(a.parts.list)
	}
	e, err := a.q.version.emailItem(wbxml.ItemsProperties, m, o)
	if err != nil {
		return nil, err
	}
	if err := a.take(bodyBytes(e) + a.parts.bytesFrom(before)); err != nil {
		a.parts.cut(before)
		return nil, err
	}
	return e, nil
}

// take counts what is fetched against what one answer may have.
func (a *itemsAnswer) take(bytes int64) error {
	if bytes > a.left {
		return &itemsFault{itemsTooLarge}
	}
	a.left -= bytes
	return nil
}

// bodyBytes is how much of bodies is in an item.
func bodyBytes(item *wbxml.Element) (n int64) {
	for _, body := range item.Children {
		data := body.Child(wbxml.BaseData)
		switch {
		case body.Tag != wbxml.BaseBody && body.Tag != wbxml.BaseBodyPart || data == nil:
		case data.From != nil:
			if late, ok := data.From.(*lateBody); ok {
				n += late.size
			}
		default:
			n += int64(len(data.Text))
		}
	}
	return n
}

// fetchable loads the message that a Fetch names.
func (q *request) fetchable(r store.Reader, keys fetchKeys) (*mailItem, error) {
	if keys.long != nil {
		id, mb, ok := parseLongID(keys.long.Text)
		if !ok {
			return nil, errNoItem
		}
		return q.itemOfEmail(r, id, mb)
	}
	mb, line, ok := parseItemID(keys.server.Text)
	if !ok || folderID(mb) != keys.collection.Text {
		return nil, errNoItem
	}
	return q.itemOfLine(r, mb, line)
}
