package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"lockstep/internal/mail"
)

// sumKey is the metadata that holds the SHA-256 of a whole object, in hexadecimal.
const sumKey = "sha256"

// maxParts is how many parts an upload may have.
const maxParts = 10_000

// abortTime is how long taking back an upload may take, also when the caller's
// time is over.
const abortTime = 10 * time.Second

// Put stores an object. The bytes are read twice: once for their checksums, which
// S3 wants to know before it gets them. An object larger than a part takes a request
// for each part and two more, any other takes one. When it fails, the object is as
// it was before, or, where only the answer was lost, it is the new one, whole.
func (t *Bucket) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	_, err := t.put(ctx, name, r, size, nil)
	return err
}

// Absent is the tag of an object that is not there.
const Absent = ""

// Tag names what an object contains.
func (t *Bucket) Tag(ctx context.Context, name string) (string, error) {
	if err := t.checkName(name); err != nil {
		return "", err
	}
	out, err := t.head(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Absent, nil
	}
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// PutIf is Put for an object whose tag still is the one that is given, and fails
// with mail.Conflict otherwise. It returns the new tag. The object has to fit a part.
// When it fails with mail.Unavailable, somebody has to look whether it was put.
func (t *Bucket) PutIf(ctx context.Context, name string, r io.ReadSeeker, size int64, tag string) (string, error) {
	if size > t.cfg.PartSize {
		return "", mail.Errorf(mail.Limit, "%s: %d bytes can't be put at once on a condition", name, size)
	}
	return t.put(ctx, name, r, size, &tag)
}

// Create is Put for an object that is not there yet, of any size: another one of that
// name is mail.Conflict, while one with the same bytes is taken for what an earlier
// attempt put.
func (t *Bucket) Create(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	absent := Absent
	_, err := t.put(ctx, name, r, size, &absent)
	return err
}

func (t *Bucket) put(ctx context.Context, name string, r io.ReadSeeker, size int64, tag *string) (string, error) {
	if err := t.checkName(name); err != nil {
		return "", err
	}
	b, err := t.sum(ctx, r, size)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(b.parts) > 1 {
		return "", t.putParts(ctx, name, b, tag != nil)
	}
	return t.putOnce(ctx, name, b, tag)
}

// body is what is put, and its checksums.
type body struct {
	r        io.ReadSeeker
	size     int64
	partSize int64
	whole    string   // SHA-256, hexadecimal
	parts    []string // of each part
}

// sum reads r to its end, which has to come after size bytes.
func (t *Bucket) sum(ctx context.Context, r io.ReadSeeker, size int64) (*body, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	b := &body{r: r, size: size, partSize: max(t.cfg.PartSize, (size+maxParts-1)/maxParts)}
	whole := sha256.New()
	for at := int64(0); at < size || at == 0; at += b.partSize {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		part := sha256.New()
		if _, err := io.CopyN(io.MultiWriter(whole, part), r, min(b.partSize, size-at)); err == io.EOF {
			return nil, mail.Errorf(mail.Internal, "fewer than the %d bytes that were announced", size)
		} else if err != nil {
			return nil, err
		}
		b.parts = append(b.parts, hex.EncodeToString(part.Sum(nil)))
	}
	b.whole = hex.EncodeToString(whole.Sum(nil))
	return b, nil
}

// part is the nth part, from 0 on.
func (b *body) part(n int) *section {
	from := int64(n) * b.partSize
	return &section{r: b.r, from: from, size: min(b.partSize, b.size-from)}
}

// section is a part of a larger reader, for one request at a time.
type section struct {
	r        io.ReadSeeker
	from, at int64
	size     int64
	placed   bool // r is where at says
}

func (s *section) Read(p []byte) (int, error) {
	if s.at >= s.size {
		return 0, io.EOF
	}
	if !s.placed {
		if _, err := s.r.Seek(s.from+s.at, io.SeekStart); err != nil {
			return 0, err
		}
		s.placed = true
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.size-s.at)])
	s.at += int64(n)
	if err == io.EOF && s.at < s.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *section) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return s.at, mail.Errorf(mail.Internal, "before the beginning")
	}
	s.at, s.placed = offset, false
	return s.at, nil
}

// signed signs a request over a checksum that is known already.
func signed(sum string) func(*s3.Options) {
	set := middleware.InitializeMiddlewareFunc("PayloadHash", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(v4.SetPayloadHash(ctx, sum), in)
	})
	return s3.WithAPIOptions(func(stack *middleware.Stack) error { return stack.Initialize.Add(set, middleware.Before) })
}

