package backup

import "io"

// CheckRedo is checkRedo.
var CheckRedo = checkRedo

// ReadRedo is readRedo; it returns the point that a redo file leads to.
func ReadRedo(r io.ReaderAt, size int64, each func(uint32, []byte) error) (string, error) {
	s, err := readRedo(r, size, each)
	if err != nil {
		return "", err
	}
	return s.Point, nil
}
