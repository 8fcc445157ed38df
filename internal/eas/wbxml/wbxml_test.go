package wbxml

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// vectors are documents byte for byte, computed from the code pages by hand.
var vectors = []struct {
	name, hex string
	doc       *Element
}{
	{"FolderSync request, key 0", "03016a000007565203300001 01", New(FolderFolderSync, Text(FolderSyncKey, "0"))},
	{"Ping answer, folder 5 changed", "03016a00000d45470332 0001494a0335 00010101", New(PingPing, Text(PingStatus, "2"), New(PingFolders, Text(PingFolder, "5")))},
	{"Sync answer to key 0", "03016a00455c4f4b03612d31000152033500014e033100010101 01", New(AirSyncSync, New(AirSyncCollections, New(AirSyncCollection,
		Text(AirSyncSyncKey, "a-1"), Text(AirSyncCollectionId, "5"), Text(AirSyncStatus, "1"))))},
	{"Sync Change with Read, a page switch inside", "03016a00455c4f4b03612d3200015203350001 5648 4d03353a310001 5d 0002 5503310001 01 01 01 01 01 01", New(AirSyncSync, New(AirSyncCollections, New(AirSyncCollection,
		Text(AirSyncSyncKey, "a-2"), Text(AirSyncCollectionId, "5"),
		New(AirSyncCommands, New(AirSyncChange, Text(AirSyncServerId, "5:1"), New(AirSyncApplicationData, Bool(EmailRead, true)))))))},
	{"Provision acknowledgement", "03016a00000e454647 48034d532d4541532d50726f766973696f6e696e672d5742584d4c0001 4903370001 4b03310001 01 01 01", New(ProvisionProvision, New(ProvisionPolicies, New(ProvisionPolicy,
		Text(ProvisionPolicyType, "MS-EAS-Provisioning-WBXML"), Text(ProvisionPolicyKey, "7"), Text(ProvisionStatus, "1"))))},
	{"SendMail with opaque Mime", "03016a000015455103633100010850c301410101", New(ComposeSendMail, Text(ComposeClientId, "c1"), &Element{Tag: ComposeSaveInSentItems}, Bytes(ComposeMime, []byte("A")))},
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encoded(t *testing.T, e *Element) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, e); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestVectorsBothWays(t *testing.T) {
	for _, v := range vectors {
		want := unhex(t, v.hex)
		if got := encoded(t, v.doc); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", v.name, got, want)
		}
		got, err := Decode(iotest.OneByteReader(bytes.NewReader(want)), Limits{})
		if err != nil || !reflect.DeepEqual(got, v.doc) {
			t.Errorf("%s: %v, %v", v.name, got, err)
		}
	}
}

