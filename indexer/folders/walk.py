"""The files in a root, found without opening them."""

import errno
import heapq
import logging
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from stat import S_ISREG

from indexer.database.rows import Root
from indexer.folders.excludes import Excludes

_JUNK = (b"@eaDir", b"__MACOSX", b"#recycle", b"$RECYCLE.BIN")
LINK = "link"
_log = logging.getLogger(__name__)


def walk(
    root: Root, parts: Iterable[bytes], excludes: Excludes, links: Counter[str] | None = None
) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """Every file in some folders of a root: its path relative to the root, and its entry.

    Hidden names, folders that other systems create for themselves, and excluded paths are left out.
    So are symbolic links, unless the root follows them: then a folder that can be reached in
    several ways is walked once, at its real location if that lies in the root. This also ends
    loops. Links that are left out are counted in `links`.
    """
    folders = list[bytes]()
    later = sorted(parts)  # a heap: links wait until every real folder is walked
    walked = set[tuple[int, int]]()
    while folders or later:
        folder = folders.pop() if folders else heapq.heappop(later)
        try:
            absolute = root.at(folder)
            if root.follow_symlinks:
                status = os.stat(absolute)
                if (status.st_dev, status.st_ino) in walked:
                    continue
                walked.add((status.st_dev, status.st_ino))
            with os.scandir(absolute) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            _log.warning("cannot read %s: %s", os.fsdecode(folder), error.strerror)
            continue
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.name.startswith(b".") or entry.name in _JUNK or excludes.match(path):
                continue
            if entry.is_symlink() and not root.follow_symlinks:
                if links is not None:
                    links[LINK] += 1
                continue
            if _is_folder(entry):
                if entry.is_symlink():
                    heapq.heappush(later, path)
                else:
                    folders.append(path)
            elif _is_file(entry):
                yield path, entry


def lies_in(path: bytes, folders: Container[bytes]) -> bool:
    """Whether `path` is one of `folders` or lies in one; all are relative to the same root, and b""
    is the root itself."""
    while path and path not in folders:
        path = os.path.dirname(path)
    return path in folders or b"" in folders


def holds_any_file(root: Root, part: bytes = b"") -> bool:
    """Whether a walk of `part` without exclusions finds any file."""
    return any(walk(root, [part], Excludes(())))


def file_status(root: Root, path: bytes) -> os.stat_result | None:
    """The status of the regular file at `path` in a root; None if there is none. Raises OSError if
    the system refuses to say."""
    absolute = root.at(path)
    try:
        status = os.stat(absolute) if root.follow_symlinks else os.lstat(absolute)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    if not S_ISREG(status.st_mode) or (not root.follow_symlinks and behind_link(root, path)):
        return None
    return status


def exists(root: Root, path: bytes, *, unsure: bool) -> bool:
    """Whether a root has a regular file at `path`; `unsure` where the system refuses to say."""
    try:
        return file_status(root, path) is not None
    except OSError:
        return unsure


def behind_link(root: Root, path: bytes) -> bool:
    """Whether a folder between the root and `path` is a symbolic link."""
    while (path := os.path.dirname(path)).strip(b"/"):
        if os.path.islink(root.at(path)):
            return True
    return False


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
