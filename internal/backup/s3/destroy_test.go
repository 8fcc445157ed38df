package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/mail"
)

// client speaks to the server as its owner.
func client(srv *s3test.Server) *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: aws.String(srv.Endpoint()), UsePathStyle: true, Region: s3test.Region,
		Credentials: credentials.NewStaticCredentialsProvider(s3test.AccessKey, s3test.Secret, ""),
	})
}

// versions counts what the bucket keeps under a key, markers of removal included.
func versions(t *testing.T, c *awss3.Client, bucket, key string) int {
	t.Helper()
	out, err := c.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range out.Versions {
		if *v.Key == key {
			n++
		}
	}
	for _, m := range out.DeleteMarkers {
		if *m.Key == key {
			n++
		}
	}
	return n
}

// A bucket that keeps versions keeps what is removed. What is destroyed it does not.
func TestDestroyedIsGoneFromVersionedBuckets(t *testing.T) {
	srv := s3test.Start(t)
	c := client(srv)
	to := open(t, config(srv, "p"))
	if err := targettest.Put(t.Context(), to, "sets/old/key", []byte("from before there were versions")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: aws.String(s3test.Bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, name := range []string{"sets/old/key", "sets/old/key2"} {
			if err := targettest.Put(t.Context(), to, name, []byte("a key")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := to.Delete(t.Context(), "sets/old/key"); err != nil {
		t.Fatal(err)
	}
	if n := versions(t, c, s3test.Bucket, "p/sets/old/key"); n != 5 {
		t.Fatalf("%d versions are kept, want 4 and a marker", n)
	}
	for range 2 {
		if err := to.Destroy(t.Context(), "sets/old/key"); err != nil {
			t.Error(err)
		}
		if n := versions(t, c, s3test.Bucket, "p/sets/old/key"); n != 0 {
			t.Errorf("%d versions are kept", n)
		}
	}
	if n := versions(t, c, s3test.Bucket, "p/sets/old/key2"); n != 3 {
		t.Errorf("%d versions are kept of the other, want 3", n)
	}
}

func TestDestroyedIsGoneFromOtherBuckets(t *testing.T) {
	srv := s3test.Start(t)
	to := open(t, config(srv, "p"))
	for range 2 {
		if err := targettest.Put(t.Context(), to, "key", []byte("a key")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := to.Destroy(t.Context(), "key"); err != nil {
			t.Error(err)
		}
		if n := versions(t, client(srv), s3test.Bucket, "p/key"); n != 0 {
			t.Errorf("%d versions are kept", n)
		}
	}
	if err := to.Destroy(t.Context(), "../key"); mail.KindOf(err) != mail.Invalid {
		t.Error(err)
	}
}

// What is locked can't be destroyed, and whoever tries is told.
func TestLockedIsNotDestroyed(t *testing.T) {
	srv := s3test.Start(t)
	c := client(srv)
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("locked"), ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	cfg := config(srv, "p")
	cfg.Bucket = "locked"
	to := open(t, cfg)
	if err := targettest.Put(t.Context(), to, "key", []byte("a key")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObjectRetention(t.Context(), &awss3.PutObjectRetentionInput{Bucket: &cfg.Bucket, Key: aws.String("p/key"), Retention: &types.ObjectLockRetention{
		Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: aws.Time(time.Now().Add(time.Hour)),
	}}); err != nil {
		t.Fatal(err)
	}
	if err := to.Destroy(t.Context(), "key"); mail.KindOf(err) != mail.Denied || !strings.Contains(err.Error(), "lock") {
		t.Errorf("%v: %v", mail.KindOf(err), err)
	}
	if n := versions(t, c, cfg.Bucket, "p/key"); n == 0 {
		t.Error("it is gone: the test shows nothing")
	}
}
