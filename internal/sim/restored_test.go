package sim

import (
	"fmt"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// An older copy of the server's database is put in its place in the middle of it all,
// and once more: each device ends with what the server then has, no number means two
// things, and who holds a message does not fetch it again.
func TestEveryDeviceEndsInStepAfterARestore(t *testing.T) {
	inStep(t, func(seed uint64) Plan { return plan(seed).WithRestores() })
}

// spoiled runs a statement on the database after its accounts leapt.
func spoiled(sql string) func(string) error {
	return func(path string) error {
		c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetInterrupt(nil)
		return sqlitex.ExecuteScript(c, sql, nil)
	}
}

// TestAFaultInTheRestoreRuleIsFound: without any part of the rule some device is not in
// step, or a number means two things.
func TestAFaultInTheRestoreRuleIsFound(t *testing.T) {
	for _, f := range []struct{ name, sql string }{
		{"UIDNEXT does not leap", "UPDATE mailbox SET uidnext = (SELECT coalesce(max(p.uid), 0) + 1 FROM placement p WHERE p.account_id = mailbox.account_id AND p.mailbox_id = mailbox.mailbox_id)"},
		{"ids do not leap", "UPDATE account SET next_id = (SELECT max(p.placement_id) FROM placement p WHERE p.account_id = account.account_id) + 1"},
		{"nothing counts as changed, and positions stay good", "UPDATE account SET restored = 0"},
		{"the same, in the epoch before", "UPDATE account SET restored = 0, epoch = 1"},
		{"the head does not leap", "UPDATE account SET head = (SELECT max(j.modseq) FROM journal j WHERE j.account_id = account.account_id AND j.cause <> 'restore'), restored = 0; DELETE FROM journal WHERE cause = 'restore'"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 12; seed++ {
				if wrong := play(t, plan(seed).WithRestores(), Fault{Rule: spoiled(f.sql)}).Wrong; len(wrong) > 0 {
					t.Logf("seed %d: %.300s", seed, fmt.Sprint(wrong[0]))
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}
