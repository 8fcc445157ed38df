package sqlstore

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"
)

// What a statement costs PostgreSQL is mostly its beginning and its end. So the same
// statement of several lanes is carried out once, with the arguments of all: what it
// says of ?1 is said of a column of a table that is made of them. That text is derived
// from the statement, so there is no second one to be kept like it.

// together are the statements that are carried out so: of a delivery, of an APPEND and
// of flags. Two that say the same of their first argument, or of what ON CONFLICT names,
// are never one.
var together = map[string]bool{
	selectAccount: true, selectMailbox: true, selectMailboxByPath: true, selectMemory: true, selectNames: true, selectThreads: true, selectHeld: true,
	addBlob: true, holdBlob: true, touchBlob: true, putBytes: true, insertPart: true,
	insertContent: true, insertMessage: true, insertPlacement: true, insertThread: true, insertJournal: true,
	upsertNames: true, upsertMemory: true, deleteMemory: true,
	updateAccount: true, updateMailbox: true, updateThread: true, updateMessage: true, updateMessageModSeq: true, updateFlags: true,
}

// manyForm is how a statement is said of many.
type manyForm struct {
	quiet  string // gives nothing back, or the number of who asked before the columns of a row
	tells  string // gives back whose rows were changed; see byKey
	reads  bool
	byKey  bool  // tells names the first argument of who changed a row, else its number
	unique []int // the arguments that no two may have in common; nil if any may
}

// The table of arguments, and the number of who gave them, from 1.
const (
	manyTable = "asked"
	manyArg   = "arg_"
	manyWho   = "arg_n"
)

var (
	insertValues = regexp.MustCompile(`(?s)^INSERT INTO (\w+) \(([^)]*)\)\s+VALUES \(([^)]*)\)(.*)$`)
	insertSelect = regexp.MustCompile(`(?s)^INSERT INTO (\w+) \(([^)]*)\)\s+SELECT (.*?)\s+FROM (.*)$`)
	updateWhere  = regexp.MustCompile(`(?s)^UPDATE (\w+) SET (.*?)\s+WHERE (.*)$`)
	deleteWhere  = regexp.MustCompile(`(?s)^DELETE FROM (\w+)\s+WHERE (.*)$`)
	selectFrom   = regexp.MustCompile(`(?s)^SELECT (.*?)\s+FROM (.*)$`)
	onConflict   = regexp.MustCompile(`ON CONFLICT \(([^)]*)\)`)
	parameter    = regexp.MustCompile(`\$(\d+)`)
)

// manyKinds are the kinds of many arguments of a kind. A list is as many.
var manyKinds = map[byte]struct {
	kind byte
	name string
}{'n': {'N', "bigint[]"}, 't': {'T', "text[]"}, 'b': {'B', "bytea[]"}, 'l': {'N', "bigint[]"}}

func init() {
	kindOIDs['N'], kindOIDs['T'], kindOIDs['B'] = pgtype.Int8ArrayOID, pgtype.TextArrayOID, pgtype.ByteaArrayOID
}

var manyForms sync.Map // of sql and kinds to *manyForm

// formOf returns how a statement for arguments of some kinds is said of many; nil: it
// is not.
func formOf(sql, kinds string) *manyForm {
	if !together[sql] || strings.Contains(kinds, "0") {
		return nil
	}
	if f, known := manyForms.Load(sql + kinds); known {
		return f.(*manyForm)
	}
	f := makeForm(toPostgres(singly(sql, strings.ReplaceAll(kinds, "l", "o"))), kinds)
	manyForms.Store(sql+kinds, f)
	return f
}