func TestEachTagHasOneNameOnItsPage(t *testing.T) {
	for n, p := range pages {
		seen := map[string]byte{}
		for token, name := range p.names {
			if token < firstToken || token > tokenMask {
				t.Errorf("page %d: %s has token %#x", n, name, token)
			}
			if other, twice := seen[name]; twice {
				t.Errorf("page %d: %s is %#x and %#x", n, name, other, token)
			}
			seen[name] = token
		}
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                "",
		"only a header":          "03016a00",
		"version 4":              "04016a0005",
		"Latin-1":                "0301040005",
		"an attribute":           "03016a0085",
		"an entity":              "03016a0045020501",
		"a literal":              "03016a00450401",
		"a string of the table":  "03016a0045830001",
		"an unknown global":      "03016a00454301",
		"text before the root":   "03016a0003410005",
		"an end before the root": "03016a0001",
		"an open root":           "03016a0045",
		"an open string":         "03016a00450341",
		"opaque cut short":       "03016a0045c30541",
		"a number without end":   "03016a0045c3ffffffffff01",
		"text among elements":    "03016a00450603410001",
		"elements after text":    "03016a004503410006 01",
	} {
		if e, err := Decode(bytes.NewReader(unhex(t, in)), Limits{}); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

func TestAStringTableIsPassedOver(t *testing.T) {
	e, err := Decode(bytes.NewReader(unhex(t, "02016a03414243 05")), Limits{})
	if err != nil || e.Tag != AirSyncSync {
		t.Error(e, err)
	}
}

func TestUnknownElementsAreKept(t *testing.T) {
	e, err := Decode(bytes.NewReader(unhex(t, "03016a00 45 0063 7f 03410001 01")), Limits{})
	if err != nil || len(e.Children) != 1 || e.Children[0].Text != "A" || e.Children[0].Tag.Known() {
		t.Error(e, err)
	}
}

func TestTheReadersErrorComesThrough(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Decode(iotest.ErrReader(broken), Limits{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// nested makes n elements in each other.
func nested(n int) *Element {
	e := &Element{Tag: AirSyncSync}
	for range n - 1 {
		e = New(AirSyncSync, e)
	}
	return e
}

func TestBoundsAndOnePast(t *testing.T) {
	wide := func(n int) *Element {
		e := &Element{Tag: AirSyncSync}
		for range n - 1 {
			e.Add(&Element{Tag: AirSyncAdd})
		}
		return e
	}
	text := func(n int) *Element {
		return New(AirSyncSync, Text(AirSyncSyncKey, strings.Repeat("x", n/2)), Text(AirSyncSyncKey, strings.Repeat("x", n-n/2)))
	}
	for name, c := range map[string]struct {
		l    Limits
		make func(int) *Element
		most int
	}{
		"depth":    {Limits{Depth: 3}, nested, 4}, // a leaf opens nothing
		"elements": {Limits{Elements: 10}, wide, 10},
		"held":     {Limits{Held: 5000}, text, 5000},
	} {
		if _, err := Decode(bytes.NewReader(encoded(t, c.make(c.most))), c.l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Decode(bytes.NewReader(encoded(t, c.make(c.most+1))), c.l); !errors.Is(err, ErrLimit) {
			t.Errorf("%s, one past: %v", name, err)
		}
	}
	b := encoded(t, text(100))
	if _, err := Decode(bytes.NewReader(b), Limits{Bytes: int64(len(b))}); err != nil {
		t.Error(err)
	}
	if _, err := Decode(bytes.NewReader(b), Limits{Bytes: int64(len(b)) - 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("bytes, one past: %v", err)
	}
}

func TestLargeContentSpills(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789\r\n"), 100_000)
	doc := encoded(t, New(ComposeSendMail, Text(ComposeClientId, "c1"), Bytes(ComposeMime, big)))
	var out bytes.Buffer
	e, err := Decode(bytes.NewReader(doc), Limits{Held: 10, Spill: func(tag Tag) io.Writer {
		if tag == ComposeMime {
			return &out
		}
		return nil
	}})
	if err != nil || !bytes.Equal(out.Bytes(), big) || !e.Child(ComposeMime).Spilled || e.Get(ComposeClientId) != "c1" {
		t.Error(err, out.Len())
	}
}

func TestTextIsCleanForXML(t *testing.T) {
	for in, want := range map[string]string{
		"plain":         "plain",
		"a\x00b\x07c":   "abc",
		"line\r\n\tend": "line\r\n\tend",
		"\xff":          "\uFFFD",
		"ü\uFFFEx":      "üx",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q", in, got)
		}
		e, err := Decode(bytes.NewReader(encoded(t, Text(EmailSubject, in))), Limits{})
		if err != nil || e.Text != want {
			t.Errorf("%q came back as %q, %v", in, e.Text, err)
		}
	}
}

// slow writes text in pieces of one byte.
type slow string

func (s slow) WriteTo(w io.Writer) (int64, error) {
	for i := range len(s) {
		if _, err := w.Write([]byte{s[i]}); err != nil {
			return 0, err
		}
	}
	return int64(len(s)), nil
}

func TestStreamedTextIsTheSame(t *testing.T) {
	const text = "Zoë €uro 𝄞 \x01end \xe2\x82"
	got := encoded(t, &Element{Tag: BaseData, From: slow(text)})
	if want := encoded(t, Text(BaseData, text)); !bytes.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestXMLNamesEachNamespaceOnce(t *testing.T) {
	var b strings.Builder
	if err := XML(&b, vectors[3].doc); err != nil {
		t.Fatal(err)
	}
	want := `<Sync xmlns="AirSync"><Collections><Collection><SyncKey>a-2</SyncKey><CollectionId>5</CollectionId><Commands><Change>` +
		`<ServerId>5:1</ServerId><ApplicationData><Read xmlns="Email">1</Read></ApplicationData></Change></Commands></Collection></Collections></Sync>`
	if !strings.Contains(b.String(), want) {
		t.Error(b.String())
	}
}

// FuzzDecode holds that whatever is taken comes back the same from what we write.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		b, _ := hex.DecodeString(strings.ReplaceAll(v.hex, " ", ""))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Decode(bytes.NewReader(in), Limits{Bytes: 1 << 16})
		if err != nil {
			return
		}
		once := encoded(t, e)
		again, err := Decode(bytes.NewReader(once), Limits{Depth: DefaultDepth + 1})
		if err != nil {
			t.Fatalf("what we wrote can't be read: %v\n%x", err, once)
		}
		if twice := encoded(t, again); !bytes.Equal(once, twice) {
			t.Fatalf("\n%x\n%x", once, twice)
		}
	})
}
