package wire

import (
	"bufio"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
)

// newReader reads text and counts the continuations it asks for.
func newReader(text string, l Limits) (*Reader, *int) {
	asked := new(int)
	return NewReader(bufio.NewReaderSize(strings.NewReader(text), 16), &l, func() error { *asked++; return nil }), asked
}

func modSeq(n mail.ModSeq) *mail.ModSeq { return &n }

func set(ranges ...Range) SeqSet { return SeqSet{Ranges: ranges} }

func uids(text string) mail.UIDSet {
	s, err := mail.ParseUIDSet(text)
	if err != nil {
		panic(err)
	}
	return s
}

func u32(n uint32) *uint32 { return &n }

func str(s string) *string { return &s }

func items(kinds ...FetchKind) []FetchItem {
	var list []FetchItem
	for _, k := range kinds {
		list = append(list, FetchItem{Kind: k})
	}
	return list
}

func section(peek bool, s Section, p *Partial) []FetchItem {
	return []FetchItem{{Kind: FetchSection, Section: s, Peek: peek, Partial: p}}
}

func search(k SearchKey) *Search { return &Search{Program: Program{Key: k}} }

func inOther(k SearchKey) Program { return Program{Charset: true, NotUTF8: true, Key: k} }

func inUTF8(k SearchKey) Program { return Program{Charset: true, Key: k} }

