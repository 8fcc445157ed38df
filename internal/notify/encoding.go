package notify

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// newsVersion is the first byte of news between nodes. Who does not know it takes the
// news for a word that something happened.
const newsVersion = 1

// The bits of the second.
const (
	newsMany = 1 << iota
	newsLook
)

// AppendNews appends what other nodes are told of a commit.
func AppendNews(b []byte, n mail.News) []byte {
	var bits byte
	if n.Many {
		bits |= newsMany
	}
	if n.Look {
		bits |= newsLook
	}
	b = append(b, newsVersion, bits)
	b = binary.AppendUvarint(b, uint64(n.ModSeq))
	b = binary.AppendUvarint(b, uint64(n.Types))
	b = binary.AppendVarint(b, int64(n.Device))
	at := int64(0)
	if !n.At.IsZero() {
		at = n.At.UnixMicro()
	}
	b = binary.AppendVarint(b, at)
	b = binary.AppendUvarint(b, uint64(len(n.Mailboxes)))
	for _, mb := range n.Mailboxes {
		b = binary.AppendVarint(b, int64(mb))
	}
	return b
}

// ParseNews reads what AppendNews wrote; false if it is of another version, or damaged.
func ParseNews(b []byte) (n mail.News, ok bool) {
	if len(b) < 2 || b[0] != newsVersion || b[1]&^(newsMany|newsLook) != 0 {
		return n, false
	}
	n.Many, n.Look = b[1]&newsMany != 0, b[1]&newsLook != 0
	r := numbers{b: b[2:]}
	n.ModSeq = mail.ModSeq(r.unsigned())
	types := r.unsigned()
	n.Types = mail.TypeSet(types)
	n.Device = mail.DeviceID(r.signed())
	if at := r.signed(); at != 0 {
		n.At = time.UnixMicro(at)
	}
	count := r.unsigned()
	if r.bad || types>>32 != 0 || n.ModSeq == 0 || n.ModSeq>>63 != 0 || count > mail.MaxNewsMailboxes {
		return mail.News{}, false
	}
	for range count {
		n.Mailboxes = append(n.Mailboxes, mail.MailboxID(r.signed()))
	}
	if r.bad || len(r.b) > 0 {
		return mail.News{}, false
	}
	return n, true
}

// numbers reads one after the other, and notes when one is none.
type numbers struct {
	b   []byte
	bad bool
}

func (r *numbers) unsigned() uint64 {
	x, n := binary.Uvarint(r.b)
	r.skip(n)
	return x
}

func (r *numbers) signed() int64 {
	x, n := binary.Varint(r.b)
	r.skip(n)
	return x
}

func (r *numbers) skip(n int) {
	if n <= 0 {
		r.bad, n = true, len(r.b)
	}
	r.b = r.b[n:]
}

// Topics of News.
const (
	topicAccounts = "account.>"
	topicAccount  = "account."
)

func topicOf(a mail.AccountID) string { return topicAccount + strconv.FormatInt(int64(a), 10) }

// accountOf is what a topic says whose news it carries.
func accountOf(topic string) (mail.AccountID, bool) {
	id, is := strings.CutPrefix(topic, topicAccount)
	a, err := strconv.ParseInt(id, 10, 64)
	return mail.AccountID(a), is && err == nil && a > 0
}
