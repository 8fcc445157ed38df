package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// keys returns every key of the file, tables included.
func (c *Config) keys() []string {
	var keys []string
	walk(reflect.ValueOf(*c), "", func(key, _ string, _ reflect.Value, _ bool) { keys = append(keys, key) })
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
		if f.Type.Kind() == reflect.Map {
			walkMap(v.Field(i), key, f.Tag.Get("comment"), visit)
			continue
		}
		visit(key, f.Tag.Get("comment"), v.Field(i), table)
		if table {
			walk(v.Field(i), key+".", visit)
		}
	}
}

// walkMap visits tables that have names of their own, sorted. The comment is said
// once.
func walkMap(v reflect.Value, prefix, comment string, visit func(key, comment string, v reflect.Value, table bool)) {
	names := v.MapKeys()
	slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for i, name := range names {
		if i > 0 {
			comment = ""
		}
		key := prefix + "." + name.String()
		visit(key, comment, v.MapIndex(name), true)
		walk(v.MapIndex(name), key+".", visit)
	}
}

func spell(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case int:
		return strconv.Itoa(x)
	case bool:
		return strconv.FormatBool(x)
	case Addresses:
		return spellList(x)
	case Networks:
		return spellList(x)
	case Words:
		return spellList(x)
	case fmt.Stringer:
		return strconv.Quote(x.String())
	}
	return strconv.Quote(v.String())
}

func spellList(list []string) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = strconv.Quote(a)
	}
	return "[" + strings.Join(words, ", ") + "]"
}
