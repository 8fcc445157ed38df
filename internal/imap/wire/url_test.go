package wire

import (
	"math"
	"reflect"
	"testing"
)

var urls = []struct {
	text string
	want URL
}{
	{"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER", URL{Mailbox: "Drafts", UIDValidity: 385759045, UID: 20, Section: Section{Text: SectionHeader}}},
	{"imap://minbari.example/gray-council;uidvalidity=7/;uid=20/;partial=0.1024", URL{Server: "minbari.example", Mailbox: "gray-council", UIDValidity: 7, UID: 20, Partial: &Partial{0, 1024}}},
	{"IMAP://john;AUTH=*@mail.example:143/%7Epeter/%E6%97%A5%E6%9C%AC/;UID=1", URL{Server: "mail.example:143", User: "john", Mailbox: "~peter/日本", UID: 1}},
	{"imap://ann%40example.test@[2001:db8::1]/x/;UID=1", URL{Server: "[2001:db8::1]", User: "ann@example.test", Mailbox: "x", UID: 1}},
	{"//mail.example/INBOX/;UID=3/;SECTION=1.2.MIME/;PARTIAL=5", URL{Server: "mail.example", Mailbox: "INBOX", UID: 3, Section: Section{Part: []uint32{1, 2}, Text: SectionMIME}, Partial: &Partial{5, math.MaxInt64}}},
	{";UID=20/;SECTION=1.4", URL{UID: 20, Section: Section{Part: []uint32{1, 4}}}},
	{"/gray%20council/;UID=4/;SECTION=HEADER.FIELDS%20(To%20X%2FY)", URL{Mailbox: "gray council", UID: 4, Section: Section{Text: SectionHeaderFields, Fields: []string{"To", "X/Y"}}}},
	{"/%2E%2E/;UID=4294967295", URL{Mailbox: "..", UID: 4294967295}},
}

func TestURLs(t *testing.T) {
	for _, test := range urls {
		got, ok := ParseURL(test.text)
		if !ok || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", test.text, got, ok, test.want)
		}
		if again, ok := ParseURL(got.String()); !ok || !reflect.DeepEqual(again, got) {
			t.Errorf("%s is written %s and read %+v", test.text, got, again)
		}
	}
}

func TestWhatIsNoURLOfAMessage(t *testing.T) {
	for _, text := range []string{"", "/", "imap:", "imap:/x/;UID=1", "imap://", "imap://host", "imap://host/", "imap://host/INBOX", "imap://host/;UID=1", "http://host/x/;UID=1",
		"/INBOX", "INBOX/;UID=1", "/INBOX/;UID=0", "/INBOX/;UID=", "/INBOX/;UID=4294967296", "/INBOX/;UID=1x", "/INBOX/;UID=1/", "/INBOX?SEEN/;UID=1",
		"/INBOX;UIDVALIDITY=0/;UID=1", "/INBOX;UIDVALIDITY=x/;UID=1", "/INBOX;x/;UID=1", "/a b/;UID=1", "/a%/;UID=1", "/a%0/;UID=1", "/a%zz/;UID=1", "/a%00/;UID=1", "/a%ff/;UID=1", "/é/;UID=1",
		"/../x/;UID=1", "/x/./;UID=1", "/x/;UID=1/;SECTION=", "/x/;UID=1/;SECTION=FOO", "/x/;UID=1/;SECTION=MIME", "/x/;UID=1/;SECTION=1]", "/x/;UID=1/;SECTION=HEADER.FIELDS%20(%7B3+%7D)",
		"/x/;UID=1/;SECTION=HEADER.FIELDS%20(%7B3%7D", "/x/;UID=1/;SECTION=1/;SECTION=2", "/x/;UID=1/;PARTIAL=", "/x/;UID=1/;PARTIAL=1.0", "/x/;UID=1/;PARTIAL=1.", "/x/;UID=1/;PARTIAL=a", "/x/;UID=1/;PARTIAL=1/;SECTION=1",
		"/x/;UID=1;URLAUTH=anonymous:INTERNAL:0123456789abcdef0123456789abcdef", "/x/;UID=1;EXPIRE=2026-01-01T00:00:00Z", "imap://us er@host/x/;UID=1", "imap://u;AUTH=@host/x/;UID=1", "imap://h o/x/;UID=1", ";UID=1?x"} {
		if u, ok := ParseURL(text); ok {
			t.Errorf("%q is read as %+v", text, u)
		}
	}
}

// FuzzURL reads whatever comes as a URL; what is read survives its own encoding.
func FuzzURL(f *testing.F) {
	for _, test := range urls {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, ok := ParseURL(text)
		if !ok {
			return
		}
		again, ok := ParseURL(u.String())
		if !ok || !reflect.DeepEqual(again, u) {
			t.Errorf("%q is read %+v, written %s and read %+v", text, u, u, again)
		}
	})
}
