package sqlstore

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// walksAccount is a step of a plan that reads all rows an account has in a table.
var walksAccount = regexp.MustCompile(`(message|placement|thread|vanished|vanished_placement|content|journal|thread_ref|thread_mailbox|[pmtvc])\b.*\(account_id=\?\)$`)

// mayWalk are statements that concern all of an account: check, repair, prune,
// remove. A placement is looked for by its id alone only where it was remembered
// whence an answer came from, so it has no index of its own.
func mayWalk(sql string) bool {
	return sql == goneSQL["placement"] || sql == selectAllEmails || sql == selectPlacementRows || sql == selectAllPlaces || sql == selectLastKey || isOfCheck(sql) || strings.HasPrefix(sql, "WITH ") || strings.Contains(sql, "WITH view AS") || strings.Contains(sql, "sum(size)") || strings.Contains(sql, "SET places = '{}'") || strings.HasPrefix(sql, "DELETE FROM ") ||
		strings.Contains(sql, "member m") || strings.HasPrefix(sql, "UPDATE member AS m") ||
		strings.Contains(sql, "p.uid >= b.uidnext") || strings.Contains(sql, "content_id <>") || strings.Contains(sql, "SET received = ") || strings.Contains(sql, "AS most FROM placement") || strings.Contains(sql, "NOT EXISTS (SELECT 1 FROM mailbox b") || strings.Contains(sql, "p.placement_id = ?2") || strings.HasPrefix(sql, "SELECT modseq, at FROM journal")
}

// isOfCheck reports whether a statement finds or cures a flaw.
func isOfCheck(sql string) bool {
	return sql == selectBrought || slices.ContainsFunc(flaws, func(f flaw) bool { return f.find == sql || slices.Contains(f.cure, sql) })
}

// Nothing but the care of whole accounts costs more as an account grows.
func TestStatementsDoNotWalkTheAccount(t *testing.T) {
	c, err := openUpgraded(t.TempDir()+"/plans.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	looked := 0
	for _, sql := range statements(t) {
		if mayWalk(sql) {
			continue
		}
		st, _, err := c.c.PrepareTransient("EXPLAIN QUERY PLAN " + expand(sql))
		if err != nil {
			continue // a part that others are put together from
		}
		for more, err := st.Step(); more && err == nil; more, err = st.Step() {
			looked++
			if step := st.ColumnText(3); walksAccount.MatchString(step) {
				t.Errorf("%s in %s", step, sql)
			}
		}
		st.Finalize()
	}
	if looked < 100 {
		t.Errorf("looked at %d steps only", looked)
	}
}
