package jmap

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"lockstep/internal/mail"
)

// mailboxSettable are the properties that clients set.
var mailboxSettable = []string{"name", "parentId", "role", "sortOrder", "isSubscribed"}

// mailboxWish is what a mailbox is to become.
type mailboxWish struct {
	mail.MailboxImage
	subscribed bool
}

// plainObject is an object as encoding/json would read it.
func plainObject(o object) object {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // it is made of texts, numbers and truths
	}
	var plain object
	if err := json.Unmarshal(b, &plain); err != nil {
		panic(err)
	}
	return plain
}

// onlySettable says what was changed that can't be: a property that does not exist,
// or one that the server sets, unless it is given as it is. Of a whole object none may
// be missing.
func onlySettable(now, then object, known, settable []string, whole bool) *setError {
	var wrong []string
	for name, v := range then {
		switch {
		case !slices.Contains(known, name):
			wrong = append(wrong, name)
		case !slices.Contains(settable, name):
			wrong = append(wrong, differing(name, now[name], v)...)
		}
	}
	for _, name := range known {
		if _, there := then[name]; whole && !there && !slices.Contains(settable, name) {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return invalidProperties("", wrong...)
}

// differing is a property if its values differ, or of objects the paths to what differs.
func differing(name string, now, then any) (all []string) {
	was, ok := now.(map[string]any)
	is, both := then.(map[string]any)
	if !ok || !both {
		if !reflect.DeepEqual(now, then) {
			all = append(all, name)
		}
		return all
	}
	for key := range is {
		if _, known := was[key]; !known {
			all = append(all, name+"/"+key)
		}
	}
	for key, v := range was {
		if w, there := is[key]; !there || !reflect.DeepEqual(v, w) {
			all = append(all, name+"/"+key)
		}
	}
	return all
}

// wish reads what a mailbox is to become; what is not said has its default. All that is
// wrong is told at once.
func (t *mailboxChanging) wish(o object, mb mail.Mailbox) (mailboxWish, error) {
	w := mailboxWish{MailboxImage: mail.MailboxImage{CommonSeen: mb.CommonSeen}}
	var wrong []string
	check := func(name string, ok bool) {
		if !ok {
			wrong = append(wrong, name)
		}
	}
	name, ok := o["name"].(string)
	w.Name = norm.NFC.String(name)
	if mb.Role == mail.RoleInbox && w.Name == shownName(mb) {
		w.Name = mb.Name
	}
	check("name", ok && isMailboxName(w.Name))

	parent, ok := textOrNull(o["parentId"])
	check("parentId", ok)
	if ok && parent != "" {
		above, err := t.find(parent)
		if _, isWrong := t.wrong(err); err != nil && !isWrong {
			return w, err
		}
		w.Parent = above.ID
		check("parentId", err == nil)
	}
	role, ok := textOrNull(o["role"])
	check("role", ok && (role == "" || slices.Contains(mailboxRoles, role)))
	w.Role = mail.Role(role)

	order, ok := numberOrNull(o["sortOrder"])
	check("sortOrder", ok && order >= 0 && order <= maxSortOrder && order == math.Trunc(order))
	if ok {
		w.SortOrder = uint32(order)
	}
	v, there := o["isSubscribed"]
	w.subscribed, ok = v.(bool)
	check("isSubscribed", ok || !there || v == nil)
	if len(wrong) > 0 {
		return w, invalidProperties("these properties have no value that they can have", wrong...)
	}
	return w, nil
}

// maxSortOrder is the greatest sortOrder (RFC 8621 §2).
const maxSortOrder = 1<<31 - 1

// isMailboxName reports whether a mailbox can be called so.
func isMailboxName(s string) bool {
	return s != "" && len(s) <= mail.MaxMailboxNameBytes && !strings.Contains(s, mail.Delimiter) && !strings.ContainsFunc(s, unicode.IsControl)
}

// textOrNull is a text that is not empty, or "" for null.
func textOrNull(v any) (string, bool) {
	if v == nil {
		return "", true
	}
	s, ok := v.(string)
	return s, ok && s != ""
}

func numberOrNull(v any) (float64, bool) {
	if v == nil {
		return 0, true
	}
	n, ok := v.(float64)
	return n, ok
}

// misfit says which property it was that the store did not take; id 0 is of a new
// mailbox.
func (t *mailboxChanging) misfit(err error, id mail.MailboxID, im mail.MailboxImage) error {
	switch mail.KindOf(err) {
	case mail.Exists:
		all, failed := t.tx.Mailboxes()
		if failed != nil {
			return failed
		}
		for _, other := range all {
			if other.ID != id && im.Role != mail.NoRole && other.Role == im.Role {
				return invalidProperties("another mailbox has this role", "role")
			}
		}
		return alreadyExists(all, im)
	case mail.Invalid:
		depth, inItself, failed := t.above(im.Parent, id)
		switch {
		case failed != nil:
			return failed
		case inItself && depth > 0:
			return invalidProperties("a mailbox can't be below itself", "parentId")
		}
		return invalidProperties(mail.DetailOf(err), "name")
	case mail.Limit:
		depth, _, failed := t.above(im.Parent, id)
		switch {
		case failed != nil:
			return failed
		case id != 0 || depth >= mail.MaxMailboxDepth:
			return invalidProperties(mail.DetailOf(err), "parentId")
		}
	case mail.NotFound:
		return invalidProperties(mail.DetailOf(err), "parentId")
	}
	return err
}

// alreadyExists names the mailbox that has the name beside it. The inbox has its own
// at the top, in any case.
func alreadyExists(all []mail.Mailbox, im mail.MailboxImage) error {
	e := &setError{Type: "alreadyExists", Description: "there is a mailbox of this name", Properties: []string{"name"}}
	for _, other := range all {
		if other.Parent == im.Parent && (other.Name == im.Name || other.Role == mail.RoleInbox && strings.EqualFold(other.Name, im.Name)) {
			e.Extra = map[string]any{"existingId": other.ID.String()}
		}
	}
	return e
}

// above counts a mailbox and those above it, and says whether one of them is the other.
func (t *mailboxChanging) above(id, other mail.MailboxID) (depth int, among bool, err error) {
	for id != 0 {
		mb, err := t.tx.Mailbox(id)
		if err != nil {
			return depth, among, err
		}
		depth, among, id = depth+1, among || id == other, mb.Parent
	}
	return depth, among, nil
}
