package sqlstore

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/mail"
)

// besideTables are those of others in the same database: sqlstore makes them and does
// not look into them. What they say is made of the rest, and does not move.
var besideTables = []string{"search_state", "search_doc", "search_text", "search_trouble", "search_segment", "search_block"}

// Dial opens a connection to the nodes' database that belongs to the caller, for what
// lies beside the accounts' tables and must not wait for their lanes.
func (db *DB) Dial(ctx context.Context) (*pgconn.PgConn, error) {
	if db.pg == nil {
		return nil, mail.Errorf(mail.Unimplemented, "a connection beside the accounts' tables: the database is not PostgreSQL")
	}
	c, err := db.pg.dial(ctx)
	return c, pgReadable(err)
}

// Readable gives an error of such a connection a Kind and words, where people can do
// something about it.
func Readable(err error) error { return pgReadable(err) }
