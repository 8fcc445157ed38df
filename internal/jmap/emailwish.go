package jmap

import (
	"slices"
)

// Properties of an Email (RFC 8621 §4.1), beside those that name header fields.
var (
	emailMetadata   = []string{"id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"}
	emailFields     = []string{"messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt"}
	emailPlacements = []string{"mailboxIds", "keywords"}
	emailBodies     = []string{"bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"}

	emailProperties = slices.Concat(emailMetadata, []string{"headers"}, emailFields, []string{"hasAttachment", "preview"}, emailBodies)

	// parsedByDefault and gotByDefault are what is answered when nothing is said
	// (RFC 8621 §4.9, §4.2).
	parsedByDefault = slices.Concat(emailFields, []string{"hasAttachment", "preview"}, emailBodies[1:])
	gotByDefault    = slices.Concat(emailMetadata, parsedByDefault)

	bodyPartProperties = slices.Concat(bodyPartDefault, []string{"headers", "subParts"})
	bodyPartDefault    = []string{"partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"}
)

// bodyArguments are those that say what of the bodies is wanted (RFC 8621 §4.2).
type bodyArguments struct {
	BodyProperties      *[]string   `json:"bodyProperties"`
	FetchTextBodyValues bool        `json:"fetchTextBodyValues"`
	FetchHTMLBodyValues bool        `json:"fetchHTMLBodyValues"`
	FetchAllBodyValues  bool        `json:"fetchAllBodyValues"`
	MaxBodyValueBytes   unsignedInt `json:"maxBodyValueBytes"`
}

// wish is the properties wanted of an Email, or of a part: plain ones, and those that
// name header fields.
type wish struct {
	plain   map[string]bool
	headers []headerProperty
}

// parseWish reads the names of properties; what does not exist is invalidArguments.
func parseWish(argument string, asked *[]string, known, standard []string) (w wish, err error) {
	w.plain = map[string]bool{}
	if asked == nil {
		asked = &standard
	}
	if len(*asked) > maxProperties {
		return w, invalidArguments("too many properties", argument)
	}
	for _, p := range *asked {
		if slices.Contains(known, p) {
			w.plain[p] = true
			continue
		}
		h, err := parseHeaderProperty(p)
		if err != nil {
			return w, invalidArguments(err.Error(), argument)
		}
		w.headers = append(w.headers, h)
	}
	return w, nil
}

// any reports whether one of the properties is wanted.
func (w wish) any(properties []string) bool {
	return slices.ContainsFunc(properties, func(p string) bool { return w.plain[p] })
}

// readsHeader reports whether the header itself has to be read.
func (w wish) readsHeader() bool { return w.plain["headers"] || len(w.headers) > 0 }

// emailWish is what is wanted of emails.
type emailWish struct {
	wish
	part wish
	bodyArguments
}

func parseEmailWish(properties *[]string, standard []string, body bodyArguments) (*emailWish, error) {
	w := &emailWish{bodyArguments: body}
	var err error
	if w.wish, err = parseWish("properties", properties, emailProperties, standard); err != nil {
		return nil, err
	}
	w.part, err = parseWish("bodyProperties", body.BodyProperties, bodyPartProperties, bodyPartDefault)
	return w, err
}
