// Package e2e tests the binary as people use it: real mail programs, the command
// line, the demo, and a server that is killed. It holds tests only.
package e2e
