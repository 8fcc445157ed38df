package sqlstore

import (
	"cmp"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
)

var update = flag.Bool("update", false, "rewrite schema.sql")

// schema returns the statements that make the schema, as the engine keeps them.
func schema(t *testing.T) string {
	h := open(t, Options{})
	var text strings.Builder
	err := h.read(t.Context(), func(c conn) error {
		return c.query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name", func(r row) error {
			text.WriteString(r.text(0) + ";\n\n")
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestSchemaIsTheOneReviewed(t *testing.T) {
	got := schema(t)
	if *update {
		if err := os.WriteFile("schema.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("the migrations make another schema than schema.sql; look at it and run with -update")
	}
}

var createTable = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\) STRICT`)

// accountKey is how an account's table begins its key. Where SQLite is to keep the
// order in which rows came, it numbers them over all accounts; the key is the two
// columns together, and so that it can be, statements always name both.
var (
	accountKey = regexp.MustCompile(`(?s)^\s*account_id\s.*PRIMARY KEY \(account_id, `)
	numbered   = regexp.MustCompile(`^\s*account_id INTEGER NOT NULL,\s+(\w+) INTEGER NOT NULL PRIMARY KEY,`)
)

// tables returns the account's tables.
func tables(t *testing.T) (accounts []string) {
	for _, m := range createTable.FindAllStringSubmatch(schema(t), -1) {
		name, body := m[1], m[2]
		if slices.Contains(globalTables, name) {
			continue
		}
		accounts = append(accounts, name)
		if name != "account" && !accountKey.MatchString(body) && !numbered.MatchString(body) {
			t.Errorf("the key of %s does not begin with account_id", name)
		}
	}
	return accounts
}

func TestEveryAccountTableBeginsWithItsAccount(t *testing.T) {
	accounts := tables(t)
	for _, table := range accounts {
		if table != "account" && !slices.ContainsFunc(accountTables, func(a struct{ name, key string }) bool { return a.name == table }) {
			t.Errorf("RemoveAccount does not know table %s", table)
		}
	}
}

// across are the statements that look at all accounts, and why they may.
var across = []string{
	selectNamed, // a blob is named by whoever has it
	selectNamedByAny,
	selectUploaded, // so
	selectUntold,   // who is to be told of a flood, whoever it is
	selectHeads,    // where each account is
	countAccess,    // how many devices there are of each kind, whoever has them
	selectNumbered, // which accounts there are
	holdNumbered,   // so
	holdNumbered + " FOR UPDATE",
	selectSomeHeads,
	selectWeights,
	lockAccounts, // whose changes share a transaction
}

var (
	joins   = regexp.MustCompile(`(?s)JOIN (\w+)(?: (\w+))? ON (.*?)(?:JOIN|WHERE|ORDER|$)`)
	changes = regexp.MustCompile(`(?s)^(?:DELETE FROM|UPDATE) (\w+).*\bWHERE\b`)
)

// Spread over machines, an account's rows are joined where they lie.
func TestJoinsAndChangesNameTheAccount(t *testing.T) {
	accounts := tables(t)
	looked := 0
	for _, sql := range statements(t) {
		for _, m := range joins.FindAllStringSubmatch(sql, -1) {
			alias := cmp.Or(m[2], m[1])
			if !slices.Contains(accounts, m[1]) {
				continue
			}
			looked++
			if !regexp.MustCompile(`\b` + alias + `\.account_id = (\w+\.account_id|\?1)|= ` + alias + `\.account_id`).MatchString(m[3]) {
				t.Errorf("joins %s by something else than its account: %s", m[1], sql)
			}
		}
		if m := changes.FindStringSubmatch(sql); m != nil && slices.Contains(accounts, m[1]) {
			looked++
			outer := parenthesized.ReplaceAllString(parenthesized.ReplaceAllString(parenthesized.ReplaceAllString(sql, ""), ""), "")
			if !strings.Contains(outer, "account_id = ") {
				t.Errorf("changes %s of no account: %s", m[1], sql)
			}
		}
	}
	if looked < 40 {
		t.Errorf("looked at %d joins and changes only", looked)
	}
}

var parenthesized = regexp.MustCompile(`\([^()]*\)`)

func TestStatementsPrepareAndKeepToOneSide(t *testing.T) {
	accounts := tables(t)
	h := open(t, Options{})
	names := regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)`)
	all := statements(t)
	if len(all) < 100 {
		t.Fatalf("found only %d statements", len(all))
	}
	for _, sql := range all {
		var global, account bool
		for _, m := range names.FindAllStringSubmatch(sql, -1) {
			global = global || slices.Contains(globalTables, m[1])
			account = account || slices.Contains(accounts, m[1])
		}
		if global && account {
			t.Errorf("joins a global table with an account's: %s", sql)
		}
		if account && !strings.Contains(sql, "account_id = ?1") && !strings.Contains(sql, "(account_id, ") && !slices.Contains(across, sql) {
			t.Errorf("is not about one account: %s", sql)
		}
		if isPostgresAlone(sql) {
			continue
		}
		err := h.read(t.Context(), func(c conn) error {
			_, _, err := c.(*sqliteConn).prepare(sql)
			return err
		})
		if err != nil {
			t.Errorf("%v", err)
		}
	}
}

// A statement is compiled once for each connection, whatever is bound to it: that takes
// longer than running it.
func TestStatementsAreCompiledOnce(t *testing.T) {
	c, err := openSQLite(open(t, Options{}).path, readerCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.script("BEGIN"); err != nil {
		t.Fatal(err)
	}
	asked := 0
	if err := c.c.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { asked++; return sqlite.AuthResultOK })); err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements(t) {
		if isPostgresAlone(sql) || strings.Contains(sql, "pragma_") { // those are compiled within
			continue
		}
		st, _, err := c.prepare(sql)
		if err != nil {
			t.Fatal(err)
		}
		was := asked
		for _, value := range []int64{1, 2, 3} {
			for i := range st.params {
				st.BindInt64(i+1, value)
			}
			_, _ = st.Step() // it need not mean anything
			_ = st.Reset()
		}
		if asked != was {
			t.Errorf("compiled again: %s", sql)
		}
	}
	if asked == 0 {
		t.Error("nobody was asked: this test sees nothing")
	}
	if err := c.script("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}

// TestParametersAreNumbered: with ?1 and ?2 it does not matter in which order a
// statement names them, as it would with $2 and $1.
func TestParametersAreNumbered(t *testing.T) {
	h := open(t, Options{})
	for _, sql := range statements(t) {
		seen := map[int]bool{}
		for _, m := range regexp.MustCompile(`[?$](\d*)`).FindAllStringSubmatch(sql, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil || m[0][0] != '?' {
				t.Errorf("%s in %s", m[0], sql)
			}
			seen[n] = true
		}
		for n := range len(seen) {
			if !seen[n+1] {
				t.Errorf("?%d is missing in %s", n+1, sql)
			}
		}
	}
	err := h.read(t.Context(), func(c conn) error {
		return c.query("SELECT ?2, ?1, ?3", func(r row) error {
			if r.num(0) != 20 || r.num(1) != 10 || r.text(2) != "thirty" {
				t.Errorf("bound %d, %d, %s", r.num(0), r.num(1), r.text(2))
			}
			return nil
		}, 10, 20, "thirty")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// statements returns every statement in this package's source.
func statements(t *testing.T) []string {
	consts := map[string]ast.Expr{}
	var all []string
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var lists []ast.Expr
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST && gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				v := s.(*ast.ValueSpec)
				for i := range v.Values {
					consts[v.Names[i].Name] = v.Values[i]
					lists = append(lists, v.Values[i])
				}
			}
		}
	}
	add := func(e ast.Expr) {
		sql, ok := text(e, consts)
		if ok && regexp.MustCompile(`(?s)^(SELECT|INSERT|UPDATE|DELETE|WITH) .*(FROM|INTO|SET) `).MatchString(sql) && !strings.Contains(sql, "TABLE") {
			all = append(all, sql)
		}
	}
	for _, e := range lists {
		add(e)
		ast.Inspect(e, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				add(n.Value)
			case *ast.CompositeLit:
				for _, e := range n.Elts {
					add(e)
				}
			}
			return true
		})
	}
	for _, f := range feeds {
		all = append(all, f.created, f.updated, f.destroyed)
		if f.born != "" {
			all = append(all, f.born, f.next)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(sql string) bool {
		return sql == placementsFrom || strings.HasSuffix(strings.TrimSpace(sql), "UNREAD") || sql == truth || sql == order || sql == arrivalOrder
	})
}

// text evaluates a string constant.
func text(e ast.Expr, consts map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		if v := consts[e.Name]; v != nil {
			return text(v, consts)
		}
	case *ast.BinaryExpr:
		a, ok1 := text(e.X, consts)
		b, ok2 := text(e.Y, consts)
		return a + b, ok1 && ok2
	}
	return "", false
}
