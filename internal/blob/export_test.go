package blob

import (
	"encoding/binary"
	"hash/crc32"
)

// ResealHeader makes the checksum of a record's header anew.
func ResealHeader(record []byte) []byte {
	binary.BigEndian.PutUint32(record[140:], crc32.Checksum(record[:140], castagnoli))
	return record
}
