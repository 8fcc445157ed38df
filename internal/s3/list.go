package s3

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lockstep/internal/mail"
)

// List tells of each object below the prefix, by name, at the cost of a request for
// each thousand. Objects that nobody here would name so are somebody else's and left
// out.
func (t *Bucket) List(ctx context.Context, prefix string, fn func(name string, size int64, modified time.Time) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &t.cfg.Bucket, Prefix: aws.String(t.key(prefix)), EncodingType: types.EncodingTypeUrl}
	last := ""
	for {
		out, err := t.client.ListObjectsV2(ctx, in)
		if err != nil {
			return t.tell(ctx, "s3:ListBucket", prefix, err)
		}
		for _, o := range out.Contents {
			found, ours := t.name(o)
			if !ours || !strings.HasPrefix(found, prefix) {
				continue
			}
			if found <= last {
				return mail.Errorf(mail.Unimplemented, "%s lists %s after %s: a server is needed that lists by name", t, found, last)
			}
			last = found
			if err := fn(found, aws.ToInt64(o.Size), aws.ToTime(o.LastModified)); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if out.NextContinuationToken == nil || aws.ToString(out.NextContinuationToken) == aws.ToString(in.ContinuationToken) {
			return mail.Errorf(mail.Unimplemented, "%s does not say how its list goes on", t)
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// name is what an object of a list is called here, if it may be ours.
func (t *Bucket) name(o types.Object) (string, bool) {
	name, err := url.QueryUnescape(aws.ToString(o.Key))
	if err != nil {
		return "", false
	}
	if t.cfg.Prefix != "" {
		rest, ok := strings.CutPrefix(name, t.cfg.Prefix+"/")
		if !ok {
			return "", false
		}
		name = rest
	}
	return name, ValidName(name)
}

// Delete removes an object.
func (t *Bucket) Delete(ctx context.Context, name string) error {
	if err := t.checkName(name); err != nil {
		return err
	}
	_, err := t.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &t.cfg.Bucket, Key: aws.String(t.key(name))})
	if isMissing(err) {
		return nil
	}
	return t.tell(ctx, "s3:DeleteObject", name, err)
}
