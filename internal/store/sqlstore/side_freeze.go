package sqlstore

import (
	"context"
	"errors"
	"strings"

	"lockstep/internal/mail"
)

// A Freeze keeps everybody from writing to a database of PostgreSQL, on whatever node.
// It lasts as long as its connection, so that nothing is left of one that was cut.
type Freeze struct {
	c   *pgConn
	now func() int64
}

// Every transaction that writes locks a row of one of these first, which this lock
// keeps from it; reading goes on. Nodes say "try again" to who waits too long.
const freezeSQL = `BEGIN;
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
LOCK TABLE account, lane IN EXCLUSIVE MODE`

// Freeze begins one. now is the time as rows have it.
func (s *Side) Freeze(ctx context.Context, now func() int64) (*Freeze, error) {
	opened, err := s.open()
	if err != nil {
		return nil, err
	}
	c, is := opened.(*pgConn)
	if !is {
		return nil, errors.Join(onlyPostgres, opened.close())
	}
	if err := c.script(freezeSQL); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return &Freeze{c, now}, nil
}

var onlyPostgres = mail.Errorf(mail.Unimplemented, "the embedded engine has one server, which is stopped instead")

// Moved makes it last: from then on each node refuses whatever changes anything, and
// none starts.
func (f *Freeze) Moved(_ context.Context, m Moving) error {
	if err := setMoving(f.c, m, f.now()); err != nil {
		return err
	}
	if err := f.c.script(strings.ReplaceAll(refuseWrites, "WHERE_TO", quoted(m.Peer))); err != nil {
		return err
	}
	return f.c.commit()
}

// Thaw lets everybody go on, unless it was made to last.
func (f *Freeze) Thaw() error { return f.c.close() }

// refuseWrites has every table refuse changes, in words that people see.
const refuseWrites = `CREATE FUNCTION lockstep_moved() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN RAISE EXCEPTION 'the accounts have moved to %', TG_ARGV[0] USING ERRCODE = '57P03'; END $body$;
DO $body$ DECLARE t record; BEGIN
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'moving' LOOP
		EXECUTE format('CREATE TRIGGER lockstep_moved BEFORE INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION lockstep_moved(%L)', t.tablename, WHERE_TO);
	END LOOP;
END $body$`

// takeWrites takes them again.
const takeWrites = "DROP FUNCTION IF EXISTS lockstep_moved() CASCADE"

func quoted(text string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, "/", "$", "").Replace(text) + "'"
}
