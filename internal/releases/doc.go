// Package releases keeps a data directory of each release, made by its own code, and
// what it said of it. Tests open each with the program as it is, and with what it says
// now, and go back. docs/releases.md says how a release is made.
package releases
