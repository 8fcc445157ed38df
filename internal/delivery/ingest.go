package delivery

import (
	"context"
	"fmt"
	"io"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// Ingest takes a message in: what r gives becomes a blob that is durable before it
// is committed, and what it says an Arrival that can be appended until the blob's handle expires. An error
// of r is returned as it is. Bad mail is no error.
func (s *Service) Ingest(ctx context.Context, r io.Reader) (mail.Arrival, error) {
	in, err := s.receive(r)
	if err != nil {
		return mail.Arrival{}, err
	}
	defer in.close()
	return s.put(ctx, in)
}

// receive spools what r gives.
func (s *Service) receive(r io.Reader) (*spool, error) {
	in := newSpool(s.SpoolDir)
	if _, err := io.Copy(in, r); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// put parses a spooled message and stores it, durable before it is committed.
func (s *Service) put(ctx context.Context, in *spool) (mail.Arrival, error) {
	return s.putParsed(ctx, in, true)
}

// putNow is put that returns when the message is durable.
func (s *Service) putNow(ctx context.Context, in *spool) (mail.Arrival, error) {
	return s.putParsed(ctx, in, false)
}

func (s *Service) putParsed(ctx context.Context, in *spool, soon bool) (mail.Arrival, error) {
	m, err := message.Parse(in.reader())
	if err != nil {
		return mail.Arrival{}, fmt.Errorf("spooled message: %w", err)
	}
	cuts, err := message.Cuts(in, m)
	if err != nil {
		return mail.Arrival{}, fmt.Errorf("spooled message: %w", err)
	}
	b, parts, err := s.Blobs.Put(ctx, in.reader(), blob.PutOptions{HeaderSize: m.Root.HeaderSize, Cuts: blobCuts(cuts), Soon: soon, Arrives: true})
	if err != nil {
		return mail.Arrival{}, err
	}
	return mail.Arrival{
		Blob: b, Parts: parts,
		SentAt: m.Envelope.SentAt, MessageID: m.ID, References: m.References,
		BaseSubject: m.BaseSubject, IsReply: m.IsReply,
		Parsed: message.Encode(m), Preview: m.Preview, DraftID: m.DraftID,
	}, nil
}

// putWhole makes a spooled message durable without cutting parts out.
func (s *Service) putWhole(ctx context.Context, in *spool) (mail.Blob, error) {
	b, _, err := s.Blobs.Put(ctx, in.reader(), blob.PutOptions{})
	return b, err
}

// maxCutLine is the longest line of base64 that the blob store cuts; its lines
// are whole groups of four.
const maxCutLine = 996

func blobCuts(cuts []message.Cut) []blob.Cut {
	var out []blob.Cut
	for _, c := range cuts {
		if c.LineLen%4 != 0 || c.LineLen > maxCutLine {
			continue
		}
		eol := "\n"
		if c.CRLF {
			eol = "\r\n"
		}
		out = append(out, blob.Cut{Offset: c.Offset, Length: c.Length, LineLen: c.LineLen, EOL: eol})
	}
	return out
}
