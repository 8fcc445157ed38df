package sqlstore_test

import (
	"testing"

	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Engine { return sqlstore.OpenTemp(t) })
}
