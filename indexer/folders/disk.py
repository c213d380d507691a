"""The first step of a scan: what lies in a root."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from stat import S_ISREG

from encoder.pictures.picture import RAW_EXTENSIONS
from indexer.database.rows import Root
from indexer.folders.excludes import Excludes
from indexer.folders.sources import PASSED_OVER, ending, is_readable, kind_of
from indexer.folders.walk import behind_link, file_status, walk
from indexer.metadata import sidecars
from indexer.metadata.sidecars import Sidecars

RAW_BESIDE_JPEG = "raw+jpeg"
_DEVELOPED = frozenset({".jpg", ".jpeg", ".heic", ".heif"})

Beside = Mapping[str, Mapping[bytes, os.DirEntry[bytes]]]
"""Sidecars by their folded paths, and then by their true ones."""


@dataclass(frozen=True)
class Disk:
    """What lies in the parts of a root that were looked at, by path relative to the root."""

    files: Mapping[bytes, os.stat_result]
    """The pictures of these parts, and the known files that are still there."""
    sidecars: Mapping[bytes, Sidecars]
    """By the picture's path; pictures without sidecars are left out."""
    uncertain: Set[bytes]
    """Known files that may be there or not: the system refuses to say."""
    passed_over: Counter[str]
    """How many files are not read, by the ending in lower case; see `indexer.records.Status`."""


def look(root: Root, parts: Set[bytes], known: Set[bytes], excludes: Excludes) -> Disk:
    """Look at the `parts` of a root (relative paths, b"" for the whole root) and at the files
    `known` in them.

    A walk finds pictures. Files that were named once, texts among them, are looked for one by one.
    """
    named = {part: status for part in parts if (status := file_status(root, part)) is not None}
    pictures: dict[bytes, os.stat_result] = {}
    beside: dict[str, dict[bytes, os.DirEntry[bytes]]] = {}
    passed_over: Counter[str] = Counter()
    for path, entry in (
        walk(root, parts - named.keys(), excludes, passed_over) if root.recursive else ()
    ):
        if sidecars.is_sidecar(path):
            beside.setdefault(sidecars.folded(path), {})[path] = entry
        if ending(path) in PASSED_OVER and not is_readable(path):
            passed_over[ending(path)] += 1
        elif kind_of(path) == "image":
            try:
                pictures[path] = entry.stat(follow_symlinks=root.follow_symlinks)
            except OSError:  # it vanished since the folder was read
                continue

    doubles = _raws_beside_jpegs(pictures)
    passed_over[RAW_BESIDE_JPEG] = len(doubles)
    for path in doubles:
        del pictures[path]
    files = {**named, **pictures}
    path_of = {(status.st_dev, status.st_ino): path for path, status in files.items()}
    uncertain: set[bytes] = set()
    for path in known - files.keys():
        if excludes.cover(path) or path in doubles:
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

    listed = cache(partial(_listed, root, excludes))
    found = {}
    for path in files:
        if kind_of(path) == "image":
            near = beside if path in pictures else listed(os.path.dirname(path))
            found[path] = sidecars.find(path, partial(_look_up, root, near))
    besides = {path: some for path, some in found.items() if some}
    return Disk(files, besides, uncertain, passed_over)


def _raws_beside_jpegs(pictures: Collection[bytes]) -> set[bytes]:
    """RAW files beside a JPEG or HEIC that differs only in its ending: the camera wrote both."""
    developed = {
        sidecars.folded(os.path.splitext(path)[0])
        for path in pictures
        if ending(path) in _DEVELOPED
    }
    return {
        path
        for path in pictures
        if ending(path) in RAW_EXTENSIONS
        and sidecars.folded(os.path.splitext(path)[0]) in developed
    }


def _look_up(root: Root, beside: Beside, path: bytes) -> tuple[bytes, os.stat_result] | None:
    """The true path and the status of a sidecar; see `sidecars.find`."""
    found = beside.get(sidecars.folded(path))
    if not found:
        return None
    true = path if path in found else min(found)
    try:
        status = found[true].stat(follow_symlinks=root.follow_symlinks)
    except OSError:
        return None
    return (true, status) if S_ISREG(status.st_mode) else None


def _listed(root: Root, excludes: Excludes, folder: bytes) -> Beside:
    """The sidecars in one folder."""
    found: dict[str, dict[bytes, os.DirEntry[bytes]]] = {}
    with suppress(OSError), os.scandir(root.at(folder)) as entries:
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if sidecars.is_sidecar(path) and not excludes.cover(path):
                found.setdefault(sidecars.folded(path), {})[path] = entry
    return found


def _is_alias(root: Root, path: bytes, other: bytes) -> bool:
    """Whether `path` is only another name of the same file, which the walk found at `other`. A file
    system that ignores case finds a renamed file under its old name, too, and so may a link."""
    return sidecars.folded(path) == sidecars.folded(other) or behind_link(root, path)
