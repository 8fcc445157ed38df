package lot

// Records follows the records of TLS in what is read from a connection. Below TLS
// no read may go past the end of a record: else the TLS layer would hold the next
// one while somebody waits for the descriptor in vain.
type Records struct {
	header [5]byte // of a record (RFC 8446 §5.1)
	headed int     // bytes of it read
	left   int     // bytes of the record to be read yet
}

// Most is how many bytes can be read without going past a record's header or its
// end.
func (r *Records) Most() int {
	if r.headed < len(r.header) {
		return len(r.header) - r.headed
	}
	return r.left
}

// Passed takes note of what was read, which is not more than Most.
func (r *Records) Passed(b []byte) {
	if r.headed == len(r.header) {
		r.left -= len(b)
	} else {
		r.headed += copy(r.header[r.headed:], b)
		r.left = int(r.header[3])<<8 | int(r.header[4])
	}
	if r.headed == len(r.header) && r.left == 0 {
		r.headed = 0
	}
}
