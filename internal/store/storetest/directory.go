package storetest

import (
	"bytes"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var directoryChecks = []check{
	{"LoginsAreFoundFoldedAndTakenOnce", logins},
	{"AddressesLeadToAccounts", addresses},
	{"CredentialsAreKept", credentials},
	{"AppPasswordsAreFoundByTheirTokens", tokens},
	{"AVerifierIsReplacedOnce", verifiers},
	{"SignInsAreKeptAndBounded", signIns},
	{"ARemovedAccountIsGone", removed},
	{"ADisabledAccountStillGetsMail", disabled},
	{"AccountsAreApart", apart},
	{"PeopleAreFoundByThoseOfTheirDomains", people},
	{"WhoIsGoneOrDisabledIsNotInTheDirectory", peopleGone},
}

func logins(t *trial) {
	s := t.subject()
	p := must(s.PrincipalByLogin(ctx, "ANN@Example.TEST"))
	equal("account", p.Account, s.account)
	equal("login", p.Login, login)
	for _, taken := range []string{login, "Ann@EXAMPLE.test"} {
		_, err := s.CreateAccount(ctx, setup, store.NewAccount{Login: taken})
		want(mail.Exists, err)
	}
	_, err := s.PrincipalByLogin(ctx, "nobody@example.test")
	want(mail.NotFound, err)
	ok(s.AddAddress(ctx, store.Address{Local: "info", Domain: "example.test", Account: s.account, Alias: true}))
	_, err = s.CreateAccount(ctx, setup, store.NewAccount{Login: "info@example.test"})
	want(mail.Exists, err)
	_, err = s.CreateAccount(ctx, mail.Origin{}, store.NewAccount{Login: "zed@example.test"})
	if err == nil {
		fail("an account was made without an origin")
	}
	bob := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test", Quota: 77}))
	equal("accounts", len(must(s.Accounts(ctx))), 2+len(memberLogins))
	equal("ids differ", bob.Account != s.account && bob.ID != p.ID, true)
	ok(s.View(ctx, bob.Account, func(r store.Reader) error {
		a, err := r.Account()
		if err == nil {
			equal("quota", a.Quota, 77)
		}
		return err
	}))
}

func addresses(t *trial) {
	s := t.subject()
	a := must(s.Lookup(ctx, "ann", "EXAMPLE.test"))
	equal("own address", a.Account, s.account)
	equal("no alias", a.Alias, false)
	_, err := s.Lookup(ctx, "who", "example.test")
	want(mail.NotFound, err)
	equal("local", must(s.IsLocal(ctx, "example.test")), true)
	equal("not local", must(s.IsLocal(ctx, "else.example")), false)
	ok(s.AddAddress(ctx, store.Address{Local: "sales", Domain: "else.example", Account: s.account, Alias: true}))
	equal("local now", must(s.IsLocal(ctx, "ELSE.example")), true)
	want(mail.Exists, s.AddAddress(ctx, store.Address{Local: "sales", Domain: "else.example", Account: s.account}))
	want(mail.NotFound, s.AddAddress(ctx, store.Address{Local: "x", Domain: "else.example", Account: 1 << 40}))
	bob := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test"}))
	ok(s.AddAddress(ctx, store.Address{Domain: "else.example", Account: bob.Account, Alias: true}))
	equal("exact before catch-all", must(s.Lookup(ctx, "sales", "else.example")).Account, s.account)
	equal("catch-all", must(s.Lookup(ctx, "anyone", "else.example")).Account, bob.Account)
	equal("addresses", len(must(s.Addresses(ctx, s.account))), 2)
	ok(s.RemoveAddress(ctx, "sales", "else.example"))
	equal("catch-all then", must(s.Lookup(ctx, "sales", "else.example")).Account, bob.Account)
	want(mail.NotFound, s.RemoveAddress(ctx, "sales", "else.example"))
	equal("still local", must(s.IsLocal(ctx, "else.example")), true)
	ok(s.RemoveAddress(ctx, "", "else.example"))
	equal("local without an address", must(s.IsLocal(ctx, "else.example")), false)
	ok(s.AddAddress(ctx, store.Address{Local: "bob", Domain: "else.example", Account: bob.Account}))
	ok(s.RemoveAccount(ctx, bob.Account))
	equal("local without an account", must(s.IsLocal(ctx, "else.example")), false)
	equal("local with another account", must(s.IsLocal(ctx, "example.test")), true)
}

func credentials(t *trial) {
	s := t.subject()
	p := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test", Verifier: []byte("v1")}))
	ok(s.SetPassword(ctx, p.ID, []byte("v2")))
	want(mail.NotFound, s.SetPassword(ctx, 1<<40, []byte("v")))
	c := must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword, Name: "phone", Verifier: []byte("v3"), Scram: []byte("s"),
		Protocols: []mail.Protocol{mail.IMAP, mail.SMTP}, Device: 7}))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ok(s.UsedCredential(ctx, c.ID, at))
	all := must(s.Credentials(ctx, p.ID))
	equal("credentials", len(all), 2)
	for _, got := range all {
		if got.Kind == store.Password {
			equal("password", string(got.Verifier), "v2")
			continue
		}
		if got.ID != c.ID || got.Name != "phone" || !bytes.Equal(got.Verifier, []byte("v3")) || !bytes.Equal(got.Scram, []byte("s")) ||
			got.Device != 7 || len(got.Protocols) != 2 || got.Protocols[1] != mail.SMTP || got.Created.IsZero() {
			fail("app password %+v", got)
		}
	}
	ok(s.RemoveCredential(ctx, c.ID))
	equal("credentials", len(must(s.Credentials(ctx, p.ID))), 1)
	want(mail.NotFound, s.RemoveCredential(ctx, c.ID))
	equal("nobody can sign in yet", len(must(s.Credentials(ctx, must(s.PrincipalByLogin(ctx, login)).ID))), 0)
}

