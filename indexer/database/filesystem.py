"""What the file system under a library can do."""

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = (
    "9p afs beegfs ceph cifs coda gfs gfs2 glusterfs lustre ncpfs nfs nfs4 ocfs2 prl_fs smb2 smb3"
    " smbfs vboxsf virtiofs"
)


def type_of(folder: Path) -> str:
    """The type of the file system that holds `folder`, such as ``ext4``; "" if the operating system
    does not tell it."""
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
        # Two file systems may be mounted at the same point: the last one counts.
        if len(point) >= len(longest) and os.path.commonpath([path, point]) == point:
            longest, found = point, os.fsdecode(back.split()[0])
    return found


def is_shared(type: str) -> bool:
    """Whether several machines may write to a file system of this type. FUSE may hide a network and
    counts as shared."""
    return type in _SHARED.split() or type.startswith("fuse.")


def is_writable(folder: Path) -> bool:
    """Whether this process can create files in `folder`."""
    return os.access(folder, os.W_OK)
