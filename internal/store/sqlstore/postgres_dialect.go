package sqlstore

import (
	"strings"
	"sync"
)

// inPostgres holds the statements that PostgreSQL has words of its own for, by how
// they are written for SQLite.
var inPostgres = map[string]string{
	insertContent: "INSERT INTO content (account_id, blob, sent_at, message_id, parsed, preview, names, again, content_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	hasVersions:   "SELECT 1 FROM pg_catalog.pg_class WHERE oid = to_regclass('schema_version')",
	knowsFloors:   "SELECT 1",
	makeVersions:  "SELECT 1", // the first step does
	holdPrincipal: holdPrincipal + " FOR SHARE",
	selectDue:     selectDue + " FOR UPDATE OF q SKIP LOCKED",
	lockBlob:      "SELECT 1 FROM blob WHERE name = ?1 FOR UPDATE",
	holdBlob:      holdBlob + " FOR KEY SHARE",
	holdNumbered:  holdNumbered + " FOR UPDATE",
	selectPlacesOf: `SELECT p.message_key, p.placement_id, p.mailbox_id, p.system, p.keywords FROM unnest(?2::bigint[]) AS listed (value)
	CROSS JOIN LATERAL (SELECT * FROM placement WHERE account_id = ?1 AND elsewhere = 1 AND message_key = listed.value OFFSET 0) p
	UNION ALL SELECT p.message_key, p.placement_id, p.mailbox_id, p.system, p.keywords FROM unnest(?2::bigint[]) AS listed (value)
	CROSS JOIN LATERAL (SELECT * FROM message WHERE account_id = ?1 AND message_key = listed.value OFFSET 0) m
	CROSS JOIN LATERAL (SELECT * FROM placement WHERE account_id = ?1 AND mailbox_id = m.home_mailbox AND uid = m.home_uid OFFSET 0) p
	WHERE p.message_key = m.message_key AND p.elsewhere = 0`,
}

var translated sync.Map // of string to string

// toPostgres turns a statement into PostgreSQL's: ?1 is $1, list(?n) an array (see
// among), and max of several values greatest.
func toPostgres(sql string) string {
	if t, known := translated.Load(sql); known {
		return t.(string)
	}
	text := sql
	if own, found := inPostgres[sql]; found {
		text = own
	}
	text = inList.ReplaceAllString(among(text), "= ANY($1::bigint[])")
	text = expandList(text, "(SELECT value FROM unnest(", "::bigint[]) AS listed (value))")
	text = greatest(text)
	text = spelling.Replace(text)
	translated.Store(sql, text)
	return text
}

// spelling is what is only spelled otherwise.
var spelling = strings.NewReplacer("?", "$", "x''", "''", "char(1114111)", "chr(1114111)", "json_each(x.places)", "json_each_text(x.places::json)")

// expandList puts something around the parameter of each list(?n).
func expandList(sql, before, after string) string {
	const list = "list("
	for {
		i := strings.Index(sql, list+"?")
		if i < 0 {
			return sql
		}
		end := i + strings.IndexByte(sql[i:], ')')
		sql = sql[:i] + before + sql[i+len(list):end] + after + sql[end+1:]
	}
}

// greatest renames max where it is given several values, which is no aggregate.
func greatest(sql string) string {
	const name = "max("
	for from := 0; ; {
		i := strings.Index(sql[from:], name)
		if i < 0 {
			return sql
		}
		i += from
		from = i + len(name)
		if severalArguments(sql[from:]) {
			sql = sql[:i] + "greatest(" + sql[from:]
		}
	}
}

// severalArguments looks at what follows an opening parenthesis.
func severalArguments(rest string) bool {
	depth := 1
	for _, c := range rest {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 1 {
				return true
			}
		}
		if depth == 0 {
			return false
		}
	}
	return false
}
