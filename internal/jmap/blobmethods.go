package jmap

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// blobURN is the capability of making and reading blobs in method calls (RFC 9404).
const blobURN = "urn:ietf:params:jmap:blob"

// blobTypes are the types that Blob/lookup finds references in.
var blobTypes = []string{"Mailbox", "Thread", "Email"}

// digests are the hashes that Blob/get can tell.
var digests = map[string]func() hash.Hash{"sha": sha1.New, "sha-256": sha256.New}

// blobCapability is what is said of blobs on an account (RFC 9404 §2.1).
func (s *Server) blobCapability(*auth.Session) any {
	return map[string]any{
		"maxSizeBlobSet":            s.limits.Upload,
		"maxDataSources":            maxDataSources,
		"supportedTypeNames":        blobTypes,
		"supportedDigestAlgorithms": slices.Sorted(maps.Keys(digests)),
	}
}

// blobUploadArguments are those of Blob/upload (RFC 9404 §4.1).
type blobUploadArguments struct {
	AccountID string                     `json:"accountId"`
	Create    map[string]json.RawMessage `json:"create"`
}

// blobUploadAnswer is what Blob/upload answers.
type blobUploadAnswer struct {
	AccountID  string               `json:"accountId"`
	Created    map[string]object    `json:"created"`
	NotCreated map[string]*setError `json:"notCreated"`
}

// givenBlob is a blob that a client puts together (RFC 9404 §4.1).
type givenBlob struct {
	Data []dataSource `json:"data"`
	Type *string      `json:"type"`
}

// A dataSource is a part of it: text, base64, or of another blob.
type dataSource struct {
	Text   *string `json:"data:asText"`
	Base64 *string `json:"data:asBase64"`
	BlobID *string `json:"blobId"`
	Offset *uint64 `json:"offset"`
	Length *uint64 `json:"length"`
}

// blobUpload is Blob/upload. A blob may consist of others that the same call makes. It
// costs the bytes of all, and one commit for each.
func blobUpload(ctx context.Context, c *call, a *blobUploadArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if len(a.Create) > c.srv.limits.ObjectsInSet {
		return refused("requestTooLarge", "too many blobs in one call")
	}
	u := &blobUploading{call: c, ctx: ctx, account: account, room: &budget{left: uploadsInSet * c.srv.limits.Upload}, out: &blobUploadAnswer{AccountID: a.AccountID}, waiting: maps.Clone(a.Create)}
	for _, creation := range slices.Sorted(maps.Keys(a.Create)) {
		if err := u.make(creation, 0); err != nil {
			return err
		}
	}
	return c.answer(u.out)
}

// blobUploading is one Blob/upload under way.
type blobUploading struct {
	*call
	ctx     context.Context
	account mail.AccountID
	room    *budget
	out     *blobUploadAnswer
	waiting map[string]json.RawMessage
}

// make makes a blob, after those it consists of.
func (u *blobUploading) make(creation string, depth int) error {
	raw, ok := u.waiting[creation]
	if !ok || depth > maxBlobDepth {
		return nil
	}
	delete(u.waiting, creation)
	var b givenBlob
	if err := decodeStrict(raw, &b); err != nil || isNull(raw) {
		note(&u.out.NotCreated, creation, invalidProperties("a blob has data, a list of sources, and a type", "data"))
		return nil
	}
	for _, src := range b.Data {
		if src.BlobID == nil {
			continue
		}
		if other, isReference := strings.CutPrefix(*src.BlobID, "#"); isReference {
			if err := u.make(other, depth+1); err != nil {
				return err
			}
		}
	}
	kept, err := u.keep(&b)
	if err != nil {
		if kind := mail.KindOf(err); !isSetError(err) && (kind == mail.Internal || kind == mail.Corrupt) {
			return err
		}
		note(&u.out.NotCreated, creation, u.srv.setErrorOf(u.ctx, u.name, err))
		return nil
	}
	if u.out.Created == nil {
		u.out.Created = map[string]object{}
	}
	u.out.Created[creation] = object{"id": kept.ID.String(), "type": kept.Type, "size": kept.Blob.Size}
	u.created[creation] = kept.ID.String()
	return nil
}

func isSetError(err error) bool {
	_, ok := errors.AsType[*setError](err)
	return ok
}

