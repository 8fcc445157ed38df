package eas

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on what a query says.
const (
	maxQueryBytes      = 8 << 10
	maxDeviceIDBytes   = 32 // MS-ASHTTP §2.2.1.1.1.2.3
	maxDeviceTypeBytes = 32
)

// A query is what the request line and the headers of a command say, in either of
// its two forms (MS-ASHTTP §2.2.1.1.1).
type query struct {
	command    string
	version    version
	user       string
	deviceID   string
	deviceType string
	policyKey  string // decimal; "" if none was said, "0" if the device has none
	locale     uint16
	multipart  bool // the device takes answers in parts
	saveInSent bool

	collectionID, itemID, longID, occurrence, attachment string
}

// trying reports whether a client only tries an account out: Android's mail program
// does, under this name, before it makes one. It is no device, and nothing is kept.
func (q *query) trying() bool { return strings.EqualFold(q.deviceID, "validate") }

// errQuery says what is wrong with a query: HTTP 400.
func errQuery(format string, args ...any) error {
	return &fault{http: http.StatusBadRequest, detail: fmt.Sprintf(format, args...)}
}

// parseQuery reads the query of a POST.
func parseQuery(r *http.Request) (*query, error) {
	raw := r.URL.RawQuery
	if len(raw) > maxQueryBytes {
		return nil, errQuery("the query has more than %d bytes", maxQueryBytes)
	}
	var q *query
	var err error
	if strings.Contains(raw, "=") && !isBase64Query(raw) {
		q, err = plainQuery(raw, r.Header)
	} else {
		q, err = base64Query(raw)
	}
	if err != nil {
		return nil, err
	}
	q.multipart = q.multipart || strings.EqualFold(r.Header.Get("MS-ASAcceptMultiPart"), "T")
	return q, nil
}

// isBase64Query tells padding from parameters: a base64 query has = at its end only.
func isBase64Query(raw string) bool {
	trimmed := strings.TrimRight(raw, "=")
	return len(raw)-len(trimmed) <= 2 && !strings.ContainsAny(trimmed, "=&")
}

// check says what a query that can be read lacks.
func (q *query) check() error {
	switch {
	case q.command == "":
		return errQuery("no Cmd")
	case !q.version.spoken():
		return &fault{status: statusVersion, http: http.StatusBadRequest, detail: "this version of the protocol is not spoken here: 12.1 to 16.1 are"}
	case q.deviceID == "":
		return fail(statusDeviceID, "no DeviceId")
	case len(q.deviceID) > maxDeviceIDBytes || strings.ContainsAny(q.deviceID, "/\x00"):
		return fail(statusDeviceID, "a DeviceId has %d characters at most, and no slash", maxDeviceIDBytes)
	case q.deviceType == "":
		return fail(statusDeviceType, "no DeviceType")
	case len(q.deviceType) > maxDeviceTypeBytes:
		return fail(statusDeviceType, "a DeviceType has %d characters at most", maxDeviceTypeBytes)
	}
	return nil
}

// plainQuery reads parameters by name (MS-ASHTTP §2.2.1.1.1.2). The names ignore case.
func plainQuery(raw string, h http.Header) (*query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errQuery("the query can't be read")
	}
	q := &query{policyKey: strings.TrimSpace(h.Get("X-MS-PolicyKey"))}
	q.version, _ = parseVersion(strings.TrimSpace(h.Get("MS-ASProtocolVersion")))
	text := map[string]*string{"cmd": &q.command, "user": &q.user, "deviceid": &q.deviceID, "devicetype": &q.deviceType, "collectionid": &q.collectionID,
		"itemid": &q.itemID, "longid": &q.longID, "occurrence": &q.occurrence, "attachmentname": &q.attachment}
	for name, all := range values {
		if to, ok := text[strings.ToLower(name)]; ok {
			*to = all[0]
		} else if strings.EqualFold(name, "SaveInSent") {
			q.saveInSent = strings.EqualFold(all[0], "T")
		}
	}
	return q, nil
}

// The parameters of a base64 query (MS-ASHTTP §2.2.1.1.1.1.3), and the bits of Options.
const (
	tagAttachmentName = 0
	tagCollectionID   = 1
	tagItemID         = 3
	tagLongID         = 4
	tagOccurrence     = 6
	tagOptions        = 7
	tagUser           = 8

	optionSaveInSent = 0x01
	optionMultipart  = 0x02
)

// base64Query reads the form of MS-ASHTTP §2.2.1.1.1.1: fields of bytes, and then
// parameters by number.
func base64Query(raw string) (*query, error) {
	b, err := decodeQuery(raw)
	if err != nil {
		return nil, errQuery("the query is neither parameters nor base64")
	}
	f := &fields{b: b}
	q := &query{version: version(f.byte())}
	code := f.byte()
	q.locale = binary.LittleEndian.Uint16(f.take(2))
	q.deviceID = deviceID(f.sized())
	switch key := f.sized(); len(key) {
	case 0:
	case 4:
		q.policyKey = strconv.FormatUint(uint64(binary.LittleEndian.Uint32(key)), 10)
	default:
		return nil, errQuery("a policy key has four bytes")
	}
	q.deviceType = string(f.sized())
	for len(f.b) > 0 && !f.short {
		q.parameter(f.byte(), f.sized())
	}
	if f.short {
		return nil, errQuery("the query ends early")
	}
	if q.command = commandByCode(code); q.command == "" {
		return nil, &fault{status: statusCommand, http: http.StatusNotImplemented, detail: "no command has this code"}
	}
	return q, nil
}

func (q *query) parameter(tag byte, value []byte) {
	switch tag {
	case tagAttachmentName:
		q.attachment = string(value)
	case tagCollectionID:
		q.collectionID = string(value)
	case tagItemID:
		q.itemID = string(value)
	case tagLongID:
		q.longID = string(value)
	case tagOccurrence:
		q.occurrence = string(value)
	case tagUser:
		q.user = string(value)
	case tagOptions:
		if len(value) == 1 {
			q.saveInSent = value[0]&optionSaveInSent != 0
			q.multipart = value[0]&optionMultipart != 0
		}
	}
}

// decodeQuery takes both alphabets, with and without padding, and escapes.
func decodeQuery(raw string) ([]byte, error) {
	s, err := url.PathUnescape(raw)
	if err != nil {
		return nil, err
	}
	s = strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}

// deviceID makes text of an id that came as bytes: some send a raw GUID.
func deviceID(b []byte) string {
	if !utf8.Valid(b) || strings.ContainsFunc(string(b), func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return hex.EncodeToString(b)
	}
	return string(b)
}

// fields cuts a byte string into fields.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if len(f.b) < n {
		f.b, f.short = nil, true
		return make([]byte, n)
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (f *fields) byte() byte    { return f.take(1)[0] }
func (f *fields) sized() []byte { return f.take(int(f.byte())) }
