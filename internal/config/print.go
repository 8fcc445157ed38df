package config

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Keys returns every key of the file, tables included.
func Keys() []string {
	var keys []string
	walk(reflect.ValueOf(Default()), "", func(key, _ string, _ reflect.Value, _ bool) { keys = append(keys, key) })
	return keys
}

// Print writes c as a file that reads back as c, each key with what it is for.
func (c Config) Print(w io.Writer) error {
	var b strings.Builder
	walk(reflect.ValueOf(c), "", func(key, comment string, v reflect.Value, table bool) {
		if table {
			b.WriteByte('\n')
		}
		if comment != "" {
			fmt.Fprintf(&b, "# %s\n", comment)
		}
		if table {
			fmt.Fprintf(&b, "[%s]\n", key)
			return
		}
		fmt.Fprintf(&b, "%s = %s\n", key[strings.LastIndexByte(key, '.')+1:], spell(v))
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// walk visits the fields in the order of the file: tables after plain keys.
func walk(v reflect.Value, prefix string, visit func(key, comment string, v reflect.Value, table bool)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := prefix + f.Tag.Get("toml")
		table := f.Type.Kind() == reflect.Struct
		visit(key, f.Tag.Get("comment"), v.Field(i), table)
		if table {
			walk(v.Field(i), key+".", visit)
		}
	}
}

func spell(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case int:
		return strconv.Itoa(x)
	case bool:
		return strconv.FormatBool(x)
	case Addresses:
		words := make([]string, len(x))
		for i, a := range x {
			words[i] = strconv.Quote(a)
		}
		return "[" + strings.Join(words, ", ") + "]"
	case fmt.Stringer:
		return strconv.Quote(x.String())
	}
	return strconv.Quote(v.String())
}
