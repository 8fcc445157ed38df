package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// migrationLock is what nodes that start at once wait for: one of them brings the
// schema up to date. It is a number that nothing else is likely to lock.
const migrationLock = "7308332192743862131"

// migratePostgres brings the schema up to date in one transaction. Nodes that run
// already go on with what the steps say that they can read.
func migratePostgres(ctx context.Context, dial func(context.Context) (*pgconn.PgConn, error), o Options) (err error) {
	if o.steps == nil {
		o.steps, o.stepsIn = migrations, postgresSteps
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Upgrading == nil {
		o.Upgrading = func(Upgrade) {}
	}
	c := &pgConn{open: dial}
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.script("SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock(" + migrationLock + ")"); err != nil {
		return err
	}
	m, err := planMigration(c, "", o)
	if err != nil {
		return err
	}
	return m.run(c, o.Upgrading)
}
