package pim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// globalPrefix begins every GlobalObjId (MS-ASEMAIL §2.2.2.37).
var globalPrefix = []byte{0x04, 0x00, 0x00, 0x00, 0x82, 0x00, 0xE0, 0x00, 0x74, 0xC5, 0xB7, 0x10, 0x1A, 0x82, 0xE0, 0x08}

const (
	globalHeader = 16 + 4 + 8 + 8 + 4 // prefix, date of the instance, time, zeroes, size
	foreignMark  = "vCal-Uid"
	maxUIDBytes  = 1024
)

// GlobalObjID is a UID as devices up to 14.1 know it. One that Outlook made is the
// same bytes in hexadecimal; others are wrapped.
func GlobalObjID(uid string) []byte {
	uid = uid[:min(len(uid), maxUIDBytes)]
	if b, err := hex.DecodeString(uid); err == nil && len(b) >= globalHeader && bytes.HasPrefix(b, globalPrefix) {
		clear(b[16:20]) // the date of an instance is not of the series
		return b
	}
	data := append([]byte(foreignMark), 1, 0, 0, 0)
	data = append(append(data, uid...), 0)
	b := append(bytes.Clone(globalPrefix), make([]byte, 4+8+8)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// ParseGlobalObjID is the UID that a GlobalObjId stands for.
func ParseGlobalObjID(b []byte) (uid string, ok bool) {
	if len(b) < globalHeader || !bytes.HasPrefix(b, globalPrefix) {
		return "", false
	}
	data := b[globalHeader:]
	if uint64(binary.LittleEndian.Uint32(b[globalHeader-4:])) != uint64(len(data)) {
		return "", false
	}
	if rest, foreign := bytes.CutPrefix(data, append([]byte(foreignMark), 1, 0, 0, 0)); foreign {
		return string(bytes.TrimRight(rest, "\x00")), true
	}
	whole := bytes.Clone(b)
	clear(whole[16:20])
	return strings.ToUpper(hex.EncodeToString(whole)), true
}
