package jmap

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// plainOf is a value as encoding/json reads what it wrote, which patches want.
func plainOf(v any) object {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // all that is kept can be said in JSON
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		panic(err)
	}
	return o
}

// decodeObject reads what a client says of an object, whose names are all known.
func decodeObject(b []byte, into any) *setError {
	err := decodeStrict(b, into)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalidProperties("the property "+e.Field+" can't be "+e.Value, e.Field)
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return invalidProperties("there is no such property", strings.Trim(name, `"`))
	}
	return invalidProperties("it is not such an object: " + strings.TrimPrefix(err.Error(), "json: "))
}

// patched is what becomes of an object by a patch; fixed are properties it may not
// change.
func patched[T any](was T, p patchObject, fixed ...string) (is T, wrong *setError) {
	before := plainOf(was)
	after, wrong := p.apply(before)
	if wrong != nil {
		return is, wrong
	}
	for _, name := range fixed {
		if b, a := mustJSON(before[name]), mustJSON(after[name]); b != a {
			return is, invalidProperties("it can't be changed", name)
		}
	}
	b, err := json.Marshal(after)
	if err != nil {
		return is, invalidProperties("it is no object")
	}
	return is, decodeObject(b, &is)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return string(b)
}

// unsaid are the properties of what was created that its creator did not give.
func unsaid(o object, raw json.RawMessage) object {
	var said map[string]json.RawMessage
	if json.Unmarshal(raw, &said) != nil {
		return o
	}
	o = maps.Clone(o)
	for name := range said {
		delete(o, name)
	}
	return o
}

// dataOf reads the data of objects of the account, as T is kept.
func dataOf[T any](o mail.Object) (v T, err error) {
	return v, json.Unmarshal(o.Data, &v)
}

// sortedKeys are the keys of a map, so that what comes of them is the same each time.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// encodeData writes the data of an object; Limit if it is too large to be kept.
func encodeData(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err == nil && len(b) > mail.MaxObjectBytes {
		err = mail.Errorf(mail.Limit, "it has more than %d bytes", mail.MaxObjectBytes)
	}
	return b, err
}