// commands has each production of RFC 9051 §9 that a client sends, and those of
// the extensions. CR LF stands behind every line but inside literals.
var commands = []struct {
	line string
	want Body
}{
	{"CAPABILITY", &Capability{}},
	{"capability", &Capability{}},
	{"NOOP", &Noop{}},
	{"LOGOUT", &Logout{}},
	{"STARTTLS", &StartTLS{}},
	{`FETCH 1 (ANNOTATION (/comment value))`, &Fetch{Set: set(Range{1, 1}), Items: []FetchItem{{Kind: FetchAnnotation, Entries: []string{"/comment"}, Attributes: []string{"value"}}}}},
	{`UID FETCH 1123 (UID ANNOTATION ((/* "/1/%") (value.priv size.priv)))`, &Fetch{UID: true, Set: set(Range{1123, 1123}), Items: []FetchItem{{Kind: FetchUID},
		{Kind: FetchAnnotation, Entries: []string{"/*", "/1/%"}, Attributes: []string{"value.priv", "size.priv"}}}}},
	{`STORE 1 ANNOTATION (/comment (value.priv "mine" value.shared NIL) /altsubject (value.priv ""))`, &Store{Set: set(Range{1, 1}), Annotation: []EntryAttributes{
		{"/comment", []AttributeValue{{"value.priv", []byte("mine")}, {"value.shared", nil}}}, {"/altsubject", []AttributeValue{{"value.priv", []byte{}}}}}}},
	{"UID STORE 7 (UNCHANGEDSINCE 3) ANNOTATION (/comment (value.shared ~{2+}\r\n\x00\x01))", &Store{UID: true, Set: set(Range{7, 7}), UnchangedSince: modSeq(3),
		Annotation: []EntryAttributes{{"/comment", []AttributeValue{{"value.shared", []byte("\x00\x01")}}}}}},
	{`SELECT INBOX (ANNOTATE CONDSTORE)`, &Select{Mailbox: "INBOX", CondStore: true, Annotate: true}},
	{`SORT (REVERSE ANNOTATION /altsubject value.shared SIZE) UTF-8 ALL`, &Sort{Criteria: []SortCriterion{{Key: SortAnnotation, Reverse: true, Entry: "/altsubject", Attribute: "value.shared"}, {Key: SortSize}},
		Program: Program{Charset: true, Key: AllKey{}}}},
	{`SEARCH ANNOTATION /comment value "IMAP4"`, search(AnnotationKey{"/comment", "value", "IMAP4"})},
	{`SEARCH ANNOTATION * VALUE.PRIV x`, search(AnnotationKey{"*", "value.priv", "x"})},
	{`GETMETADATA "" /shared/comment`, &GetMetadata{Entries: []string{"/shared/comment"}, Depth: DepthZero}},
	{"GETMETADATA (MAXSIZE 1024 DEPTH infinity) INBOX (/shared/comment \"/private/a b\")", &GetMetadata{Mailbox: "INBOX", Entries: []string{"/shared/comment", "/private/a b"}, MaxSize: u32(1024), Depth: DepthInfinity}},
	{`GETMETADATA inbox (DEPTH 1) (/private/filters)`, &GetMetadata{Mailbox: "INBOX", Entries: []string{"/private/filters"}, Depth: DepthOne}},
	{`GETMETADATA INBOX /private/comment /shared/comment`, &GetMetadata{Mailbox: "INBOX", Entries: []string{"/private/comment", "/shared/comment"}, Depth: DepthZero}},
	{`SETMETADATA INBOX (/private/comment NIL /shared/comment "NIL" /shared/x "")`, &SetMetadata{"INBOX", []MetadataValue{{"/private/comment", nil}, {"/shared/comment", []byte("NIL")}, {"/shared/x", []byte{}}}}},
	{"SETMETADATA \"\" (/private/comment ~{3+}\r\na\x00\xff /shared/x {2}\r\n\r\n)", &SetMetadata{"", []MetadataValue{{"/private/comment", []byte("a\x00\xff")}, {"/shared/x", []byte("\r\n")}}}},
	{`LIST "" % RETURN (METADATA (/shared/comment "/private/x") CHILDREN)`, &List{Patterns: []string{"%"}, Return: ReturnChildren, Metadata: []string{"/shared/comment", "/private/x"}, Extended: true}},
	{"NAMESPACE", &Namespace{}},
	{"IDLE", &Idle{}},
	{"NOTIFY NONE", &Notify{}},
	{"notify set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) messageexpunge)) (subtree Lists (MessageNew MessageExpunge))",
		&Notify{Status: true, Groups: []EventGroup{
			{Filter: MailboxFilter{Kind: FilterSelected}, Events: MessageNew | MessageExpunge, Fetch: []FetchItem{{Kind: FetchUID}, {Kind: FetchSection, Peek: true,
				Section: Section{Text: SectionHeaderFields, Fields: []string{"from", "to", "subject"}}}}},
			{Filter: MailboxFilter{FilterSubtree, []string{"Lists"}}, Events: MessageNew | MessageExpunge}}}},
	{"NOTIFY SET (SELECTED-DELAYED NONE) (personal (MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))",
		&Notify{Groups: []EventGroup{{Filter: MailboxFilter{Kind: FilterSelectedDelayed}},
			{Filter: MailboxFilter{Kind: FilterPersonal}, Events: MailboxName | SubscriptionChange | MailboxMetadataChange | ServerMetadataChange}}}},
	{"NOTIFY SET (inboxes (FlagChange MessageExpunge AnnotationChange MessageNew)) (subscribed (Sunrise)) (mailboxes (a \"b c\") NONE)",
		&Notify{Groups: []EventGroup{{Filter: MailboxFilter{Kind: FilterInboxes}, Events: MessageEvents}, {Filter: MailboxFilter{Kind: FilterSubscribed}, Unknown: []string{"Sunrise"}},
			{Filter: MailboxFilter{FilterMailboxes, []string{"a", "b c"}}}}}},
	{"CHECK", &Check{}},
	{"CLOSE", &Close{}},
	{"UNSELECT", &Unselect{}},
	{"EXPUNGE", &Expunge{}},
	{"XYZZY some (thing", &Unknown{"XYZZY"}},
	{"UID XYZZY", &Unknown{"UID XYZZY"}},

	{"ID NIL", &ID{}},
	{"ID ()", &ID{Params: []IDParam{}}},
	{`ID ("name" "x" "version" NIL)`, &ID{[]IDParam{{"name", str("x")}, {"version", nil}}}},
	{`LOGIN alice secret`, &Login{"alice", "secret"}},
	{`LOGIN "a\"\\b" ""`, &Login{`a"\b`, ""}},
	{"LOGIN {5}\r\nalice {6+}\r\nse\r\net", &Login{"alice", "se\r\net"}},
	{"LOGIN a]b NIL", &Login{"a]b", "NIL"}},
	{`LOGIN "é" x`, &Login{"é", "x"}},
	{"AUTHENTICATE plain", &Authenticate{Mechanism: "PLAIN"}},
	{"AUTHENTICATE PLAIN AGEAYg==", &Authenticate{"PLAIN", []byte("\x00a\x00b")}},
	{"AUTHENTICATE EXTERNAL =", &Authenticate{"EXTERNAL", []byte{}}},
	{"LANGUAGE", &Language{}},
	{`LANGUAGE fr-CA "en"`, &Language{[]string{"fr-CA", "en"}}},
	{"COMPARATOR", &Comparator{}},
	{`COMPARATOR "cz;*" i;octet`, &Comparator{[]string{"cz;*", "i;octet"}}},
	{`GETQUOTA ""`, &GetQuota{}},
	{"GETQUOTAROOT inbox", &GetQuotaRoot{"INBOX"}},
	{`SETQUOTA "#user/a" (STORAGE 512 message 9)`, &SetQuota{"#user/a", []QuotaLimit{{"STORAGE", 512}, {"MESSAGE", 9}}}},
	{`SETQUOTA "" ()`, &SetQuota{}},
	{"STATUS INBOX (DELETED DELETED-STORAGE)", &Status{"INBOX", []StatusItem{StatusDeleted, StatusDeletedSize}}},
	{"UNAUTHENTICATE", &Unauthenticate{}},
	{"GETJMAPACCESS", &GetJMAPAccess{}},
	{"UIDBATCHES 2000", &UIDBatches{Size: 2000}},
	{"UIDBATCHES 500 3:1", &UIDBatches{Size: 500, First: 3, Last: 1}},
	{"SEARCH UIDAFTER 7 UIDBEFORE 4294967295", search(And{UIDBoundKey{true, 7}, UIDBoundKey{false, 1<<32 - 1}})},
	{"FETCH 1 PREVIEW", &Fetch{Set: set(Range{1, 1}), Items: items(FetchPreview)}},
	{"FETCH 1 (UID PREVIEW (lazy) FLAGS)", &Fetch{Set: set(Range{1, 1}), Items: []FetchItem{{Kind: FetchUID}, {Kind: FetchPreview, Lazy: true}, {Kind: FetchFlags}}}},
	{"FETCH 1 PREVIEW (CHANGEDSINCE 5)", &Fetch{Set: set(Range{1, 1}), Items: items(FetchPreview), ChangedSince: modSeq(5)}},
	{"ENABLE CONDSTORE utf8=accept", &Enable{[]string{"CONDSTORE", "UTF8=ACCEPT"}}},
	{"COMPRESS DEFLATE", &Compress{"DEFLATE"}},

	{"SELECT inbox", &Select{Mailbox: "INBOX"}},
	{"EXAMINE \"a b\"", &Select{Mailbox: "a b", ReadOnly: true}},
	{"SELECT Entw&APw-rfe (CONDSTORE)", &Select{Mailbox: "Entwürfe", CondStore: true}},
	{"SELECT a (QRESYNC (7 20))", &Select{Mailbox: "a", QResync: &QResync{UIDValidity: 7, ModSeq: 20}}},
	{"SELECT a (QRESYNC (7 20 5:1,9))", &Select{Mailbox: "a", QResync: &QResync{UIDValidity: 7, ModSeq: 20, Known: uids("1:5,9")}}},
	{"SELECT a (QRESYNC (7 20 1:9 (1,2 4:5)) CONDSTORE)", &Select{Mailbox: "a", CondStore: true, QResync: &QResync{
		UIDValidity: 7, ModSeq: 20, Known: uids("1:9"), MatchSeqs: []Range{{1, 2}}, MatchUIDs: uids("4:5")}}},
	{"SELECT a (QRESYNC (7 20 (1 4)))", &Select{Mailbox: "a", QResync: &QResync{
		UIDValidity: 7, ModSeq: 20, MatchSeqs: []Range{{1, 1}}, MatchUIDs: uids("4")}}},
	{"CREATE a/b", &Create{Mailbox: "a/b"}},
	{`CREATE a (USE (\Drafts \Sent))`, &Create{"a", []string{`\Drafts`, `\Sent`}}},
	{"DELETE a&-b", &Delete{"a&b"}},
	{"RENAME a {1+}\r\nb", &Rename{"a", "b"}},
	{"SUBSCRIBE a", &Subscribe{"a"}},
	{"SETACL a bob@example.test lrs", &SetACL{"a", "bob@example.test", ACLReplace, "lrs"}},
	{`SETACL inbox anyone ""`, &SetACL{"INBOX", "anyone", ACLReplace, ""}},
	{"SETACL a bob +cda", &SetACL{"a", "bob", ACLAdd, "cda"}},
	{"SETACL a -bob -t", &SetACL{"a", "-bob", ACLRemove, "t"}},
	{"DELETEACL a bob", &DeleteACL{"a", "bob"}},
	{"GETACL inbox", &GetACL{"INBOX"}},
	{"LISTRIGHTS a anyone", &ListRights{"a", "anyone"}},
	{"MYRIGHTS a", &MyRights{"a"}},
	{`LIST () "" (%) RETURN (MYRIGHTS)`, &List{Patterns: []string{"%"}, Return: ReturnMyRights, Extended: true}},
	{"UNSUBSCRIBE InBox", &Unsubscribe{"INBOX"}},
	{"STATUS a (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ APPENDLIMIT MAILBOXID)", &Status{"a", []StatusItem{
		StatusMessages, StatusRecent, StatusUIDNext, StatusUIDValidity, StatusUnseen, StatusDeleted, StatusSize, StatusHighestModSeq,
		StatusAppendLimit, StatusMailboxID}}},
	{`LIST "" *`, &List{Patterns: []string{"*"}}},
	{`LIST "" ""`, &List{Patterns: []string{""}}},
	{`LIST a/ "%/b c"`, &List{Reference: "a/", Patterns: []string{"%/b c"}}},
	{`LIST "" (INBOX %/x)`, &List{Patterns: []string{"INBOX", "%/x"}, Extended: true}},
	{`LIST () "" %`, &List{Patterns: []string{"%"}, Extended: true}},
	{`LIST (SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE) "" % RETURN (CHILDREN SUBSCRIBED SPECIAL-USE STATUS (UNSEEN))`, &List{
		Patterns: []string{"%"}, Select: SelectSubscribed | SelectRemote | SelectRecursiveMatch | SelectSpecialUse,
		Return: ReturnChildren | ReturnSubscribed | ReturnSpecialUse, Status: []StatusItem{StatusUnseen}, Extended: true}},
	{`LIST "" % RETURN ()`, &List{Patterns: []string{"%"}, Extended: true}},
	{`LSUB "" *`, &Lsub{"", "*"}},

	{"UID EXPUNGE 1:*", &Expunge{UID: true, Set: set(Range{1, Star})}},
	{"COPY 2:4 a", &Copy{false, set(Range{2, 4}), "a"}},
	{"UID COPY $ a", &Copy{true, SeqSet{Saved: true}, "a"}},
	{"UID COPY 1:2,*,$ a", &Copy{true, SeqSet{Ranges: []Range{{1, 2}, {Star, Star}}, Saved: true}, "a"}},
	{"MOVE *,4294967295 a", &Move{false, set(Range{Star, Star}, Range{4294967295, 4294967295}), "a"}},
	{"UID MOVE *:7 a", &Move{true, set(Range{Star, 7}), "a"}},
	{`STORE 1 FLAGS ()`, &Store{Set: set(Range{1, 1})}},
	{`STORE 1 +FLAGS \Seen $Junk`, &Store{Set: set(Range{1, 1}), Mode: StoreAdd, Flags: []string{`\Seen`, "$Junk"}}},
	{`UID STORE 7,9 (UNCHANGEDSINCE 0) -FLAGS.SILENT (\Deleted)`, &Store{UID: true, Set: set(Range{7, 7}, Range{9, 9}),
		UnchangedSince: modSeq(0), Mode: StoreRemove, Silent: true, Flags: []string{`\Deleted`}}},

	{"FETCH 1 FAST", &Fetch{Set: set(Range{1, 1}), Items: items(FetchFlags, FetchInternalDate, FetchRFC822Size)}},
	{"FETCH 1 all", &Fetch{Set: set(Range{1, 1}), Items: items(FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope)}},
	{"FETCH 1 FULL", &Fetch{Set: set(Range{1, 1}), Items: items(FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope, FetchBody)}},
	{"FETCH 1 (UID FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE BODY RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE MODSEQ EMAILID THREADID SAVEDATE)",
		&Fetch{Set: set(Range{1, 1}), Items: items(FetchUID, FetchFlags, FetchInternalDate, FetchEnvelope, FetchBodyStructure, FetchBody,
			FetchRFC822, FetchRFC822Header, FetchRFC822Text, FetchRFC822Size, FetchModSeq, FetchEmailID, FetchThreadID, FetchSaveDate)}},
	{"UID FETCH 25900:26600 (FLAGS) (PARTIAL -1:-30 CHANGEDSINCE 98305)", &Fetch{UID: true, Set: set(Range{25900, 26600}), Items: items(FetchFlags),
		ChangedSince: modSeq(98305), Partial: &PartialRange{1, 30, true}}},
	{"UID FETCH 1:* FLAGS (CHANGEDSINCE 5 VANISHED)", &Fetch{UID: true, Set: set(Range{1, Star}), Items: items(FetchFlags),
		ChangedSince: modSeq(5), Vanished: true}},
	{"FETCH 1 BODY[]", &Fetch{Set: set(Range{1, 1}), Items: section(false, Section{}, nil)}},
	{"FETCH 1 body.peek[1.2.mime]", &Fetch{Set: set(Range{1, 1}), Items: section(true, Section{Part: []uint32{1, 2}, Text: SectionMIME}, nil)}},
	{"FETCH 1 BODY[HEADER]<0.2048>", &Fetch{Set: set(Range{1, 1}), Items: section(false, Section{Text: SectionHeader}, &Partial{0, 2048})}},
	{"FETCH 1 BODY[3.TEXT]", &Fetch{Set: set(Range{1, 1}), Items: section(false, Section{Part: []uint32{3}, Text: SectionTextOnly}, nil)}},
	{"FETCH 1 BODY[4]", &Fetch{Set: set(Range{1, 1}), Items: section(false, Section{Part: []uint32{4}}, nil)}},
	{`FETCH 1 BODY.PEEK[HEADER.FIELDS (From "To")]`, &Fetch{Set: set(Range{1, 1}),
		Items: section(true, Section{Text: SectionHeaderFields, Fields: []string{"From", "To"}}, nil)}},
	{`FETCH 1 BODY[1.HEADER.FIELDS.NOT ({2+}` + "\r\n" + `Cc)]`, &Fetch{Set: set(Range{1, 1}),
		Items: section(false, Section{Part: []uint32{1}, Text: SectionHeaderFieldsNot, Fields: []string{"Cc"}}, nil)}},
	{"FETCH 1 (BINARY[] BINARY.PEEK[1.2]<3.4> BINARY.SIZE[2])", &Fetch{Set: set(Range{1, 1}), Items: []FetchItem{
		{Kind: FetchBinary},
		{Kind: FetchBinary, Peek: true, Section: Section{Part: []uint32{1, 2}}, Partial: &Partial{3, 4}},
		{Kind: FetchBinarySize, Section: Section{Part: []uint32{2}}}}}},

	{"SEARCH ALL", search(AllKey{})},
	{"UID SEARCH RETURN () 1:5", &Search{UID: true, Return: &SearchReturn{}, Program: Program{Key: SeqKey{Set: set(Range{1, 5})}}}},
	{"SEARCH RETURN (MIN MAX ALL COUNT SAVE) CHARSET UTF-8 $", &Search{Return: &SearchReturn{Min: true, Max: true, All: true, Count: true, Save: true},
		Program: inUTF8(SeqKey{Set: SeqSet{Saved: true}})}},
	{"SEARCH RETURN (PARTIAL 500:1 CONTEXT) ALL", &Search{Return: &SearchReturn{Partial: &PartialRange{1, 500, false}, Context: true}, Program: Program{Key: AllKey{}}}},
	{"UID SEARCH RETURN (PARTIAL -1:-100 MIN) 1", &Search{UID: true, Return: &SearchReturn{Min: true, Partial: &PartialRange{1, 100, true}},
		Program: Program{Key: SeqKey{Set: set(Range{1, 1})}}}},
	{"SEARCH RETURN (UPDATE (UID BODY.PEEK[1]) COUNT) ALL", &Search{Return: &SearchReturn{Count: true, Update: true, Items: []FetchItem{{Kind: FetchUID},
		{Kind: FetchSection, Peek: true, Section: Section{Part: []uint32{1}}}}}, Program: Program{Key: AllKey{}}}},
	{"SEARCH RETURN (UPDATE(FLAGS)) ALL", &Search{Return: &SearchReturn{Update: true, Items: items(FetchFlags)}, Program: Program{Key: AllKey{}}}},
	{"SEARCH RETURN (UPDATE) ALL", &Search{Return: &SearchReturn{Update: true}, Program: Program{Key: AllKey{}}}},
	{"SEARCH CHARSET x-unknown TEXT {1+}\r\n\xe9", &Search{Program: Program{Charset: true, NotUTF8: true, BadCharset: "x-unknown", Key: TextKey{false, "\xe9"}}}},
	{"SEARCH RETURN (ALL RELEVANCY) FUZZY (SUBJECT break BODY it)", &Search{Return: &SearchReturn{All: true, Relevancy: true},
		Program: Program{Key: FuzzyKey{And{EnvelopeKey{"SUBJECT", "break"}, TextKey{true, "it"}}}}}},
	{"SORT (REVERSE RELEVANCY) UTF-8 NOT FUZZY SEEN", &Sort{Criteria: []SortCriterion{{Key: SortRelevancy, Reverse: true}}, Program: inUTF8(Not{FuzzyKey{FlagKey{`\Seen`, false}}})}},
	{"SORT (SUBJECT REVERSE DATE) UTF-8 ALL", &Sort{Criteria: []SortCriterion{{Key: SortSubject, Reverse: false}, {Key: SortDate, Reverse: true}}, Program: inUTF8(AllKey{})}},
	{"UID SORT RETURN () (REVERSE DATE) UTF-8 UNDELETED UNKEYWORD $Junk", &Sort{UID: true, Return: &SearchReturn{}, Criteria: []SortCriterion{{Key: SortDate, Reverse: true}},
		Program: inUTF8(And{FlagKey{`\Deleted`, true}, FlagKey{"$Junk", true}})}},
	{`SORT RETURN (PARTIAL 1:9 UPDATE) (arrival cc from size to displayfrom reverse displayto) "us-ascii" 1`, &Sort{
		Return: &SearchReturn{Update: true, Partial: &PartialRange{1, 9, false}}, Criteria: []SortCriterion{{Key: SortArrival, Reverse: false}, {Key: SortCc, Reverse: false},
			{Key: SortFrom, Reverse: false}, {Key: SortSize, Reverse: false}, {Key: SortTo, Reverse: false}, {Key: SortDisplayFrom, Reverse: false}, {Key: SortDisplayTo, Reverse: true}}, Program: inOther(SeqKey{Set: set(Range{1, 1})})}},
	{"SORT (DATE) KLINGON ALL", &Sort{Criteria: []SortCriterion{{Key: SortDate, Reverse: false}}, Program: Program{Charset: true, NotUTF8: true, BadCharset: "KLINGON", Key: AllKey{}}}},
	{"THREAD orderedsubject UTF-8 SINCE 5-Mar-2000", &Thread{Algorithm: ThreadOrderedSubject, Program: inUTF8(DateKey{DateInternal, Since, Date{2000, 3, 5}})}},
	{`UID THREAD REFERENCES US-ASCII TEXT "x"`, &Thread{UID: true, Algorithm: ThreadReferences, Program: inOther(TextKey{false, "x"})}},
	{"THREAD REFS UTF-8 ALL", &Thread{Algorithm: ThreadRefs, Program: inUTF8(AllKey{})}},
	{`CANCELUPDATE "B01" "B02"`, &CancelUpdate{[]string{"B01", "B02"}}},
	{"ESEARCH UNSEEN", &ESearch{Program: Program{Key: FlagKey{`\Seen`, true}}}},
	{"ESEARCH IN (selected) RETURN (SAVE) ALL", &ESearch{In: []MailboxFilter{{Kind: FilterSelected}}, Return: &SearchReturn{Save: true}, Program: Program{Key: AllKey{}}}},
	{`ESEARCH IN (mailboxes "a b" subtree (x INBOX) subtree-one y personal subscribed inboxes) CHARSET UTF-8 ALL`, &ESearch{In: []MailboxFilter{
		{FilterMailboxes, []string{"a b"}}, {FilterSubtree, []string{"x", "INBOX"}}, {FilterSubtreeOne, []string{"y"}}, {Kind: FilterPersonal},
		{Kind: FilterSubscribed}, {Kind: FilterInboxes}}, Program: inUTF8(AllKey{})}},
	{"SEARCH ANSWERED DELETED DRAFT FLAGGED SEEN", search(And{FlagKey{`\Answered`, false}, FlagKey{`\Deleted`, false},
		FlagKey{`\Draft`, false}, FlagKey{`\Flagged`, false}, FlagKey{`\Seen`, false}})},
	{"SEARCH UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN", search(And{FlagKey{`\Answered`, true}, FlagKey{`\Deleted`, true},
		FlagKey{`\Draft`, true}, FlagKey{`\Flagged`, true}, FlagKey{`\Seen`, true}})},
	{"SEARCH KEYWORD $Junk UNKEYWORD x", search(And{FlagKey{"$Junk", false}, FlagKey{"x", true}})},
	{"SEARCH NEW", search(And{RecentKey{}, FlagKey{`\Seen`, true}})},
	{"SEARCH OLD RECENT", search(And{Not{RecentKey{}}, RecentKey{}})},
	{`SEARCH BEFORE 1-Feb-2026 ON "02-feb-2026" SINCE 3-FEB-2026`, search(And{DateKey{DateInternal, Before, Date{2026, 2, 1}},
		DateKey{DateInternal, On, Date{2026, 2, 2}}, DateKey{DateInternal, Since, Date{2026, 2, 3}}})},
	{"SEARCH SENTBEFORE 1-Feb-2026 SENTON 1-Feb-2026 SENTSINCE 1-Feb-2026", search(And{DateKey{DateSent, Before, Date{2026, 2, 1}},
		DateKey{DateSent, On, Date{2026, 2, 1}}, DateKey{DateSent, Since, Date{2026, 2, 1}}})},
	{"SEARCH SAVEDBEFORE 1-Feb-2026 SAVEDON 1-Feb-2026 SAVEDSINCE 1-Feb-2026 SAVEDATESUPPORTED", search(And{
		DateKey{DateSaved, Before, Date{2026, 2, 1}}, DateKey{DateSaved, On, Date{2026, 2, 1}},
		DateKey{DateSaved, Since, Date{2026, 2, 1}}, SaveDateSupportedKey{}})},
	{"SEARCH BCC a CC b FROM c SUBJECT d TO e", search(And{EnvelopeKey{"BCC", "a"}, EnvelopeKey{"CC", "b"}, EnvelopeKey{"FROM", "c"},
		EnvelopeKey{"SUBJECT", "d"}, EnvelopeKey{"TO", "e"}})},
	{`SEARCH HEADER X-Y "" BODY "a b" TEXT {2}` + "\r\né", search(And{HeaderKey{"X-Y", ""}, TextKey{true, "a b"}, TextKey{false, "é"}})},
	{"SEARCH CHARSET ISO-8859-1 TEXT {1+}\r\n\xe9", &Search{Program: inOther(TextKey{false, "é"})}},
	{"SEARCH LARGER 1 SMALLER 9223372036854775807 OLDER 60 YOUNGER 3600", search(And{SizeKey{true, 1}, SizeKey{false, 1<<63 - 1},
		AgeKey{true, 60}, AgeKey{false, 3600}})},
	{"SEARCH UID 7 *:4", search(And{SeqKey{true, set(Range{7, 7})}, SeqKey{false, set(Range{Star, 4})}})},
	{"SEARCH NOT OR SEEN (DRAFT 1)", search(Not{Or{FlagKey{`\Seen`, false}, And{FlagKey{`\Draft`, false}, SeqKey{false, set(Range{1, 1})}}}})},
	{`SEARCH MODSEQ 620 MODSEQ "/flags/\\draft" All 7`, search(And{ModSeqKey{ModSeq: 620}, ModSeqKey{`/flags/\draft`, "all", 7}})},
	{"SEARCH EMAILID M6d99 THREADID T_-64", search(And{IDKey{false, "M6d99"}, IDKey{true, "T_-64"}})},
}