func tokens(t *trial) {
	s := t.subject()
	p := must(s.PrincipalByLogin(ctx, login))
	must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword}))
	must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword})) // two without a token are no two of one
	c := must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.AppPassword, Token: []byte("t1")}))
	equal("found", must(s.CredentialByToken(ctx, []byte("t1"))).ID, c.ID)
	for _, other := range []string{"t2", ""} {
		_, err := s.CredentialByToken(ctx, []byte(other))
		want(mail.NotFound, err)
	}
	ok(s.RemoveCredential(ctx, c.ID))
	_, err := s.CredentialByToken(ctx, []byte("t1"))
	want(mail.NotFound, err)
}

func verifiers(t *trial) {
	s := t.subject()
	p := must(s.PrincipalByLogin(ctx, login))
	c := must(s.AddCredential(ctx, store.Credential{Principal: p.ID, Kind: store.TOTP, Verifier: []byte("a")}))
	ok(s.ReplaceVerifier(ctx, c.ID, []byte("a"), []byte("b")))
	want(mail.Conflict, s.ReplaceVerifier(ctx, c.ID, []byte("a"), []byte("c")))
	want(mail.NotFound, s.ReplaceVerifier(ctx, 1<<40, []byte("a"), []byte("c")))
	equal("verifier", string(must(s.Credentials(ctx, p.ID))[0].Verifier), "b")
}

// signIn is one of somebody's, made and seen n minutes after the first.
func signIn(p store.PrincipalID, key string, n int) store.SignIn {
	at := time.Date(2026, 1, 2, 3, 4+n, 5, 0, time.UTC)
	return store.SignIn{Key: []byte(key), Principal: p, Kind: store.WebSignIn, Device: 7, Client: "Firefox on Linux", State: []byte("s"), Addr: "192.0.2.1",
		Created: at, LastSeen: at, Ends: at.Add(time.Hour)}
}

