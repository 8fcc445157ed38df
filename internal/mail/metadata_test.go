package mail

import (
	"strings"
	"testing"
)

func TestNamesOfAnnotations(t *testing.T) {
	for _, c := range []struct {
		name        string
		above, leaf bool
	}{
		{"/shared/comment", true, true}, {"/Private/COMMENT", true, true}, {"/private/vendor/acme/colour", true, true}, {"/private/vendor/acme", true, false},
		{"/shared/vendor", true, false}, {"/shared", true, false}, {"/private", true, false}, {"/", false, false}, {"", false, false}, {"shared/comment", false, false},
		{"/shared/", false, false}, {"/shared//x", false, false}, {"/shared/x/", false, false}, {"/public/x", false, false}, {"/sharedx/x", false, false},
		{"/shared/a*", false, false}, {"/shared/a%", false, false}, {"/shared/ä", false, false}, {"/shared/a\x01", false, false}, {"/shared/a b", true, true},
		{"/shared/" + strings.Repeat("a", MaxMetadataNameBytes-8), true, true}, {"/shared/" + strings.Repeat("a", MaxMetadataNameBytes-7), false, false},
	} {
		if got, err := MetadataName(c.name); (err == nil) != c.above || err == nil && got != strings.ToLower(c.name) {
			t.Errorf("%q: %q, %v", c.name, got, err)
		}
		if _, err := MetadataEntry(c.name); (err == nil) != c.leaf {
			t.Errorf("%q as an entry: %v", c.name, err)
		}
	}
}