func TestEveryCommandIsReadAndSurvivesItsOwnEncoding(t *testing.T) {
	for _, test := range commands {
		r, _ := newReader("a1 "+test.line+"\r\na2 NOOP\r\n", Limits{})
		got, err := r.ReadCommand()
		if err != nil || got.Tag != "a1" || !reflect.DeepEqual(got.Body, test.want) {
			t.Errorf("%s\n got %s %#v, %v\nwant %#v", test.line, got.Tag, got.Body, err, test.want)
			continue
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "a2" {
			t.Errorf("%s: next command %v, %v", test.line, next, err)
		}
		again(t, got.Body)
	}
}

// again checks that a command that is written reads the same.
func again(t *testing.T, body Body) {
	t.Helper()
	if _, ok := body.(*Unknown); ok {
		return
	}
	text := string(AppendBody([]byte("b "), body)) + "\r\n"
	r, _ := newReader(text, Limits{Line: 16 << 20, Literal: 1 << 20, Literals: 1 << 20, Depth: 1 << 20, Items: 1 << 20})
	got, err := r.ReadCommand()
	if a, ok := got.Body.(*Append); ok {
		a.p = body.(*Append).p
	}
	if c, ok := got.Body.(*Replace); ok {
		c.p = body.(*Replace).p
	}
	if err != nil || !reflect.DeepEqual(got.Body, body) {
		t.Errorf("%q\n got %#v, %v\nwant %#v", text, got.Body, err, body)
	}
}

func TestEveryCommandOfTheGrammarIsInTheTable(t *testing.T) {
	seen := map[string]bool{"APPEND": true, "REPLACE": true, "UID REPLACE": true} // append_test.go
	for _, test := range commands {
		seen[test.want.Name()] = true
	}
	for _, name := range Names() {
		if !seen[name] {
			t.Errorf("%s has no test", name)
		}
	}
}

var badCommands = []struct{ line, want string }{
	{"", "* BAD Expected a tag"},
	{"a NOTIFY", "a BAD NOTIFY: Expected a space"},
	{"a NOTIFY SOME", "a BAD NOTIFY: Expected SET or NONE"},
	{"a NOTIFY SET", "a BAD NOTIFY: Expected a space"},
	{"a NOTIFY SET FOO (selected NONE)", "a BAD NOTIFY: Expected STATUS or an event group"},
	{"a NOTIFY SET STATUS", "a BAD NOTIFY: Expected a space"},
	{"a NOTIFY SET (everywhere NONE)", "a BAD NOTIFY: Expected which mailboxes"},
	{"a NOTIFY SET (subtree-one x NONE)", "a BAD NOTIFY: Expected which mailboxes"},
	{"a NOTIFY SET (selected ALL)", "a BAD NOTIFY: Expected events or NONE"},
	{"a NOTIFY SET (selected ())", "a BAD NOTIFY: Expected an event"},
	{"a NOTIFY SET (selected (MailboxName))", "a BAD NOTIFY: Of the selected mailbox there are message events only"},
	{"a NOTIFY SET (selected NONE) (selected-delayed NONE)", "a BAD NOTIFY: The selected mailbox can be named once only"},
	{"a NOTIFY SET (personal (MessageNew))", "a BAD NOTIFY: Message events need both MessageNew and MessageExpunge"},
	{"a NOTIFY SET (personal (MessageExpunge))", "a BAD NOTIFY: Message events need both MessageNew and MessageExpunge"},
	{"a NOTIFY SET (selected (FlagChange))", "a BAD NOTIFY: Message events need both MessageNew and MessageExpunge"},
	{"a NOTIFY SET (personal (MessageNew (uid) MessageExpunge))", "a BAD NOTIFY: Data items can be asked for of the selected mailbox only"},
	{"a NOTIFY SET (selected (MessageNew () MessageExpunge))", "a BAD NOTIFY: Expected a data item"},
	{"a NOTIFY SET (selected (MessageNew (ALL) MessageExpunge))", "a BAD NOTIFY: Expected a data item"},
	{"a NOTIFY SET (mailboxes () (MailboxName))", "a BAD NOTIFY: Expected a mailbox name"},
	{"a NOTIFY SET (subtree a)", "a BAD NOTIFY: Expected a space"},
	{"a NOTIFY SET (personal NONE) x", "a BAD NOTIFY: Expected an event group"},
	{"+1 NOOP", "* BAD Expected a tag"},
	{"a(b NOOP", "* BAD Expected a tag"},
	{"é NOOP", "* BAD Expected a tag"},
	{"a", "a BAD Expected a space"},
	{"a ", "a BAD Expected a command"},
	{"a  NOOP", "a BAD Expected a command"},
	{"a NOOP x", "a BAD NOOP: Unexpected text at the end of the command"},
	{"a NOOP ", "a BAD NOOP: Unexpected text at the end of the command"},
	{"a LOGIN", "a BAD LOGIN: Expected a space"},
	{"a LOGIN (", "a BAD LOGIN: Expected a user name"},
	{"a LOGIN x ", "a BAD LOGIN: Expected a password"},
	{`a LOGIN "x y`, "a BAD LOGIN: Quoted string without an end"},
	{`a LOGIN "x\n" y`, "a BAD LOGIN: Only quotes and backslashes can be escaped"},
	{"a LOGIN \"x\x00\" y", "a BAD LOGIN: Control character in a quoted string"},
	{"a LOGIN \"x\ry\" y", "a BAD LOGIN: Control character in a quoted string"},
	{"a LOGIN \"\xff\" y", "a BAD LOGIN: String is not UTF-8"},
	{"a LOGIN {1+}\r\n\x00 y", "a BAD LOGIN: NUL in a literal"},
	{"a LOGIN {1} y", "a BAD LOGIN: Expected the end of the line after a literal's size"},
	{"a LOGIN {x}", "a BAD LOGIN: Expected a number"},
	{"a LOGIN {1", `a BAD LOGIN: Expected "}"`},
	{"a AUTHENTICATE PLAIN ?", "a BAD AUTHENTICATE: Expected base64"},
	{"a ENABLE", "a BAD ENABLE: Expected a space"},
	{`a ID (x "y")`, "a BAD ID: Expected a field name"},
	{`a ID ("x" "y"`, `a BAD ID: Expected a space or ")"`},
	{"a SELECT &AGE-", "a NO [CANNOT] SELECT: Mailbox name is not modified UTF-7"},
	{"a SELECT \"\xe9\"", "a NO [CANNOT] SELECT: Mailbox name is not modified UTF-7"},
	{"a SELECT x (FOO)", "a BAD SELECT: Expected CONDSTORE, QRESYNC or ANNOTATE"},
	{"a SELECT x (QRESYNC (0 1))", "a BAD SELECT: Expected a number above zero"},
	{"a SELECT x (QRESYNC (1 1 *))", "a BAD SELECT: Expected a set of numbers"},
	{"a SELECT x (QRESYNC (1 1 1 (1:2 1)))", "a BAD SELECT: As many UIDs as sequence numbers are needed"},
	{"a CREATE x (FOO)", "a BAD CREATE: Expected USE once"},
	{"a STATUS x ()", "a BAD STATUS: Expected a status item"},
	{"a STATUS x (FOO)", "a BAD STATUS: Expected a status item"},
	{`a LIST (RECURSIVEMATCH) "" *`, "a BAD LIST: RECURSIVEMATCH needs another selection option"},
	{`a LIST (FOO) "" *`, "a BAD LIST: Expected a selection option"},
	{`a LIST "" * RETURN (FOO)`, "a BAD LIST: Expected a return option"},
	{`a LIST "" * FOO`, "a BAD LIST: Expected RETURN"},
	{`a LIST "" ()`, "a BAD LIST: Expected a pattern"},
	{"a FETCH 0 FLAGS", "a BAD FETCH: Expected a number above zero"},
	{"a FETCH 4294967296 FLAGS", "a BAD FETCH: Number too large"},
	{"a FETCH 99999999999999999999 FLAGS", "a BAD FETCH: Expected a number"},
	{"a FETCH x FLAGS", "a BAD FETCH: Expected a message set"},
	{"a FETCH 1, FLAGS", "a BAD FETCH: Expected a message set"},
	{"a FETCH 1 FOO", "a BAD FETCH: Expected a data item"},
	{"a FETCH 1 ()", "a BAD FETCH: Expected a data item"},
	{"a FETCH 1 (ALL)", "a BAD FETCH: Expected a data item"},
	{"a FETCH 1 BODY[MIME]", "a BAD FETCH: Expected a section"},
	{"a FETCH 1 BODY[1.]", "a BAD FETCH: Expected a section"},
	{"a FETCH 1 BODY[HEADER.FIELDS ()]", "a BAD FETCH: Expected a header field"},
	{`a FETCH 1 BODY[HEADER.FIELDS ("a b")]`, "a BAD FETCH: Expected a header field"},
	{"a FETCH 1 BODY[]<1.0>", "a BAD FETCH: Expected a length above zero"},
	{"a FETCH 1 BINARY[1.WORDS]", "a BAD FETCH: Expected a section"},
	{"a FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "a BAD FETCH: VANISHED needs UID FETCH and CHANGEDSINCE"},
	{"a UID FETCH 1 FLAGS (VANISHED)", "a BAD UID FETCH: VANISHED needs UID FETCH and CHANGEDSINCE"},
	{"a STORE 1 FOO x", "a BAD STORE: Expected FLAGS"},
	{"a STORE 1 FLAGS \\", "a BAD STORE: Expected a flag"},
	{"a STORE 1 (FOO 1) FLAGS x", "a BAD STORE: Expected UNCHANGEDSINCE once"},
	{"a SEARCH FOO", "a BAD SEARCH: Expected a search key"},
	{"a SEARCH (SEEN", `a BAD SEARCH: Expected a space or ")"`},
	{"a SEARCH ON 30-Feb-2026", "a BAD SEARCH: Expected a date such as 1-Feb-2026"},
	{"a SEARCH RETURN (FOO) ALL", "a BAD SEARCH: Expected a return option"},
	{"a SEARCH RETURN (ALL PARTIAL 1:2) ALL", "a BAD SEARCH: ALL and PARTIAL exclude each other"},
	{"a SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", "a BAD SEARCH: PARTIAL can be asked for once"},
	{"a SEARCH RETURN (PARTIAL 1:-2) ALL", "a BAD SEARCH: Expected both places counted from the same end"},
	{"a SEARCH RETURN (PARTIAL -1:2) ALL", "a BAD SEARCH: Expected both places counted from the same end"},
	{"a SEARCH RETURN (PARTIAL 0:2) ALL", "a BAD SEARCH: Expected a number above zero"},
	{"a SEARCH RETURN (PARTIAL 1:*) ALL", "a BAD SEARCH: Expected a number"},
	{"a SEARCH RETURN (PARTIAL 1) ALL", `a BAD SEARCH: Expected ":"`},
	{"a SEARCH RETURN (PARTIAL) ALL", "a BAD SEARCH: Expected a space"},
	{"a SEARCH RETURN (UPDATE ()) ALL", "a BAD SEARCH: Expected a data item"},
	{"a SORT (DATE) UTF-8", "a BAD SORT: Expected a space"},
	{"a SORT () UTF-8 ALL", "a BAD SORT: Expected a sort criterion"},
	{"a SORT (REVERSE) UTF-8 ALL", "a BAD SORT: Expected a space"},
	{"a SORT (REVERSE REVERSE DATE) UTF-8 ALL", "a BAD SORT: Expected a sort criterion"},
	{"a SORT DATE UTF-8 ALL", "a BAD SORT: Expected sort criteria"},
	{"a SORT (DATE) \"\" ALL", "a BAD SORT: Expected a charset"},
	{"a THREAD JWZ UTF-8 ALL", "a BAD THREAD: Expected ORDEREDSUBJECT, REFERENCES or REFS"},
	{"a CANCELUPDATE", "a BAD CANCELUPDATE: Expected a tag"},
	{"a ESEARCH IN () ALL", "a BAD ESEARCH: Expected which mailboxes"},
	{"a ESEARCH IN (selected-delayed) ALL", "a BAD ESEARCH: Expected SELECTED"},
	{"a ESEARCH IN (mailboxes ()) ALL", "a BAD ESEARCH: Expected a mailbox name"},
	{"a ESEARCH IN (personal (scope)) ALL", "a BAD ESEARCH: Expected which mailboxes"},
	{"a FETCH 1 FLAGS (PARTIAL 1:2)", "a BAD FETCH: PARTIAL needs UID FETCH"},
	{"a SEARCH TEXT {1+}\r\n\xe9", "a BAD SEARCH: String is not in the charset"},
	{"a SEARCH OLDER 0", "a BAD SEARCH: Expected a number above zero"},
	{`a SEARCH MODSEQ "x" foo 1`, "a BAD SEARCH: Expected all, priv or shared"},
	{"a SEARCH MODSEQ \"\x81\" all 1", "a BAD SEARCH: Expected an entry name"},
	{"a SEARCH EMAILID =", "a BAD SEARCH: Expected an object id"},
}

func TestBadCommandsSayWhatIsWrong(t *testing.T) {
	for _, test := range badCommands {
		r, _ := newReader(test.line+"\r\nz NOOP\r\n", Limits{})
		_, err := r.ReadCommand()
		if got := answer(err); got != test.want {
			t.Errorf("%q\n got %s\nwant %s", test.line, got, test.want)
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%q: next command %v, %v", test.line, next, err)
		}
	}
}

// answer is the line a session answers a failed command with.
func answer(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "no *Error"
	}
	var out strings.Builder
	enc := NewEncoder(&out)
	enc.Error(e)
	enc.Flush()
	return strings.TrimSuffix(out.String(), "\r\n")
}

func TestReaderResynchronisesBehindTheLiteralsOfABadCommand(t *testing.T) {
	for _, text := range []string{
		"a FOO {6+}\r\nx NOOP {3+}\r\nabc tail\r\n",
		"a LOGIN ( {6+}\r\nx NOOP\r\n",
		"a LOGIN {5}\r\nalice ( {8+}\r\nx NOOP\r\n\r\n",
		"a LOGIN ( {5}\r\n", // never sent: the command is answered
		"a LOGIN ( ~{6+}\r\nx NOOP\r\n",
		"a NOOP x\n",
	} {
		r, _ := newReader(text+"z NOOP\r\n", Limits{})
		r.ReadCommand()
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%q: next command %v, %v", text, next, err)
		}
	}
}

