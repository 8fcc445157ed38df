package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// crowd fills an account with messages, and makes others with a few of their own. It is
// what the planner sees of a large mailbox beside many people, no more.
const crowd = `
INSERT INTO account (account_id, name, head, epoch, horizon, last_mailbox, last_email, last_thread, last_placement, next_id, next_uidvalidity, quota, used, disabled, created)
	SELECT a, 'p' || a, 100000, 1, 0, 9, 9, 9, 9, 900000, 9, 0, 0, 0, 0 FROM generate_series(1, 1001) a;
INSERT INTO mailbox (account_id, mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created, modseq, highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads)
	SELECT a, m, 0, 'm' || m, 'm' || m, '', 1, 100001, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 0 FROM generate_series(1, 1001) a, generate_series(1, 6) m;
CREATE TEMP TABLE many AS SELECT 1 AS a, n FROM generate_series(1, 100000) n UNION ALL SELECT a, n FROM generate_series(2, 1001) a, generate_series(1, 20) n;
INSERT INTO message (account_id, message_key, email_id, thread_id, size, internal_date, created, modseq, visible, placements, left_modseq, born, named, content_id)
	SELECT a, n * 3, decode(md5(a || '-' || n), 'hex'), n * 3 + 1, 1000, n, n, n, 1, 1, 0, n, 1, a * 1000000 + n FROM many;
INSERT INTO content (account_id, content_id, blob, sent_at, message_id, parsed, preview)
	SELECT a, a * 1000000 + n, decode(md5('b' || a || '-' || n), 'hex'), n, 'm' || n, '\x00', 'hello' FROM many;
INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received)
	SELECT a, 1, n, n * 3 + 2, n * 3, CASE WHEN n % 20 = 0 THEN n * 3 - 1 ELSE n * 3 + 2 END, 0, '', n, n, n, 0, 1000, a * 1000000 + n, n FROM many;
INSERT INTO thread (account_id, thread_id, emails, unread, created, modseq, born) SELECT a, n * 3 + 1, 1, 0, n, n, n FROM many;
INSERT INTO thread_name (account_id, name, thread_id) SELECT a, hashtextextended(a || '/' || n, 0), n * 3 + 1 FROM many;
INSERT INTO journal (account_id, modseq, act, undoes, at, actor, device_id, session, protocol, cause, version, entries) SELECT a, n, n, 0, n, 'x', 1, '', 'imap', 'user', 1, '[]' FROM many;
INSERT INTO vanished (account_id, type, modseq, id, created, why) SELECT a, 2, n, n * 3, 1, 1 FROM many WHERE n % 5 = 0;
INSERT INTO vanished_placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, vanished, why)
	SELECT a, 2, n, n * 3 + 900000, n * 3, 1, 0, '', n, n, n, 0, 1000, n, 1 FROM many WHERE n % 5 = 0;
INSERT INTO blob (name, size, place, key, touched) SELECT decode(md5('b' || a || '-' || n), 'hex'), 1000, 'pack/' || a || '-' || n, '\x01', 1 FROM many;
INSERT INTO device (account_id, device_id, name, key, protocol, client, created, last_seen, last_addr, access) SELECT a, d, 'd', 'k' || d, 'imap', '', 1, 1, '', 0 FROM generate_series(1, 1001) a, generate_series(1, 3) d;`

// large are the tables that grow with the mail of an account.
var large = []string{"message", "content", "placement", "thread", "thread_name", "journal", "vanished", "vanished_placement", "blob"}

// planNode is a step of a plan.
type planNode struct {
	Type      string     `json:"Node Type"`
	Table     string     `json:"Relation Name"`
	Index     string     `json:"Index Name"`
	IndexCond string     `json:"Index Cond"`
	Filter    string     `json:"Filter"`
	Plans     []planNode `json:"Plans"`
}

func (p planNode) each(fn func(planNode)) {
	fn(p)
	for _, sub := range p.Plans {
		sub.each(fn)
	}
}

