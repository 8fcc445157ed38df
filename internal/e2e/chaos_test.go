package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/notify/natsbus/natstest"
	"lockstep/internal/sim"
	"lockstep/internal/store/sqlstore/pgtest"
)

// chaosTime is how long devices work while things go wrong; CHAOSTIME says otherwise.
const chaosTime = 45 * time.Second

func chaosLasts(t *testing.T) time.Duration {
	text := os.Getenv("CHAOSTIME")
	if text == "" {
		return chaosTime
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal("CHAOSTIME: ", err)
	}
	return d
}

// Devices of every protocol work at three nodes, which are killed while what they
// share fails: in the end all hold the same, all that was acknowledged is there, and
// nothing is there twice.
func TestThreeNodesSurviveWhatTheyStandOn(t *testing.T) {
	bucket := s3test.Start(t)
	way := s3test.NewProxy(t, bucket.Address, 7)
	nats := natstest.Start(t, nil)
	db := pgtest.Own(t)
	report, err := sim.Soak(t.Context(), sim.SoakOptions{
		Binary: binary, Dir: t.TempDir(), Devices: 34, Duration: chaosLasts(t), Seed: 7, Kills: true, Nodes: 3, Progress: testLog{t},
		Database: db.URL, Cluster: clusterOf(way.Endpoint(), bucket.SecretFile, nats.URL),
		Nuisances: []sim.Nuisance{
			{Name: "PostgreSQL is restarted", Do: func(context.Context) error { return db.Restart("fast") }},
			{Name: "NATS is cut", Do: func(context.Context) error {
				nats.Stop()
				time.AfterFunc(3*time.Second, nats.Again)
				return nil
			}},
			{Name: "PostgreSQL crashes", Do: func(context.Context) error { return db.Restart("immediate") }},
			{Name: "the bucket fails", Do: func(context.Context) error {
				way.Harm(0.5, 4000)
				time.AfterFunc(4*time.Second, func() { way.Harm(0, 0) })
				return nil
			}},
		},
	})
	tellOf(t, report, err)
}

// A standby that lacks the last commits is promoted under load: what was lost with
// them is gone, but all devices hold the same in the end.
func TestThreeNodesSurviveAFailover(t *testing.T) {
	bucket := s3test.Start(t)
	nats := natstest.Start(t, nil)
	primary, standby := pgtest.Pair(t)
	way := pgtest.NewRoad(t, primary)
	over := false
	report, err := sim.Soak(t.Context(), sim.SoakOptions{
		Binary: binary, Dir: t.TempDir(), Devices: 17, Duration: 25 * time.Second, Seed: 8, Nodes: 3, Progress: testLog{t},
		Database: way.URL, Cluster: clusterOf(bucket.Endpoint(), bucket.SecretFile, nats.URL),
		Nuisances: []sim.Nuisance{{Name: "PostgreSQL fails over to a standby", Loses: true, Do: func(context.Context) error {
			if over {
				return nil
			}
			over = true
			standby.Pause(t)
			time.Sleep(500 * time.Millisecond) // in which commits are acknowledged that the standby never hears of
			primary.Stop()
			standby.Promote(t)
			way.LeadTo(standby.Server)
			return nil
		}}},
	})
	tellOf(t, report, err)
	if !over {
		t.Error("the standby was never promoted")
	}
}

func clusterOf(endpoint, secretFile, nats string) string {
	return fmt.Sprintf("blobs = \"s3://%s/mail\"\nnotify = %q\n[cluster.s3]\nendpoint = %q\nregion = %q\npath_style = true\naccess_key = %q\nsecret_key_file = %q\n",
		s3test.Bucket, nats, endpoint, s3test.Region, s3test.AccessKey, secretFile)
}

func tellOf(t *testing.T, r *sim.SoakReport, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d devices: %d acts, %d letters, %d kills, %d broken connections", r.Devices, r.Acts, r.Letters, r.Kills, r.Breaks)
	for _, s := range r.Served {
		t.Logf("a letter was taken again after %v: %s", s.Took.Round(time.Millisecond), s.After)
	}
	for _, w := range r.Wrong {
		t.Error(w)
	}
	if r.Acts == 0 || r.Letters == 0 || len(r.Served) == 0 {
		t.Error("nothing was done")
	}
}

// testLog writes progress into the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}
