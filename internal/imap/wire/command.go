package wire

import (
	"maps"
	"slices"
	"strings"
)

// A Command is what a client asks for. Body is a pointer to one of the types
// of this package, such as *Login or *Fetch.
type Command struct {
	Tag  string
	Body Body
}

// A Body is a command without its tag.
type Body interface {
	// Name is the command in capitals: "UID FETCH" of a *Fetch with UID set.
	Name() string

	// appendTo writes the arguments, each after a space, as a client would send
	// them. Strings become non-synchronising literals where quoting will not do.
	appendTo(b []byte) []byte
}

// AppendBody writes name and arguments of a command; of an APPEND only what
// comes before its messages.
func AppendBody(b []byte, body Body) []byte {
	return body.appendTo(append(b, body.Name()...))
}

// grammar has the arguments of every command. A function begins behind the
// name and leaves the rest of the line alone.
var grammar map[string]func(*parser) Body

func init() { // a variable's value would refer to itself through "UID"
	grammar = map[string]func(*parser) Body{
		"CAPABILITY": plain[Capability],
		"NOOP":       plain[Noop],
		"LOGOUT":     plain[Logout],
		"ID":         parseID,

		"STARTTLS":     plain[StartTLS],
		"AUTHENTICATE": parseAuthenticate,
		"LOGIN":        parseLogin,

		"ENABLE":        parseEnable,
		"COMPRESS":      parseCompress,
		"SELECT":        parseSelect,
		"EXAMINE":       parseExamine,
		"CREATE":        parseCreate,
		"DELETE":        parseDelete,
		"RENAME":        parseRename,
		"SUBSCRIBE":     parseSubscribe,
		"UNSUBSCRIBE":   parseUnsubscribe,
		"LIST":          parseList,
		"LSUB":          parseLsub,
		"NAMESPACE":     plain[Namespace],
		"GETJMAPACCESS": plain[GetJMAPAccess],
		"STATUS":        parseStatus,
		"APPEND":        parseAppend,
		"IDLE":          plain[Idle],
		"NOTIFY":        parseNotify,
		"GETMETADATA":   parseGetMetadata,
		"SETMETADATA":   parseSetMetadata,
		"SETACL":        parseSetACL,
		"DELETEACL":     parseDeleteACL,
		"GETACL":        parseGetACL,
		"LISTRIGHTS":    parseListRights,
		"MYRIGHTS":      parseMyRights,
		"ESEARCH":       parseESearch,

		"CANCELUPDATE": parseCancelUpdate,

		"CHECK":       plain[Check],
		"CLOSE":       plain[Close],
		"UNSELECT":    plain[Unselect],
		"EXPUNGE":     plain[Expunge],
		"UID EXPUNGE": parseUIDExpunge,
		"SEARCH":      parseSearch,
		"UID SEARCH":  parseUIDSearch,
		"SORT":        parseSort,
		"UID SORT":    parseUIDSort,
		"THREAD":      parseThread,
		"UID THREAD":  parseUIDThread,
		"FETCH":       parseFetch,
		"UID FETCH":   parseUIDFetch,
		"STORE":       parseStore,
		"UID STORE":   parseUIDStore,
		"COPY":        parseCopy,
		"UID COPY":    parseUIDCopy,
		"MOVE":        parseMove,
		"UID MOVE":    parseUIDMove,
		"REPLACE":     parseReplace,
		"UID REPLACE": parseUIDReplace,

		"COMPARATOR":     parseComparator,
		"LANGUAGE":       parseLanguage,
		"GETQUOTA":       parseGetQuota,
		"GETQUOTAROOT":   parseGetQuotaRoot,
		"SETQUOTA":       parseSetQuota,
		"UIDBATCHES":     parseUIDBatches,
		"UNAUTHENTICATE": plain[Unauthenticate],
	}
}

// Names returns the commands of the grammar, for metrics that label by command.
func Names() []string {
	return slices.Sorted(maps.Keys(grammar))
}

// plain parses a command without arguments.
func plain[T any, B interface {
	*T
	Body
}](*parser) Body {
	return B(new(T))
}

