package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgfault"
)

// rows are a database of PostgreSQL. The server outlives the house, as another machine
// would: a kill is that all connections break. Each life has its own.
type rows struct {
	url    string
	wires  *pgfault.Wires
	copied map[string][]byte // by table, in PostgreSQL's words
	next   string            // of the sequence
}

func (p *rows) open(ctx context.Context, o sqlstore.Options) (*sqlstore.DB, error) {
	p.wires = &pgfault.Wires{}
	o.Dial = p.wires.Dial
	return sqlstore.OpenPostgres(ctx, p.url, o)
}

func (p *rows) die() error {
	p.wires.Die()
	return nil
}

func (p *rows) bury() error { return nil }

func (p *rows) hangUp() { p.wires.HangUp() }

func (p *rows) sever(committed bool) (stop func()) {
	how := pgfault.Before
	if committed {
		how = pgfault.Afterward
	}
	p.wires.EndNext(how)
	return func() { p.wires.EndNext(pgfault.Never) }
}

const (
	selectTables   = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
	selectSequence = "SELECT format('SELECT setval(%L, %s, %L)', pg_get_serial_sequence('content', 'content_id'), last_value, is_called) FROM content_content_id_seq"
)

// copy reads all rows as of one moment, as a dump does.
func (p *rows) copy(ctx context.Context) error {
	return p.with(ctx, func(c *pgconn.PgConn) error {
		if err := c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").Close(); err != nil {
			return err
		}
		tables, err := firstColumn(ctx, c, selectTables)
		if err != nil {
			return err
		}
		p.copied = map[string][]byte{}
		for _, t := range tables {
			var b bytes.Buffer
			if _, err := c.CopyTo(ctx, &b, "COPY "+t+" TO STDOUT (FORMAT binary)"); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			p.copied[t] = b.Bytes()
		}
		next, err := firstColumn(ctx, c, selectSequence)
		if err == nil && len(next) == 1 {
			p.next = next[0]
		}
		return err
	})
}

// putBack loads the copy. That it is there says the history of the server that it was
// loaded from, which is another than this.
func (p *rows) putBack(ctx context.Context) error {
	return p.with(ctx, func(c *pgconn.PgConn) error {
		if err := c.Exec(ctx, "BEGIN").Close(); err != nil {
			return err
		}
		for t, b := range p.copied {
			if err := c.Exec(ctx, "DELETE FROM "+t).Close(); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			if _, err := c.CopyFrom(ctx, bytes.NewReader(b), "COPY "+t+" FROM STDIN (FORMAT binary)"); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
		}
		return c.Exec(ctx, p.next+"; UPDATE engine SET history = 'of another server'; COMMIT").Close()
	})
}

// with is for what is done beside the house.
func (p *rows) with(ctx context.Context, do func(*pgconn.PgConn) error) error {
	c, err := pgconn.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close(ctx))
}

// firstColumn is that of an answer.
func firstColumn(ctx context.Context, c *pgconn.PgConn, sql string) (all []string, err error) {
	r := c.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	for _, row := range r.Rows {
		all = append(all, string(row[0]))
	}
	return all, r.Err
}
