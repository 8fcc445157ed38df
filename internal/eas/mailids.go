package eas

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"lockstep/internal/mail"
)

// itemID is a message in a mailbox as devices know it: folder and line. It stays when
// a draft is edited.
func itemID(mb mail.MailboxID, line mail.Lineage) string {
	return folderID(mb) + ":" + strconv.FormatInt(int64(line.Line()), 10)
}

// parseItemID reads what itemID wrote.
func parseItemID(s string) (mail.MailboxID, mail.Lineage, bool) {
	folder, item, ok := strings.Cut(s, ":")
	mb, isFolder := parseFolderID(folder)
	n, err := strconv.ParseInt(item, 10, 64)
	line := mail.Lineage(n)
	return mb, line, ok && isFolder && err == nil && n > 0 && itemID(mb, line) == s
}

// longID names a message that was found by searching (MS-ASCMD §2.2.3.99): it holds
// wherever the message is moved, and says where it was found.
func longID(id mail.EmailID, mb mail.MailboxID) string { return id.String() + "." + folderID(mb) }

// parseLongID reads what longID wrote.
func parseLongID(s string) (mail.EmailID, mail.MailboxID, bool) {
	email, folder, ok := strings.Cut(s, ".")
	id, isEmail := mail.ParseEmailID(email)
	mb, isFolder := parseFolderID(folder)
	return id, mb, ok && isEmail && isFolder
}

// fileReference names an attachment (MS-ASAIRS §2.2.2.24.1) by its message and where
// in it it is: wherever the message is moved.
func fileReference(id mail.EmailID, path string) string { return id.String() + ":" + path }

// parseFileReference reads what fileReference wrote.
func parseFileReference(s string) (mail.EmailID, string, bool) {
	email, path, ok := strings.Cut(s, ":")
	id, isEmail := mail.ParseEmailID(email)
	return id, path, ok && isEmail && path != "" && len(path) <= maxPartPath
}

// conversationTag begins every conversation id, so that what is none of ours is known.
const conversationTag = "lockstep"

// conversationID is a thread as devices know it (MS-ASCON §2.2.2.3): 16 bytes.
func conversationID(t mail.ThreadID) []byte {
	return binary.BigEndian.AppendUint64([]byte(conversationTag), uint64(t))
}

// parseConversationID reads what conversationID wrote, also from base64: some clients
// show opaque data so, and send it back as text.
func parseConversationID(b string) (mail.ThreadID, bool) {
	if raw, err := base64.StdEncoding.DecodeString(b); err == nil && len(b) == base64.StdEncoding.EncodedLen(16) {
		b = string(raw)
	}
	rest, ok := strings.CutPrefix(b, conversationTag)
	if !ok || len(rest) != 8 {
		return 0, false
	}
	t := mail.ThreadID(binary.BigEndian.Uint64([]byte(rest)))
	return t, t > 0
}