func signIns(t *trial) {
	s := t.subject()
	p := must(s.PrincipalByLogin(ctx, login))
	bob := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test"}))
	var made []store.SignIn
	for n, key := range []string{"a", "b", "c"} {
		one, gone, err := s.AddSignIn(ctx, signIn(p.ID, key, n), 3)
		ok(err)
		equal("gone", len(gone), 0)
		made = append(made, one)
	}
	_, _, err := s.AddSignIn(ctx, signIn(1<<40, "x", 0), 3)
	want(mail.NotFound, err)
	got := must(s.SignInByKey(ctx, []byte("b")))
	if got.ID != made[1].ID || got.Principal != p.ID || got.Kind != store.WebSignIn || got.Device != 7 || got.Client != "Firefox on Linux" || string(got.State) != "s" ||
		got.Addr != "192.0.2.1" || !got.Created.Equal(made[1].Created) || !got.LastSeen.Equal(made[1].LastSeen) || !got.Ends.Equal(made[1].Ends) {
		fail("sign-in %+v", got)
	}
	_, err = s.SignInByKey(ctx, []byte("z"))
	want(mail.NotFound, err)

	ok(s.ChangeSignIn(ctx, got.ID, []byte("s"), []byte("t"), got.Ends.Add(time.Hour)))
	want(mail.Conflict, s.ChangeSignIn(ctx, got.ID, []byte("s"), []byte("u"), got.Ends))
	want(mail.NotFound, s.ChangeSignIn(ctx, 1<<40, []byte("s"), []byte("u"), got.Ends))
	now := must(s.SignInByKey(ctx, []byte("b")))
	equal("state and end", string(now.State) == "t" && now.Ends.Equal(got.Ends.Add(time.Hour)), true)

	ok(s.SawSignIn(ctx, made[0].ID, made[2].LastSeen.Add(time.Second), "192.0.2.2"))
	want(mail.NotFound, s.SawSignIn(ctx, 1<<40, got.Created, ""))
	other := signIn(p.ID, "o", 3)
	other.Kind = store.OAuthSignIn
	_, gone, err := s.AddSignIn(ctx, other, 3)
	ok(err)
	equal("gone of another kind", len(gone), 0)
	_, gone, err = s.AddSignIn(ctx, signIn(p.ID, "d", 4), 3)
	ok(err)
	equal("gone", len(gone) == 1 && gone[0].ID == made[1].ID, true) // seen longest ago
	_, _, err = s.AddSignIn(ctx, signIn(bob.ID, "bob", 60), 3)
	ok(err)
	equal("left", len(must(s.SignIns(ctx, p.ID))), 4)

	_, gone, err = s.AddSignIn(ctx, signIn(p.ID, "e", 62), 3) // those of the first three minutes have ended
	ok(err)
	equal("gone", len(gone), 0)
	var keys string
	for _, left := range must(s.SignIns(ctx, p.ID)) {
		keys += string(left.Key)
	}
	equal("left", keys, "ode")
	ok(s.RemoveSignIn(ctx, made[0].ID+3))
	want(mail.NotFound, s.RemoveSignIn(ctx, made[0].ID+3))
	equal("left", len(must(s.SignIns(ctx, p.ID))), 2)
	ok(s.RemoveAccount(ctx, bob.Account))
	_, err = s.SignInByKey(ctx, []byte("bob"))
	want(mail.NotFound, err)
}

func removed(t *trial) {
	s := t.subject()
	s.fill("INBOX", 2)
	ok(s.RemoveAccount(ctx, s.account))
	want(mail.NotFound, s.RemoveAccount(ctx, s.account))
	want(mail.NotFound, s.View(ctx, s.account, func(store.Reader) error { return nil }))
	_, err := s.Update(ctx, s.account, setup, func(store.Tx) error { return nil })
	want(mail.NotFound, err)
	want(mail.NotFound, s.Note(ctx, s.account, func(store.Notes) error { return nil }))
	_, err = s.PrincipalByLogin(ctx, login)
	want(mail.NotFound, err)
	_, err = s.Lookup(ctx, "ann", "example.test")
	want(mail.NotFound, err)
	again := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: login}))
	equal("an id is never reused", again.Account != s.account, true)
}

func disabled(t *trial) {
	s := t.subject()
	ok(s.SetDisabled(ctx, s.account, true))
	equal("principal", must(s.PrincipalByLogin(ctx, login)).Disabled, true)
	equal("account", must(view(s, store.Reader.Account)).Disabled, true)
	s.fill("INBOX", 1)
	equal("address", must(s.Lookup(ctx, "ann", "example.test")).Account, s.account)
	ok(s.SetDisabled(ctx, s.account, false))
	equal("principal", must(s.PrincipalByLogin(ctx, login)).Disabled, false)
	want(mail.NotFound, s.SetDisabled(ctx, 1<<40, true))
}

func apart(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	p := s.placement(inbox.ID, 1)
	bob := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test"}))
	b := &subject{Engine: s.Engine, account: bob.Account, devices: []mail.DeviceID{0, 0}}
	before := b.snapshot().text(b)
	s.fill("Archive", 3)
	if d := difference(b.snapshot().text(b), before); d != "" {
		fail("one account's change shows in another: %s", d)
	}
	for _, mb := range must(view(b, store.Reader.Mailboxes)) {
		equal("messages of "+mb.Path, len(b.placements(store.PlacementQuery{Mailbox: mb.ID})), 0)
	}
	_, err := view(b, func(r store.Reader) (mail.Message, error) { return r.MessageByEmailID(emailID(0)) })
	want(mail.NotFound, err)
	_, err = view(b, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message + 1000) })
	want(mail.NotFound, err)
	b.append("INBOX", arrival(0)) // the same EMAILID in another account is allowed
	want(mail.NotFound, s.View(ctx, 1<<40, func(store.Reader) error { return nil }))
}

