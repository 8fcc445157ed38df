package sqlstore

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lasting are the file systems, by their magic numbers, on which a file keeps its
// inode number for its life. Elsewhere a number says nothing.
var lasting = map[int64]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true,
	unix.TMPFS_MAGIC: true, unix.NFS_SUPER_MAGIC: true, zfsMagic: true,
}

const zfsMagic = 0x2fc12fc1

// identity names the file at path, and no copy of it: by its inode, and when it was
// made. It is "" where that can't be told.
func identity(path string) string {
	var on unix.Statfs_t
	if unix.Statfs(path, &on) != nil || !lasting[int64(on.Type)] {
		return ""
	}
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st) != nil || st.Mask&unix.STATX_INO == 0 {
		return ""
	}
	name := fmt.Sprintf("inode %d", st.Ino)
	if st.Mask&unix.STATX_BTIME != 0 {
		name += fmt.Sprintf(" of %d.%09d", st.Btime.Sec, st.Btime.Nsec)
	}
	return name
}
