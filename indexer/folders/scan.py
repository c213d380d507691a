"""What changed on disk since the last run, found without opening a file."""

import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection

from indexer.database import catalogue
from indexer.database.rows import File, Root
from indexer.folders import devices, watching
from indexer.folders.excludes import Excludes
from indexer.folders.sources import kind_of, parts_to_scan
from indexer.folders.walk import behind_link, file_status, walk
from indexer.metadata import sidecars
from indexer.metadata.sidecars import Sidecars
from indexer.records import RootState


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

    @property
    def touched(self) -> bool:
        """Whether size or time are not those of the last run."""
        known = self.known
        return known is None or (self.size, self.mtime_ns) != (known.size, known.mtime_ns)

    def is_known_as(self, digest: bytes) -> bool:
        """Whether bytes with this SHA-256 are those of the last run, and nothing is left to do for
        them. To touch a file whose bytes are bad asks for another try."""
        known = self.known
        if known is None or known.digest != digest or known.lacking:
            return False
        return not (known.failed and self.touched)


@dataclass
class Scan:
    """The differences between the disk and the database."""

    found: list[Found] = field(default_factory=list)
    """By root and path: files that are new, changed or racy, could not be read, have other sidecars
    than before, or whose items lack an embedding."""
    gone: list[File] = field(default_factory=list)
    """By root and path: no longer there, or excluded."""
    unchanged: int = 0
    """Live items in files that need not be opened."""
    unavailable: list[str] = field(default_factory=list)
    """Why a root or a folder mounted below it was left alone, and the remedy: a sentence each."""


def scan_sources(
    db: Connection,
    sources: Sequence[Path],
    model_id: int | None,
    *,
    reembed: bool,
    allow_missing: bool,
    exclude: Sequence[str] | None,
    follow_symlinks: bool | None,
) -> Scan:
    """What `Library.index` has to do for `sources`, whose roots are watched from now on; `model_id`
    is of the model that every item must have an embedding of."""
    differences = Scan()
    parts = parts_to_scan(
        db, sources, everything=reembed, exclude=exclude, follow_symlinks=follow_symlinks
    )
    for root in sorted(parts, key=lambda root: root.id):
        known = catalogue.known_files(db, root.id, model_id)
        seen = scan(root, parts[root], known, differences, allow_missing=allow_missing)
        if seen != root:
            watching.set_devices(db, seen)
    return differences


def scan(
    root: Root,
    parts: Set[bytes],
    known: Collection[File],
    into: Scan,
    *,
    allow_missing: bool = False,
) -> Root:
    """Compare the `parts` of a root (relative paths, b"" for the whole) with all its `known` files.

    Pictures are found by walking; files that were named once, texts among them, are looked for one
    by one. A root that cannot be read is left alone; so is one that misses files and holds none at
    all, or lies on another device than before, unless `allow_missing`. The same holds for a folder
    that was on another device than the folder above it.

    Returns the root as it is to be remembered, with the devices that were found.
    """
    if root.follow_symlinks and root.recursive:
        # Only a walk of the whole tells which of the ways to a folder is the one to take.
        parts = {*parts, b""}
    in_scope = {file.path: file for file in known if _covered(file.path, parts)}
    try:
        os.scandir(root.path).close()
        device = os.stat(root.path).st_dev
    except (FileNotFoundError, NotADirectoryError):
        if allow_missing:
            into.gone += _by_path(in_scope.values())
        else:
            into.unavailable.append(_sentence(root, b"", "does not exist", known))
        return root
    except OSError as error:
        into.unavailable.append(
            f"{os.fsdecode(root.path)} cannot be read ({error.strerror}); mount or restore it and"
            " run again, nothing of it was deleted"
        )
        return root

    excludes = Excludes(root.exclude)
    seen = {part: status for part in parts if (status := file_status(root, part)) is not None}
    beside: dict[bytes, os.DirEntry[bytes]] = {}
    pictures = dict(
        _pictures(root, parts - seen.keys(), excludes, beside) if root.recursive else ()
    )
    seen.update(pictures)
    missing, excluded, unknowable = list[File](), list[File](), list[File]()
    walked = {(status.st_dev, status.st_ino): path for path, status in seen.items()}
    for file in [in_scope[path] for path in in_scope.keys() - seen.keys()]:
        if excludes.cover(file.path):
            excluded.append(file)
            continue
        try:
            status = file_status(root, file.path)
        except OSError:  # there, as far as anyone can tell: nothing is deleted on a guess
            unknowable.append(file)
            continue
        if status is None or _is_alias(root, file.path, walked.get((status.st_dev, status.st_ino))):
            missing.append(file)
        else:
            seen[file.path] = status

    away = {} if allow_missing else _away(root, known, missing, seen)
    into.unavailable += [_sentence(root, place, reason, known) for place, reason in away.items()]
    if b"" in away:
        return root
    missing = [file for file in missing if not _covered(file.path, away)]
    seen = {path: status for path, status in seen.items() if not _covered(path, away)}
    into.gone += _by_path([*missing, *excluded])
    into.unchanged += sum(file.items for file in unknowable)
    for path, status in sorted(seen.items()):
        before = in_scope.get(path)
        said = _sidecars(root, path, pictures, beside, excludes)
        found = Found(root, path, status.st_size, status.st_mtime_ns, before, said)
        if before and _is_settled(before, found):
            into.unchanged += before.items
        else:
            into.found.append(found)
    kept = [
        mount
        for mount in root.mounts
        if _covered(mount[0], away) or not _covered(mount[0], parts)  # not looked at as a whole
    ]
    mounts = dict([*devices.mounts_above(root, seen), *kept])
    return replace(
        root,
        device=device if b"" in parts or root.device is None else root.device,
        mounts=tuple(sorted(mounts.items())),
    )


