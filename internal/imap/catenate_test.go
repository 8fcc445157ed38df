package imap

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

func TestCatenateHasBounds(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.Limits.Message = 1000 })
	h.put("INBOX", "Subject: x\r\n\r\n"+strings.Repeat("0123456789", 60), mail.Flags{}, 1, 0)
	c := dial(t, h.addr).ready().login()
	piece := ` URL "/INBOX/;UID=1/;SECTION=TEXT/;PARTIAL=0.2"`
	c.must("APPEND INBOX CATENATE (" + strings.Repeat(piece, maxCatParts)[1:] + ")")
	c.refused("APPEND INBOX CATENATE ("+strings.Repeat(piece, maxCatParts+1)[1:]+")", "NO [LIMIT]")
	c.must(fmt.Sprintf("APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;SECTION=TEXT\" TEXT {400+}\r\n%s)", strings.Repeat("x", 400)))
	c.refused(fmt.Sprintf("APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;SECTION=TEXT\" TEXT {401+}\r\n%s)", strings.Repeat("x", 401)), "NO [TOOBIG]")
	c.refused(`APPEND INBOX CATENATE (URL "/INBOX/;UID=1/;SECTION=TEXT" URL "/INBOX/;UID=1/;SECTION=TEXT")`, "NO [TOOBIG]")
	long := "/" + strings.Repeat("m", 2*maxSaidURL) + "/;UID=1"
	lines := c.run(`APPEND INBOX CATENATE (URL "` + long + `")`)
	if last := lines[len(lines)-1]; !strings.Contains(last, `NO [BADURL "`+long[:maxSaidURL]+`"]`) {
		t.Errorf("%q", last)
	}
}

// measuredBlobs notes the largest read of a body.
type measuredBlobs struct {
	Blobs
	most int
}

type measuredBody struct {
	Body
	b *measuredBlobs
}

func (b *measuredBlobs) Open(ctx context.Context, blob mail.Blob) (Body, error) {
	body, err := b.Blobs.Open(ctx, blob)
	return measuredBody{body, b}, err
}

func (m measuredBody) ReadAt(p []byte, off int64) (int, error) {
	m.b.most = max(m.b.most, len(p))
	return m.Body.ReadAt(p, off)
}

// A piece goes from where it lies to where it will lie as it is read.
func TestCatenateHoldsNoBody(t *testing.T) {
	blobs := &measuredBlobs{}
	h := newHouse(t, func(s *Server) {
		blobs.Blobs, s.Blobs = s.Blobs, blobs
		ingest := s.Ingest
		s.Ingest = func(ctx context.Context, r io.Reader, size int64) (mail.Arrival, error) {
			n, err := io.Copy(io.Discard, r)
			if err != nil || n < 1<<20 {
				return ingest(ctx, strings.NewReader("x"), 1)
			}
			text := fmt.Sprintf("Subject: %d\r\n\r\n", n)
			return ingest(ctx, strings.NewReader(text), int64(len(text)))
		}
	})
	h.put("INBOX", "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcdef", 1<<16), mail.Flags{}, 1, 0)
	c := dial(t, h.addr).ready().login()
	c.must(`APPEND INBOX CATENATE (URL "/INBOX/;UID=1" URL "/INBOX/;UID=1/;SECTION=TEXT")`)
	if most := blobs.most; most == 0 || most > 64<<10 {
		t.Errorf("%d bytes are read at once", most)
	}
	c.must("SELECT INBOX")
	if got := strings.Join(c.must("FETCH 2 BODY.PEEK[HEADER]"), "\n"); !strings.Contains(got, fmt.Sprint("Subject: ", 14+2<<20)) {
		t.Errorf("%q", got)
	}
}
