package compose

// What a draft may have. One past any is refused with Limit.
const (
	MaxRecipients  = 4096 // in each of To, Cc and Bcc
	MaxAttachments = 1000
)

// What is cut short without a word: no field gets too long for a line of 998
// bytes, and no program shows more.
const (
	maxNameBytes     = 256      // of a display name, and of the name of a file
	maxSubjectBytes  = 16 << 10 // RFC 5322 knows no bound; the header has one
	maxFieldName     = 77       // of a header field; with more it can't be folded
	maxLineBytes     = 998      // of a header field as it is said (RFC 5322 §2.1.1)
	maxReferences    = 50       // message ids; the first and the newest are kept
	maxIDBytes       = 900      // a longer one fits no line, and is left out
	maxHTMLToken     = 4 << 20  // one tag or run of text of an HTML document
	maxQuotedFields  = 16 << 10 // of each list of addresses a forward shows
	maxInlinePicture = 200      // pictures a reply takes along
)