// keep puts the sources together and keeps what comes of it.
func (u *blobUploading) keep(b *givenBlob) (mail.Upload, error) {
	if b.Data == nil || len(b.Data) > maxDataSources {
		return mail.Upload{}, invalidProperties("data is a list of sources, not too many", "data")
	}
	mediaType := ""
	if b.Type != nil {
		mediaType = *b.Type
	}
	one := &budget{left: u.srv.limits.Upload}
	all := &sources{open: u.source, list: b.Data}
	defer all.Close()
	kept, err := u.srv.keep(u.ctx, u.account, &blobReader{Reader: all, Closer: all, budgets: []*budget{one, u.room}}, mediaType)
	if errors.Is(err, errSpent) && one.left < 0 {
		err = &setError{Type: "tooLarge", Description: "the blob is too large", Extra: map[string]any{"maxSize": u.srv.limits.Upload}}
	} else if errors.Is(err, errSpent) {
		err = tooMuchInCall()
	}
	return kept, err
}

// source opens one source.
func (u *blobUploading) source(src dataSource) (io.ReadCloser, error) {
	switch {
	case src.isWrong():
		return nil, invalidProperties("a source is either data:asText, data:asBase64 or blobId, and only that has an offset and a length", "data")
	case src.Text != nil:
		return io.NopCloser(strings.NewReader(*src.Text)), nil
	case src.Base64 != nil:
		b, err := base64.StdEncoding.Strict().DecodeString(*src.Base64)
		if err != nil {
			return nil, invalidProperties("data:asBase64 is no base64", "data")
		}
		return io.NopCloser(strings.NewReader(string(b))), nil
	}
	id, ok := u.idOf(*src.BlobID)
	if !ok {
		return nil, noSource(*src.BlobID)
	}
	c, err := u.srv.openBlob(u.ctx, u.account, id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, noSource(*src.BlobID)
	}
	if err != nil {
		return nil, err
	}
	return u.part(c, src)
}

func (src dataSource) isWrong() bool {
	n := 0
	for _, is := range []bool{src.Text != nil, src.Base64 != nil, src.BlobID != nil} {
		if is {
			n++
		}
	}
	return n != 1 || src.BlobID == nil && (src.Offset != nil || src.Length != nil)
}

func noSource(id string) *setError {
	return &setError{Type: "blobNotFound", Description: "a source is a blob that is not there", Extra: map[string]any{"notFound": []string{id}}}
}

