// Package device is about devices under control: the policies that say what they
// may do, and the trails that say what became of their conversations. Package auth
// asks the policies who may come in, internal/eas carries them to devices and writes
// the trails, and internal/admin shows both.
package device
