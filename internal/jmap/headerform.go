package jmap

import (
	"errors"
	"slices"
	"strings"
	"time"

	"lockstep/internal/message"
)

// A headerForm is how the value of a header field is said (RFC 8621 §4.1.2), as it
// stands in the name of a property.
type headerForm string

// The forms.
const (
	asRaw              headerForm = "asRaw"
	asText             headerForm = "asText"
	asAddresses        headerForm = "asAddresses"
	asGroupedAddresses headerForm = "asGroupedAddresses"
	asMessageIDs       headerForm = "asMessageIds"
	asDate             headerForm = "asDate"
	asURLs             headerForm = "asURLs"
)

var headerForms = []headerForm{asRaw, asText, asAddresses, asGroupedAddresses, asMessageIDs, asDate, asURLs}

// fieldForms are the parsed forms of the fields of RFC 5322 and RFC 2369; any other
// field has all.
var fieldForms = func() map[string][]headerForm {
	m := map[string][]headerForm{"return-path": nil, "received": nil}
	for forms, names := range map[headerForm]string{
		asText:       "subject comments keywords",
		asAddresses:  "from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc",
		asMessageIDs: "message-id in-reply-to references resent-message-id",
		asDate:       "date resent-date",
		asURLs:       "list-help list-unsubscribe list-subscribe list-post list-owner list-archive",
	} {
		for name := range strings.FieldsSeq(names) {
			m[name] = []headerForm{forms}
			if forms == asAddresses {
				m[name] = append(m[name], asGroupedAddresses)
			}
		}
	}
	return m
}()

// A headerProperty is a property that names a header field (RFC 8621 §4.1.3).
type headerProperty struct {
	property string // as the client spells it
	field    string // in lower case
	form     headerForm
	all      bool // each instance, else the last
}

const headerPrefix = "header:"

// parseHeaderProperty reads "header:Name", "header:Name:asForm" and either with ":all".
// An error says what is wrong with it.
func parseHeaderProperty(property string) (headerProperty, error) {
	h := headerProperty{property: property, form: asRaw}
	wrong := func(detail string) (headerProperty, error) {
		return h, errors.New(strings.ToValidUTF8(property, "?") + ": " + detail)
	}
	rest, ok := strings.CutPrefix(property, headerPrefix)
	if !ok {
		return wrong("there is no such property")
	}
	steps := strings.Split(rest, ":")
	h.field = strings.ToLower(steps[0])
	if !isFieldName(h.field) {
		return wrong("this is not the name of a header field")
	}
	steps = steps[1:]
	if n := len(steps); n > 0 && steps[n-1] == "all" {
		h.all, steps = true, steps[:n-1]
	}
	switch {
	case len(steps) > 1:
		return wrong("behind the name of a field stand one form, and :all")
	case len(steps) == 1:
		h.form = headerForm(steps[0])
	}
	if !slices.Contains(headerForms, h.form) {
		return wrong("there is no such form")
	}
	if forms, known := fieldForms[h.field]; known && h.form != asRaw && !slices.Contains(forms, h.form) {
		return wrong("this field has no such form")
	}
	return h, nil
}

// isFieldName reports whether a header field can be called so (RFC 5322 §2.2).
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// valueOf says one field in the form.
func (f headerForm) valueOf(field message.Field) any {
	switch f {
	case asText:
		return message.Unstructured(field.Value())
	case asAddresses:
		return emailAddresses(message.ParseAddresses(field.Value()))
	case asGroupedAddresses:
		return addressGroups(message.ParseAddresses(field.Value()))
	case asMessageIDs:
		return listOrNil(message.ParseMessageIDs(field.Value()))
	case asDate:
		t, _ := message.ParseDate(field.Value())
		return dateOrNil(t)
	case asURLs:
		return listOrNil(message.ParseURLs(field.Value()))
	}
	return field.RawValue()
}

// valueIn says what a header has of the property: a list with :all, else the last, and
// null if there is none.
func (h headerProperty) valueIn(fields map[string][]message.Field) any {
	found := fields[h.field]
	if h.all {
		out := []any{}
		for _, f := range found {
			out = append(out, h.form.valueOf(f))
		}
		return out
	}
	if len(found) == 0 {
		return nil
	}
	return h.form.valueOf(found[len(found)-1])
}

// byName sorts the fields of a header by their names.
func byName(header message.Header) map[string][]message.Field {
	fields := map[string][]message.Field{}
	for f := range header.Fields() {
		name := strings.ToLower(f.Name)
		fields[name] = append(fields[name], f)
	}
	return fields
}

// An emailHeader is one field as it stands in a message (RFC 8621 §4.1.3).
type emailHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func emailHeaders(header message.Header) []emailHeader {
	all := []emailHeader{}
	for f := range header.Fields() {
		all = append(all, emailHeader{f.Name, f.RawValue()})
	}
	return all
}

// An emailAddress is one mailbox of an address field (RFC 8621 §4.1.2.3).
type emailAddress struct {
	Name  *string `json:"name"`
	Email string  `json:"email"`
}

func emailAddressOf(a message.Address) emailAddress {
	out := emailAddress{Email: a.Spec()}
	if name := message.Unstructured(a.Name); name != "" {
		out.Name = &name
	}
	return out
}

// emailAddresses leaves out the marks of groups.
func emailAddresses(list []message.Address) []emailAddress {
	out := []emailAddress{}
	for _, a := range list {
		if a.Host != "" {
			out = append(out, emailAddressOf(a))
		}
	}
	return out
}

// An addressGroup is some mailboxes in a row; those that are in no group have no name
// (RFC 8621 §4.1.2.4).
type addressGroup struct {
	Name      *string        `json:"name"`
	Addresses []emailAddress `json:"addresses"`
}

func addressGroups(list []message.Address) []addressGroup {
	out := []addressGroup{}
	open := false // the last one takes what comes
	for _, a := range list {
		switch {
		case a.IsGroupEnd():
			open = false
		case a.IsGroupStart():
			name := message.Unstructured(a.Mailbox)
			out, open = append(out, addressGroup{&name, []emailAddress{}}), true
		default:
			if !open {
				out, open = append(out, addressGroup{nil, []emailAddress{}}), true
			}
			last := &out[len(out)-1]
			last.Addresses = append(last.Addresses, emailAddressOf(a))
		}
	}
	return out
}

// addressesOrNil is an address field that is there when it has addresses.
func addressesOrNil(list []message.Address) any {
	if len(list) == 0 {
		return nil
	}
	return emailAddresses(list)
}

func listOrNil(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return list
}

func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// dateOrNil says a time with its zone (§1.4).
func dateOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format(time.RFC3339)
}
