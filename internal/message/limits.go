package message

// What one message can make us hold. doc.go says what happens beyond each.
const (
	MaxDepth          = 100       // multiparts and embedded messages inside each other
	MaxParts          = 10_000    // in the whole tree
	MaxHeaderBytes    = 256 << 10 // looked at in one header block
	MaxStructureBytes = 2 << 20   // of header blocks and the lists in them, all parts together
	MaxAddresses      = 4096      // in one address field
	MaxParams         = 64        // in one Content-Type or Content-Disposition
	MaxReferences     = 100       // message ids kept; the newest
	MaxPreviewChars   = 256       // RFC 8970 §4

	maxBoundaryLine  = 1000 // a longer line is no delimiter (RFC 2046 allows 70 and padding)
	maxOnlyInReplyTo = 63   // message ids kept of In-Reply-To: the bits there are in what Encode writes

	maxMessageID    = 998      // a longer one cannot have come in a legal line
	maxURLs         = 1000     // in one field
	maxPreviewBytes = 16 << 10 // encoded bytes of a text part that the preview is made from
)
