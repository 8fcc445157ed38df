package imap

import (
	"strconv"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// narrow appends FETCH responses of what the index knows.
type narrow struct {
	items   []wire.FetchItem
	view    *index.Version
	recent  mail.UIDSet // nil where nobody is told
	uidOnly bool        // RFC 9586 §3.3
}

func (f *fetcher) narrow() *narrow {
	n := &narrow{items: f.plan.items, view: f.view, uidOnly: f.uidOnly}
	if !f.rev2 {
		n.recent = f.session.sel.recent
	}
	return n
}

// append appends one line, without its end.
func (n *narrow) append(b []byte, seq uint32, e index.Entry) []byte {
	b = append(b, "* "...)
	if n.uidOnly {
		b = append(strconv.AppendUint(b, uint64(e.UID), 10), " UIDFETCH ("...)
	} else {
		b = append(strconv.AppendUint(b, uint64(seq), 10), " FETCH ("...)
	}
	for i := range n.items {
		if i > 0 {
			b = append(b, ' ')
		}
		switch n.items[i].Kind {
		case wire.FetchUID:
			b = strconv.AppendUint(append(b, "UID "...), uint64(e.UID), 10)
		case wire.FetchFlags:
			b = append(n.appendFlags(append(b, "FLAGS ("...), e), ')')
		case wire.FetchModSeq:
			b = append(strconv.AppendUint(append(b, "MODSEQ ("...), uint64(e.ModSeq), 10), ')')
		}
	}
	return append(b, ')')
}

func (n *narrow) appendFlags(b []byte, e index.Entry) []byte {
	text := n.view.FlagText(e)
	b = append(b, text...)
	if len(n.recent) == 0 || !n.recent.Contains(e.UID) {
		return b
	}
	if text != "" {
		b = append(b, ' ')
	}
	return append(b, `\Recent`...)
}