func TestLimitsHoldOnePast(t *testing.T) {
	l := Limits{Line: 100, Literal: 10, Literals: 2, Skip: 400, Depth: 4, Items: 5, NonSync: 20}
	long := func(n int) string { return "a LOGIN u " + strings.Repeat("p", n-len("a LOGIN u ")) }
	for _, test := range []struct{ name, line, past, want string }{
		{"Line", long(100), long(101), "a BAD [TOOBIG] Command line too long"},
		{"Line by far", long(100), long(390), "a BAD [TOOBIG] Command line too long"},
		{"Line with a literal behind", long(100), long(130) + " {7+}\r\nz NOOP\n", "a BAD [TOOBIG] Command line too long"},
		{"Literal", "a LOGIN u {10+}\r\n0123456789", "a LOGIN u {11+}\r\n0123456789a", "a BAD [TOOBIG] LOGIN: Literal too large"},
		{"Literal to be asked for", "a LOGIN u {10}\r\n0123456789", "a LOGIN u {11}", "a BAD [TOOBIG] LOGIN: Literal too large"},
		{"NonSync", "a LOGIN u {10+}\r\n0123456789", "a LOGIN u {21+}\r\n0123456789012345678\r\n",
			"a BAD [TOOBIG] LOGIN: Non-synchronising literal too large"},
		{"Literals", "a LOGIN {1+}\r\nu {1+}\r\np", "a SEARCH FROM {1+}\r\nu FROM {1+}\r\nu FROM {1+}\r\nu", "a BAD [TOOBIG] SEARCH: Too many literals"},
		{"Depth", "a SEARCH NOT NOT NOT ALL", "a SEARCH NOT NOT NOT NOT ALL", "a BAD [TOOBIG] SEARCH: Search keys nested too deep"},
		{"Depth of parentheses", "a SEARCH (((ALL)))", "a SEARCH ((((ALL))))", "a BAD [TOOBIG] SEARCH: Search keys nested too deep"},
		{"Items of a search", "a SEARCH 1 2 3 4 5", "a SEARCH 1 2 3 4 5 6", "a BAD [TOOBIG] SEARCH: Too many search keys"},
		{"Items", "a STORE 1 FLAGS (a b c d e)", "a STORE 1 FLAGS (a b c d e f)", "a BAD [TOOBIG] STORE: Too many items in a list"},
		{"Items without parentheses", "a STORE 1 FLAGS a b c d e", "a STORE 1 FLAGS a b c d e f", "a BAD [TOOBIG] STORE: Too many items in a list"},
		{"Parts", "a FETCH 1 BODY[1.2.3.4.5]", "a FETCH 1 BODY[1.2.3.4.5.6]", "a BAD [TOOBIG] FETCH: Too many items in a list"},
	} {
		r, _ := newReader(test.line+"\r\n"+test.past+"\r\nz NOOP\r\n", l)
		if _, err := r.ReadCommand(); err != nil {
			t.Errorf("%s: at the limit: %v", test.name, err)
		}
		_, err := r.ReadCommand()
		if got := answer(err); got != test.want {
			t.Errorf("%s: one past\n got %s\nwant %s", test.name, got, test.want)
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%s: next command %v, %v", test.name, next, err)
		}
	}
}