func (p *parser) command() Command {
	p.readLine()
	p.readTag()
	if p.failed() {
		return Command{}
	}
	p.sp()
	name := p.word()
	if name == "UID" && p.accept(' ') {
		name = internWord([]byte("UID " + p.word()))
	}
	if name == "" {
		p.expected("a command")
		return Command{}
	}
	parse, ok := grammar[name]
	if !ok {
		p.pos = len(p.buf)
		return Command{p.tag, &Unknown{name}}
	}
	p.name = name
	return Command{p.tag, parse(p)}
}

// readTag also reads the tag of a line that is too long to be parsed.
func (p *parser) readTag() {
	if p.stopped {
		return
	}
	n := 0
	for n < len(p.buf) && isTagChar(p.buf[n]) {
		n++
	}
	if n == 0 || n < len(p.buf) && p.buf[n] != ' ' {
		p.expected("a tag")
		return
	}
	p.tag = string(p.buf[:n])
	if !p.failed() {
		p.pos = n
	}
}

// internWord returns b in capitals without an allocation for the words that
// clients send all the time.
func internWord(b []byte) string {
	var up [maxWord]byte
	if len(b) > len(up) {
		return strings.ToUpper(string(b))
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	if w, ok := words[string(up[:len(b)])]; ok {
		return w
	}
	return string(up[:len(b)])
}

const maxWord = 24

// words are the names that internWord knows.
var words = func() map[string]string {
	m := map[string]string{}
	for _, w := range strings.Fields(`CAPABILITY NOOP LOGOUT ID STARTTLS AUTHENTICATE LOGIN ENABLE COMPRESS SELECT EXAMINE CREATE DELETE RENAME
		SUBSCRIBE UNSUBSCRIBE LIST LSUB NAMESPACE STATUS APPEND IDLE CHECK CLOSE UNSELECT EXPUNGE SEARCH SORT THREAD FETCH STORE COPY MOVE UID
		FLAGS FLAGS.SILENT ENVELOPE INTERNALDATE BODY BODY.PEEK BODYSTRUCTURE MODSEQ RFC822.SIZE CHANGEDSINCE UNCHANGEDSINCE RETURN
		ALL UNSEEN SEEN DELETED UNDELETED NOT OR SINCE BEFORE ON HEADER FROM TO CC SUBJECT TEXT MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ`) {
		m[w] = w
	}
	for _, w := range []string{"UID EXPUNGE", "UID SEARCH", "UID SORT", "UID THREAD", "UID FETCH", "UID STORE", "UID COPY", "UID MOVE"} {
		m[w] = w
	}
	return m
}()

// Commands without arguments, and those the grammar does not have.
type (
	Capability    struct{}
	Noop          struct{}
	Logout        struct{}
	StartTLS      struct{}
	Namespace     struct{} // RFC 2342
	GetJMAPAccess struct{} // RFC 9698
	Idle          struct{} // RFC 2177; read its end with ReadDone
	Check         struct{} // RFC 3501 §6.4.1
	Close         struct{}
	Unselect      struct{} // RFC 3691

	// Unknown is a command the grammar does not have; its arguments were passed
	// over.
	Unknown struct{ Command string }
)

func (*Capability) Name() string    { return "CAPABILITY" }
func (*Noop) Name() string          { return "NOOP" }
func (*Logout) Name() string        { return "LOGOUT" }
func (*StartTLS) Name() string      { return "STARTTLS" }
func (*Namespace) Name() string     { return "NAMESPACE" }
func (*GetJMAPAccess) Name() string { return "GETJMAPACCESS" }
func (*Idle) Name() string          { return "IDLE" }
func (*Check) Name() string         { return "CHECK" }
func (*Close) Name() string         { return "CLOSE" }
func (*Unselect) Name() string      { return "UNSELECT" }
func (u *Unknown) Name() string     { return u.Command }

func (*Capability) appendTo(b []byte) []byte    { return b }
func (*Noop) appendTo(b []byte) []byte          { return b }
func (*Logout) appendTo(b []byte) []byte        { return b }
func (*StartTLS) appendTo(b []byte) []byte      { return b }
func (*Namespace) appendTo(b []byte) []byte     { return b }
func (*GetJMAPAccess) appendTo(b []byte) []byte { return b }
func (*Idle) appendTo(b []byte) []byte          { return b }
func (*Check) appendTo(b []byte) []byte         { return b }
func (*Close) appendTo(b []byte) []byte         { return b }
func (*Unselect) appendTo(b []byte) []byte      { return b }
func (*Unknown) appendTo(b []byte) []byte       { return b }
