package eas

import "slices"

// A version is a version of the protocol, times ten: 141 is 14.1, as the base64
// query has it (MS-ASHTTP §2.2.1.1.1.1.2).
type version int

// The versions that are spoken. Not 2.5: no client that is still kept speaks it alone.
const (
	v121 version = 121
	v140 version = 140
	v141 version = 141
	v160 version = 160
	v161 version = 161
)

var versionNames = map[version]string{v121: "12.1", v140: "14.0", v141: "14.1", v160: "16.0", v161: "16.1"}

// versions are all of them, oldest first.
var versions = []version{v121, v140, v141, v160, v161}

// String is the version as headers have it.
func (v version) String() string { return versionNames[v] }

// parseVersion reads the version of a header; false if it is none of ours.
func parseVersion(s string) (version, bool) {
	for v, name := range versionNames {
		if name == s {
			return v, true
		}
	}
	return 0, false
}

func (v version) spoken() bool { return slices.Contains(versions, v) }
