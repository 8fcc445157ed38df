package lot

import (
	"bytes"
	"crypto/tls"
	"reflect"
)

// Shrink gives back the buffers of a TLS connection that nobody reads or writes now.
// They are as large as the largest record that ever came, up to 32 KiB, and they are
// most of what a connection holds that waits; crypto/tls has no call for it.
// If it one day has other fields, nothing is given back, and a test says so. It reports
// whether they were given back: what was not read yet is not.
func Shrink(c *tls.Conn) bool {
	v := reflect.ValueOf(c).Elem()
	raw, ok1 := field[bytes.Buffer](v, "rawInput")
	in, ok2 := field[bytes.Reader](v, "input") // a part of rawInput
	hand, ok3 := field[bytes.Buffer](v, "hand")
	if !ok1 || !ok2 || !ok3 || raw.Len() > 0 || in.Len() > 0 || hand.Len() > 0 {
		return false
	}
	*raw, *in, *hand = bytes.Buffer{}, bytes.Reader{}, bytes.Buffer{}
	return true
}

// field points to a field of a struct, if there is one of that name and type.
func field[T any](of reflect.Value, name string) (*T, bool) {
	f := of.FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[T]() {
		return nil, false
	}
	return (*T)(f.Addr().UnsafePointer()), true
}