func TestIDHasTheBoundsOfItsRFC(t *testing.T) {
	pair := ` "k" "v"`
	for _, test := range []struct {
		args string
		ok   bool
	}{
		{strings.Repeat(pair, MaxIDParams)[1:], true},
		{strings.Repeat(pair, MaxIDParams+1)[1:], false},
		{`"` + strings.Repeat("k", MaxIDKeyBytes) + `" NIL`, true},
		{`"` + strings.Repeat("k", MaxIDKeyBytes+1) + `" NIL`, false},
		{`"k" "` + strings.Repeat("v", MaxIDValueBytes) + `"`, true},
		{`"k" "` + strings.Repeat("v", MaxIDValueBytes+1) + `"`, false},
	} {
		r, _ := newReader("a ID ("+test.args+")\r\n", Limits{})
		if _, err := r.ReadCommand(); (err == nil) != test.ok {
			t.Errorf("ID (%.60s…): %v", test.args, err)
		}
	}
}

func TestWhatIsTooMuchToSkipEndsTheConnection(t *testing.T) {
	l := Limits{Line: 100, Literal: 10, Skip: 400}
	for _, text := range []string{
		"a LOGIN {401+}\r\n" + strings.Repeat("x", 500),
		"a LOGIN {99999999999999999999+}\r\n",
		"a LOGIN " + strings.Repeat("x", 800) + "\r\n",
	} {
		r, _ := newReader(text, l)
		_, err := r.ReadCommand()
		if got := answer(err); !strings.HasPrefix(got, "* BYE [TOOBIG] ") {
			t.Errorf("%.40q: %s", text, got)
		}
	}
}

