"""What the file system under a library can do."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_COMMAND = "/sbin/mount"
"""It lists what is mounted where the kernel has no such file, as on macOS."""

_SHARED = (
    "9p acfs afpfs afs beegfs ceph cifs coda ftp gfs gfs2 glusterfs lustre macfuse ncpfs nfs nfs4"
    " ocfs2 osxfuse prl_fs smb2 smb3 smbfs vboxsf virtiofs webdav"
)


def type_of(folder: Path) -> str:
    """The type of the file system that holds `folder`, such as ``ext4``; "" if the operating system
    does not tell it."""
    path = os.path.realpath(os.fsencode(folder))
    longest, found = b"", ""
    for point, type in _mounts():
        # Two file systems may be mounted at the same point: the last one counts.
        if len(point) >= len(longest) and os.path.commonpath([path, point]) == point:
            longest, found = point, type
    return found


def _mounts() -> Iterator[tuple[bytes, str]]:
    """Mount points and types, as the kernel knows them."""
    try:
        for line in _MOUNTS.read_bytes().splitlines():
            # 36 35 98:0 /where/in/it /mount/point rw,noatime [shared:1 ...] - ext4 /dev/sda1 rw
            front, _, back = line.partition(b" - ")
            coded = front.split()[4]
            point = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), coded)
            yield point, os.fsdecode(back.split()[0])
        return
    except OSError:
        pass
    try:
        said = subprocess.run([_MOUNT_COMMAND], capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return
    # /dev/disk1s1 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
    for match in re.finditer(rb"^.+? on (/.*) \(([^,)]+)[^()]*\)$", said, re.MULTILINE):
        yield match[1], os.fsdecode(match[2])


def is_shared(type: str) -> bool:
    """Whether several machines may write to a file system of this type. FUSE may hide a network and
    counts as shared, and so does a type that is not known."""
    return not type or type in _SHARED.split() or type.startswith("fuse.")


def is_writable(folder: Path) -> bool:
    """Whether this process can create files in `folder`."""
    return os.access(folder, os.W_OK)
