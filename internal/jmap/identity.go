package jmap

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const submissionURN = "urn:ietf:params:jmap:submission"

// identityProperties are those of an Identity (RFC 8621 §6).
var identityProperties = []string{"id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"}

// Bounds on identities.
const (
	maxIdentities     = 200      // of an account, beside those of its addresses
	maxSignatureBytes = 16 << 10 // of each of the two
	maxIdentityPeople = 50       // in replyTo, and in bcc
	maxNameInIdentity = 256      // bytes
	identityStateMark = "_"      // between the position and what the directory says
	standardPrefix    = "I-"     // of the ids of addresses' own identities
)

// An identity is who mail is from (RFC 8621 §6). Each address of the account has one,
// whether anybody set it or not; what was set of it is an object like any other.
type identity struct {
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Email         string         `json:"email"`
	ReplyTo       []emailAddress `json:"replyTo"`
	Bcc           []emailAddress `json:"bcc"`
	TextSignature string         `json:"textSignature"`
	HTMLSignature string         `json:"htmlSignature"`
	MayDelete     bool           `json:"mayDelete"`

	object mail.ObjectID // 0 if nobody set anything
}

// standardID names the identity of an address.
func standardID(email string) string {
	sum := sha256.Sum256([]byte(email))
	return standardPrefix + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// standing is what the directory says of who an account is.
type standing struct {
	name   string
	emails []string // the login first
}

// standing reads the account's addresses; one that catches all of a domain is "*@".
func (s *Server) standing(ctx context.Context, who store.PrincipalID, account mail.AccountID) (st standing, err error) {
	p, err := s.Directory.PrincipalByID(ctx, who)
	if err != nil {
		return st, err
	}
	all, err := s.Directory.Addresses(ctx, account)
	if err != nil {
		return st, err
	}
	st.name = p.Name
	for _, a := range all {
		st.emails = append(st.emails, cmp.Or(a.Local, "*")+"@"+a.Domain)
	}
	slices.SortFunc(st.emails, func(a, b string) int {
		if (a == p.Login) != (b == p.Login) {
			return map[bool]int{true: -1, false: 1}[a == p.Login]
		}
		return strings.Compare(a, b)
	})
	return st, nil
}

// state is the position of the last change, and what the directory says: a new
// address is a new identity.
func (st standing) state(a mail.Account) string { return stateOf(a, mail.TypeIdentity) + st.mark() }

func (st standing) mark() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q%q", st.name, st.emails))
	return identityStateMark + hex.EncodeToString(sum[:6])
}

// identities are those of the account, the addresses' own first.
func (st standing) identities(r store.Reader) ([]identity, error) {
	objects, err := r.Objects(mail.TypeIdentity)
	if err != nil {
		return nil, err
	}
	own, set := []identity{}, []identity{}
	byEmail := map[string]identity{}
	for _, o := range objects {
		is, err := dataOf[identity](o)
		if err != nil {
			return nil, err
		}
		is.object = o.ID
		if is.ID != "" {
			byEmail[is.Email] = is
			continue
		}
		is.ID, is.MayDelete = numbered('I', int64(o.ID)), true
		set = append(set, is)
	}
	for _, email := range st.emails {
		is, ok := byEmail[email]
		if !ok {
			is = identity{ID: standardID(email), Name: st.name, Email: email}
		}
		own = append(own, is)
	}
	return append(own, set...), nil
}

