package imap

import (
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/mail"
)

// liveResult is what a client knows of a search that is updated: it only does what
// it is told, and at any moment has what a new search would find.
type liveResult struct {
	tag   string
	byUID bool
	again string // the search without UPDATE
	list  []uint32
	ended bool // what ends it is on its way: it may still be told, or not any more
}

var liveKeys = []string{"ALL", "UNSEEN", "FLAGGED", "KEYWORD $A", "UNDELETED", "OR SEEN UNKEYWORD $B", "NOT (SEEN FLAGGED)", "FROM c1",
	"UNSEEN SUBJECT c2", `TEXT "is c0"`, `OR FLAGGED BODY "is c3"`, "LARGER 700", "RECENT", "UID 3:*"}

var liveOrders = []string{"(SUBJECT)", "(REVERSE SUBJECT)", "(REVERSE SIZE)", "(FROM REVERSE ARRIVAL)", "(DISPLAYFROM REVERSE SIZE)", "(REVERSE FROM SUBJECT)"}

const mostLive = 3

// watch begins a search that is updated, holds one against a new one, or, if the
// command is sent at once, ends one.
func (c *tracker) watch(mayEnd bool) *order {
	n := c.rng.IntN(10)
	if len(c.live) == 0 || n < 4 && len(c.live) < mostLive {
		return c.beginLive()
	}
	l := c.live[c.rng.IntN(len(c.live))]
	if n == 9 && mayEnd {
		l.ended = true
		return &order{text: `CANCELUPDATE "` + l.tag + `"`, done: func(r response) {
			c.ok(r)
			c.live = slices.DeleteFunc(c.live, func(o *liveResult) bool { return o == l })
		}}
	}
	return c.checkLive(l)
}

func (c *tracker) beginLive() *order {
	l := &liveResult{byUID: c.qresync || c.rng.IntN(2) == 0} // without the UIDs of all, VANISHED moves numbers nobody can follow
	l.again = " " + liveKeys[c.rng.IntN(len(liveKeys))]
	if n := len(c.view); strings.Contains(l.again, "UID 3:*") && (n == 0 || c.view[n-1].uid < 3) {
		l.again = " ALL" // 3:* is 1:3 where UID 1 is the last, and another set afterwards
	}
	verb := "SEARCH"
	if c.rng.IntN(2) == 0 {
		verb, l.again = "SORT", " "+liveOrders[c.rng.IntN(len(liveOrders))]+" UTF-8"+l.again
	}
	if l.byUID {
		verb = "UID " + verb
	}
	o := &order{text: verb + " RETURN (ALL UPDATE)" + l.again, holds: !l.byUID, done: c.ok}
	l.again = verb + " RETURN (ALL)" + l.again
	o.hear = func(r response) {
		if r.word == "ESEARCH" && tagOf(r) == o.tag && c.liveOf(o.tag) == nil {
			l.tag, l.list = o.tag, c.allOf(r)
			c.live = append(c.live, l)
		}
	}
	return o
}

// endLive is that the mailbox is about to be left.
func (c *tracker) endLive() {
	for _, l := range c.live {
		l.ended = true
	}
}

// checkLive searches again.
func (c *tracker) checkLive(l *liveResult) *order {
	o := &order{text: l.again, holds: !l.byUID, done: c.ok}
	o.hear = func(r response) {
		if r.word == "ESEARCH" && tagOf(r) == o.tag {
			if now := c.allOf(r); !slices.Equal(now, l.list) {
				c.wrong("%s has become %v by what was told, and is %v", l.again, l.list, now)
			}
		}
	}
	return o
}

// checkAll searches again for all.
func (c *tracker) checkAll() {
	for _, l := range c.live {
		c.do(c.checkLive(l))
	}
}

func tagOf(r response) string { return r.args[0].([]any)[1].(string) }

func (c *tracker) liveOf(tag string) *liveResult {
	for _, l := range c.live {
		if l.tag == tag {
			return l
		}
	}
	return nil
}

// allOf is ALL of an ESEARCH response.
func (c *tracker) allOf(r response) []uint32 {
	for i, a := range r.args {
		if a == "ALL" {
			return c.expand(r.args[i+1].(string))
		}
	}
	return []uint32{}
}

// expand lists the numbers of a set in their order.
func (c *tracker) expand(set string) (list []uint32) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		lo, err1 := strconv.ParseUint(first, 10, 32)
		hi, err2 := lo, error(nil)
		if isRange {
			hi, err2 = strconv.ParseUint(last, 10, 32)
		}
		if err1 != nil || err2 != nil || lo > hi {
			c.wrong("%q is no set in order", set)
		}
		for ; lo <= hi; lo++ {
			list = append(list, uint32(lo))
		}
	}
	return list
}

// updated takes in an ESEARCH response that tells what changed.
func (c *tracker) updated(r response) {
	l := c.liveOf(tagOf(r))
	if l == nil {
		for _, a := range r.args {
			if a == "ADDTO" || a == "REMOVEFROM" {
				c.wrong("%s: that search is not updated", r.raw)
			}
		}
		return
	}
	if l.ended {
		return
	}
	if byUID := len(r.args) > 1 && r.args[1] == "UID"; byUID != l.byUID {
		c.wrong("%s: UIDs and numbers are mixed up", r.raw)
	}
	for i, a := range r.args {
		if a != "ADDTO" && a != "REMOVEFROM" {
			continue
		}
		places := r.args[i+1].([]any)
		for ; len(places) >= 2; places = places[2:] {
			at, _ := strconv.Atoi(places[0].(string))
			c.apply(l, a == "ADDTO", at, c.expand(places[1].(string)))
		}
	}
}

func (c *tracker) apply(l *liveResult, add bool, at int, numbers []uint32) {
	switch {
	case at == 0:
		for _, n := range numbers {
			i, found := slices.BinarySearch(l.list, n)
			if found == add || !l.byUID && add && int(n) > len(c.view) {
				c.wrong("%d comes or goes out of place, of %v", n, l.list)
			}
			if add {
				l.list = slices.Insert(l.list, i, n)
			} else {
				l.list = slices.Delete(l.list, i, i+1)
			}
		}
	case add && at <= len(l.list)+1:
		l.list = slices.Insert(l.list, at-1, numbers...)
	case !add && at-1+len(numbers) <= len(l.list) && slices.Equal(l.list[at-1:at-1+len(numbers)], numbers):
		l.list = slices.Delete(l.list, at-1, at-1+len(numbers))
	default:
		c.wrong("%v at %d can't come or go, of %v", numbers, at, l.list)
	}
}

// gone is that a message with a number and a UID has been told gone: results must
// have been told before, and numbers move.
func (c *tracker) gone(n int, uid mail.UID) {
	for _, l := range c.live {
		if l.ended {
			continue
		}
		if l.byUID && uid != 0 && slices.Contains(l.list, uint32(uid)) || !l.byUID && slices.Contains(l.list, uint32(n)) {
			c.wrong("message %d, UID %d is gone before it left the result %v", n, uid, l.list)
		}
		for i := range l.list {
			if !l.byUID && l.list[i] > uint32(n) {
				l.list[i]--
			}
		}
	}
}