// ofOneAccount is a condition that the whole account fulfils.
var ofOneAccount = regexp.MustCompile(`^\(account_id = [^ ]+\)$`)

// walks says what of a plan grows with the mail of the account, or of all.
func walks(p planNode) (wrong []string) {
	p.each(func(n planNode) {
		known := slices.Contains(large, n.Table) || n.Index != "" && slices.ContainsFunc(large, func(table string) bool { return strings.HasPrefix(n.Index, table+"_") })
		switch {
		case n.Type == "Seq Scan" && known:
			wrong = append(wrong, "scans "+n.Table)
		case known && strings.Contains(n.Filter, "= ANY (") && !strings.Contains(n.Filter, "abs("): // of few
			wrong = append(wrong, "goes through "+n.Index+" for a list")
		case n.Index == "" || !known || partial[n.Index]:
		case n.IndexCond == "":
			wrong = append(wrong, "walks "+n.Index)
		case ofOneAccount.MatchString(n.IndexCond):
			wrong = append(wrong, "walks the account in "+n.Index)
		}
	})
	return wrong
}

// partial are indexes that hold few rows, whose condition is the point of them.
var partial = map[string]bool{}

// pagedStatements are those that are asked for a page at a time; see pages.
func pagedStatements() []string {
	all := []string{selectJournal + " LIMIT ?4", selectDown + " LIMIT ?4", selectDown + " LIMIT 1", selectEmailsDown + " LIMIT ?3"}
	for _, sql := range []string{selectPlacements, selectPlacementsBack, selectMessages, selectMessagesBack, selectShown, selectShownBack} {
		all = append(all, sql+" LIMIT ?5")
	}
	for _, sql := range memberSQL {
		all = append(all, sql+" LIMIT ?6")
	}
	return all
}

// ofWhole reports whether a statement concerns all blobs, or a whole mailbox, or is one
// that PostgreSQL is not asked.
func ofWhole(sql string) bool {
	return sql == selectWrapped || sql == selectUnnamed || sql == selectTail || strings.HasSuffix(sql, "WHERE p.account_id = ?1 AND p.mailbox_id = ?2")
}

// argument is a number for a parameter: of the large account and its large mailbox,
// a page, or near the end of the account, where people mostly are.
func argument(sql, number string) string {
	named := func(words string) bool {
		return regexp.MustCompile(`(?i)` + words + ` ` + regexp.QuoteMeta(number) + `(\D|$)`).MatchString(sql)
	}
	switch {
	case number == "$1", named("mailbox_id ="), named("OFFSET"):
		return "1"
	case named("LIMIT"):
		return "50"
	}
	return "299990"
}

// explain asks for the plan of a statement, as one that was prepared long ago.
func explain(ctx context.Context, c *pgconn.PgConn, sql string) (p planNode, err error) {
	d, err := c.Prepare(ctx, "", sql, nil)
	if err != nil {
		return p, err
	}
	var args []string
	for i, oid := range d.ParamOIDs {
		switch oid {
		case pgtype.Int8OID:
			args = append(args, argument(sql, fmt.Sprintf("$%d", i+1)))
		case pgtype.Int8ArrayOID:
			args = append(args, "'{30,300,3000}'")
		case pgtype.TextOID:
			args = append(args, "'x'")
		case pgtype.ByteaOID:
			args = append(args, `'\x00'`)
		case pgtype.TextArrayOID:
			args = append(args, "'{x,y}'")
		case pgtype.ByteaArrayOID:
			args = append(args, `'{"\\x00","\\x01"}'`)
		default:
			return p, fmt.Errorf("parameter of type %d", oid)
		}
	}
	run := "EXPLAIN (FORMAT JSON) EXECUTE asked"
	if len(args) > 0 {
		run += "(" + strings.Join(args, ", ") + ")"
	}
	results, err := c.Exec(ctx, "PREPARE asked AS "+sql+"; "+run+"; DEALLOCATE asked").ReadAll()
	if err != nil {
		c.Exec(ctx, "DEALLOCATE ALL").Close()
		return p, err
	}
	var all []struct{ Plan planNode }
	err = json.Unmarshal(results[1].Rows[0][0], &all)
	if err == nil && len(all) == 1 {
		p = all[0].Plan
	}
	return p, err
}

