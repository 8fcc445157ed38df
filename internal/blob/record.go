package blob

import (
	"encoding/binary"
	"hash/crc32"

	"lockstep/internal/mail"
)

// A record is one stored blob in a pack:
//
//	offset  bytes
//	     0      4  "LSb1"
//	     4      1  version of the record, 1
//	     5      1  suite: 1 is AES-256-GCM, and zstd or S2
//	     6      2  zero
//	     8      4  length of the sealed table
//	    12      8  length of the frames
//	    20      8  plain size of the blob
//	    28     32  name
//	    60     76  the blob's key, wrapped
//	   136      4  CRC-32C of the frames, then the sealed table
//	   140      4  CRC-32C of the bytes before
//	   144         the sealed table, then the frames
//
// The first 60 bytes are additional data of the sealed table. The checksums
// tell a torn tail without a key; they protect nobody from an attacker, the
// seals do. With the key, the index can be made anew from records alone.
const (
	recordMagic   = "LSb1"
	recordVersion = 1
	suiteGCMZstd  = 1

	boundSize  = 60 // what the table's seal binds
	headerSize = 144

	maxTable = 4 << 20 // bytes of a sealed table
)

type recordHeader struct {
	tableLen uint32
	bodyLen  int64
	size     int64
	name     mail.BlobName
	key      [wrappedSize]byte
	bodyCRC  uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// length is that of the whole record.
func (h *recordHeader) length() int64 { return headerSize + int64(h.tableLen) + h.bodyLen }

// appendBound appends the part of the header that the table's seal binds.
func (h *recordHeader) appendBound(b []byte) []byte {
	b = append(b, recordMagic...)
	b = append(b, recordVersion, suiteGCMZstd, 0, 0)
	b = binary.BigEndian.AppendUint32(b, h.tableLen)
	b = binary.BigEndian.AppendUint64(b, uint64(h.bodyLen))
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	return append(b, h.name[:]...)
}

func (h *recordHeader) append(b []byte) []byte {
	start := len(b)
	b = h.appendBound(b)
	b = append(b, h.key[:]...)
	b = binary.BigEndian.AppendUint32(b, h.bodyCRC)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader reads the header at the start of b.
func parseHeader(b []byte) (h recordHeader, err error) {
	if len(b) < headerSize {
		return h, corrupt("a record is cut off", nil)
	}
	if string(b[:4]) != recordMagic {
		return h, corrupt("no record where one should begin", nil)
	}
	if crc32.Checksum(b[:140], castagnoli) != binary.BigEndian.Uint32(b[140:]) {
		return h, corrupt("a record's header", nil)
	}
	if b[4] != recordVersion || b[5] != suiteGCMZstd || b[6] != 0 || b[7] != 0 {
		return h, mail.Errorf(mail.Unimplemented, "a record was written by a later version")
	}
	h.tableLen = binary.BigEndian.Uint32(b[8:])
	h.bodyLen = int64(binary.BigEndian.Uint64(b[12:]))
	h.size = int64(binary.BigEndian.Uint64(b[20:]))
	h.name = mail.BlobName(b[28:])
	copy(h.key[:], b[60:])
	h.bodyCRC = binary.BigEndian.Uint32(b[136:])
	if h.tableLen > maxTable || h.bodyLen < 0 || h.bodyLen > maxBody || h.size < 0 || h.size > MaxSize {
		return h, corrupt("a record's lengths", nil)
	}
	return h, nil
}
