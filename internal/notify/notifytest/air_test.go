package notifytest_test

import (
	"testing"

	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
)

func TestABusInMemory(t *testing.T) {
	notifytest.Run(t, func(t *testing.T) func() notify.Bus {
		air := &notifytest.Air{}
		return func() notify.Bus {
			b := air.Node()
			t.Cleanup(func() { b.Close() })
			return b
		}
	})
}

func BenchmarkBus(b *testing.B) {
	var air notifytest.Air
	notifytest.Bench(b, air.Node)
}
