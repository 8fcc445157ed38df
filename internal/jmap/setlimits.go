package jmap

// What one Email that is set can have.
const (
	maxMailboxesPerEmail = 100 // that JMAP puts one into
	maxWrongProperties   = 50  // named in one error
	maxBodyDepth         = 30  // of parts in an email that is made
	uploadsInSet         = 4   // as many times as one upload can have are the bytes that one call attaches
	maxTokenBytes        = 100 // of a word of MIME

	// Of blobs that methods make and read (RFC 9404).
	maxDataSources = 100       // of one blob
	maxBlobDepth   = 16        // of blobs of one call in each other
	maxDigested    = 512 << 20 // bytes that one Blob/get hashes
)