func (t *Bucket) putOnce(ctx context.Context, name string, b *body, tag *string) (string, error) {
	in := &s3.PutObjectInput{
		Bucket: &t.cfg.Bucket, Key: aws.String(t.key(name)), Body: b.part(0), ContentLength: &b.size,
		Metadata: map[string]string{sumKey: b.whole},
	}
	if tag != nil && *tag == Absent {
		in.IfNoneMatch = aws.String("*")
	} else if tag != nil {
		in.IfMatch = tag
	}
	out, err := t.client.PutObject(ctx, in, signed(b.whole))
	if err != nil {
		err = t.tell(ctx, "s3:PutObject", name, err)
		if tag == nil || mail.KindOf(err) != mail.Conflict {
			return "", err
		}
		return t.afterAll(ctx, name, b, err)
	}
	return aws.ToString(out.ETag), nil
}

// afterAll looks whether what conflicts is our own object: when an answer was lost,
// the second attempt meets the first.
func (t *Bucket) afterAll(ctx context.Context, name string, b *body, conflict error) (string, error) {
	head, err := t.head(ctx, name)
	if err == nil && head.Metadata[sumKey] == b.whole && aws.ToInt64(head.ContentLength) == b.size {
		return aws.ToString(head.ETag), nil
	}
	return "", conflict
}

func (t *Bucket) head(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	out, err := t.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &t.cfg.Bucket, Key: aws.String(t.key(name))})
	return out, t.tell(ctx, "s3:GetObject", name, err)
}

// putParts uploads the parts, one after the other, and makes the object of them, if
// asked to only where none is.
func (t *Bucket) putParts(ctx context.Context, name string, b *body, absent bool) (err error) {
	begun, err := t.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &t.cfg.Bucket, Key: aws.String(t.key(name)), Metadata: map[string]string{sumKey: b.whole},
	})
	if err != nil {
		return t.tell(ctx, "s3:PutObject", name, err)
	}
	defer func() {
		if err != nil {
			t.abort(ctx, t.key(name), aws.ToString(begun.UploadId))
		}
	}()
	var done []types.CompletedPart
	for n, sum := range b.parts {
		p := b.part(n)
		number := aws.Int32(int32(n) + 1)
		out, err := t.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &t.cfg.Bucket, Key: begun.Key, UploadId: begun.UploadId, PartNumber: number, Body: p, ContentLength: &p.size,
		}, signed(sum))
		if err != nil {
			return t.tell(ctx, "s3:PutObject", name, err)
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: number})
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &t.cfg.Bucket, Key: begun.Key, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	}
	if absent {
		in.IfNoneMatch = aws.String("*")
	}
	out, err := t.client.CompleteMultipartUpload(ctx, in)
	if err == nil && attemptsOf(out.ResultMetadata) > 1 {
		return t.assembled(ctx, name, b)
	}
	again := codeOf(err) == "NoSuchUpload" // perhaps it was completed, and the answer lost
	err = t.tell(ctx, "s3:PutObject", name, err)
	if again || absent && mail.KindOf(err) == mail.Conflict {
		_, err = t.afterAll(ctx, name, b, err)
	}
	return err
}

// attemptsOf is how often a request was made until there was this answer.
func attemptsOf(answer middleware.Metadata) int {
	all, _ := retry.GetAttemptResults(answer)
	return len(all.Results)
}

// assembled waits until the object is there. Some servers (versitygw 1.8) answer who asks
// for its completion again that it is done, while the first request, which nobody waits
// for any more, still puts the parts together.
func (t *Bucket) assembled(ctx context.Context, name string, b *body) error {
	for failed := 1; ; failed++ {
		_, err := t.afterAll(ctx, name, b, mail.Errorf(mail.Unavailable, "%s: the server says that %s is complete, and it is not there: try again later", t, name))
		if err == nil || failed == t.cfg.Attempts {
			return err
		}
		if err := t.cfg.wait(ctx, failed); err != nil {
			return err
		}
	}
}

// abort takes an upload back. Where it can't, or a part was about to arrive that the
// server keeps all the same, a later Sweep does.
func (t *Bucket) abort(ctx context.Context, key, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, _ = t.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &t.cfg.Bucket, Key: &key, UploadId: &upload})
}

// Sweep takes back what killed processes began below the prefix and is older than
// LeftoverAge: parts of an upload that nobody completes cost money and are in no list.
// One page of them is enough for each run. Where the credentials may not list them, a
// rule of the bucket has to do it.
func (t *Bucket) Sweep(ctx context.Context) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &t.cfg.Bucket}
	if t.cfg.Prefix != "" {
		in.Prefix = aws.String(t.cfg.Prefix + "/")
	}
	out, err := t.client.ListMultipartUploads(ctx, in)
	if err != nil {
		err = t.tell(ctx, "s3:ListBucketMultipartUploads", "", err)
		if k := mail.KindOf(err); k == mail.Denied || k == mail.Unimplemented || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, u := range out.Uploads {
		if u.Initiated != nil && time.Since(*u.Initiated) > t.cfg.LeftoverAge {
			t.abort(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId))
		}
	}
	return nil
}