func makeForm(sql, kinds string) *manyForm {
	table := manyArguments(kinds)
	own := func(s string) string { return parameter.ReplaceAllString(s, manyTable+"."+manyArg+"$1") }
	from := func(rest string) string { // what stands beside the arguments
		if strings.HasPrefix(rest, "(") {
			rest = "LATERAL " + rest
		}
		return table + " CROSS JOIN " + own(rest)
	}
	const tellWho = " RETURNING " + manyTable + "." + manyWho
	if m := insertValues.FindStringSubmatch(sql); m != nil {
		f := &manyForm{byKey: true, unique: conflicting(m[2], m[3], m[4])}
		f.quiet = "INSERT INTO " + m[1] + " (" + m[2] + ") SELECT " + own(m[3]) + " FROM " + table + m[4]
		first, _, _ := strings.Cut(m[2], ",")
		f.tells = f.quiet + " RETURNING " + first
		return f
	}
	if m := insertSelect.FindStringSubmatch(sql); m != nil {
		return &manyForm{quiet: "INSERT INTO " + m[1] + " (" + m[2] + ") SELECT " + own(m[3]) + " FROM " + from(m[4]), unique: []int{0}}
	}
	if m := updateWhere.FindStringSubmatch(sql); m != nil {
		text := "UPDATE " + m[1] + " SET " + own(m[2]) + " FROM " + table + " WHERE " + own(m[3])
		return &manyForm{quiet: text, tells: text + tellWho, unique: []int{0}}
	}
	if m := deleteWhere.FindStringSubmatch(sql); m != nil {
		text := "DELETE FROM " + m[1] + " USING " + table + " WHERE " + own(m[2])
		return &manyForm{quiet: text, tells: text + tellWho, unique: []int{0}}
	}
	m := selectFrom.FindStringSubmatch(sql)
	text := "SELECT " + manyTable + "." + manyWho + ", " + own(m[1]) + " FROM " + from(m[2])
	return &manyForm{quiet: strings.Replace(text, " ORDER BY ", " ORDER BY "+manyTable+"."+manyWho+", ", 1), reads: true}
}

// manyArguments is the table of arguments of some kinds.
func manyArguments(kinds string) string {
	var arrays, names []string
	for i := range len(kinds) {
		arrays = append(arrays, "$"+strconv.Itoa(i+1)+"::"+manyKinds[kinds[i]].name)
		names = append(names, manyArg+strconv.Itoa(i+1))
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") WITH ORDINALITY AS " + manyTable + " (" + strings.Join(append(names, manyWho), ", ") + ")"
}

// conflicting are the arguments that are the columns which ON CONFLICT names.
func conflicting(columns, values, tail string) (which []int) {
	m := onConflict.FindStringSubmatch(tail)
	if m == nil {
		return nil
	}
	names, given := strings.Split(columns, ", "), strings.Split(values, ", ")
	for name := range strings.SplitSeq(m[1], ", ") {
		n, err := strconv.Atoi(strings.TrimPrefix(given[slices.Index(names, name)], "$"))
		if err != nil {
			panic(fmt.Sprintf("sqlstore: %s is not given as it is in VALUES (%s)", name, values))
		}
		which = append(which, n-1)
	}
	return which
}

// How appendArray writes a list: what comes before the numbers, and the length that comes
// before each.
const (
	listHeader = 20
	listLength = 4
	listEach   = listLength + 8
)

// listed is a number of a list.
func listed(list []byte, i int) []byte {
	at := listHeader + i*listEach + listLength
	return list[at : at+8 : at+8]
}

// argumentRows are how many rows arguments are for a statement of many.
func argumentRows(kinds string, values [][]byte) int {
	if i := strings.IndexByte(kinds, 'l'); i >= 0 {
		return max(0, len(values[i])-listHeader) / listEach
	}
	return 1
}

// appendMany writes the i-th arguments of all as an array; see appendArray.
func appendMany(b []byte, all []errand, i int, kind byte) []byte {
	begin := len(b)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 0)
	switch kind {
	case 'n', 'l':
		b = binary.BigEndian.AppendUint32(b, pgtype.Int8OID)
	case 'b':
		b = binary.BigEndian.AppendUint32(b, pgtype.ByteaOID)
	default:
		b = binary.BigEndian.AppendUint32(b, pgtype.TextOID)
	}
	b = binary.BigEndian.AppendUint32(b, 0) // how many there are, below
	b = binary.BigEndian.AppendUint32(b, 1)
	n := 0
	for _, e := range all {
		for row := range argumentRows(e.st.kinds, e.values) {
			value := e.values[i]
			if kind == 'l' {
				value = listed(value, row)
			}
			b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
			b = append(b, value...)
			n++
		}
	}
	binary.BigEndian.PutUint32(b[begin+12:], uint32(n))
	return b
}
