package sqlstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/store/storetest"
)

// ofPostgres is the part of each history that is lived through on PostgreSQL, where a
// statement is a trip: make postgres lives through all.
const ofPostgres = 4

// TestContractOnPostgres holds the other engine against the same contract.
func TestContractOnPostgres(t *testing.T) {
	storetest.RunPart(t, func(t testing.TB) storetest.Engine {
		db := sqltest.Postgres(t, sqlstore.Options{RunTwice: true, Guard: storetest.Rule})
		t.Cleanup(func() { soundness(t, db) })
		return db
	}, ofPostgres)
}

// inCompany is the part of each history that is lived through beside others'.
const inCompany = 24

// TestContractInCompany holds it against the contract while every change shares its
// transaction with others', some of which fail.
func TestContractInCompany(t *testing.T) {
	for _, twice := range []bool{false, true} {
		t.Run(fmt.Sprint("twice ", twice), func(t *testing.T) {
			storetest.HistoriesPart(t, func(t testing.TB) storetest.Engine {
				db := sqltest.Postgres(t, sqlstore.Options{RunTwice: twice, Guard: storetest.Rule})
				t.Cleanup(func() { soundness(t, db) })
				sqlstore.Accompany(t, db)
				return &foreseeing{DB: db}
			}, inCompany)
		})
	}
}

// foreseeing is a node that is told what changes are about to look at, by who guesses.
type foreseeing struct {
	*sqlstore.DB
	guesses atomic.Uint32
}

func (e *foreseeing) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	n := e.guesses.Add(1)
	f := store.Foresight{Mailbox: mail.MailboxID(1 + n%7), UIDs: mail.MakeUIDSet(mail.UID(1 + n/7%9))}
	return e.DB.Update(store.Foresee(ctx, f), id, by, fn)
}

// TestManyWritersAtTwoNodes lets each call go to another node than the one before:
// what several do at once comes out as if done one after the other.
func TestManyWritersAtTwoNodes(t *testing.T) {
	storetest.Concurrent(t, func(t testing.TB) storetest.Engine {
		url := sqltest.PostgresURL(t)
		o := sqlstore.Options{Hub: &notify.Hub{}, Guard: storetest.Rule} // what they tell each other is the bus's
		e := &taken{DB: sqltest.Open(t, url, o), other: sqltest.Open(t, url, o)}
		t.Cleanup(func() { soundness(t, e.DB) })
		return e
	})
}

// taken is a node, with another that takes every second call.
type taken struct {
	*sqlstore.DB
	other *sqlstore.DB
	calls atomic.Int64
}

func (*taken) Scattered() {}

func (e *taken) node() *sqlstore.DB {
	if e.calls.Add(1)%2 == 0 {
		return e.other
	}
	return e.DB
}

func (e *taken) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	return e.node().View(ctx, id, fn)
}

func (e *taken) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	return e.node().Update(ctx, id, by, fn)
}

func (e *taken) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	return e.node().Note(ctx, id, fn)
}
