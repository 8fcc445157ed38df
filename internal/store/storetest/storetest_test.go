package storetest

import (
	"testing"
)

// TestModelKeepsTheContract also runs every closure twice.
func TestModelKeepsTheContract(t *testing.T) {
	Run(t, func(testing.TB) Engine {
		m := newModel()
		m.Twice = true
		return m
	})
}
