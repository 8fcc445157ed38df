package sqlstore

import (
	"regexp"
	"strconv"
	"strings"
)

// What is asked of a list is asked of the rows with these keys, and never of those of an
// account or a mailbox that may be among them, which is what "= ANY" leaves to the
// planner. It plans once, for all accounts, and often when a table is small: what is
// read to the end then is read to the end when it is large. So a list is a table that
// comes first, and whose rows are looked up. Where that is not said here, "= ANY" is.

var (
	// Columns that have to be something, and one that is in a list.
	amongKeys     = `((?:[\w.]+ = \?\d+ AND )+)([\w.]+) IN list\((\?\d+)\)`
	selectAmong   = regexp.MustCompile(`(?s)^((?:INSERT INTO|SELECT) .*?)FROM (\w+)( \w)?\s+WHERE ` + amongKeys)
	updateAmong   = regexp.MustCompile(`(?s)^(UPDATE \w+ SET .*?)\s+WHERE ` + amongKeys)
	deleteAmong   = regexp.MustCompile(`^(DELETE FROM \w+)\s+WHERE ` + amongKeys)
	equalArgument = regexp.MustCompile(`([\w.]+) = (\?\d+)`)
)

// among says of a statement that its list comes first.
func among(sql string) string {
	if m := selectAmong.FindStringSubmatchIndex(sql); m != nil {
		part := func(i int) string { return sql[m[2*i]:m[2*i+1]] }
		table, name := part(2), part(2)
		if m[6] >= 0 {
			name = strings.TrimSpace(part(3))
		}
		keys := strings.ReplaceAll(part(4), name+".", "") + strings.TrimPrefix(part(5), name+".")
		return part(1) + "FROM unnest(" + part(6) + "::bigint[]) AS listed (value) CROSS JOIN LATERAL (SELECT * FROM " + table + " WHERE " + keys + " = listed.value OFFSET 0) AS " + name +
			" WHERE 1 = 1" + sql[m[1]:]
	}
	for word, shape := range map[string]*regexp.Regexp{" FROM ": updateAmong, " USING ": deleteAmong} {
		if m := shape.FindStringSubmatchIndex(sql); m != nil {
			part := func(i int) string { return sql[m[2*i]:m[2*i+1]] }
			var columns, keys string
			for i, key := range equalArgument.FindAllStringSubmatch(part(2), -1) {
				name := "key_" + strconv.Itoa(i+1)
				columns += key[2] + "::bigint AS " + name + ", "
				keys += key[1] + " = listed." + name + " AND "
			}
			return part(1) + word + "(SELECT " + columns + "unnest(" + part(4) + "::bigint[]) AS value) AS listed WHERE " + keys + part(3) + " = listed.value" + sql[m[1]:]
		}
	}
	return sql
}

// singly is a statement about lists of one, as the kinds of its arguments tell.
func singly(sql, kinds string) string {
	for i := range len(kinds) {
		if kinds[i] == 'o' {
			n := "?" + strconv.Itoa(i+1)
			sql = strings.ReplaceAll(sql, "IN list("+n+")", "= "+n)
			sql = strings.ReplaceAll(sql, "list("+n+")", "(SELECT CAST("+n+" AS bigint) AS value)")
		}
	}
	return sql
}
