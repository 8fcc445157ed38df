//go:build !linux

package sqlstore

// identity is not known here: a copy is found out by its generation alone.
func identity(string) string { return "" }