// part reads the range of a blob that a source names. It has to be there whole.
func (u *blobUploading) part(c *content, src dataSource) (io.ReadCloser, error) {
	if src.Offset == nil && src.Length == nil {
		return &blobReader{Reader: c.Reader(), Closer: c}, nil
	}
	if err := u.srv.hold(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	var from uint64
	if src.Offset != nil {
		from = *src.Offset
	}
	size := uint64(c.size)
	length := size - min(from, size)
	if src.Length != nil {
		length = *src.Length
	}
	if from > size || length > size-from {
		return nil, errors.Join(invalidProperties("the blob has no such range", "data"), c.Close())
	}
	return &blobReader{Reader: io.NewSectionReader(c.at, int64(from), int64(length)), Closer: c}, nil
}

// sources reads one source after the other, opening each when its turn comes.
type sources struct {
	open func(dataSource) (io.ReadCloser, error)
	list []dataSource
	now  io.ReadCloser
}

// Read implements io.Reader.
func (s *sources) Read(p []byte) (int, error) {
	for {
		if s.now == nil {
			if len(s.list) == 0 {
				return 0, io.EOF
			}
			var err error
			if s.now, err = s.open(s.list[0]); err != nil {
				s.now = nil
				return 0, err
			}
			s.list = s.list[1:]
		}
		n, err := s.now.Read(p)
		if err == io.EOF {
			err = s.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes the source that is open.
func (s *sources) Close() error {
	if s.now == nil {
		return nil
	}
	now := s.now
	s.now = nil
	return now.Close()
}

// blobGetArguments are those of Blob/get (RFC 9404 §4.2).
type blobGetArguments struct {
	getArguments
	Offset *uint64 `json:"offset"`
	Length *uint64 `json:"length"`
}

// blobGetAnswer is what Blob/get answers: blobs never change, and have no state.
type blobGetAnswer struct {
	AccountID string   `json:"accountId"`
	List      []object `json:"list"`
	NotFound  []string `json:"notFound"`
}

var (
	blobDefault    = []string{"data", "size"}
	blobProperties = func() []string {
		all := []string{"data", "data:asText", "data:asBase64", "size"}
		for _, name := range slices.Sorted(maps.Keys(digests)) {
			all = append(all, digestPrefix+name)
		}
		return all
	}()
)

const digestPrefix = "digest:"

// blobGet is Blob/get. A blob costs the range of it that is asked for; its size alone,
// where nothing needs to be decoded, costs its row.
func blobGet(ctx context.Context, c *call, a *blobGetArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if a.IDs == nil {
		return invalidArguments("ids names the blobs; there is no list of all", "ids")
	}
	ids, _, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	asked := a.Properties
	if asked == nil {
		asked = &blobDefault
	}
	if _, err := wantedProperties(asked, append([]string{"id"}, blobProperties...), nil); err != nil {
		return err
	}
	g := &blobGetting{call: c, ctx: ctx, account: account, args: a, properties: *asked, room: &budget{left: maxAnswerBytes - c.bytes}, digesting: &budget{left: maxDigested}}
	out := &blobGetAnswer{AccountID: a.AccountID, List: []object{}, NotFound: []string{}}
	for _, id := range ids {
		o, err := g.one(id)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		if errors.Is(err, errSpent) {
			return refused("requestTooLarge", "this is too much for one answer; ask for fewer blobs, or for less of them")
		}
		if err != nil {
			return err
		}
		out.List = append(out.List, o)
	}
	return c.answer(out)
}

// blobGetting is one Blob/get under way.
type blobGetting struct {
	*call
	ctx             context.Context
	account         mail.AccountID
	args            *blobGetArguments
	properties      []string
	room, digesting *budget
}

func (g *blobGetting) wants(property string) bool { return slices.Contains(g.properties, property) }

func (g *blobGetting) wantsData() bool {
	return g.wants("data") || g.wants("data:asText") || g.wants("data:asBase64")
}

func (g *blobGetting) wantsDigest() bool {
	return slices.ContainsFunc(g.properties, func(p string) bool { return strings.HasPrefix(p, digestPrefix) })
}

// one reads what is wanted of one blob.
func (g *blobGetting) one(id string) (object, error) {
	c, err := g.srv.openBlob(g.ctx, g.account, id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	o := object{"id": id}
	if err := g.srv.hold(c); err != nil {
		return nil, err
	}
	if g.wants("size") {
		o["size"] = c.size
	}
	if !g.wantsData() && !g.wantsDigest() {
		return o, nil
	}
	from, length, truncated := g.args.within(c.size)
	if truncated {
		o["isTruncated"] = true
	}
	for name, fresh := range digests {
		if !g.wants(digestPrefix + name) {
			continue
		}
		h := fresh()
		if _, err := io.Copy(h, &blobReader{Reader: io.NewSectionReader(c.at, from, length), budgets: []*budget{g.digesting}}); err != nil {
			return nil, err
		}
		o[digestPrefix+name] = base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	if !g.wantsData() {
		return o, nil
	}
	b, err := io.ReadAll(&blobReader{Reader: io.NewSectionReader(c.at, from, length), budgets: []*budget{g.room}})
	if err != nil {
		return nil, err
	}
	g.data(o, b)
	return o, nil
}

// within is the range of a blob that is asked for, as far as it has one.
func (a *blobGetArguments) within(size int64) (from, length int64, truncated bool) {
	if a.Offset != nil {
		from = int64(min(*a.Offset, uint64(size)))
		truncated = *a.Offset > uint64(size)
	}
	length = size - from
	if a.Length != nil {
		truncated = truncated || *a.Length > uint64(length)
		length = int64(min(*a.Length, uint64(length)))
	}
	return from, length, truncated
}

// data says bytes as they are wanted: as text when they are UTF-8.
func (g *blobGetting) data(o object, b []byte) {
	isText := utf8.Valid(b)
	if !isText && (g.wants("data") || g.wants("data:asText")) {
		o["isEncodingProblem"] = true
	}
	if g.wants("data:asText") || g.wants("data") && isText {
		o["data:asText"] = nil
		if isText {
			o["data:asText"] = string(b)
		}
	}
	if g.wants("data:asBase64") || g.wants("data") && !isText {
		o["data:asBase64"] = base64.StdEncoding.EncodeToString(b)
	}
}

// blobLookupArguments are those of Blob/lookup (RFC 9404 §4.3).
type blobLookupArguments struct {
	AccountID string   `json:"accountId"`
	TypeNames []string `json:"typeNames"`
	IDs       []string `json:"ids"`
}

// blobLookup is Blob/lookup: where blobs are used. Each costs a few rows: an id says of
// which email it is, and of an upload is known what was made of it.
func blobLookup(ctx context.Context, c *call, a *blobLookupArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	for _, t := range a.TypeNames {
		if !slices.Contains(blobTypes, t) {
			return refused("unknownDataType", "blobs are not looked up in "+strings.ToValidUTF8(t, "?"))
		}
	}
	if a.IDs == nil || a.TypeNames == nil {
		return invalidArguments("typeNames and ids say what is looked up", "typeNames", "ids")
	}
	ids, _, err := c.wantedIDs(&a.IDs)
	if err != nil {
		return err
	}
	out := &blobGetAnswer{AccountID: a.AccountID}
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		out.List, out.NotFound = []object{}, []string{}
		for _, id := range ids {
			matched, err := lookUp(r, id, a.TypeNames)
			if mail.KindOf(err) == mail.NotFound && err != nil {
				out.NotFound = append(out.NotFound, id)
				continue
			}
			if err != nil {
				return err
			}
			out.List = append(out.List, object{"id": id, "matchedIds": matched})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// lookUp finds the objects that a blob is used in.
func lookUp(r store.Reader, id string, types []string) (map[string][]string, error) {
	emails, err := emailsOfBlob(r, id)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]bool{}
	for _, t := range types {
		found[t] = map[string]bool{}
	}
	add := func(t, id string) {
		if found[t] != nil {
			found[t][id] = true
		}
	}
	for _, m := range emails {
		add("Email", m.EmailID.String())
		add("Thread", m.Thread.String())
		if found["Mailbox"] == nil {
			continue
		}
		all, err := r.PlacementsOf(m.Key)
		if err != nil {
			return nil, err
		}
		for mb := range mailboxIDsOf(all) {
			add("Mailbox", mb)
		}
	}
	out := map[string][]string{}
	for t, ids := range found {
		out[t] = append([]string{}, slices.Sorted(maps.Keys(ids))...)
	}
	return out, nil
}

// emailsOfBlob are the visible emails that a blob is, is a part of, or was made into.
// It is NotFound if there is no such blob.
func emailsOfBlob(r store.Reader, id string) (all []mail.Message, err error) {
	if email, ok := emailOfBlob(id); ok {
		m, err := r.MessageByEmailID(email)
		if err == nil {
			err = hasPart(m, strings.TrimPrefix(id, blobBase(id)))
		}
		return []mail.Message{m}, err
	}
	upload, ok := mail.ParseUploadID(strings.TrimPrefix(blobBase(id), "P"))
	if !ok {
		return nil, noBlob()
	}
	u, err := r.Upload(upload)
	if err != nil {
		return nil, err
	}
	for _, made := range u.Emails {
		m, err := r.MessageByEmailID(made)
		switch {
		case err == nil:
			all = append(all, m)
		case mail.KindOf(err) != mail.NotFound:
			return nil, err
		}
	}
	return all, nil
}

// hasPart is NotFound if a message has no part of that number, "" being the message.
func hasPart(m mail.Message, number string) error {
	if number == "" {
		return nil
	}
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(number[1:], "_"+intoEncoded)
	if _, ok := findPart(parsed.Root, first); !ok {
		return noBlob()
	}
	return nil
}

// blobBase is a blob id without the number of a part.
func blobBase(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 && strings.HasPrefix(id, partBlobMark) {
		return id[:i]
	}
	return id
}

// emailOfBlob is the email that a blob id says it is of.
func emailOfBlob(id string) (mail.EmailID, bool) {
	for _, mark := range []string{"B", partBlobMark} {
		if rest, ok := strings.CutPrefix(blobBase(id), mark); ok {
			return mail.ParseEmailID(rest)
		}
	}
	return mail.EmailID{}, false
}
