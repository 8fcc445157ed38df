package imap

import (
	varint "encoding/binary"

	"lockstep/internal/mail"
	"lockstep/internal/message/threads"
)

// appendThreadText appends what a thread depends on, as index.Texts remember it.
func appendThreadText(b []byte, m *threads.Message) []byte {
	b = varint.AppendVarint(b, m.SentAt)
	b = varint.AppendVarint(b, m.Arrived)
	reply := byte(0)
	if m.IsReply {
		reply = 1
	}
	b = append(b, reply)
	b = appendPiece(appendPiece(b, m.ID), string(m.Subject))
	for _, id := range m.Ancestry {
		b = appendPiece(b, id)
	}
	return b
}

func appendPiece(b []byte, s string) []byte {
	return append(varint.AppendUvarint(b, uint64(len(s))), s...)
}

// readThreadText reads what appendThreadText wrote, and shares it.
func readThreadText(uid mail.UID, text []byte) threads.Message {
	r := threadReader{text, string(text), 0}
	m := threads.Message{Number: uint32(uid), SentAt: r.number(), Arrived: r.number()}
	m.IsReply = text[r.at] == 1
	r.at++
	m.ID = r.piece()
	subject := r.piece()
	m.Subject = text[r.at-len(subject) : r.at : r.at]
	for r.at < len(text) {
		m.Ancestry = append(m.Ancestry, r.piece())
	}
	return m
}

type threadReader struct {
	b  []byte
	s  string // the same
	at int
}

func (r *threadReader) number() int64 {
	n, size := varint.Varint(r.b[r.at:])
	r.at += size
	return n
}

func (r *threadReader) piece() string {
	n, size := varint.Uvarint(r.b[r.at:])
	start := r.at + size
	r.at = start + int(n)
	return r.s[start:r.at]
}
