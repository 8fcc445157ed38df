package render

// What one message can make us hold. doc.go says what happens beyond each.
const (
	MaxHeld        = 1 << 20 // bytes of a body that are kept; a larger one is made again for who reads it
	MaxAttachments = 1000    // listed of one message; those beyond are not shown

	maxClosedBelow = 256      // HTML cut shorter than this is cut as text
	maxMetaBytes   = 16 << 10 // looked at for what an HTML document says of its charset
	maxToken       = 256 << 10
	maxNesting     = 64   // quotes and lists inside each other that are shown as such
	maxOpen        = 1000 // elements inside each other that are closed where HTML is cut
	maxLink        = 1024 // a longer address is left out of plain text
	maxPrefix      = 32   // quotation marks at the beginning of a line
	maxLine        = 64 << 10
)