def _away(
    root: Root, known: Collection[File], missing: Collection[File], seen: Collection[bytes]
) -> dict[bytes, str]:
    """Which folders are to be left alone, and why: some that were mounted below the root, or b""
    for all of it."""
    away: dict[bytes, str] = {}
    for place, device in (*root.mounts, (b"", root.device)):
        missing = [file for file in missing if not _covered(file.path, away)]
        lacking = [file for file in missing if _covered(file.path, [place])]
        if not lacking:
            continue
        nothing = not any(_covered(path, [place]) for path in seen)
        state = devices.state(root, place, device, expect_files=nothing)
        held = [file for file in known if _covered(file.path, [place])]
        # The number of a device says little: another disk at the same place may have the same one.
        mounted = place or os.path.ismount(root.path)
        if state == "ok" and mounted and not any(_is_there(root, file) for file in held):
            state = "other device"
        if state != "ok":
            away[place] = _reason(state, lacking, held)
    return {b"": away[b""]} if b"" in away else away


def _is_there(root: Root, file: File) -> bool:
    try:
        return file_status(root, file.path) is not None
    except OSError:
        return True  # for all anyone can tell


def _reason(state: RootState, lacking: Collection[File], known: Collection[File]) -> str:
    if state == "empty":
        return f"is empty but the library knows {_files(known)} in it"
    if state == "other device":
        lacks = f"{_files(lacking)} of the {len(known):,} that the library knows"
        return f"is on another device than before and lacks {lacks}"
    return "does not exist" if state == "missing" else "cannot be read"


def _is_settled(known: File, found: Found) -> bool:
    """Whether the file need not be opened. What could not be read is tried every time: neither a
    network that works again nor a permission leaves a trace in the file's time."""
    if found.touched or found.is_described_anew:
        return False
    return known.digest is not None and not (known.racy or known.lacking)


def _sidecars(
    root: Root,
    picture: bytes,
    walked: Collection[bytes],
    beside: Mapping[bytes, os.DirEntry[bytes]],
    excludes: Excludes,
) -> Sidecars | None:
    """Of a file that was `walked` past, found in `beside`, what else was seen on the way; of
    another, what lies there and is not excluded."""
    if kind_of(picture) != "image":
        return None

    def status_of(path: bytes) -> os.stat_result | None:
        try:
            if picture not in walked:
                return None if excludes.cover(path) else file_status(root, path)
            return (
                beside[path].stat(follow_symlinks=root.follow_symlinks) if path in beside else None
            )
        except OSError:
            return None

    return sidecars.find(picture, status_of)


def _sentence(root: Root, place: bytes, reason: str, known: Collection[File]) -> str:
    path = os.fsdecode(root.at(place))
    moved = "" if place else " say where it is now with `align roots move`,"
    loss = "accept the loss with --allow-missing" if known else "let it go with `align forget`"
    return f"{path} {reason}; mount or restore it,{moved} or {loss}; nothing of it was deleted"


def _files(files: Collection[File]) -> str:
    return f"{len(files):,} file" if len(files) == 1 else f"{len(files):,} files"


def _by_path(files: Collection[File]) -> list[File]:
    return sorted(files, key=lambda file: file.path)


def _covered(path: bytes, parts: Collection[bytes]) -> bool:
    return any(part in (b"", path) or path.startswith(part + b"/") for part in parts)


def _is_alias(root: Root, path: bytes, walked: bytes | None) -> bool:
    """Whether `path`, not walked by itself, is only another way to the file at `walked`: where case
    does not count a renamed file still answers to its old name, and links may lead there."""
    if walked is None:
        return False
    return _folded(path) == _folded(walked) or behind_link(root, path)


def _folded(path: bytes) -> str:
    return unicodedata.normalize("NFC", os.fsdecode(path)).casefold()


def _pictures(
    root: Root, parts: Set[bytes], excludes: Excludes, beside: dict[bytes, os.DirEntry[bytes]]
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Pictures; what may be a sidecar goes into `beside`."""
    for path, entry in walk(root, parts, excludes):
        if path.endswith(sidecars.ENDINGS):
            beside[path] = entry
        if kind_of(path) == "image":
            try:
                yield path, entry.stat(follow_symlinks=root.follow_symlinks)
            except OSError:  # it vanished since the folder was read
                continue
