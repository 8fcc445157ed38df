package mail

import (
	"strings"
	"testing"
)

func TestNamesOfEntries(t *testing.T) {
	for name, ok := range map[string]bool{
		"/comment": true, "/Comment": true, "/vendor/acme/colour": true, "/1.2/comment": true, "/": false, "": false, "comment": false, "/a/": false, "/a//b": false,
		"/a*": false, "/a%": false, "/ä": false, "/a\x00": false,
		"/" + strings.Repeat("a", MaxAnnotationNameBytes-1): true, "/" + strings.Repeat("a", MaxAnnotationNameBytes): false,
	} {
		if err := CheckAnnotationName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestASpelledAnnotationIsReadAgain(t *testing.T) {
	for _, a := range []Annotation{{Name: "/comment"}, {Name: "/x.shared", Who: 7, Value: []byte("v")}, {Name: "/x.priv", Shared: true}} {
		if got := ReadAnnotation(a.Spelled(), a.Who, a.Value); !got.IsSame(a) || string(got.Value) != string(a.Value) {
			t.Errorf("%+v became %+v", a, got)
		}
	}
}
