package jmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// checkJSON reports why bytes are not one JSON value as I-JSON wants it (§1.5, RFC
// 7493): UTF-8, no name twice in an object; and not nested without bound.
func checkJSON(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("the request is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more than one JSON value")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("values are nested deeper than %d", maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if names[name.(string)] {
				return fmt.Errorf("the name %q stands twice in one object", name)
			}
			names[name.(string)] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// decodeStrict reads a value whose names are all known.
func decodeStrict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// An unsignedInt is a number that is never negative, nor null (§1.3).
type unsignedInt int64

// UnmarshalJSON implements json.Unmarshaler.
func (u *unsignedInt) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%s is no number from 0 up", b)
	}
	*u = unsignedInt(n)
	return nil
}

// encodeJSON writes a value as it is, without what would make it fit to stand in HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
