"""What changed on disk since the last run, found without opening a file."""

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field
from stat import S_ISREG

from indexer import sidecars
from indexer.catalogue import File, Root
from indexer.errors import RootUnavailable
from indexer.sidecars import Sidecars
from indexer.sources import kind_of

_SKIPPED = (b"@eaDir", b"__MACOSX")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A file that must be read."""

    root: Root
    path: bytes
    """Relative to the root."""
    size: int
    """Bytes."""
    mtime_ns: int
    known: File | None
    """What the last run recorded of it."""
    sidecars: Sidecars | None = None

    @property
    def stamp(self) -> str | None:
        """Of its sidecars."""
        return self.sidecars.stamp if self.sidecars else None

    @property
    def is_described_anew(self) -> bool:
        """Whether its sidecars are not those of the last run."""
        return self.stamp != (self.known.sidecar if self.known else None)

    @property
    def absolute(self) -> bytes:
        """Where to open it."""
        return os.path.join(self.root.path, self.path)

    def is_known_as(self, digest: bytes) -> bool:
        """Whether bytes with this SHA-256 are those of the last run, fully embedded."""
        return self.known is not None and self.known.digest == digest and not self.known.lacking


@dataclass
class Scan:
    """The differences between the disk and the database."""

    found: list[Found] = field(default_factory=list)
    """By root and path: new files, changed ones, those with other sidecars than before, and those
    whose items lack an embedding."""
    gone: list[File] = field(default_factory=list)
    """By root and path."""
    unchanged: int = 0
    """Live items in files that need not be opened."""


def scan(root: Root, parts: Set[bytes], known: Collection[File], into: Scan) -> None:
    """Compare the `parts` of a root (relative paths, b"" for the whole) with all its `known` files.

    Pictures are found by walking; hidden names, the folders other systems litter and symbolic links
    are passed over. Files that were named once, texts among them, are looked for one by one.
    Raises RootUnavailable where the root is missing or unreadable, or holds no file at all although
    some are known.
    """
    _check_reachable(root)
    in_scope = {file.path: file for file in known if _covered(file.path, parts)}
    seen = {part: status for part in parts if (status := _status(root, part)) is not None}
    walked: dict[bytes, os.stat_result] = {}
    beside: dict[bytes, os.DirEntry[bytes]] = {}
    if root.recursive:
        for part in parts - seen.keys():
            walked.update(_walk_pictures(root, part, beside))
        seen.update(walked)

    gone: list[File] = []
    for path, file in in_scope.items():
        if path in seen:
            continue
        try:
            status = _status(root, path)
        except OSError:  # there, as far as anyone can tell: nothing is deleted on a guess
            into.unchanged += file.items
            continue
        if status is None:
            gone.append(file)
        else:
            seen[path] = status

    if len(gone) == len(known) > 0 and not seen and not any(_walk(root, b"")):
        raise RootUnavailable(
            f"{os.fsdecode(root.path)} is empty but the library knows {len(known)} files in it;"
            " mount or restore it and run again (if it was emptied on purpose, put any file in it)"
        )
    into.gone += sorted(gone, key=lambda file: file.path)
    for path, status in sorted(seen.items()):
        before = in_scope.get(path)
        now = (status.st_size, status.st_mtime_ns)
        found = Found(root, path, *now, before, _sidecars(root, path, walked, beside))
        same = before and now == (before.size, before.mtime_ns) and not found.is_described_anew
        if before and same and not before.lacking:
            into.unchanged += before.items
        else:
            into.found.append(found)


def _sidecars(
    root: Root,
    picture: bytes,
    walked: Collection[bytes],
    beside: Mapping[bytes, os.DirEntry[bytes]],
) -> Sidecars | None:
    """Of a file that was `walked` past, found in `beside`, what else was seen on the way."""
    if kind_of(picture) != "image":
        return None

    def status_of(path: bytes) -> os.stat_result | None:
        try:
            if picture not in walked:
                return _status(root, path)
            return beside[path].stat(follow_symlinks=False) if path in beside else None
        except OSError:
            return None

    return sidecars.find(picture, status_of)


def _check_reachable(root: Root) -> None:
    try:
        os.scandir(root.path).close()
    except OSError as error:
        raise RootUnavailable(
            f"{os.fsdecode(root.path)} cannot be read ({error.strerror}); mount or restore it and"
            " run again, nothing was deleted"
        ) from None


def _covered(path: bytes, parts: Collection[bytes]) -> bool:
    return any(part in (b"", path) or path.startswith(part + b"/") for part in parts)


def _status(root: Root, path: bytes) -> os.stat_result | None:
    """None where there is no regular file; OSError where nobody can tell."""
    try:
        status = os.lstat(os.path.join(root.path, path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if S_ISREG(status.st_mode) else None


def _walk_pictures(
    root: Root, part: bytes, beside: dict[bytes, os.DirEntry[bytes]]
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Pictures; what may be a sidecar goes into `beside`."""
    for path, entry in _walk(root, part):
        if path.endswith(sidecars.ENDINGS):
            beside[path] = entry
        if kind_of(path) == "image":
            try:
                yield path, entry.stat(follow_symlinks=False)
            except OSError:  # it vanished since the folder was read
                continue


def _walk(root: Root, part: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """Every regular file, as its path relative to the root and its entry."""
    folders = [part]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root.path, folder)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            _log.warning("cannot read %s: %s", os.fsdecode(folder), error.strerror)
            continue
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.name.startswith(b".") or entry.name in _SKIPPED:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file(follow_symlinks=False):
                yield path, entry
