"""The first step of a scan: what lies in a root."""

import os
import unicodedata
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass

from indexer.database.rows import Root
from indexer.folders.excludes import Excludes
from indexer.folders.sources import kind_of
from indexer.folders.walk import behind_link, file_status, walk
from indexer.metadata import sidecars
from indexer.metadata.sidecars import Sidecars


@dataclass(frozen=True)
class Disk:
    """What lies in the parts of a root that were looked at, by path relative to the root."""

    files: Mapping[bytes, os.stat_result]
    """The pictures of these parts, and the known files that are still there."""
    sidecars: Mapping[bytes, Sidecars]
    """By the picture's path; pictures without sidecars are left out."""
    uncertain: Set[bytes]
    """Known files that may be there or not: the system refuses to say."""


def look(root: Root, parts: Set[bytes], known: Set[bytes], excludes: Excludes) -> Disk:
    """Look at the `parts` of a root (relative paths, b"" for the whole root) and at the files
    `known` in them.

    A walk finds pictures. Files that were named once, texts among them, are looked for one by one.
    """
    named = {part: status for part in parts if (status := file_status(root, part)) is not None}
    pictures: dict[bytes, os.stat_result] = {}
    beside: dict[bytes, os.DirEntry[bytes]] = {}
    for path, entry in walk(root, parts - named.keys(), excludes) if root.recursive else ():
        if path.endswith(sidecars.ENDINGS):
            beside[path] = entry
        if kind_of(path) == "image":
            try:
                pictures[path] = entry.stat(follow_symlinks=root.follow_symlinks)
            except OSError:  # it vanished since the folder was read
                continue

    files = {**named, **pictures}
    path_of = {(status.st_dev, status.st_ino): path for path, status in files.items()}
    uncertain: set[bytes] = set()
    for path in known - files.keys():
        if excludes.cover(path):
            continue
        try:
            status = file_status(root, path)
        except OSError:
            uncertain.add(path)
            continue
        if status is not None:
            other = path_of.get((status.st_dev, status.st_ino))
            if other is None or not _is_alias(root, path, other):
                files[path] = status

    found = ((path, _sidecars(root, path, pictures, beside, excludes)) for path in files)
    return Disk(files, {path: some for path, some in found if some}, uncertain)


def _sidecars(
    root: Root,
    picture: bytes,
    walked: Collection[bytes],
    beside: Mapping[bytes, os.DirEntry[bytes]],
    excludes: Excludes,
) -> Sidecars | None:
    """The picture's sidecars: from `beside` if the walk found it, otherwise from disk, without
    excluded files."""
    if kind_of(picture) != "image":
        return None

    def status_of(path: bytes) -> os.stat_result | None:
        try:
            if picture not in walked:
                return None if excludes.cover(path) else file_status(root, path)
            if path not in beside:
                return None
            return beside[path].stat(follow_symlinks=root.follow_symlinks)
        except OSError:
            return None

    return sidecars.find(picture, status_of)


def _is_alias(root: Root, path: bytes, other: bytes) -> bool:
    """Whether `path` is only another name of the same file, which the walk found at `other`. A file
    system that ignores case finds a renamed file under its old name, too, and so may a link."""
    return _folded(path) == _folded(other) or behind_link(root, path)


def _folded(path: bytes) -> str:
    return unicodedata.normalize("NFC", os.fsdecode(path)).casefold()
