package render

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/message"
)

// tree makes a part out of "type/subtype name disposition", and its children.
func tree(line string, children ...*message.Part) *message.Part {
	words := append(strings.Fields(line), "", "")
	typ, subtype, _ := strings.Cut(words[0], "/")
	for i, c := range children {
		c.Offset = int64(i)
	}
	return &message.Part{Type: typ, Subtype: subtype, Description: words[1], Disposition: words[2], Parts: children}
}

func letters(list []*message.Part) string {
	var s []string
	for _, p := range list {
		s = append(s, p.Description)
	}
	return strings.Join(s, "")
}

// The example of RFC 8621 §4.1.4.
func TestPartsChosenAsInTheStandardsExample(t *testing.T) {
	root := tree("multipart/mixed",
		tree("text/plain A inline"),
		tree("multipart/mixed",
			tree("multipart/alternative",
				tree("multipart/mixed", tree("text/plain B inline"), tree("image/jpeg C inline"), tree("text/plain D inline")),
				tree("multipart/related", tree("text/html E"), tree("image/jpeg F"))),
			tree("image/jpeg G attachment"), tree("application/x-excel H"), tree("message/rfc822 J")),
		tree("text/plain K inline"))
	c := Choose(root)
	if got := letters(c.Text) + " " + letters(c.HTML) + " " + letters(c.Attachments); got != "ABCDK AEK CFGHJ" {
		t.Errorf("got %s", got)
	}
}

func TestPartsChosen(t *testing.T) {
	for _, c := range []struct {
		name string
		root *message.Part
		want string
	}{
		{"plain", tree("text/plain A"), "A A "},
		{"HTML", tree("text/html A"), "A A "},
		{"attached text", tree("text/plain A attachment"), "  A"},
		{"a picture", tree("image/png A"), "A A "},
		{"a program", tree("application/zip A"), "  A"},
		{"alternative of HTML alone", tree("multipart/alternative", tree("text/html A")), "A A "},
		{"alternative with a calendar", tree("multipart/alternative", tree("text/plain A"), tree("text/html B"), tree("text/calendar C")), "A B C"},
		{"signed", tree("multipart/signed", tree("text/plain A"), tree("application/pkcs7-signature B")), "A A B"},
		{"related to an alternative", tree("multipart/related", tree("multipart/alternative", tree("text/plain A"), tree("text/html B")), tree("image/png C"), tree("text/css D")), "A B CD"},
	} {
		got := Choose(c.root)
		if s := letters(got.Text) + " " + letters(got.HTML) + " " + letters(got.Attachments); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

func TestSecurity(t *testing.T) {
	signed := func(protocol string) *message.Part {
		p := tree("multipart/signed", tree("text/plain A"))
		p.Params = []message.Param{{Name: "protocol", Value: protocol}}
		return p
	}
	named := tree("application/octet-stream")
	named.Params = []message.Param{{Name: "name", Value: "SMIME.P7M"}}
	for _, c := range []struct {
		root *message.Part
		want Security
	}{
		{tree("text/plain"), Clear}, {signed("application/x-pkcs7-signature"), SMIMESigned}, {signed("application/PGP-Signature"), PGPSigned}, {signed("x"), Clear},
		{tree("application/x-pkcs7-mime"), SMIMEOpaque}, {named, SMIMEOpaque}, {tree("multipart/encrypted"), PGPEncrypted},
	} {
		if got := SecurityOf(c.root); got != c.want {
			t.Errorf("%s/%s: got %d, want %d", c.root.Type, c.root.Subtype, got, c.want)
		}
	}
}

func TestNamesOfAttachments(t *testing.T) {
	for name, want := range map[string]string{
		`C:\docs\a.txt`: "a.txt", "../../a.txt": "a.txt", "a\r\nb.txt": "ab.txt", " a.txt ": "a.txt", "and/or maybe.txt": "and/or maybe.txt", "": "",
	} {
		if got := cleanName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
	list := List(tree("multipart/mixed", tree("image/jpeg"), tree("application/vnd.unheard-of"), tree("application/pdf")))
	var names []string
	for _, a := range list {
		names = append(names, a.Path+" "+a.Name)
	}
	if want := []string{"1 attachment.jpg", "2 attachment.dat", "3 attachment.pdf"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestInline(t *testing.T) {
	named := func(line string) *message.Part {
		p := tree(line)
		p.ID = "<x@example.test>"
		return p
	}
	for _, c := range []struct {
		name string
		root *message.Part
		want string
	}{
		{"related", tree("multipart/related", tree("text/html"), named("image/png A inline"), named("image/png B attachment"), named("text/css C"), tree("image/png D attachment")), "true true true false"},
		{"mixed", tree("multipart/mixed", tree("text/html"), named("image/png A inline"), named("image/png B attachment"), named("application/pdf C inline"), tree("image/png D inline"), tree("image/png E")), "true false false true false"},
	} {
		var got []string
		for _, a := range List(c.root) {
			got = append(got, strconv.FormatBool(a.Inline))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %s, want %s", c.name, s, c.want)
		}
	}
}
