package model

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// directory is what is global; guarded by the Store's mu.
type directory struct {
	lastAccount    mail.AccountID
	lastCredential int64
	lastSignIn     int64
	principals     map[mail.AccountID]store.Principal
	kept           map[mail.AccountID]keptAccount // hidden: nobody finds them
	credentials    map[int64]store.Credential
	signIns        map[int64]store.SignIn
	addresses      map[string]store.Address // by local@domain
	domains        map[string]bool
}

func newDirectory() directory {
	return directory{principals: map[mail.AccountID]store.Principal{}, kept: map[mail.AccountID]keptAccount{}, credentials: map[int64]store.Credential{}, signIns: map[int64]store.SignIn{},
		addresses: map[string]store.Address{}, domains: map[string]bool{}}
}

func addressKey(local, domain string) string { return strings.ToLower(local + "@" + domain) }

func noAccount() error { return mail.Errorf(mail.NotFound, "no such account") }

// CreateAccount makes an account with what every account has.
func (st *Store) CreateAccount(ctx context.Context, by mail.Origin, a store.NewAccount) (store.Principal, error) {
	if by.IsZero() {
		return store.Principal{}, mail.Errorf(mail.Invalid, "a change needs an origin")
	}
	p, err := st.register(a)
	if err != nil {
		return p, err
	}
	_, err = st.write(ctx, p.Account, by, setUp)
	return p, err
}

// register makes the account without anything in it.
func (st *Store) register(a store.NewAccount) (store.Principal, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	login := strings.ToLower(a.Login)
	at := strings.LastIndexByte(login, '@')
	if at <= 0 || at == len(login)-1 || a.Quota < 0 {
		return store.Principal{}, mail.Errorf(mail.Invalid, "a login is a full address")
	}
	if err := store.CheckName(a.Name); err != nil {
		return store.Principal{}, err
	}
	if _, taken := d.addresses[login]; taken || d.byLogin(login) != nil {
		return store.Principal{}, mail.Errorf(mail.Exists, "there is such an account")
	}
	d.lastAccount++
	p := store.Principal{ID: store.PrincipalID(d.lastAccount), Login: login, Name: a.Name, Account: d.lastAccount}
	d.principals[p.Account] = p
	d.addresses[login] = store.Address{Local: login[:at], Domain: login[at+1:], Account: p.Account}
	d.domains[login[at+1:]] = true
	if a.Verifier != nil {
		d.setPassword(p.ID, a.Verifier, st.Now())
	}
	now := st.Now()
	acct := &account{}
	acct.current.Store(&state{
		nextID: st.firstID, lastValidity: st.validity,
		account: mail.Account{ID: p.Account, Name: login, Epoch: 1, Last: map[mail.Type]mail.ModSeq{}, Quota: a.Quota, Created: now, HorizonAt: now},
		boxes:   map[mail.MailboxID]*box{}, threadOf: map[string]mail.ThreadID{}, subjects: map[string]mail.ThreadID{}, told: map[mail.MessageKey]told{}, erased: map[mail.MessageKey]bool{},
		grants: map[grantKey]mail.Grant{}, own: map[ownKey]own{}, ownLast: map[grantKey]mail.ModSeq{},
		subs: map[string]bool{}, chosen: map[mail.Preference]string{}, metadata: map[annotation]mail.Metadata{}, notes: map[noteKey]mail.Annotation{},
		deleting: map[deleterKey]deleted{}, floods: map[mail.ModSeq]mail.Flood{}, left: map[mail.MailboxID][]departed{}, fallen: map[mail.MailboxID]fallen{},
		devices: map[mail.DeviceID]mail.Device{}, cursors: map[cursorKey][]byte{}, recent: map[mail.MailboxID]mail.UID{}, once: map[string]memory{},
		uploads: map[mail.UploadID]mail.Upload{}, objects: map[objectKey]mail.Object{},
	})
	st.accounts[p.Account] = acct
	return p, nil
}

func setUp(t *tx) error {
	for _, std := range mail.Standard {
		if _, err := t.CreateMailbox(mail.MailboxImage{Name: std.Name, Role: std.Role}); err != nil {
			return err
		}
		t.subscribe(std.Name)
	}
	return nil
}

func (d *directory) byLogin(login string) *store.Principal {
	for _, p := range d.principals {
		if strings.EqualFold(p.Login, login) {
			return &p
		}
	}
	return nil
}

// RemoveAccount removes an account and everything of it, here and with others.
func (st *Store) RemoveAccount(ctx context.Context, id mail.AccountID) error {
	p, err := st.remove(id)
	if err != nil {
		return err
	}
	others, err := st.Accounts(ctx)
	kept, err2 := st.KeptRemoved(ctx)
	for _, k := range kept {
		others = append(others, k.Principal)
	}
	err = cmp.Or(err, err2)
	for _, o := range others {
		if _, e := st.write(store.AmongRemoved(ctx), o.Account, remover, func(t *tx) error { return t.forgetMember(p.ID) }); err == nil {
			err = e
		}
	}
	return err
}

