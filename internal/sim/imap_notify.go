package sim

import (
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/imap/reply"
	"lockstep/internal/mail"
)

// notifyCommand asks for everything that happens (RFC 5465 §3.1): at once in the
// selected mailbox, by STATUS in all others.
const notifyCommand = "NOTIFY SET STATUS (SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange))" +
	" (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))"

// noted is a mailbox as NOTIFY tells of it.
type noted struct{ messages, unseen int }

// isOthers reports whether a mailbox is somebody else's.
func isOthers(name string) bool { return strings.HasPrefix(name, mail.OtherUsers+mail.Delimiter) }

// notedName takes in that a name came, went or changed (RFC 5465 §5.4).
func (d *imapDevice) notedName(r reply.Response) {
	name, _ := r.Args[2].(string)
	if d.noted == nil || isOthers(name) {
		return
	}
	if slices.ContainsFunc(reply.Strings(r.Args[0]), func(a string) bool { return strings.EqualFold(a, `\NonExistent`) }) {
		delete(d.noted, name)
		return
	}
	if old := oldName(r); old != "" {
		d.noted[name] = d.noted[old]
		delete(d.noted, old)
		if b := d.boxNamed(old); b != nil {
			b.name = name
		}
	}
	if _, known := d.noted[name]; !known {
		d.noted[name] = noted{}
	}
}

// oldName is what LIST says a mailbox was called (RFC 5465 §5.4).
func oldName(r reply.Response) string {
	for _, extended := range r.Args[3:] {
		if old, ok := reply.Pairs(extended)["OLDNAME"]; ok {
			return strings.Join(reply.Strings(old), "")
		}
	}
	return ""
}

// notedStatus takes in a STATUS that was not asked for.
func (d *imapDevice) notedStatus(name string, items map[string]any) {
	if d.noted == nil || isOthers(name) {
		return
	}
	n := d.noted[name]
	for item, to := range map[string]*int{"MESSAGES": &n.messages, "UNSEEN": &n.unseen} {
		if s, ok := items[item].(string); ok {
			*to = int(number(s))
		}
	}
	d.noted[name] = n
}

// notedOpen takes down how the selected mailbox is left.
func (d *imapDevice) notedOpen() {
	if d.open == nil {
		return
	}
	if _, there := d.noted[d.open.name]; there {
		d.noted[d.open.name] = noted{len(d.view), d.open.unread()}
	}
}

// notedListed takes down what LIST says of everything.
func (d *imapDevice) notedListed() {
	if d.noted == nil {
		return
	}
	clear(d.noted)
	for name, l := range d.listed {
		if !isOthers(name) {
			d.noted[name] = noted{l.messages, l.unseen}
		}
	}
	d.stale = false
}

// unnoticed says where what NOTIFY told differs from what is there.
func (d *imapDevice) unnoticed(t Truth) (out []string) {
	is := map[string]noted{}
	for id, b := range t {
		if isOthers(b.Name) || id == d.open.id {
			continue
		}
		is[b.Name] = noted{len(b.Letters), b.unread()}
		if have, ok := d.noted[b.Name]; !ok {
			out = append(out, b.Name+": is not shown")
		} else if have != is[b.Name] {
			out = append(out, fmt.Sprintf("%s: shown are %d messages, %d unseen, there are %d and %d", b.Name, have.messages, have.unseen, len(b.Letters), b.unread()))
		}
	}
	for name := range d.noted {
		if _, ok := is[name]; !ok && name != d.open.name {
			out = append(out, name+": is still shown")
		}
	}
	if slices.Contains(d.view, 0) {
		out = append(out, d.open.name+": a new message was counted and not told")
	}
	slices.Sort(out)
	return out
}
