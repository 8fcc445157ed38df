package sqlstore

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	updateName    = "UPDATE principal SET name = ?2 WHERE owner_id = ?1 AND removed = 0"
	insertPerson  = "INSERT INTO person (domain, word, principal_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
	unlistPerson  = "DELETE FROM person WHERE principal_id IN (SELECT principal_id FROM principal WHERE owner_id = ?1)"
	selectPerson  = "SELECT word FROM person WHERE principal_id = ?1 AND domain = ?2"
	selectPeople  = "SELECT principal_id FROM person WHERE domain = ?1 AND word >= ?2 AND word < ?3 ORDER BY word, principal_id LIMIT ?4"
	selectListed  = "SELECT 1 FROM person LIMIT 1"
	selectDomains = "SELECT DISTINCT domain FROM address WHERE owner_id = ?1 ORDER BY domain LIMIT ?2"
)

// Bounds on one question to the directory: domains of who asks that are looked at,
// and words that begin as the longest one asked for does.
const (
	maxAskerDomains = 100
	maxPersonRows   = 20_000
)

// beyond is greater than any text that continues one.
const beyond = "\U0010FFFF"

func ownerOf(c conn, id mail.AccountID) (p store.Principal, err error) {
	found, err := one(c, selectOwner, func(r row) { p = scanPrincipal(r) }, id)
	if err == nil && !found {
		err = noAccount()
	}
	return p, err
}

// SetName implements store.Directory.
func (db *DB) SetName(ctx context.Context, id mail.AccountID, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	return db.write(ctx, directoryLane, func(c conn) error {
		n, err := c.exec(updateName, id, name)
		if err == nil && n == 0 {
			err = noAccount()
		}
		if err == nil {
			err = relistPerson(c, id)
		}
		return err
	}, nil)
}

// listPerson makes somebody be found by an address.
func listPerson(c conn, p store.Principal, a store.Address) error {
	if a.Local == "" {
		return nil
	}
	for _, word := range store.PersonWords(p.Name, a.Local, a.Domain) {
		if _, err := c.exec(insertPerson, a.Domain, word, int64(p.ID)); err != nil {
			return err
		}
	}
	return nil
}

// relistPerson makes somebody be found by what they are called now.
func relistPerson(c conn, id mail.AccountID) error {
	if _, err := c.exec(unlistPerson, id); err != nil {
		return err
	}
	p, err := ownerOf(c, id)
	if err != nil {
		return err
	}
	all, err := addressesOf(c, id)
	for _, a := range all {
		if err == nil {
			err = listPerson(c, p, a)
		}
	}
	return err
}

func addressesOf(c conn, id mail.AccountID) (all []store.Address, err error) {
	err = c.query(selectAddresses, func(r row) error { all = append(all, scanAddress(r)); return nil }, id)
	return all, err
}

// listPeople lists those of a database that had no directory.
func (db *DB) listPeople(ctx context.Context) error {
	listed := false
	err := db.ask(ctx, func(c conn) (err error) {
		listed, err = one(c, selectListed, func(row) {})
		return err
	})
	if err != nil || listed {
		return err
	}
	return db.write(ctx, directoryLane, func(c conn) error {
		var all []store.Principal
		err := c.query(selectPrincipals, func(r row) error { all = append(all, scanPrincipal(r)); return nil })
		for _, p := range all {
			if err == nil {
				err = relistPerson(c, p.Account)
			}
		}
		return err
	}, nil)
}

// People implements store.Directory. Of 100 000 people those of one beginning are a
// range of the index; the other words are looked at for these alone.
func (db *DB) People(ctx context.Context, q store.PeopleQuery) ([]store.Person, error) {
	var people []store.Person
	err := db.read(ctx, func(c conn) error {
		if _, err := ownerOf(c, q.Asker); err != nil {
			return err
		}
		var domains []string
		err := c.query(selectDomains, func(r row) error { domains = append(domains, r.text(0)); return nil }, q.Asker, maxAskerDomains)
		if err != nil {
			return err
		}
		people, err = findPeople(c, domains, q)
		return err
	})
	store.SortPeople(people)
	return people, err
}

// findPeople returns those who fit, each once, until there are enough.
func findPeople(c conn, domains []string, q store.PeopleQuery) (people []store.Person, err error) {
	asked := q.Words()
	if len(asked) == 0 {
		return nil, nil
	}
	looked := map[int64]bool{}
	for _, domain := range domains {
		var near []int64
		err := c.query(selectPeople, func(r row) error { near = append(near, r.num(0)); return nil }, domain, asked[0], asked[0]+beyond, maxPersonRows)
		if err != nil {
			return nil, err
		}
		for _, id := range near {
			ok := !looked[id]
			if ok && len(asked) > 1 {
				ok, err = fits(c, id, domain, asked)
			}
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			looked[id] = true
			if people, err = showPerson(c, people, id, domains); err != nil || len(people) == q.Limit {
				return people, err
			}
		}
	}
	return people, nil
}

// fits reports whether somebody's words in a domain are those asked for.
func fits(c conn, id int64, domain string, asked []string) (bool, error) {
	var words []string
	err := c.query(selectPerson, func(r row) error { words = append(words, r.text(0)); return nil }, id, domain)
	return store.Fits(words, asked), err
}

// showPerson adds what others in these domains see of somebody who is not disabled.
func showPerson(c conn, people []store.Person, id int64, domains []string) ([]store.Person, error) {
	var p store.Principal
	there, err := one(c, selectPrincipal, func(r row) { p = scanPrincipal(r) }, id)
	if err != nil || !there || p.Disabled {
		return people, err
	}
	address, err := shownAddress(c, p, domains)
	return append(people, store.Person{Principal: p.ID, Name: p.Name, Address: address}), err
}

// shownAddress is the address by which others in these domains know somebody.
func shownAddress(c conn, p store.Principal, domains []string) (string, error) {
	all, err := addressesOf(c, p.Account)
	if err != nil {
		return "", err
	}
	first := store.Address{}
	for _, a := range all {
		if a.Local == "" || !slices.Contains(domains, a.Domain) {
			continue
		}
		if a.Local+"@"+a.Domain == p.Login {
			return p.Login, nil
		}
		if first.Local == "" || strings.Compare(a.Domain+"@"+a.Local, first.Domain+"@"+first.Local) < 0 {
			first = a
		}
	}
	return first.Local + "@" + first.Domain, nil
}