// TestPlansOfPostgresDoNotWalk: whatever the planner knows, nothing but the care of
// whole accounts reads more rows as accounts grow, or as there are more of them.
func TestPlansOfPostgresDoNotWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("the planner has nothing to say to the race detector")
	}
	db := freshPostgres(t)
	ctx := t.Context()
	err := db.ask(ctx, func(in conn) error {
		c := in.(*pgConn).c
		r := c.ExecParams(ctx, "SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indpred IS NOT NULL", nil, nil, nil, nil).Read()
		for _, row := range r.Rows {
			partial[string(row[0])] = true
		}
		// A plan that was made when there was nothing yet is used until the planner hears
		// of more: it has to be good for lists, and for whatever many accounts have carried
		// out at once.
		const nothing = "SELECT 1"
		for _, known := range []string{nothing, "SET statement_timeout = 0;" + crowd, "ANALYZE"} {
			if err := c.Exec(ctx, known).Close(); err != nil {
				return err
			}
			known, _, _ = strings.Cut(known, "\n")
			for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
				if err := c.Exec(ctx, "SET plan_cache_mode = "+mode).Close(); err != nil {
					return err
				}
				looked := 0
				for _, sql := range append(statements(t), pagedStatements()...) {
					if mayWalk(sql) || ofWhole(sql) || slices.Contains(across, sql) || isSQLiteAlone(sql) || known == nothing && !asksLists(sql) {
						continue
					}
					p, err := explain(ctx, c, toPostgres(sql))
					if err != nil {
						continue // TestEveryStatementIsPostgresToo says why
					}
					looked++
					for _, wrong := range walks(p) {
						t.Errorf("%s %s: %s: %s", known, mode, wrong, sql)
					}
				}
				if looked < 200 && known != nothing || looked < 15 {
					t.Errorf("looked at %d statements only", looked)
				}
				planTogether(t, c, known+" "+mode)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("the crowd: %w", err))
	}
}

// asksLists reports whether a statement asks one table, or changes it, for a list.
func asksLists(sql string) bool {
	return strings.Contains(sql, "list(") && !strings.Contains(sql, "message m")
}

// planTogether asks for the plans of statements that are carried out for several
// accounts at once.
func planTogether(t *testing.T, c *pgconn.PgConn, when string) {
	t.Helper()
	if err := loopsWell(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for sql := range together {
		d, err := c.Prepare(t.Context(), "", toPostgres(sql), nil)
		if err != nil {
			t.Fatalf("%v in %s", err, sql)
		}
		form := formOf(sql, argumentKinds(d.ParamOIDs))
		for _, text := range []string{form.quiet, form.tells} {
			if text == "" {
				continue
			}
			p, err := explain(t.Context(), c, text)
			if err != nil {
				t.Errorf("%v in %s", err, text)
				continue
			}
			for _, wrong := range walks(p) {
				t.Errorf("%s: %s: %s", when, wrong, text)
			}
		}
	}
	if err := c.Exec(t.Context(), "RESET enable_hashjoin; RESET enable_mergejoin").Close(); err != nil {
		t.Fatal(err)
	}
}

// argumentKinds are the kinds of arguments that a statement has.
func argumentKinds(oids []uint32) string {
	kinds := make([]byte, len(oids))
	for i, oid := range oids {
		for _, kind := range []byte("ntbl") {
			if kindOIDs[kind] == oid {
				kinds[i] = kind
			}
		}
	}
	return string(kinds)
}