// identityGet serves Identity/get (RFC 8621 §6.1). It costs the identities.
func identityGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	wanted, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, identityProperties, identityProperties)
	if err != nil {
		return err
	}
	st, err := c.srv.standing(ctx, c.sess.Principal.ID, account)
	if err != nil {
		return err
	}
	out := newGetAnswer(a.AccountID)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.State = st.state(acct)
		list, err := st.identities(r)
		for _, is := range list {
			if all || slices.Contains(wanted, is.ID) {
				out.List = append(out.List, plainOf(is).only(properties))
			}
		}
		for _, id := range wanted {
			if !slices.ContainsFunc(list, func(is identity) bool { return is.ID == id }) {
				out.NotFound = append(out.NotFound, id)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// identityChanges serves Identity/changes (RFC 8621 §6.2). When the directory says
// something else than it did, nobody can tell what changed.
func identityChanges(ctx context.Context, c *call, a *changesArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	st, err := c.srv.standing(ctx, c.sess.Principal.ID, account)
	if err != nil {
		return err
	}
	own := map[mail.ObjectID]string{}
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		list, err := st.identities(r)
		for _, is := range list {
			if is.object != 0 && !is.MayDelete {
				own[is.object] = is.ID
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	since, was, _ := strings.Cut(a.SinceState, identityStateMark)
	if identityStateMark+was != st.mark() {
		return refused("cannotCalculateChanges", "the addresses changed, or this is no state; start over with a get")
	}
	asked := *a
	asked.SinceState = since
	out, err := c.changed(ctx, &asked, mail.TypeIdentity, func(ch mail.Change) string {
		return cmp.Or(own[mail.ObjectID(ch.ID)], numbered('I', ch.ID))
	})
	if err != nil {
		return err
	}
	isOwn := func(id string) bool { return strings.HasPrefix(id, standardPrefix) }
	for _, id := range out.Created {
		if isOwn(id) {
			out.Updated = append(out.Updated, id) // it was there before anybody set anything
		}
	}
	out.Created = slices.DeleteFunc(out.Created, isOwn)
	out.OldState, out.NewState = a.SinceState, out.NewState+st.mark()
	return c.answer(out)
}

// identitySet serves Identity/set (RFC 8621 §6.3). Which addresses may be used follows
// what the account may send as.
func identitySet(ctx context.Context, c *call, a *setArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := c.bounded(a); err != nil {
		return err
	}
	st, err := c.srv.standing(ctx, c.sess.Principal.ID, account)
	if err != nil {
		return err
	}
	forbidden := map[string]*setError{} // looked up before the transaction, which looks at nothing else
	for creation, raw := range a.Create {
		if wrong := c.maySendAs(ctx, account, st, raw); wrong != nil {
			forbidden[creation] = wrong
		}
	}
	var out *setAnswer
	var made map[string]object
	_, err = c.srv.Store.Update(ctx, account, c.sess.Origin(), func(tx store.Tx) error {
		out, made = &setAnswer{AccountID: a.AccountID}, map[string]object{}
		t := &identitySetting{c, ctx, st, tx, out, made}
		return t.all(a, forbidden)
	})
	if err != nil {
		return err
	}
	for creation, o := range made {
		out.did(c, creation, o["id"].(string), unsaid(o, a.Create[creation]))
	}
	return c.answer(out)
}

// maySendAs is why an identity of that address can't be.
func (c *call) maySendAs(ctx context.Context, account mail.AccountID, st standing, raw json.RawMessage) *setError {
	var said struct {
		Email string `json:"email"`
	}
	if json.Unmarshal(raw, &said) != nil || said.Email == "" || slices.Contains(st.emails, said.Email) {
		return nil // what is wrong with it is said later
	}
	ok, err := c.srv.Delivery.MaySendAs(ctx, account, said.Email)
	if err != nil {
		return c.srv.setErrorOf(ctx, c.name, err)
	}
	if !ok {
		return &setError{Type: "forbiddenFrom", Description: "you may not send as " + said.Email}
	}
	return nil
}

// identitySetting is one Identity/set in its transaction.
type identitySetting struct {
	*call
	ctx  context.Context
	st   standing
	tx   store.Tx
	out  *setAnswer
	made map[string]object
}

func (t *identitySetting) all(a *setArguments, forbidden map[string]*setError) error {
	before, err := t.tx.Account()
	if err != nil {
		return err
	}
	t.out.OldState = t.st.state(before)
	if a.IfInState != nil && *a.IfInState != t.out.OldState {
		return refused("stateMismatch", "the state is "+t.out.OldState)
	}
	list, err := t.st.identities(t.tx)
	if err != nil {
		return err
	}
	for _, creation := range sortedKeys(a.Create) {
		wrong := forbidden[creation]
		if wrong == nil {
			wrong, err = t.create(creation, a.Create[creation], len(list))
		}
		if err != nil {
			return err
		}
		if wrong != nil {
			t.out.notCreated(creation, wrong)
		}
	}
	for _, said := range sortedKeys(a.Update) {
		wrong, err := t.update(list, said, a.Update[said])
		if err != nil {
			return err
		}
		if wrong != nil {
			t.out.notUpdated(said, wrong)
			continue
		}
		t.out.updated(said, object{}) // nothing else changed: some clients take null for a failure
	}
	for _, said := range a.Destroy {
		is, ok := t.find(list, said)
		switch {
		case !ok:
			t.out.notDestroyed(said, errNotFound)
			continue
		case !is.MayDelete:
			t.out.notDestroyed(said, &setError{Type: "forbidden", Description: "an address always has an identity"})
			continue
		}
		if err := t.tx.DropObject(mail.TypeIdentity, is.object); err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		t.out.Destroyed = append(t.out.Destroyed, said)
	}
	after, err := t.tx.Account()
	t.out.NewState = t.st.state(after)
	return err
}

func (t *identitySetting) find(list []identity, said string) (identity, bool) {
	id, _ := t.idOf(said)
	i := slices.IndexFunc(list, func(is identity) bool { return is.ID == id })
	if i < 0 {
		return identity{}, false
	}
	return list[i], true
}

func (t *identitySetting) create(creation string, raw json.RawMessage, n int) (*setError, error) {
	var is identity
	if wrong := decodeObject(raw, &is); wrong != nil {
		return wrong, nil
	}
	switch {
	case is.ID != "" || is.MayDelete:
		return invalidProperties("the server sets them", "id", "mayDelete"), nil
	case n+len(t.made) >= maxIdentities:
		return &setError{Type: "overQuota", Description: fmt.Sprintf("an account has at most %d identities", maxIdentities)}, nil
	}
	if wrong := is.check(); wrong != nil {
		return wrong, nil
	}
	is.MayDelete = false // is not kept
	data, err := encodeData(is)
	if err != nil {
		return t.srv.setErrorOf(t.ctx, t.name, err), nil
	}
	o, err := t.tx.PutObject(mail.Object{Type: mail.TypeIdentity, Data: data})
	if err != nil {
		return nil, err
	}
	is.ID, is.MayDelete = numbered('I', int64(o.ID)), true
	t.made[creation] = plainOf(is)
	return nil, nil
}

func (t *identitySetting) update(list []identity, said string, p patchObject) (*setError, error) {
	was, ok := t.find(list, said)
	if !ok {
		return errNotFound, nil
	}
	is, wrong := patched(was, p, "id", "email", "mayDelete")
	if wrong == nil {
		wrong = is.check()
	}
	if wrong != nil {
		return wrong, nil
	}
	if was.MayDelete {
		is.ID, is.MayDelete = "", false // as they are kept
	}
	data, err := encodeData(is)
	if err != nil {
		return t.srv.setErrorOf(t.ctx, t.name, err), nil
	}
	_, err = t.tx.PutObject(mail.Object{Type: mail.TypeIdentity, ID: was.object, Data: data})
	return nil, err
}

// check is what is wrong with what a client gave.
func (is *identity) check() *setError {
	switch {
	case !isAddress(is.Email) && !strings.HasPrefix(is.Email, "*@"):
		return invalidProperties("it is no address", "email")
	case len(is.Name) > maxNameInIdentity || strings.ContainsAny(is.Name, "\r\n\x00"):
		return invalidProperties("a name is one short line", "name")
	case len(is.TextSignature) > maxSignatureBytes || len(is.HTMLSignature) > maxSignatureBytes:
		return invalidProperties(fmt.Sprintf("a signature has at most %d bytes", maxSignatureBytes), "textSignature", "htmlSignature")
	}
	for name, list := range map[string][]emailAddress{"replyTo": is.ReplyTo, "bcc": is.Bcc} {
		if len(list) > maxIdentityPeople || slices.ContainsFunc(list, func(e emailAddress) bool { return !isAddress(e.Email) }) {
			return invalidProperties("it is no list of addresses, or too long", name)
		}
	}
	return nil
}

// isAddress reports whether mail can be sent there at all.
func isAddress(s string) bool {
	_, _, err := delivery.SplitAddress(s)
	return err == nil
}
