"""What the place where a library lies can do."""

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = (
    "9p afs beegfs ceph cifs coda gfs gfs2 glusterfs lustre ncpfs nfs nfs4 ocfs2 prl_fs smb2 smb3"
    " smbfs vboxsf virtiofs"
)


def type_of(folder: Path) -> str:
    """The type of the file system that `folder` lies on, such as ``ext4``; "" where the system does
    not tell."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return ""
    path = os.path.realpath(os.fsencode(folder))
    longest, found = b"", ""
    for line in lines:
        # 36 35 98:0 /where/in/it /mount/point rw,noatime [shared:1 ...] - ext4 /dev/sda1 rw
        front, _, back = line.partition(b" - ")
        point = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), front.split()[4])
        # The same point may be mounted over: the last one counts.
        if len(point) >= len(longest) and os.path.commonpath([path, point]) == point:
            longest, found = point, os.fsdecode(back.split()[0])
    return found


def is_shared(type: str) -> bool:
    """Whether several machines may write to a file system of this type. FUSE does not say what
    stands behind it and counts as shared."""
    return type in _SHARED.split() or type.startswith("fuse.")


def is_writable(folder: Path) -> bool:
    """Whether this process can make files in `folder`: permissions and medium allow it."""
    return os.access(folder, os.W_OK)