// found is what the directory answers somebody.
func found(s *subject, asker mail.AccountID, text string) string {
	var all []string
	for _, p := range must(s.People(ctx, store.PeopleQuery{Asker: asker, Text: text, Limit: store.MaxPeople})) {
		all = append(all, p.Name+"<"+p.Address+">")
	}
	return strings.Join(all, " ")
}

func people(t *trial) {
	s := t.subject()
	zoe := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "zoe.o-hara@people.example", Name: "Zoë O'Hara"}))
	bob := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@people.example"}))
	must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "zoe@stranger.example", Name: "Zoe Stranger"}))
	ok(s.AddAddress(ctx, store.Address{Local: "sales", Domain: "people.example", Account: s.account, Alias: true}))
	ok(s.AddAddress(ctx, store.Address{Local: "zz", Domain: "stranger.example", Account: zoe.Account, Alias: true}))
	for text, want := range map[string]string{
		"zoe":                "Zoë O'Hara<zoe.o-hara@people.example>",
		"Ohara":              "",
		"HARA zo":            "Zoë O'Hara<zoe.o-hara@people.example>",
		"hara bob":           "",
		"b":                  "<bob@people.example>",
		"zoe.o-hara@people":  "Zoë O'Hara<zoe.o-hara@people.example>",
		"sales@people.examp": "<sales@people.example>",
		"ann":                "", // has that name in another domain
		"zz":                 "", // an address in a domain that is not bob's
		"":                   "",
		" - ":                "",
	} {
		equal("people of "+text, found(s, bob.Account, text), want)
	}
	ok(s.SetName(ctx, bob.Account, "Robert Tables"))
	equal("by the new name", found(s, zoe.Account, "rob"), "Robert Tables<bob@people.example>")
	equal("still by address", found(s, zoe.Account, "bob"), "Robert Tables<bob@people.example>")
	ok(s.SetName(ctx, bob.Account, "Bobby"))
	equal("not by the old name", found(s, zoe.Account, "tables"), "")
	equal("principal", must(s.PrincipalByLogin(ctx, "bob@people.example")).Name, "Bobby")
	ok(s.RemoveAddress(ctx, "sales", "people.example"))
	equal("without the address", found(s, bob.Account, "sales"), "")
	ok(s.AddAddress(ctx, store.Address{Domain: "people.example", Account: s.account, Alias: true}))
	equal("who catches all asks too", found(s, s.account, "bobb"), "Bobby<bob@people.example>")
	equal("but is not found", found(s, bob.Account, "ann"), "")
	want(mail.NotFound, s.SetName(ctx, 1<<40, "x"))
	want(mail.Limit, s.SetName(ctx, bob.Account, strings.Repeat("x", store.MaxNameBytes+1)))
	want(mail.Invalid, s.SetName(ctx, bob.Account, "a\nb"))
	_, err := s.People(ctx, store.PeopleQuery{Asker: 1 << 40, Text: "bob", Limit: 1})
	want(mail.NotFound, err)
	equal("bounded", len(must(s.People(ctx, store.PeopleQuery{Asker: zoe.Account, Text: "people bob", Limit: 1}))), 0)
	equal("bounded", len(must(s.People(ctx, store.PeopleQuery{Asker: zoe.Account, Text: "z", Limit: 1}))), 1)
}

func peopleGone(t *trial) {
	s := t.subject()
	bob := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@example.test", Name: "Bob"}))
	equal("there", found(s, s.account, "bob"), "Bob<bob@example.test>")
	ok(s.SetDisabled(ctx, bob.Account, true))
	equal("disabled", found(s, s.account, "bob"), "")
	ok(s.SetDisabled(ctx, bob.Account, false))
	equal("enabled", found(s, s.account, "bob"), "Bob<bob@example.test>")
	ok(s.RemoveAccount(ctx, bob.Account))
	equal("removed", found(s, s.account, "bob"), "")
}
