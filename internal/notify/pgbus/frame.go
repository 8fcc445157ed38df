package pgbus

import (
	"encoding/base64"
	"encoding/binary"

	"lockstep/internal/notify"
)

// A frame is what one notification carries: words of one node.
type frame struct {
	node  nodeID
	seq   uint64 // of this node's frames; whoever misses one knows
	gap   bool   // words of this node were lost
	words []notify.Word
}

type nodeID [8]byte

// A payload is text of less than 8000 bytes (NOTIFY in PostgreSQL's manual), so
// frames are written in base64.
const (
	maxPayload   = 7999
	maxFrame     = maxPayload / 4 * 3
	frameVersion = 1
	frameHead    = 1 + len(nodeID{}) + binary.MaxVarintLen64 + 1
)

// pack makes as few frames of words as they fit into, one at least. Seq is that of the
// last frame before.
func pack(node nodeID, seq uint64, gap bool, words []notify.Word) (payloads []string, last uint64) {
	var room [maxFrame]byte
	begin := func() []byte {
		seq++
		b := append(append(room[:0], frameVersion), node[:]...)
		b = binary.AppendUvarint(b, seq)
		if gap {
			gap = false
			return append(b, 1)
		}
		return append(b, 0)
	}
	b := begin()
	for _, w := range words {
		if len(b)+wordSize(w) > maxFrame {
			payloads = append(payloads, base64.RawStdEncoding.EncodeToString(b))
			b = begin()
		}
		b = binary.AppendUvarint(b, uint64(len(w.Topic)))
		b = append(b, w.Topic...)
		b = binary.AppendUvarint(b, uint64(len(w.Body)))
		b = append(b, w.Body...)
	}
	return append(payloads, base64.RawStdEncoding.EncodeToString(b)), seq
}

// wordSize is how much a word takes at most.
func wordSize(w notify.Word) int { return len(w.Topic) + len(w.Body) + 4 }

// parse reads a payload; false if it is none, or of another version.
func parse(payload string) (f frame, ok bool) {
	if len(payload) > maxPayload {
		return f, false
	}
	b, err := base64.RawStdEncoding.DecodeString(payload)
	if err != nil || len(b) < frameHead-binary.MaxVarintLen64+1 || b[0] != frameVersion {
		return f, false
	}
	b = b[1+copy(f.node[:], b[1:]):]
	seq, n := binary.Uvarint(b)
	if n <= 0 || len(b) == n || b[n] > 1 {
		return f, false
	}
	f.seq, f.gap, b = seq, b[n] == 1, b[n+1:]
	for len(b) > 0 {
		var topic, body []byte
		if topic, b, ok = piece(b, notify.MaxTopic); !ok {
			return f, false
		}
		if body, b, ok = piece(b, notify.MaxWord); !ok {
			return f, false
		}
		f.words = append(f.words, notify.Word{Topic: string(topic), Body: body})
	}
	return f, true
}

// piece reads bytes that their number goes before.
func piece(b []byte, most uint64) (is, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > most || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	b = b[n:]
	return b[:size:size], b[size:], true
}