// remover is who takes rights from who is no more.
var remover = mail.NewOrigin("account removed", 0, mail.Local, mail.ByAdmin)

func (st *Store) remove(id mail.AccountID) (store.Principal, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	p, ok := d.principals[id]
	if !ok {
		was, kept := d.kept[id]
		if !kept {
			return p, noAccount()
		}
		p = was.Principal
	}
	delete(d.principals, id)
	delete(d.kept, id)
	maps.DeleteFunc(d.credentials, func(_ int64, c store.Credential) bool { return c.Principal == p.ID })
	maps.DeleteFunc(d.signIns, func(_ int64, s store.SignIn) bool { return s.Principal == p.ID })
	maps.DeleteFunc(d.addresses, func(_ string, a store.Address) bool { return a.Account == id })
	d.forgetDomains()
	delete(st.accounts, id)
	maps.DeleteFunc(st.intents.all, func(_ int64, in store.Intent) bool { return in.Owner == id })
	maps.DeleteFunc(st.queue.rows, func(_ int64, o store.Outgoing) bool { return o.Account == id })
	st.ends(id, 0)
	return p, nil
}

// SetDisabled locks an account out, or in again.
func (st *Store) SetDisabled(_ context.Context, id mail.AccountID, disabled bool) error {
	st.mu.Lock()
	a, hidden := st.accounts[id], st.directory.hides(id)
	st.mu.Unlock()
	if a == nil || hidden {
		return noAccount()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.current.Load().clone()
	s.account.Disabled = disabled
	a.current.Store(s)
	st.mu.Lock()
	defer st.mu.Unlock()
	if p, ok := st.directory.principals[id]; ok {
		p.Disabled = disabled
		st.directory.principals[id] = p
	}
	if disabled {
		st.ends(id, 0)
	}
	return nil
}

// SetName sets a display name.
func (st *Store) SetName(_ context.Context, id mail.AccountID, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p, ok := st.directory.principals[id]
	if !ok {
		return noAccount()
	}
	p.Name = name
	st.directory.principals[id] = p
	return nil
}

// People asks the directory.
func (st *Store) People(_ context.Context, q store.PeopleQuery) ([]store.Person, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	if _, ok := d.principals[q.Asker]; !ok {
		return nil, noAccount()
	}
	shared := map[string]bool{}
	for _, a := range d.addresses {
		if a.Account == q.Asker {
			shared[a.Domain] = true
		}
	}
	var people []store.Person
	for _, p := range d.principals {
		found, first, own := false, "", ""
		for domain := range shared {
			var words []string
			for _, a := range d.addresses {
				if a.Account != p.Account || a.Domain != domain || a.Local == "" {
					continue
				}
				whole := a.Local + "@" + domain
				words = append(words, store.PersonWords(p.Name, a.Local, domain)...)
				if whole == p.Login {
					own = whole
				}
				if first == "" || domain+"@"+a.Local < addressOrder(first) {
					first = whole
				}
			}
			found = found || store.Fits(words, q.Words())
		}
		if found && !p.Disabled {
			people = append(people, store.Person{Principal: p.ID, Name: p.Name, Address: cmp.Or(own, first)})
		}
	}
	store.SortPeople(people)
	return people[:min(len(people), q.Limit)], nil
}

// addressOrder is by what addresses are sorted.
func addressOrder(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	return domain + "@" + local
}

// Accounts returns all principals.
func (st *Store) Accounts(context.Context) ([]store.Principal, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.SortedFunc(maps.Values(st.directory.principals), func(a, b store.Principal) int { return cmp.Compare(a.ID, b.ID) }), nil
}

// CountDevices counts the devices of all accounts.
func (st *Store) CountDevices(context.Context) ([]store.DeviceCount, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	found := map[store.DeviceCount]int64{}
	for id, a := range st.accounts {
		if st.directory.hides(id) {
			continue
		}
		for _, d := range a.current.Load().devices {
			found[store.DeviceCount{Access: d.Access, Wipe: d.Wipe.State}]++
		}
	}
	var counts []store.DeviceCount
	for c, n := range found {
		c.Devices = n
		counts = append(counts, c)
	}
	return counts, nil
}

// PrincipalByLogin finds who signs in.
func (st *Store) PrincipalByLogin(_ context.Context, login string) (store.Principal, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if p := st.directory.byLogin(login); p != nil {
		return *p, nil
	}
	return store.Principal{}, noAccount()
}

// PrincipalByID finds a principal by its number.
func (st *Store) PrincipalByID(_ context.Context, id store.PrincipalID) (store.Principal, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, p := range st.directory.principals {
		if p.ID == id {
			return p, nil
		}
	}
	return store.Principal{}, noAccount()
}

// SharedWith returns those who share something with a principal.
func (st *Store) SharedWith(_ context.Context, id store.PrincipalID) ([]store.Principal, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var owners []store.Principal
	for account, p := range st.directory.principals {
		if p.ID != id && st.accounts[account].current.Load().shares(id) {
			owners = append(owners, p)
		}
	}
	slices.SortFunc(owners, func(a, b store.Principal) int { return strings.Compare(a.Login, b.Login) })
	return owners, nil
}

// Credentials returns a principal's credentials.
func (st *Store) Credentials(_ context.Context, id store.PrincipalID) ([]store.Credential, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []store.Credential
	for _, c := range st.directory.credentials {
		if c.Principal == id {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b store.Credential) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// SetPassword replaces the principal's one password.
func (st *Store) SetPassword(_ context.Context, id store.PrincipalID, verifier []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.directory.has(id) {
		return noAccount()
	}
	st.directory.setPassword(id, verifier, st.Now())
	st.endsOf(id)
	return nil
}

func (d *directory) has(id store.PrincipalID) bool {
	for _, p := range d.principals {
		if p.ID == id {
			return true
		}
	}
	return false
}

func (d *directory) setPassword(id store.PrincipalID, verifier []byte, now time.Time) {
	maps.DeleteFunc(d.credentials, func(_ int64, c store.Credential) bool { return c.Principal == id && c.Kind == store.Password })
	d.lastCredential++
	d.credentials[d.lastCredential] = store.Credential{ID: d.lastCredential, Principal: id, Kind: store.Password, Verifier: slices.Clone(verifier), Created: now}
}

// AddCredential adds a credential.
func (st *Store) AddCredential(_ context.Context, c store.Credential) (store.Credential, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	if !d.has(c.Principal) {
		return c, noAccount()
	}
	d.lastCredential++
	c.ID = d.lastCredential
	if c.Created.IsZero() {
		c.Created = st.Now()
	}
	d.credentials[c.ID] = c
	if c.Kind.SecondFactor() {
		st.endsOf(c.Principal)
	}
	return c, nil
}

// RemoveCredential removes a credential.
func (st *Store) RemoveCredential(_ context.Context, id int64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	c, ok := st.directory.credentials[id]
	if !ok {
		return mail.Errorf(mail.NotFound, "no such credential")
	}
	delete(st.directory.credentials, id)
	if c.Kind.SignsIn() {
		st.endsOf(c.Principal)
	}
	return nil
}

// UsedCredential notes the last use.
func (st *Store) UsedCredential(_ context.Context, id int64, at time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	c, ok := st.directory.credentials[id]
	if !ok {
		return mail.Errorf(mail.NotFound, "no such credential")
	}
	c.LastUsed = at
	st.directory.credentials[id] = c
	return nil
}

// Lookup finds who gets mail for an address.
func (st *Store) Lookup(_ context.Context, local, domain string) (store.Address, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, key := range []string{addressKey(local, domain), addressKey("", domain)} {
		if a, ok := st.directory.addresses[key]; ok {
			return a, nil
		}
	}
	return store.Address{}, mail.Errorf(mail.NotFound, "no such address")
}

// IsLocal says whether mail for the domain is ours.
func (st *Store) IsLocal(_ context.Context, domain string) (bool, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.directory.domains[strings.ToLower(domain)], nil
}

// Addresses returns an account's addresses, its own first.
func (st *Store) Addresses(_ context.Context, id mail.AccountID) ([]store.Address, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []store.Address
	for _, a := range st.directory.addresses {
		if a.Account == id {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b store.Address) int {
		if a.Alias != b.Alias {
			if b.Alias {
				return -1
			}
			return 1
		}
		return cmp.Compare(addressKey(a.Local, a.Domain), addressKey(b.Local, b.Domain))
	})
	return all, nil
}

// AddAddress gives an account one more address.
func (st *Store) AddAddress(_ context.Context, a store.Address) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	key := addressKey(a.Local, a.Domain)
	if _, ok := d.principals[a.Account]; !ok {
		return noAccount()
	}
	if _, taken := d.addresses[key]; taken {
		return mail.Errorf(mail.Exists, "that address is taken")
	}
	a.Local, a.Domain = strings.ToLower(a.Local), strings.ToLower(a.Domain)
	d.addresses[key], d.domains[a.Domain] = a, true
	return nil
}

// RemoveAddress takes an address away.
func (st *Store) RemoveAddress(_ context.Context, local, domain string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	key := addressKey(local, domain)
	if _, ok := st.directory.addresses[key]; !ok {
		return mail.Errorf(mail.NotFound, "no such address")
	}
	delete(st.directory.addresses, key)
	st.directory.forgetDomains()
	return nil
}

// forgetDomains forgets the domains that have no address any more.
func (d *directory) forgetDomains() {
	clear(d.domains)
	for _, a := range d.addresses {
		d.domains[a.Domain] = true
	}
}
