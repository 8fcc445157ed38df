package imap

import (
	"iter"
	"slices"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// finding is what a search found, as UIDs or as sequence numbers, whose set has
// the same form.
type finding struct {
	set   mail.UIDSet
	order []mail.UID // of a SORT: all of the set, in its order; else nil
}

func (f finding) len() int {
	if f.order != nil {
		return len(f.order)
	}
	return int(f.set.Count())
}

// first and last are of a finding that is not empty.
func (f finding) first() mail.UID {
	if f.order != nil {
		return f.order[0]
	}
	return f.set[0].First
}

func (f finding) last() mail.UID {
	if f.order != nil {
		return f.order[len(f.order)-1]
	}
	return f.set[len(f.set)-1].Last
}

func (f finding) all() iter.Seq[mail.UID] {
	if f.order != nil {
		return slices.Values(f.order)
	}
	return f.set.All()
}

// part is the finding at some places (RFC 9394 §3.1).
func (f finding) part(r wire.PartialRange) finding {
	lo, hi := r.Of(f.len())
	if f.order != nil {
		order := f.order[lo:hi:hi]
		return finding{mail.MakeUIDSet(order...), order}
	}
	var set mail.UIDSet
	for _, r := range f.set {
		if hi <= 0 {
			break
		}
		n := int(r.Last-r.First) + 1
		if lo < n {
			set = append(set, mail.UIDRange{First: r.First + mail.UID(max(lo, 0)), Last: r.First + mail.UID(min(hi, n)-1)})
		}
		lo, hi = lo-n, hi-n
	}
	return finding{set: set}
}

// numbers turns UIDs into sequence numbers, unless the client asked for UIDs.
func (f finding) numbers(v *index.Version, byUID bool) finding {
	if byUID {
		return f
	}
	if f.order == nil {
		return finding{set: seqSet(v, f.set)}
	}
	order := make([]mail.UID, len(f.order))
	for i, uid := range f.order {
		order[i] = seqOf(v, uid)
	}
	return finding{order: order}
}

func seqOf(v *index.Version, uid mail.UID) mail.UID {
	seq, _ := v.Seq(uid)
	return mail.UID(seq)
}

// seqSet is the sequence numbers of those UIDs that v has.
func seqSet(v *index.Version, uids mail.UIDSet) (seqs mail.UIDSet) {
	for _, r := range uids {
		if lo, hi := v.Seqs(r.First, r.Last); lo <= hi {
			seqs.AddRange(mail.UID(lo), mail.UID(hi))
		}
	}
	return seqs
}

// say writes a finding that is not empty as a sequence-set in its order (RFC 5267
// §3.2).
func (f finding) say(out *wire.Encoder) {
	if f.order != nil {
		out.Sequence(f.order)
		return
	}
	out.UIDs(f.set)
}

// toSave is what $ means afterwards (RFC 5182 §2.4, RFC 9394 §3.2): all, or with
// MIN, MAX or PARTIAL and nothing that names all, those.
func (x *searcher) toSave(found finding, r *wire.SearchReturn) mail.UIDSet {
	if r.All || r.Count || !r.Min && !r.Max && r.Partial == nil || found.len() == 0 {
		return found.set
	}
	var out mail.UIDSet
	if r.Partial != nil {
		out = found.part(*r.Partial).set
	}
	if r.Min {
		out.Add(found.first())
	}
	if r.Max {
		out.Add(found.last())
	}
	return out
}

// sayPlain writes SEARCH or SORT (RFC 3501 §7.2.5, RFC 5256 §4).
func (x *searcher) sayPlain(name string, found finding, byUID bool) {
	out := x.enc.Star().Atom(name)
	for n := range found.numbers(x.view, byUID).all() {
		out.Number(uint64(n))
	}
	if x.hasModSeq && found.len() > 0 {
		out.Open().Atom("MODSEQ").Number(uint64(x.modseq)).Close()
	}
	out.End()
}

// sayExtended writes ESEARCH (RFC 4731, RFC 5267, RFC 9394).
func (x *searcher) sayExtended(found finding, q *query, from *mail.Mailbox) {
	out, ret := x.openESearch(q.tag, q.byUID, from), q.ret
	numbers := found.numbers(x.view, q.byUID)
	if numbers.len() > 0 {
		if ret.Min {
			out.Atom("MIN").Number(uint64(numbers.first()))
		}
		if ret.Max {
			out.Atom("MAX").Number(uint64(numbers.last()))
		}
		if ret.All {
			numbers.say(out.Atom("ALL"))
		}
	}
	if ret.Partial != nil {
		out.Atom("PARTIAL").Open().Atom(ret.Partial.String())
		if part := numbers.part(*ret.Partial); part.len() > 0 {
			part.say(out)
		} else {
			out.NIL()
		}
		out.Close()
	}
	if ret.Relevancy && numbers.len() > 0 {
		x.sayRelevancy(out, found, ret)
	}
	if ret.Count {
		out.Atom("COUNT").Number(uint64(numbers.len()))
	}
	if x.hasModSeq && found.len() > 0 {
		out.Atom("MODSEQ").Number(uint64(x.highest(x.toSave(found, ret))))
	}
	out.End()
}

// openESearch begins an ESEARCH response. A mailbox is named only when the answer
// is one of several mailboxes' (RFC 7377 §2.1).
func (s *session) openESearch(tag string, byUID bool, from *mail.Mailbox) *wire.Encoder {
	out := s.enc.Star().Atom("ESEARCH").Open().Atom("TAG").String(tag)
	if from != nil {
		out.Atom("MAILBOX").Mailbox(from.Path).Atom("UIDVALIDITY").Number(uint64(from.UIDValidity))
	}
	out.Close()
	if byUID {
		out.Atom("UID")
	}
	return out
}