func TestBeforeLoginTightens(t *testing.T) {
	l := Limits{}.BeforeLogin()
	if l.Line != 8<<10 || l.Literal != 4<<10 || l.Literals != 8 || l.Skip != 1<<20 {
		t.Errorf("%+v", l)
	}
}

func TestOnlySynchronisingLiteralsAreAskedFor(t *testing.T) {
	r, asked := newReader("a LOGIN {1}\r\nu {1+}\r\np\r\nb LOGIN u {99999}\r\n", Limits{})
	if _, err := r.ReadCommand(); err != nil || *asked != 1 {
		t.Errorf("asked %d times, %v", *asked, err)
	}
	if _, err := r.ReadCommand(); err == nil || *asked != 1 {
		t.Errorf("a literal that is too large: asked %d times, %v", *asked-1, err)
	}
}

func TestAnErrorOfTheSourceIsPassedOn(t *testing.T) {
	for text, want := range map[string]error{
		"":                      io.EOF,
		"a NO":                  io.EOF,
		"a LOGIN {5+}\r\nab":    io.ErrUnexpectedEOF,
		"a FOO {5+}\r\nab":      io.ErrUnexpectedEOF,
		"a LOGIN {2+}\r\nab":    io.EOF,
		"a APPEND x {5+}\r\nab": io.ErrUnexpectedEOF,
	} {
		r, _ := newReader(text, Limits{})
		_, err := r.ReadCommand()
		if err == nil {
			_, err = r.ReadCommand()
		}
		if err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	broken := errors.New("broken pipe")
	r, _ := newReader("a LOGIN {5}\r\nalice x\r\n", Limits{})
	r.Continue = func() error { return broken }
	if _, err := r.ReadCommand(); err != broken {
		t.Errorf("continuation failed: %v", err)
	}
}

func TestUTF8MailboxNamesAreReadOnceEnabled(t *testing.T) {
	r, _ := newReader("a SELECT \"Entwürfe\"\r\nb SELECT Q&A\r\nc SELECT {1+}\r\n\xff\r\n", Limits{})
	r.UTF8 = true
	for _, want := range []string{"Entwürfe", "Q&A"} {
		cmd, err := r.ReadCommand()
		if err != nil || cmd.Body.(*Select).Mailbox != want {
			t.Errorf("%+v, %v, want %s", cmd.Body, err, want)
		}
	}
	_, err := r.ReadCommand()
	if got := answer(err); got != "c NO [CANNOT] SELECT: Mailbox name is not UTF-8" {
		t.Error(got)
	}
}

func TestSASLAnswersAndDoneAreRead(t *testing.T) {
	r, _ := newReader("AGEAYg==\r\n\r\n*\r\n???\r\ndone\r\nNOOP\r\n", Limits{})
	if b, err := r.ReadSASL(); string(b) != "\x00a\x00b" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := r.ReadSASL(); len(b) != 0 || err != nil {
		t.Errorf("empty answer: %q, %v", b, err)
	}
	if _, err := r.ReadSASL(); err != ErrCancelled {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := r.ReadSASL(); answer(err) != "* BAD Not base64" {
		t.Errorf("not base64: %v", err)
	}
	if err := r.ReadDone(); err != nil {
		t.Errorf("DONE: %v", err)
	}
	if err := r.ReadDone(); answer(err) != "* BAD Expected DONE" {
		t.Errorf("not DONE: %v", err)
	}
}

func TestResetReadsOnFromAnotherSource(t *testing.T) {
	r, _ := newReader("a STARTTLS\r\nevil LOGOUT\r\n", Limits{})
	r.ReadCommand()
	r.Reset(bufio.NewReader(strings.NewReader("b NOOP\r\n")))
	if cmd, err := r.ReadCommand(); err != nil || cmd.Tag != "b" {
		t.Errorf("%v, %v", cmd, err)
	}
}

var day = time.Date(2026, 2, 1, 3, 4, 5, 0, time.FixedZone("", -3600))

func TestPlacesOfAPartialRange(t *testing.T) {
	for _, tt := range []struct {
		r         PartialRange
		n, lo, hi int
	}{
		{PartialRange{1, 3, false}, 10, 0, 3},
		{PartialRange{9, 12, false}, 10, 8, 10},
		{PartialRange{11, 12, false}, 10, 10, 10},
		{PartialRange{1, 1<<32 - 1, false}, 10, 0, 10},
		{PartialRange{1, 3, true}, 10, 7, 10},
		{PartialRange{2, 3, true}, 10, 7, 9},
		{PartialRange{9, 12, true}, 10, 0, 2},
		{PartialRange{11, 12, true}, 10, 0, 0},
		{PartialRange{1, 1<<32 - 1, true}, 10, 0, 10},
		{PartialRange{1, 1, true}, 0, 0, 0},
	} {
		if lo, hi := tt.r.Of(tt.n); lo != tt.lo || hi != tt.hi {
			t.Errorf("%v of %d: %d to %d, want %d to %d", tt.r, tt.n, lo, hi, tt.lo, tt.hi)
		}
	}
}
