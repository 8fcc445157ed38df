package storetest

import (
	"testing"

	"lockstep/internal/store/model"
)

// TestModelKeepsTheContract also runs every closure twice.
func TestModelKeepsTheContract(t *testing.T) {
	Run(t, func(testing.TB) Engine {
		m := model.New()
		m.Twice = true
		return m
	})
}
